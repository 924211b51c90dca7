"""Short vectors -> a plane by UMAP (McInnes, Healy, Melville 2018): fitted on some, the others placed among them.

The same for any number of threads: neighbours are searched in fixed blocks on one thread each, and a seeded UMAP lays
out on one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from curation.kernels.faiss_loaded import faiss
from curation.kernels.plane import principal_plane

NEIGHBOURS = 15
EPOCHS = 100
PLACED_BY = 5
BLOCK_ROWS = 4096
EXACT_MOST = 20_000  # above, those that are placed look for their nearest in lists of the fitted
LISTS, PROBE = 512, 12


def umap_plane(
    vectors: np.ndarray, fitted: np.ndarray, seed: int, *, threads: int = 0, check: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Coordinates float32 (n, 2) of `vectors` float (n, d), of length 1.

    Rows `fitted` int64 (m,), sorted, are laid out by UMAP (15 neighbours, 100 epochs, begun at the principal plane);
    each other one lies at the mean of its five nearest fitted ones, weighted by one over the distance. Fewer than four
    fitted rows give the principal plane. `threads`: 0 = one a core; `check` is called between blocks and may raise.
    """
    n = len(vectors)
    out = np.zeros((n, 2), np.float32)
    if len(fitted) < 4:
        return principal_plane(vectors, np.random.default_rng(seed))
    base = np.ascontiguousarray(vectors[fitted], np.float32)
    with threadpool_limits(1, "blas"):
        search = _Search(base, threads, check)
        laid_out = _layout(base, search, seed)
        out[fitted] = laid_out
        others = np.setdiff1d(np.arange(n), fitted, assume_unique=True)
        if len(others):
            search.use_lists()
            near, distance = search.nearest(vectors, others, min(PLACED_BY, len(base)))
            weight = 1 / np.maximum(distance, 1e-4)
            weight /= weight.sum(1, keepdims=True)
            out[others] = (laid_out[near] * weight[:, :, None]).sum(1)
    return out


def _layout(base: np.ndarray, search: _Search, seed: int) -> np.ndarray:
    import umap  # takes seconds to load

    k = min(NEIGHBOURS, len(base) - 1)
    rows = np.arange(len(base))
    near, distance = search.nearest(base, rows, k)
    # Each row is its own first neighbour, also where others are equal to it.
    late = np.flatnonzero(near[:, 0] != rows)
    place = np.argmax(near[late] == rows[late, None], axis=1)
    near[late, place], distance[late, place] = near[late, 0], distance[late, 0]
    near[late, 0], distance[late, 0] = rows[late], 0
    fit = umap.UMAP(
        n_neighbors=k, n_epochs=EPOCHS, init="pca", random_state=seed % 2**32, n_jobs=1,
        precomputed_knn=(near.astype(np.int32), distance.astype(np.float32)),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a fit cannot place new clips later, or that few clips need no neighbours
        found = fit.fit_transform(base)
    return np.nan_to_num(np.asarray(found, np.float32))


class _Search:
    """Nearest rows of `base` by Euclidean distance: exact, or in lists after `use_lists`."""

    def __init__(self, base: np.ndarray, threads: int, check: Callable[[], None]) -> None:
        self._base, self._check = base, check
        self._threads = threads or os.cpu_count() or 1
        self._index: Any = faiss.IndexFlatL2(base.shape[1])
        with self._pool() as pool:
            pool.submit(self._index.add, base).result()

    def use_lists(self) -> None:
        """From now on look in `PROBE` of `LISTS` lists, where there are many rows."""
        if len(self._base) <= EXACT_MOST:
            return
        lists: Any = faiss.IndexIVFFlat(faiss.IndexFlatL2(self._base.shape[1]), self._base.shape[1], LISTS)
        lists.nprobe = PROBE

        def make() -> None:
            lists.train(self._base)
            lists.add(self._base)

        with self._pool() as pool:  # on one thread: what faiss trains depends on their number
            pool.submit(make).result()
        self._index, self._quantizer = lists, lists.quantizer

    def nearest(self, vectors: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Places int64 (m, k) in the base and distances float32 (m, k) of some rows of `vectors`, the nearest first."""
        near, distance = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)

        def work(start: int) -> None:
            at = slice(start, start + BLOCK_ROWS)
            squared, near[at] = self._index.search(np.ascontiguousarray(vectors[rows[at]], np.float32), k)
            distance[at] = np.sqrt(np.maximum(squared, 0))

        with self._pool() as pool:
            for first in range(0, len(rows), BLOCK_ROWS * 16):
                self._check()
                starts = range(first, min(len(rows), first + BLOCK_ROWS * 16), BLOCK_ROWS)
                list(pool.map(work, starts))
        # A list that holds too few leaves places open: they get the nearest there is.
        open_places = near < 0
        near[open_places] = np.broadcast_to(near[:, :1], near.shape)[open_places]
        distance[open_places] = np.broadcast_to(distance[:, :1], distance.shape)[open_places]
        return np.maximum(near, 0), distance

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, initializer=faiss.omp_set_num_threads, initargs=(1,))
