"""Where the names of clusters stand on a map: places and labels in, the middle of each cluster's densest part out."""

from __future__ import annotations

import numpy as np

from curation.kernels.raster import pixel_of

MOST = 20
"""Clusters that are named on a map."""
CELLS = 96  # a side of the grid on which density is told
REACH = 2  # cells around the densest one over which the middle is taken


def chosen(sizes: np.ndarray, named: set[int]) -> list[int]:
    """Which clusters are named on a map, the most important first: those with a name of their own, then the largest.

    `sizes` int (K,). At most `MOST`, none without clips.
    """
    order = [int(cluster) for cluster in np.argsort(-np.asarray(sizes), kind="stable") if sizes[cluster] > 0]
    return sorted(order, key=lambda cluster: cluster not in named)[:MOST]


def centres(
    xy: np.ndarray, labels: np.ndarray, clusters: list[int], window: tuple[float, float, float, float]
) -> np.ndarray:
    """Middle of the densest part of each of `clusters`, at most `MOST`, within a window of a map, float64 (m, 2).

    `xy` float32 (N, 2), NaN = no place; `labels` integer (N,), -1 = no value; NaN where a cluster has no clip there.
    Not the mean of the places: a cluster that lies in two parts would be named between them, where it is not.
    """
    m, edges = len(clusters), np.array(window, np.float64)
    slots = np.full(int(max([-1, labels.max(initial=-1), *clusters])) + 2, -1, np.int8)  # the last: of label -1
    slots[clusters] = np.arange(m)
    pixel, slot = pixel_of(np.asarray(xy), edges, CELLS, CELLS), slots[np.asarray(labels)]
    use = (pixel >= 0) & (slot >= 0)
    place = slot[use].astype(np.int64) * CELLS**2 + pixel[use]
    counts = np.bincount(place, minlength=m * CELLS**2).reshape(m, CELLS, CELLS)
    dense = _box(_box(counts, 1), 2)
    best = dense.reshape(m, -1).argmax(1) if m else np.zeros(0, np.int64)
    out = np.full((m, 2), np.nan)
    side = (edges[2:] - edges[:2]) / CELLS
    for i, (row, column) in enumerate(zip(*np.divmod(best, CELLS))):
        r, c = (np.arange(max(0, at - REACH), min(CELLS, at + REACH + 1)) for at in (row, column))
        here = counts[i][np.ix_(r, c)]
        if total := here.sum():
            x, y = (here.sum(0) @ (c + 0.5)) / total, (here.sum(1) @ (r + 0.5)) / total
            out[i] = edges[0] + x * side[0], edges[3] - y * side[1]
    return out


def _box(counts: np.ndarray, axis: int) -> np.ndarray:
    """Sums over `REACH` cells to both sides along one axis."""
    wide = [(0, 0)] * counts.ndim
    wide[axis] = (REACH + 1, REACH)
    run = np.cumsum(np.pad(counts, wide), axis=axis)
    n = counts.shape[axis]
    last, first = (np.take(run, np.arange(n) + start, axis=axis) for start in (2 * REACH + 1, 0))
    return np.asarray(last - first)
