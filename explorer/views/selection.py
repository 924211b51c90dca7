"""A finished or running selection in numbers: picks, curves and a truth column go in, what the page says comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from curation.kernels.contingency import contingency_table
from curation.kernels.pairing import pair_indices

PREFIX_METHODS = ("random", "batch-greedy", "greedy", "ratio")
"""Methods whose first n picks are the run with budget n (with the same number of clips taken of each batch)."""

ESTIMATE_HELP = (
    "From decoys: every sound given to a picture of another source, scored in the same way. Good where single clips "
    "are mismatched; where whole kinds of content are, and on a few thousand clips, it can be off by 0.1 and more. It "
    "is no probability of a single clip. An audit by ear is the judge."
)

DENSE_CELLS = 4_000_000
Unit = Literal["share", "clips", "hours"]


def estimate_sentence(report: dict[str, Any]) -> str:
    """What decoys say of the data set and of the selection, where the method estimates it; else empty."""
    if report.get("corresponding_share") is None:
        return ""
    share, low, high = (100 * float(report[f"corresponding_share{end}"]) for end in ("", "_low", "_high"))
    wrong = 100 * float(report["false_share"])
    return (
        f"Estimated from decoys: {share:.0f} % ({low:.0f}–{high:.0f}) of the candidates correspond; "
        f"about {wrong:.0f} % of this subset does not."
    )


def budget_text(amount: float, unit: Unit) -> str:
    """The setting `select.budget`: a share of the candidates ("0.2"), clips ("500") or hours ("1.5h")."""
    if unit == "clips":
        return str(round(amount))
    return f"{amount:g}h" if unit == "hours" else f"{amount:g}"


def budget_parts(text: str) -> tuple[float, Unit]:
    """The amount and unit of a `select.budget`; the reverse of `budget_text`."""
    if text.endswith("h"):
        return float(text[:-1]), "hours"
    amount = float(text)
    return (amount, "share") if amount < 1 else (amount, "clips")


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


@dataclass(frozen=True)
class Precision:
    """Of the chosen clips with a known answer, how many correspond, and what a random draw would give."""

    hits: int
    known: int
    low: float
    high: float
    expected_random: float  # share among all candidates with a known answer
    known_candidates: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.hits / self.known if self.known else float("nan")


def precision(rows: np.ndarray, truth: np.ndarray, known: np.ndarray) -> Precision | None:
    """Precision of the chosen `rows` int (s,); `truth`, `known` bool (N,). None where no chosen clip has an answer."""
    with_answer = rows[known[rows]]
    candidates = int(known.sum())
    if not len(with_answer) or not candidates:
        return None
    hits = int(truth[with_answer].sum())
    low, high = wilson(hits, len(with_answer))
    return Precision(hits, len(with_answer), low, high, float(truth[known].mean()), candidates)


def truth_columns(values: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """`truth`, `known` bool (N,) of a column of booleans with gaps (None or NaN); None when it is not boolean."""
    series = pd.Series(values)
    known = series.notna().to_numpy()
    present = series[known]
    if not len(present):
        return None
    if series.dtype != bool and not all(isinstance(v, bool | np.bool_) for v in present.head(1000)):
        return None
    truth = np.zeros(len(series), bool)
    truth[known] = present.astype(bool).to_numpy()
    return truth, known


def curve_at(curve: dict[str, np.ndarray], size: int) -> dict[str, float]:
    """The curve's values at a size between its points (linear between them; NaN where it has none)."""
    sizes = np.asarray(curve["size"], float)
    out = {}
    for name in ("objective", "random", "permuted"):
        values = np.asarray(curve.get(name, np.full(len(sizes), np.nan)), float)
        known = np.isfinite(values)
        inside = known.any() and sizes[known][0] <= size <= sizes[known][-1]
        out[name] = float(np.interp(size, sizes[known], values[known])) if inside else float("nan")
    return out


def objective_of(columns: list[np.ndarray], modalities: list[str], pairing: str, rows: np.ndarray) -> float:
    """Mean mutual information over the pairs of `pairing`, nats, of the clips `rows`; `columns` integer (N,) each."""
    is_audio = np.array([m == "audio" for m in modalities])
    pairs = pair_indices(is_audio, pairing)
    codes = np.stack([np.asarray(column)[rows] for column in columns]).astype(np.int64)
    codes = codes[:, (codes >= 0).all(0)]
    if not codes.shape[1] or not len(pairs):
        return float("nan")
    return float(np.mean([information(codes[i], codes[j]) for i, j in pairs]))


def information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information of two labellings, nats (plug-in estimate); `a`, `b` integer (n,), n > 0, none negative.

    Tables of very many cells are mostly empty: then only the cells that occur are counted.
    """
    n, width = len(a), int(b.max()) + 1
    if (int(a.max()) + 1) * width <= DENSE_CELLS:
        cells = contingency_table(a, b, int(a.max()) + 1, width).ravel()
    else:
        cells = np.unique(a.astype(np.int64) * width + b, return_counts=True)[1]
    joint, rows, columns = (_sum_t_log_t(counts) for counts in (cells, np.bincount(a), np.bincount(b)))
    return max(0.0, (joint - rows - columns) / n + float(np.log(n)))


def _sum_t_log_t(counts: np.ndarray) -> float:
    t = counts[counts > 1].astype(np.float64)
    return float((t * np.log(t)).sum())


@dataclass(frozen=True)
class Overlap:
    """Two selections compared, in clips."""

    both: int
    only_a: int
    only_b: int

    @property
    def share(self) -> float:
        """Clips in both over clips in either (Jaccard), 0 to 1."""
        union = self.both + self.only_a + self.only_b
        return self.both / union if union else 0.0


def overlap(a: np.ndarray, b: np.ndarray) -> Overlap:
    """Compare two lists of distinct row numbers."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    return Overlap(both, len(a) - both, len(b) - both)


def overlap_by_chance(n_a: int, n_b: int, candidates: int) -> float:
    """Clips that two random draws of these sizes share on average."""
    return n_a * n_b / candidates if candidates else 0.0


def changed_inputs(used: dict[str, str], now: dict[str, str | None]) -> list[str]:
    """Names of the clusterings that are gone or were made again since the run; `{name: fingerprint}` both."""
    return sorted(name for name, fingerprint in used.items() if now.get(name) != fingerprint)


def clips_of(amount: float, unit: Unit, candidates: int, mean_hours: float) -> int:
    """About how many clips a budget is."""
    if unit == "share":
        return max(1, round(amount * candidates))
    return round(amount) if unit == "clips" else int(amount / mean_hours) if mean_hours > 0 else 0
