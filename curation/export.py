"""Export: a selection (or every clip) of a workspace in, one file in a chosen format out, written whole or not at all.

Rows are joined, put in picking order and written in batches; what does not fit in memory is spilled beside the output.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.atomic import replacing
from curation.errors import InputError
from curation.exporters import registry
from curation.exporters.base import RowStream, row_schema
from curation.progress import Progress
from curation.records import shown_path
from curation.workspace import Workspace

ALL_CLIPS = "all"
BATCH_ROWS = 65_536
MEMORY_LIMIT = "768MB"  # of the join and the sort; the rest is spilled


def export(
    workspace: Workspace,
    format: str,
    out: str | os.PathLike[str],
    *,
    selection: str | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the clips of `selection` to `out` in picking order.

    `format`: a name of `curation.exporters.registry`. `selection`: its name; None: the newest one, or every clip when
    there is none; "all": every clip, in the order of clips.parquet. Returns facts: format, out, rows, hours (None when
    times are unknown), bytes, selection, seconds, notices.

    Raises `SettingError` (format), `InputError` (no such selection, nothing to write, `out` is there already),
    `WorkspaceError` (disk full, not writable), `Cancelled`. Whatever is raised, `out` is as it was before.
    """
    exporter = registry.get(format)
    place = Path(out).expanduser()
    _check_place(place, overwrite)
    plan = _plan(workspace, selection)
    started = time.monotonic()
    if progress is not None:
        progress.start("export", plan.n_rows, "clips")
    counts = _Counts()
    with replacing(place) as temporary, tempfile.TemporaryDirectory(dir=place.parent, prefix=".export-") as spill:
        with temporary.open("wb") as handle:
            exporter.write(RowStream(plan.schema, _counted(_batches(plan, spill), counts, progress)), handle)
        if counts.rows != plan.n_rows:
            raise InputError(
                f"{plan.n_rows} rows were to be written, {counts.rows} were found: clip ids are not unique, or the "
                "workspace changed meanwhile.",
                hint="Nothing was written. Export again; if it stays, run select again.",
            )
        n_bytes = temporary.stat().st_size
        _check_place(place, overwrite)  # somebody may have written it since
    if progress is not None:
        progress.flush()
    return {
        "format": exporter.name,
        "out": str(place),
        "rows": counts.rows,
        "hours": counts.seconds / 3600 if math.isfinite(counts.seconds) else None,
        "bytes": n_bytes,
        "selection": plan.selection or ALL_CLIPS,
        "seconds": time.monotonic() - started,
        "notices": plan.notices,
    }


def preview(workspace: Workspace, format: str, *, selection: str | None = None, n: int = 10) -> str:
    """The first `n` rows as `export` would write them (Parquet: as CSV text). Raises as `export` does."""
    exporter = registry.get(format)
    plan = _plan(workspace, selection)
    with tempfile.TemporaryDirectory(prefix="export-") as spill:
        return exporter.preview(RowStream(plan.schema, _batches(plan, spill, limit=n)))


def default_selection(workspace: Workspace) -> str | None:
    """Name of the selection that the last run meant, else of the newest, or None when there is none."""
    return workspace.current_selection


@dataclass(frozen=True)
class _Plan:
    """What will be written: `selection` is None for every clip."""

    workspace: Workspace
    selection: str | None
    n_rows: int
    assignments: dict[str, np.ndarray]
    scores: np.ndarray | None
    notices: list[str]

    @property
    def schema(self) -> pa.Schema:
        return row_schema(list(self.assignments))


@dataclass
class _Counts:
    rows: int = 0
    seconds: float = 0.0


def _check_place(place: Path, overwrite: bool) -> None:
    if place.is_dir():
        raise InputError(f"{place} is a folder.", hint=f"Name a file in it, for example {place / 'clips.csv'}.")
    if not overwrite and (place.exists() or place.is_symlink()):
        raise InputError(f"{place} is there already.", hint="Give another name; an export never overwrites a file.")


def _plan(workspace: Workspace, wanted: str | None) -> _Plan:
    workspace.require("clips", "segment")
    name = default_selection(workspace) if wanted is None else None if wanted == ALL_CLIPS else wanted
    if name is None:
        clusterings = {key.partition("/")[2]: "" for key in workspace.keys("clusterings")}
        count = workspace.query("SELECT count(*) AS n FROM clips WHERE status = 'ok'")["n"][0].as_py()
        scores = None
    else:
        known = [key.partition("/")[2] for key in workspace.keys("selections")]
        if name not in known:
            shown = ", ".join([*known, ALL_CLIPS]) if known else f"{ALL_CLIPS} (no selection was made yet)"
            raise InputError(f"There is no selection {name!r} in {workspace.name}.", hint=f"There are: {shown}.")
        key = f"selections/{name}"
        clusterings = workspace.require(key, "select").info.get("clusterings", {})
        count = pq.read_metadata(workspace.artefact_path(key) / "picks.parquet").num_rows
        scores = workspace.array(key, "scores")
    if not count:
        raise InputError(
            f"There is nothing to export: {f'the selection {name!r}' if name else 'the table of clips'} is empty.",
            hint="Run select with a larger budget, or look at what was dropped: python -m curation status --files",
        )
    notices: list[str] = []
    return _Plan(workspace, name, count, _assignments(workspace, clusterings, notices), scores, notices)


