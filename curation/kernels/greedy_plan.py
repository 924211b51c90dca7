"""What a batch-greedy run needs and keeps: a validated request in, tables, pool, limits and room for results out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from curation.kernels.contingency import Layout, Rows, empty_counts
from curation.kernels.draws import STREAM_QUEUE, shuffle_front, stream_key
from curation.kernels.information import fixed_gain_table
from curation.kernels.quotas import Limits, Quotas, family, joined_quotas, make_limits, no_quotas

# Places of `Run.state`
N_PICKED, BATCH, REMAINING, USED_US, HEAD, TAIL, SCORED, STOPPED = range(8)


@dataclass(frozen=True)
class Plan:
    """All that a run needs; every engine reads the same. Arrays of length 0 mean "none"."""

    rows: Rows
    layout: Layout
    weights: np.ndarray  # float64 (P,), sum 1
    budget: int  # clips
    batch_size: int
    selection_size: int
    seed: int
    queue: bool = False
    excluded: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # rows that must stay out
    included: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # rows that come first
    group: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))  # (N,), 0..G-1
    group_max: int = 0
    duration_us: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # (N,)
    limit_us: int = 0
    keep_scores: bool = True  # False saves 8 bytes a clip
    quotas: Quotas = field(default_factory=no_quotas)  # beside group_max; runs keep the caps, floors are repaired after


class Tables(NamedTuple):
    """Counts and current values of all cells, in the flat layout of `contingency.Layout`."""

    counts: np.ndarray  # int32
    layer_counts: np.ndarray  # int32
    values: np.ndarray  # int64: P w_p g(n_ab) in units, rounded
    layer_values: np.ndarray  # int64: minus the sum, over the pairs with d, of P w_p g(n_a), each rounded like a value
    scale: np.ndarray  # float64 (P,): P w_p, so exactly 1 where all weights are equal
    term_start: np.ndarray  # int64 (D + 1,): clustering d has the terms term_start[d] .. term_start[d + 1]
    term_scale: np.ndarray  # float64: different scales of the pairs with d
    term_count: np.ndarray  # int64: how many pairs with d have that scale
    g: np.ndarray  # float64 (budget + 2,): g in units
    unit: float  # one unit of g, nats: 2^-bits
    gain_unit: float  # one unit of a sum of values, nats: unit / P


class Pool(NamedTuple):
    """Which clips can still be drawn."""

    universe: np.ndarray  # int32, sorted; empty = all N
    taken: np.ndarray  # uint8, one bit a place of the universe
    ring: np.ndarray  # int32: the queue; empty = redraw


class Run(NamedTuple):
    """Results, filled as the run goes."""

    order: np.ndarray  # int64 (budget,)
    gain: np.ndarray  # float64 (budget,), nats
    scores: np.ndarray  # float64 (N,): gain of passed-over clips when last looked at, NaN if never; or empty
    state: np.ndarray  # int64 (8,)


def unit_bits(n_pairs: int) -> int:
    """Bits after the point of g in units: sums over P pairs stay below 2^62, values are whole float64 numbers."""
    return min(47, 62 - math.ceil(math.log2(66 * n_pairs)))


def make_tables(plan: Plan) -> Tables:
    """Tables of an empty selection: g(0) = 0, so all values are 0."""
    layout = plan.layout
    n_pairs, n_layers = len(plan.weights), len(layout.layer_offset) - 1
    scale = plan.weights * n_pairs
    # 1 / P times P may miss 1 by a rounding
    scale[np.isclose(scale, 1, rtol=1e-14, atol=0)] = 1.0
    terms = [np.unique(scale[(layout.first == d) | (layout.second == d)], return_counts=True) for d in range(n_layers)]
    counts, layer_counts = empty_counts(layout)
    bits = unit_bits(n_pairs)
    return Tables(
        counts=counts,
        layer_counts=layer_counts,
        values=np.zeros(len(counts), np.int64),
        layer_values=np.zeros(len(layer_counts), np.int64),
        scale=scale,
        term_start=np.concatenate([[0], np.cumsum([len(term[0]) for term in terms])]).astype(np.int64),
        term_scale=np.concatenate([term[0] for term in terms]),
        term_count=np.concatenate([term[1] for term in terms]).astype(np.int64),
        g=fixed_gain_table(plan.budget + 1, bits),
        unit=2.0**-bits,
        gain_unit=2.0**-bits / n_pairs,
    )


def make_pool(plan: Plan) -> Pool:
    """All clips but the excluded ones; for the queue, in the order of a permutation keyed by the seed."""
    n = len(plan.rows.codes)
    free = np.zeros((n + 7) // 8 * 8, np.uint8)
    free[plan.excluded] = 1
    taken = np.packbits(free, bitorder="little")
    ring = np.zeros(0, np.int32)
    if plan.queue:
        ring = np.flatnonzero(free[:n] == 0).astype(np.int32)
        shuffle_front(ring, len(ring), np.uint64(stream_key(plan.seed, STREAM_QUEUE)))
    return Pool(universe=np.zeros(0, np.int32), taken=taken, ring=ring)


def packed_pool(pool: Pool, n_rows: int) -> Pool:
    """The same pool with a universe of only the clips that remain, in rising order."""
    size = len(pool.universe) or n_rows
    free = np.flatnonzero(np.unpackbits(pool.taken, count=size, bitorder="little") == 0)
    universe = pool.universe[free] if len(pool.universe) else free.astype(np.int32)
    return Pool(universe=universe, taken=np.zeros((len(universe) + 7) // 8, np.uint8), ring=pool.ring)


def plan_quotas(plan: Plan) -> Quotas:
    """All quotas of a plan: at most `group_max` of a group, and the others."""
    if not len(plan.group):
        return plan.quotas
    groups = family(plan.group, np.full(int(plan.group.max()) + 1, plan.group_max))
    return joined_quotas([groups, plan.quotas])


def plan_limits(plan: Plan) -> Limits:
    """The caps and the hours of a plan, unspent."""
    return make_limits(plan_quotas(plan), len(plan.rows.codes), plan.excluded, plan.duration_us, plan.limit_us)


def make_run(plan: Plan) -> Run:
    """Empty results."""
    n = len(plan.rows.codes)
    state = np.zeros(8, np.int64)
    state[REMAINING] = n - len(plan.excluded)
    return Run(
        order=np.empty(plan.budget, np.int64),
        gain=np.full(plan.budget, np.nan),
        scores=np.full(n if plan.keep_scores else 0, np.nan),
        state=state,
    )
