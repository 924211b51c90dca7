"""import_columns: a table made elsewhere is joined to the clips; each of its columns becomes columns/<name>.parquet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError, SettingError
from curation.importers.readers import as_text, check_identifier, file_digest, read_table
from curation.locks import writer_lock
from curation.records import CLIPS, shown_path
from curation.workspace import Workspace, fingerprint_of

EXAMPLES = 5
_MISSING = pa.array(["nan", "null", "none", "na", "n/a", "<na>"])
_TRUE = pa.array(["1", "1.0", "true"])
_FALSE = pa.array(["0", "0.0", "false"])


def import_columns(
    workspace: Workspace, file: str | os.PathLike[str], key: str, columns: Mapping[str, str]
) -> dict[str, Any]:
    """Join columns of a csv, tsv, jsonl or parquet file to the clips.

    `key`: the file's column that names a clip, by clip id, by root-relative (or absolute) path, by file name or by its
    stem: the one kind that most of the file's rows match is used, earlier ones first. A file with several clips gives
    its value to all of them. `columns`: source column -> name in the workspace. Values are boolean where all are 0, 1,
    true or false, else whole numbers, numbers, or text; empty cells stay without a value (null).

    Writes columns/<name>.parquet (clip_id, <name>), a row for every clip. Returns a report: columns, matched_by, rows,
    matched_rows, unmatched_rows, clips, clips_without_value, with_value, unmatched_examples, notices.

    Raises `InputError` when a column is missing, no row matches, or one key has two different values.
    """
    if not columns:
        raise SettingError("No column is named.", hint="Name the column to join.")
    for name in columns.values():
        _check_column_name(name)
    artefact = workspace.require("clips", "segment")
    clips = workspace.table("clips", ["clip_id", "path"])
    table = read_table(file, [key, *columns])
    keys = _without_roots(as_text(table[key]).combine_chunks(), workspace.roots)
    values = {name: typed(table[source]).combine_chunks() for source, name in columns.items()}
    match = _match(keys, clips, file)
    # All are joined before the first is written, so that a conflict in one leaves the workspace as it was.
    joined = {name: _joined(keys, value, match, name) for name, value in values.items()}
    digest = file_digest(file)
    report = _report(keys, match, joined)
    with writer_lock(workspace.path / "locks" / "columns.lock", purpose="import of columns", wait_s=10):
        for source, name in columns.items():
            info = {
                "origin": "imported",
                "file": Path(file).name,
                "key": key,
                "column": source,
                "matched_by": match.kind,
                "clips": len(joined[name]),
                "with_value": report["with_value"][name],
            }
            content = {"import": "column", "file": digest, "info": info, "clips": artefact.fingerprint}
            fingerprint = fingerprint_of(content)
            found = pa.table({"clip_id": clips["clip_id"], name: joined[name]})
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


@dataclass(frozen=True)
class _Match:
    """How keys name clips: the kind, the names of all clips in that kind, and those names that several files have."""

    kind: str
    names: pa.Array
    ambiguous: pa.Array


def _match(keys: pa.Array, clips: pa.Table, file: str | os.PathLike[str]) -> _Match:
    distinct = pc.drop_null(pc.unique(keys))
    paths = clips["path"].combine_chunks()
    best: tuple[int, str, pa.Array] | None = None
    for kind, names in _kinds(clips["clip_id"].combine_chunks(), paths):
        count = pc.sum(pc.is_in(distinct, names)).as_py() or 0
        if best is None or count > best[0]:
            best = count, kind, names
        if count == len(distinct):
            break
    assert best is not None
    if not best[0]:
        shown = ", ".join(repr(value) for value in distinct[:3].to_pylist()) or "nothing"
        clip = clips.slice(0, 1).to_pylist()[0] if clips.num_rows else {}
        raise InputError(
            f"No row of {file} names a clip of this workspace: its keys are {shown} ..., the clips are "
            f"{clip.get('clip_id', '')!r} ({clip.get('path', '')!r}) ...",
            hint="Choose as key the column with clip ids, paths below the media folder, file names or their stems.",
        )
    _, kind, names = best
    return _Match(kind, names, _ambiguous(names, paths) if kind in ("file name", "stem") else pa.array([], pa.string()))


def _kinds(clip_ids: pa.Array, paths: pa.Array) -> Any:
    yield "clip id", clip_ids
    nothing = pa.scalar(None, pa.string())
    known = pc.if_else(pc.equal(paths, ""), nothing, paths)  # imported clips may have no path: no name, no match
    yield "path", known
    file_names = pc.replace_substring_regex(known, r"(?s)^.*/", "")
    yield "file name", file_names
    yield "stem", pc.replace_substring_regex(file_names, r"(?s)(.)\.[^.]*$", r"\1")


def _ambiguous(names: pa.Array, paths: pa.Array) -> pa.Array:
    """Names that several files have: none of them can be meant."""
    pairs = pa.table({"name": names, "path": paths}).group_by(["name", "path"]).aggregate([])
    counts = pairs.group_by("name").aggregate([("path", "count")])
    several = counts.filter(pc.and_(pc.greater(counts["path_count"], 1), pc.is_valid(counts["name"])))
    return several["name"].combine_chunks()


def _joined(keys: pa.Array, values: pa.Array, match: _Match, name: str) -> pa.Array:
    """The value of every clip, null without one. Raises `InputError` when a key has two."""
    used = pc.and_(pc.is_valid(keys), pc.is_valid(values))
    keys, values = keys.filter(used), values.filter(used)
    codes = keys.dictionary_encode()
    index = codes.indices.to_numpy()
    first = np.zeros(len(codes.dictionary), np.int64)
    first[index[::-1]] = np.arange(len(index) - 1, -1, -1)
    differs = pc.not_equal(values, values.take(pa.array(first[index])))
    if pc.any(differs).as_py():
        shown = pc.unique(keys.filter(differs))
        examples = ", ".join(repr(value) for value in shown[:EXAMPLES].to_pylist())
        raise InputError(
            f"{len(shown)} keys have two different values of {name}: {examples}{' ...' * (len(shown) > EXAMPLES)}.",
            hint="Give each clip one row, or use a key that tells them apart. Nothing was imported.",
        )
    at = pc.index_in(match.names, codes.dictionary)
    if len(match.ambiguous):
        at = pc.if_else(pc.is_in(match.names, match.ambiguous), pa.scalar(None, pa.int32()), at)
    return values.take(pa.array(first)).take(at)


def _report(keys: pa.Array, match: _Match, joined: dict[str, pa.Array]) -> dict[str, Any]:
    names_clip = pc.and_(pc.is_in(keys, pc.drop_null(match.names)), pc.is_valid(keys))
    matched = pc.and_(names_clip, pc.invert(pc.is_in(keys, match.ambiguous)))
    n_matched = pc.sum(matched).as_py() or 0
    unmatched = pc.unique(keys.filter(pc.invert(names_clip)))
    several = pc.drop_null(pc.unique(keys.filter(pc.is_in(keys, match.ambiguous))))
    notices = []
    if len(several):
        notices.append(
            f"{len(several)} keys are the {match.kind} of several files and were left out, for example "
            f"{several[0].as_py()!r}: use paths below the media folder."
        )
    without = None
    for values in joined.values():
        without = pc.is_null(values) if without is None else pc.and_(without, pc.is_null(values))
    return {
        "columns": {name: _type_name(values.type) for name, values in joined.items()},
        "matched_by": match.kind,
        "rows": len(keys),
        "matched_rows": n_matched,
        "unmatched_rows": len(keys) - n_matched,
        "clips": len(match.names),
        "clips_without_value": pc.sum(without).as_py() or 0,
        "with_value": {name: len(values) - values.null_count for name, values in joined.items()},
        "unmatched_examples": [value or "" for value in unmatched[:EXAMPLES].to_pylist()],
        "notices": notices,
    }


def _type_name(kind: pa.DataType) -> str:
    return {pa.bool_(): "true/false", pa.int64(): "whole numbers", pa.float64(): "numbers"}.get(kind, "text")


def _without_roots(keys: pa.Array, roots: list[str]) -> pa.Array:
    """Absolute paths below a media root, and paths that begin with ./, as root-relative ones."""
    for root in [*(shown_path(os.fsencode(root)).rstrip("/") + "/" for root in roots), "./"]:
        keys = pc.if_else(pc.starts_with(keys, root), pc.utf8_slice_codeunits(keys, start=len(root)), keys)
    return keys


def _check_column_name(name: str) -> None:
    check_identifier(name, "a column")
    if name in CLIPS.names or name in ("rank", "score", "gain") or name.startswith("cluster_"):
        raise SettingError(f"{name!r} is a column that clips have already.", hint="Give it another name: --name NAME")
