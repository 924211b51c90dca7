"""What the methods that count clips share: which clips count, sources left out, a sample of large data.

A *unit* is what a sample takes whole: the clips of a source and of the sources that share a duplicate with it. So none
of its own speaks for a clip outside of the sample, and the counts judge it as they are. Units too large for that are
sampled clip by clip; their clips outside are *late*: judged by the counts without their own source, like those inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import uint64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from curation.kernels.compiled import compiled
from curation.kernels.draws import STREAM_SAMPLE, hashed, stream_key
from curation.kernels.pointwise import (
    SCORE_UNIT,
    Counts,
    Sources,
    count_weighted,
    first_of,
    make_sources,
    score_rows,
    score_table,
    score_without_own,
)
from curation.methods.base import Option, Request

SMOOTHING = Option("smoothing", 1.0, "Clips seen and expected in every cell beside the real ones.", 1e-3, 1e6)
SAMPLE = Option("sample", 5_000_000, "Clips that the counts are fitted on at most; of more, a seeded sample is taken.",
                1000, 2**31 - 1)  # fmt: skip
_BINS = 1 << 20  # of hashes
_UNITS_MIN = 500  # a sample is made of more units than this: larger ones are taken in parts


class Judged(NamedTuple):
    """Scores by one set of counts, or sums of such scores: int64, in `pointwise.SCORE_UNIT`."""

    fitted: np.ndarray  # (n,): clips of the fit
    table: np.ndarray  # (cells,): what each cell gives; empty where the fit holds all clips
    late: np.ndarray  # (m,): late clips

    def towards(self, other: Judged, step: float) -> Judged:
        """Moved by the part `step` of the way."""
        return Judged(*(a + np.rint(step * (b - a)).astype(np.int64) for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Late:
    """Late clips among those of the sample that share their units. Positions are places in `which`."""

    which: np.ndarray  # int64 (k,): rows
    late: np.ndarray  # int64 (m,): positions of late clips
    counted: np.ndarray  # int64 (k - m,): positions of clips of the sample
    place: np.ndarray  # int64 (k - m,): where those stand in the sample
    sources: Sources

    def weight(self, weight: np.ndarray | None) -> np.ndarray:
        """Weights of the sample as weights of these positions, int32 (k,): late clips count 0."""
        out = np.zeros(len(self.which), np.int32)
        out[self.counted] = 1 if weight is None else weight[self.place]
        return out


@dataclass(frozen=True)
class Fit:
    """The n clips that counts are taken of. Positions are places among them.

    `which` int64 (n,), rows; empty = all rows. `counted` int32 (n,), 1 for clips that count and 0 for further copies of
    a duplicate group; None = all count. `sources`: None where no clip's own source is to be left out. `is_sample`:
    there are candidates that it does not hold, such as all further copies; `share`: part of the candidates, copies
    aside, that it holds. `late`: None = there are none.
    """

    request: Request
    which: np.ndarray
    counted: np.ndarray | None
    sources: Sources | None
    is_sample: bool = False
    share: float = 1.0
    late: Late | None = None

    @property
    def n(self) -> int:
        """Clips, copies among them."""
        return len(self.which) or self.request.n_rows

    @property
    def n_counted(self) -> int:
        """Clips without further copies."""
        return self.n if self.counted is None else int(self.counted.sum())

    def counts(self, weight: np.ndarray | None = None) -> Counts:
        """Counts by int32 weights a position; None = once each."""
        plan = self.request.plan
        return count_weighted(plan.rows, plan.layout, self.which, self._once(weight), self.request.look)

    def scores(
        self, counts: Counts, against: Counts, weight: np.ndarray | None, q_weight: np.ndarray | None, alpha: float
    ) -> np.ndarray:
        """Scores of all positions, int64 (n,), each without its own source where sources are given; `weight` and
        `q_weight` are those of `counts` and `against`, `alpha` is in their units.
        """
        plan = self.request.plan
        if self.sources is None:
            table = score_table(plan.layout, counts, against, plan.weights.copy(), alpha)
            return score_rows(plan.rows, plan.layout, table, self.which, self.request.look)
        return score_without_own(
            plan.rows, plan.layout, counts, against, self.sources, plan.weights.copy(), alpha, which=self.which,
            weight=self._once(weight), q_weight=self._once(q_weight), look=self.request.look,
        )  # fmt: skip

    def judge(
        self, counts: Counts, against: Counts, weight: np.ndarray | None, q_weight: np.ndarray | None, alpha: float
    ) -> Judged:
        """`scores`, and what is needed for the candidates that the fit does not hold."""
        plan, none = self.request.plan, np.zeros(0, np.int64)
        fitted = self.scores(counts, against, weight, q_weight, alpha)
        if not self.is_sample:
            return Judged(fitted, none, none)
        table = score_table(plan.layout, counts, against, plan.weights.copy(), alpha)
        if self.late is None:
            return Judged(fitted, table, none)
        late = score_without_own(
            plan.rows, plan.layout, counts, against, self.late.sources, plan.weights.copy(), alpha,
            which=self.late.which, weight=self.late.weight(weight), q_weight=self.late.weight(q_weight),
            look=self.request.look,
        )  # fmt: skip
        return Judged(fitted, table, late[self.late.late])

    def everyone(self, judged: Judged) -> np.ndarray:
        """Scores of all candidates as float64 (N,) in nats (mean over the pairs); NaN for the other rows."""
        request, unit = self.request, SCORE_UNIT / len(self.request.plan.weights)
        which, values = self.which, judged.fitted
        if self.is_sample:
            which = request.candidates()
            values = score_rows(request.plan.rows, request.plan.layout, judged.table, which, request.look)
        if not len(which):
            out = values * unit
        else:
            out = np.full(request.n_rows, np.nan)
            out[which] = values * unit
        if self.is_sample and self.sources is not None:
            out[self.which] = judged.fitted * unit
        if self.late is not None:
            out[self.late.which[self.late.late]] = judged.late * unit
        return out

    def _once(self, weight: np.ndarray | None) -> np.ndarray | None:
        """Weights with 0 for further copies."""
        if self.counted is None:
            return weight
        return self.counted if weight is None else weight * self.counted


def make_fit(request: Request, limit: int | None = None) -> Fit:
    """All candidates, or a seeded sample of at most `limit` of them, one of every duplicate group."""
    which = request.candidates()
    if limit is not None and (len(which) or request.n_rows) > limit:
        return _sampled_fit(request, limit)
    duplicate = _of(request.duplicate, which)
    counted = None
    if len(duplicate):
        counted = (first_of(duplicate) == np.arange(len(duplicate))).astype(np.int32)
    return Fit(request, which, counted, _sources(request, which, duplicate))


def _of(labels: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Labels (N,) of some rows; none where there are none, all where `which` is empty."""
    return labels[which] if len(labels) and len(which) else labels


