"""A random order that belongs to each row and a seed: taking rows away never changes the order of those that stay.

Rows are ordered by a hash of their number (SplitMix64's finalizer; Steele, Lea and Flood, 2014).
"""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled

_SHARE, _MORE = 1.1, 2000
"""There is room for so many times as many rows as are wanted, and some more, as hashes fall unevenly."""


@compiled()
def _hash(row: np.uint64, start: np.uint64) -> np.uint64:
    z = row + start
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled()
def _hashes(rows: np.ndarray, start: np.uint64) -> np.ndarray:
    out = np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        out[i] = _hash(np.uint64(rows[i]), start)
    return out


@compiled()
def _below(rows: np.ndarray, start: np.uint64, limit: np.uint64, kept: np.ndarray, keys: np.ndarray) -> int:
    """Rows with a hash of at most `limit`, and their hashes, as many as there is room for; how many there are."""
    found = 0
    for i in range(len(rows)):
        key = _hash(np.uint64(rows[i]), start)
        if key <= limit:
            if found < len(kept):
                kept[found] = rows[i]
                keys[found] = key
            found += 1
    return found


def hashes(rows: np.ndarray, seed: int) -> np.ndarray:
    """A fixed random number, uint64 (m,), for every row number, int (m,)."""
    return _hashes(np.asarray(rows, np.int64), _start(seed))


def first(rows: np.ndarray, seed: int, n: int) -> np.ndarray:
    """The first `n` of `rows`, int (m,), in the seed's order, in one pass over them and a sort of about `n`."""
    room = min(len(rows), int(_SHARE * n) + _MORE)
    kept, keys = np.empty(room, rows.dtype), np.empty(room, np.uint64)
    limit = 2**64 - 1 if room == len(rows) else 2**64 * (n + room) // (2 * len(rows))
    found = _below(rows, _start(seed), np.uint64(limit), kept, keys)
    if not min(n, len(rows)) <= found <= room:  # further off than 6 standard deviations
        kept, keys, found = rows, hashes(rows, seed), len(rows)
    return kept[:found][np.argsort(keys[:found], kind="stable")[:n]]


def _start(seed: int) -> np.uint64:
    return np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
