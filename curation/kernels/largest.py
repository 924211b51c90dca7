"""The largest of a batch of whole numbers, in order: gains in, their places out, without sorting the rest."""

from __future__ import annotations

import numpy as np
from numba import uint64

from curation.kernels.compiled import compiled

_CROWDED = 32  # a bucket with more is sorted, below insertion is quicker


def bucket_room(m: int) -> np.ndarray:
    """Room for `largest` over at most m gains, int64: about two buckets a gain."""
    return np.empty(2 * m + 1, np.int64)


@compiled(inline="always")
def largest(gains: np.ndarray, m: int, take: int, best: np.ndarray, start: np.ndarray) -> None:
    """Places of the `take` largest of the first m `gains` (int64, below 2^62 in size), largest first, ties to the
    earlier, into the front of `best` int64 (m,). `start` is `bucket_room`.

    Gains are counted into buckets of equal width, the highest first, and only the buckets that reach into the first
    `take` are filled, each in the order of the batch; then neighbours are set right.
    """
    low = high = gains[0]
    for j in range(m):
        low, high = min(low, gains[j]), max(high, gains[j])
    shift = uint64(0)
    while uint64(high - low) >> shift >= uint64(2 * m):
        shift += uint64(1)
    start[: 2 * m + 1] = 0
    for j in range(m):
        start[uint64(high - gains[j]) >> shift] += 1
    last = filled = 0
    most = 0
    while True:
        size = start[last]
        most = max(most, size)
        start[last] = filled
        filled += size
        if filled >= take:
            break
        last += 1
    start[last + 1 : 2 * m + 1] = filled  # what is not wanted is written to one place behind, again and again
    for j in range(m):
        bucket = uint64(high - gains[j]) >> shift
        at = start[bucket]
        best[at] = j
        start[bucket] = at + np.int64(bucket <= uint64(last))
    if most > _CROWDED:
        _sort_crowded(gains, best, start, last)
    for k in range(1, filled):
        place = best[k]
        gain = gains[place]
        at = k
        while at > 0 and gains[best[at - 1]] < gain:
            best[at] = best[at - 1]
            at -= 1
        best[at] = place


@compiled()
def _sort_crowded(gains: np.ndarray, best: np.ndarray, end: np.ndarray, last: int) -> None:
    """Sort the buckets that hold many gains; bucket k ends at `end[k]`."""
    begin = 0
    for bucket in range(last + 1):
        size = end[bucket] - begin
        if size > _CROWDED:
            place, key = np.empty(size, np.int64), np.empty(size, np.int64)
            for k in range(size):
                place[k] = best[begin + k]
                key[k] = -gains[place[k]]
            order = np.argsort(key, kind="mergesort")
            for k in range(size):
                best[begin + k] = place[order[k]]
        begin = end[bucket]
