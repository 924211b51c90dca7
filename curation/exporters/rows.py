"""The rows of an export: a workspace and what is wanted in; their number, schema and batches in order out.

Joined and put in order by DuckDB with a bound on what is in memory; what does not fit is spilled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import review
from curation.errors import InputError
from curation.exporters.base import row_schema
from curation.records import real_path, shown_path
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

ALL_CLIPS = "all"
MEMORY_LIMIT = "768MB"  # of the join and the sort; the rest is spilled
MEDIA = "media"
FEW = 1000


@dataclass(frozen=True)
class Wanted:
    """What to write: the clips of `selection` (None: every clip), with `reviewed` as people left it; or `rows`.

    `rows` int64 (m,), of the present table, are written in their order; `selection` then only gives rank and score.
    """

    selection: str | None = None
    reviewed: bool = False
    rows: np.ndarray | None = None


@dataclass(frozen=True)
class Plan:
    """What will be written, and of what."""

    workspace: Workspace
    wanted: Wanted
    n_rows: int
    assignments: dict[str, np.ndarray]
    scores: np.ndarray | None
    decisions: pa.Table | None
    notices: list[str] = field(default_factory=list)

    @property
    def selection(self) -> str | None:
        return self.wanted.selection

    @property
    def schema(self) -> pa.Schema:
        return row_schema(list(self.assignments), reviewed=self.wanted.reviewed)

    @property
    def words(self) -> str:
        """What is written, in a few characters."""
        if self.wanted.rows is not None:
            return "rows"
        return f"{self.selection} as reviewed" if self.wanted.reviewed else self.selection or ALL_CLIPS

    def fingerprint(self) -> str:
        """Changes whenever other rows or other values would be written."""
        ws, rows = self.workspace, self.wanted.rows
        keys = ["clips", "videos", *(f"clusterings/{name}" for name in self.assignments)]
        keys += [f"selections/{self.selection}"] if self.selection else []
        chosen = (
            hashlib.blake2b(np.ascontiguousarray(rows).data, digest_size=16).hexdigest() if rows is not None else ""
        )
        said = review.fingerprint(ws) if self.wanted.reviewed else ""
        return fingerprint_of([[ws.fingerprint(key) for key in keys], ws.roots, chosen, said, self.words])


def plan(workspace: Workspace, wanted: Wanted) -> Plan:
    """Check what is wanted. Raises `InputError` when there is no such selection, row, or nothing to write."""
    workspace.require("clips", "segment")
    name = wanted.selection
    if wanted.reviewed and name is None:
        raise InputError(
            f"{workspace.name} has no selection to review yet.", hint=f"Run: python -m curation select {workspace.path}"
        )
    clusterings = dict.fromkeys((key.partition("/")[2] for key in workspace.keys("clusterings")), "")
    scores, fits = None, dict[str, str]()
    if name is not None:
        known = [key.partition("/")[2] for key in workspace.keys("selections")]
        if name not in known:
            shown = ", ".join([*known, ALL_CLIPS]) if known else f"{ALL_CLIPS} (no selection was made yet)"
            raise InputError(f"There is no selection {name!r} in {workspace.name}.", hint=f"There are: {shown}.")
        info = workspace.require(f"selections/{name}", "select").info
        used = info.get("clusterings", {})
        clusterings = used if wanted.rows is None else clusterings | used
        fits = info.get("fits", {})
        scores = workspace.array(f"selections/{name}", "scores")
    decisions = None
    if wanted.reviewed:
        assert name is not None
        wanted = Wanted(name, True, review.final_rows(workspace, name))
        said = review.decisions(workspace)
        decisions = said.filter(pc.is_valid(said["decision"])).select(["clip_id", "decision"])
    count = _count(workspace, wanted)
    if not count:
        what = "the list of rows" if wanted.rows is not None else f"the selection {name!r}" if name else "the table"
        raise InputError(
            f"There is nothing to export: {what}{' as reviewed' if wanted.reviewed else ''} is empty.",
            hint="Run select with a larger budget, or look at what was dropped: python -m curation status --files",
        )
    notices: list[str] = []
    assignments = _assignments(workspace, clusterings, fits, notices)
    return Plan(workspace, wanted, count, assignments, scores, decisions, notices)


def read_rows(workspace: Workspace, path: Path) -> np.ndarray:
    """Rows int64 (m,) of a .npy file: integers in the order wanted, or (uint8) one bit for each row up to the last.

    Raises `InputError` for anything else, and for rows that are not in the table of clips or come twice.
    """
    try:
        held = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} cannot be read as a list of rows ({error}).",
            hint="Give a .npy file of whole numbers; lists made on the Clips page are forgotten after some time.",
        ) from error
    if not isinstance(held, np.ndarray) or held.ndim != 1 or held.dtype.kind not in "iu":
        raise InputError(f"{path} does not hold whole numbers in one line.", hint="Give a .npy file of row numbers.")
    rows = np.flatnonzero(np.unpackbits(held)) if held.dtype == np.uint8 else held.astype(np.int64)
    n_clips = workspace.n_rows("clips")
    if len(rows) and (rows.min() < 0 or rows.max() >= n_clips):
        wrong = rows.min() if rows.min() < 0 else rows.max()
        raise InputError(f"{path} names row {wrong:,}, there are {n_clips:,} clips.", hint="Make the list again.")
    if len(np.unique(rows)) != len(rows):
        raise InputError(f"{path} names a row twice.", hint="Name each row once.")
    return rows


def batches(
    plan: Plan, spill: str | Path, size: int, limit: int | None = None, columns: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Batches of at most `size` rows of the plan's schema, with `columns` of the videos behind (see `Task.rows`)."""
    plan = _head(plan, limit)
    roots = [shown_path(os.fsencode(root)).rstrip("/") for root in plan.workspace.roots]
    connection = duckdb.connect(
        ":memory:", config={"threads": 2, "memory_limit": MEMORY_LIMIT, "temp_directory": str(spill)}
    )
    try:
        if plan.wanted.rows is not None:
            rows = plan.wanted.rows
            connection.register("wanted", pa.table({"row": rows, "at": np.arange(len(rows))}))
        if plan.decisions is not None:
            connection.register("said", plan.decisions)
        sql = _sql(plan, len(roots), limit, columns)
        for batch in connection.sql(sql).to_arrow_reader(size):
            if batch.num_rows:
                yield _finished(plan, batch, roots, columns)
    except duckdb.Error as error:
        raise InputError(
            f"The clips could not be put in order ({error}).", hint="Is there room on the disk beside the output file?"
        ) from error
    finally:
        connection.close()


