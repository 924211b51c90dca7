"""Features -> a plane: the first two principal components, fitted on a bounded sample, applied block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import svds

BLOCK_ROWS = 65_536
FIT_ROWS = 20_000


@dataclass(frozen=True)
class Plane:
    """`used` bool (dim,): columns that vary; `mean`, `deviation` float32 of these; `axes` float32 (used, 0 to 2)."""

    used: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    axes: np.ndarray

    def place(self, features: np.ndarray) -> np.ndarray:
        """Coordinates (m, 2) float32 of `features` (m, dim); zeros where there are too few dimensions."""
        out = np.zeros((len(features), 2), np.float32)
        piece = (np.asarray(features, np.float32)[:, self.used] - self.mean) / self.deviation
        out[:, : self.axes.shape[1]] = piece @ self.axes
        return out


def fit_plane(sample: np.ndarray) -> Plane:
    """The plane of the two largest principal components of `sample` (m, dim), m at least 1.

    Columns are standardised; constant ones fall away. The sign of each axis is fixed so that the largest loading is
    positive.
    """
    sample = np.asarray(sample, np.float32)
    mean, deviation = sample.mean(0), sample.std(0)
    used = deviation > 1e-6
    mean, deviation = mean[used], deviation[used]
    if not used.any():
        return Plane(used, mean, deviation, np.zeros((0, 0), np.float32))
    axes = _leading_axes(((sample[:, used] - mean) / deviation).astype(np.float64))
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return Plane(used, mean, deviation, axes.astype(np.float32))


def fit_rows(n: int, rng: np.random.Generator, most: int = FIT_ROWS) -> np.ndarray:
    """The rows that a plane is fitted on, int64, sorted: all, or `most` of them drawn by `rng`."""
    return np.sort(rng.choice(n, most, replace=False)) if n > most else np.arange(n)


def principal_plane(features: np.ndarray, rng: np.random.Generator, *, max_fit: int = FIT_ROWS) -> np.ndarray:
    """Coordinates (N, 2) float32 of `features` (N, dim) on their two largest principal components.

    Fitted on at most `max_fit` rows drawn by `rng`. Fewer than two usable dimensions give zeros in the missing ones.
    """
    x = np.asarray(features, np.float32)
    out = np.zeros((len(x), 2), np.float32)
    if len(x) < 2:
        return out
    plane = fit_plane(x[fit_rows(len(x), rng, max_fit)])
    for start in range(0, len(x), BLOCK_ROWS):
        out[start : start + BLOCK_ROWS] = plane.place(x[start : start + BLOCK_ROWS])
    return out


def _leading_axes(x: np.ndarray) -> np.ndarray:
    """The (dim, at most 2) right singular vectors of centred `x` with the largest singular values, largest first."""
    if min(x.shape) <= 3:
        return np.linalg.svd(x, full_matrices=False)[2][:2].T
    _, values, vectors = svds(x, k=2, v0=np.ones(min(x.shape)))
    return vectors[np.argsort(-values)].T
