"""Columns that came with the media: those of one item in, JSON-able ones out; those of all in, a table out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from curation.records import CLIPS, FILTERED, VIDEOS

MAX_COLUMNS = 200
MAX_TEXT = 20_000
# Names that the workspace's own tables have: a column that is listed under one of them gets `listed_` before it
TAKEN = frozenset(name.lower() for schema in (VIDEOS, FILTERED, CLIPS) for name in schema.names)
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")


def tidy(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns with names that any table can have and values that JSON can carry; empty ones are left out."""
    found: dict[str, Any] = {}
    names: set[str] = set()
    for name, value in columns.items():
        plain = _plain(value)
        name = "".join(c if c.isprintable() else "_" for c in plain_text(str(name)))[:80] or "unnamed"
        if name.lower() in TAKEN or name.lower() in names:
            name = f"listed_{name}"
        if plain is not None and len(found) < MAX_COLUMNS:
            names.add(name.lower())
            found[name] = plain
    return found


def _plain(value: Any) -> bool | int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)[:MAX_TEXT]
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, list | dict | tuple):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return plain_text(str(value))[:MAX_TEXT] or None


def plain_text(text: str) -> str:
    """`text` as any table can hold it: bytes that were no UTF-8 as \\xNN, half characters as \\uNNNN."""
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # JSON may spell half of a character
        content = text.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace").strip()


def as_table(video_ids: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> tuple[pa.Table, int]:
    """The table `listed`: video_id and one column for every name, null where an item has no value.

    Types follow the values: bool, int64, float64 where all of a column are such or are texts that spell one and nothing
    else (`0012` stays text), else text. Names that differ only in case are one column. At most 200 columns; returns how
    many more there were.
    """
    rows = list(rows)
    spelled: dict[str, str] = {}
    for row in rows:
        for name in row:
            spelled.setdefault(name.lower(), name)
    kept = sorted(spelled)[:MAX_COLUMNS]
    values: dict[str, list[Any]] = {name: [None] * len(rows) for name in kept}
    for at, row in enumerate(rows):
        for name, value in row.items():
            if name.lower() in values:
                values[name.lower()][at] = value
    columns = {spelled[name]: _typed(values.pop(name)) for name in kept}
    return pa.table({"video_id": pa.array(video_ids, pa.string()), **columns}), len(spelled) - len(kept)


def _typed(values: list[Any]) -> pa.Array:
    present = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in present):
        return pa.array(values, pa.bool_())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        if all(isinstance(value, int) for value in present):
            return pa.array(values, pa.int64())
        # Made floats here: Arrow takes no whole number that a float64 would round.
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    texts = [None if value is None else _spelled(value) for value in values]
    given = [text for text in texts if text is not None]
    if all(text.lower() in ("true", "false") for text in given):
        return pa.array([None if text is None else text.lower() == "true" for text in texts], pa.bool_())
    if all(_WHOLE.fullmatch(text) for text in given):
        return pa.array([None if text is None else int(text) for text in texts], pa.int64())
    if all(_NUMBER.fullmatch(text) for text in given):
        return pa.array([None if text is None else float(text) for text in texts], pa.float64())
    return pa.array(texts, pa.string())


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
