"""Which row of an imported array is which clip: by order, or by id, file and start; makes clips where none are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError
from curation.importers.matching import END_COLUMNS, START_COLUMNS, Keys, Match, find_column, match_rows, numbers_of
from curation.importers.readers import as_text, read_table, table_columns
from curation.locks import writer_lock
from curation.records import CLIPS
from curation.strings import first_rows, whole
from curation.workspace import Workspace, fingerprint_of

CLIP_COLUMNS = ("clip_id", "path", "start_s", "end_s", "source", "title")
_CHUNK = 1 << 20
_OFTEN_CALLED = {
    "path": ("file", "filename", "file_name"),
    "start_s": START_COLUMNS,
    "end_s": END_COLUMNS,
    "source": ("url", "youtube_id", "ytid"),
}


@dataclass(frozen=True)
class Placement:
    """Where the rows of an imported array go.

    `n_clips` rows of clips.parquet; `index`: for each of them the array's row, -1 for none, or None where the order is
    the same; `matched_by`: "order", "clip id", "path", ...; `unmatched`: rows of the array without a clip;
    `fingerprint` of this match; `details`: examples of what did not match.
    """

    n_clips: int
    index: np.ndarray | None
    matched_by: str
    unmatched: int
    fingerprint: str
    clips_made: bool = False
    details: dict[str, Any] = field(default_factory=dict)

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
            **self.details,
        }


def place_rows(
    workspace: Workspace,
    n_rows: int,
    what: str,
    clips_file: str | os.PathLike[str] | None,
    own: pa.Table | None = None,
) -> Placement:
    """Match the `n_rows` rows of an array (`what`, for messages) to clips.

    `clips_file`: csv, tsv, jsonl or parquet, one row a clip in the array's order, with any of clip_id, path, start_s,
    end_s, source, title, or what these are often called (`clip_columns`); `own`: those columns where the array's file
    has them itself. A workspace without clips gets them from there, or from the row numbers. Otherwise rows are matched
    by clip id; by path, file name, stem or YouTube id and start where there are no ids; by order where there is
    neither, or where the table is the one that made the clips. By order, both must be equally many.

    Raises `InputError` with both numbers when they differ, and where two rows mean one clip.
    """
    table = own if clips_file is None else read_clip_columns(clips_file)
    if table is not None and table.num_rows != n_rows:
        raise InputError(
            f"{what} have {n_rows} rows, {clips_file} has {table.num_rows}.",
            hint="They must be one to one, in one order.",
        )
    if table is not None and "clip_id" in table.column_names:
        _check_ids(table["clip_id"])
    if workspace.artefact("clips") is None:
        if table is None:
            table = pa.table({"row": pa.nulls(n_rows)})
        _make_clips(workspace, n_rows, table, "" if clips_file is None else Path(clips_file).name)
        made = workspace.require("clips", "segment").fingerprint
        return Placement(n_rows, None, "order", 0, fingerprint_of([made, "order"]), True)
    fingerprint = workspace.require("clips", "segment").fingerprint
    if table is not None and (match := _matched(workspace, table, what, fingerprint)) is not None:
        placement = _by_keys(match, what, fingerprint)
        if placement.unmatched and workspace.require("clips", "segment").info.get("origin") == "imported":
            said = f"{placement.unmatched} rows name no clip and were left out; --add makes clips of them."
            placement.details["notices"] = [*placement.details.get("notices", []), said]
        return placement
    n_clips = workspace.n_rows("clips")
    if n_rows != n_clips:
        raise InputError(
            f"{what} have {n_rows} rows, the workspace {n_clips} clips.",
            hint="Give a table with a column clip_id, one row for each row of the array: --clips FILE",
        )
    return Placement(n_clips, None, "order", 0, fingerprint_of([fingerprint, "order"]))


def clip_columns(columns: Sequence[str]) -> dict[str, str]:
    """The columns of a table that clips have: clip column -> the table's name for it."""
    found = {name: name for name in CLIP_COLUMNS if name in columns}
    for name, others in _OFTEN_CALLED.items():
        other = find_column(columns, others)
        if name not in found and other is not None:
            found[name] = other
    return found


def read_clip_columns(file: str | os.PathLike[str]) -> pa.Table:
    """The columns of a table that clips have (clip_id, path, start_s, end_s, source, title), texts and seconds.

    Raises `InputError` when it has none of them, or a time that is no number.
    """
    columns = clip_columns(table_columns(file))
    if not columns:
        raise InputError(f"{file} has none of the columns that clips have.", hint=f"Known: {', '.join(CLIP_COLUMNS)}.")
    table = read_table(file, columns.values())
    found: dict[str, pa.Array | pa.ChunkedArray] = {}
    for name, called in columns.items():
        column, table = table[called], table.drop_columns(called)  # of two forms of a column only one at a time is held
        if name in ("start_s", "end_s"):
            plain = column if pa.types.is_float64(column.type) else as_text(column)
            found[name] = pa.array(numbers_of(plain, f"{file}: {called}"), pa.float64(), from_pandas=True)
        else:
            found[name] = as_text(column)
    return pa.table(found)


