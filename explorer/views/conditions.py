"""Conditions on single columns of clips, as the address carries them: texts go in, conditions and masks come out.

One condition is `name:op:value`, several are separated by semicolons; names and texts are percent-encoded, so that no
name breaks another's. `op` is `in` (a range `low..high`, either end may be missing), `is` (`yes` or `no`) or `has` (a
text, taken literally, whatever the case).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from explorer.views import words

MOST = 12
TEXT_MAX = 200
Op = Literal["in", "is", "has"]


@dataclass(frozen=True)
class Condition:
    """What one column must be. `low` and `high` belong to `in` (None = open), `text` to `is` and `has`."""

    column: str
    op: Op
    low: float | None = None
    high: float | None = None
    text: str = ""


def parse(spelled: str) -> list[Condition]:
    """The conditions in a parameter of the address, at most `MOST`; what is none is left out."""
    found = (_parsed(part) for part in spelled.split(";")[: 4 * MOST])
    return [one for one in found if one is not None][:MOST]


def spell(conditions: list[Condition]) -> str:
    """Conditions for the address; empty for none."""
    return ";".join(f"{quote(one.column, safe='')}:{one.op}:{_value(one)}" for one in conditions)


def replaced(conditions: list[Condition], new: Condition) -> list[Condition]:
    """`new` in the place of the one of its column, else at the end; one that says nothing takes it away."""
    says = bool(new.text) if new.op != "in" else new.low is not None or new.high is not None
    if any(one.column == new.column for one in conditions):
        kept = [new if one.column == new.column else one for one in conditions]
    else:
        kept = [*conditions, new]
    return kept if says else [one for one in kept if one is not new]


def said(condition: Condition, unit: str = "") -> str:
    """`onset_percentile ≥ 95 percent`, `speech_like`, `not static`, `title has “dog”`."""
    name = condition.column.strip()
    if condition.op == "is":
        return name if condition.text == "yes" else f"not {name}"
    if condition.op == "has":
        return f"{name} has “{condition.text}”"
    ends = [None if end is None else _short(end) for end in (condition.low, condition.high)]
    tail = f" {unit}" if unit else ""
    if ends[0] is not None and ends[1] is not None:
        return f"{name} {ends[0]} to {ends[1]}{tail}"
    return f"{name} ≥ {ends[0]}{tail}" if ends[0] is not None else f"{name} ≤ {ends[1]}{tail}"


def between(values: np.ndarray, low: float | None, high: float | None) -> np.ndarray:
    """bool (N,): within both ends, which belong to it; a clip without a value (NaN) is not."""
    mask = ~np.isnan(values)
    if low is not None:
        mask &= values >= low
    if high is not None:
        mask &= values <= high
    return mask


def has_text(values: pa.Array | pa.ChunkedArray, text: str) -> np.ndarray:
    """bool (N,): the value holds `text`, taken literally, whatever the case; one without a value does not."""
    found = pc.match_substring(pc.cast(values, pa.string()), text, ignore_case=True)
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)


def _parsed(part: str) -> Condition | None:
    pieces = part.split(":", 2)
    if len(pieces) != 3:
        return None
    column, op, value = unquote(pieces[0])[:TEXT_MAX], pieces[1], pieces[2]
    if op == "is" and value in ("yes", "no"):
        return Condition(column, "is", text=value)
    if op == "has" and unquote(value).strip():
        return Condition(column, "has", text=unquote(value)[:TEXT_MAX])
    if op == "in" and ".." in value:
        low, high = (_number(end) for end in value.split("..", 1))
        return Condition(column, "in", low, high) if low is not None or high is not None else None
    return None


def _value(condition: Condition) -> str:
    if condition.op == "in":
        return "..".join("" if end is None else f"{end:.10g}" for end in (condition.low, condition.high))
    return condition.text if condition.op == "is" else quote(condition.text, safe="")


def _number(text: str) -> float | None:
    try:
        value = float(text[:40])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _short(value: float) -> str:
    return words.number(value, 0 if value == int(value) else 3)
