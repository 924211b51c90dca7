"""How sure a retrieval's numbers are: runs of methods and seeds in, one row a method with 95 % intervals out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curation.evaluation.attempt import RANDOM
from curation.kernels.auditing import few_wider, wilson
from curation.kernels.retrieval import resampled_precision

DRAWS = 400  # of sources, for an interval
MEASURES = ("recall", "f1", "average_precision")


def summarize(runs: Sequence[Mapping[str, Any]], sources: Mapping[str, np.ndarray], *,
              over_seeds: bool) -> list[dict[str, Any]]:  # fmt: skip
    """One dictionary a method, by falling precision, random last.

    `precision` (mean over seeds), `spread` (deviation over seeds), `low`, `high` (95 %); `above`, `above_low`,
    `above_high`: minus random, paired; `recall`, `f1`, `average_precision`, `objective` (nats), each with its deviation
    over seeds as `<name>_spread`; `took_s` (median).

    Intervals: Student's over seeds where seeds redo the pairs (`over_seeds`). Else sources resampled (`sources`: method
    -> counts (S, 2, n) of `kernels.retrieval.by_source`), all seeds together, and Student's over seeds, which redo
    the clusters; their half widths in quadrature.
    """
    main: dict[str, list[Mapping[str, Any]]] = {}
    for point in runs:
        if point["is_main"]:
            main.setdefault(point["method"], []).append(point)
    values = {method: np.array([point["precision"] for point in points]) for method, points in main.items()}
    drawn = {} if over_seeds else {m: resampled_precision(counts, DRAWS, 0) for m, counts in sources.items()}
    n_sources = (
        0 if over_seeds else int(np.any([counts[:, 1].any(axis=0) for counts in sources.values()], axis=0).sum())
    )
    own = {
        method: student(found) if over_seeds else _middle(drawn[method], n_sources) for method, found in values.items()
    }
    flat = {method for method, (low, high) in own.items() if high - low < 1e-6}
    for method in flat:  # all right, or none, or one source: as far as so many sources (pairs, over seeds) can tell
        told = min(p["known"] for p in main[method]) if over_seeds else int(sources[method][:, 1].any(axis=0).sum())
        own[method] = wilson(float(np.nanmean(values[method])), told)
    rows = []
    for method, points in main.items():
        gap = values[method] - values[RANDOM]
        low, high = own[method]
        above_low, above_high = student(gap) if over_seeds else _middle(drawn[method] - drawn[RANDOM], n_sources)
        if method != RANDOM and (above_high - above_low < 1e-6 or method in flat):
            above_low, above_high = _apart(float(np.nanmean(values[method])), own[method],
                                           float(np.nanmean(values[RANDOM])), own[RANDOM])  # fmt: skip
        if not over_seeds:
            low, high = _and_seeds(low, high, values[method])
            above_low, above_high = _and_seeds(above_low, above_high, gap)
        rows.append({
            "method": method, "precision": float(np.nanmean(values[method])), "spread": _spread(values[method]),
            "low": max(0.0, float(low)), "high": min(1.0, float(high)), "above": float(np.nanmean(gap)),
            "above_low": float(above_low), "above_high": float(above_high), **_measures(points),
            "took_s": float(np.median([point["took_s"] for point in points])), "seeds": len(points),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (row["method"] == RANDOM, -row["precision"]))


def _measures(points: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Means and deviations over seeds of what stands beside precision."""
    found: dict[str, float | None] = {}
    for key in (*MEASURES, "objective"):
        known = np.array([point[key] for point in points if point[key] is not None], np.float64)
        known = known[np.isfinite(known)]
        found[key] = float(known.mean()) if len(known) else None
        found[f"{key}_spread"] = _spread(known)
    return found


def _spread(values: np.ndarray) -> float | None:
    return float(np.nanstd(values, ddof=1)) if len(values) > 1 else None


def _middle(drawn: np.ndarray, n_sources: int) -> tuple[float, float]:
    """The middle 95 % of resamples of `n_sources`, wider where these are few (see `kernels.auditing.few_wider`)."""
    low, middle, high = np.nanquantile(drawn, [0.025, 0.5, 0.975])
    wider = few_wider(n_sources)
    return float(middle - wider * (middle - low)), float(middle + wider * (high - middle))


def _and_seeds(low: float, high: float, values: np.ndarray) -> tuple[float, float]:
    """An interval from resampled sources, wider by how sure the mean over seeds is."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return low, high
    middle = (low + high) / 2
    ends = student(known)
    half = math.hypot((high - low) / 2, (ends[1] - ends[0]) / 2)
    return middle - half, middle + half


def _apart(
    mine: float, interval: tuple[float, float], theirs: float, other: tuple[float, float]
) -> tuple[float, float]:
    """95 % interval of the difference of two shares from their own ones (Zou and Donner 2008), where resamples do not
    differ: as if the two had nothing in common.
    """
    low = math.hypot(mine - interval[0], other[1] - theirs)
    high = math.hypot(interval[1] - mine, theirs - other[0])
    return mine - theirs - low, mine - theirs + high


def student(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of two values or more by Student's t."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return float(values.mean() - half), float(values.mean() + half)