def _check_ids(ids: pa.ChunkedArray) -> None:
    """Raise `InputError` for an empty id, and for one that occurs twice; ids of any number."""
    first = first_rows(ids)
    again = first[first != np.arange(len(first))]
    if ids.null_count or len(again):
        rows, counts = np.unique(again, return_counts=True)
        name, times = "", ids.null_count
        if len(rows) and counts.max() + 1 > times:
            name, times = ids[int(rows[counts.argmax()])].as_py() or "", int(counts.max()) + 1
        raise InputError(
            f"A clip id is empty, or occurs more than once ({name!r}: {times} times).",
            hint="Every clip needs one id of its own.",
        )


def _matched(workspace: Workspace, table: pa.Table, what: str, made: str) -> Match | None:
    """The rows' match by clip id, where none fits by file and start; None: by order."""
    others, otherwise = _other_keys(table)
    if "clip_id" in table.column_names:
        try:
            return match_rows(workspace, [Keys(whole(table["clip_id"]))], what)
        except InputError:
            if not others:
                raise
    elif not others or clips_fingerprint(clip_pieces(table)) == made:
        return None
    return match_rows(workspace, others, what, otherwise)


def _other_keys(table: pa.Table) -> tuple[list[Keys], list[Keys]]:
    """The ways besides ids in which rows name clips, and those that are tried when none of these fits."""
    named = [name for name in ("path", "source") if name in table.column_names and table.num_rows]
    start_s = table["start_s"].to_numpy() if "start_s" in table.column_names else None
    ways = [Keys(whole(table[name]), start_s) for name in named]
    # A start that no clip has: the files themselves may be the clips.
    return ways, [] if start_s is None else [Keys(way.names) for way in ways]


def _by_keys(match: Match, what: str, fingerprint: str) -> Placement:
    facts = match.facts()
    if facts["repeated_rows"]:
        raise InputError(
            f"{facts['repeated_rows']} rows of {what} name a clip that an earlier row names: "
            f"{', '.join(repr(label[:80]) for label in facts['repeated_examples'])}.",
            hint="Each row needs a clip of its own: give clip ids, or files with their starts (start_s).",
        )
    at = match.row_of_clip
    same = len(match.row_key) == len(at) and bool((at == np.arange(len(at))).all())
    digest = "order" if same else index_digest(at)
    kept = ("unmatched_examples", "ambiguous_rows", "ambiguous_examples", "clips_without_row_examples", "notices")
    details = {name: facts[name] for name in kept if facts[name]}
    return Placement(
        len(at),
        None if same else at,
        match.kind,
        facts["unmatched_rows"],
        fingerprint_of([fingerprint, digest]),
        details=details,
    )


def index_digest(index: np.ndarray) -> str:
    """What tells one order of rows, int64 (n,), from another."""
    return hashlib.blake2b(index.tobytes(), digest_size=16).hexdigest()


def _make_clips(workspace: Workspace, n_rows: int, table: pa.Table, file: str) -> None:
    """clips.parquet of imported rows, in their order. Ids stay as they came; without any, the row number is the id."""
    if not n_rows:
        raise InputError("The data have no rows.", hint="An import needs at least one clip.")
    info: dict[str, Any] = {"origin": "imported", "clips": n_rows, "file": file}
    info |= length_facts(table)
    # The rows are made twice, a piece at a time, rather than held: as a whole they outgrow what they came from
    fingerprint = clips_fingerprint(clip_pieces(table))
    batches = (batch for piece in clip_pieces(table) for batch in piece.combine_chunks().to_batches())
    with writer_lock(workspace.path / "locks" / "segment.lock", purpose="import of clips", wait_s=10):
        workspace.commit_table("clips", pa.RecordBatchReader.from_batches(CLIPS, batches), fingerprint, info)


def length_facts(table: pa.Table) -> dict[str, Any]:
    """`hours` of the clips whose times are known (left out where none are), and how many are `untimed`, if any."""
    if not {"start_s", "end_s"} <= set(table.column_names):
        return {"untimed": table.num_rows}
    durations_s = pc.subtract(table["end_s"], table["start_s"])
    timed = pc.fill_null(pc.is_finite(durations_s), False)
    n_timed = int(pc.sum(timed).as_py() or 0)
    facts: dict[str, Any] = {"hours": pc.sum(pc.filter(durations_s, timed)).as_py() / 3600} if n_timed else {}
    return facts | ({"untimed": table.num_rows - n_timed} if n_timed < table.num_rows else {})


def clip_pieces(table: pa.Table, first: int = 0) -> Iterator[pa.Table]:
    """Rows of clips.parquet, numbered from `first`, of the columns of `read_clip_columns`; a piece at a time."""
    for start in range(0, table.num_rows, _CHUNK):
        yield _clip_rows(first + start, table.slice(start, _CHUNK))


def clips_fingerprint(pieces: Iterable[pa.Table]) -> str:
    """Of a table of imported clips, in pieces."""
    return fingerprint_of({"import": "clips", "rows": _digest(pieces)})


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


def _digest(pieces: Iterable[pa.Table]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        for batch in piece.to_batches(max_chunksize=65_536):
            digest.update(batch.serialize())
    return digest.hexdigest()
