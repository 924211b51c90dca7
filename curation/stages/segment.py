"""segment: kept videos -> clips.parquet (and segmented.parquet: shots found, videos that could not be read through)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import replacing
from curation.config import Config, SegmentConfig
from curation.errors import InputError
from curation.media.sandbox import Sandbox
from curation.records import CLIPS, SEGMENTED, clip_id, real_path
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import Workspace

VIDEOS_PER_PART = 64
SHORT_FACTOR = 1.1  # a video up to this many clip lengths long is one clip, without a search for shots


class SegmentStage(Stage):
    """Cut videos into clips, by shots or fixed windows (ACAV100M, section 3: the central piece of each long shot)."""

    name = "segment"
    version = 1
    unit = "videos"
    makes = "the table of clips"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        inputs = [
            workspace.require("videos", "scan").fingerprint,
            workspace.require("filtered", "filter").fingerprint,
        ]
        return [Target("clips", self.fingerprint(config.affecting("segment"), inputs))]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return SegmentWork(context, targets[0])


class SegmentWork(Work):
    """Search 64 videos for shots a part; the clips are laid out at the end, all at once."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._settings = context.config.segment
        self._folder = context.workspace.partial_folder(target.key, target.fingerprint)
        self._videos = _kept_videos(context.workspace)
        self._known = _known_shots(context)
        starts = range(0, len(self._videos), VIDEOS_PER_PART)
        self.parts = [
            Part(i, min(VIDEOS_PER_PART, len(self._videos) - start), (start, start + VIDEOS_PER_PART))
            for i, start in enumerate(starts)
        ]
        self._sandbox: Sandbox | None = None

    def is_done(self, part: Part) -> bool:
        return self._file(part).is_file()

    def run(self, part: Part) -> None:
        videos = self._videos[part.payload[0] : part.payload[1]]
        found: dict[str, dict[str, Any]] = {
            video["video_id"]: _segmented(video, None, video["duration_s"])
            | self._known.get(video["content_id"], {})
            | {"video_id": video["video_id"]}
            for video in videos
        }
        searched = [v for v in videos if self._needs_shots(v) and found[v["video_id"]]["cuts_s"] is None]
        self._context.progress.advance(len(videos) - len(searched))
        if searched:
            for outcome in self._workers().imap("shots", [self._payload(video) for video in searched]):
                self._context.progress.check_cancelled()
                video = searched[outcome.index]
                found[video["video_id"]] = _read_shots(video, outcome)
                self._context.progress.advance()
        rows = [found[video["video_id"]] for video in videos]
        with replacing(self._file(part)) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, SEGMENTED), temporary)

    def finish(self) -> Report:
        parts = [pq.read_table(self._file(part)) for part in self.parts]
        segmented = pa.concat_tables(parts).to_pylist() if parts else []
        clips: list[dict[str, Any]] = []
        for video, shots in zip(self._videos, segmented):
            if shots["status"] != "ok":
                continue
            spans = lay_out(shots["duration_s"], shots["cuts_s"], self._settings)
            shots["n_clips"] = len(spans)
            clips += [_clip(video, start_s, end_s) for start_s, end_s in spans]
        report = Report(failures=Counter(row["code"] for row in segmented if row["code"]))
        workspace = self._context.workspace
        workspace.commit_table(
            "segmented",
            pa.Table.from_pylist(segmented, SEGMENTED),
            self._target.fingerprint,
            {"videos": len(segmented), "search": _search_settings(self._context.config)},
        )
        if not clips:
            raise InputError(
                _no_clips(workspace),
                hint=f"See each file's reason: python -m curation status {workspace.path}",
                code="no_clips",
            )
        for row, clip in enumerate(clips):
            clip["row"] = row
        report.facts = {
            "videos": len(segmented),
            "clips": len(clips),
            "hours": round(sum(clip["end_s"] - clip["start_s"] for clip in clips) / 3600, 4),
        }
        info = {**report.facts, "failures": dict(report.failures)}
        workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), self._target.fingerprint, info)
        return report

    def _needs_shots(self, video: dict[str, Any]) -> bool:
        long = video["duration_s"] > SHORT_FACTOR * self._settings.clip_s
        return self._settings.mode == "shots" and long and video["has_video"]

    def _payload(self, video: dict[str, Any]) -> dict[str, Any]:
        return {
            "path": real_path(self._context.workspace.roots[video["root"]], video["path_bytes"]),
            "threshold": self._settings.threshold,
            "_time_limit_s": self._settings.time_limit_s + video["duration_s"],
        }

    def _workers(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._context.sandbox(
                time_limit_s=self._settings.time_limit_s, memory_limit_mb=self._settings.memory_limit_mb
            )
        return self._sandbox

    def _file(self, part: Part) -> Path:
        return self._folder / f"part-{part.index:06d}.parquet"


def lay_out(duration_s: float, cuts_s: list[float] | None, settings: SegmentConfig) -> list[tuple[float, float]]:
    """Clip spans (start, end) in seconds, in order, for one video.

    A video up to 1.1 clip lengths is one clip: all of it, or its central `clip_s`. `windows`: one after another, a rest
    shorter than a clip is left out. `shots`: the central piece of each shot of at least `clip_s`; where there is none,
    the central piece of the video. More than `max_clips` are thinned evenly.
    """
    clip_s = settings.clip_s
    if duration_s <= SHORT_FACTOR * clip_s:
        return [_central(0.0, duration_s, clip_s)]
    if settings.mode == "windows":
        hop_s = settings.hop_s or clip_s
        count = int(np.floor((duration_s - clip_s) / hop_s + 1e-6)) + 1
        spans = [_rounded(i * hop_s, i * hop_s + clip_s) for i in range(count)]
    else:
        edges = [0.0, *[cut for cut in cuts_s or [] if 0 < cut < duration_s], duration_s]
        spans = [_central(a, b, clip_s) for a, b in zip(edges, edges[1:]) if b - a >= clip_s]
        spans = spans or [_central(0.0, duration_s, clip_s)]
    if settings.max_clips and len(spans) > settings.max_clips:
        # Centres of equal slices, so that three of many lie early, in the middle and late.
        at = (np.arange(settings.max_clips) + 0.5) * len(spans) / settings.max_clips
        spans = [spans[int(i)] for i in at]
    return spans


def _central(start_s: float, end_s: float, clip_s: float) -> tuple[float, float]:
    if end_s - start_s <= clip_s:
        return _rounded(start_s, end_s)
    middle = (start_s + end_s) / 2
    return _rounded(middle - clip_s / 2, middle + clip_s / 2)


def _rounded(start_s: float, end_s: float) -> tuple[float, float]:
    return round(start_s, 3), round(end_s, 3)


def _kept_videos(workspace: Workspace) -> list[dict[str, Any]]:
    status = dict(
        zip(*(workspace.table("filtered", ["video_id", "status"])[c].to_pylist() for c in ("video_id", "status")))
    )
    return [video for video in workspace.table("videos").to_pylist() if status.get(video["video_id"]) == "ok"]


def _segmented(video: dict[str, Any], cuts_s: list[float] | None, duration_s: float, **failure: str) -> dict[str, Any]:
    row = {"video_id": video["video_id"], "content_id": video["content_id"], "status": "ok", "code": "", "message": ""}
    return row | {"n_clips": 0} | {"cuts_s": cuts_s, "duration_s": duration_s} | failure


def _search_settings(config: Config) -> dict[str, Any]:
    """What the shots that are found depend on; the layout of clips is made anew each time."""
    return {"version": SegmentStage.version, "threshold": config.segment.threshold}


def _known_shots(context: StageContext) -> dict[str, dict[str, Any]]:
    """Rows of the last segmentation whose shots were found by the same settings, by content."""
    found = context.workspace.artefact("segmented")
    if found is None or found.info.get("search") != _search_settings(context.config):
        return {}
    rows = context.workspace.table("segmented").to_pylist()
    return {row["content_id"]: row for row in rows if row["status"] == "ok" and row["cuts_s"] is not None}


def _read_shots(video: dict[str, Any], outcome: Any) -> dict[str, Any]:
    if outcome.error is not None:
        return _segmented(video, None, 0.0, status="failed", code=outcome.error.code, message=outcome.error.message)
    # What was decoded counts where a header promised more than there is.
    decoded_s = float(outcome.value["duration_s"])
    duration_s = min(video["duration_s"], decoded_s) if decoded_s > 0 else video["duration_s"]
    return _segmented(video, [float(cut) for cut in outcome.value["cuts_s"]], duration_s)


def _clip(video: dict[str, Any], start_s: float, end_s: float) -> dict[str, Any]:
    # A duplicate that the filter let through has the same content: its place makes the id differ.
    content = video["content_id"] + (video["video_id"] if video["duplicate_of"] else "")
    return {
        "row": -1,
        "clip_id": clip_id(content, start_s, end_s),
        "video_id": video["video_id"],
        "path": video["path"],
        "start_s": start_s,
        "end_s": end_s,
        "source": video["video_id"],
        "title": video["title"],
        "status": "ok",
        "code": "",
        "message": "",
    }


def _no_clips(workspace: Workspace) -> str:
    table = workspace.query(
        "SELECT code, count(*) AS n FROM (SELECT code FROM filtered WHERE status <> 'ok' "
        "UNION ALL SELECT code FROM segmented WHERE status <> 'ok') GROUP BY code ORDER BY n DESC, code LIMIT 8"
    )
    counts = ", ".join(f"{row['n']} {row['code']}" for row in table.to_pylist())
    return f"None of {workspace.n_rows('videos')} files gave a clip ({counts})."
