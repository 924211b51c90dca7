"""A finished or running selection in numbers: picks, curves and a truth column go in, what the page says comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from curation.kernels.contingency import contingency_table
from curation.kernels.pairing import pair_indices
from explorer.views import words

PREFIX_METHODS = ("random", "batch-greedy", "greedy", "ratio")
"""Methods whose first n picks are the run with budget n, where nothing else depends on the budget."""
SIZED_CONSTRAINTS = frozenset({"cluster_floor", "cluster_cap", "share_floor", "share_cap"})
"""Constraints whose bounds may be shares of the budget."""
STEPS_MIN = 10  # batch-greedy takes fewer clips of a batch rather than fill the budget in fewer batches

CONSTRAINTS = {
    "include": "clips that must be in",
    "exclude": "clips that must be out",
    "max_per_group": "most clips of one source",
    "duplicate_groups": "one of each set of copies",
    "cluster_floor": "least share of a cluster",
    "cluster_cap": "most share of a cluster",
    "share_floor": "least share of a column's value",
    "share_cap": "most share of a column's value",
}
"""Words for the constraints of `report["constraint_cost"]`."""
DEVICES = {"auto": "best there is", "cpu": "CPU", "cuda": "CUDA GPU"}
GPU_BATCH = 10_000  # smaller batches leave a GPU waiting (curation.selection)
RUNS_TIMED = 5
SOURCE_SIZES = (1, 2, 4, 8, 16, 32, 64)

ESTIMATE_HELP = (
    "From decoys: every sound given to a picture of another source, scored in the same way. Good where single clips "
    "are mismatched; where whole kinds of content are, and on a few thousand clips, it can be off by 0.1 and more. It "
    "is no probability of a single clip. An audit by ear is the judge."
)

DOUBT = 0.05  # a smaller gap between the two kinds of decoys is within their noise
DENSE_CELLS = 4_000_000
Unit = Literal["share", "clips", "hours"]


def estimate_sentence(report: dict[str, Any]) -> str:
    """What decoys say of the data set and of the selection, where the method estimates it; else empty."""
    if report.get("corresponding_share") is None:
        return ""
    share, low, high = (100 * float(report[f"corresponding_share{end}"]) for end in ("", "_low", "_high"))
    wrong = f"about {100 * float(report['false_share']):.0f} %"
    if report.get("false_share_low") is not None:
        ends = [100 * float(report[f"false_share_{end}"]) for end in ("low", "high")]
        wrong += f" ({min(ends[0], 100 * report['false_share']):.0f}–{max(ends[1], 100 * report['false_share']):.0f})"
    said = (
        f"Estimated from decoys: {share:.0f} % ({low:.0f}–{high:.0f}) of the candidates correspond; "
        f"{wrong} of this subset does not."
    )
    if float(report.get("corresponding_share_doubt", 0.0)) > DOUBT:
        said += " Whole kinds may be mismatched, which these data cannot tell: read the ranges, not the numbers."
    return said


def is_exact(info: Mapping[str, Any], n: int) -> bool:
    """True where the first `n` picks of a run are what it would have chosen with a budget of `n` clips."""
    report = info.get("report", {})
    if not report.get("is_prefix", info.get("method") in PREFIX_METHODS):
        return False
    if SIZED_CONSTRAINTS & set(report.get("constraints", ())):
        return False
    taken, asked = report.get("selection_size"), info.get("selection_size")
    if info.get("method") != "batch-greedy" or taken is None or asked is None:
        return True
    return min(int(asked), max(1, n // STEPS_MIN)) == int(taken)


def content_sentence(report: Mapping[str, Any]) -> str:
    """What letting kinds of content count did to the choice; empty where no method said so."""
    moved = report.get("content_moved")
    if moved is None:
        return ""
    if not moved:
        return "The content prior moved nothing: the data show no kind of content that corresponds less."
    return (
        f"The content prior moved {words.percent(float(moved))} of the choice: so many of its best clips would not be "
        "among the best by their pairs alone."
    )


def stability_sentence(report: Mapping[str, Any], spread: float | None = None) -> str:
    """How much of the choice other runs of k-means make too; `spread`: median deviation of the score over them."""
    stable = report.get("stability")
    if stable is None:
        return ""
    runs = len(report.get("replicates", ()))
    among = f" ({runs} runs)" if runs else ""
    share = words.percent(float(stable))
    text = f"Stability: {share} of these clips are also chosen by at least 4 in 5 single runs of k-means{among}."
    if spread is not None and np.isfinite(spread):
        text += f" Their scores vary by {words.number(spread)} (median deviation over the runs)."
    return text


def cost_lines(report: Mapping[str, Any]) -> list[tuple[str, float]]:
    """What each constraint costs in mutual information, nats, dearest first; empty where that was not asked."""
    costs = report.get("constraint_cost") or {}
    return sorted(((CONSTRAINTS.get(name, name), float(cost)) for name, cost in costs.items()), key=lambda x: -x[1])


def expected_s(past: Mapping[str, Mapping[str, Any]], method: str, candidates: int, budget: int) -> float:
    """Seconds that a run will take, by the fastest of the newest runs of its method; NaN without one.

    `past`: facts of runs, newest first. Work grows with the candidates; for greedy also with the budget. The fastest,
    because the first run of an installation also waits for its kernels to be compiled.
    """
    found: list[float] = []
    for info in past.values():
        report = info.get("report", {})
        took_s = sum(float(value) for value in (report.get("timings_s") or {}).values())
        rows, size = int(report.get("n_rows") or 0), int(report.get("n_selected") or 0)
        if info.get("method") == method and took_s > 0 and rows and size and len(found) < RUNS_TIMED:
            found.append(took_s * candidates / rows * (budget / size if method == "greedy" else 1))
    return min(found, default=float("nan"))


def device_words(device: str, method: str, batch_size: int) -> str:
    """Where a run will choose, as far as that is known before it starts."""
    if device == "cpu" or method != "batch-greedy" or (device == "auto" and batch_size < GPU_BATCH):
        return "CPU"
    return "CUDA GPU" if device == "cuda" else "GPU if there is one"


def by_source_size(before: np.ndarray, after: np.ndarray) -> tuple[list[str], list[np.ndarray]]:
    """Share of clips (percent) by how many clips of their source there are; `before`, `after`: clips of each source.

    The labels name the sizes ("1", "2", "3–4", ...); those that neither has at the end are left out.
    """
    edges = np.array([*SOURCE_SIZES, np.inf])
    largest = max(int(before.max(initial=1)), int(after.max(initial=1)))
    bins = min(len(SOURCE_SIZES), int(np.searchsorted(edges, largest))) + 1
    labels = []
    for i in range(bins):
        low = 1 if i == 0 else SOURCE_SIZES[i - 1] + 1
        if i == len(SOURCE_SIZES):
            labels.append(f"over {SOURCE_SIZES[-1]}")
        else:
            labels.append(f"{low}" if low == SOURCE_SIZES[i] else f"{low}–{SOURCE_SIZES[i]}")
    shares = []
    for counts in (before, after):
        held = counts[counts > 0]
        clips = np.bincount(np.searchsorted(edges, held), weights=held, minlength=bins)[:bins]
        shares.append(100 * clips / max(1, held.sum()))
    return labels, shares


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