# -- inside ------------------------------------------------------------------------------------------------------------


def _count(workspace: Workspace, wanted: Wanted) -> int:
    if wanted.rows is not None:
        return len(wanted.rows)
    if wanted.selection is None:
        return int(workspace.query("SELECT count(*) AS n FROM clips WHERE status = 'ok'")["n"][0].as_py())
    path = workspace.artefact_path(f"selections/{wanted.selection}") / "picks.parquet"
    return int(pq.read_metadata(path).num_rows)


def _assignments(
    workspace: Workspace, clusterings: dict[str, str], fits: dict[str, str], notices: list[str]
) -> dict[str, np.ndarray]:
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
        # Where clips joined it since, its fingerprint is another and its clusters are the same.
        same = {artefact.fingerprint, str(artefact.info.get("fit") or artefact.fingerprint)}
        if fingerprint and not same & {fingerprint, fits.get(name) or fingerprint}:
            notices.append(f"The clustering {name} was made again after the selection: its ids are the present ones.")
        found[name] = assignments
    return found


def _head(plan: Plan, limit: int | None) -> Plan:
    """The same with the first `limit` rows alone where they are known beforehand: a few rows are read, not a join."""
    wanted = plan.wanted
    if limit is None or wanted.reviewed:
        return plan
    if wanted.rows is not None:
        return replace(plan, wanted=replace(wanted, rows=wanted.rows[:limit]))
    artefact = plan.workspace.artefact(f"selections/{wanted.selection}") if wanted.selection is not None else None
    if artefact is None or artefact.info.get(CLIPS_FINGERPRINT) != plan.workspace.fingerprint("clips"):
        return plan
    path = plan.workspace.artefact_path(artefact.key) / "picks.parquet"
    first = pq.read_table(path, columns=["rank", "row"], filters=pc.field("rank") <= limit, partitioning=None)
    return replace(plan, wanted=replace(wanted, rows=first.sort_by("rank")["row"].to_numpy().astype(np.int64)))


