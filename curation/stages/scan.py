"""scan: the workspace's sources -> videos.parquet, one row for every medium that they name, readable or not; and
listed.parquet, the columns that came with the media, where there are some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import replacing
from curation.config import Config
from curation.errors import MissingArtefactError
from curation.media.sandbox import Sandbox
from curation.records import VIDEOS, empty_row, real_path, shown_path, video_id
from curation.sources.columns import as_table
from curation.sources.listing import columns_of, listing_digest, read_listing, write_listing
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import Workspace

FILES_PER_PART = 256


class ScanStage(Stage):
    """Probe every media file: container, streams, duration, exact rates, content id."""

    name = "scan"
    version = 1
    unit = "files"
    makes = "the table of videos"
    decodes = True

    def look(self, workspace: Workspace) -> None:
        """Look at the sources and keep the listing; what changed since the last time makes `videos` stale."""
        if not workspace.sources:
            raise MissingArtefactError(
                f"{workspace.name} has no media folder.",
                hint=f"Give one: python -m curation init {workspace.path} --media FOLDER",
            )
        write_listing(workspace)

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        digest = listing_digest(workspace)
        if digest is None:
            if not workspace.sources:
                raise MissingArtefactError(f"{workspace.name} has no media folder.")
            return [Target("videos", "")]
        return [Target("videos", self.fingerprint(config.affecting("scan"), [digest]))]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return ScanWork(context, targets[0])


class ScanWork(Work):
    """Probe 256 files a part; files that did not change since the last scan keep their row."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._folder = context.workspace.partial_folder(target.key, target.fingerprint)
        listing = read_listing(context.workspace)
        assert listing is not None
        self._roots = context.workspace.roots
        self._files = _sample(listing, context.config)
        self._known = _KnownRows(context)
        starts = range(0, len(self._files), FILES_PER_PART)
        self.parts = [
            Part(i, min(FILES_PER_PART, len(self._files) - start), (start, start + FILES_PER_PART))
            for i, start in enumerate(starts)
        ]
        self._sandbox: Sandbox | None = None

    def is_done(self, part: Part) -> bool:
        return self._file(part).is_file()

    def run(self, part: Part) -> None:
        files = self._files.slice(part.payload[0], part.size).to_pylist()
        rows: list[dict[str, Any]] = []
        payloads, waiting = [], []
        for file, known in zip(files, self._known.of(files)):
            row = self._row_of(file)
            if file["code"]:
                rows.append(row | {"status": "failed", "code": file["code"], "message": file["problem"]})
            elif known is not None:
                rows.append(known | {name: row[name] for name in ("path", "title")})
            else:
                waiting.append(row)
                payloads.append(
                    {
                        "path": real_path(self._roots[file["root"]], file["path_bytes"]),
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
        report.notices += self._keep_columns(set(table["video_id"].to_pylist()))
        self._context.workspace.commit_table(
            "videos",
            table,
            self._target.fingerprint,
            {**report.facts, "failures": dict(report.failures), "probe": settings},
        )
        return report

    def _keep_columns(self, videos: set[str]) -> list[str]:
        """Put listed.parquet in place, or away where no source has columns any more; returns what is to be said."""
        workspace = self._context.workspace
        ids, columns = [], []
        for row in columns_of(workspace):
            video = video_id(row["root"], row["path_bytes"])
            if video in videos:
                ids.append(video)
                columns.append(row["columns"])
        if not ids:
            if workspace.artefact("listed") is not None:
                workspace.remove("listed")
            return []
        table, n_more = as_table(ids, columns)
        workspace.commit_table("listed", table, self._target.fingerprint, {"columns": table.column_names[1:]})
        return [f"{n_more} more columns of the media were not kept: at most 200 are"] if n_more else []

    def _row_of(self, file: dict[str, Any]) -> dict[str, Any]:
        shown = file["shown"] or shown_path(file["path_bytes"])
        return empty_row(VIDEOS) | {
            "video_id": video_id(file["root"], file["path_bytes"]),
            "path": shown,
            "path_bytes": file["path_bytes"],
            "root": file["root"],
            "title": shown.rpartition("/")[0] if file["title"] is None else file["title"],
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


class _KnownRows:
    """Rows of the last scan by place, size and time, where it was made by the same kind of probe."""

    def __init__(self, context: StageContext) -> None:
        found = context.workspace.artefact("videos")
        probe = {"version": ScanStage.version, "full_hash": context.config.scan.full_hash}
        self._table: pa.Table | None = None
        self._at: dict[tuple[Any, ...], int] = {}
        if found is not None and found.info.get("probe") == probe:
            self._table = context.workspace.table("videos")
            places = zip(*(self._table[name].to_pylist() for name in (*_PLACE, "status")))
            self._at = {place[:-1]: i for i, place in enumerate(places) if place[-1] == "ok"}

    def of(self, files: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
        """The known row of each file, or None."""
        if self._table is None:
            return [None] * len(files)
        at = [self._at.get(tuple(file[name] for name in _PLACE), -1) for file in files]
        rows = iter(self._table.take(pa.array([i for i in at if i >= 0], pa.int64())).to_pylist())
        return [next(rows) if i >= 0 else None for i in at]


_PLACE = ("root", "path_bytes", "size_bytes", "mtime_ns")


def _sample(listing: pa.Table, config: Config) -> pa.Table:
    if config.scan.sample and config.scan.sample < len(listing):
        chosen = np.random.default_rng(config.scan.seed).choice(len(listing), config.scan.sample, replace=False)
        listing = listing.take(np.sort(chosen))
    return listing
