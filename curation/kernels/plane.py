"""Features -> a plane: the first two principal components, fitted on a bounded sample."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import svds


def principal_plane(features: np.ndarray, rng: np.random.Generator, *, max_fit: int = 20_000) -> np.ndarray:
    """Coordinates (N, 2) float32 of `features` (N, dim) on their two largest principal components.

    Columns are standardised; constant ones fall away. Fitted on at most `max_fit` rows drawn by `rng`. The sign of each
    axis is fixed so that the largest loading is positive. Fewer than two usable dimensions give zeros in the missing
    ones.
    """
    x = np.asarray(features, np.float32)
    out = np.zeros((len(x), 2), np.float32)
    if len(x) < 2:
        return out
    chosen = np.sort(rng.choice(len(x), max_fit, replace=False)) if len(x) > max_fit else slice(None)
    sample = x[chosen]
    mean, deviation = sample.mean(0), sample.std(0)
    used = deviation > 1e-6
    if not used.any():
        return out
    mean, deviation = mean[used], deviation[used]
    axes = _leading_axes(((sample[:, used] - mean) / deviation).astype(np.float64))
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    for start in range(0, len(x), 65_536):
        piece = (x[start : start + 65_536][:, used] - mean) / deviation
        out[start : start + 65_536, : axes.shape[1]] = piece @ axes.astype(np.float32)
    return out


def _leading_axes(x: np.ndarray) -> np.ndarray:
    """The (dim, at most 2) right singular vectors of centred `x` with the largest singular values, largest first."""
    if min(x.shape) <= 3:
        return np.linalg.svd(x, full_matrices=False)[2][:2].T
    _, values, vectors = svds(x, k=2, v0=np.ones(min(x.shape)))
    return vectors[np.argsort(-values)].T
