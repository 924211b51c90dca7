"""Passes over many rows on several threads: a function of a range of rows in, all ranges done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numba

CHUNK = 1 << 17  # rows between two looks at a cancel


def n_workers(n: int, size: int = CHUNK) -> int:
    """Threads for n rows: as many as numba may use, one where there is little to do."""
    return max(1, min(int(numba.get_num_threads()), n // size))


def over_chunks(
    n: int, work: Callable[[int, int, int], object], look: Callable[[], object] | None = None, size: int = CHUNK
) -> None:
    """Call `work(worker, low, high)` for ranges that cover 0..n, on `n_workers(n)` threads; `look()` in between may
    raise, which stops all. `work` must release the GIL to gain, and write only to its rows or to its worker's tables.
    """
    workers = n_workers(n, size)
    if workers == 1:
        for low in range(0, n, size):
            work(0, low, min(n, low + size))
            if look is not None:
                look()
        return
    stop = threading.Event()

    def run(worker: int) -> None:
        for low in range(worker * size, n, workers * size):
            if stop.is_set():
                return
            work(worker, low, min(n, low + size))

    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run, worker) for worker in range(workers)}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.05)
                for future in done:
                    future.result()
                if look is not None:
                    look()
        finally:
            stop.set()


class Team:
    """Threads that stay for many short passes; they end with the object."""

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)
        self._pool = ThreadPoolExecutor(self.workers - 1) if self.workers > 1 else None

    def share(self, n: int, work: Callable[[int, int, int], object]) -> None:
        """Call `work(worker, low, high)` once a worker for ranges that cover 0..n, all at the same time, and wait."""
        bounds = [n * worker // self.workers for worker in range(self.workers + 1)]
        others = range(1, self.workers)
        waiting = [self._pool.submit(work, w, bounds[w], bounds[w + 1]) for w in others] if self._pool else []
        work(0, bounds[0], bounds[1])
        for future in waiting:
            future.result()
