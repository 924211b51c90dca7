"""Why a clip was picked or not, and what stands beside it: facts of one clip go in, cells and words come out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.views import words


@dataclass(frozen=True)
class CellOfClip:
    """A clip's cell in one sound x picture pair."""

    sound: str
    picture: str
    sound_cluster: int
    picture_cluster: int
    clips: int  # in this cell
    pmi: float  # nats


@dataclass(frozen=True)
class Table:
    """Clips of a pair of clusterings: `counts` int (R, C), and its sums over rows, columns and all."""

    counts: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    n: int

    @classmethod
    def of(cls, counts: np.ndarray) -> Table:
        """The sums of a table, taken once."""
        return cls(counts, counts.sum(1, dtype=np.int64), counts.sum(0, dtype=np.int64), int(counts.sum()))


def cell_of(sound: str, picture: str, a: int, b: int, table: Table) -> CellOfClip:
    """The cell (a, b) of a pair's table: PMI = log(n n_ab / (n_a n_b)), nats."""
    n_ab = int(table.counts[a, b])
    expected = float(table.rows[a]) * float(table.cols[b]) / max(1, table.n)
    return CellOfClip(sound, picture, a, b, n_ab, math.log(n_ab / expected) if n_ab else math.nan)


def ordered(cells: Sequence[CellOfClip]) -> list[CellOfClip]:
    """The most expected pairing first."""
    return sorted(cells, key=lambda cell: -cell.pmi)


@dataclass(frozen=True)
class Standing:
    """What is known of a clip that a run did not pick. None: not known, or of no meaning in this run.

    `missing`: layers without a value of it. `copy_of`: a picked clip that it is a copy of, in words. `source_clips` of
    its source were picked, of at most `source_limit`. `score`, and the lowest one that was picked.
    """

    missing: Sequence[str] = ()
    in_scope: bool | None = None
    scope: str = ""
    dropped_by: str = ""
    excluded: str = ""
    unhealthy: Sequence[str] = ()
    copy_of: str = ""
    source_clips: int = 0
    source_limit: int = 0
    score: float = math.nan
    lowest: float = math.nan
    percentile: float = math.nan


def reason(known: Standing, picked: int) -> str:
    """Why a clip is not among the `picked` clips of a run: the first cause that holds, in the order of the funnel."""
    if known.missing:
        layers = ", ".join(words.layer(name) for name in known.missing[:3])
        more = f" and {len(known.missing) - 3} more" if len(known.missing) > 3 else ""
        return f"no candidate: it has no value in {layers}{more}"
    if known.in_scope is False:
        flags = f"; not healthy: {', '.join(known.unhealthy[:3])}" if known.unhealthy else ""
        return f"not in the run's scope ({known.scope}){flags}"
    if known.dropped_by:
        return f"dropped in review by {known.dropped_by}, which this run honours"
    if known.excluded:
        return f"excluded by the run's condition ({known.excluded})"
    if known.copy_of:
        return f"a copy of {known.copy_of}, which was picked"
    if known.source_limit and known.source_clips >= known.source_limit:
        return f"its source already has the {words.count(known.source_limit)} that one source may have"
    if not math.isfinite(known.score):
        return "it was never compared before the budget was full"
    return f"the budget of {words.count(picked)} was filled before it"


def score_line(score: float, percentile: float, lowest: float) -> str:
    """`score 0.31, 42nd percentile of the candidates · lowest picked 0.58`; empty without a score."""
    if not math.isfinite(score):
        return ""
    text = f"score {words.number(score)}"
    if math.isfinite(percentile):
        text += f", {words.ordinal(round(percentile))} percentile of the candidates"
    return text + (f" · lowest picked {words.number(lowest)}" if math.isfinite(lowest) else "")


def percentile(values: np.ndarray, value: float) -> float:
    """How many of the numbers among `values` (NaN = none) are below `value`, ties counting half, 0 to 100."""
    known = np.count_nonzero(~np.isnan(values))
    if not known or not math.isfinite(value):
        return math.nan
    below, equal = np.count_nonzero(values < value), np.count_nonzero(values == value)
    return 100.0 * (below + 0.5 * equal) / known


def timing_line(percent: float | None, clear: bool | None, offset_s: float | None) -> str:
    """The clip's timing in words; empty where it was not measured."""
    if percent is None or not math.isfinite(percent):
        return ""
    at = f"{words.ordinal(round(percent))} percentile of shifted and other sounds"
    if not clear:
        return f"no clear event: sound and motion onsets at the {at}, which is no fault"
    if offset_s is None or not math.isfinite(offset_s):
        return f"sound and motion onsets: {at}"
    sense = "sound after motion" if offset_s > 0.02 else "sound before motion" if offset_s < -0.02 else "together"
    return f"sound and motion onsets: {words.signed(offset_s)} s ({sense}), {at}"


def health_line(flags: Sequence[str]) -> str:
    """What its health says: the flags that hold."""
    return f"Health: {', '.join(flags).replace('_', ' ') if flags else 'no flag'}"


def pmi_style(value: float, diverging: Sequence[str]) -> str:
    """CSS of a PMI's cell: a diverging scale (odd number of #RRGGBB, centred on 0), full colour at 2 nats."""
    if not math.isfinite(value):
        return ""
    place = (max(-1.0, min(1.0, value / 2)) + 1) / 2 * (len(diverging) - 1)
    low = min(int(place), len(diverging) - 2)
    ends = [[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in diverging[low : low + 2]]
    mixed = [round(a + (b - a) * (place - low)) for a, b in zip(*ends, strict=True)]
    luminance = (0.2126 * mixed[0] + 0.7152 * mixed[1] + 0.0722 * mixed[2]) / 255
    ink = "#10161d" if luminance > 0.45 else "#ffffff"
    return f"background-color: #{mixed[0]:02x}{mixed[1]:02x}{mixed[2]:02x}; color: {ink}"


def disagreement(own: int, others: np.ndarray) -> np.ndarray:
    """bool (m,): neighbours whose cluster in the other modality is not the clip's own; -1 = no value is no answer."""
    return (others >= 0) & (others != own) if own >= 0 else np.zeros(len(others), bool)


def disagreement_line(differ: int, total: int, noun: str, other: str) -> str:
    """`4 of 6 that sound like it have another picture cluster`."""
    verb = "sound" if noun == "sound" else "look"
    if not total:
        return ""
    if not differ:
        return f"all {total} that {verb} like it share its {other} cluster"
    return f"{differ} of {total} that {verb} like it have another {other} cluster (≠)"
