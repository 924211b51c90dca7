"""Lloyd's k-means on faiss: points in, centroids out; bit for bit the same for any number of threads.

faiss's own training changes its results with the number of threads (measured with 3 and 8 threads at 60,000 x 512),
because the matrix product is cut differently. Here every product is of a fixed block of rows on one thread, blocks
run side by side, and partial sums are added in the order of the blocks. On a GPU faiss assigns the same blocks there.
What is assigned is read block by block and need not fit in memory; what is trained on does.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from curation.kernels.compiled import compiled
from curation.kernels.draws import STREAM_KMEANS, shuffle_front, stream_key
from curation.kernels.faiss_loaded import faiss
from curation.kernels.kmeans_rows import squared_distances

BLOCK_ROWS = 8192
_START_ROWS = 16  # k-means++ looks at this many rows a centroid (at least 4,096)


@compiled()
def _block_sums(x: np.ndarray, label: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum, float64 (k, d), and number, int64 (k,), of the rows of each cluster."""
    sums, sizes = np.zeros((k, x.shape[1])), np.zeros(k, np.int64)
    for i in range(len(x)):
        sizes[label[i]] += 1
        sums[label[i]] += x[i]
    return sums, sizes


class Rounds(NamedTuple):
    """Training as it stands after `number` rounds: centroids float32 (k, d), and how often one was re-seeded."""

    number: int
    centroids: np.ndarray
    reseeded: int


