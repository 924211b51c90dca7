"""segment: kept videos -> clips.parquet (and segmented.parquet: shots found, videos that could not be read through).

Where it can, the pass that finds the shots also measures the clips, for the features stage to take (`curation.early`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import replacing
from curation.config import Config, SegmentConfig
from curation.early import EarlyFeatures
from curation.errors import InputError
from curation.extractors.chosen import chosen, early_ones, numbers_of
from curation.media.layout import SHORT_FACTOR, Layout, lay_out
from curation.media.sandbox import Sandbox
from curation.media.shots import THRESHOLDS, Shots
from curation.media.signature import SIZE
from curation.media.survey import MAX_SURVEY_S
from curation.media.unchanged import only_unchanged
from curation.records import CLIPS, SEGMENTED, clip_id, real_path
from curation.sources.grouping import check_source, sources_of_videos
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import Workspace, fingerprint_of

VIDEOS_PER_PART = 64
MUCH_S = 60.0  # of video: worth all processes at once, however the first one fares
SAVE_EVERY_S = 20.0  # what a kill costs at most, beside the files under way


class SegmentStage(Stage):
    """Cut videos into clips, by shots or fixed windows (ACAV100M, section 3: the central piece of each long shot)."""

    name = "segment"
    version = 2
    unit = "videos"
    makes = "the table of clips"
    decodes = True

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        inputs = [
            workspace.require("videos", "scan").fingerprint,
            workspace.require("filtered", "filter").fingerprint,
        ]
        settings = config.affecting("segment")
        if settings["source"] == "video":  # left out: clips of earlier versions stay as they are
            del settings["source"]
        check_source(workspace, config.segment.source)
        return [Target("clips", self.fingerprint(settings, inputs))]

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
        self._known = _KnownShots(context)
        self._early = _Early(context, target.fingerprint)
        if self._known.is_empty:
            self._early.forget_others()
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
            | self._known.get(video["content_id"])
            | {"video_id": video["video_id"]}
            for video in videos
        }
        wanted = [v for v in videos if self._needs_shots(v) and found[v["video_id"]]["cuts_s"] is None]
        searched = self._begun(part)
        self._context.progress.advance(len(videos) - len(wanted) + len(searched), finished_before=True)
        last_save = time.monotonic()

        def take(video: dict[str, Any], outcome: Any) -> None:
            nonlocal last_save
            searched[video["video_id"]] = _read_shots(video, outcome)
            self._early.take(video, outcome)
            self._context.progress.advance()
            if time.monotonic() - last_save > SAVE_EVERY_S:
                self._early.save(f"{part.index:06d}-{len(searched):02d}")
                self._write(self._begun_file(part), list(searched.values()))
                last_save = time.monotonic()

        self._search([video for video in wanted if video["video_id"] not in searched], take)
        found |= searched
        self._early.save(f"{part.index:06d}-{len(searched):02d}")
        self._write(self._file(part), [found[video["video_id"]] for video in videos])
        self._begun_file(part).unlink(missing_ok=True)

    def _search(self, videos: list[dict[str, Any]], take: Callable[[dict[str, Any], Any], None]) -> None:
        """Decode these videos; what fails while clips are measured too is searched again for shots alone."""
        videos = sorted(videos, key=lambda video: -video["duration_s"])  # the longest first: no worker waits for it
        again = []
        if not videos:
            return
        much = sum(video["duration_s"] for video in videos) >= MUCH_S
        outcomes = self._workers().imap(
            "shots", [self._payload(video) for video in videos], patience_s=0.0 if much else None
        )
        for outcome in only_unchanged(outcomes, lambda found: _stamp(videos[found.index])):
            self._context.progress.check_cancelled()
            if outcome.error is not None and "_task" in outcome.payload:
                again.append(videos[outcome.index])
            else:
                take(videos[outcome.index], outcome)
        outcomes = self._workers().imap("shots", [self._shots_payload(video) for video in again])
        for outcome in only_unchanged(outcomes, lambda found: _stamp(again[found.index])):
            self._context.progress.check_cancelled()
            take(again[outcome.index], outcome)

    def finish(self) -> Report:
        tables: list[pa.Table] = []
        clips: list[dict[str, Any]] = []
        failures: Counter[str] = Counter()
        plan = layout(self._settings)
        source_of = sources_of_videos(self._context.workspace, self._settings.source)
        for part in self.parts:  # one at a time: rows of every video at once would not fit in memory
            rows = pq.read_table(self._file(part)).to_pylist()
            for video, row in zip(self._videos[part.payload[0] : part.payload[1]], rows):
                if row["status"] != "ok":
                    failures[row["code"]] += 1
                    continue
                spans = lay_out(row["duration_s"], _shots(row), plan)
                row["n_clips"] = len(spans)
                source = {"source": source_of.get(video["video_id"], video["video_id"])}
                clips += [_clip(video, start_s, end_s) | source for start_s, end_s in spans]
            tables.append(pa.Table.from_pylist(rows, SEGMENTED))
        segmented = pa.concat_tables([SEGMENTED.empty_table(), *tables])
        report = Report(failures=failures)
        workspace = self._context.workspace
        workspace.commit_table(
            "segmented",
            segmented,
            self._target.fingerprint,
            {"videos": segmented.num_rows, "search": _search_settings(self._context.config)},
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
            "videos": segmented.num_rows,
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
        shots = self._shots_payload(video)
        if not self._early.extractors or video["duration_s"] > MAX_SURVEY_S:
            return shots
        return {
            "path": shots["path"],
            "duration_s": video["duration_s"],
            "detector": self._settings.detector,
            "layout": asdict(layout(self._settings)),
            "extractors": list(self._early.extractors),
            "_task": "survey",
            "_time_limit_s": shots["_time_limit_s"] + self._context.config.features.time_limit_s,
        }

    def _shots_payload(self, video: dict[str, Any]) -> dict[str, Any]:
        return {
            "path": real_path(self._context.workspace.roots[video["root"]], video["path_bytes"]),
            "detector": self._settings.detector,
            "threshold": self._settings.threshold,
            "anneal": _anneal(self._settings),
            "_time_limit_s": self._settings.time_limit_s + video["duration_s"],
        }

    def _workers(self) -> Sandbox:
        if self._sandbox is None:
            memory_mb = self._settings.memory_limit_mb
            if self._early.extractors:
                memory_mb = max(memory_mb, self._context.config.features.memory_limit_mb)
            self._sandbox = self._context.sandbox(time_limit_s=self._settings.time_limit_s, memory_limit_mb=memory_mb)
        return self._sandbox

    def _file(self, part: Part) -> Path:
        return self._folder / f"part-{part.index:06d}.parquet"

    def _begun_file(self, part: Part) -> Path:
        return self._folder / f"begun-{part.index:06d}.parquet"

    def _begun(self, part: Part) -> dict[str, dict[str, Any]]:
        """Rows, by video, that an earlier run had found of this part when it was killed."""
        file = self._begun_file(part)
        return {row["video_id"]: row for row in pq.read_table(file).to_pylist()} if file.is_file() else {}

    def _write(self, file: Path, rows: list[dict[str, Any]]) -> None:
        with replacing(file) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, SEGMENTED), temporary)


class _Early:
    """Features of the clips that the search for shots gave, until a part is written."""

    def __init__(self, context: StageContext, fingerprint: str) -> None:
        settings = context.config.features
        found = chosen(settings.extractors, settings.measures, fetch=False, weights_folder=settings.weights_folder)
        self.extractors = early_ones(found, context.config.segment.clip_s)
        self._made_with = {e.name: fingerprint_of(numbers_of(e)) for e in self.extractors.values()}
        self._store = EarlyFeatures.of(context.workspace.path)
        self._store.sweep()
        self._run = f"{fingerprint[:16]}-"
        self._clip_ids: list[str] = []
        self._features: list[dict[str, np.ndarray]] = []

    def forget_others(self) -> None:
        """Everything is decoded anew: what other runs left will not be asked for."""
        self._store.drop(but=self._run)

    def take(self, video: dict[str, Any], outcome: Any) -> None:
        """Note what came with the shots; a clip that could not be decoded is left to the features stage."""
        features = (outcome.value or {}).get("features")
        if features is None:
            return
        failed = {index for index, _, _ in features["errors"]}
        rows = [row for row in range(len(outcome.value["spans"])) if row not in failed]
        self._clip_ids += [_clip(video, *outcome.value["spans"][row])["clip_id"] for row in rows]
        self._features.append({key: array[rows] for key, array in features.items() if key != "errors"})

    def save(self, part: str) -> None:
        """Keep what was noted since the last time."""
        if self._clip_ids:
            joined = {key: np.concatenate([each[key] for each in self._features]) for key in self._features[0]}
            self._store.keep(self._run + part, self._made_with, self._clip_ids, joined)
        self._clip_ids, self._features = [], []


def layout(settings: SegmentConfig) -> Layout:
    """The settings that clips depend on beside the cuts."""
    return Layout(
        settings.clip_s,
        settings.mode,
        settings.hop_s,
        settings.max_clips,
        settings.choice,
        settings.threshold or THRESHOLDS[settings.detector],
        _anneal(settings),
    )


def _stamp(video: dict[str, Any]) -> tuple[int, int]:
    """Size (bytes) and time (ns) of its file when it was scanned."""
    return video["size_bytes"], video["mtime_ns"]


def _anneal(settings: SegmentConfig) -> float:
    return settings.anneal if settings.detector == "scdet" else 1.0


def _kept_videos(workspace: Workspace) -> list[dict[str, Any]]:
    status = dict(
        zip(*(workspace.table("filtered", ["video_id", "status"])[c].to_pylist() for c in ("video_id", "status")))
    )
    return [video for video in workspace.table("videos").to_pylist() if status.get(video["video_id"]) == "ok"]


def _segmented(
    video: dict[str, Any], shots: dict[str, Any] | None, duration_s: float, **failure: str
) -> dict[str, Any]:
    row = {"video_id": video["video_id"], "content_id": video["content_id"], "status": "ok", "code": "", "message": ""}
    found = {
        "cuts_s": None if shots is None else shots["cuts_s"].tolist(),
        "scores": None if shots is None else shots["scores"].tolist(),
        "signatures": None if shots is None else shots["signatures"].tobytes(),
        "step_s": None if shots is None else float(shots["step_s"]),
    }
    return row | {"n_clips": 0, "duration_s": duration_s} | found | failure


def _shots(row: dict[str, Any]) -> Shots | None:
    """The shots of a row of `segmented`; None where none were looked for."""
    if row["cuts_s"] is None:
        return None
    signatures = np.frombuffer(row["signatures"], np.uint8).reshape(-1, SIZE)
    cuts_s, scores = np.asarray(row["cuts_s"], np.float64), np.asarray(row["scores"], np.float64)
    return Shots(cuts_s, scores, signatures, row["step_s"], row["duration_s"], -1)


def _search_settings(config: Config) -> dict[str, Any]:
    """What the shots that are found depend on; the layout of clips is made anew each time."""
    settings = config.segment
    return {
        "version": SegmentStage.version,
        "detector": settings.detector,
        "threshold": settings.threshold or THRESHOLDS[settings.detector],
        "anneal": _anneal(settings),
    }


class _KnownShots:
    """Shots that the last segmentation found by the same settings, by content."""

    def __init__(self, context: StageContext) -> None:
        found = context.workspace.artefact("segmented")
        self._places: dict[str, int] = {}
        if found is None or found.info.get("search") != _search_settings(context.config):
            return
        self._table = context.workspace.table("segmented")
        columns = (self._table[name].to_pylist() for name in ("content_id", "status"))
        searched = self._table["cuts_s"].is_valid().to_pylist()
        for place, (content, status, is_searched) in enumerate(zip(*columns, searched)):
            if status == "ok" and is_searched:
                self._places[content] = place

    @property
    def is_empty(self) -> bool:
        return not self._places

    def get(self, content_id: str) -> dict[str, Any]:
        """Its row, or an empty one."""
        place = self._places.get(content_id)
        return {} if place is None else self._table.slice(place, 1).to_pylist()[0]


def _read_shots(video: dict[str, Any], outcome: Any) -> dict[str, Any]:
    if outcome.error is not None:
        return _segmented(video, None, 0.0, status="failed", code=outcome.error.code, message=outcome.error.message)
    # What was decoded counts where a header promised more than there is.
    decoded_s = float(outcome.value["duration_s"])
    duration_s = min(video["duration_s"], decoded_s) if decoded_s > 0 else video["duration_s"]
    return _segmented(video, outcome.value, duration_s)


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
