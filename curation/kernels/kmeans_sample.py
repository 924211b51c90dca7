"""Which clips k-means is trained on: keys of clips in, rows of those with the lowest hashes out.

A clip is drawn by a hash of its own key, so the sample does not depend on the order of the clips, and clips that are
added displace only as many as they bring: the lowest `take` of a larger set, cut to the old clips, are the lowest of
these.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from curation.kernels.compiled import compiled
from curation.kernels.draws import mix

_BINS = 1 << 16
_S48 = np.uint64(48)


@compiled()
def _histogram(keys: np.ndarray, usable: np.ndarray, key: np.uint64) -> np.ndarray:
    """How many usable hashes begin with each 16 bits, int64 (2^16,)."""
    counts = np.zeros(_BINS, np.int64)
    for i in range(len(keys)):
        if usable[i]:
            counts[mix(uint64(keys[i]) ^ uint64(key)) >> _S48] += 1
    return counts


@compiled()
def _collect(
    keys: np.ndarray, usable: np.ndarray, key: np.uint64, last: int, rows: np.ndarray, hashes: np.ndarray
) -> None:
    """Rows of the usable hashes that begin with at most `last`, and the hashes, in the order of the rows."""
    found = 0
    for i in range(len(keys)):
        if usable[i]:
            h = mix(uint64(keys[i]) ^ uint64(key))
            if np.int64(h >> _S48) <= last:
                rows[found], hashes[found] = i, h
                found += 1


def lowest_hashes(keys: np.ndarray, usable: np.ndarray, take: int, key: int) -> np.ndarray:
    """Rows of the `take` usable clips with the lowest hashes under `key`: rising int64 (min(take, usable),).

    `keys` uint64 (n,), different for different clips (equal ones: the earlier row first); `usable` bool (n,). Reads
    both twice, in order, and holds little more than the sample.
    """
    keys, usable, mixed = np.asarray(keys), np.asarray(usable), np.uint64(key)
    upto = np.cumsum(_histogram(keys, usable, mixed))
    if take >= upto[-1]:
        return np.flatnonzero(usable)
    last = int(np.searchsorted(upto, take))
    rows, hashes = np.empty(upto[last], np.int64), np.empty(upto[last], np.uint64)
    _collect(keys, usable, mixed, last, rows, hashes)
    return np.sort(rows[np.argsort(hashes, kind="stable")[:take]])
