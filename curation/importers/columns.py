"""import_columns: a table made elsewhere is joined to the clips; each of its columns becomes columns/<name>.parquet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError, SettingError
from curation.importers.matching import (
    EXAMPLES,
    KEY_COLUMNS,
    START_COLUMNS,
    Keys,
    Match,
    find_column,
    match_rows,
    numbers_of,
)
from curation.importers.readers import as_text, check_identifier, file_digest, read_table, table_columns
from curation.locks import writer_lock
from curation.records import CLIPS
from curation.strings import whole
from curation.workspace import Workspace, fingerprint_of

_MISSING = pa.array(["nan", "null", "none", "na", "n/a", "<na>"])
_TRUE = pa.array(["1", "1.0", "true"])
_FALSE = pa.array(["0", "0.0", "false"])


def import_columns(
    workspace: Workspace,
    file: str | os.PathLike[str],
    key: str = "",
    columns: Mapping[str, str] | None = None,
    start: str = "",
) -> dict[str, Any]:
    """Join columns of a csv, tsv, jsonl or parquet file to the clips.

    `key`: the file's column that names a clip, by any of the ways of `curation.importers.matching`: the one that most
    of the file's rows fit is used, earlier ones first. Without a start a file with several clips gives its value to all
    of them. `start`: the column with the clip's start in seconds (within 0.5 s). Without `key` both are found by the
    usual names (`clip_id`, `path`, `filename`, `url`, ...; `start_s`, `start`, ...). `columns`: source column -> name
    in the workspace; None: every other column that can be one. Values are boolean where all are 0, 1, true or false,
    else whole numbers, numbers, or text; empty cells stay without a value (null).

    Writes columns/<name>.parquet (clip_id, <name>), a row for every clip. Returns a report: columns, with_value,
    clips_without_value, and what `Match.facts` says.

    Raises `InputError` when a column is missing, no row matches, or one clip has two different values.
    """
    key, start = _key_columns(file, key, start)
    skipped: list[str] = []
    if columns is None:
        columns, skipped = _every_column(file, {key, start})
    if not columns:
        raise SettingError("No column is named.", hint="Name the column to join.")
    for name in columns.values():
        _check_column_name(name)
    if len(set(columns.values())) < len(columns):
        raise SettingError("Two columns would have the same name.", hint=f"Names: {', '.join(columns.values())}.")
    artefact = workspace.require("clips", "segment")
    table = read_table(file, [key, *columns, *([start] if start else [])])
    start_s = numbers_of(as_text(table[start]), f"The column {start!r}") if start else None
    keys = Keys(whole(as_text(table[key])), start_s)
    values = {name: typed(table[source]).combine_chunks() for source, name in columns.items()}
    match = match_rows(workspace, [keys], str(file))
    # All are joined before the first is written, so that a conflict in one leaves the workspace as it was.
    joined = {name: _joined(value, match, name) for name, value in values.items()}
    digest = file_digest(file)
    report = _report(match, joined, skipped)
    with writer_lock(workspace.path / "locks" / "columns.lock", purpose="import of columns", wait_s=10):
        for source, name in columns.items():
            info = {
                "origin": "imported",
                "file": Path(file).name,
                "key": key,
                "start": start,
                "column": source,
                "matched_by": match.kind,
                "clips": len(joined[name]),
                "with_value": report["with_value"][name],
            }
            content = {"import": "column", "file": digest, "info": info, "clips": artefact.fingerprint}
            fingerprint = fingerprint_of(content)
            found = pa.table({"clip_id": match.clip_ids, name: joined[name]})
            workspace.commit_table(f"columns/{name}", found, fingerprint, info)
    return report


def typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values as nullable bool where all are 0/1/true/false, else int64, float64 or text; "nan", "null" ... are null."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers = column.cast(pa.float64(), safe=False)
        numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
        if pc.all(pc.is_in(pc.drop_null(numbers), pa.array([0.0, 1.0]))).as_py() and numbers.null_count < len(numbers):
            return numbers.cast(pa.bool_())
        return numbers if pa.types.is_floating(kind) else column.cast(pa.int64())
    text = as_text(column)
    lower = pc.utf8_lower(text)
    text = pc.if_else(pc.is_in(lower, _MISSING), pa.scalar(None, pa.string()), text)
    present = pc.unique(pc.utf8_lower(pc.drop_null(text)))
    if len(present) and pc.all(pc.or_(pc.is_in(present, _TRUE), pc.is_in(present, _FALSE))).as_py():
        return pc.if_else(pc.is_valid(text), pc.is_in(lower, _TRUE), pa.scalar(None, pa.bool_()))
    for number in (pa.int64(), pa.float64()):
        try:
            return text.cast(number)
        except pa.ArrowInvalid:
            continue
    return text


def _key_columns(file: str | os.PathLike[str], key: str, start: str) -> tuple[str, str]:
    """The columns that name a clip: as given, else the usual ones that the file has."""
    if key:
        return key, start
    there = table_columns(file)
    found = find_column(there, KEY_COLUMNS)
    if found is None:
        raise InputError(
            f"{file} has no column that is known to name clips.",
            hint=f"Say which one does: its columns are {', '.join(there)}. Known: {', '.join(KEY_COLUMNS)}.",
        )
    if found.strip().lower() == "clip_id":
        return found, start
    return found, start or find_column(there, START_COLUMNS) or ""


def _every_column(file: str | os.PathLike[str], keys: set[str]) -> tuple[dict[str, str], list[str]]:
    """Every column that clips do not have already, under its own name; and those whose names cannot be kept."""
    found, skipped = {}, []
    for name in table_columns(file):
        if name in keys or name in CLIPS.names:
            continue
        try:
            _check_column_name(name)
            found[name] = name
        except SettingError:
            skipped.append(name)
    return found, skipped


def _joined(values: pa.Array, match: Match, name: str) -> pa.Array:
    """The value of every clip, null without one. Raises `InputError` when one has two."""
    used = np.flatnonzero(pc.is_valid(values).to_numpy(zero_copy_only=False) & match.matched)
    key = match.row_key[used]
    first = np.full(max(key.max(initial=-1), match.clip_key.max(initial=-1)) + 2, -1, np.int64)
    first[key[::-1]] = used[::-1]
    differs = pc.not_equal(values.take(pa.array(used)), values.take(pa.array(first[key])))
    if pc.any(differs).as_py():
        shown = pc.unique(match.labels.take(pa.array(used)).filter(differs))
        examples = ", ".join(repr(value) for value in shown[:EXAMPLES].to_pylist())
        raise InputError(
            f"{len(shown)} keys have two different values of {name}: {examples}{' ...' * (len(shown) > EXAMPLES)}.",
            hint="Give each clip one row, or use a key that tells them apart. Nothing was imported.",
        )
    at = first[match.clip_key]
    return values.take(pa.array(at, mask=at < 0))


def _report(match: Match, joined: dict[str, pa.Array], skipped: list[str]) -> dict[str, Any]:
    without = np.ones(len(match.clip_key), bool)
    for values in joined.values():
        without &= pc.is_null(values).to_numpy(zero_copy_only=False)
    facts = match.facts()
    if skipped:
        shown = ", ".join(repr(name[:80]) for name in skipped[:EXAMPLES])
        facts["notices"].append(f"{len(skipped)} columns were left out, their names cannot be kept: {shown}.")
    return {
        "columns": {name: _type_name(values.type) for name, values in joined.items()},
        "with_value": {name: len(values) - values.null_count for name, values in joined.items()},
        "clips_without_value": int(without.sum()),
        **facts,
    }


def _type_name(kind: pa.DataType) -> str:
    return {pa.bool_(): "true/false", pa.int64(): "whole numbers", pa.float64(): "numbers"}.get(kind, "text")


def _check_column_name(name: str) -> None:
    check_identifier(name, "a column")
    if name in CLIPS.names or name in ("rank", "score", "gain") or name.startswith("cluster_"):
        raise SettingError(f"{name!r} is a column that clips have already.", hint="Give it another name: --name NAME")
