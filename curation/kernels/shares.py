"""What share of pairs corresponds: scores of pairs and of decoys in, shares with intervals and false shares out.

Pairs that do not correspond score like decoys. So of all pairs below a threshold t at least as many are wrong as there
would be decoys: the corresponding share is at least `1 - P(pair < t) / P(decoy < t)` at every t (Storey 2002, with
decoys in place of p-values), and most where few corresponding pairs fall below t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

# Of decoys: the thresholds looked at
QUANTILES = np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
_SPLITS = 20
_ERRORS = 2.0  # standard errors taken off a share before thresholds are compared
_EXPECTED_MIN = 20  # wrong pairs below a threshold, were all wrong
_BUCKETS = 1000  # sources are resampled in at most this many bundles
RESAMPLES = 400
_GRID, _LOCAL_BINS = 512, 100  # thresholds of the curves of false shares


@dataclass(frozen=True)
class Share:
    """Corresponding share of all pairs and 95 % interval; `by_stratum` float64 (B,) of each stratum."""

    share: float
    low: float
    high: float
    by_stratum: np.ndarray


def corresponding_share(
    pair: np.ndarray, decoy: np.ndarray, stratum: np.ndarray, source: np.ndarray, rng: np.random.Generator
) -> Share:
    """Corresponding share of pairs, estimated in each stratum against its own decoys.

    `pair` float (n,), `decoy` float (k, n) (draws of one decoy a pair), `stratum` and `source` int (n,). The threshold
    is chosen on one half of the sources and read on the other, both ways, over several splits: a minimum over noisy
    ratios would find correspondence in any data. The interval resamples sources.
    """
    n_strata = int(stratum.max()) + 1
    bundle = _bundles(source, rng)
    n_bundles = int(bundle.max()) + 1
    below = np.zeros((n_bundles, n_strata, len(QUANTILES)))
    count = np.zeros((n_bundles, n_strata))
    for b in range(n_strata):
        inside = np.flatnonzero(stratum == b)
        levels = np.quantile(decoy[:, inside], QUANTILES)
        for u, t in enumerate(levels):
            # Ties of pairs and decoys count half on both sides
            under = (pair[inside] < t) + 0.5 * (pair[inside] == t)
            level = (decoy[:, inside] < t).mean() + 0.5 * (decoy[:, inside] == t).mean()
            below[:, b, u] = np.bincount(bundle[inside], under, n_bundles) / max(level, 1e-9)
        count[:, b] = np.bincount(bundle[inside], minlength=n_bundles)
    chosen, crossed = _cross_fitted(below, count, rng)
    size = count.sum(axis=0) / count.sum()
    share = float(np.clip(crossed @ size, 0, 1))
    draws = rng.multinomial(n_bundles, np.full(n_bundles, 1 / n_bundles), RESAMPLES).astype(np.float64)
    counts = np.maximum(draws @ count, 1e-9)
    values = 1 - np.einsum("rg,gbu->rbu", draws, below) / counts[:, :, None]
    straight = 1 - below.sum(axis=0) / np.maximum(count.sum(axis=0), 1e-9)[:, None]
    moved = np.einsum("rbu,bu->rb", values - straight, chosen) + crossed
    resampled = np.clip((moved * counts).sum(axis=1) / counts.sum(axis=1), 0, 1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Share(share, float(min(low, share)), float(max(high, share)), _shrunk(crossed, size, moved.var(axis=0)))


def _shrunk(crossed: np.ndarray, size: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Shares of strata, drawn to their mean as far as their differences could be noise, within 0..1."""
    mean = crossed @ size
    between = ((crossed - mean) ** 2 - noise) @ size
    kept = max(0.0, between) / max(between + noise @ size, 1e-12)
    return np.clip(mean + kept * (crossed - mean), 0, 1)


