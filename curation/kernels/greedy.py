"""Greedy selection, one clip at a time from all that remain: a `Plan` in, the picks in order out.

The gains of all clips are kept as int64 sums (see `batch_greedy`). A pick changes one cluster of every clustering, so
only the clips in those clusters get a new gain, by the differences of the changed values: exact, because they are whole
numbers. Ties go to the smaller hash of the row under a key of the seed.
"""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled
from curation.kernels.contingency import Layout, Rows
from curation.kernels.draws import STREAM_TIES, hashed, stream_key
from curation.kernels.greedy_plan import (
    N_PICKED,
    SCORED,
    STOPPED,
    USED_US,
    Plan,
    Run,
    Tables,
    make_run,
    make_tables,
    plan_limits,
)
from curation.kernels.information import pair_information
from curation.kernels.pointwise import code_of
from curation.kernels.quotas import Limits

_GONE = np.int64(-(2**62))


@compiled()
def _members(rows: Rows, layout: Layout, start: np.ndarray) -> np.ndarray:
    """Clips of each cluster of each clustering, int32 (D, N), cluster c of d from `start[layer_offset[d] + c]`."""
    n, n_layers = rows.codes.shape
    member = np.empty((n_layers, n), np.int32)
    for d in range(n_layers):
        place = start[layout.layer_offset[d] : layout.layer_offset[d + 1]].copy()
        for i in range(n):
            c = code_of(rows, i, d)
            member[d, place[c]] = i
            place[c] += 1
    return member


@compiled()
def _starts(rows: Rows, layout: Layout) -> np.ndarray:
    start = np.zeros(layout.layer_offset[-1], np.int64)
    for i in range(rows.codes.shape[0]):
        for d in range(rows.codes.shape[1]):
            start[layout.layer_offset[d] + code_of(rows, i, d)] += 1
    for d in range(rows.codes.shape[1]):
        total = 0
        for at in range(layout.layer_offset[d], layout.layer_offset[d + 1]):
            size = start[at]
            start[at] = total
            total += size
    return start


@compiled()
def _best(gains: np.ndarray, key: np.uint64) -> int:
    """Row of the largest gain, ties to the smaller hash; -1 where none is left."""
    best = -1
    value = int(_GONE) // 2
    for i in range(len(gains)):
        if gains[i] > value:
            value = gains[i]
            best = i
        elif gains[i] == value and best >= 0 and hashed(key, i) < hashed(key, best):
            best = i
    return best


@compiled()
def _count_one(
    rows: Rows, layout: Layout, tables: Tables, member: np.ndarray, start: np.ndarray, gains: np.ndarray, clip: int
) -> None:
    """Count one clip and change the gains of all clips that share a cluster with it."""
    n, n_layers = rows.codes.shape
    code = np.empty(n_layers, np.int64)
    for d in range(n_layers):
        code[d] = code_of(rows, clip, d)
    for d in range(n_layers):
        at = layout.layer_offset[d] + code[d]
        count = tables.layer_counts[at] + 1
        tables.layer_counts[at] = count
        value = np.int64(0)
        for k in range(tables.term_start[d], tables.term_start[d + 1]):
            value -= tables.term_count[k] * np.int64(tables.term_scale[k] * tables.g[count] + 0.5)
        change = value - tables.layer_values[at]
        tables.layer_values[at] = value
        end = start[at + 1] if code[d] + 1 < layout.layer_offset[d + 1] - layout.layer_offset[d] else n
        mates = member[d, start[at] : end]
        for i in mates:
            gains[i] += change
        for p in range(len(layout.first)):
            if layout.first[p] != d:
                continue
            second = layout.second[p]
            cell = layout.offset[p] + code[d] * layout.stride[p] + code[second]
            count = tables.counts[cell] + 1
            tables.counts[cell] = count
            value = np.int64(tables.scale[p] * tables.g[count] + 0.5)
            change = value - tables.values[cell]
            tables.values[cell] = value
            for i in mates:
                if code_of(rows, i, second) == code[second]:
                    gains[i] += change