def _assignments(workspace: Workspace, clusterings: dict[str, str], notices: list[str]) -> dict[str, np.ndarray]:
    """Cluster ids of every clip for the clusterings that are still there; says which are gone or were made again."""
    n_clips = workspace.n_rows("clips")
    found = {}
    for name, fingerprint in clusterings.items():
        artefact = workspace.artefact(f"clusterings/{name}")
        if artefact is None:
            notices.append(f"The clustering {name} is no longer there: no column for it.")
            continue
        assignments = workspace.array(f"clusterings/{name}", "assignments")
        if len(assignments) != n_clips:
            notices.append(f"The clustering {name} has {len(assignments)} rows, the clips {n_clips}: no column for it.")
            continue
        if fingerprint and artefact.fingerprint != fingerprint:
            notices.append(f"The clustering {name} was made again after the selection: its ids are the present ones.")
        found[name] = assignments
    return found


def _batches(plan: _Plan, spill: str, limit: int | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of the export's schema; sorting and joining by DuckDB, with a bound on what is in memory."""
    roots = [shown_path(os.fsencode(root)).rstrip("/") for root in plan.workspace.roots]
    connection = duckdb.connect(
        ":memory:", config={"threads": 2, "memory_limit": MEMORY_LIMIT, "temp_directory": spill}
    )
    try:
        for batch in connection.sql(_sql(plan, len(roots), limit)).to_arrow_reader(BATCH_ROWS):
            yield _finished(plan, batch, roots)
    except duckdb.Error as error:
        raise InputError(
            f"The clips could not be put in order ({error}).", hint="Is there room on the disk beside the output file?"
        ) from error
    finally:
        connection.close()


def _sql(plan: _Plan, n_roots: int, limit: int | None) -> str:
    workspace = plan.workspace
    columns = "c.row, c.clip_id, c.video_id, c.path, c.start_s, c.end_s, c.source, c.title"
    # With one root every file lies below it: the table of videos need not be read.
    of_videos = n_roots > 1 and workspace.artefact_path("videos").is_file()
    root = "v.root" if of_videos else "0" if n_roots == 1 else "NULL"
    videos = f"LEFT JOIN {_scan(workspace.artefact_path('videos'))} v ON v.video_id = c.video_id" if of_videos else ""
    clips = _scan(workspace.artefact_path("clips"))
    shown = f"LIMIT {int(limit)}" if limit is not None else ""
    if plan.selection is None:
        return (
            f"SELECT {columns}, {root} AS root, NULL AS rank, c.row AS scored, NULL AS gain, c.clip_id AS picked "
            f"FROM {clips} c {videos} WHERE c.status = 'ok' ORDER BY c.row {shown}"
        )
    picks = _scan(workspace.artefact_path(f"selections/{plan.selection}") / "picks.parquet")
    first = f"WHERE p.rank <= {int(limit)}" if limit is not None else ""
    # By id, not by row: a selection outlives a new table of clips, in which its clips may have moved.
    return (
        f"SELECT {columns}, {root} AS root, p.rank, p.row AS scored, p.gain, p.clip_id AS picked "
        f"FROM {picks} p LEFT JOIN {clips} c ON c.clip_id = p.clip_id {videos} {first} ORDER BY p.rank"
    )


def _scan(path: Path) -> str:
    escaped = str(path).replace("'", "''")
    return f"read_parquet('{escaped}')"


def _finished(plan: _Plan, batch: pa.RecordBatch, roots: list[str]) -> pa.RecordBatch:
    """Joined rows with file, clusters and score, in the export's schema."""
    if batch["clip_id"].null_count:
        gone = pc.filter(batch["picked"], pc.is_null(batch["clip_id"]))
        raise InputError(
            f"Clips of the selection are no longer in the workspace ({len(gone)} or more, for example "
            f"{gone[0].as_py()}): it was made from another table of clips.",
            hint=f"Run: python -m curation select {plan.workspace.path}",
        )
    rows = batch["row"].to_numpy()
    values: dict[str, Any] = {name: batch[name] for name in batch.schema.names}
    values["file"] = _files(batch["path"], batch["root"], roots)
    for name, assignments in plan.assignments.items():
        clusters = np.asarray(assignments[rows])
        values[f"cluster_{name}"] = pa.array(clusters, pa.int32(), mask=clusters < 0)
    values["score"] = pa.nulls(len(rows), pa.float64())
    if plan.scores is not None:
        scored = batch["scored"].to_numpy()
        known = scored < len(plan.scores)
        scores = np.where(known, plan.scores[np.where(known, scored, 0)], np.nan)
        values["score"] = pa.array(scores, from_pandas=True)
    return pa.record_batch([values[field.name].cast(field.type) for field in plan.schema], plan.schema)


def _files(paths: pa.Array, root: pa.Array, roots: list[str]) -> pa.Array:
    """Absolute files: below their root; imported absolute paths as they are; "" where it is not known."""
    joined = pc.binary_join_element_wise(pa.array(roots, pa.string()).take(root.cast(pa.int32())), paths, "/")
    known = pc.and_(pc.is_valid(joined), pc.not_equal(paths, ""))
    absolute = pc.starts_with(paths, "/")
    return pc.fill_null(pc.if_else(absolute, paths, pc.if_else(known, joined, "")), "")


def _counted(batches: Iterator[pa.RecordBatch], counts: _Counts, progress: Progress | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        counts.rows += batch.num_rows
        spans = batch["end_s"].to_numpy(zero_copy_only=False) - batch["start_s"].to_numpy(zero_copy_only=False)
        counts.seconds += float(spans.sum())
        if progress is not None:
            progress.advance(batch.num_rows)
            progress.check_cancelled()
