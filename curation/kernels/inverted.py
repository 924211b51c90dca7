"""Nearest vectors by inverted lists: queries in, places and similarities out, from memory maps that stay on disk.

The vectors lie list by list, one list a centroid, so that a query reads a few stretches of the file and nothing needs
to be loaded beforehand. All of them in one list is exact search. (A faiss index would have to be held in the memory of
every server that answers; faiss trains the centroids and does the searches of a whole data set.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BLOCK_ROWS = 32_768


class Lists(NamedTuple):
    """`vectors` float (n, d) of length 1, in the order of the lists; list i is `starts[i]` to `starts[i + 1]`;
    `centroids` float32 (lists, d)."""

    vectors: np.ndarray
    starts: np.ndarray
    centroids: np.ndarray


def search(lists: Lists, queries: np.ndarray, k: int, probe: int) -> tuple[np.ndarray, np.ndarray]:
    """Places int64 (m, k) of the most similar vectors, best first, and their inner products, float32 (m, k).

    `queries` float (m, d); looks at the `probe` lists whose centroids are nearest. Ties go to the lower place; where
    there are fewer than `k` vectors the rest is -1 and NaN.
    """
    places = np.full((len(queries), k), -1, np.int64)
    similarity = np.full((len(queries), k), np.nan, np.float32)
    queries = np.asarray(queries, np.float32)
    if not len(lists.vectors) or not len(queries):
        return places, similarity
    if probe >= len(lists.centroids):
        at, values = _best(lists.vectors, [(0, len(lists.vectors))], queries, k)
        places[:, : at.shape[1]], similarity[:, : at.shape[1]] = at, values
        return places, similarity
    # Nearest in Euclidean distance, as the vectors were put into the lists; the query's own length is the same for all.
    closeness = queries @ lists.centroids.T - 0.5 * (lists.centroids**2).sum(1)
    for i, query in enumerate(queries):
        wanted = np.sort(np.argpartition(-closeness[i], probe - 1)[:probe])
        stretches = [(int(lists.starts[item]), int(lists.starts[item + 1])) for item in wanted]
        at, values = _best(lists.vectors, stretches, query[None], k)
        places[i, : at.shape[1]], similarity[i, : at.shape[1]] = at[0], values[0]
    return places, similarity


def _best(
    vectors: np.ndarray, stretches: list[tuple[int, int]], queries: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places and inner products (m, at most k) of the best vectors in some stretches, best first, ties by place."""
    places, values = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
    for first, last in stretches:
        for start in range(first, last, BLOCK_ROWS):
            end = min(last, start + BLOCK_ROWS)
            here = queries @ vectors[start:end].astype(np.float32).T
            at = np.broadcast_to(np.arange(start, end), here.shape)
            if end - start > 4 * k:  # a block's own best, with what ties among them: few are left to be sorted
                at, here = _front(at, here, k)
            places, values = np.concatenate([places, at], 1), np.concatenate([values, here], 1)
            order = np.lexsort((places, -values))[:, :k]
            places, values = np.take_along_axis(places, order, 1), np.take_along_axis(values, order, 1)
    return places, values


def _front(places: np.ndarray, values: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` largest of each row, those of the lower place where several tie for the last of them."""
    kth = np.partition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k, None]
    above, level = values > kth, values == kth
    room = k - above.sum(1, keepdims=True)
    kept = above | (level & (np.cumsum(level, 1) <= room))
    return places[kept].reshape(-1, k), values[kept].reshape(-1, k)
