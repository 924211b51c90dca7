"""Batch-greedy selection (ACAV100M, arXiv 2101.10803) by count tables and look-ups: a `Plan` in, the picks in order
out.

Repeat: draw b of all remaining clips (see `pool`), score each against the counts before the batch by `sum_p w_p
[g(n_ab) - g(n_a) - g(n_b)]`, g(t) = (t + 1) log(t + 1) - t log t, and take the best s (ties: earlier in the draw).

The tables hold the *values* w_p g(n_ab) and -W_d g(n_a) themselves, as int64 multiples of one unit, so a clip is scored
by P + D look-ups whose sum is exact in any order: every device, and any number of threads, picks the same clips.
After a batch only the entries that its picks changed are written again.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numba import uint64

from curation.kernels.chunks import Team
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Layout, Rows
from curation.kernels.draws import STREAM_BATCHES, hashed, stream_key
from curation.kernels.greedy_plan import (
    BATCH,
    HEAD,
    N_PICKED,
    REMAINING,
    SCORED,
    STOPPED,
    TAIL,
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
from curation.kernels.largest import bucket_room, largest
from curation.kernels.pool import (
    Pool,
    block_clip,
    draw,
    draw_ahead,
    make_pool,
    packed_pool,
    put_back,
    put_behind,
    take_from_queue,
)
from curation.kernels.prefetch import prefetch
from curation.kernels.quotas import Limits

SHARED_BATCH = 10_000  # batches from here on are scored by several threads
_BLOCK = 256  # clips scored together: their codes stay in the first-level cache
_COUNTED = 32  # picks counted together
_CACHED = 1 << 24  # bytes of assignments that caches hold anyway

RUNNING, PACK, FINISHED = 0, 1, 2


class Room(NamedTuple):
    """Room of one thread. 8 more columns than clips, so that the rows start in different cache sets."""

    codes: np.ndarray  # uint64 (D, _BLOCK + 8), of clips that are scored
    picked: np.ndarray  # uint64 (D, _COUNTED + 8), of picks that are counted
    cells: np.ndarray  # uint64 (P _COUNTED + _COUNTED,), of these picks


class Batch(NamedTuple):
    """Room for one batch."""

    place: np.ndarray  # int64 (b,): in the universe
    clip: np.ndarray  # int64 (b,)
    gains: np.ndarray  # int64 (b,), units
    best: np.ndarray  # int64 (b,): places in the batch, largest gain first
    buckets: np.ndarray  # see `largest.bucket_room`
    room: Room


def make_room(plan: Plan) -> Room:
    """Room for the codes of a plan."""
    n_layers, n_pairs = plan.rows.codes.shape[1], len(plan.layout.first)
    codes, picked = (np.zeros((n_layers, size + 8), np.uint64) for size in (_BLOCK, _COUNTED))
    return Room(codes, picked, np.zeros((n_pairs + 1) * _COUNTED, np.uint64))


def make_batch(plan: Plan) -> Batch:
    """Room for the batches of a plan."""
    size = plan.batch_size
    place, clip, gains, best = (np.empty(size, np.int64) for _ in range(4))
    return Batch(place, clip, gains, best, bucket_room(size), make_room(plan))


@compiled(inline="always")
def _read_codes(rows: Rows, clip: np.ndarray, codes: np.ndarray) -> None:
    """Cluster ids of the clips, one row of `codes` uint64 (D, >= m) a clustering.

    Clustering by clustering, so that the loads of one pass do not wait for each other: the first pass fetches all rows.
    """
    given, partner, permuted = rows.codes, rows.partner, len(rows.partner) > 0
    for d in range(given.shape[1]):
        out = codes[d]
        if permuted and rows.swapped[d]:
            for j in range(len(clip)):
                out[j] = uint64(given[uint64(partner[uint64(clip[j])]), d])
        else:
            for j in range(len(clip)):
                out[j] = uint64(given[uint64(clip[j]), d])


@compiled(inline="always")
def score_clips(
    rows: Rows, layout: Layout, tables: Tables, clip: np.ndarray, codes: np.ndarray, gains: np.ndarray
) -> None:
    """Gain of each clip, in units, into int64 `gains`: one look-up a clustering and one a pair."""
    values, layer_values = tables.values, tables.layer_values
    first, second, offsets, strides = layout.first, layout.second, layout.offset, layout.stride
    layer_offset, given = layout.layer_offset, rows.codes
    for start in range(0, len(clip), _BLOCK):
        block = min(_BLOCK, len(clip) - start)
        for j in range(start + block, min(start + 2 * block, len(clip))):
            prefetch(given, uint64(clip[j]))  # type: ignore[call-arg]
        _read_codes(rows, clip[start : start + block], codes)
        out = gains[start : start + block]
        out[:] = 0
        for d in range(len(codes)):
            a, offset = codes[d], uint64(layer_offset[d])
            for j in range(block):
                out[j] += layer_values[offset + a[j]]
        for p in range(len(first)):
            a, b = codes[first[p]], codes[second[p]]
            offset, stride = uint64(offsets[p]), uint64(strides[p])
            for j in range(block):
                out[j] += values[offset + a[j] * stride + b[j]]


@compiled(inline="always")
def _count_layers(layout: Layout, tables: Tables, codes: np.ndarray, n: int, low: int, high: int) -> None:
    """Count the first n columns of `codes` (D, >= _COUNTED) in the clusterings low to high - 1 and write what changed.

    Columns from n on hold codes of earlier clips: their values are written again, unchanged, because loops of a fixed
    length cost fewer wrong guesses of the processor than short ones.
    """
    g, counts, values = tables.g, tables.layer_counts, tables.layer_values
    start, scale, count = tables.term_start, tables.term_scale, tables.term_count
    for d in range(low, high):
        a, offset = codes[d], uint64(layout.layer_offset[d])
        for j in range(n):
            counts[offset + a[j]] += 1
        if tables.equal:
            times = -count[start[d]] if start[d] < start[d + 1] else 0
            for j in range(_COUNTED):
                at = offset + a[j]
                values[at] = times * g[uint64(counts[at])]
            continue
        for j in range(n):
            at = offset + a[j]
            value = np.int64(0)
            for k in range(start[d], start[d + 1]):
                value -= count[k] * np.int64(scale[k] * g[uint64(counts[at])] + 0.5)
            values[at] = value


@compiled(inline="always")
def _count_pairs(
    layout: Layout, tables: Tables, codes: np.ndarray, n: int, low: int, high: int, cells: np.ndarray
) -> None:
    """Count the first n columns of `codes` in the pairs low to high - 1 and write what changed.

    All cells are found first, so that few long loops follow. `cells` uint64 (>= P n + _COUNTED,) is room for them.
    """
    g, counts, values = tables.g, tables.counts, tables.values
    first, second, offsets, strides = layout.first, layout.second, layout.offset, layout.stride
    end = uint64(0)
    for p in range(low, high):
        a, b = codes[first[p]], codes[second[p]]
        offset, stride = uint64(offsets[p]), uint64(strides[p])
        out = cells[end : end + uint64(_COUNTED)]
        for j in range(_COUNTED):  # more than n: the next pair writes over them
            out[j] = offset + a[j] * stride + b[j]
        end += uint64(n)
    if tables.equal:
        for k in range(end):
            at = cells[k]
            count = counts[at] + 1
            counts[at] = count
            prefetch(g, uint64(count))  # type: ignore[call-arg]
        for k in range(end):
            at = cells[k]
            values[at] = g[uint64(counts[at])]
        return
    for p in range(low, high):
        scale = tables.scale[p]
        for k in range((p - low) * n, (p - low + 1) * n):
            at = cells[k]
            count = counts[at] + 1
            counts[at] = count
            values[at] = np.int64(scale * g[uint64(count)] + 0.5)


@compiled(inline="always")
def count_clips(
    rows: Rows, layout: Layout, tables: Tables, clip: np.ndarray, room: Room, part: int, n_parts: int
) -> None:
    """Count the picked clips and write the values that they changed, in one of `n_parts` parts of the tables."""
    n_layers, n_pairs = rows.codes.shape[1], len(layout.first)
    layers = n_layers * part // n_parts, n_layers * (part + 1) // n_parts
    pairs = n_pairs * part // n_parts, n_pairs * (part + 1) // n_parts
    picked, cells = room.picked, room.cells
    for start in range(0, len(clip), _COUNTED):
        n = min(_COUNTED, len(clip) - start)
        _read_codes(rows, clip[start : start + n], picked)
        _count_layers(layout, tables, picked, n, layers[0], layers[1])
        _count_pairs(layout, tables, picked, n, pairs[0], pairs[1], cells)


@compiled()
def _note_picked(pool: Pool, limits: Limits, state: np.ndarray, clip: int) -> None:
    """A clip was picked; where one of its labels is full now, all clips of that label leave the pool."""
    limits.alive[clip] = 0
    for f in range(len(limits.offset) - 1):
        own = limits.label[f, clip]
        if own < 0:
            continue
        at = limits.offset[f] + own
        limits.left[at] -= 1
        if limits.left[at] == 0:
            for k in range(limits.start[at], limits.start[at + 1]):
                other = limits.member[k]
                if limits.alive[other]:
                    limits.alive[other] = 0
                    state[REMAINING] -= 1
                    block_clip(pool, other)


@compiled()
def include_clips(pool: Pool, limits: Limits, run: Run, clips: np.ndarray) -> None:
    """Pick `clips` (int64) first, in their order, without comparing them: gain NaN. They are not counted here."""
    for k in range(len(clips)):
        clip = clips[k]
        run.order[k] = clip
        run.gain[k] = np.nan
        block_clip(pool, clip)
        run.state[REMAINING] -= 1
        if len(limits.duration_us) > 0:
            run.state[USED_US] += limits.duration_us[clip]
        if len(limits.alive) > 0:
            _note_picked(pool, limits, run.state, clip)
    run.state[N_PICKED] = len(clips)


@compiled(inline="always")
def _pick_best(
    pool: Pool, limits: Limits, run: Run, batch: Batch, n_sorted: int, take: int, g_n: float, unit: float
) -> int:
    """Pick the best `take` of a batch, as far as the constraints allow; their places move to the front of
    `batch.best`. Returns how many.
    """
    # Fields in local names: in a loop, each look at a field counts a reference up and down
    state, order, gain = run.state, run.order, run.gain
    clip, gains, best = batch.clip, batch.gains, batch.best
    alive, duration_us = limits.alive, limits.duration_us
    limited, timed = len(alive) > 0, len(duration_us) > 0
    start = state[N_PICKED]
    n = 0
    for k in range(n_sorted):
        if n == take:
            break
        j = best[k]
        i = clip[j]
        if limited and not alive[i]:
            continue
        if timed:
            if state[USED_US] + duration_us[i] > limits.limit_us:
                state[STOPPED] = 1
                break
            state[USED_US] += duration_us[i]
        order[start + n] = i
        gain[start + n] = gains[j] * unit + g_n
        best[n] = j
        n += 1
        if limited:
            _note_picked(pool, limits, state, i)
    state[N_PICKED] += n
    state[REMAINING] -= n
    return n


@compiled(inline="always")
def _keep_scores(scores: np.ndarray, clip: np.ndarray, gains: np.ndarray, b: int, g_n: float, unit: float) -> None:
    for j in range(b):
        scores[clip[j]] = gains[j] * unit + g_n


@compiled(inline="always")
def _open_batch(
    pool: Pool, run: Run, batch: Batch, sizes: tuple[int, int], key: np.uint64, n_rows: int
) -> tuple[int, int, int]:
    """Draw a batch: a status, its size, and how many to take of it. `sizes`: batch and selection."""
    state = run.state
    remaining = state[REMAINING]
    if state[N_PICKED] >= len(run.order) or remaining == 0 or state[STOPPED]:
        return FINISHED, 0, 0
    b, s = sizes
    if remaining < b:
        b, s = remaining, max(1, s * remaining // b)
    if len(pool.ring) > 0:
        state[HEAD] = take_from_queue(pool, state[HEAD], b, batch.place, batch.clip)
    else:
        universe = len(pool.universe) if len(pool.universe) > 0 else n_rows
        if universe > remaining and (2 * remaining < universe or 2 * b >= remaining):
            return PACK, 0, 0
        draw(pool, hashed(key, state[BATCH]), universe, b, batch.place, batch.clip)
    return RUNNING, b, min(s, len(run.order) - state[N_PICKED])


@compiled(inline="always")
def _close_batch(tables: Tables, pool: Pool, limits: Limits, run: Run, batch: Batch, b: int, take: int) -> int:
    """Pick the best of a scored batch and put the rest back; returns how many were picked, not yet counted."""
    n_sorted = b if len(limits.alive) > 0 else take  # constraints may pass over many
    largest(batch.gains, b, n_sorted, batch.best, batch.buckets)
    state, unit = run.state, tables.gain_unit
    g_n = tables.g[state[N_PICKED]] * tables.unit
    n = _pick_best(pool, limits, run, batch, n_sorted, take, g_n, unit)
    if len(run.scores) > 0:
        _keep_scores(run.scores, batch.clip, batch.gains, b, g_n, unit)
    if len(pool.ring) > 0:
        state[TAIL] = put_behind(pool, state[TAIL], batch.clip, b, batch.best[:n])
    else:
        put_back(pool, limits.alive, batch.place, batch.clip, b, batch.best[:n])
    state[BATCH] += 1
    state[SCORED] += b
    return n


@compiled()
def _run_batches(
    rows: Rows, layout: Layout, tables: Tables, pool: Pool, limits: Limits, run: Run, batch: Batch,
    sizes: tuple[int, int], key: np.uint64, n_batches: int, ahead: bool,
) -> int:  # fmt: skip
    """At most `n_batches` batches; RUNNING, FINISHED, or PACK: the universe must be packed before the next one.

    `ahead`: the rows of the next batch are fetched while this one is scored.
    """
    status = RUNNING
    for _ in range(n_batches):
        status, b, take = _open_batch(pool, run, batch, sizes, key, rows.codes.shape[0])
        if status != RUNNING:
            break
        if ahead:
            draw_ahead(pool, rows.codes, hashed(key, run.state[BATCH] + 1), run.state[HEAD], b)
        score_clips(rows, layout, tables, batch.clip[:b], batch.room.codes, batch.gains)
        n = _close_batch(tables, pool, limits, run, batch, b, take)
        end = run.state[N_PICKED]
        count_clips(rows, layout, tables, run.order[end - n : end], batch.room, 0, 1)
    return status


class BatchGreedy:
    """A run on the CPU: call `step` until it says False. Not validated: callers give a sound `Plan`."""

    device = "cpu"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        n = len(plan.rows.codes)
        self.tables = make_tables(plan)
        self.pool = make_pool(n, plan.excluded, plan.queue, plan.seed)
        self.limits, self.run = plan_limits(plan), make_run(plan)
        self._batch, self._sizes = make_batch(plan), (plan.batch_size, plan.selection_size)
        self._ahead = plan.batch_size <= _BLOCK and plan.rows.codes.nbytes > _CACHED
        self._key = np.uint64(stream_key(plan.seed, STREAM_BATCHES))
        self._team = Team(int(numba.get_num_threads()) if plan.batch_size >= SHARED_BATCH else 1)
        self._rooms = [make_room(plan) for _ in range(self._team.workers)]
        if len(plan.included):
            included = plan.included.astype(np.int64)
            include_clips(self.pool, self.limits, self.run, included)
            self._count(included)

    def step(self, n_batches: int) -> bool:
        """Do up to `n_batches` batches. False when the run is finished."""
        plan = self.plan
        if self._team.workers == 1:
            status = _run_batches(plan.rows, plan.layout, self.tables, self.pool, self.limits, self.run, self._batch,
                                  self._sizes, self._key, n_batches, self._ahead)  # fmt: skip
        else:
            status = self._shared_batches(n_batches)
        if status == PACK:
            self.pool = packed_pool(self.pool, len(plan.rows.codes))
        return bool(status != FINISHED)

    def _shared_batches(self, n_batches: int) -> int:
        """`_run_batches` with scores and counts on all threads: each has its clips, then its tables."""
        plan, batch, tables = self.plan, self._batch, self.tables

        def score(worker: int, low: int, high: int) -> None:
            score_clips(plan.rows, plan.layout, tables, batch.clip[low:high], self._rooms[worker].codes,
                        batch.gains[low:high])  # fmt: skip

        for _ in range(n_batches):
            status, b, take = _open_batch(self.pool, self.run, batch, self._sizes, self._key, len(plan.rows.codes))
            if status != RUNNING:
                return int(status)
            self._team.share(b, score)
            n = _close_batch(tables, self.pool, self.limits, self.run, batch, b, take)
            self._count(self.run.order[self.n_picked - n : self.n_picked])
        return RUNNING

    def _count(self, clips: np.ndarray) -> None:
        plan, workers = self.plan, self._team.workers
        self._team.share(
            workers,
            lambda w, _low, _high: count_clips(plan.rows, plan.layout, self.tables, clips, self._rooms[w], w, workers),
        )

    @property
    def n_picked(self) -> int:
        """Clips picked so far."""
        return int(self.run.state[N_PICKED])

    @property
    def n_scored(self) -> int:
        """Clips compared so far, a clip once for each batch that it was in."""
        return int(self.run.state[SCORED])

    def objective(self) -> float:
        """F of the clips picked so far, nats, from the running tables."""
        counts = (self.tables.counts, self.tables.layer_counts)
        return float(pair_information(*counts, self.plan.layout, self.n_picked) @ self.plan.weights)

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`order` int64 (s,), `gain` float64 (s,) nats, `scores` float64 (N,): see `Run`."""
        n = self.n_picked
        return self.run.order[:n], self.run.gain[:n], self.run.scores

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs to go on in another process, on any device. Copies; no table is kept."""
        return run_state(self.run, self.limits) | {k: v.copy() for k, v in self.pool._asdict().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on where `state` was written, with the same plan. The tables are counted again from the picks."""
        restore_run(self.run, self.limits, state)
        self.pool = Pool(*(state[name].copy() for name in Pool._fields))
        count_again(self.plan, self.tables, self.run.order[: self.n_picked])
