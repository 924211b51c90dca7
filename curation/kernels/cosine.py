"""Directions of vectors: rows in, rows of length 1 out, and sums of them by label. Their inner products are cosines."""

from __future__ import annotations

import numpy as np


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of `x` float (n, dim) scaled to length 1, float32; rows of zeros stay zeros."""
    values = np.asarray(x, np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    return (values / np.where(lengths > 0, lengths, 1.0)[:, None]).astype(np.float32)


def cosines_of(x: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Cosine of each row of `x` float32 (n, dim) with `direction` (dim,) of length 1: float32 (n,), 0 for zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    return (x @ direction) / np.where(lengths > 0, lengths, np.float32(1))


def add_rows(sums: np.ndarray, x: np.ndarray, labels: np.ndarray) -> None:
    """Add the rows of `x` float (n, dim) to `sums` float64 (n_labels, dim), each to that of its label, in place.

    `labels` integer (n,), below 0 = to none. Added in the order of the rows: the same sums every time.
    """
    rows = np.flatnonzero(labels >= 0)
    if len(rows):
        rows = rows[np.argsort(labels[rows], kind="stable")]
        ordered = labels[rows]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        sums[ordered[starts]] += np.add.reduceat(x[rows].astype(np.float64), starts, axis=0)


def top_of(values: np.ndarray, k: int) -> np.ndarray:
    """Places of the `k` largest of `values` float (n,), the largest first, int64 (<= k,); ties by place, no NaN."""
    known = np.flatnonzero(~np.isnan(values))
    if len(known) > k:
        least = np.partition(values[known], len(known) - k)[len(known) - k]
        known = known[values[known] >= least]
    return known[np.argsort(-values[known], kind="stable")][:k]
