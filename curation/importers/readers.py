"""Reading files made elsewhere: tables (csv, tsv, jsonl, parquet) as Arrow, .npy as memory maps; never a pickle."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from curation.errors import InputError, SettingError
from curation.importers import jsonl

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
CELL_MAX = 65_536  # characters of a cell that is text
# The header of an .npy is Python, and may name any shape.
_NPY_ERRORS = (OSError, ValueError, EOFError, SyntaxError, TokenError, MemoryError, OverflowError)
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def table_columns(file: str | os.PathLike[str]) -> list[str]:
    """Names of a table's columns. Raises `InputError` when the file is missing or no table."""
    path, kind = _table_kind(file)
    try:
        if kind == ".parquet":
            return list(pq.read_schema(path).names)
        if kind in _DELIMITERS:
            with csv.open_csv(path, parse_options=_parse_options(kind)) as reader:
                return list(reader.schema.names)
        return jsonl.column_names(path)
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error


def read_table(file: str | os.PathLike[str], columns: Iterable[str]) -> pa.Table:
    """Some columns of a table. Cells of csv and tsv stay text, as written ("0012" keeps its zeros).

    Raises `InputError` when the file is missing, damaged, of another kind or without one of the columns.
    """
    wanted = list(dict.fromkeys(columns))
    present = table_columns(file)
    for name in wanted:
        if name not in present:
            raise InputError(f"{file} has no column {name!r}.", hint=f"Its columns: {', '.join(present) or 'none'}.")
        if present.count(name) > 1:
            raise InputError(f"{file} has {present.count(name)} columns {name!r}.", hint="Give each its own name.")
    path, kind = _table_kind(file)
    try:
        if kind == ".parquet":
            return pq.read_table(path, columns=wanted, partitioning=None)
        if kind in _DELIMITERS:
            convert = csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
            )
            return csv.read_csv(path, parse_options=_parse_options(kind), convert_options=convert)
        return jsonl.read_columns(path, wanted)
    except (pa.ArrowException, OSError, EOFError, ValueError, zlib.error) as error:
        raise _unreadable(path, error) from error


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A plain column as text without surrounding spaces; empty text is null.

    Raises `InputError` for nested values, for bytes that are not UTF-8, and for cells above `CELL_MAX` characters.
    """
    if pa.types.is_nested(column.type):
        raise InputError(f"A column of {column.type} cannot be joined.", hint="Choose one with plain values.")
    try:
        return pa.chunked_array([_chunk_as_text(chunk) for chunk in column.chunks], pa.string())
    except pa.ArrowException as error:
        raise InputError(f"A column of {column.type} cannot be read as text ({error}).") from error


def _chunk_as_text(chunk: pa.Array) -> pa.Array:
    """A chunk at a time: of a long column only the result is there beside it."""
    plain = chunk.cast(pa.string())
    plain.validate(full=True)  # a Parquet file may call any bytes a text
    longest = pc.max(pc.utf8_length(plain)).as_py() or 0
    if longest > CELL_MAX:
        raise InputError(f"A cell has {longest} characters; at most {CELL_MAX} can be joined.")
    text = pc.utf8_trim_whitespace(plain)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def load_npy(file: str | os.PathLike[str], *, n_dims: int, what: str) -> np.ndarray:
    """A memory-mapped .npy of `n_dims` dimensions. Raises `InputError` saying what it is instead."""
    path = _existing(file)
    refuse_pickle(path)
    if path.suffix.lower() == ".npz":
        raise InputError(f"{path} holds several arrays (.npz).", hint="Save the one that is meant with numpy.save.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _NPY_ERRORS as error:
        raise InputError(f"{path} cannot be read as a .npy array ({error}).", hint="Use numpy.save.") from error
    if array.ndim != n_dims:
        raise InputError(f"{path} has shape {array.shape}; {what} have {n_dims} dimensions.")
    return array


def refuse_pickle(path: Path) -> None:
    """Raise `InputError` for a file that only running it as a program would open."""
    if path.suffix.lower() in _PICKLES:
        raise InputError(
            f"{path} is a pickle, which can run any program when it is read, so it is refused.",
            hint="Save the array with numpy.save (.npy), or the table as Parquet, and import that.",
            code="pickle",
        )


def file_digest(file: str | os.PathLike[str]) -> str:
    """BLAKE2b (hex) of a file's bytes."""
    path = _existing(file)
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "blake2b").hexdigest()[:32]
    except OSError as error:
        raise _unreadable(path, error) from error


def check_identifier(name: str, what: str) -> str:
    """A name that settings can list (`select.layers`): letters, digits, dot, dash, underscore; at most 80."""
    if not re.fullmatch(r"\w[\w.-]{0,79}", name):
        raise SettingError(f"{name!r} cannot be the name of {what}.", hint="Use letters, digits, . _ - (at most 80).")
    return name


def is_table(file: str | os.PathLike[str]) -> bool:
    """True for the names of csv, tsv, jsonl and parquet files, also .gz."""
    path = Path(file)
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return plain.suffix.lower() in TABLE_SUFFIXES


def _table_kind(file: str | os.PathLike[str]) -> tuple[Path, str]:
    path = _existing(file)
    refuse_pickle(path)
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    kind = plain.suffix.lower()
    if kind not in TABLE_SUFFIXES:
        raise InputError(f"{path} is not a table that can be read.", hint=f"Kinds: {', '.join(TABLE_SUFFIXES)}.")
    return path, kind


def _existing(file: str | os.PathLike[str]) -> Path:
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"There is no file {path}.", hint="Check the path.")
    return path


def _parse_options(kind: str) -> csv.ParseOptions:
    return csv.ParseOptions(delimiter=_DELIMITERS[kind], newlines_in_values=True)


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be read as a table ({error}).", hint="Is it complete, in UTF-8, with a header?")