def _bundles(source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sources, or bundles of them where there are many, int (n,) from 0 up."""
    own = np.unique(source, return_inverse=True)[1]
    n = int(own.max()) + 1
    return own if n <= _BUCKETS else rng.permutation(n)[own] % _BUCKETS


def _cross_fitted(below: np.ndarray, count: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How often each threshold was chosen, (B, U), and the mean share read on the other half, (B,)."""
    n, n_strata, n_levels = below.shape
    chosen, total = np.zeros((n_strata, n_levels)), np.zeros(n_strata)
    for _ in range(_SPLITS):
        half = rng.permutation(n) % 2 == 0
        for here in (half, ~half):
            size = np.maximum(count[here].sum(axis=0), 1)[:, None]
            ratio = below[here].sum(axis=0) / size
            error = np.sqrt(np.maximum(ratio * QUANTILES, 1 / size) / size) / QUANTILES
            # Below a threshold that few wrong pairs would reach, none is no news
            bound = np.where(size * QUANTILES >= _EXPECTED_MIN, 1 - ratio - _ERRORS * error, -np.inf)
            bound[:, -1] = np.maximum(bound[:, -1], -1e9)
            best = np.argmax(bound, axis=1)
            there = np.maximum(count[~here].sum(axis=0), 1)[:, None]
            read = 1 - below[~here].sum(axis=0) / there
            total += read[np.arange(n_strata), best]
            chosen[np.arange(n_strata), best] += 1
    return chosen / (2 * _SPLITS), total / (2 * _SPLITS)


@dataclass(frozen=True)
class FalseShares:
    """Estimated share of wrong pairs by score: `tail` among those that score at least `threshold` (m,), rising;
    `local` among those near it. Neither rises with the score.
    """

    threshold: np.ndarray
    tail: np.ndarray
    local_threshold: np.ndarray
    local: np.ndarray

    def tail_at(self, scores: np.ndarray) -> np.ndarray:
        """Share of wrong pairs among those that score at least `scores`, float32."""
        return _looked_up(self.threshold, self.tail, scores)

    def local_at(self, scores: np.ndarray) -> np.ndarray:
        """Share of wrong pairs among those that score about `scores`, float32."""
        return _looked_up(self.local_threshold, self.local, scores)


def _looked_up(threshold: np.ndarray, value: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The value at the last threshold that each score reaches, in blocks."""
    out = np.empty(len(scores), np.float32)
    table = np.append(value[:1], value).astype(np.float32)
    for low in range(0, len(scores), 1 << 20):
        part = slice(low, low + (1 << 20))
        out[part] = table[np.searchsorted(threshold, scores[part], side="right")]
    return out


def false_shares(pair: np.ndarray, decoy: np.ndarray, stratum: np.ndarray, share_by_stratum: np.ndarray) -> FalseShares:
    """False shares of scores `pair` (n,), with `decoy` (k, n), `stratum` int (n,) and the corresponding share of each.

    `sum_b (1 - pi_b) n_b P_b(decoy >= t) / #(pair >= t)`, and the same for bins of equal numbers of pairs, made
    monotone by isotonic regression.
    """
    wrong_weight = np.broadcast_to((1 - share_by_stratum)[stratum] / len(decoy), decoy.shape).ravel()
    order = np.argsort(decoy, axis=None, kind="stable")
    above = np.append(np.cumsum(wrong_weight[order][::-1])[::-1], 0.0)
    decoys, ranked = decoy.ravel()[order], np.sort(pair, kind="stable")

    def wrong_and_found(points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        thresholds = np.unique(ranked[np.linspace(0, len(ranked), points, endpoint=False).astype(int)])
        wrong = above[np.searchsorted(decoys, thresholds, side="left")]
        return thresholds, wrong, len(ranked) - np.searchsorted(ranked, thresholds, side="left")

    def monotone(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.clip(isotonic_regression(np.minimum(ratio, 1), weights=weight, increasing=False).x, 0, 1)

    thresholds, wrong, found = wrong_and_found(_GRID)
    tail = monotone(wrong / found, found)
    # Fewer, wider bins: a local share is a ratio of small numbers
    bins, wrong, found = wrong_and_found(int(np.clip(len(pair) // 50, 4, _LOCAL_BINS)))
    inside = -np.diff(np.append(found, 0))
    # Decoys below the worst pair belong to the lowest bin
    wrong[0] = above[0]
    return FalseShares(thresholds, tail, bins, monotone(-np.diff(np.append(wrong, 0.0)) / inside, inside))
