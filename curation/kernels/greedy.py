"""Greedy selection, one clip at a time from all that remain: a `Plan` in, the picks in order out.

The gains of all clips are kept as int64 sums (see `batch_greedy`). A pick changes one cluster of every clustering, so a
clip's gain changes by the differences of the values that it shares with the pick: exact, because they are whole
numbers. One pass over the clips brings the gains up to date and finds the next pick, and needs nothing beside the
assignments and the gains. Ties go to the smaller hash of the row under a key of the seed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import uint32

from curation.kernels.batch_greedy import make_room, score_clips
from curation.kernels.chunks import CHUNK, Team, n_workers
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Layout, Rows
from curation.kernels.draws import GOLDEN_INT, STREAM_TIES, hashed, mix_int, stream_key
from curation.kernels.greedy_plan import (
    N_PICKED,
    SCORED,
    STOPPED,
    USED_US,
    Plan,
    Run,
    Tables,
    count_again,
    make_run,
    make_tables,
    plan_limits,
    restore_run,
    run_state,
)
from curation.kernels.information import pair_information
from curation.kernels.pointwise import code_of
from curation.kernels.quotas import Limits

_GONE = np.int64(-(2**62))
_THERE = np.int64(-(2**61))  # gains above it are those of clips that can be picked
_BLOCK = 256  # rows compared at a time
_SHARED_ROWS = 1 << 15  # rows a thread must have to be worth waking


class Change(NamedTuple):
    """What the last pick changed."""

    code: np.ndarray  # int64 (D,): its clusters
    layer: np.ndarray  # int64 (D,): difference of the value of its cluster
    pair: np.ndarray  # int64 (D, D): difference of the value of its cell, for the pairs of two clusterings
    pattern: np.ndarray  # (_BLOCK, D): `code` again and again, in the dtype of the assignments


def _no_change(plan: Plan) -> Change:
    """Room for the change of a plan's picks, 0 where none was made yet."""
    n_layers = plan.rows.codes.shape[1]
    layer, pair = np.zeros(n_layers, np.int64), np.zeros((n_layers, n_layers), np.int64)
    pattern = np.zeros((_BLOCK, n_layers), plan.rows.codes.dtype)
    return Change(layer.copy(), layer, pair, pattern)


