"""Statistics of a blind audit: sizes of strata and answers in; a draw, its order, shares with intervals, agreement out.

A draw gives every clip of a stratum the same chance, so an answer stands for size / answered clips of its stratum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

Z95 = float(ndtri(0.975))
Z_POWER80 = float(ndtri(0.8))
LEFT_OUT_MAX = 0.05  # strata without any answer may hold this share of a group; beyond it the group is not known


@dataclass(frozen=True)
class Share:
    """A weighted share of `n` answers: `value`, NaN where unknown, with a 95 % interval `low` .. `high`.

    `effective`: how many equally weighted answers would be as precise (Kish 1965, Survey Sampling, section 11.7).
    """

    n: int
    effective: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Contrast:
    """A difference of two weighted shares, NaN where unknown, with a 95 % interval.

    `more`: answers that would probably (80 %) put a true difference as large as the one seen beyond chance (5 %,
    two-sided), placed where they tell most; 0 when it stands already, None when nothing can be said.
    `counts`: whether each cell takes part in the difference, one bool a cell.
    """

    value: float
    low: float
    high: float
    more: int | None
    counts: tuple[bool, ...]


@dataclass(frozen=True)
class Agreement:
    """Two lists of answers to the same `n` clips: share that agree and Cohen's kappa, NaN where undefined, with 95 %
    intervals.
    """

    n: int
    agree: Share
    kappa: float
    low: float
    high: float


# -- drawing -----------------------------------------------------------------------------------------------------------


def score_bands(scores: np.ndarray, n_bands: int) -> np.ndarray:
    """Band of each score, int64 (N,): 0 the lowest to n_bands - 1 the highest, equally many each; -1 for NaN.

    Equal scores share a band, the lower one.
    """
    known = np.isfinite(scores)
    out = np.full(len(scores), -1, np.int64)
    if known.any():
        edges = np.quantile(scores[known], np.arange(1, n_bands) / n_bands)
        out[known] = np.searchsorted(edges, scores[known], side="left")
    return out


def expected_draws(wanted: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Draws of each stratum, float64 (H,), in proportion to `wanted` (H,), none above its size.

    What a small stratum cannot give goes to the others. The sum is that of `wanted`, which is at most that of `sizes`.
    """
    total = float(wanted.sum())
    room, out, full = np.asarray(sizes, float), np.zeros(len(sizes)), np.zeros(len(sizes), bool)
    for _ in range(len(sizes) + 1):
        free = np.where(full, 0.0, wanted)
        if free.sum() <= 0:
            free = np.where(full, 0.0, room)  # the wanted ones are exhausted: the rest by size
        left = total - room[full].sum()
        out = np.where(full, room, free * (left / free.sum()) if free.sum() > 0 else 0.0)
        over = ~full & (out > room)
        if not over.any():
            break
        full |= over
    return out


