"""What became of the media: a workspace's first tables in, the funnel and the reasons out; words and commands. No
Streamlit. Rows are counted where they lie: a million videos are never read into a frame.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curation.sourcespec import SourceSpec
from curation.workspace import Workspace
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
    "changed": "changed since the scan",
    "missing": "not there",
    "not_looked_for": "not looked for yet",
    "no_permission": "may not be read",
    "not_allowed": "outside the folders that may be read",
    "not_a_file": "no file",
    "not_local": "an address, not a file",
    "bad_url": "an address that is refused",
    "no_bucket": "in a bucket that is not there",
    "unreachable": "in a store that does not answer",
    "remote": "not given out by their store",
    "missing_package": "in a store whose package is not installed",
    "broken_line": "broken line",
    "repeated": "named a second time",
    "no_metadata": "without a line of metadata",
    "compressed_tar": "in a compressed tar",
    "truncated_tar": "in a tar that is cut off",
    "not_a_tar": "no tar",
    "sparse": "stored with holes",
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
    "metadata_too_short": "too short by its metadata",
    "metadata_too_long": "too long by its metadata",
    "language": "in another language",
    "category": "of a dropped category",
    "keyword_artist": "words of artists",
    "keyword_animation": "words of animation",
    "keyword_gaming": "words of games",
    "keyword_tutorial": "words of tutorials",
    "keyword_official": "words of official videos",
    "empty_file": "empty",
    "not_media": "not a media file",
    "still_picture": "a still picture",
    "partly_undecodable": "partly undecodable",
    "encrypted": "encrypted",
}
KINDS = {
    "folder": "Folder of videos",
    "list": "List of files",
    "metadata": "ACAV100M metadata",
    "tars": "WebDataset tars",
}
ICONS = {"folder": "folder", "list": "list_alt", "metadata": "table_rows", "tars": "inventory_2"}
READABLE, FILTERED, CUT, METADATA = "readable", "after filters", "cut into clips", "by metadata"
# What each step lost: path, code and message of files; a reason that came with the scan is not counted again
_LOST = {
    READABLE: "SELECT path, code, message FROM videos WHERE status <> 'ok'",
    FILTERED: "SELECT v.path, f.code, f.message FROM filtered f JOIN videos v USING (video_id) "
    "WHERE f.status <> 'ok' AND v.status = 'ok'",
    CUT: "SELECT v.path, s.code, s.message FROM segmented s JOIN videos v USING (video_id) WHERE s.n_clips = 0",
    # of every line of the metadata, also those without a file
    METADATA: "SELECT CASE WHEN v.title = '' THEN v.path ELSE v.title END AS path, f.code, f.message FROM filtered f "
    "JOIN videos v USING (video_id) "
    "WHERE f.code IN ('metadata_too_short', 'metadata_too_long', 'language', 'category') OR f.code LIKE 'keyword%'",
}


@dataclass(frozen=True)
class Step:
    """One bar: how many files are left after it, and how many it lost, by code, most first."""

    name: str
    left: int
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def n_lost(self) -> int:
        return sum(n for _, n in self.lost)


def funnel(workspace: Workspace) -> list[Step]:
    """found, readable, after filters, cut into clips: the steps whose table is there. Counts are of files."""
    if workspace.artefact("videos") is None:
        return []
    n_videos = workspace.n_rows("videos")
    steps = [Step("found", n_videos)]
    lost = _counts(workspace, READABLE)
    steps.append(Step(READABLE, n_videos - sum(n for _, n in lost), lost))
    if workspace.artefact("filtered") is None:
        return steps
    left = workspace.query("SELECT count(*) AS n FROM filtered WHERE status = 'ok'")["n"][0].as_py()
    steps.append(Step(FILTERED, int(left), _counts(workspace, FILTERED)))
    if workspace.artefact("segmented") is not None:
        left = workspace.query("SELECT count(*) AS n FROM segmented WHERE n_clips > 0")["n"][0].as_py()
        steps.append(Step(CUT, int(left), _counts(workspace, CUT)))
    return steps


def by_metadata(workspace: Workspace) -> Step | None:
    """What the filters of metadata dropped of all lines, with a file or without; None where there are no metadata."""
    roots = [root for root, spec in enumerate(workspace.sources) if spec.kind == "metadata"]
    if not roots or workspace.artefact("filtered") is None:
        return None
    said = f"root IN ({', '.join(map(str, roots))}) AND code NOT IN ('no_metadata', 'broken_line', 'repeated')"
    lines = workspace.query(f"SELECT count(*) AS n FROM videos WHERE {said}")["n"][0].as_py()
    lost = _counts(workspace, METADATA)
    return Step(METADATA, int(lines) - sum(n for _, n in lost), lost)


def lost_rows(workspace: Workspace, step: str, code: str = "") -> pd.DataFrame:
    """The first 200 files that a step lost (of one code, or all): file, code, message."""
    chosen, parameters = ("WHERE code = ?", [code]) if code else ("", [])
    sql = f"SELECT path AS file, code, message FROM ({_LOST[step]}) {chosen} ORDER BY file LIMIT {ROWS_SHOWN}"
    return workspace.query(sql, parameters).to_pandas()


def _counts(workspace: Workspace, step: str) -> tuple[tuple[str, int], ...]:
    found = workspace.query(f"SELECT code, count(*) AS n FROM ({_LOST[step]}) GROUP BY code ORDER BY n DESC, code")
    return tuple((row["code"], int(row["n"])) for row in found.to_pylist())


def videos_of_sources(workspace: Workspace) -> dict[int, int]:
    """Readable videos of each source, by its number; empty before the first scan."""
    if workspace.artefact("videos") is None:
        return {}
    found = workspace.query("SELECT root, count(*) AS n FROM videos WHERE status = 'ok' GROUP BY root")
    return {int(row["root"]): int(row["n"]) for row in found.to_pylist()}


def clips_line(info: Mapping[str, object]) -> str:
    """`3,377 clips · 9.4 h of 1,180 videos` from the facts of clips.parquet; empty without."""
    clips, hours, videos = info.get("clips"), info.get("hours"), info.get("videos")
    if not isinstance(clips, int):
        return ""
    text = words.count(clips)
    if isinstance(hours, (int, float)):
        untimed = info.get("untimed", 0)
        text += f" · {words.hours(float(hours), untimed if isinstance(untimed, int) else 0)}"
    return text + (f" of {words.count(videos, 'videos')}" if isinstance(videos, int) else "")


def found_line(
    n_files: int, truncated: bool, n_skipped: int, problems: Mapping[str, int], looked_at: int | None = None
) -> str:
    """`1,204 media files · 37 files of other kinds passed over · 2 not there`; `looked_at`: of a folder with more."""
    more = "more than " if truncated else ""
    parts = [f"{more}{words.count(n_files, 'media files')}"]
    if n_skipped:
        parts.append(f"{words.count(n_skipped, 'files')} of other kinds passed over")
    parts += [f"{n:,} {CODES.get(code, code)}" for code, n in problems.items()]
    if looked_at is not None:
        parts.append(f"only the first {words.count(looked_at, 'files')} of the folder were looked at; a run takes all")
    return " · ".join(parts)


def source_command(
    place: str, spec: SourceSpec, verb: str = "run", settings: Mapping[str, object] | None = None
) -> str:
    """The command that adds this source to a workspace and runs, to copy."""
    out = ["python", "-m", "curation", verb, place]
    if spec.kind == "metadata":
        out += ["--metadata", spec.path, spec.media]
    else:
        out += [{"folder": "--media", "list": "--list", "tars": "--tars"}[spec.kind], spec.path]
    if spec.kind == "list":
        out += ["--list-media", spec.media] if spec.media else []
        out += ["--list-title", spec.title] if spec.title else []
        out += ["--list-columns", ",".join(spec.columns)] if spec.columns else []
    for key, value in sorted((settings or {}).items()):
        out += ["--set", f"{key}={value}"]
    return shlex.join(out)


def draw_sample(paths: Sequence[str], n: int, seed: int) -> list[str]:
    """`n` of the paths, drawn without replacement; the same seed gives the same ones, in the same order."""
    if len(paths) == 0:
        return []
    chosen = np.random.default_rng(seed).permutation(len(paths))[:n]
    return [paths[int(i)] for i in chosen]
