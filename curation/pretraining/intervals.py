"""How sure a difference of accuracies is: right or wrong by seed and test clip in, a value and its interval out.

Two things vary: which sources the test clips come from, and the seed, which redoes everything before. The first by
resampling sources (bootstrap), the second by Student's t over seeds; their half widths are added in quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from curation.errors import InputError
from curation.kernels.auditing import few_wider

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """`value` and its 95 % interval, shares; `seed_error`, `source_error`: the two standard errors in it."""

    value: float
    low: float
    high: float
    seed_error: float
    source_error: float
    seeds: int
    sources: int

    def of_share(self) -> Interval:
        """The same of a share, whose interval ends at 0 and at 1."""
        return replace(self, low=max(0.0, self.low), high=min(1.0, self.high))

    @property
    def error(self) -> float:
        """Standard error of both together."""
        return math.hypot(self.seed_error, self.source_error)


def mean_interval(values: np.ndarray, source: np.ndarray, *, seed: int = 0) -> Interval:
    """Mean over seeds and clips of `values` float (R, n), and its interval; `source` int (n,) of each clip.

    For a difference give the differences: the seeds of two sets are paired, and so are their clips. One seed has no
    spread over seeds, and clips of one source none over sources: the interval is infinite.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != len(source) or not values.size:
        raise InputError(f"Values of shape {values.shape} do not fit {len(source)} test clips.")
    n_seeds = len(values)
    _, which = np.unique(source, return_inverse=True)
    n_sources = int(which.max()) + 1
    total = np.bincount(which, values.mean(axis=0), n_sources)
    size = np.bincount(which, minlength=n_sources).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_sources, np.full(n_sources, 1 / n_sources), DRAWS)
    means = (drawn @ total) / np.maximum(drawn @ size, 1e-12)
    value, source_error = float(values.mean()), float(means.std(ddof=1))
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    from scipy.stats import t

    if n_sources == 1:
        source_error, low, high = math.inf, -math.inf, math.inf
    else:  # resamples of few sources lie too close together
        reach, source_error = few_wider(n_sources), source_error * math.sqrt(n_sources / (n_sources - 1))
        low, high = value - reach * (value - low), value + reach * (high - value)
    if n_seeds == 1:
        return Interval(value, -math.inf, math.inf, math.inf, source_error, 1, n_sources)
    seed_error = float(values.mean(axis=1).std(ddof=1) / math.sqrt(n_seeds))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n_seeds - 1)) * seed_error
    return Interval(
        value, value - math.hypot(value - low, reach), value + math.hypot(high - value, reach),
        seed_error, source_error, n_seeds, n_sources,
    )  # fmt: skip


def smallest_visible(error: float, seeds: int, power: float = 0.8) -> float:
    """Difference that a comparison with this error sees at 5 % with a chance of 80 %; infinite for one seed."""
    if seeds < 2:
        return math.inf
    from scipy.stats import t

    return float(error * (t.ppf((1 + CONFIDENCE) / 2, seeds - 1) + t.ppf(power, seeds - 1)))
