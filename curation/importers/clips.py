"""Which row of an imported array is which clip: by order, or by clip id; makes clips.parquet where there is none."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError
from curation.importers.readers import as_text, read_table, table_columns
from curation.locks import writer_lock
from curation.records import CLIPS
from curation.workspace import Workspace, fingerprint_of

CLIP_COLUMNS = ("clip_id", "path", "start_s", "end_s", "source", "title")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Placement:
    """Where the rows of an imported array go.

    `n_clips` rows of clips.parquet; `index`: for each of them the array's row, -1 for none, or None where the order is
    the same; `matched_by`: "order" or "clip id"; `unmatched`: rows of the array without a clip; `fingerprint` of this
    match.
    """

    n_clips: int
    index: np.ndarray | None
    matched_by: str
    unmatched: int
    fingerprint: str
    clips_made: bool = False

    @property
    def missing(self) -> int:
        """Clips without a row in the array."""
        return 0 if self.index is None else int((self.index < 0).sum())

    def rows(self, array: np.ndarray, start: int, stop: int) -> np.ndarray:
        """`array` for clips start..stop, what has no row zero; and never more than these rows in memory."""
        if self.index is None:
            return np.array(array[start:stop])
        index = self.index[start:stop]
        found = np.zeros((len(index), *array.shape[1:]), array.dtype)
        found[index >= 0] = array[index[index >= 0]]
        return found

    def present(self, start: int, stop: int) -> np.ndarray:
        """Boolean (stop - start,): True for clips that have a row in the array."""
        return np.ones(stop - start, bool) if self.index is None else self.index[start:stop] >= 0

    def facts(self) -> dict[str, Any]:
        """For reports."""
        return {
            "clips": self.n_clips,
            "matched_by": self.matched_by,
            "unmatched_rows": self.unmatched,
            "clips_without_row": self.missing,
            "clips_made": self.clips_made,
        }


def place_rows(
    workspace: Workspace, n_rows: int, what: str, clips_file: str | os.PathLike[str] | None, ids: pa.Array | None = None
) -> Placement:
    """Match the `n_rows` rows of an array (`what`, for messages) to clips.

    A workspace without clips gets them: from `clips_file` (csv, tsv, jsonl or parquet with any of clip_id, path,
    start_s, end_s, source, title, one row a clip, in the array's order), or from the row numbers. Otherwise rows are
    matched by clip id where the clips file (or `ids`) has them, else by order, and then their number must be equal.

    Raises `InputError` with both numbers when they differ, and for a clip id that occurs twice.
    """
    table = None if clips_file is None else _read_clips(Path(clips_file))
    if table is not None and table.num_rows != n_rows:
        raise InputError(
            f"{what} have {n_rows} rows, {clips_file} has {table.num_rows}.",
            hint="They must be one to one, in one order.",
        )
    if table is not None and "clip_id" in table.column_names:
        ids = table["clip_id"].combine_chunks()
    if ids is not None and (ids.null_count or len(pc.unique(ids)) != len(ids)):
        counts = pc.value_counts(ids)
        worst = counts[int(np.argmax(counts.field("counts").to_numpy()))].as_py()
        raise InputError(
            f"A clip id is empty, or occurs more than once ({worst['values'] or ''!r}: {worst['counts']} times).",
            hint="Every clip needs one id of its own.",
        )
    made = workspace.artefact("clips") is None
    if made:
        if table is None:
            table = pa.table({"clip_id": ids}) if ids is not None else pa.table({"row": pa.nulls(n_rows)})
        _make_clips(workspace, n_rows, table, "" if clips_file is None else Path(clips_file).name)
    clips = workspace.require("clips", "segment")
    n_clips = workspace.n_rows("clips")
    if made or ids is None:
        if n_rows != n_clips:
            raise InputError(
                f"{what} have {n_rows} rows, the workspace {n_clips} clips.",
                hint="Give a table with a column clip_id, one row for each row of the array: --clips FILE",
            )
        return Placement(n_clips, None, "order", 0, fingerprint_of([clips.fingerprint, "order"]), made)
    return _by_id(workspace, ids, what, clips.fingerprint)


def _by_id(workspace: Workspace, ids: pa.Array, what: str, fingerprint: str) -> Placement:
    own = workspace.table("clips", ["clip_id"])["clip_id"].combine_chunks()
    at = pc.fill_null(pc.index_in(own, ids), -1).to_numpy().astype(np.int64)
    matched = int((at >= 0).sum())
    if not matched:
        raise InputError(
            f"{what} name none of the workspace's clips: their ids are {ids[0].as_py()!r} ..., the clips' "
            f"{own[0].as_py()!r} ...",
            hint="Leave the clip ids out to match by order.",
        )
    same = len(ids) == len(own) and bool((at == np.arange(len(own))).all())
    digest = hashlib.blake2b(at.tobytes(), digest_size=16).hexdigest()
    return Placement(
        len(own), None if same else at, "clip id", len(ids) - matched, fingerprint_of([fingerprint, digest])
    )


def _read_clips(file: Path) -> pa.Table:
    present = [name for name in table_columns(file) if name in CLIP_COLUMNS]
    if not present:
        raise InputError(f"{file} has none of the columns that clips have.", hint=f"Known: {', '.join(CLIP_COLUMNS)}.")
    table = read_table(file, present)
    columns = {}
    for name in present:
        text = as_text(table[name])
        if name in ("start_s", "end_s"):
            try:
                columns[name] = text.cast(pa.float64())
            except pa.ArrowInvalid as error:
                raise InputError(f"{file}: {name} is not a number everywhere ({error}).") from error
        else:
            columns[name] = text
    return pa.table(columns)


def _make_clips(workspace: Workspace, n_rows: int, table: pa.Table, file: str) -> None:
    """clips.parquet of imported rows, in their order. Ids stay as they came; without any, the row number is the id."""
    if not n_rows:
        raise InputError("The data have no rows.", hint="An import needs at least one clip.")
    chunks = [_clip_rows(start, table.slice(start, min(_CHUNK, n_rows - start))) for start in range(0, n_rows, _CHUNK)]
    clips = pa.concat_tables(chunks)
    info: dict[str, Any] = {"origin": "imported", "clips": n_rows, "file": file}
    hours = pc.sum(pc.subtract(clips["end_s"], clips["start_s"])).as_py()
    if hours is not None:
        info["hours"] = hours / 3600
    digest = _digest(clips)
    with writer_lock(workspace.path / "locks" / "segment.lock", purpose="import of clips", wait_s=10):
        workspace.commit_table("clips", clips, fingerprint_of({"import": "clips", "rows": digest}), info)


def _clip_rows(start: int, piece: pa.Table) -> pa.Table:
    n = piece.num_rows
    rows = pa.array(np.arange(start, start + n))

    def column(name: str) -> pa.ChunkedArray:
        kind = CLIPS.field(name).type
        return piece[name] if name in piece.column_names else pa.chunked_array([pa.nulls(n, kind)])

    ids = piece["clip_id"] if "clip_id" in piece.column_names else pa.chunked_array([rows.cast(pa.string())])
    start_s, end_s = column("start_s"), column("end_s")
    if pc.any(pc.less(end_s, start_s)).as_py():
        raise InputError("A clip ends before it starts.", hint="start_s and end_s count seconds of the file.")
    # A clip's source is its file, when nothing else is said; without a file every clip is its own.
    source = pc.coalesce(column("source"), column("path"), ids)
    values = {
        "row": rows,
        "clip_id": ids,
        "path": column("path"),
        "start_s": start_s,
        "end_s": end_s,
        "source": source,
        "title": column("title"),
        "status": pa.repeat("ok", n),
    }
    empty = pa.repeat("", n)
    columns = [
        pc.fill_null(values[field.name], "")
        if field.name in values and field.type == pa.string()
        else values.get(field.name, empty)
        for field in CLIPS
    ]
    return pa.table(columns, schema=CLIPS)


def _digest(table: pa.Table) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for batch in table.to_batches(max_chunksize=65_536):
        digest.update(batch.serialize())
    return digest.hexdigest()
