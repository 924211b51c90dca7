"""Who gets what: the kind seen and the kind heard in each clip, and each clip's own random streams.

In: a recipe, a count, a seed. Out: one `ClipPlan` a clip. A clip's plan depends on (seed, count) alone, never
on the order in which clips are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.demo.recipe import Recipe

_STREAMS = 4  # tempo and length, picture, sound, the stranger's tempo
_SWAPS_PER_CLIP = 60


@dataclass(frozen=True)
class ClipPlan:
    """Clip `index` shows kind `seen` and sounds like kind `heard` (positions in the list of kinds)."""

    index: int
    seed: int
    seen: int
    heard: int

    @property
    def matches(self) -> bool:
        """Whether picture and sound are of one event."""
        return self.seen == self.heard

    @property
    def file_name(self) -> str:
        """The clip's file, which gives nothing away."""
        return f"{self.index:06d}.mp4"

    def streams(self) -> list[np.random.Generator]:
        """Independent generators of this clip: tempo and length, picture, sound, the stranger's tempo."""
        root = np.random.SeedSequence([self.seed, self.index])
        return [np.random.default_rng(child) for child in root.spawn(_STREAMS)]


def _share_out(weights: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Whole counts that add up to `n`, in proportion to `weights` (largest remainders)."""
    exact = weights / weights.sum() * n
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - counts), kind="stable")
    counts[order[: n - counts.sum()]] += 1
    return counts


def _strangers(seen: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of the clips that get another kind's sound, spread evenly over the kinds."""
    wanted = round(share * len(seen))
    if wanted == 1:  # one alone has nobody to change with
        wanted = 2
    if wanted == 0 or len(np.unique(seen)) < 2:
        return np.zeros(0, np.int64)
    shuffled = rng.permutation(len(seen))
    rank = np.zeros(len(seen), np.int64)  # how many clips of its kind come before it
    for kind in np.unique(seen):
        rank[shuffled[seen[shuffled] == kind]] = np.arange(np.count_nonzero(seen == kind))
    return np.sort(shuffled[np.argsort(rank[shuffled], kind="stable")][:wanted])


def _derange(kinds: NDArray[np.int64], n_kinds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A permutation of `kinds` that leaves none in its place and repeats pairs as little as it can.

    Pairs that come back often would be a diagonal of their own, so swaps are kept while they lower the sum of
    squared pair counts; pairs of a kind with itself weigh more than all else.
    """
    heard = rng.permutation(kinds)
    table = np.zeros((n_kinds, n_kinds), np.int64)
    np.add.at(table, (kinds, heard), 1)
    cost = np.where(np.eye(n_kinds, dtype=bool), 10 * len(kinds) + 10, 1)
    for i, j in rng.integers(0, len(kinds), (_SWAPS_PER_CLIP * len(kinds), 2)):
        if heard[i] == heard[j] or kinds[i] == kinds[j]:
            continue
        cells = ([kinds[i], kinds[j], kinds[i], kinds[j]], [heard[i], heard[j], heard[j], heard[i]])
        change = np.array([-1, -1, 1, 1])
        before = int((cost[cells] * table[cells] ** 2).sum())
        if int((cost[cells] * (table[cells] + change) ** 2).sum()) <= before:
            table[cells] += change
            heard[i], heard[j] = heard[j], heard[i]
    clash = np.flatnonzero(heard == kinds)
    if len(clash):  # small or lopsided sets: a rotation by the largest group always works where anything does
        order = np.argsort(kinds, kind="stable")
        heard[order] = np.roll(kinds[order], int(np.bincount(kinds).max()))
    return heard


def plan_clips(recipe: Recipe, n_clips: int, seed: int) -> list[ClipPlan]:
    """Plans of all clips: kinds by weight, `mismatched_share` of them with the sound of another kind."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0xC0DE]))
    counts = _share_out(np.array([kind.weight for kind in recipe.kinds]), n_clips)
    seen = rng.permutation(np.repeat(np.arange(len(recipe.kinds)), counts))
    heard = seen.copy()
    chosen = _strangers(seen, recipe.mismatched_share, rng)
    if len(chosen):
        heard[chosen] = _derange(seen[chosen], len(recipe.kinds), rng)
    return [ClipPlan(i, seed, int(a), int(b)) for i, (a, b) in enumerate(zip(seen, heard, strict=True))]
