"""One worker process: a request in, its answer or a `TaskError` out; the process never outlives a broken limit.

Made, used and ended by one thread (on Linux a worker dies with the thread that started it).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from curation.errors import ConcordError, MediaError
from curation.media import messages
from curation.media.container import display_name

START_LIMIT_S = 120.0
POLL_S = 0.1
MEMORY_POLL_S = 0.2
STDERR_TAIL = 4096
# A worker that kept this share of its memory limit after a task is replaced, so that no file pays for another one.
RECYCLE_SHARE = 0.6
ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
PROJECT = Path(__file__).resolve().parents[2]


class TaskError(MediaError):
    """Why a task gave no result. Codes: those of the task, timeout, out_of_memory, decoder_crashed, internal,
    cancelled. `detail` holds a traceback or the last words of the process, for logs."""

    def __init__(self, message: str, *, hint: str = "", code: str, detail: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.detail = detail


class WorkerFailedError(ConcordError):
    """Workers cannot be started at all: not one file's fault."""

    code = "worker_failed"


class WorkerProcess:
    """Starts its process on the first request and again after each death."""

    def __init__(self, *, memory_limit_mb: int = 2048, environment: dict[str, str] | None = None) -> None:
        self.memory_limit_mb = memory_limit_mb
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._stderr = b""
        self.n_starts = 0

    def request(
        self,
        task: str,
        name: str,
        pieces: list[bytes | memoryview],
        time_limit_s: float,
        stop: threading.Event,
        also_stop: threading.Event,
    ) -> dict[str, Any]:
        """Run one task: send the encoded request, wait for its value.

        name: what the task is about, for messages. time_limit_s counts from when the task's code is loaded. Raises
        TaskError, after which the process is gone or fit for the next request; WorkerFailedError when no process
        can be started.
        """
        self._ensure_started()
        self._outbox = bytearray(b"".join(pieces))
        limits = _Limits(task, name, time_limit_s, self.memory_limit_mb, (stop, also_stop))
        try:
            while (answer := self._next_message(limits))["kind"] == "started":
                limits.start_clock()
            if answer["kind"] not in ("value", "error"):
                raise messages.ProtocolError(f"unexpected message {answer['kind']!r}")
        except messages.ProtocolError as error:
            self.kill()
            raise TaskError(
                f"{name}: the worker's answer to '{task}' is unreadable ({error}).",
                code="internal",
                detail=self._words(),
            ) from error
        except _WorkerDied:
            raise self._death(task, name) from None
        except TaskError:  # a limit was reached, or nobody waits: it is in the middle of something
            self.kill()
            raise
        if answer.get("code") == "out_of_memory":
            self.kill()
        else:
            self._recycle()
        return _value(answer)

    def limit_memory(self, limit_mb: int) -> None:
        """Set the limit for the requests to come; a process that already holds too much for a lower one ends."""
        is_lower, self.memory_limit_mb = limit_mb < self.memory_limit_mb, limit_mb
        if is_lower and self._process is not None:
            self._recycle()

    def kill(self) -> None:
        """End the process, if there is one, and forget what it said."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(pipe)
                with contextlib.suppress(OSError):
                    pipe.close()
        process.kill()
        process.wait()
        self._inbox, self._outbox = bytearray(), bytearray()

    def _ensure_started(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        for attempt in (1, 2):
            self.kill()
            try:
                self._start()
                return
            except (_WorkerDied, TaskError, messages.ProtocolError, OSError) as error:
                words = self._words()
                self.kill()
                if attempt == 2:
                    raise WorkerFailedError(
                        f"Worker processes cannot be started ({error or 'they end at once'}).",
                        hint=f"Check the installation: python -m curation.media.worker ends with: {words[-600:]}",
                    ) from error

    def _start(self) -> None:
        environment = os.environ | dict.fromkeys(ONE_THREAD, "1") | self._environment
        paths = [str(PROJECT), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
        self.n_starts += 1
        # -P: the current folder, which may hold anything, is not searched for modules.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "curation.media.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )
        self._process, self._stderr = process, b""
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        for stream in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            if stream is not process.stdin:
                self._selector.register(stream, selectors.EVENT_READ)
        never = threading.Event()
        limits = _Limits("start", "the worker", START_LIMIT_S, self.memory_limit_mb, (never, never))
        if self._next_message(limits).get("kind") != "ready":
            raise messages.ProtocolError("no greeting")

    def _next_message(self, limits: _Limits) -> dict[str, Any]:
        """Move bytes until one whole message is in. Raises TaskError, _WorkerDied, ProtocolError."""
        assert self._process is not None
        while True:
            message = self._take_message()
            if message is not None:
                return message
            self._want_to_write(bool(self._outbox))
            for key, _ in self._selector.select(POLL_S):
                self._move(key.fileobj)
            limits.check(self._process.pid)

    def _take_message(self) -> dict[str, Any] | None:
        """The first message of the inbox, if it is whole."""
        start = messages.PREFIX.size
        if len(self._inbox) < start:
            return None
        header, buffers = messages.sizes(bytes(self._inbox[:start]))
        if len(self._inbox) < start + header + buffers:
            return None
        body = bytes(self._inbox[start + header : start + header + buffers])
        message = messages.decode(self._inbox[start : start + header], body)
        del self._inbox[: start + header + buffers]
        return message

    def _move(self, stream: Any) -> None:
        """Read or write what is possible now on one pipe."""
        process = self._process
        assert process is not None
        number = stream.fileno()
        try:
            if stream is process.stdin:
                sent = os.write(number, memoryview(self._outbox)[: 1 << 16])
                del self._outbox[:sent]
                return
            data = os.read(number, 1 << 20)
        except BlockingIOError:
            return
        except BrokenPipeError:
            raise _WorkerDied from None
        if stream is process.stderr:
            self._stderr = (self._stderr + data)[-STDERR_TAIL:]
            if not data:
                self._selector.unregister(number)
        elif data:
            self._inbox += data
        else:
            raise _WorkerDied

    def _want_to_write(self, wanted: bool) -> None:
        assert self._process is not None and self._process.stdin is not None
        stdin = self._process.stdin
        registered = stdin in self._selector.get_map()
        if wanted and not registered:
            self._selector.register(stdin, selectors.EVENT_WRITE)
        elif registered and not wanted:
            self._selector.unregister(stdin)

    def _recycle(self) -> None:
        assert self._process is not None
        if resident_mb(self._process.pid) > RECYCLE_SHARE * self.memory_limit_mb:
            self.kill()

    def _death(self, task: str, name: str) -> TaskError:
        """The error for a process that ended by itself."""
        process = self._process
        assert process is not None
        try:
            status = process.wait(5)
        except subprocess.TimeoutExpired:
            status = 0
        words = self._words()
        self.kill()
        how = f"ended with status {status}"
        if status < 0:
            with contextlib.suppress(ValueError):
                how = f"was killed by {signal.Signals(-status).name}"
        hint = "The file is left out; convert it with another program to use it."
        if status == -signal.SIGKILL:
            hint = "The system may have run out of memory: use fewer workers."
        return TaskError(f"{name}: the process for '{task}' {how}.", hint=hint, code="decoder_crashed", detail=words)

    def _words(self) -> str:
        if self._process is not None and self._process.stderr is not None and not self._process.stderr.closed:
            with contextlib.suppress(OSError):
                self._stderr = self._stderr + (os.read(self._process.stderr.fileno(), STDERR_TAIL) or b"")
        return self._stderr[-STDERR_TAIL:].decode("utf-8", "replace")


class _WorkerDied(Exception):
    """The pipe ended before the answer came."""


class _Limits:
    """Time and memory of one request."""

    def __init__(
        self,
        task: str,
        name: str,
        time_limit_s: float,
        memory_limit_mb: int,
        stops: tuple[threading.Event, ...],
    ) -> None:
        self.task, self.name, self.stops = task, name, stops
        self.time_limit_s, self.memory_limit_mb = time_limit_s, memory_limit_mb
        # Loading the task's code (torch may take seconds on a busy machine) is not the file's fault.
        self._deadline = time.monotonic() + START_LIMIT_S
        self._next_look = 0.0

    def start_clock(self) -> None:
        self._deadline = time.monotonic() + self.time_limit_s

    def check(self, pid: int) -> None:
        """Raise TaskError when a limit is broken."""
        now = time.monotonic()
        if any(stop.is_set() for stop in self.stops):
            raise TaskError(f"{self.name}: '{self.task}' was cancelled.", code="cancelled")
        if now > self._deadline:
            raise TaskError(
                f"{self.name}: '{self.task}' was stopped after {self.time_limit_s:g} s.",
                code="timeout",
                hint="Raise the stage's time_limit_s if the file is only slow.",
            )
        if now >= self._next_look:
            self._next_look = now + MEMORY_POLL_S
            if resident_mb(pid) > self.memory_limit_mb:
                raise TaskError(
                    f"{self.name}: '{self.task}' was stopped above {self.memory_limit_mb} MB of memory.",
                    hint="Raise the stage's memory_limit_mb if the file is only large.",
                    code="out_of_memory",
                )


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB (1e6 bytes); 0 where it is gone."""
    try:
        return psutil.Process(pid).memory_info().rss / 1e6
    except psutil.Error:
        return 0.0


def subject(payload: dict[str, Any]) -> str:
    """What a payload is about, for messages: its file's name."""
    path = payload.get("path")
    return display_name(path) if isinstance(path, str) else "the task"


def _value(answer: dict[str, Any]) -> dict[str, Any]:
    if answer["kind"] == "value":
        return answer["value"]
    raise TaskError(
        str(answer["message"]),
        hint=str(answer["hint"]),
        code=str(answer["code"]),
        detail=str(answer.get("detail", "")),
    )
