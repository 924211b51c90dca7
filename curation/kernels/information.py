"""Mutual information from counts, in nats: contingency tables in, numbers out (plug-in estimate, empty cells
contribute 0).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from curation.kernels.chunks import over_chunks
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Layout, Rows, add_counts, empty_counts

_GAIN_CHUNK = 1 << 18  # entries of g computed at a time, so that a long table needs no second one beside it


def gain_table(n_max: int) -> np.ndarray:
    """g(t) = (t + 1) log(t + 1) - t log t for t = 0..n_max, float64 (n_max + 1,): what one more clip adds to t log t.

    Written as log(t + 1) + t log(1 + 1/t), which loses no digits for large t.
    """
    return _gains(0, n_max + 1)


def _gains(low: int, high: int) -> np.ndarray:
    """g(t) for low <= t < high."""
    t = np.arange(low, high, dtype=np.float64)
    g = np.log(t + 1)
    first = 1 - min(low, 1)  # t = 0 has no second part
    g[first:] += t[first:] * np.log1p(1 / t[first:])
    return g


def fixed_gain_table(n_max: int, bits: int) -> np.ndarray:
    """g(t) in whole multiples of 2^-bits, as int64 (n_max + 1,) below 2^52.

    Sums of g that are equal by the laws of logarithms, such as g(2) + g(3) = 3 g(1), must stay equal, else rounding and
    not the draw decides ties. So up to t = 1024 logarithms are rounded at the primes only and added up from there.
    """
    table = np.empty(n_max + 1, np.int64)

    def fill(worker: int, low: int, high: int) -> None:
        table[low:high] = np.rint(_gains(low, high) * 2.0**bits)

    over_chunks(n_max + 1, fill, size=_GAIN_CHUNK)
    small = _small_gains(bits)[: n_max + 1]
    table[: len(small)] = small
    return table


@lru_cache(maxsize=8)
def _small_gains(bits: int) -> np.ndarray:
    """g(0) to g(1024) in units, from logarithms that add up exactly."""
    log = [0, 0]
    for n in range(2, 1026):
        divisor = next((p for p in range(2, int(n**0.5) + 1) if n % p == 0), n)
        log.append(round(math.log(n) * 2.0**bits) if divisor == n else log[divisor] + log[n // divisor])
    return np.array([(t + 1) * log[t + 1] - t * log[t] for t in range(1025)], dtype=np.int64)


@compiled()
def _sum_x(counts: np.ndarray) -> float:
    """X = sum of t log t over the counts."""
    total = 0.0
    for t in counts:
        if t > 1:
            total += t * np.log(float(t))
    return total


@compiled()
def pair_information(counts: np.ndarray, layer_counts: np.ndarray, layout: Layout, n: int) -> np.ndarray:
    """Mutual information of every pair, float64 (P,), nats, of the n clips that were counted; 0 where n = 0."""
    n_pairs = len(layout.first)
    values = np.zeros(n_pairs)
    if n == 0:
        return values
    marginal = np.empty(len(layout.layer_offset) - 1)
    for d in range(len(marginal)):
        marginal[d] = _sum_x(layer_counts[layout.layer_offset[d] : layout.layer_offset[d + 1]])
    x_n = n * np.log(float(n))
    for p in range(n_pairs):
        joint = _sum_x(counts[layout.offset[p] : layout.offset[p + 1]])
        values[p] = max(0.0, (joint - marginal[layout.first[p]] - marginal[layout.second[p]] + x_n) / n)
    return values


def information_of(rows: Rows, which: np.ndarray, layout: Layout) -> np.ndarray:
    """Mutual information of every pair over the clips `which`, float64 (P,), nats."""
    counts, layer_counts = empty_counts(layout)
    add_counts(rows, which, layout, counts, layer_counts)
    return pair_information(counts, layer_counts, layout, len(which))


def objective_along(
    rows: Rows, order: np.ndarray, sizes: np.ndarray, layout: Layout, weights: np.ndarray
) -> np.ndarray:
    """F(S) = sum of w_p MI_p, nats, for the first `sizes[k]` clips of `order`, in one pass; NaN beyond its length.

    `order` int (s,), `sizes` increasing int (m,), `weights` float64 (P,) summing to 1. Returns float64 (m,).
    """
    counts, layer_counts = empty_counts(layout)
    values = np.full(len(sizes), np.nan)
    done = 0
    for k, size in enumerate(int(size) for size in sizes):
        if size > len(order):
            break
        add_counts(rows, order[done:size], layout, counts, layer_counts)
        values[k] = pair_information(counts, layer_counts, layout, size) @ weights
        done = size
    return values
