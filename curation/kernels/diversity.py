"""How many kinds and sources some clips are of, and how evenly: counts (none negative) in, numbers out."""

from __future__ import annotations

import numpy as np


def effective_number(counts: np.ndarray, copies: np.ndarray | None = None) -> float:
    """exp of the entropy (nats) of shares: how many equally large kinds they would be (Hill number of order 1, Hill
    1973). 0 without clips.

    `counts` (K,): clips of each kind; `copies` (K,): how often a kind is there, as a resample of sources has it.
    """
    weight = np.ones(len(counts)) if copies is None else np.asarray(copies, float)
    total = float(counts @ weight)
    if total <= 0:
        return 0.0
    there = (counts > 0) & (weight > 0)
    share = counts[there] / total
    return float(np.exp(-(weight[there] * share * np.log(share)).sum()))


def covered_share(counts: np.ndarray, present: np.ndarray) -> float:
    """Share of the kinds `present` (bool (K,)) of which there is a clip; NaN where none is present."""
    n = int(np.count_nonzero(present))
    return float(np.count_nonzero((counts > 0) & present) / n) if n else float("nan")


def gini(counts: np.ndarray, copies: np.ndarray | None = None) -> float:
    """Gini coefficient of clips over the sources that have any: 0 = each as many, towards 1 = all from one of many.

    Half the mean absolute difference of two sources over their mean (Gini 1912), without correction for few sources.
    """
    weight = np.ones(len(counts)) if copies is None else np.asarray(copies, float)
    there = (counts > 0) & (weight > 0)
    if not there.any():
        return float("nan")
    order = np.argsort(counts[there], kind="stable")
    x, w = counts[there][order].astype(float), weight[there][order]
    n = w.sum()
    before = np.cumsum(w) - w  # sources that are smaller
    rank = before + (w + 1) / 2  # mean place of the copies of a source
    return float(2 * (w * rank * x).sum() / (n * (w * x).sum()) - (n + 1) / n)


def largest_share(counts: np.ndarray, copies: np.ndarray | None = None) -> float:
    """Share of the clips that the source with the most has; NaN without clips."""
    weight = np.ones(len(counts)) if copies is None else np.asarray(copies, float)
    total = float(counts @ weight)
    return float(counts[weight > 0].max() / total) if total > 0 else float("nan")


def has_copy(group: np.ndarray) -> np.ndarray:
    """Which of some clips have a copy among them, bool (s,); `group` int (s,), -1 = stands alone."""
    found = np.zeros(len(group), bool)
    inside = group >= 0
    _, which, n = np.unique(group[inside], return_inverse=True, return_counts=True)
    found[inside] = n[which] > 1
    return found
