"""filter: videos.parquet -> filtered.parquet, which videos go on and why the others do not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curation.columns import is_answer
from curation.config import Config, FilterConfig
from curation.errors import InputError, SettingError
from curation.records import FILTERED, VIDEOS
from curation.sources import rules
from curation.sources.language import detector_version
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import Workspace

BATCH_ROWS = 8192
NO_METADATA = rules.Verdict("", "", "")


class FilterStage(Stage):
    """Drop what is too short, too long, too small, without the wanted streams, a duplicate, or outside a condition.

    Where a source has metadata (the reference's tsv), what they say comes first, so that its counts are of all lines.
    """

    name = "filter"
    version = 1
    unit = "videos"
    makes = "the choice of videos"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        videos = workspace.require("videos", "scan")
        settings, inputs = config.affecting("filter"), [videos.fingerprint]
        if not _metadata_roots(workspace):  # nothing to apply them to
            settings = {name: value for name, value in settings.items() if name not in rules.SETTINGS}
        elif config.filter.languages:
            inputs.append(detector_version())
        return [Target("filtered", self.fingerprint(settings, inputs))]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return FilterWork(context, targets[0])


class FilterWork(Work):
    """One part: the whole table."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._rows: list[dict[str, str]] = []
        self.parts = [Part(0, context.workspace.n_rows("videos"))]

    def is_done(self, part: Part) -> bool:
        return False

    def run(self, part: Part) -> None:
        workspace, settings = self._context.workspace, self._context.config.filter
        meets = _meets_condition(workspace, settings.where)
        verdicts = _verdicts(workspace, settings)
        for batch in workspace.table("videos").to_batches(BATCH_ROWS):
            for video in batch.to_pylist():
                verdict = verdicts.get(video["video_id"], NO_METADATA)
                code, message = verdict.code, verdict.message
                if not code:
                    code, message = reason_to_drop(video, settings)
                if not code and meets is not None and video["video_id"] not in meets:
                    code, message = "where", f"does not meet: {settings.where}"
                row = {"video_id": video["video_id"], "status": "dropped" if code else "ok"}
                self._rows.append(row | {"code": code, "message": message, "language": verdict.language})
            self._context.progress.advance(len(batch))

    def finish(self) -> Report:
        report = Report()
        for row in self._rows:
            if row["code"]:
                report.failures[row["code"]] += 1
        report.facts = {"videos": len(self._rows), "kept": sum(row["status"] == "ok" for row in self._rows)}
        table = pa.Table.from_pylist(self._rows, FILTERED)
        info = {**report.facts, "failures": dict(report.failures)}
        self._context.workspace.commit_table("filtered", table, self._target.fingerprint, info)
        return report


def reason_to_drop(video: dict[str, Any], settings: FilterConfig) -> tuple[str, str]:
    """Code and sentence why a row of videos.parquet is dropped, or two empty texts. The first reason counts."""
    if video["status"] != "ok":
        return video["code"], video["message"]
    duration_s, size, height = video["duration_s"] or 0.0, video["size_bytes"], video["height"] or 0
    needs_video = settings.streams in ("both", "video")
    needs_audio = settings.streams in ("both", "audio")
    checks = [
        (needs_video and not video["has_video"], "no_video", "it has no picture that can be decoded"),
        (needs_audio and not video["has_audio"], "no_audio", "it has no sound that can be decoded"),
        (
            duration_s < settings.min_duration_s,
            "too_short",
            f"{duration_s:.2f} s, at least {settings.min_duration_s:g} s",
        ),
        (
            0 < settings.max_duration_s < duration_s,
            "too_long",
            f"{duration_s:.2f} s, at most {settings.max_duration_s:g} s",
        ),
        (size < settings.min_size_bytes, "too_small", f"{size} bytes, at least {settings.min_size_bytes}"),
        (0 < settings.max_size_bytes < size, "too_large", f"{size} bytes, at most {settings.max_size_bytes}"),
        (
            needs_video and height < settings.min_height_px,
            "low_resolution",
            f"{height} lines, at least {settings.min_height_px}",
        ),
        (
            settings.duplicates == "drop" and bool(video["duplicate_of"]),
            "duplicate",
            "another file has the same content",
        ),
    ]
    for failed, code, message in checks:
        if failed:
            return code, message
    return "", ""


def _metadata_roots(workspace: Workspace) -> list[int]:
    """Numbers of the sources whose media have metadata to be filtered by."""
    return [root for root, spec in enumerate(workspace.sources) if spec.kind == "metadata"]


def _verdicts(workspace: Workspace, settings: FilterConfig) -> dict[str, rules.Verdict]:
    """What the metadata rules say, by video_id; empty without metadata."""
    roots = _metadata_roots(workspace)
    listed = workspace.artefact("listed")
    if not roots or listed is None:
        return {}
    names = {name.lower() for name in listed.info.get("columns", [])}
    wanted = ", ".join(
        f"TRY_CAST({f'l.{name}' if name in names else 'NULL'} AS {kind}) AS {name}"
        for name, kind in (("description", "VARCHAR"), ("category", "VARCHAR"), ("metadata_duration_s", "DOUBLE"))
    )
    found = workspace.query(
        f"SELECT v.video_id, v.title, {wanted} FROM videos v JOIN listed l USING (video_id) "
        f"WHERE v.root IN ({', '.join(map(str, roots))})"
    )
    judge = rules.MetadataRules(settings).judge
    verdicts = {}
    for batch in found.to_batches(BATCH_ROWS):
        for row in batch.to_pylist():
            video, *said = row.values()
            verdicts[video] = judge(*said)
    return verdicts


def _meets_condition(workspace: Workspace, where: str) -> set[str] | None:
    if not where.strip():
        return None
    listed = workspace.artefact("listed")
    names = [name for name in listed.info.get("columns", []) if not is_answer(name)] if listed is not None else []
    source = "videos"
    if names:
        quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
        source = f"(SELECT * FROM videos LEFT JOIN (SELECT video_id, {quoted} FROM listed) USING (video_id))"
    try:
        found = workspace.query(f"SELECT video_id FROM {source} WHERE ({where})")
    except InputError as error:
        columns = ", ".join([*VIDEOS.names, *names])
        raise SettingError(f"filter.where cannot be read: {error}", hint=f"Columns: {columns}.") from error
    return set(found["video_id"].to_pylist())
