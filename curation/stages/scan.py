"""scan: a folder of files -> videos.parquet, one row for every file, readable or not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import replacing
from curation.config import Config
from curation.errors import InputError, MissingArtefactError
from curation.media.roots import AllowedRoots
from curation.media.sandbox import Sandbox
from curation.media.walk import find_media
from curation.records import VIDEOS, empty_row, real_path, shown_path, video_id
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import Workspace

FILES_PER_PART = 256
CONFINED = "CONCORD_CONFINED"  # set for jobs that a page started: links must not lead out of the allowed folders
LISTING = pa.schema(
    [
        ("root", pa.int32()),
        ("path_bytes", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("problem", pa.string()),  # empty, or why the file or folder could not be looked at
    ]
)


class ScanStage(Stage):
    """Probe every media file: container, streams, duration, exact rates, content id."""

    name = "scan"
    version = 1
    unit = "files"
    makes = "the table of videos"

    def look(self, workspace: Workspace) -> None:
        """Walk the media folders and keep the listing; what changed since the last walk makes `videos` stale."""
        if not workspace.roots:
            raise MissingArtefactError(
                f"{workspace.name} has no media folder.",
                hint=f"Give one: python -m curation init {workspace.path} --media FOLDER",
            )
        rows: dict[str, list[Any]] = {name: [] for name in LISTING.names}
        skipped = 0
        for index, root in enumerate(workspace.roots):
            found = find_media(Path(root), allowed=AllowedRoots() if os.environ.get(CONFINED) else None)
            skipped += found.n_skipped
            for entry in found.entries:
                rows["root"].append(index)
                rows["path_bytes"].append(entry.path_bytes)
                rows["size_bytes"].append(entry.size_bytes)
                rows["mtime_ns"].append(entry.mtime_ns)
                rows["problem"].append(entry.problem)
        if not rows["root"]:
            others = f" ({skipped} files of other kinds were passed over)" if skipped else ""
            raise InputError(
                f"No media files in {', '.join(workspace.roots)}{others}.",
                hint="Choose the folder that holds the videos (mp4, mkv, webm, mov, avi, ...).",
                code="no_media",
            )
        with replacing(_listing_path(workspace)) as temporary:
            pq.write_table(pa.table(rows, LISTING), temporary)

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        listing = _read_listing(workspace)
        if listing is None:
            if not workspace.roots:
                raise MissingArtefactError(f"{workspace.name} has no media folder.")
            return [Target("videos", "")]
        settings = config.affecting("scan")
        return [Target("videos", self.fingerprint(settings, [_digest(listing)]))]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return ScanWork(context, targets[0])


class ScanWork(Work):
    """Probe 256 files a part; files that did not change since the last scan keep their row."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._folder = context.workspace.partial_folder(target.key, target.fingerprint)
        listing = _read_listing(context.workspace)
        assert listing is not None
        self._files = _sample(listing, context.config)
        self._known = _known_rows(context)
        starts = range(0, len(self._files), FILES_PER_PART)
        self.parts = [
            Part(i, min(FILES_PER_PART, len(self._files) - start), (start, start + FILES_PER_PART))
            for i, start in enumerate(starts)
        ]
        self._sandbox: Sandbox | None = None

    def is_done(self, part: Part) -> bool:
        return self._file(part).is_file()

    def run(self, part: Part) -> None:
        files = self._files[part.payload[0] : part.payload[1]]
        rows: list[dict[str, Any]] = []
        payloads, waiting = [], []
        for file in files:
            row = self._row_of(file)
            known = self._known.get((file["root"], file["path_bytes"], file["size_bytes"], file["mtime_ns"]))
            if known is not None:
                rows.append(known)
            elif file["problem"]:
                rows.append(row | {"status": "failed", "code": "unreadable", "message": file["problem"]})
            else:
                waiting.append(row)
                payloads.append(
                    {
                        "path": real_path(self._context.workspace.roots[file["root"]], file["path_bytes"]),
                        "full_hash": self._context.config.scan.full_hash,
                    }
                )
        self._context.progress.advance(len(rows))
        if payloads:
            for outcome in self._workers().imap("probe", payloads):
                self._context.progress.check_cancelled()
                rows.append(_probed(waiting[outcome.index], outcome))
                self._context.progress.advance()
        rows.sort(key=lambda row: (row["root"], row["path_bytes"]))
        with replacing(self._file(part)) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, VIDEOS), temporary)

    def finish(self) -> Report:
        table = pa.concat_tables([pq.read_table(self._file(part)) for part in self.parts])
        table = table.sort_by([("root", "ascending"), ("path_bytes", "ascending")])
        table = _mark_duplicates(table)
        report = Report()
        for code in table["code"].to_pylist():
            if code:
                report.failures[code] += 1
        ok = sum(1 for status in table["status"].to_pylist() if status == "ok")
        report.facts = {"files": len(table), "readable": ok}
        settings = {"version": ScanStage.version, "full_hash": self._context.config.scan.full_hash}
        self._context.workspace.commit_table(
            "videos",
            table,
            self._target.fingerprint,
            {**report.facts, "failures": dict(report.failures), "probe": settings},
        )
        return report

    def _row_of(self, file: dict[str, Any]) -> dict[str, Any]:
        shown = shown_path(file["path_bytes"])
        return empty_row(VIDEOS) | {
            "video_id": video_id(file["root"], file["path_bytes"]),
            "path": shown,
            "path_bytes": file["path_bytes"],
            "root": file["root"],
            "title": shown.rpartition("/")[0],
            "size_bytes": file["size_bytes"],
            "mtime_ns": file["mtime_ns"],
        }

    def _workers(self) -> Sandbox:
        if self._sandbox is None:
            settings = self._context.config.scan
            self._sandbox = self._context.sandbox(
                time_limit_s=settings.time_limit_s, memory_limit_mb=settings.memory_limit_mb
            )
        return self._sandbox

    def _file(self, part: Part) -> Path:
        return self._folder / f"part-{part.index:06d}.parquet"


