"""How far clusterings and subsets agree: labels in, numbers out."""

from __future__ import annotations

import numpy as np


def adjusted_rand(counts: np.ndarray) -> float:
    """Adjusted Rand index of a contingency table, integer (A, B) or its cells as float: 1 = the same, 0 by chance.

    Hubert and Arabie 1985, equation 5. 1 where both clusterings put everything together, or nothing.
    """
    table = np.asarray(counts, np.float64)
    return adjusted_rand_of(table[table > 0], table.sum(axis=1), table.sum(axis=0))


def adjusted_rand_of(cells: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> float:
    """As `adjusted_rand`, of the cells that are not empty (any order) and the sizes of rows and columns."""
    together, in_rows, in_columns = (_pairs(part) for part in (cells, rows, columns))
    every = _pairs(np.array([float(np.sum(rows))]))
    expected = in_rows * in_columns / every if every else 0.0
    room = (in_rows + in_columns) / 2 - expected
    return 1.0 if room <= 0 else float((together - expected) / room)


def _pairs(sizes: np.ndarray) -> float:
    n = np.asarray(sizes, np.float64)
    return float((n * (n - 1) / 2).sum())


def mean_overlap(subsets: np.ndarray) -> float:
    """Mean part that two of the subsets share, `subsets` bool (R, n) of equal sizes; NaN for fewer than two."""
    n = len(subsets)
    if n < 2:
        return float("nan")
    whole = subsets.astype(np.float64)
    shared = whole @ whole.T
    size = np.maximum(np.diag(shared), 1)
    pairs = np.triu_indices(n, 1)
    return float((shared / np.sqrt(np.outer(size, size)))[pairs].mean())


def sources_in(labels: np.ndarray, source: np.ndarray, n_clusters: int) -> np.ndarray:
    """Different sources in each cluster, int64 (n_clusters,); `labels` and `source` integer (n,), not negative."""
    if not len(labels):
        return np.zeros(n_clusters, np.int64)
    pairs = np.unique(labels.astype(np.int64) * (int(source.max()) + 1) + source)
    return np.bincount(pairs // (int(source.max()) + 1), minlength=n_clusters)