@compiled()
def _add_changes(rows: Rows, change: Change, gains: np.ndarray, low: int, high: int) -> None:
    """Bring the gains of the rows low to high - 1 up to date.

    The codes of a block lie one after another in memory, so they are compared with the pattern many at a time, and most
    groups of eight hold no hit.
    """
    layer, pair, pattern = change.layer, change.pair, change.pattern.ravel()
    own, partner, swapped = rows.codes, rows.partner, rows.swapped
    n_layers = len(layer)
    block, hit = np.empty((_BLOCK, n_layers), own.dtype), np.zeros(_BLOCK * n_layers + 8, np.uint8)
    groups = hit[: len(hit) // 8 * 8].view(np.uint64)
    place, found = np.empty(len(hit), np.uint32), np.empty(n_layers, np.int64)
    for start in range(low, high, _BLOCK):
        n = min(_BLOCK, high - start)
        if len(partner) > 0:
            for i in range(n):
                for d in range(n_layers):
                    block[i, d] = own[np.int64(partner[start + i]) if swapped[d] else start + i, d]
            codes = block.ravel()
        else:
            codes = own[start : start + n].ravel()
        size = n * n_layers
        for k in range(size):
            hit[k] = codes[k] == pattern[k]
        hit[size : size + 8] = 0
        n_hits = 0
        for group in range((size + 7) // 8):
            if groups[group] != 0:
                for k in range(8 * group, 8 * group + 8):
                    place[n_hits] = k
                    n_hits += hit[k]
        row, n_found = uint32(_BLOCK), 0
        for h in range(n_hits):
            k = place[h]
            at = k // uint32(n_layers)
            d = k - at * uint32(n_layers)
            n_found = n_found if at == row else 0
            row = at
            moved = layer[d]
            for f in range(n_found):
                moved += pair[found[f], d]
            gains[start + np.int64(row)] += moved
            found[n_found] = d
            n_found += 1


@compiled()
def _best(gains: np.ndarray, key: np.uint64, low: int, high: int) -> int:
    """Row of the largest gain of the rows low to high - 1, ties to the smaller hash; -1 where none is left."""
    best, value = -1, np.int64(_THERE)
    for i in range(low, high):
        if gains[i] >= value:
            if gains[i] > value:
                value = gains[i]
                best = i
            elif best >= 0 and hashed(key, i) < hashed(key, best):
                best = i
    return best


@compiled()
def _count_one(rows: Rows, layout: Layout, tables: Tables, clip: int, change: Change) -> None:
    """Count one clip and note how far the values of its clusters and cells moved."""
    g, code, pattern = tables.g, change.code, change.pattern
    n_layers = len(code)
    for d in range(n_layers):
        code[d] = code_of(rows, clip, d)
        at = layout.layer_offset[d] + code[d]
        count = tables.layer_counts[at] + 1
        tables.layer_counts[at] = count
        value = np.int64(0)
        for k in range(tables.term_start[d], tables.term_start[d + 1]):
            value -= tables.term_count[k] * np.int64(tables.term_scale[k] * g[count] + 0.5)
        change.layer[d] = value - tables.layer_values[at]
        tables.layer_values[at] = value
    change.pair[:] = 0
    for p in range(len(layout.first)):
        first, second = layout.first[p], layout.second[p]
        cell = layout.offset[p] + code[first] * layout.stride[p] + code[second]
        count = tables.counts[cell] + 1
        tables.counts[cell] = count
        value = np.int64(tables.scale[p] * g[count] + 0.5)
        change.pair[first, second] += value - tables.values[cell]
        change.pair[second, first] = change.pair[first, second]
        tables.values[cell] = value
    for i in range(_BLOCK):
        for d in range(n_layers):
            pattern[i, d] = code[d]


@compiled()
def _block(limits: Limits, gains: np.ndarray, at: int) -> None:
    """The clips of a label are gone."""
    for k in range(limits.start[at], limits.start[at + 1]):
        gains[limits.member[k]] = _GONE


@compiled()
def _take(limits: Limits, run: Run, gains: np.ndarray, clip: int) -> None:
    """Write a clip down, spend its labels and its length; clips whose label is full now are gone."""
    run.order[run.state[N_PICKED]] = clip
    run.state[N_PICKED] += 1
    gains[clip] = _GONE
    if len(limits.duration_us) > 0:
        run.state[USED_US] += limits.duration_us[clip]
    for f in range(len(limits.offset) - 1):
        own = limits.label[f, clip]
        if own >= 0:
            at = limits.offset[f] + own
            limits.left[at] -= 1
            if limits.left[at] == 0:
                _block(limits, gains, at)


@compiled()
def _pick(
    rows: Rows, layout: Layout, tables: Tables, limits: Limits, run: Run, change: Change, gains: np.ndarray, clip: int
) -> bool:
    """Pick a clip, -1 = none is left. False where the run ends instead."""
    state = run.state
    n = state[N_PICKED]
    if n == len(run.order) or state[STOPPED] or clip < 0:
        return False
    if len(limits.duration_us) > 0 and state[USED_US] + limits.duration_us[clip] > limits.limit_us:
        state[STOPPED] = 1
        return False
    run.gain[n] = gains[clip] * tables.gain_unit + tables.g[n] * tables.unit
    _take(limits, run, gains, clip)
    _count_one(rows, layout, tables, clip, change)
    state[SCORED] += len(gains)
    return True


@compiled()
def _picks(
    rows: Rows, layout: Layout, tables: Tables, limits: Limits, run: Run, change: Change, gains: np.ndarray,
    key: np.uint64, best: int, n_picks: int,
) -> tuple[bool, int]:  # fmt: skip
    """At most `n_picks` picks on one thread: False when the run is finished, and the clip that is next."""
    for _ in range(n_picks):
        if not _pick(rows, layout, tables, limits, run, change, gains, best):
            return False, best
        _add_changes(rows, change, gains, 0, len(gains))
        best = _best(gains, key, 0, len(gains))
    return True, best


class Greedy:
    """A run on the CPU: call `step` until it says False. Not validated: callers give a sound `Plan`."""

    device = "cpu"

    def __init__(self, plan: Plan) -> None:
        rows = plan.rows._replace(codes=np.ascontiguousarray(plan.rows.codes))
        self.plan = plan = replace(plan, rows=rows)
        n = len(plan.rows.codes)
        self.tables, self.limits = make_tables(plan), plan_limits(plan)
        self.run = make_run(replace(plan, keep_scores=False))
        self._scores = np.zeros(0)
        self._gains = np.zeros(n, np.int64)
        self._gains[plan.excluded] = _GONE
        self._key = np.uint64(stream_key(plan.seed, STREAM_TIES))
        self._team = Team(n_workers(n, _SHARED_ROWS))
        self._change = _no_change(plan)
        for clip in plan.included:
            _take(self.limits, self.run, self._gains, int(clip))
        if len(plan.included):
            self._count_again()
        self._best = self._renewed()

    def _count_again(self) -> None:
        """Tables and gains from the picks so far."""
        plan, gains = self.plan, self._gains
        count_again(plan, self.tables, self.run.order[: self.n_picked])
        codes = make_room(plan).codes
        for low in range(0, len(gains), CHUNK):
            part = gains[low : low + CHUNK]
            gone = part <= _THERE
            score_clips(plan.rows, plan.layout, self.tables, np.arange(low, low + len(part)), codes, part)
            part[gone] = _GONE
        self._change = _no_change(plan)

    def _renewed(self) -> int:
        """Bring all gains up to date; the row of the largest."""
        plan, best = self.plan, [-1] * self._team.workers

        def work(worker: int, low: int, high: int) -> None:
            _add_changes(plan.rows, self._change, self._gains, low, high)
            best[worker] = _best(self._gains, self._key, low, high)

        self._team.share(len(self._gains), work)
        key = int(self._key)
        return min(
            (i for i in best if i >= 0),
            key=lambda i: (-self._gains[i], mix_int(key + (i + 1) * GOLDEN_INT)),
            default=-1,
        )

    def step(self, n_picks: int) -> bool:
        """Pick up to `n_picks` clips. False when the run is finished."""
        plan = self.plan
        given = plan.rows, plan.layout, self.tables, self.limits, self.run, self._change, self._gains
        if self._team.workers == 1:
            running, self._best = _picks(*given, self._key, self._best, n_picks)
            return bool(running)
        for _ in range(n_picks):
            if not _pick(*given, self._best):
                return False
            self._best = self._renewed()
        return True

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
        """`order` int64 (s,), `gain` float64 (s,) nats, `scores` float64 (N,) or empty: gains at the end, NaN where
        gone. They take the room of the running gains, so the run is over.
        """
        n = self.n_picked
        self.run.state[STOPPED] = 1
        if self.plan.keep_scores and not len(self._scores):
            self._scores = self._gains.view(np.float64)
            for low in range(0, len(self._gains), CHUNK):
                part = self._gains[low : low + CHUNK]
                nats = part * self.tables.gain_unit + self.tables.g[n] * self.tables.unit
                nats[part <= _THERE] = np.nan
                self._scores[low : low + CHUNK] = nats
        return self.run.order[:n], self.run.gain[:n], self._scores

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on in another process. Copies; gains and tables are not kept."""
        return run_state(self.run, self.limits)

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on where `state` was written, with the same plan. Gains and tables come from the picks."""
        before = self.limits.left.copy()
        restore_run(self.run, self.limits, state)
        self._gains[self.run.order[: self.n_picked]] = _GONE
        for at in np.flatnonzero((before > 0) & (self.limits.left == 0)):
            _block(self.limits, self._gains, at)
        self._count_again()
        self._best = self._renewed()