def _probed(row: dict[str, Any], outcome: Any) -> dict[str, Any]:
    if outcome.error is not None:
        return row | {"status": "failed", "code": outcome.error.code, "message": outcome.error.message}
    facts = {key: value for key, value in outcome.value.items() if key in VIDEOS.names}
    return row | facts | {"status": "ok"}


def _mark_duplicates(table: pa.Table) -> pa.Table:
    first: dict[str, str] = {}
    marks = []
    for content, video in zip(table["content_id"].to_pylist(), table["video_id"].to_pylist()):
        marks.append(first.setdefault(content, video) if content else video)
    duplicate_of = ["" if mark == video else mark for mark, video in zip(marks, table["video_id"].to_pylist())]
    at = table.schema.get_field_index("duplicate_of")
    return table.set_column(at, VIDEOS.field("duplicate_of"), pa.array(duplicate_of, pa.string()))


def _known_rows(context: StageContext) -> dict[tuple[int, bytes, int, int], dict[str, Any]]:
    """Rows of the last scan by place, size and time, where it was made by the same kind of probe."""
    found = context.workspace.artefact("videos")
    probe = {"version": ScanStage.version, "full_hash": context.config.scan.full_hash}
    if found is None or found.info.get("probe") != probe:
        return {}
    rows = context.workspace.table("videos").to_pylist()
    return {(r["root"], r["path_bytes"], r["size_bytes"], r["mtime_ns"]): r for r in rows if r["status"] == "ok"}


def _sample(listing: pa.Table, config: Config) -> list[dict[str, Any]]:
    files = listing.to_pylist()
    if config.scan.sample and config.scan.sample < len(files):
        chosen = np.random.default_rng(config.scan.seed).choice(len(files), config.scan.sample, replace=False)
        files = [files[i] for i in np.sort(chosen)]
    return files


def _listing_path(workspace: Workspace) -> Path:
    return workspace.path / "listing.parquet"


def _read_listing(workspace: Workspace) -> pa.Table | None:
    path = _listing_path(workspace)
    return pq.read_table(path, partitioning=None) if path.is_file() else None


def _digest(listing: pa.Table) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for row in zip(*(listing[name].to_pylist() for name in ("root", "path_bytes", "size_bytes", "mtime_ns"))):
        digest.update(repr(row).encode())
    return digest.hexdigest()
