"""Diversity and skew in rows: tables of selections go in; what figures and tables show comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import pandas as pd

from curation.diversity_table import DiversityTable, Row, Value, shown

BREADTH = ("effective_audio", "effective_visual", "covered_audio", "covered_visual", "stability")
SKEW = ("speech_like", "music_like", "silent", "static", "copies", "sources_largest")
BEHIND = {
    "speech_like": "chosen and speech-like",
    "music_like": "chosen and music-like",
    "silent": "chosen and silent",
    "static": "chosen, with a static picture",
    "copies": "chosen, with a copy that is chosen too",
    "sources_largest": "of the largest source",
    "stability": "chosen, but never again with other seeds",
    "covered_audio": "candidates in sound clusters of which nothing was chosen",
    "covered_visual": "candidates in picture clusters of which nothing was chosen",
}


@dataclass(frozen=True)
class Beside:
    """One measure beside its controls, percent: the subset's, random's and content-matched random's, with intervals."""

    name: str
    subset: tuple[float, float, float]
    random: tuple[float, float, float] | None
    matched: tuple[float, float, float] | None
    whole: float | None


def beside(found: DiversityTable, keys: Sequence[str]) -> list[Beside]:
    """Measures in percent: shares as they are, numbers in percent of the candidates'. What is not known is left out."""
    rows = {row.key: row for row in found.rows}
    return [one for key in keys if key in rows and (one := _beside(rows[key])) is not None]


def _beside(row: Row) -> Beside | None:
    scale = 100.0
    if row.unit == "number":
        if not row.whole.value:
            return None
        scale /= row.whole.value
    mine = _scaled(row.subset, scale)
    if mine is None:
        return None
    whole = None if row.whole.value is None else scale * row.whole.value
    return Beside(row.title, mine, _scaled(row.random, scale), _scaled(row.matched, scale), whole)


def _scaled(value: Value, scale: float) -> tuple[float, float, float] | None:
    if value.value is None:
        return None
    low = value.value if value.low is None else value.low
    high = value.value if value.high is None else value.high
    return scale * value.value, scale * low, scale * high


def table(found: DiversityTable) -> pd.DataFrame:
    """Everything that is known of a selection, a row a measure."""
    return pd.DataFrame(
        {
            "": [row.title for row in found.rows],
            "Selection": [shown(row.subset, row.unit) for row in found.rows],
            "All candidates": [shown(row.whole, row.unit) for row in found.rows],
            "Random": [shown(row.random, row.unit) for row in found.rows],
            "Content-matched": [shown(row.matched, row.unit) for row in found.rows],
            "Minus random": [shown(row.above_random, row.unit, signed=True) for row in found.rows],
            "Minus content-matched": [shown(row.above_matched, row.unit, signed=True) for row in found.rows],
        }
    )


def compared(tables: Sequence[DiversityTable]) -> pd.DataFrame:
    """Runs side by side: a row a measure, a column a run."""
    titles = {row.key: row.title for found in tables for row in found.rows}
    columns = {}
    for found in tables:
        rows = {row.key: row for row in found.rows}
        columns[found.selection] = [shown(rows[key].subset, rows[key].unit) if key in rows else "-" for key in titles]
    return pd.DataFrame({"": list(titles.values()), **columns})


def stands_out(found: DiversityTable) -> list[str]:
    """Measures whose difference from random is beyond chance, as sentences, largest first: at 5 % for all measures
    together (Bonferroni), as one in twenty 95 % intervals lies beside 0 where nothing differs.
    """
    said = []
    measured = sum(row.above_random.low is not None for row in found.rows)
    wider = NormalDist().inv_cdf(1 - 0.025 / max(1, measured)) / NormalDist().inv_cdf(0.975)
    for row in found.rows:
        gap = row.above_random
        if gap.value is None or gap.low is None or gap.high is None:
            continue
        if gap.value - wider * (gap.value - gap.low) <= 0 <= gap.value + wider * (gap.high - gap.value):
            continue
        spread = max(1e-9, gap.high - gap.low)
        more = "more" if gap.value > 0 else "less"
        text = f"{row.title}: {shown(row.subset, row.unit)}, {more} than random's {shown(row.random, row.unit)}"
        said.append((abs(gap.value) / spread, text))
    return [text for _, text in sorted(said, reverse=True)]
