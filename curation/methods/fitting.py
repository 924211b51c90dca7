"""What the methods that count weighted clips share: which clips count, sources left out, a sample of large data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.kernels.draws import STREAM_SAMPLE, shuffle_front, stream_key
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
SAMPLE = Option("sample", 5_000_000, "Clips that the counts are fitted on, a seeded sample where there are more.",
                1000, 2**31 - 1)  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """The n clips that counts are taken of. Positions are places among them.

    `which` int64 (n,), rows; empty = all rows. `counted` int32 (n,), 1 for clips that count and 0 for further copies of
    a duplicate group; None = all count. `sources`: None where no clip's own source is to be left out.
    """

    request: Request
    which: np.ndarray
    counted: np.ndarray | None
    sources: Sources | None

    @property
    def n(self) -> int:
        """Clips, copies among them."""
        return len(self.which) or self.request.n_rows

    @property
    def n_counted(self) -> int:
        """Clips without further copies."""
        return self.n if self.counted is None else int(self.counted.sum())

    def rows(self) -> np.ndarray:
        """`which`, spelled out."""
        return self.which if len(self.which) else np.arange(self.n)

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

    def spread(self, scores: np.ndarray) -> np.ndarray:
        """Scores of positions as float64 (N,) in nats (mean over the pairs); NaN for the other rows."""
        unit = SCORE_UNIT / len(self.request.plan.weights)
        if not len(self.which):
            return scores * unit
        out = np.full(self.request.n_rows, np.nan)
        out[self.which] = scores * unit
        return out

    def _once(self, weight: np.ndarray | None) -> np.ndarray | None:
        """Weights with 0 for further copies."""
        if self.counted is None:
            return weight
        return self.counted if weight is None else weight * self.counted


def make_fit(request: Request, limit: int | None = None) -> Fit:
    """All candidates, or a seeded sample of `limit` of them. On a sample no source is left out."""
    which = request.candidates()
    n = len(which) or request.n_rows
    sampled = limit is not None and n > limit
    if sampled:
        assert limit is not None
        which = which if len(which) else np.arange(request.n_rows, dtype=np.int32)
        shuffle_front(which, limit, np.uint64(stream_key(request.plan.seed, STREAM_SAMPLE)))
        which = np.sort(which[:limit])
    pick = slice(None) if not len(which) else which
    duplicate = request.duplicate[pick] if len(request.duplicate) else request.duplicate
    counted = None
    if len(duplicate):
        counted = (first_of(duplicate) == np.arange(len(duplicate))).astype(np.int32)
    sources = None
    if len(request.group) and not sampled:
        sources = make_sources(np.unique(request.group[pick], return_inverse=True)[1], duplicate)
    return Fit(request, which.astype(np.int64), counted, sources)