def _sources(request: Request, which: np.ndarray, duplicate: np.ndarray) -> Sources | None:
    """Sources of some rows; None where there is only one, which would leave nothing to judge by."""
    group = _of(request.group, which)
    return make_sources(group, duplicate) if len(group) and (group != group[0]).any() else None


def _sampled_fit(request: Request, limit: int) -> Fit:
    free = distinct_candidates(request)
    unit = joined_sources(request)
    which = sampled_rows(request, limit, free, unit)
    n_free = request.n_rows if not len(free) else int(np.count_nonzero(free))
    sources = _sources(request, which, np.zeros(0, np.int32))
    late = None if sources is None else _late(request, which, unit)
    return Fit(request, which, None, sources, True, len(which) / n_free, late)


def _late(request: Request, sample: np.ndarray, unit: np.ndarray) -> Late | None:
    """Candidates outside of the sample whose unit has clips inside."""
    inside = np.zeros(int(unit.max()) + 1, bool)
    inside[unit[sample]] = True
    outside = inside[unit]
    outside[sample] = False
    outside[request.plan.excluded] = False
    late = np.flatnonzero(outside)
    if not len(late):
        return None
    inside[:] = False
    inside[unit[late]] = True
    place = np.flatnonzero(inside[unit[sample]])
    which = np.sort(np.concatenate([sample[place], late]))
    at_late, at_counted = np.searchsorted(which, late), np.searchsorted(which, sample[place])
    sources = make_sources(request.group[which], _of(request.duplicate, which))
    return Late(which, at_late, at_counted, place, sources)


