"""Precision against breadth: chosen clips and their clusters go in, a point for each run comes out.

A score plus the best of it collapses onto few kinds; spreading over kinds costs precision. Both are shown together, so
that neither is bought without being seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.views.selection import Precision


@dataclass(frozen=True)
class Point:
    """One run: `breadth` in percent of the candidates' effective clusters; `right` with its interval, percent."""

    name: str
    breadth: float
    right: float
    low: float
    high: float
    how: str  # "known" (answers), "estimated" (decoys)


def effective_clusters(labels: np.ndarray) -> float:
    """exp of the entropy of the clusters of some clips: how many equally large ones they would be. 0 without clips."""
    counts = np.bincount(labels[labels >= 0])
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0


def relative_breadth(clusterings: Sequence[np.ndarray], rows: np.ndarray, whole: Sequence[float]) -> float:
    """Effective clusters of the clips `rows` over those of all candidates, geometric mean over clusterings, percent.

    `clusterings`: int (N,) each; `whole`: effective clusters of all candidates in each. Above 100 where a choice is
    more even than what it was chosen from.
    """
    ratios = [
        effective_clusters(np.asarray(labels)[rows]) / max(1e-9, all_of_them)
        for labels, all_of_them in zip(clusterings, whole, strict=True)
    ]
    return 100 * float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-9))))) if ratios else float("nan")


def known_point(name: str, breadth: float, found: Precision) -> Point:
    """A run judged by answers that were brought in."""
    return Point(name, breadth, 100 * found.share, 100 * found.low, 100 * found.high, "known")


def estimated_point(
    name: str, breadth: float, local_false: np.ndarray, low: np.ndarray, high: np.ndarray
) -> Point | None:
    """A run judged by decoys: `local_false` float (s,), the estimated false share at each chosen clip's score.

    `low`, `high` float (s,): the interval of the false share of all clips at least as good as this one. The point's
    interval is the mean of them, widened to hold each clip's own value: rather too wide than too narrow.
    """
    known = np.isfinite(local_false)
    if not known.any():
        return None
    wrong = float(local_false[known].mean())
    least = float(np.fmin(low, local_false)[known].mean())
    most = float(np.fmax(high, local_false)[known].mean())
    return Point(name, breadth, 100 * (1 - wrong), 100 * (1 - most), 100 * (1 - least), "estimated")