def _sql(plan: Plan, n_roots: int, limit: int | None, columns: Sequence[str]) -> str:
    workspace, wanted = plan.workspace, plan.wanted
    taken = "c.row, c.clip_id, c.video_id, c.path, c.start_s, c.end_s, c.source, c.title"
    of_videos = [name for name in columns if name != MEDIA] + (["path_bytes"] if MEDIA in columns else [])
    # With one root every file lies below it: the table of videos need not be read.
    there = (n_roots > 1 or bool(columns)) and workspace.artefact_path("videos").is_file()
    root = "v.root" if there else "0" if n_roots == 1 else "NULL"
    taken += f", {root} AS root"
    known = set(pq.read_schema(workspace.artefact_path("videos")).names) if there else set()
    taken += "".join(f", {f'v.{name}' if name in known else 'NULL'} AS video_{name}" for name in of_videos)
    videos = f"LEFT JOIN {_scan(workspace.artefact_path('videos'))} v ON v.video_id = c.video_id" if there else ""
    clips = _scan(workspace.artefact_path("clips"))
    shown = f"LIMIT {int(limit)}" if limit is not None else ""
    said = ", s.decision AS review" if plan.decisions is not None else ""
    people = "LEFT JOIN said s ON s.clip_id = c.clip_id" if plan.decisions is not None else ""
    picks = ""
    if wanted.selection is not None:
        picks = _scan(workspace.artefact_path(f"selections/{wanted.selection}") / "picks.parquet")
    if wanted.rows is not None:
        beside = f"LEFT JOIN {picks} p ON p.clip_id = c.clip_id" if picks else ""
        ranked = (
            "p.rank, coalesce(p.row, c.row) AS scored, p.gain"
            if picks
            else "NULL AS rank, c.row AS scored, NULL AS gain"
        )
        order = "p.rank NULLS LAST, w.at" if wanted.reviewed else "w.at"
        # Named, a few rows are found by the groups that hold them.
        few = f"WHERE c.row IN ({', '.join(map(str, wanted.rows.tolist()))})" if 0 < len(wanted.rows) <= FEW else ""
        return (
            f"SELECT {taken}, {ranked}, c.clip_id AS picked{said} FROM wanted w JOIN {clips} c ON c.row = w.row "
            f"{beside} {people} {videos} {few} ORDER BY {order} {shown}"
        )
    if not picks:
        return (
            f"SELECT {taken}, NULL AS rank, c.row AS scored, NULL AS gain, c.clip_id AS picked "
            f"FROM {clips} c {videos} WHERE c.status = 'ok' ORDER BY c.row {shown}"
        )
    first = f"WHERE p.rank <= {int(limit)}" if limit is not None else ""
    # By id, not by row: a selection outlives a new table of clips, in which its clips may have moved.
    return (
        f"SELECT {taken}, p.rank, p.row AS scored, p.gain, p.clip_id AS picked "
        f"FROM {picks} p LEFT JOIN {clips} c ON c.clip_id = p.clip_id {videos} {first} ORDER BY p.rank"
    )


def _scan(path: Path) -> str:
    escaped = str(path).replace("'", "''")
    return f"read_parquet('{escaped}')"


def _finished(plan: Plan, batch: pa.RecordBatch, roots: list[str], columns: Sequence[str]) -> pa.RecordBatch:
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
    fields = list(plan.schema)
    arrays = [values[field.name].cast(field.type) for field in fields]
    for name in columns:
        held = _media(batch, plan.workspace.roots) if name == MEDIA else batch[f"video_{name}"]
        fields.append(pa.field(name if name == MEDIA else f"video_{name}", held.type))
        arrays.append(held)
    return pa.record_batch(arrays, pa.schema(fields))


def _media(batch: pa.RecordBatch, roots: list[str]) -> pa.Array:
    """Each row's file as the operating system names it, binary; null where it is not known."""
    found = []
    for root, path in zip(batch["root"].to_pylist(), batch["video_path_bytes"].to_pylist()):
        known = bool(path) and root is not None and 0 <= root < len(roots)
        found.append(os.fsencode(real_path(roots[root], path)) if known else None)
    return pa.array(found, pa.binary())


def _files(paths: pa.Array, root: pa.Array, roots: list[str]) -> pa.Array:
    """Absolute files: below their root; imported absolute paths as they are; "" where it is not known."""
    joined = pc.binary_join_element_wise(pa.array(roots, pa.string()).take(root.cast(pa.int32())), paths, "/")
    known = pc.and_(pc.is_valid(joined), pc.not_equal(paths, ""))
    absolute = pc.match_substring_regex(paths, r"^(/|[A-Za-z][A-Za-z0-9+.-]*://)")
    return pc.fill_null(pc.if_else(absolute, paths, pc.if_else(known, joined, "")), "")