def joined_sources(request: Request) -> np.ndarray:
    """Source of each row, int (N,), with the sources that share a duplicate joined; empty = every row its own."""
    group, duplicate = request.group, request.duplicate
    copies = np.flatnonzero(duplicate >= 0) if len(duplicate) else np.zeros(0, int)
    if not len(copies):
        return group
    own = group if len(group) else np.arange(request.n_rows)
    n = int(own.max()) + 1
    size = n + int(duplicate.max()) + 1
    edges = coo_array((np.ones(len(copies), np.int8), (own[copies], n + duplicate[copies])), shape=(size, size))
    source = connected_components(edges, directed=False)[1][own]
    return np.unique(source, return_inverse=True)[1].astype(np.int32)


def distinct_candidates(request: Request) -> np.ndarray:
    """1 for candidates but further copies of a duplicate group, uint8 (N,); empty where that is every row."""
    duplicate, excluded = request.duplicate, request.plan.excluded
    if not len(duplicate) and not len(excluded):
        return np.zeros(0, np.uint8)
    free = np.ones(request.n_rows, np.uint8)
    free[excluded] = 0
    if len(duplicate):
        grouped = np.flatnonzero((duplicate >= 0) & (free == 1))
        further = np.ones(len(grouped), bool)
        further[np.unique(duplicate[grouped], return_index=True)[1]] = False
        free[grouped[further]] = 0
    return free


@compiled(inline="always")
def _bin_of(i, unit, size, largest, key):  # type: ignore[no-untyped-def]
    """The bin of a row's hash, or of its unit's where that is small enough to be taken whole."""
    if len(unit) > 0 and size[unit[i]] <= largest:
        return hashed(key, (uint64(1) << uint64(40)) + uint64(unit[i])) >> uint64(44)
    return hashed(key, i) >> uint64(44)


@compiled()
def _count_bins(n: int, free: np.ndarray, unit: np.ndarray, size: np.ndarray, largest: int, key: np.uint64,
                bins: np.ndarray) -> None:  # fmt: skip
    for i in range(n):
        if len(free) == 0 or free[i]:
            bins[_bin_of(i, unit, size, largest, key)] += 1


@compiled()
def _rows_below(n: int, free: np.ndarray, unit: np.ndarray, size: np.ndarray, largest: int, key: np.uint64, end: int,
                out: np.ndarray) -> None:  # fmt: skip
    k = 0
    for i in range(n):
        if (len(free) == 0 or free[i]) and _bin_of(i, unit, size, largest, key) < uint64(end):
            out[k] = i
            k += 1


def sampled_rows(request: Request, limit: int, free: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """A seeded sample of at most `limit` rows (a few less where their hashes share a bin), rising int64.

    `free` uint8 (N,) and `unit` int (N,): see `distinct_candidates` and `joined_sources`; empty = all, each row its
    own. A row is in the sample where its unit's hash is small, or its own where the unit is large.
    """
    n = request.n_rows
    if (int(np.count_nonzero(free)) if len(free) else n) <= limit:
        return np.flatnonzero(free) if len(free) else np.arange(n)
    size = np.bincount(unit) if len(unit) else np.zeros(0, np.int64)
    key, largest = np.uint64(stream_key(request.plan.seed, STREAM_SAMPLE)), limit // _UNITS_MIN
    bins = np.zeros(_BINS, np.int64)
    _count_bins(n, free, unit, size, largest, key, bins)
    taken = np.cumsum(bins)
    end = int(np.searchsorted(taken, limit, side="right"))
    out = np.empty(int(taken[end - 1]) if end else 0, np.int64)
    _rows_below(n, free, unit, size, largest, key, end, out)
    return out
