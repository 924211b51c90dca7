"""Tasks that decode, run in processes that may die: payloads in, outcomes out, a bad file costs itself alone."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from curation.errors import ConcordError, MediaError
from curation.media import messages
from curation.media.process import TaskError, WorkerFailedError, WorkerProcess, subject

IN_FLIGHT_PER_WORKER = 2


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
    stop: threading.Event
    deliver: Callable[[Outcome | ConcordError], None]

    def refuse(self, message: str) -> None:
        self.deliver(Outcome(self.index, self.payload, None, TaskError(message, code="cancelled")))


class Sandbox:
    """A pool of worker processes with limits on time and memory.

    workers: processes, started on first use. time_limit_s: for one task; a payload's own "_time_limit_s" replaces
    it. memory_limit_mb: resident memory of a process, looked at five times a second.

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
    ) -> None:
        if workers < 1 or time_limit_s <= 0 or memory_limit_mb < 64:
            raise ValueError("a sandbox needs a worker, a positive time limit and 64 MB of memory")
        self.workers, self.time_limit_s, self.memory_limit_mb = workers, float(time_limit_s), memory_limit_mb
        self._environment = dict(environment or {})
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def imap(self, task: str, payloads: Iterable[dict[str, Any]]) -> Iterator[Outcome]:
        """Outcomes as they complete, one for each payload.

        `payloads` is read in the caller's thread, at most 2 a worker ahead. Leaving the loop early stops what is
        running. Raises WorkerFailedError when no worker can be started.
        """
        results: queue.SimpleQueue[Outcome | ConcordError] = queue.SimpleQueue()
        stop = threading.Event()
        source, n_waiting, ended = enumerate(payloads), 0, False
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
                outcome = results.get()
                n_waiting -= 1
                if isinstance(outcome, ConcordError):
                    raise outcome
                yield outcome
        finally:
            stop.set()

    def call(self, task: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The value of one task; any thread may call. Raises MediaError (TaskError) or WorkerFailedError."""
        results: queue.SimpleQueue[Outcome | ConcordError] = queue.SimpleQueue()
        stop = threading.Event()
        self._submit(0, task, payload, stop, results.put)
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

    def close(self) -> None:
        """Stop what is running, end all processes and threads. Later calls give code `cancelled`."""
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
        job = _Job(index, task, payload, pieces, limit_s, stop, deliver)
        with self._lock:
            if self._closing.is_set():
                job.refuse("The worker pool was closed.")
                return
            self._jobs.put(job)
            if len(self._threads) < self.workers:
                # Each process belongs to a thread that lives as long as the pool: on Linux a worker dies with the
                # thread that started it, and threads of a web server come and go.
                thread = threading.Thread(target=self._serve, name="sandbox", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self) -> None:
        """A thread's life: take a job, have its own process do it, deliver."""
        worker = WorkerProcess(memory_limit_mb=self.memory_limit_mb, environment=self._environment)
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