class Assigner:
    """Nearest centroids, block by block. `device` "cpu" or "cuda"; `threads` 0 = one a core."""

    def __init__(self, device: str = "cpu", threads: int = 0) -> None:
        self._device = device
        self._threads = 1 if device == "cuda" else threads or len(os.sched_getaffinity(0))
        self._resources: Any = faiss.StandardGpuResources() if device == "cuda" else None

    def map(self, work: Callable[[int, list[Any]], Any], blocks: int, runs: Sequence[np.ndarray]) -> Iterator[Any]:
        """`work(block number, an index of each run's centroids)` for each block, side by side; results in the order
        of the blocks."""
        indexes = [self._index(centroids) for centroids in runs]
        with ThreadPoolExecutor(self._threads, initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
            # A window of a few blocks a thread: partial sums waiting to be added stay few
            waiting: deque[Future[Any]] = deque()
            try:
                for block in range(blocks):
                    waiting.append(pool.submit(work, block, indexes))
                    if len(waiting) > 2 * self._threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _index(self, centroids: np.ndarray) -> Any:
        index: Any = faiss.IndexFlatL2(centroids.shape[1])
        if self._resources is not None:
            index = faiss.index_cpu_to_gpu(self._resources, 0, index)
        index.add(np.ascontiguousarray(centroids, dtype=np.float32))
        return index


def gpu_count() -> int:
    """GPUs that faiss can use: 0 in a build without GPU code."""
    return int(getattr(faiss, "get_num_gpus", int)())


def nearest(index: Any, x: np.ndarray) -> np.ndarray:
    """Index of the nearest centroid of each row, int32 (m,), ties to the lower."""
    return index.search(x, 1)[1][:, 0].astype(np.int32)


def n_blocks(rows: int) -> int:
    """Blocks of BLOCK_ROWS rows."""
    return -(-rows // BLOCK_ROWS)


def block_slice(block: int, rows: int) -> slice:
    """Rows of a block."""
    return slice(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, rows))


def count_distinct(x: np.ndarray, enough: int) -> int:
    """Number of distinct rows, counted up to `enough`."""
    seen: set[bytes] = set()
    for row in x:
        seen.add((row + np.float32(0)).tobytes())  # -0.0 and 0.0 are the same point
        if len(seen) >= enough:
            break
    return len(seen)


def _update(x: np.ndarray, centroids: np.ndarray, assigner: Assigner) -> tuple[np.ndarray, np.ndarray]:
    """One Lloyd round: sums of the rows nearest to each centroid, float64 (k, d), and their sizes."""
    k, rows = len(centroids), len(x)

    def work(block: int, indexes: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        part = x[block_slice(block, rows)]
        return _block_sums(part, nearest(indexes[0], part), k)

    sums, sizes = np.zeros(centroids.shape), np.zeros(k, np.int64)
    for part_sums, part_sizes in assigner.map(work, n_blocks(rows), [centroids]):
        sums += part_sums
        sizes += part_sizes
    return sums, sizes


def assign_runs(
    read: Callable[[slice], Sequence[np.ndarray]], rows: int, runs: Sequence[np.ndarray], assigner: Assigner
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroids of several runs of k-means in one pass over rows that are read block by block.

    `read(slice)`: those rows in the space of each run, float32 (m, d of the run) each, called by several threads.
    Returns the labels, int32 (runs, rows), and the squared distance to the first run's centroid, float64 (rows,).
    """
    label, distance = np.empty((len(runs), rows), np.int32), np.empty(rows)

    def work(block: int, indexes: list[Any]) -> None:
        at = block_slice(block, rows)
        spaces = read(at)
        for r, (index, x) in enumerate(zip(indexes, spaces, strict=True)):
            label[r, at] = nearest(index, x)
        squared_distances(spaces[0], runs[0], label[0, at], distance[at])

    for _ in assigner.map(work, n_blocks(rows), runs):
        pass
    return label, distance


def assign(x: np.ndarray, centroids: np.ndarray, assigner: Assigner) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroid, int32 (n,), and squared distance to it, float64 (n,), of each row of `x` float32 (n, d)."""
    label, distance = assign_runs(lambda at: [x[at]], len(x), [centroids], assigner)
    return label[0], distance


def start_centroids(x: np.ndarray, k: int, seed: int) -> np.ndarray:
    """First centroids by k-means++ (Arthur and Vassilvitskii 2007) on a seeded sample of the rows: float32 (<= k, d).

    Fewer than k only where the sample has fewer distinct rows.
    """
    rng = np.random.default_rng(stream_key(seed, STREAM_KMEANS, 0))
    rows = np.arange(len(x))
    take = min(len(x), max(4096, _START_ROWS * k))
    shuffle_front(rows, take, np.uint64(stream_key(seed, STREAM_KMEANS, 1)))
    sample = np.ascontiguousarray(x[rows[:take]])
    label = np.zeros(take, np.int32)
    chosen = [int(rng.integers(take))]
    nearest_d, d = np.full(take, np.inf), np.empty(take)
    while len(chosen) < k:
        squared_distances(sample, sample[chosen[-1] :][:1], label, d)
        np.minimum(nearest_d, d, out=nearest_d)
        cumulated = np.cumsum(nearest_d)
        if cumulated[-1] <= 0:
            break
        chosen.append(int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right").clip(max=take - 1)))
    return sample[chosen]


def _fill_empty(x: np.ndarray, centroids: np.ndarray, sizes: np.ndarray, assigner: Assigner) -> tuple[np.ndarray, int]:
    """Give each empty cluster the row farthest from its centroid; returns the centroids and how many moved."""
    empty = np.flatnonzero(sizes == 0)
    if not len(empty):
        return centroids, 0
    _, distance = assign(x, centroids, assigner)
    moved = centroids.copy()
    filled = 0
    for cluster in empty:
        far = int(np.argmax(distance))
        if distance[far] <= 0:
            break
        moved[cluster] = x[far]
        filled += 1
        # No second empty cluster on the same spot
        twin = np.empty(len(x))
        squared_distances(x, x[far : far + 1], np.zeros(len(x), np.int32), twin)
        np.minimum(distance, twin, out=distance)
    return moved, filled


def train(
    x: np.ndarray,
    k: int,
    *,
    seed: int,
    n_iter: int,
    assigner: Assigner,
    begun: Rounds | None = None,
    on_round: Callable[[Rounds], None] = lambda _rounds: None,
) -> tuple[np.ndarray, int]:
    """Centroids of `x` float32 (n, d): float32 (<= k, d), none of them without a row of `x`, and how often one was
    re-seeded.

    Lloyd rounds until nothing moves, at most `n_iter`; a cluster that loses all its rows is moved to the row that is
    farthest from its centroid. Those that are empty even so at the end are dropped. `on_round` is told how it stands
    after each round; given that as `begun`, a later call goes on from there and ends in the same bits.
    """
    done, centroids, reseeded = begun or Rounds(0, _started(x, k, seed), 0)
    for i in range(done, n_iter):
        sums, sizes = _update(x, centroids, assigner)
        full = sizes > 0
        new = centroids.copy()
        new[full] = (sums[full] / sizes[full, None]).astype(np.float32)
        new, moved = _fill_empty(x, new, sizes, assigner)
        reseeded += moved
        if np.array_equal(new, centroids):
            break
        centroids = new
        on_round(Rounds(i + 1, centroids, reseeded))
    for _ in range(3):
        sizes = _update(x, centroids, assigner)[1]
        centroids, moved = _fill_empty(x, centroids, sizes, assigner)
        reseeded += moved
        if not moved:
            break
    sizes = _update(x, centroids, assigner)[1]
    return centroids[sizes > 0], reseeded


def _started(x: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Exactly k first centroids: where the sample had too few distinct rows the rest start as empty clusters."""
    centroids = start_centroids(x, k, seed)
    rest = np.repeat(centroids[:1], k - len(centroids), axis=0)
    return np.concatenate([centroids, rest])