@compiled()
def _take(limits: Limits, run: Run, gains: np.ndarray, clip: int) -> None:
    """Write a clip down; clips whose label is full now are gone."""
    run.order[run.state[N_PICKED]] = clip
    run.state[N_PICKED] += 1
    gains[clip] = _GONE
    if len(limits.duration_us) > 0:
        run.state[USED_US] += limits.duration_us[clip]
    for f in range(len(limits.offset) - 1):
        own = limits.label[f, clip]
        if own < 0:
            continue
        at = limits.offset[f] + own
        limits.left[at] -= 1
        if limits.left[at] == 0:
            for k in range(limits.start[at], limits.start[at + 1]):
                gains[limits.member[k]] = _GONE


@compiled()
def _picks(
    rows: Rows, layout: Layout, tables: Tables, limits: Limits, run: Run, member: np.ndarray, start: np.ndarray,
    gains: np.ndarray, key: np.uint64, n_picks: int,
) -> bool:  # fmt: skip
    """At most `n_picks` picks; False when the run is finished."""
    for _ in range(n_picks):
        n = run.state[N_PICKED]
        if n == len(run.order) or run.state[STOPPED]:
            return False
        clip = _best(gains, key)
        if clip < 0:
            return False
        if len(limits.duration_us) > 0 and run.state[USED_US] + limits.duration_us[clip] > limits.limit_us:
            run.state[STOPPED] = 1
            return False
        run.gain[n] = gains[clip] * tables.gain_unit + tables.g[n] * tables.unit
        _take(limits, run, gains, clip)
        _count_one(rows, layout, tables, member, start, gains, clip)
        run.state[SCORED] += len(gains)
    return True


class Greedy:
    """A run on the CPU: call `step` until it says False. Not validated: callers give a sound `Plan`."""

    device = "cpu"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tables, self.limits, self.run = make_tables(plan), plan_limits(plan), make_run(plan)
        self._start = _starts(plan.rows, plan.layout)
        self._member = _members(plan.rows, plan.layout, self._start)
        self._gains = np.zeros(len(plan.rows.codes), np.int64)
        self._gains[plan.excluded] = _GONE
        self._key = np.uint64(stream_key(plan.seed, STREAM_TIES))
        for clip in plan.included:
            _take(self.limits, self.run, self._gains, int(clip))
            self._count(int(clip))

    def _count(self, clip: int) -> None:
        plan = self.plan
        _count_one(plan.rows, plan.layout, self.tables, self._member, self._start, self._gains, clip)

    def step(self, n_picks: int) -> bool:
        """Pick up to `n_picks` clips. False when the run is finished."""
        plan = self.plan
        return bool(
            _picks(plan.rows, plan.layout, self.tables, self.limits, self.run, self._member, self._start, self._gains,
                   self._key, n_picks)
        )  # fmt: skip

    @property
    def n_picked(self) -> int:
        """Clips picked so far."""
        return int(self.run.state[N_PICKED])

    @property
    def n_scored(self) -> int:
        """Gains that were up to date at a pick, summed over the picks."""
        return int(self.run.state[SCORED])

    def objective(self) -> float:
        """F of the clips picked so far, nats."""
        counts = (self.tables.counts, self.tables.layer_counts)
        return float(pair_information(*counts, self.plan.layout, self.n_picked) @ self.plan.weights)

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`order` int64 (s,), `gain` float64 (s,) nats, `scores` float64 (N,): gains at the end, NaN where gone."""
        n = self.n_picked
        if len(self.run.scores):
            here = self._gains > _GONE // 2
            self.run.scores[here] = self._gains[here] * self.tables.gain_unit + self.tables.g[n] * self.tables.unit
        return self.run.order[:n], self.run.gain[:n], self.run.scores
