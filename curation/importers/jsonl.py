"""A file of one JSON object a line in; its columns as Arrow out.

Lines are parsed by Python itself: Arrow's own reader of JSON ends the whole process on some broken files.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

LINE_BYTES_MAX = 1 << 24
_ROWS_AT_ONCE = 65_536


def column_names(path: Path) -> list[str]:
    """Names that any line has, in the order of their first appearance. Raises as `rows`."""
    return list(dict.fromkeys(name for row in rows(path) for name in row))


def read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    """Some columns; null where a line lacks one, whole numbers as doubles where others of the column are.

    Raises as `rows`, and `pa.ArrowException` for a column of several types.
    """
    lines = rows(path)
    pieces = []
    while piece := list(islice(lines, _ROWS_AT_ONCE)):
        pieces.append(pa.table({name: _array([row.get(name) for row in piece]) for name in names}))
    if not pieces:
        return pa.table({name: pa.nulls(0) for name in names})
    return pa.concat_tables(pieces, promote_options="permissive")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file, also of one that gzip packed; empty lines are left out.

    Raises `ValueError` for a line that is no JSON object, or is longer than 16 MiB, with its number; `OSError`.
    """
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        for number in count(1):
            line = file.readline(LINE_BYTES_MAX + 1)
            if not line:
                return
            if len(line) > LINE_BYTES_MAX:
                raise ValueError(f"line {number} is longer than {LINE_BYTES_MAX >> 20} MiB")
            if line.strip():
                yield _row(line, number)


def _row(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"line {number} is no JSON object")
    return found


def _array(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (OverflowError, UnicodeError, RecursionError) as error:
        raise ValueError(f"a value cannot be kept ({error})") from error
