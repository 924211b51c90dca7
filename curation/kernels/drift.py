"""How clips that came later sit in clusters fitted before them: distances and cluster ids in, a `Drift` out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 500
LATER_MAX, FITTED_MAX = 10_000, 50_000  # of more clips a seeded sample is compared, whole sources at a time


@dataclass(frozen=True)
class Drift:
    """How the clips that came later differ from those that the clusters were fitted on, and how much would be chance.

    `clips`, `sources`: how many came later. `distance_ratio`: their mean distance to their centroids by that of the
    fitted ones, NaN where the fitted ones have none. `shares_distance`: total variation, 0 to 1, between their shares
    of the clusters and the fitted ones'. The others: what random sources of the same data give instead of those that
    came later: the 1st and the 99th percentile, and the mean and the 99th percentile.
    """

    clips: int
    sources: int
    distance_ratio: float
    distance_ratio_chance: tuple[float, float]
    shares_distance: float
    shares_distance_chance: tuple[float, float]


def drift(
    distances: np.ndarray, labels: np.ndarray, later: np.ndarray, sources: np.ndarray, fit_sizes: np.ndarray, seed: int
) -> Drift | None:
    """Compare the clips that came later with the fitted ones; None where there are none of either.

    `distances` float (n,) to the own centroid, `labels` int (n,) of the own cluster, `later` bool (n,), `sources` int
    (n,): clips of one source come together, so chance is judged by drawing whole sources. `fit_sizes` int (K,): clips
    of each cluster when it was fitted. A centroid is drawn towards the clips it is the mean of: a fitted clip counts
    with its distance d to the mean of the others of its cluster of m, d m / (m - 1), and not at all where it was
    alone. 500 draws, at most 60,000 clips.
    """
    if not later.any() or later.all():
        return None
    rng = np.random.default_rng(seed)
    n_later, n_sources = int(later.sum()), len(np.unique(sources[later]))
    kept = _sampled(later, sources, rng)
    later, labels = later[kept], labels[kept]
    m = fit_sizes[labels].astype(np.float64)
    factor = np.where(later, 1.0, np.where(m > 1, m / np.maximum(m - 1, 1), np.nan))
    far = distances[kept].astype(np.float64) * factor
    # A source of which clips were there before and others came later counts as two.
    _, units = np.unique(2 * sources[kept].astype(np.int64) + later, return_inverse=True)
    n_units = int(units.max()) + 1
    is_later = np.zeros(n_units, bool)
    is_later[units[later]] = True
    found = _compared(far, labels, later, len(fit_sizes))
    by_chance = np.empty((DRAWS, 2))
    for i in range(DRAWS):
        drawn = np.zeros(n_units, bool)
        drawn[rng.choice(n_units, int(is_later.sum()), replace=False)] = True
        by_chance[i] = _compared(far, labels, drawn[units], len(fit_sizes))
    ratios = by_chance[np.isfinite(by_chance[:, 0]), 0]
    low, high = np.percentile(ratios, [1, 99]) if len(ratios) else (np.nan, np.nan)
    return Drift(
        clips=n_later,
        sources=n_sources,
        distance_ratio=found[0],
        distance_ratio_chance=(float(low), float(high)),
        shares_distance=found[1],
        shares_distance_chance=(float(by_chance[:, 1].mean()), float(np.percentile(by_chance[:, 1], 99))),
    )


def _compared(far: np.ndarray, labels: np.ndarray, chosen: np.ndarray, k: int) -> tuple[float, float]:
    """Ratio of mean distances, chosen by the rest, and total variation between their shares of the `k` clusters."""
    means, shares = [], []
    for part in (chosen, ~chosen):
        there = far[part]
        there = there[~np.isnan(there)]
        means.append(there.mean() if len(there) else np.nan)
        counts = np.bincount(labels[part], minlength=k)
        shares.append(counts / max(1, counts.sum()))
    ratio = means[0] / means[1] if means[1] > 0 else np.nan
    return float(ratio), float(0.5 * np.abs(shares[0] - shares[1]).sum())


def _sampled(later: np.ndarray, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Clips that are compared: all, or those of sources drawn until their clips are as many as are looked at."""
    rows = []
    for part, most in ((later, LATER_MAX), (~later, FITTED_MAX)):
        at = np.flatnonzero(part)
        if len(at) > most:
            found, unit = np.unique(sources[at], return_inverse=True)
            place = rng.permutation(len(found))[unit]  # each source's place in the order of drawing
            drawn = int(np.searchsorted(np.cumsum(np.bincount(place)), most, side="right"))
            at = at[place < max(1, drawn)]
        rows.append(at)
    return np.sort(np.concatenate(rows))
