"""Counter-based random draws: a key in, hashes, shuffles and permutations out; the same on every machine and device.

The generator is SplitMix64 (Steele, Lea, Flood 2014) used as a hash: draw j under a key is `mix(key + (j + 1) *
GOLDEN)`, so any draw can be computed alone, in any order, by any number of threads, and nothing has to be stored.
Uniform integers below `size` come from the upper 32 bits by Lemire's multiplication with rejection (2019), which has
no bias; `size` must be below 2^31.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from curation.kernels.compiled import compiled

MASK = (1 << 64) - 1
GOLDEN_INT = 0x9E3779B97F4A7C15
MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
SIZE_MAX = 2**31 - 1

GOLDEN = np.uint64(GOLDEN_INT)
_M1, _M2 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW32 = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)

# What a key is used for: two uses of one seed never share draws.
STREAM_BATCHES, STREAM_QUEUE, STREAM_RANDOM, STREAM_PERMUTED, STREAM_CONTROL, STREAM_KMEANS = range(1, 7)
STREAM_TIES, STREAM_SAMPLE, STREAM_MATCHED, STREAM_TRAINING = range(7, 11)


def mix_int(z: int) -> int:
    """SplitMix64's finalizer on a Python integer (the plain twin of `mix`)."""
    z &= MASK
    z = ((z ^ (z >> 30)) * MULTIPLIERS[0]) & MASK
    z = ((z ^ (z >> 27)) * MULTIPLIERS[1]) & MASK
    return z ^ (z >> 31)


def stream_key(seed: int, *words: int) -> int:
    """Key of one stream of draws, from a seed (0 <= seed < 2^64) and small numbers that name the stream."""
    key = mix_int(seed + GOLDEN_INT)
    for word in words:
        key = mix_int(key + (word + 1) * GOLDEN_INT)
    return key


@compiled(inline="always")
def mix(z):  # type: ignore[no-untyped-def]
    """SplitMix64's finalizer, uint64 -> uint64."""
    z = (z ^ (z >> _S30)) * _M1
    z = (z ^ (z >> _S27)) * _M2
    return z ^ (z >> _S31)


@compiled(inline="always")
def hashed(key, j):  # type: ignore[no-untyped-def]
    """Draw j (int64 or uint64, from 0) under `key`: uint64."""
    return mix(key + (uint64(j) + _ONE) * GOLDEN)


@compiled(inline="always")
def rejection_limit(size):  # type: ignore[no-untyped-def]
    """2^32 mod size: products whose lower half lies below it are rejected, so that every integer is equally likely."""
    return (_ONE << _S32) % uint64(size)


@compiled(inline="always")
def bounded(h, size, limit):  # type: ignore[no-untyped-def]
    """A uniform integer in [0, size) from a hash, or -1 where this hash must be rejected."""
    product = (h >> _S32) * uint64(size)
    if (product & _LOW32) < limit:
        return np.int64(-1)
    return np.int64(product >> _S32)


@compiled()
def shuffle_front(items: np.ndarray, take: int, key: np.uint64) -> None:
    """Put a uniform sample without replacement of `items` (any integer dtype, changed in place) into its first `take`
    places.

    A forward Fisher-Yates shuffle: the first places do not depend on `take`, so a prefix is a smaller sample.
    """
    n = len(items)
    counter = np.int64(0)
    for i in range(min(take, n - 1)):
        size = n - i
        limit = rejection_limit(size)
        j = np.int64(-1)
        while j < 0:
            j = bounded(hashed(key, counter), size, limit)
            counter += 1
        other = items[i + j]
        items[i + j] = items[i]
        items[i] = other


@compiled()
def _separate(partner: np.ndarray, group: np.ndarray, key: np.uint64, tries: int) -> int:
    """Swap partners of one group (changed in place) until none stays with its own; returns how many could not be
    parted.
    """
    n = len(partner)
    limit = rejection_limit(n)
    counter = np.int64(0)
    left = 0
    for i in range(n):
        if group[partner[i]] != group[i]:
            continue
        parted = False
        for _ in range(tries):
            j = bounded(hashed(key, counter), n, limit)
            counter += 1
            if j >= 0 and group[partner[j]] != group[i] and group[partner[i]] != group[j]:
                partner[i], partner[j] = partner[j], partner[i]
                parted = True
                break
        if not parted:
            left += 1
    return left


def permuted_partners(group: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """A random permutation that gives every item a partner of another group.

    `group` int (n,): each item's group, all different where items stand for themselves. Returns the partners, int32
    (n,), and how many items had to keep a partner of their own group (more than 0 only where one group holds about
    half).
    """
    n = len(group)
    partner = np.arange(n, dtype=np.int32)
    shuffle_front(partner, n, np.uint64(stream_key(seed, STREAM_PERMUTED, 0)))
    left = 0
    for sweep in range(3):
        left = int(_separate(partner, group, np.uint64(stream_key(seed, STREAM_PERMUTED, sweep + 1)), 200))
        if not left:
            break
    return partner, left
