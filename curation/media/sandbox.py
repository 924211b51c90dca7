"""Tasks that decode, run in processes that may die: payloads in, outcomes out, a bad file costs itself alone."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from curation.errors import ConcordError, MediaError
from curation.media import messages
from curation.media.process import TaskError, WorkerFailedError, WorkerProcess, subject

IN_FLIGHT_PER_WORKER = 2
# Starting a process costs about half a second of a core: work that one of them does in this time gets no second one.
PATIENCE_S = 0.8


@dataclass(frozen=True)
class Outcome:
    """What became of one payload: `value` or `error`, never both. `index` counts the payloads from 0."""

    index: int
    payload: dict[str, Any]
    value: dict[str, Any] | None
    error: MediaError | None


@dataclass(frozen=True)
class _Job:
    index: int
    task: str
    payload: dict[str, Any]
    pieces: list[bytes | memoryview]
    time_limit_s: float
    memory_limit_mb: int
    stop: threading.Event
    deliver: Callable[[Outcome | ConcordError], None]

    def refuse(self, message: str) -> None:
        self.deliver(Outcome(self.index, self.payload, None, TaskError(message, code="cancelled")))


class _Pool:
    """Threads, each with a process of its own, that take jobs from one queue."""

    def __init__(self, workers: int, environment: dict[str, str]) -> None:
        self.workers, self._environment = workers, environment
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def put(self, job: _Job) -> None:
        """Have a job done by whoever is free; `grow` sees to it that there is somebody."""
        with self._lock:
            if not self._closing.is_set():
                self._jobs.put(job)
                return
        job.refuse("The worker pool was closed.")

    def grow(self, count: int = 0) -> None:
        """Have `count` workers, one more for 0, or as many as there may be; never fewer than before."""
        with self._lock:
            count = count or len(self._threads) + 1
            while len(self._threads) < min(count, self.workers) and not self._closing.is_set():
                # Each process belongs to a thread that lives as long as the pool: on Linux a worker dies with the
                # thread that started it, and threads of a web server come and go.
                thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        """See `Sandbox.close`."""
        with self._lock:
            self._closing.set()
            threads, self._threads = self._threads, []
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job.refuse("The worker pool was closed.")

    def _serve(self) -> None:
        """A thread's life: take a job, have its own process do it, deliver."""
        worker = WorkerProcess(environment=self._environment)
        try:
            while (job := self._jobs.get()) is not None:
                if job.stop.is_set() or self._closing.is_set():
                    job.refuse("The task was cancelled.")
                else:
                    job.deliver(self._outcome(worker, job))
        finally:
            worker.kill()

    def _outcome(self, worker: WorkerProcess, job: _Job) -> Outcome | ConcordError:
        try:
            worker.limit_memory(job.memory_limit_mb)
            value = worker.request(
                job.task, subject(job.payload), job.pieces, job.time_limit_s, job.stop, self._closing
            )
            return Outcome(job.index, job.payload, value, None)
        except TaskError as error:
            return Outcome(job.index, job.payload, None, error)
        except WorkerFailedError as error:
            return error
        except Exception as error:  # a fault of this pool must reach the caller, or it would wait for ever
            worker.kill()
            failure = TaskError(f"{subject(job.payload)}: {type(error).__name__}: {error}", code="internal")
            failure.__cause__ = error
            return Outcome(job.index, job.payload, None, failure)


