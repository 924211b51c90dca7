"""The table of a selection's diversity and skew: numbers with their intervals, and the words that show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Value:
    """A number with its 95 % interval; None where it is not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One measure. `unit`: "share" or "index" (0 to 1), or "number". `subset`; `whole`: of all candidates; `random`,
    `matched`: mean of the drawn ones; `above_random`, `above_matched`: the subset's minus theirs, resampled together.
    """

    key: str
    title: str
    unit: str
    says: str
    subset: Value
    whole: Value
    random: Value
    matched: Value
    above_random: Value
    above_matched: Value


@dataclass(frozen=True)
class DiversityTable:
    """`clips` of `candidates`, of `sources`; `judged_on`: in words, the clusterings that clusters are counted in;
    `is_held_out`: none of them took part in the choice; `draws`: of each control; `folder`: where the rows behind the
    numbers lie.
    """

    selection: str
    clips: int
    candidates: int
    sources: int
    judged_on: str
    is_held_out: bool
    draws: int
    rows: tuple[Row, ...]
    notices: tuple[str, ...] = ()
    folder: Path | None = field(default=None, compare=False)

    def behind(self, key: str) -> np.ndarray:
        """Rows of clips behind a number, at most 600, int64; empty where there are none to show."""
        path = None if self.folder is None else self.folder / f"behind-{key}.npy"
        if path is None or not path.is_file():
            return np.zeros(0, np.int64)
        return np.load(path, allow_pickle=False).astype(np.int64)


def shown(value: Value, unit: str, *, signed: bool = False) -> str:
    """`27.3 (26.8 to 27.9)`, shares in percent, or a dash."""
    if value.value is None:
        return "-"
    plus = "+" if signed else ""
    digits, scale = {"share": (1, 100), "index": (2, 1), "number": (1, 1)}[unit]

    def of(x: float) -> str:
        text = f"{scale * x:{plus}.{digits}f}"
        return (text if text.strip("-0.") else text.replace("-", plus)).replace("-", "−")

    interval = "" if value.low is None or value.high is None else f" ({of(value.low)} to {of(value.high)})"
    return f"{of(value.value)}{' %' if unit == 'share' and not signed else ''}{interval}"


def report_lines(found: DiversityTable) -> list[str]:
    """The table as Markdown, for a terminal or a document."""
    lines = [
        f"{found.selection}: {found.clips:,} of {found.candidates:,} candidates, {found.sources:,} sources",
        f"clusters counted in: {found.judged_on}",
        f"random and content-matched random: mean of {found.draws}; 95 % intervals from resampled sources",
        *(f"note: {notice}" for notice in found.notices),
        "",
        "| | selection | all candidates | random | content-matched | minus random | minus content-matched |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in found.rows:
        cells = [shown(value, row.unit) for value in (row.subset, row.whole, row.random, row.matched)]
        cells += [shown(value, row.unit, signed=True) for value in (row.above_random, row.above_matched)]
        lines.append("| " + " | ".join([row.title, *cells]) + " |")
    return lines
