"""Could this evaluation see a difference? Right pairs in, sets with fewer of them out; accuracies in, verdict out.

The same clips are trained on with 100, 75, 50, 25 and 0 % right sounds. Where accuracy does not rise with the share
beyond its spread, nothing that is measured with it says anything about subsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.errors import InputError
from curation.kernels.draws import permuted_partners
from curation.pretraining.intervals import Interval, mean_interval, smallest_visible
from curation.pretraining.train import PairSet

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True)
class Power:
    """The verdict on one probe. `shares` ascending and `levels`, accuracy at each; `slope`: accuracy from 0 to 100 %;
    `smallest`: the smallest difference of two sets that it could see, and `smallest_share` the same in right sounds,
    both as shares; `tells`: whether accuracy rises beyond the spread.
    """

    probe: str
    shares: tuple[float, ...]
    levels: tuple[Interval, ...]
    slope: Interval
    smallest: float
    smallest_share: float
    tells: bool

    @property
    def verdict(self) -> str:
        """A sentence."""
        if self.slope.seeds < 2:
            return "This evaluation cannot tell yet: one seed says nothing about the spread. Run two or more."
        if self.slope.sources < 2:
            return "This evaluation cannot tell: all test clips are of one source, which says nothing about others."
        found = f"{100 * self.slope.value:+.1f} points ({100 * self.slope.low:+.1f} to {100 * self.slope.high:+.1f})"
        seen = f"The smallest difference of two sets that it would see is about {100 * self.smallest:.1f} points"
        if not self.tells:
            return f"This evaluation cannot tell: from 0 to 100 % right sounds accuracy changes by {found}. {seen}."
        share = f", what {100 * self.smallest_share:.0f} % more right sounds bring" if self.smallest_share <= 1 else ""
        return f"This evaluation can tell: from 0 to 100 % right sounds accuracy rises by {found}. {seen}{share}."


def set_name(share: float) -> str:
    """`right 75 %`."""
    return f"right {100 * share:g} %"


def degraded(
    right: PairSet, share: float, seed: int, group: np.ndarray | None = None, *, kind: np.ndarray | None = None
) -> PairSet:
    """The same pictures and sounds, of which `share` keep the sound of `right`; the others' are permuted among them.

    `group` int (n,): source of each pair; a wrong sound comes from another one where there is one. `kind` int (n,), if
    the classes are known: a wrong sound comes from another class as well. One permutation a seed; a smaller share takes
    the wrong sounds of a larger one and more. `facts["right"]`: the share that is right in truth, sounds of their own
    kind or source among them.
    """
    if not 0 <= share <= 1:
        raise InputError(f"A share of right sounds lies between 0 and 1, not {share}.")
    n = len(right.picture)
    order = np.random.default_rng([seed, 3]).permutation(n)
    wrong = np.sort(order[: round(n * (1 - share))])
    sound, n_wrong = right.sound.copy(), 0
    if len(wrong) > 1:
        key = kind if kind is not None else group if group is not None else np.arange(n)
        _, which = np.unique(key[wrong], return_inverse=True)
        partner, _ = permuted_partners(which.astype(np.int64), seed)
        sound[wrong] = right.sound[wrong[partner]]
        # Where one kind holds more than half, some wrong sounds are of their own kind: as good as right
        n_wrong = int((which[partner] != which).sum())
    facts = {"share": share, "right": 1 - n_wrong / n}
    return PairSet(set_name(share), right.picture, sound, right.title, right.start_s, facts=facts)


def judge(
    probe: str, shares: Sequence[float], hits: np.ndarray, source: np.ndarray, other: np.ndarray | None = None
) -> Power:  # fmt: skip
    """The verdict. `hits` (K, R, n): whether each test clip is right at K shares and R seeds; `source`, `other` int
    (n,): what clips are resampled by, see `mean_interval`.

    Slope: least squares of accuracy on the share. It tells where the slope's 95 % interval lies above 0.
    """
    if len(shares) < 2 or len(shares) != len(hits):
        raise InputError("A power check needs two shares of right sounds, or more.")
    order = np.argsort(shares)
    x, hits = np.asarray(shares, np.float64)[order], np.asarray(hits, np.float64)[order]
    weight = (x - x.mean()) / np.square(x - x.mean()).sum()
    slope = mean_interval(np.tensordot(weight, hits, axes=1), source, other)
    levels = tuple(mean_interval(found, source, other).of_share() for found in hits)
    steps = [mean_interval(b - a, source, other).error for a, b in zip(hits, hits[1:])]
    smallest = smallest_visible(float(np.sqrt(np.mean(np.square(steps)))), hits.shape[1])
    tells = slope.low > 0
    return Power(
        probe, tuple(float(v) for v in x), levels, slope, smallest, smallest / slope.value if tells else np.inf, tells
    )
