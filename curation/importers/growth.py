"""Rows that are added to an imported workspace: an array and its table in, more clips at the end of clips.parquet out.

What was there keeps its rows: features and assignments that were brought in get rows without a value for the new clips,
which the same import, or a later one, fills. Clusterings and selections are the stages' business: new clips join the
clusters that are there, and a selection names its clips by id.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.atomic import replacing, write_array, write_json
from curation.errors import InputError
from curation.importers.clips import (
    Placement,
    clip_pieces,
    clips_fingerprint,
    index_digest,
    length_facts,
    place_rows,
    read_clip_columns,
)
from curation.locks import writer_lock
from curation.records import FAILURES
from curation.strings import whole
from curation.workspace import CLIPS_FINGERPRINT, Artefact, Workspace, fingerprint_of

ROWS_PER_PART = 65_536  # of imported features
EARLIER_MAX = 1000  # tables of clips that are remembered, so that a growth that was killed can be ended
GROWN_FROM = "grown_from"


def place_added(
    workspace: Workspace,
    n_rows: int,
    what: str,
    clips_file: str | os.PathLike[str] | None,
    own: pa.Table | None = None,
    *,
    locks: Sequence[str] = ("segment", "features", "cluster"),
) -> Placement:
    """As `place_rows`, but a row that is no clip yet becomes one, behind those that are there.

    A row is a clip that is there where both have the same id; without ids, the same path (else source) and start, to
    the millisecond; without a table, the same place in the order, where clips were brought in without one too.

    Raises `InputError` where the clips were cut from media, where two rows mean one clip, for fewer rows than clips
    without a table, and for a row that says nothing by which it could be told. `locks`: the stages' locks that the
    caller does not hold.
    """
    if workspace.artefact("clips") is None:
        return place_rows(workspace, n_rows, what, clips_file, own)
    table = own if clips_file is None else read_clip_columns(clips_file)
    if table is not None and table.num_rows != n_rows:
        raise InputError(f"{what} have {n_rows} rows, {clips_file} has {table.num_rows}.")
    with contextlib.ExitStack() as stack:
        for stage in locks:
            lock = workspace.path / "locks" / f"{stage}.lock"
            stack.enter_context(writer_lock(lock, purpose="import of more clips", wait_s=10))
        workspace.recover()
        artefact = workspace.require("clips", "segment")
        if artefact.info.get("origin") != "imported":
            raise InputError(
                f"The clips of {workspace.name} were cut from its media: rows cannot be added to them.",
                hint=f"Add media instead: python -m curation run {workspace.path} --media FOLDER",
            )
        clips = workspace.table("clips")
        kind, there, names = _names(clips, table, n_rows, what)
        place = pc.fill_null(pc.index_in(names, there), -1).to_numpy(zero_copy_only=False).astype(np.int64)
        new = np.flatnonzero(place < 0)
        if len(new):
            rows = pa.table({"row": pa.nulls(n_rows)}) if table is None else table
            _grow(workspace, artefact, clips, rows.take(pa.array(new)), clips_file)
        _pad(workspace)
    n_old = clips.num_rows
    index = np.full(n_old + len(new), -1, np.int64)
    index[place[place >= 0]] = np.flatnonzero(place >= 0)
    index[n_old:] = new
    fingerprint = fingerprint_of([workspace.fingerprint("clips"), index_digest(index)])
    details = {"clips_added": len(new)}
    return Placement(len(index), index, kind, 0, fingerprint, details=details)


def import_clips(workspace: Workspace, file: str | os.PathLike[str], *, add: bool = False) -> dict[str, Any]:
    """A table of clips alone: makes the clips of a workspace without any; `add`: those that are not there yet.

    Returns the report of `curation.importers.clips.Placement.facts`; raises as `place_rows` and `place_added` do.
    """
    n_rows = read_clip_columns(file).num_rows
    placement = (place_added if add else place_rows)(workspace, n_rows, str(file), file)
    return {"clips_file": Path(file).name, "rows": n_rows, **placement.facts()}


def _names(clips: pa.Table, table: pa.Table | None, n_rows: int, what: str) -> tuple[str, pa.Array, pa.Array]:
    """How rows are told, and by that the names of the clips that are there and of the rows: text, each once."""
    ids = whole(clips["clip_id"])
    numbered = ids.equals(pa.array(np.arange(len(ids))).cast(pa.string()))
    if table is None:
        if not numbered:
            raise InputError(
                f"{what} do not say which clips they are of, and the clips have ids of their own.",
                hint="Give a table with one row for each row of the array: --clips FILE",
            )
        if n_rows < len(ids):
            raise InputError(f"{what} have {n_rows} rows, the workspace has {len(ids)} clips already.")
        return "order", ids, pa.array(np.arange(n_rows)).cast(pa.string())
    if "clip_id" in table.column_names:
        kind, there, names = "clip id", ids, whole(table["clip_id"])
    else:
        by = next((name for name in ("path", "source") if name in table.column_names), "")
        if not by:
            raise InputError(f"{what}: no column tells which rows are new.", hint="Give clip_id, or path and start_s.")
        kind, there, names = f"{by} and start", _with_start(clips, by), _with_start(table, by)
    _check_told_apart(names, kind, what)
    if kind == "clip id" and numbered and not pc.any(pc.is_in(names, there)).as_py():
        raise InputError(
            f"{what} have clip ids, but the clips that are there were brought in without: none can be told again.",
            hint="Name them as before: by path and start_s, or in the same order without a table.",
        )
    return kind, there, names


def _check_told_apart(names: pa.Array, kind: str, what: str) -> None:
    """Raise `InputError` for rows without a name, else for a name that several have."""
    by, timed, _ = kind.partition(" and ")
    hint = "Give clip_id, or path and start_s, different in every row."
    if names.null_count:
        first = int(pc.index(pc.is_null(names), True).as_py()) + 1
        rows = "1 row has" if names.null_count == 1 else f"{names.null_count:,} rows have"
        raise InputError(f"{what}: {rows} no {by}, the first is row {first:,}.", hint=hint)
    if len(pc.unique(names)) < len(names):
        counts = pc.value_counts(names)
        worst = counts[int(np.argmax(counts.field("counts").to_numpy()))].as_py()
        name, times = str(worst["values"]), f"{worst['counts']:,} times"
        file, _, ms = name.rpartition("|") if timed else (name, "", "")
        told = f"the {by} {file[:80]!r} occurs" if not ms else f"the {kind} {file[:80]!r} at {int(ms) / 1000:g} s occur"
        raise InputError(f"{what}: rows must differ, but {told} {times}.", hint=hint)


def _with_start(table: pa.Table, by: str) -> pa.Array:
    """`<path>|<ms>` of each row; null where it has no name."""
    names = whole(table[by])
    names = pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)
    start_s = (
        table["start_s"].combine_chunks() if "start_s" in table.column_names else pa.nulls(len(names), pa.float64())
    )
    ms = pc.round(pc.multiply(start_s, 1000)).cast(pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(names, pc.fill_null(ms, ""), "|")


def _grow(
    workspace: Workspace,
    artefact: Artefact,
    clips: pa.Table,
    rows: pa.Table,
    clips_file: str | os.PathLike[str] | None,
) -> None:
    """clips.parquet with `rows` behind what is there."""
    more = pa.concat_tables(clip_pieces(rows, first=clips.num_rows))
    doubled = pc.filter(more["clip_id"], pc.is_in(more["clip_id"], whole(clips["clip_id"])))
    if len(doubled):
        raise InputError(f"The new row {doubled[0].as_py()!r} would get the id of a clip.", hint="Give clip_id.")
    grown = pa.concat_tables([clips.replace_schema_metadata(None), more.replace_schema_metadata(None)])
    before = {"fingerprint": artefact.fingerprint, "clips": clips.num_rows}
    info: dict[str, Any] = {
        "origin": "imported",
        "clips": grown.num_rows,
        "file": artefact.info.get("file", "") if clips_file is None else Path(clips_file).name,
        GROWN_FROM: [*artefact.info.get(GROWN_FROM, []), before][-EARLIER_MAX:],
    }
    info |= length_facts(grown)
    workspace.commit_table("clips", grown, clips_fingerprint([grown]), info)


def _pad(workspace: Workspace) -> None:
    """Give what was brought in for an earlier table of clips rows without a value for the clips added since."""
    clips = workspace.require("clips", "segment")
    earlier = {one["fingerprint"] for one in clips.info.get(GROWN_FROM, [])}
    for key in (*workspace.keys("features"), *workspace.keys("clusterings")):
        found = workspace.require(key, "import")
        if found.info.get("origin") != "imported" or found.info.get(CLIPS_FINGERPRINT) not in earlier:
            continue
        fingerprint = fingerprint_of({"grown": found.fingerprint, "clips": clips.fingerprint})
        folder, old = workspace.partial_folder(key, fingerprint), workspace.artefact_path(key)
        info = found.info | {CLIPS_FINGERPRINT: clips.fingerprint}
        for file in old.glob("*.parquet"):
            link(file, folder / file.name)
        n = workspace.n_rows("clips")
        if key.startswith("features/"):
            info |= _pad_features(old, folder, list(found.info["layers"]), n)
        else:
            assignments = np.load(old / "assignments.npy", allow_pickle=False)
            write_array(folder / "assignments.npy", np.pad(assignments, (0, n - len(assignments)), constant_values=-1))
            link(old / "sizes.npy", folder / "sizes.npy")
            write_json(folder / "params.json", info)
        workspace.commit_folder(key, folder, fingerprint, info)


def _pad_features(old: Path, folder: Path, layers: list[str], n: int) -> dict[str, Any]:
    """The parts of all layers with rows of zeros up to `n`, not valid; returns the facts that change."""
    valid = np.load(old / "valid.npy", allow_pickle=False)
    n_more = n - len(valid)
    for layer in layers:
        parts = sorted((old / layer).glob("part-*.npy"))
        last = np.load(parts[-1], mmap_mode="r", allow_pickle=False)
        whole = parts if len(last) >= ROWS_PER_PART else parts[:-1]
        for part in whole:
            link(part, folder / layer / part.name)
        tail = np.zeros((n_more + (len(last) if len(whole) < len(parts) else 0), last.shape[1]), last.dtype)
        if len(whole) < len(parts):
            tail[: len(last)] = last
        for i, start in enumerate(range(0, len(tail), ROWS_PER_PART)):
            write_array(folder / layer / f"part-{len(whole) + i:06d}.npy", tail[start : start + ROWS_PER_PART])
    write_array(folder / "valid.npy", np.pad(valid, (0, n_more)))
    failures = pq.read_table(old / "failures.parquet", partitioning=None)
    columns = [pa.array(np.arange(len(valid), n)), pa.repeat("no_row", n_more),
               pa.repeat("No row of the imported features names this clip.", n_more)]  # fmt: skip
    failures = pa.concat_tables([failures.cast(FAILURES), pa.table(columns, schema=FAILURES)])
    with replacing(folder / "failures.parquet") as temporary:
        pq.write_table(failures, temporary)
    return {"clips": n, "failures": failure_counts(failures)}


def failure_counts(failures: pa.Table) -> dict[str, int]:
    """Rows of a table of failures by code."""
    return {item["values"]: item["counts"] for item in pc.value_counts(failures["code"]).to_pylist()}


def link(source: Path, target: Path) -> None:
    """The file under a second name, without copying it where the disk can: artefacts' files are never written into."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
