"""Rows of k-means: looked through for values that cannot be clustered, scaled, measured against their centroids."""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled

LARGEST = np.float32(1e15)  # squares of larger values overflow float32


@compiled()
def unusable_rows(x: np.ndarray) -> tuple[int, int]:
    """How many rows of `x` float32 (m, d) hold NaN, infinities or values beyond 1e15, and the first of them or -1."""
    bad, first = 0, -1
    for i in range(x.shape[0]):
        wrong = 0
        for d in range(x.shape[1]):
            wrong += not (abs(x[i, d]) < LARGEST)
        if wrong:
            if first < 0:
                first = i
            bad += 1
    return bad, first


@compiled()
def scale_rows(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
    """(x - mean) / scale in float64, into `out` float32; `x` float32 (m, d), `mean` and `scale` float64 (d,)."""
    for i in range(x.shape[0]):
        for d in range(x.shape[1]):
            out[i, d] = np.float32((np.float64(x[i, d]) - mean[d]) / scale[d])


@compiled(fastmath={"reassoc", "nsz", "contract"})
def squared_distances(x: np.ndarray, centroids: np.ndarray, label: np.ndarray, out: np.ndarray) -> None:
    """Squared Euclidean distance of each row of `x` float32 (m, d) to its own of `centroids` float32 (K, d), by `label`
    int32 or int64 (m,), into `out` float64 (m,). A row's bits do not depend on the rows beside it."""
    for i in range(len(x)):
        c = centroids[label[i]]
        total = np.float32(0)
        for d in range(x.shape[1]):
            diff = x[i, d] - c[d]
            total += diff * diff
        out[i] = total
