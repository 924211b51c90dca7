"""What share of pairs corresponds: scores of pairs and of decoys in, shares with intervals and false shares out.

Pairs that do not correspond score like decoys. Two readings of that, each against decoys of two sorts:

- *envelope*: of all pairs below a threshold t at least as many are wrong as there would be decoys, so the share is at
  least `1 - P(pair < t) / P(decoy < t)` at every t (Storey 2002, with decoys in place of p-values). It falls short by
  the corresponding pairs that score low.
- *tilt* (`kernels.tilt`): the whole shape of the scores, which knows of those. Its error is that of its assumption and
  stays; the envelope's shrinks with more pairs, whose lowest scores can be read. So the first counts for few pairs, the
  second for many.
- Decoys of *any kind* are right where single clips are mismatched, decoys of *like content* (strata) also where whole
  kinds of content are. Where the two disagree, the data cannot tell: ten kinds of which nine are mixed up look like
  two kinds that go together. Then the lower is the estimate and the interval holds both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from curation.kernels.tilt import SHARES, Tilt, binned, shares_of_strata

# Of decoys: the thresholds looked at
QUANTILES = np.array([0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
_SPLITS = 20
_ERRORS = 2.0  # standard errors taken off a share before thresholds are compared
_EXPECTED_MIN = 20  # wrong pairs below a threshold, were all wrong
_BUCKETS = 1000  # sources are resampled in at most this many bundles
RESAMPLES = 100
_Z = 1.96  # deviations of a 95 % interval
_GAP_NONE, _GAP_FULL = 0.07, 0.11  # shares by decoys of any kind less those by like content
_TILT_MIN = 200  # pairs that a local share by the tilt needs
_TILT_HALF = 10_000  # pairs from which on the envelope counts more than the tilt
_FOUND_MIN = 50  # pairs above a threshold that an interval is read at
_GRID, _LOCAL_BINS = 512, 100  # thresholds of the curves of false shares


@dataclass(frozen=True)
class Share:
    """Corresponding share of all pairs and 95 % interval; `by_stratum` float64 (B,) of each stratum.

    `any_kind`, `like_content`: the share where single clips are mismatched, and where whole kinds may be. `doubt` 0..1:
    how far the two disagree; from 1 on the share is a range, `low` to `high`, not a number.
    """

    share: float
    low: float
    high: float
    by_stratum: np.ndarray
    any_kind: float = 0.0
    like_content: float = 0.0
    doubt: float = 0.0


def corresponding_share(pair: np.ndarray, decoy: np.ndarray, stratum: np.ndarray, source: np.ndarray,
                        rng: np.random.Generator, wide: np.ndarray | None = None,
                        resamples: int = RESAMPLES) -> Share:  # fmt: skip
    """Corresponding share of pairs.

    `pair` float (n,), `decoy` float (k, n): draws of a decoy a pair, within its stratum; `wide` (k, n): draws from all
    clips (not given: `decoy`). `stratum`, `source` int (n,). The interval resamples sources, at least twice, and holds
    both readings.
    """
    bundle = _bundles(source, rng)
    n_bundles, n_strata = int(bundle.max()) + 1, int(stratum.max()) + 1
    draws = rng.multinomial(n_bundles, np.full(n_bundles, 1 / n_bundles), resamples).astype(np.float64)
    draws = np.concatenate([np.ones((1, n_bundles)), draws])
    if min(np.ptp(pair), np.ptp(decoy)) == 0:  # scores that tell nothing
        return Share(0.0, 0.0, 1.0, np.zeros(n_strata), 0.0, 0.0, 0.0)
    size = np.bincount(stratum, minlength=n_strata).astype(np.float64)
    by_tilt = _TILT_HALF / (_TILT_HALF + len(pair))
    other = decoy if wide is None else wide
    every = _likelihood(pair, other, bundle, draws)
    any_kind = by_tilt * shares_of_strata(every[:, None], np.ones(1), 1)[:, 0]
    any_kind += (1 - by_tilt) * _envelope(pair, other, [np.arange(len(pair))], bundle, draws, rng)[1]
    inside = [np.flatnonzero(stratum == b) for b in range(n_strata)]
    each = np.stack([_likelihood(pair[i], decoy[:, i], bundle[i], draws) for i in inside], axis=1)
    floor_by, floors = _envelope(pair, decoy, inside, bundle, draws, rng)
    strata = by_tilt * shares_of_strata(each, size) + (1 - by_tilt) * floor_by
    size /= size.sum()
    like = strata @ size
    gap = any_kind[0] - (like[0] + floors[0]) / 2
    doubt = float(np.clip((gap - _GAP_NONE) / (_GAP_FULL - _GAP_NONE), 0, 1))
    found = (1 - doubt) * (any_kind + like) / 2 + doubt * floors
    error = _Z * float(found[1:].std()) * np.sqrt(1 + 1 / len(decoy))
    cumulated = np.cumsum(every[0] / every[0].sum())
    outer = SHARES[np.minimum(np.searchsorted(cumulated, [0.025, 0.975]), len(SHARES) - 1)]
    share = float(np.clip(found[0], 0, 1))
    least = min(like[0], any_kind[0], floors[0])
    if doubt > 0:
        least = (1 - doubt) * least + doubt * min(least, _distance(pair, decoy, inside))
    low = float(np.clip(min(share - error, outer[0], least), 0, share))
    high = float(np.clip(max(share + error, outer[1], like[0]), share, 1))
    by_stratum = (1 - doubt) * strata[0] + doubt * floor_by
    wrong = (1 - by_stratum) * (1 - share) / max(float((1 - by_stratum) @ size), 1e-9)
    return Share(share, low, high, np.clip(1 - wrong, 0, 1), float(any_kind[0]), float(like[0]), doubt)


def _likelihood(pair: np.ndarray, decoy: np.ndarray, bundle: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Of shares, for all pairs and each resampling of bundles, (r, S)."""
    bins = binned(pair, decoy)
    m = len(bins.decoys)
    counts = np.bincount(bundle * m + bins.place, minlength=draws.shape[1] * m).reshape(-1, m)
    return Tilt(bins).likelihood(draws @ counts)