def draw(stratum: np.ndarray, source: np.ndarray, expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of round(sum of `expected`) clips, in random order.

    stratum, source: int (N,); expected: float (H,), at most the strata's sizes. Systematic sampling (Madow 1949) along
    a list in which the clips of a source lie together, and sources by stratum, at random inside it: every clip of a
    stratum has the same chance, the strata get what is expected give or take one clip where sources lie in one
    stratum, and a source gives no more than its share of the draw rounded up: one clip, unless it is so large that it
    owes more.
    """
    n = round(float(expected.sum()))
    if n < 1:
        return np.zeros(0, np.int64)
    sizes = np.maximum(1, np.bincount(stratum, minlength=len(expected)))
    chance = (expected / sizes)[stratum]
    shuffled = rng.permutation(len(stratum))
    names, first, member = np.unique(source[shuffled], return_index=True, return_inverse=True)
    home = stratum[shuffled[first]]
    rank = np.empty(len(names), np.int64)
    rank[np.lexsort((rng.random(len(names)), home))] = np.arange(len(names))
    listed = shuffled[np.argsort(rank[member], kind="stable")]
    reached = np.cumsum(chance[listed])
    reached *= n / reached[-1]
    reached[-1] = n
    return rng.permutation(listed[np.searchsorted(reached, rng.random() + np.arange(n), side="right")])


def order_with_repeats(n: int, n_repeats: int, rng: np.random.Generator) -> np.ndarray:
    """Order in which n clips are presented, int64 (n + n_repeats,): n different ones, then again `n_repeats` of them.

    A repeat comes at least min(20, n // 3) places after its first time, where the list is long enough.
    """
    gap = min(20, n // 3)
    chosen = rng.choice(max(1, n - gap) if n_repeats <= n - gap else n, size=min(n_repeats, n), replace=False)
    # A key between the places of the others: first times at 0, 1, .. n - 1, repeats at random behind their gap.
    again = chosen + gap + rng.random(len(chosen)) * np.maximum(0.5, n - chosen - gap)
    keys = np.concatenate([np.arange(n, dtype=float), again])
    return np.concatenate([np.arange(n), chosen])[np.argsort(keys, kind="stable")].astype(np.int64)


# -- shares ------------------------------------------------------------------------------------------------------------


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of `n` answers, which may be an effective number (Wilson 1927); (0, 1) for n = 0."""
    if n <= 0:
        return 0.0, 1.0
    centre = share + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    low = 0.0 if share <= 0 else max(0.0, (centre - half) / scale)
    return low, 1.0 if share >= 1 else min(1.0, (centre + half) / scale)


def few_wider(n_sources: int) -> float:
    """How much wider than its resamples a 95 % interval from `n_sources` is: Student's t and n - 1 for n (Hesterberg
    2015, expanded percentiles). 1 for many, and for fewer than two, of which resamples say nothing.
    """
    if n_sources < 2:
        return 1.0
    from scipy.stats import t

    return float(t.ppf(0.975, n_sources - 1)) / Z95 * math.sqrt(n_sources / (n_sources - 1))


def weighted_share(right: np.ndarray, weights: np.ndarray) -> Share:
    """Share of `right` (m,), 0 to 1 each, by `weights` (m,): Wilson's interval at Kish's effective number."""
    total = float(weights.sum())
    if total <= 0:
        return Share(0, 0.0, math.nan, 0.0, 1.0)
    effective = total**2 / float((weights**2).sum())
    value = min(1.0, max(0.0, float((weights * right).sum()) / total))
    return Share(int((weights > 0).sum()), effective, value, *wilson(value, effective))


def answer_weights(sizes: np.ndarray, cell: np.ndarray, stratum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clips that each answer stands for, float64 (m,), and clips that none stands for, of each stratum (H,).

    sizes, cell: clips in each stratum and the cell that it is a part of (H,); stratum: of each answer (m,). A stratum
    without an answer is joined to the nearest of its cell that has one, by number.
    """
    answered = np.bincount(stratum, minlength=len(sizes)).astype(float)
    stands_for, unknown = np.zeros(len(sizes)), np.zeros(len(sizes))
    for h in range(len(sizes)):
        near = np.flatnonzero((cell == cell[h]) & (answered > 0))
        if len(near):
            stands_for[near[np.argmin(np.abs(near - h))]] += sizes[h]
        else:
            unknown[h] = sizes[h]
    return stands_for[stratum] / answered[stratum], unknown


def group_share(
    right: np.ndarray, stratum: np.ndarray, member: np.ndarray, sizes: np.ndarray, cell: np.ndarray
) -> Share:
    """Share that is right of the clips of the strata in `member` (bool (H,)); right (m,), stratum (m,) of each answer.

    Unknown where strata without any answer hold more than `LEFT_OUT_MAX` of these clips.
    """
    weights, unknown = answer_weights(sizes, cell, stratum)
    clips = float(sizes[member].sum())
    inside = member[stratum]
    if not inside.any() or unknown[member].sum() > LEFT_OUT_MAX * clips:
        return Share(int(inside.sum()), 0.0, math.nan, 0.0, 1.0)
    return weighted_share(right[inside], weights[inside])


# -- differences -------------------------------------------------------------------------------------------------------


def contrast(cells: list[Share], part: np.ndarray) -> Contrast:
    """The sum of `part` (C,) times the shares of `cells`, which are independent and have no clip in common.

    Interval from the cells' own (MOVER; Zou and Donner 2008, Statistics in Medicine 27, 1693-1702).
    """
    counts = np.abs(part) > 1e-12
    used = [(cell, float(a)) for cell, a in zip(cells, part) if abs(a) > 1e-12]
    shown = tuple(bool(c) for c in counts)
    if not used or any(not math.isfinite(cell.value) for cell, _ in used):
        return Contrast(math.nan, -1.0, 1.0, None, shown)
    value = sum(a * cell.value for cell, a in used)
    below = sum((a * (cell.value - (cell.low if a > 0 else cell.high))) ** 2 for cell, a in used)
    above = sum((a * (cell.value - (cell.high if a > 0 else cell.low))) ** 2 for cell, a in used)
    low, high = value - math.sqrt(below), value + math.sqrt(above)
    return Contrast(value, low, high, 0 if low > 0 or high < 0 else _more(used, value), shown)


def _more(used: list[tuple[Share, float]], value: float) -> int | None:
    """Answers still needed, shared among the cells by Neyman's allocation; None where no difference is seen."""
    if abs(value) < 1e-9:
        return None
    # Two answers are added to each side (Agresti and Coull 1998), so that a cell of one kind is not taken for certain.
    shares = [(cell.value * cell.effective + 2) / (cell.effective + 4) for cell, _ in used]
    spread = [abs(a) * math.sqrt(share * (1 - share)) for share, (_, a) in zip(shares, used)]
    per_clip = [(cell.effective / cell.n) for cell, _ in used]
    needed = sum(spread) * ((Z95 + Z_POWER80) / abs(value)) ** 2
    more = sum(max(0.0, s * needed / rate - cell.n) for s, rate, (cell, _) in zip(spread, per_clip, used))
    return max(1, math.ceil(min(more, 1e12)))


# -- agreement ---------------------------------------------------------------------------------------------------------


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Cohen's kappa (1960, Educational and Psychological Measurement 20, 37-46) of two lists of kinds, int (n,) each.

    The interval is Wilson's of the observed agreement with the agreement by chance held fixed, so that full agreement
    of few clips does not look certain. Kappa is NaN where both gave one same kind throughout.
    """
    n = len(first)
    same = weighted_share((first == second).astype(float), np.ones(n))
    if n == 0:
        return Agreement(0, same, math.nan, -1.0, 1.0)
    kinds = np.unique(np.concatenate([first, second]))
    chance = float(sum((first == kind).mean() * (second == kind).mean() for kind in kinds))
    if chance >= 1 - 1e-12:
        return Agreement(n, same, math.nan, -1.0, 1.0)
    kappa, low, high = ((share - chance) / (1 - chance) for share in (same.value, same.low, same.high))
    return Agreement(n, same, kappa, low, high)
