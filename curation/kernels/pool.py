"""Which clips can still be drawn: a batch out, what was passed over back in.

Draw j of batch t is a position in the *universe* (at first all clips, later the sorted list of the remaining ones),
rejected while its bit in `taken` is set (picked, in this batch, or not allowed). When fewer than half of the universe
remain it is packed; when a batch wants half of it or more, all of it is sorted by hash instead. With a queue the places
are the clips themselves, and the bits say which of them may not be taken any more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import uint64

from curation.kernels.compiled import compiled
from curation.kernels.draws import STREAM_QUEUE, bounded, hashed, rejection_limit, shuffle_front, stream_key
from curation.kernels.prefetch import prefetch


class Pool(NamedTuple):
    """Which clips can still be drawn."""

    universe: np.ndarray  # int32, sorted; empty = all N
    taken: np.ndarray  # uint8, one bit a place of the universe
    ring: np.ndarray  # int32: the queue; empty = redraw


def make_pool(n_rows: int, excluded: np.ndarray, queue: bool, seed: int) -> Pool:
    """All clips but the excluded ones; for the queue, in the order of a permutation keyed by the seed."""
    taken = np.zeros((n_rows + 7) // 8, np.uint8)
    set_bits(taken, excluded.astype(np.int64))
    ring = free_places(taken, n_rows) if queue else np.zeros(0, np.int32)
    if queue:
        shuffle_front(ring, len(ring), np.uint64(stream_key(seed, STREAM_QUEUE)))
    return Pool(universe=np.zeros(0, np.int32), taken=taken, ring=ring)


def packed_pool(pool: Pool, n_rows: int) -> Pool:
    """The same pool with a universe of only the clips that remain, in rising order."""
    universe = free_places(pool.taken, len(pool.universe) or n_rows)
    if len(pool.universe):
        universe = pool.universe[universe]
    return Pool(universe=universe, taken=np.zeros((len(universe) + 7) // 8, np.uint8), ring=pool.ring)


@compiled(inline="always")
def bit(taken, place):  # type: ignore[no-untyped-def]
    """1 where the place is taken."""
    return (taken[uint64(place) >> uint64(3)] >> np.uint8(place & 7)) & np.uint8(1)


@compiled(inline="always")
def set_bit(taken, place):  # type: ignore[no-untyped-def]
    taken[uint64(place) >> uint64(3)] |= np.uint8(1) << np.uint8(place & 7)


@compiled(inline="always")
def clear_bit(taken, place):  # type: ignore[no-untyped-def]
    taken[uint64(place) >> uint64(3)] &= ~(np.uint8(1) << np.uint8(place & 7))


@compiled()
def set_bits(taken: np.ndarray, places: np.ndarray) -> None:
    """Set the bits of many places."""
    for k in range(len(places)):
        set_bit(taken, places[k])


@compiled()
def free_places(taken: np.ndarray, size: int) -> np.ndarray:
    """The places 0 to size - 1 whose bits are not set, rising, int32."""
    n = 0
    for at in range(size):
        n += 1 - bit(taken, at)
    free = np.empty(n, np.int32)
    n = 0
    for at in range(size):
        if not bit(taken, at):
            free[n] = at
            n += 1
    return free


@compiled()
def block_clip(pool: Pool, clip: int) -> None:
    """Set the bit of a clip, wherever it stands in the universe (nowhere: it was packed away)."""
    if len(pool.universe) == 0:
        set_bit(pool.taken, np.int64(clip))
        return
    at = np.int64(np.searchsorted(pool.universe, clip))
    if at < len(pool.universe) and pool.universe[at] == clip:
        set_bit(pool.taken, at)


@compiled()
def _draw_all(key: np.uint64, size: int, take: int, place: np.ndarray) -> None:
    """Places of a batch that wants at least half of a packed universe: all of it in the order of its hashes."""
    keys = np.empty(size, np.int64)
    for j in range(size):
        keys[j] = np.int64(hashed(key, j) >> np.uint64(1))
    order = np.argsort(keys, kind="mergesort")
    for c in range(take):
        place[c] = order[c]


@compiled(inline="always")
def draw(pool: Pool, key: np.uint64, size: int, take: int, place: np.ndarray, clip: np.ndarray) -> None:
    """A batch of `take` clips drawn uniformly without replacement from a universe of `size`; their bits are set."""
    taken, universe = pool.taken, pool.universe
    if 2 * take >= size:
        _draw_all(key, size, take, place)
        for c in range(take):
            set_bit(taken, place[c])
    else:
        limit = rejection_limit(size)
        j = c = 0
        while c < take:
            at = bounded(hashed(key, j), size, limit)
            j += 1
            if at < 0 or bit(taken, at):
                continue
            set_bit(taken, at)
            place[c] = at
            c += 1
    if len(universe) > 0:
        for c in range(take):
            clip[c] = universe[place[c]]
    else:
        clip[:take] = place[:take]


@compiled(inline="always")
def draw_ahead(pool: Pool, codes: np.ndarray, key: np.uint64, head: int, take: int) -> None:
    """Begin to fetch what the next batch will read of the bits and of the rows of `codes`: those of the first draws
    under `key`, or of the clips from the queue's `head` on. Changes nothing.
    """
    taken, ring = pool.taken, pool.ring
    if len(ring) > 0:
        for j in range(take):
            clip = uint64(ring[(head + j) % len(ring)])
            prefetch(taken, clip >> uint64(3))  # type: ignore[call-arg]
            prefetch(codes, clip)  # type: ignore[call-arg]
    elif len(pool.universe) == 0:
        limit = rejection_limit(codes.shape[0])
        for j in range(take):
            at = bounded(hashed(key, j), codes.shape[0], limit)
            if at >= 0:
                prefetch(taken, uint64(at) >> uint64(3))  # type: ignore[call-arg]
                prefetch(codes, uint64(at))  # type: ignore[call-arg]


@compiled(inline="always")
def put_back(pool: Pool, alive: np.ndarray, place: np.ndarray, clip: np.ndarray, m: int, picked: np.ndarray) -> None:
    """Return a drawn batch but for its picked ones, whose places in it are `picked`, and for what is not alive."""
    taken = pool.taken
    for j in range(m):
        if len(alive) == 0 or alive[clip[j]]:
            clear_bit(taken, place[j])
    for k in range(len(picked)):
        set_bit(taken, place[picked[k]])


@compiled(inline="always")
def take_from_queue(pool: Pool, head: int, take: int, place: np.ndarray, clip: np.ndarray) -> int:
    """The next `take` clips of the queue that may still be taken; returns the new head."""
    ring, taken = pool.ring, pool.taken
    c = 0
    while c < take:
        at = ring[head]
        head = (head + 1) % len(ring)
        if not bit(taken, np.int64(at)):
            place[c] = at
            clip[c] = at
            c += 1
    return head


@compiled(inline="always")
def put_behind(pool: Pool, tail: int, clip: np.ndarray, m: int, picked: np.ndarray) -> int:
    """Put a batch behind the queue but for its picked ones and what may not be taken; returns the new tail."""
    ring, taken = pool.ring, pool.taken
    for k in range(len(picked)):
        set_bit(taken, clip[picked[k]])
    for j in range(m):
        if not bit(taken, clip[j]):
            ring[tail] = clip[j]
            tail = (tail + 1) % len(ring)
    return tail