class Sandbox:
    """A pool of worker processes, and limits on the time and memory of what they do.

    workers: processes at most, started as there is work for them. time_limit_s: for one task; a payload's own
    "_time_limit_s" replaces it. memory_limit_mb: resident memory of a process, looked at five times a second.

    A task is named as in `curation.media.worker.TASKS`; a payload's own "_task" replaces it. Keys of a payload that
    start with "_" stay with the caller (they come back in the outcome). Errors have the task's own code, or timeout,
    out_of_memory, decoder_crashed (with the signal's name), internal (a fault of ours: `detail` holds the traceback),
    cancelled. Nothing is tried
    twice. Results do not depend on the number of workers, only their order does.
    """

    def __init__(
        self,
        workers: int = 2,
        time_limit_s: float = 60.0,
        memory_limit_mb: int = 2048,
        *,
        environment: dict[str, str] | None = None,
        shared: _Pool | None = None,
    ) -> None:
        if workers < 1 or time_limit_s <= 0 or memory_limit_mb < 64:
            raise ValueError("a sandbox needs a worker, a positive time limit and 64 MB of memory")
        self.time_limit_s, self.memory_limit_mb = float(time_limit_s), memory_limit_mb
        self._pool = shared or _Pool(workers, dict(environment or {}))

    @property
    def workers(self) -> int:
        """How many processes there may be."""
        return self._pool.workers

    def limited(self, *, time_limit_s: float, memory_limit_mb: int) -> Sandbox:
        """The same processes under other limits. They end with whichever of the two is closed first."""
        return Sandbox(self.workers, time_limit_s, memory_limit_mb, shared=self._pool)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def imap(
        self, task: str, payloads: Iterable[dict[str, Any]], *, patience_s: float | None = None
    ) -> Iterator[Outcome]:
        """Outcomes as they complete, one for each payload.

        `payloads` is read in the caller's thread, at most 2 a worker ahead. patience_s: how long one process is at it
        alone, by default 0.8; 0 for work that is known to be worth more of them. Leaving the loop early stops what is
        running. Raises WorkerFailedError when no worker can be started.
        """
        results: queue.SimpleQueue[Outcome | ConcordError] = queue.SimpleQueue()
        stop = threading.Event()
        source, n_waiting, ended = enumerate(payloads), 0, False
        alone_until = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
        try:
            while True:
                while not ended and n_waiting < IN_FLIGHT_PER_WORKER * self.workers:
                    item = next(source, None)
                    if item is None:
                        ended = True
                        break
                    self._submit(item[0], str(item[1].get("_task", task)), item[1], stop, results.put)
                    n_waiting += 1
                if n_waiting == 0:
                    return
                outcome = self._next(results, n_waiting, alone_until)
                n_waiting -= 1
                if isinstance(outcome, ConcordError):
                    raise outcome
                yield outcome
        finally:
            stop.set()

    def _next(
        self, results: queue.SimpleQueue[Outcome | ConcordError], n_waiting: int, alone_until: float
    ) -> Outcome | ConcordError:
        """The next result. One worker is at it alone for a while, then as many as there is work for."""
        self._pool.grow(1)
        try:
            return results.get(timeout=max(0.0, alone_until - time.monotonic()))
        except queue.Empty:
            self._pool.grow(n_waiting)
            return results.get()

    def call(self, task: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The value of one task; any thread may call. Raises MediaError (TaskError) or WorkerFailedError."""
        results: queue.SimpleQueue[Outcome | ConcordError] = queue.SimpleQueue()
        stop = threading.Event()
        self._submit(0, task, payload, stop, results.put)
        self._pool.grow()  # somebody may be waiting at a screen: no patience here
        try:
            outcome = results.get()
        finally:
            stop.set()
        if isinstance(outcome, ConcordError):
            raise outcome
        if outcome.error is not None:
            raise outcome.error
        assert outcome.value is not None
        return outcome.value

    def warm(self) -> None:
        """Have all processes started, and what they cut with loaded, before anybody waits for them; returns at once."""
        stop = threading.Event()
        for k in range(self.workers):
            self._submit(k, "ready", {}, stop, lambda _: None)
        self._pool.grow(self.workers)

    def close(self) -> None:
        """Stop what is running, end all processes and threads. Later calls give code `cancelled`."""
        self._pool.close()

    def _submit(
        self,
        index: int,
        task: str,
        payload: dict[str, Any],
        stop: threading.Event,
        deliver: Callable[[Outcome | ConcordError], None],
    ) -> None:
        sent = {key: value for key, value in payload.items() if not key.startswith("_")}
        pieces = messages.encode({"task": task, "payload": sent})
        limit_s = float(payload.get("_time_limit_s", self.time_limit_s))
        self._pool.put(_Job(index, task, payload, pieces, limit_s, self.memory_limit_mb, stop, deliver))
