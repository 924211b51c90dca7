"""What became of a folder's files: tables of the first stages in, the funnel and the reasons out. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.views import words

ROWS_SHOWN = 200
SAMPLE_FILES = 2000
CODES = {
    "unopenable": "cannot be opened",
    "unreadable": "cannot be looked at",
    "undecodable": "cannot be decoded",
    "decoder_crashed": "crashed the decoder",
    "timeout": "took longer than its time limit",
    "out_of_memory": "needed more than its memory limit",
    "no_video": "has no picture",
    "no_audio": "has no sound",
    "no_data": "holds no data",
    "too_short": "too short",
    "too_long": "too long",
    "too_small": "file too small",
    "too_large": "file too large",
    "low_resolution": "picture too small",
    "duplicate": "same content as another file",
    "where": "does not meet the condition",
    "empty_file": "empty",
    "not_media": "not a media file",
    "still_picture": "a still picture",
    "partly_undecodable": "partly undecodable",
    "encrypted": "encrypted",
}


@dataclass(frozen=True)
class Step:
    """One bar: how many files are left after it, and the files that it lost (path, code, message)."""

    name: str
    left: int
    lost: pd.DataFrame

    @property
    def n_lost(self) -> int:
        return len(self.lost)


def funnel(videos: pd.DataFrame | None, filtered: pd.DataFrame | None, segmented: pd.DataFrame | None) -> list[Step]:
    """found, readable, after filters, cut into clips: the steps whose table is there. Counts are of files."""
    if videos is None:
        return []
    readable = videos["status"] == "ok"
    steps = [
        Step("found", len(videos), _reasons(videos.iloc[:0])),
        Step("readable", int(readable.sum()), _reasons(videos[~readable])),
    ]
    if filtered is None:
        return steps
    # What could not be read is counted there, not again as dropped by the filter.
    joined = filtered.merge(videos[["video_id", "path"]], on="video_id", how="inner")
    unreadable = set(videos.loc[~readable, "video_id"])
    dropped = joined[(joined["status"] != "ok") & ~joined["video_id"].isin(unreadable)]
    steps.append(Step("after filters", int((joined["status"] == "ok").sum()), _reasons(dropped)))
    if segmented is None:
        return steps
    cut = segmented.merge(videos[["video_id", "path"]], on="video_id", how="inner")
    steps.append(Step("cut into clips", int((cut["n_clips"] > 0).sum()), _reasons(cut[cut["n_clips"] == 0])))
    return steps


def lost_rows(step: Step, code: str | None = None) -> tuple[pd.DataFrame, int]:
    """The first 200 files that a step lost (of one code, or all): file, code, message; and how many more."""
    lost = step.lost if code is None else step.lost[step.lost["code"] == code]
    shown = lost.head(ROWS_SHOWN)
    frame = pd.DataFrame(
        {
            "file": shown["path"].to_numpy(),
            "code": shown["code"].to_numpy(),
            "message": shown["message"].to_numpy(),
        }
    )
    return frame, len(lost) - len(shown)


def code_counts(step: Step) -> list[tuple[str, int]]:
    """How many files a step lost by code, most first."""
    counts = step.lost["code"].value_counts()
    return sorted(((str(code), int(n)) for code, n in counts.items()), key=lambda item: (-item[1], item[0]))


def clips_line(info: Mapping[str, object]) -> str:
    """`3,377 clips · 9.4 h of 1,180 videos` from the facts of clips.parquet; empty without."""
    clips, hours, videos = info.get("clips"), info.get("hours"), info.get("videos")
    if not isinstance(clips, int):
        return ""
    text = words.count(clips)
    if isinstance(hours, (int, float)):
        text += f" · {words.hours(float(hours))}"
    return text + (f" of {words.count(videos, 'videos')}" if isinstance(videos, int) else "")


def found_line(n_files: int, truncated: bool, n_skipped: int, n_problems: int) -> str:
    """`1,204 media files · 37 files of other kinds passed over`."""
    more = "more than " if truncated else ""
    parts = [f"{more}{words.count(n_files, 'media files')}"]
    if n_skipped:
        parts.append(f"{words.count(n_skipped, 'files')} of other kinds passed over")
    if n_problems:
        parts.append(f"{n_problems:,} could not be looked at")
    return " · ".join(parts)


def draw_sample(paths: Sequence[bytes], n: int, seed: int) -> list[bytes]:
    """`n` of the paths, drawn without replacement; the same seed gives the same ones, in the same order."""
    if len(paths) == 0:
        return []
    chosen = np.random.default_rng(seed).permutation(len(paths))[:n]
    return [paths[int(i)] for i in chosen]


def _reasons(table: pd.DataFrame) -> pd.DataFrame:
    return table[["path", "code", "message"]].reset_index(drop=True)