def least_share(pair: np.ndarray, decoy: np.ndarray, stratum: np.ndarray) -> float:
    """Share of `pair` (n,) that no `decoy` (k, n) can be, whatever the rest is: only so many must correspond.

    `stratum` int (n,). Kolmogorov's distance: below the corresponding share also where wrong pairs are somewhat unlike
    decoys, as those of few sources are.
    """
    return _distance(pair, decoy, [np.flatnonzero(stratum == b) for b in range(int(stratum.max()) + 1)])


def _distance(pair: np.ndarray, decoy: np.ndarray, inside: list[np.ndarray]) -> float:
    """Share of pairs that would have to move for each stratum to look like its decoys (Kolmogorov's distance)."""
    total = 0.0
    for i in inside:
        at = np.quantile(decoy[:, i], np.linspace(0.02, 0.98, 49))
        ranked = (np.sort(values, axis=None) for values in (decoy[:, i], pair[i]))
        of_decoys, of_pairs = (np.searchsorted(values, at) / len(values) for values in ranked)
        total += len(i) * max(0.0, float((of_decoys - of_pairs).max()) - 0.5 / np.sqrt(len(i)))
    return total / len(pair)


def _envelope(pair: np.ndarray, decoy: np.ndarray, inside: list[np.ndarray], bundle: np.ndarray, draws: np.ndarray,
              rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The lower envelope of each stratum, (B,), and of all, for all pairs and each resampling, (r,).

    The threshold is chosen on one half of the sources and read on the other, both ways, over several splits: a minimum
    over noisy ratios would find correspondence in any data.
    """
    n_bundles, n_strata = draws.shape[1], len(inside)
    below = np.zeros((n_bundles, n_strata, len(QUANTILES)))
    count = np.zeros((n_bundles, n_strata))
    for b, i in enumerate(inside):
        levels = np.quantile(decoy[:, i], QUANTILES)
        for u, t in enumerate(levels):
            # Ties of pairs and decoys count half on both sides
            under = (pair[i] < t) + 0.5 * (pair[i] == t)
            level = (decoy[:, i] < t).mean() + 0.5 * (decoy[:, i] == t).mean()
            below[:, b, u] = np.bincount(bundle[i], under, n_bundles) / max(level, 1e-9)
        count[:, b] = np.bincount(bundle[i], minlength=n_bundles)
    chosen, crossed = _cross_fitted(below, count, rng)
    size = count.sum(axis=0) / count.sum()
    counts = np.maximum(draws @ count, 1e-9)
    values = 1 - np.einsum("rg,gbu->rbu", draws, below) / counts[:, :, None]
    moved = np.einsum("rbu,bu->rb", values - values[:1], chosen) + crossed
    total = np.clip((moved * counts).sum(axis=1) / counts.sum(axis=1), 0, 1)
    return _shrunk(crossed, size, moved[1:].var(axis=0)), total


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
    """Estimated share of wrong pairs by score: `tail` among those that score at least `threshold` (m,), rising, with
    its 95 % interval `low` to `high`; `local` among those near it. None rises with the score.
    """

    threshold: np.ndarray
    tail: np.ndarray
    local_threshold: np.ndarray
    local: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def tail_at(self, scores: np.ndarray) -> np.ndarray:
        """Share of wrong pairs among those that score at least `scores`, float32."""
        return _looked_up(self.threshold, self.tail, scores)

    def local_at(self, scores: np.ndarray) -> np.ndarray:
        """Share of wrong pairs among those that score about `scores`, float32."""
        return _looked_up(self.local_threshold, self.local, scores)

    def range_at(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval of `tail_at`, two of float32."""
        return _looked_up(self.threshold, self.low, scores), _looked_up(self.threshold, self.high, scores)


def _looked_up(threshold: np.ndarray, value: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The value at the last threshold that each score reaches, in blocks."""
    out = np.empty(len(scores), np.float32)
    table = np.append(value[:1], value).astype(np.float32)
    for low in range(0, len(scores), 1 << 20):
        part = slice(low, low + (1 << 20))
        out[part] = table[np.searchsorted(threshold, scores[part], side="right")]
    return out


def false_shares(pair: np.ndarray, decoy: np.ndarray, stratum: np.ndarray, share_by_stratum: np.ndarray,
                 share: Share | None = None, wide: np.ndarray | None = None) -> FalseShares:  # fmt: skip
    """False shares of scores `pair` (n,), with `decoy` (k, n), `stratum` int (n,) and the corresponding share of each.

    `sum_b (1 - pi_b) n_b P_b(decoy >= t) / #(pair >= t)`, made monotone by isotonic regression; local ones from the
    tilt where `share` is without doubt, else the same for bins of equal numbers of pairs. The interval is that of
    `share` and of counting; in doubt also from `wide` decoys (k, n), were wrong pairs like these or were none.
    """
    weight = np.broadcast_to((1 - share_by_stratum)[stratum] / len(decoy), decoy.shape).ravel()
    above = _Above(decoy.ravel(), weight)
    ranked = np.sort(pair, kind="stable")
    thresholds, found = _thresholds(ranked, _GRID)
    tail, other = above(thresholds) / found, decoy if wide is None else wide
    if share is not None:
        reached = _Above(other.ravel(), np.full(other.size, 1 / len(other)))(thresholds) / found
        tail = share.doubt * tail + (1 - share.doubt) * (1 - share.share) * reached
    tail = _falling(tail, found)
    low, high = tail, tail
    if share is not None:
        known = 1 - share.share
        low, high = (tail * ((1 - end) / known if known > 0 else 1) for end in (share.high, share.low))
        if share.doubt > 0 or known == 0:
            low = np.minimum(low, (1 - share.any_kind) * reached)
            high = np.maximum(high, (1 - share.low) * reached)
        if share.low == 0:  # no correspondence at all is not excluded
            high = np.ones(len(found))
    low = np.minimum(_counted(low, found, len(decoy), -1), tail)
    high = np.maximum(_counted(high, found, len(decoy), 1), tail)
    if share is not None and share.doubt == 0 and _TILT_MIN <= len(pair) < _TILT_HALF:
        bins = binned(pair, decoy if wide is None else wide)
        at = np.append(-np.inf, bins.edge)
        return FalseShares(thresholds, tail, at, 1 - Tilt(bins).chance(share.share), low, high)
    # Fewer, wider bins: a local share is a ratio of small numbers
    bounds, found = _thresholds(ranked, int(np.clip(len(pair) // 50, 4, _LOCAL_BINS)))
    wrong, inside = above(bounds), -np.diff(np.append(found, 0))
    if share is not None and share.doubt == 0:
        above = _Above(other.ravel(), np.full(other.size, (1 - share.share) / len(other)))
        wrong = above(bounds)
    # Decoys below the worst pair belong to the lowest bin
    wrong[0] = above.total
    local = _falling(-np.diff(np.append(wrong, 0.0)) / inside, inside)
    return FalseShares(thresholds, tail, bounds, local, low, high)


class _Above:
    """Weight of the scores at or above thresholds."""

    def __init__(self, score: np.ndarray, weight: np.ndarray) -> None:
        order = np.argsort(score, kind="stable")
        self._score = score[order]
        self._weight = np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)
        self.total = float(self._weight[0])

    def __call__(self, threshold: np.ndarray) -> np.ndarray:
        return self._weight[np.searchsorted(self._score, threshold, side="left")]


def _thresholds(ranked: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores at equal steps of rising `ranked`, and how many reach each."""
    at = np.unique(ranked[np.linspace(0, len(ranked), points, endpoint=False).astype(int)])
    return at, len(ranked) - np.searchsorted(ranked, at, side="left")


def _falling(ratio: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.clip(isotonic_regression(ratio, weights=weight, increasing=False).x, 0, 1)


def _counted(ratio: np.ndarray, found: np.ndarray, draws: int, side: int) -> np.ndarray:
    """End of Wilson's interval of a ratio among `found`, with the noise of the decoys, falling with the score."""
    p, n = np.clip(ratio, 0, 1), found / (1 + 1 / draws)
    middle = p + _Z**2 / (2 * n)
    reach = _Z * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    end = np.clip((middle + side * reach) / (1 + _Z**2 / n), 0, 1)
    # The false share falls with the score: the few at the top are bounded by the many below
    enough = np.flatnonzero(found >= _FOUND_MIN)
    if len(enough):
        end[enough[-1] :] = end[enough[-1]]
    return np.minimum.accumulate(end) if side < 0 else np.maximum.accumulate(end[::-1])[::-1]
