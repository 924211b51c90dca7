"""How sure a difference of accuracies is: right or wrong by seed and test clip in, a value and its interval out.

Two things vary: which sources the test clips come from, and the seed, which redoes everything before. The first by
resampling sources (bootstrap), both kinds of them where a clip has two; the second by Student's t over seeds. Their
half widths are added in quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from curation.errors import InputError
from curation.kernels.auditing import few_wider

DRAWS = 2000
BLOCK = 250
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """`value` and its 95 % interval, shares; `seed_error`, `source_error`: the two standard errors in it; `sources`:
    how many were resampled, of two kinds the fewer.
    """

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


def mean_interval(
    values: np.ndarray, source: np.ndarray, other: np.ndarray | None = None, *, seed: int = 0
) -> Interval:  # fmt: skip
    """Mean over seeds and clips of `values` float (R, n), and its interval; `source` int (n,) of each clip.

    For a difference give the differences: the seeds of two sets are paired, and so are their clips. One seed has no
    spread over seeds, and clips of one source none over sources: the interval is infinite. `other` int (n,): a second
    source of each clip, such as the photograph beside the recording (see `spread_over_sources`).
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] != len(source) or not values.size:
        raise InputError(f"Values of shape {values.shape} do not fit {len(source)} test clips.")
    n_seeds = len(values)
    value = float(values.mean())
    low, high, source_error, n_sources = spread_over_sources(values.mean(axis=0), source, other, seed=seed)
    if n_seeds == 1:
        return Interval(value, -math.inf, math.inf, math.inf, source_error, 1, n_sources)
    from scipy.stats import t

    seed_error = float(values.mean(axis=1).std(ddof=1) / math.sqrt(n_seeds))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, n_seeds - 1)) * seed_error
    return Interval(
        value, value - math.hypot(value - low, reach), value + math.hypot(high - value, reach),
        seed_error, source_error, n_seeds, n_sources,
    )  # fmt: skip


def spread_over_sources(
    values: np.ndarray, source: np.ndarray, other: np.ndarray | None = None, *, seed: int = 0
) -> tuple[float, float, float, int]:
    """95 % interval of the mean of `values` float (n,) over test clips, its standard error, and how many sources speak.

    Sources are resampled. With `other` both kinds are, each on its own, and a clip counts as often as its two sources
    together: the pigeonhole bootstrap (Owen 2007, Annals of Applied Statistics 1(2), section 3), whose variance is that
    of both and rather too large. Where every source of one kind belongs to one of the other kind, the latter alone is
    resampled. With two kinds the rarer one is counted. Infinite for one source.
    """
    value = float(np.mean(values))
    kinds = [np.unique(one, return_inverse=True)[1].ravel() for one in (source, other) if one is not None]
    kinds = _without_nested(kinds)
    sizes = [int(which.max()) + 1 for which in kinds]
    n_sources = min(sizes)
    if n_sources == 1:
        return -math.inf, math.inf, math.inf, 1
    rng = np.random.default_rng(seed)
    means = _resampled(values, kinds[0], sizes[0], rng) if len(kinds) == 1 else _pigeonhole(values, kinds, sizes, rng)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    reach = few_wider(n_sources)  # resamples of few sources lie too close together
    error = float(means.std(ddof=1)) * math.sqrt(n_sources / (n_sources - 1))
    return value - reach * (value - float(low)), value + reach * (float(high) - value), error, n_sources


def _without_nested(kinds: list[np.ndarray]) -> list[np.ndarray]:
    """Of two groupings of the same clips, both, or the coarser one where it holds the other's groups whole."""
    if len(kinds) == 1:
        return kinds
    sizes = [int(which.max()) + 1 for which in kinds]
    together = len(np.unique(kinds[0].astype(np.int64) * sizes[1] + kinds[1]))
    if together == sizes[1]:
        return kinds[:1]
    return kinds[1:] if together == sizes[0] else kinds


def _resampled(values: np.ndarray, which: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Means of DRAWS resamples of `n` sources."""
    total, size = np.bincount(which, values, n), np.bincount(which, minlength=n).astype(np.float64)
    drawn = rng.multinomial(n, np.full(n, 1 / n), DRAWS)
    return (drawn @ total) / np.maximum(drawn @ size, 1e-12)


def _pigeonhole(
    values: np.ndarray, kinds: list[np.ndarray], sizes: list[int], rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """Means of DRAWS resamples of two kinds of sources; resamples in which no clip is left are left out."""
    from scipy.sparse import coo_array

    tables = [coo_array((of, tuple(kinds)), shape=tuple(sizes)).tocsr().T for of in (values, np.ones(len(values)))]
    found = []
    for _ in range(DRAWS // BLOCK):  # memory: BLOCK times the sources
        rows, columns = (rng.multinomial(n, np.full(n, 1 / n), BLOCK).astype(np.float64) for n in sizes)
        total, size = (((table @ rows.T).T * columns).sum(axis=1) for table in tables)
        found.append(total[size > 0] / size[size > 0])
    return np.concatenate(found)


def smallest_visible(error: float, seeds: int, power: float = 0.8) -> float:
    """Difference that a comparison with this error sees at 5 % with a chance of 80 %; infinite for one seed."""
    if seeds < 2:
        return math.inf
    from scipy.stats import t

    return float(error * (t.ppf((1 + CONFIDENCE) / 2, seeds - 1) + t.ppf(power, seeds - 1)))
