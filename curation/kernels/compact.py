"""Long feature vectors -> a few principal components of length 1: fitted on a sample, applied block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh


@dataclass(frozen=True)
class Compaction:
    """`mean` float32 (D,), `weights` float32 (D, d): a vector x becomes (x - mean) @ weights, scaled to length 1."""

    mean: np.ndarray
    weights: np.ndarray

    def apply(self, x: np.ndarray) -> np.ndarray:
        """float32 (m, d) of `x` float (m, D): rows of length 1; zeros where a vector is the mean itself."""
        out = (np.asarray(x, np.float32) - self.mean) @ self.weights
        length = np.linalg.norm(out, axis=1, keepdims=True)
        return np.divide(out, length, out=np.zeros_like(out), where=length > 1e-12)


def fit_compaction(sample: np.ndarray, groups: Sequence[int], dim: int) -> Compaction:
    """The `dim` largest principal components of `sample` float (m, D), m at least 1; fewer where there are not so many.

    `groups`: sizes of the layers that make up the columns, sum D. Columns are standardised, constant ones fall away,
    and every layer counts the same, however long it is: its columns are divided by the root of their number. The sign
    of a component is fixed so that its largest loading is positive.
    """
    x = np.asarray(sample, np.float32)
    if sum(groups) != x.shape[1]:
        raise ValueError(f"groups of {sum(groups)} columns in all for {x.shape[1]} columns")
    mean, deviation = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    used = deviation > 1e-6
    scale = np.zeros(x.shape[1])
    start = 0
    for size in groups:
        at = np.flatnonzero(used[start : start + size]) + start
        scale[at] = 1 / (deviation[at] * np.sqrt(max(1, len(at))))
        start += size
    kept = np.flatnonzero(used)
    d = min(dim, len(kept), max(1, len(x) - 1))
    if not len(kept):
        return Compaction(mean.astype(np.float32), np.zeros((x.shape[1], 1), np.float32))
    scaled = (x[:, kept] - mean[kept].astype(np.float32)) * scale[kept].astype(np.float32)
    covariance = (scaled.T @ scaled).astype(np.float64) / len(x)
    _, axes = eigh(covariance, subset_by_index=[len(kept) - d, len(kept) - 1])
    axes = axes[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(d)])
    weights = np.zeros((x.shape[1], d), np.float32)
    weights[kept] = axes * scale[kept, None]
    return Compaction(mean.astype(np.float32), weights)
