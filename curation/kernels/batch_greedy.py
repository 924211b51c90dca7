"""Batch-greedy selection (ACAV100M, arXiv 2101.10803) by count tables and look-ups: a `Plan` in, the picks in order
out.

Repeat: draw b of all remaining clips, score each against the counts before the batch by `sum_p w_p [g(n_ab) - g(n_a)
- g(n_b)]`, g(t) = (t + 1) log(t + 1) - t log t, and take the best s (ties: earlier in the draw).

The tables hold the *values* w_p g(n_ab) and -W_d g(n_a) themselves, as int64 multiples of one unit, so a clip is scored
by P + D look-ups whose sum is exact in any order: every device, and any number of threads, picks the same clips.
After a batch only the entries that its picks changed are written again.

Draws (see `draws`): draw j of batch t is a position in the *universe* (at first all clips, later the sorted list of the
remaining ones), rejected while its bit in `taken` is set (picked, in this batch, or not allowed). When fewer than half
of the universe remain it is packed; when a batch wants half of it or more, all of it is sorted by hash instead.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from curation.kernels.compiled import compiled
from curation.kernels.contingency import Layout, Rows
from curation.kernels.draws import STREAM_BATCHES, bounded, hashed, rejection_limit, stream_key
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
    Pool,
    Run,
    Tables,
    make_pool,
    make_run,
    make_tables,
    packed_pool,
    plan_limits,
)
from curation.kernels.information import pair_information
from curation.kernels.quotas import Limits

_BLOCK = 256  # clips scored together: their codes stay in the first-level cache
_SMALL = 64  # up to here the best s are kept by insertion, above by sorting

RUNNING, PACK, FINISHED = 0, 1, 2


@compiled(inline="always")
def _bit(taken, place):  # type: ignore[no-untyped-def]
    return (taken[place >> 3] >> np.uint8(place & 7)) & np.uint8(1)


@compiled(inline="always")
def _set_bit(taken, place):  # type: ignore[no-untyped-def]
    taken[place >> 3] |= np.uint8(1) << np.uint8(place & 7)


@compiled(inline="always")
def _clear_bit(taken, place):  # type: ignore[no-untyped-def]
    taken[place >> 3] &= ~(np.uint8(1) << np.uint8(place & 7))


@compiled()
def _draw_all(key: np.uint64, size: int, take: int, place: np.ndarray) -> None:
    """Places of a batch that wants at least half of a packed universe: all of it in the order of its hashes."""
    keys = np.empty(size, np.int64)
    for j in range(size):
        keys[j] = np.int64(hashed(key, j) >> np.uint64(1))
    order = np.argsort(keys, kind="mergesort")
    for c in range(take):
        place[c] = order[c]


@compiled()
def _draw(pool: Pool, key: np.uint64, size: int, take: int, place: np.ndarray, clip: np.ndarray) -> None:
    """A batch of `take` clips drawn uniformly without replacement; their bits are set."""
    packed = len(pool.universe) > 0
    if 2 * take >= size:
        _draw_all(key, size, take, place)
        for c in range(take):
            _set_bit(pool.taken, place[c])
    else:
        limit = rejection_limit(size)
        j = c = 0
        while c < take:
            at = bounded(hashed(key, j), size, limit)
            j += 1
            if at < 0 or _bit(pool.taken, at):
                continue
            _set_bit(pool.taken, at)
            place[c] = at
            c += 1
    for c in range(take):
        clip[c] = pool.universe[place[c]] if packed else place[c]


@compiled()
def _take_from_queue(pool: Pool, state: np.ndarray, take: int, place: np.ndarray, clip: np.ndarray) -> None:
    """The next `take` clips of the queue that may still be taken."""
    c = 0
    while c < take:
        at = pool.ring[state[HEAD]]
        state[HEAD] = (state[HEAD] + 1) % len(pool.ring)
        if not _bit(pool.taken, np.int64(at)):
            place[c] = at
            clip[c] = at
            c += 1


@compiled()
def _read_codes(rows: Rows, clip: np.ndarray, codes: np.ndarray) -> None:
    """Cluster ids of the clips, one row of `codes` uint64 (D, >= m) a clustering.

    Clustering by clustering, so that the loads of one pass do not wait for each other: the first pass fetches all rows.
    """
    permuted = len(rows.partner) > 0
    for d in range(rows.codes.shape[1]):
        out = codes[d]
        if permuted and rows.swapped[d]:
            for j in range(len(clip)):
                out[j] = uint64(rows.codes[uint64(rows.partner[uint64(clip[j])]), d])
        else:
            for j in range(len(clip)):
                out[j] = uint64(rows.codes[uint64(clip[j]), d])


@compiled()
def _score(
    rows: Rows, layout: Layout, tables: Tables, clip: np.ndarray, m: int, codes: np.ndarray, gains: np.ndarray
) -> None:
    """Gain of the first m clips, in units, into int64 `gains`: one look-up a clustering and one a pair."""
    values, layer_values = tables.values, tables.layer_values
    for start in range(0, m, _BLOCK):
        block = min(_BLOCK, m - start)
        _read_codes(rows, clip[start : start + block], codes)
        out = gains[start : start + block]
        out[:] = 0
        for d in range(rows.codes.shape[1]):
            a, offset = codes[d], uint64(layout.layer_offset[d])
            for j in range(block):
                out[j] += layer_values[offset + a[j]]
        for p in range(len(layout.first)):
            a, b = codes[layout.first[p]], codes[layout.second[p]]
            offset, stride = uint64(layout.offset[p]), uint64(layout.stride[p])
            for j in range(block):
                out[j] += values[offset + a[j] * stride + b[j]]


@compiled()
def _best(gains: np.ndarray, m: int, take: int, best: np.ndarray) -> None:
    """Places of the `take` largest of the first m gains, largest first, ties to the earlier, into `best`."""
    if take > _SMALL:
        order = np.argsort(-gains[:m], kind="mergesort")
        for k in range(take):
            best[k] = order[k]
        return
    filled = 0
    for j in range(m):
        gain = gains[j]
        if filled == take and gain <= gains[best[take - 1]]:
            continue
        k = filled if filled < take else take - 1
        while k > 0 and gains[best[k - 1]] < gain:
            best[k] = best[k - 1]
            k -= 1
        best[k] = j
        if filled < take:
            filled += 1


@compiled()
def _count(rows: Rows, layout: Layout, tables: Tables, clip: np.ndarray, codes: np.ndarray) -> None:
    """Count the picked clips and write the values that they changed."""
    for start in range(0, len(clip), _BLOCK):
        block = min(_BLOCK, len(clip) - start)
        _read_codes(rows, clip[start : start + block], codes)
        for d in range(rows.codes.shape[1]):
            a, offset = codes[d], uint64(layout.layer_offset[d])
            for j in range(block):
                at = offset + a[j]
                n = tables.layer_counts[at] + 1
                tables.layer_counts[at] = n
                value = np.int64(0)
                for k in range(tables.term_start[d], tables.term_start[d + 1]):
                    value -= tables.term_count[k] * np.int64(tables.term_scale[k] * tables.g[n] + 0.5)
                tables.layer_values[at] = value
        for p in range(len(layout.first)):
            a, b = codes[layout.first[p]], codes[layout.second[p]]
            offset, stride = uint64(layout.offset[p]), uint64(layout.stride[p])
            scale = tables.scale[p]
            for j in range(block):
                at = offset + a[j] * stride + b[j]
                n = tables.counts[at] + 1
                tables.counts[at] = n
                tables.values[at] = np.int64(scale * tables.g[n] + 0.5)


@compiled()
def _block_clip(pool: Pool, clip: int) -> None:
    """Set the bit of a clip, wherever it stands in the universe (nowhere: it was packed away)."""
    if len(pool.universe) == 0:
        _set_bit(pool.taken, np.int64(clip))
        return
    at = np.int64(np.searchsorted(pool.universe, clip))
    if at < len(pool.universe) and pool.universe[at] == clip:
        _set_bit(pool.taken, at)


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
                    _block_clip(pool, other)


@compiled()
def include_clips(
    rows: Rows, layout: Layout, tables: Tables, pool: Pool, limits: Limits, run: Run, clips: np.ndarray
) -> None:
    """Pick `clips` (int64) first, in their order, without comparing them: gain NaN."""
    for k in range(len(clips)):
        clip = clips[k]
        run.order[k] = clip
        run.gain[k] = np.nan
        _block_clip(pool, clip)
        run.state[REMAINING] -= 1
        if len(limits.duration_us) > 0:
            run.state[USED_US] += limits.duration_us[clip]
        if len(limits.alive) > 0:
            _note_picked(pool, limits, run.state, clip)
    run.state[N_PICKED] = len(clips)
    _count(rows, layout, tables, clips, np.empty((rows.codes.shape[1], _BLOCK + 8), np.uint64))


@compiled()
def _pick_best(
    pool: Pool, limits: Limits, run: Run, clip: np.ndarray, gains: np.ndarray, best: np.ndarray, take: int,
    g_n: float, unit: float, picked: np.ndarray,
) -> None:  # fmt: skip
    """Pick the best `take` of a batch, as far as the constraints allow; `picked` uint8 says which."""
    state = run.state
    limited, timed = len(limits.alive) > 0, len(limits.duration_us) > 0
    start = state[N_PICKED]
    n = start
    for j in best:
        if n == start + take:
            break
        i = clip[j]
        if limited and not limits.alive[i]:
            continue
        if timed:
            if state[USED_US] + limits.duration_us[i] > limits.limit_us:
                state[STOPPED] = 1
                break
            state[USED_US] += limits.duration_us[i]
        run.order[n] = i
        run.gain[n] = gains[j] * unit + g_n
        picked[j] = 1
        n += 1
        if limited:
            _note_picked(pool, limits, state, i)
    state[N_PICKED] = n
    state[REMAINING] -= n - start


@compiled()
def _put_back(
    pool: Pool, limits: Limits, run: Run, place: np.ndarray, clip: np.ndarray, gains: np.ndarray, m: int,
    picked: np.ndarray, g_n: float, unit: float,
) -> None:  # fmt: skip
    """Return the passed-over clips of a batch to the pool and keep the gain they had."""
    for j in range(m):
        if picked[j]:
            continue
        i = clip[j]
        if len(run.scores) > 0:
            run.scores[i] = gains[j] * unit + g_n
        if len(limits.alive) > 0 and not limits.alive[i]:
            continue
        if len(pool.ring) > 0:
            pool.ring[run.state[TAIL]] = i
            run.state[TAIL] = (run.state[TAIL] + 1) % len(pool.ring)
        else:
            _clear_bit(pool.taken, place[j])


@compiled()
def _run_batches(
    rows: Rows, layout: Layout, tables: Tables, pool: Pool, limits: Limits, run: Run,
    batch_size: int, selection_size: int, key: np.uint64, n_batches: int,
) -> int:  # fmt: skip
    """At most `n_batches` batches; RUNNING, FINISHED, or PACK: the universe must be packed before the next one."""
    state = run.state
    budget = len(run.order)
    place, clip = np.empty(batch_size, np.int64), np.empty(batch_size, np.int64)
    gains, picked = np.empty(batch_size, np.int64), np.zeros(batch_size, np.uint8)
    codes = np.empty((rows.codes.shape[1], _BLOCK + 8), np.uint64)
    best_buffer = np.empty(batch_size, np.int64)
    universe = len(pool.universe) if len(pool.universe) > 0 else rows.codes.shape[0]
    for _ in range(n_batches):
        remaining = state[REMAINING]
        if state[N_PICKED] >= budget or remaining == 0 or state[STOPPED]:
            return FINISHED
        b, s = batch_size, selection_size
        if remaining < b:
            b, s = remaining, max(1, selection_size * remaining // batch_size)
        take = min(s, budget - state[N_PICKED])
        if len(pool.ring) > 0:
            _take_from_queue(pool, state, b, place, clip)
        else:
            if universe > remaining and (2 * remaining < universe or 2 * b >= remaining):
                return PACK
            _draw(pool, hashed(key, state[BATCH]), universe, b, place, clip)
        _score(rows, layout, tables, clip, b, codes, gains)
        best = best_buffer[: b if len(limits.alive) > 0 else take]
        _best(gains, b, len(best), best)
        before, unit = state[N_PICKED], tables.gain_unit
        g_n = tables.g[before] * tables.unit
        picked[:b] = 0
        _pick_best(pool, limits, run, clip, gains, best, take, g_n, unit, picked)
        _count(rows, layout, tables, run.order[before : state[N_PICKED]], codes)
        _put_back(pool, limits, run, place, clip, gains, b, picked, g_n, unit)
        state[BATCH] += 1
        state[SCORED] += b
    return RUNNING


class BatchGreedy:
    """A run on the CPU: call `step` until it says False. Not validated: callers give a sound `Plan`."""

    device = "cpu"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tables = make_tables(plan)
        self.pool, self.limits, self.run = make_pool(plan), plan_limits(plan), make_run(plan)
        self._key = np.uint64(stream_key(plan.seed, STREAM_BATCHES))
        if len(plan.included):
            include_clips(
                plan.rows, plan.layout, self.tables, self.pool, self.limits, self.run, plan.included.astype(np.int64)
            )

    def step(self, n_batches: int) -> bool:
        """Do up to `n_batches` batches. False when the run is finished."""
        plan = self.plan
        status = _run_batches(
            plan.rows, plan.layout, self.tables, self.pool, self.limits, self.run,
            plan.batch_size, plan.selection_size, self._key, n_batches,
        )  # fmt: skip
        if status == PACK:
            self.pool = packed_pool(self.pool, len(plan.rows.codes))
        return status != FINISHED

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
