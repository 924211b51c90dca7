"""What a batch-greedy run needs and keeps: a validated request in, tables, limits and room for results out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from curation.kernels.contingency import Layout, Rows, add_counts, empty_counts
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
    scale: np.ndarray  # float64 (P,): P w_p
    equal: bool  # all weights are: every scale is exactly 1
    term_start: np.ndarray  # int64 (D + 1,): clustering d has the terms term_start[d] .. term_start[d + 1]
    term_scale: np.ndarray  # float64: different scales of the pairs with d
    term_count: np.ndarray  # int64: how many pairs with d have that scale
    g: np.ndarray  # int64 (budget + 2,): g in units
    unit: float  # one unit of g, nats: 2^-bits
    gain_unit: float  # one unit of a sum of values, nats: unit / P


class Run(NamedTuple):
    """Results, filled as the run goes."""

    order: np.ndarray  # int64 (budget,)
    gain: np.ndarray  # float64 (budget,), nats
    scores: np.ndarray  # float64 (N,): gain when last compared, picked or not, NaN if never; or empty
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
        equal=bool((scale == 1).all()),
        term_start=np.concatenate([[0], np.cumsum([len(term[0]) for term in terms])]).astype(np.int64),
        term_scale=np.concatenate([term[0] for term in terms]),
        term_count=np.concatenate([term[1] for term in terms]).astype(np.int64),
        g=fixed_gain_table(plan.budget + 1, bits),
        unit=2.0**-bits,
        gain_unit=2.0**-bits / n_pairs,
    )


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


def run_state(run: Run, limits: Limits) -> dict[str, np.ndarray]:
    """What a run has done so far, as copies: order, gain, scores, counters, left, and a bit a clip for alive."""
    n = int(run.state[N_PICKED])
    return {
        "order": run.order[:n].copy(),
        "gain": run.gain[:n].copy(),
        "scores": run.scores.copy(),
        "counters": run.state.copy(),
        "left": limits.left.copy(),
        "alive": np.packbits(limits.alive, bitorder="little"),
    }


def restore_run(run: Run, limits: Limits, state: dict[str, np.ndarray]) -> None:
    """Write a `run_state` into the results and limits of a fresh run of the same plan."""
    n = int(state["counters"][N_PICKED])
    run.order[:n], run.gain[:n] = state["order"], state["gain"]
    run.scores[:], run.state[:], limits.left[:] = state["scores"], state["counters"], state["left"]
    limits.alive[:] = np.unpackbits(state["alive"], count=len(limits.alive), bitorder="little")


def count_again(plan: Plan, tables: Tables, clips: np.ndarray) -> None:
    """Counts and values after the picks `clips` int64, whatever the tables (changed in place) held before."""
    layout = plan.layout
    tables.counts[:], tables.layer_counts[:] = 0, 0
    add_counts(plan.rows, clips, layout, tables.counts, tables.layer_counts)
    for p in range(len(plan.weights)):
        cells = slice(layout.offset[p], layout.offset[p + 1])
        tables.values[cells] = _scaled(tables.scale[p], tables.g[tables.counts[cells]])
    for d in range(len(layout.layer_offset) - 1):
        cells = slice(layout.layer_offset[d], layout.layer_offset[d + 1])
        g = tables.g[tables.layer_counts[cells]]
        tables.layer_values[cells] = 0
        for k in range(tables.term_start[d], tables.term_start[d + 1]):
            tables.layer_values[cells] -= tables.term_count[k] * _scaled(tables.term_scale[k], g)


def _scaled(scale: float, g: np.ndarray) -> np.ndarray:
    """A value as the kernels round it."""
    return (scale * g + 0.5).astype(np.int64)
