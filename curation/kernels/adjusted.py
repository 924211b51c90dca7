"""Normalised and adjusted mutual information of contingency tables: counts in, numbers out."""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled


@compiled()
def _expected_of_cell(a: int, b: int, n: int) -> float:
    """Mean of k/n log(n k / (a b)) where k, the overlap of a set of a with a random set of b among n, is
    hypergeometric.

    The probabilities are built outwards from the mode and normalised by their own sum: no factorials, so no digits are
    lost at large n. Terms below 1e-22 of the mode's are left out.
    """
    low, high = max(0, a + b - n), min(a, b)
    mode = min(high, max(low, (a + 1) * (b + 1) // (n + 2)))
    mass = 1.0
    mean = mode / n * np.log(n * float(mode) / (float(a) * b)) if mode > 0 else 0.0
    p = 1.0
    for k in range(mode, high):
        p *= float(a - k) * float(b - k) / (float(k + 1) * float(n - a - b + k + 1))
        if p < 1e-22:
            break
        mass += p
        mean += p * ((k + 1) / n) * np.log(n * float(k + 1) / (float(a) * b))
    p = 1.0
    for k in range(mode, low, -1):
        p *= float(k) * float(n - a - b + k) / (float(a - k + 1) * float(b - k + 1))
        if p < 1e-22:
            break
        mass += p
        if k > 1:
            mean += p * ((k - 1) / n) * np.log(n * float(k - 1) / (float(a) * b))
    return mean / mass


@compiled()
def expected_information(rows: np.ndarray, columns: np.ndarray, n: int) -> float:
    """Mean mutual information, nats, of two clusterings of n clips with these sizes, int64, labels permuted (Vinh et
    al. 2010, equation 24a).
    """
    sizes_a, times_a = _counted(rows)
    sizes_b, times_b = _counted(columns)
    total = 0.0
    for i in range(len(sizes_a)):
        for j in range(len(sizes_b)):
            total += times_a[i] * times_b[j] * _expected_of_cell(sizes_a[i], sizes_b[j], n)
    return total


@compiled()
def _counted(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different sizes above 0 and how often each occurs."""
    ordered = np.sort(sizes)
    kinds, times = np.empty(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
    n = 0
    for size in ordered:
        if size == 0:
            continue
        if n == 0 or kinds[n - 1] != size:
            kinds[n] = size
            n += 1
        times[n - 1] += 1
    return kinds[:n], times[:n]


def entropy(sizes: np.ndarray) -> float:
    """Entropy of cluster sizes, nats."""
    p = sizes[sizes > 0] / sizes.sum()
    return float(-(p * np.log(p)).sum()) + 0.0


def normalized(mi: float, rows: np.ndarray, columns: np.ndarray) -> float:
    """MI over the mean of the two entropies; 1 where both clusterings are of one cluster, 0 where MI is 0."""
    if min(np.count_nonzero(rows), np.count_nonzero(columns)) <= 1:
        return 1.0 if max(np.count_nonzero(rows), np.count_nonzero(columns)) <= 1 else 0.0
    return max(0.0, mi / ((entropy(rows) + entropy(columns)) / 2))


def adjusted_information(mi: float, rows: np.ndarray, columns: np.ndarray) -> float:
    """(MI - E) / (mean entropy - E), E the mean under permuted labels (Vinh et al. 2010): 0 by chance, 1 at most.

    1 where both clusterings are of one cluster, or both of one clip a cluster; 0 where only one is of one cluster.
    """
    n = int(rows.sum())
    kinds = np.count_nonzero(rows), np.count_nonzero(columns)
    if kinds == (1, 1) or (kinds[0] == kinds[1] == n):
        return 1.0
    if min(kinds) <= 1:
        return 0.0
    expected = expected_information(rows.astype(np.int64), columns.astype(np.int64), n)
    room = (entropy(rows) + entropy(columns)) / 2 - expected
    tiny = np.finfo(np.float64).eps
    room = min(room, -tiny) if room < 0 else max(room, tiny)
    return float((mi - expected) / room)
