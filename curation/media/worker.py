"""The process that decodes and may die: messages with a task's name and payload in on stdin, results out on stdout.

Started by `curation.media.sandbox` as `python -m curation.media.worker PARENT_PID`. Only the tasks named here run.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from curation.errors import ConcordError
from curation.media import messages

Task = Callable[[dict[str, Any]], dict[str, Any]]

# name -> "module:function"; a function takes the payload (a dict) and returns a dict. Imported on first use, so that
# a worker that only probes never loads torch.
TASKS = {
    "probe": "curation.media.tasks:probe_file",
    "shots": "curation.media.tasks:find_shots",
    "still": "curation.media.tasks:cut_still",
    "proxy": "curation.media.tasks:cut_proxy",
    "ready": "curation.media.tasks:be_ready",
    "strip": "curation.media.tasks:draw_strip",
    "cut": "curation.media.tasks:cut_clip",
    "features": "curation.extractors.run:extract_file",
    "survey": "curation.extractors.run:survey_file",
    "texts": "curation.extractors.texts:embed_texts",
    "tiny": "curation.pretraining.decoding:decode_file",
}
NICE_VARIABLE = "CONCORD_WORKER_NICE"  # how far a worker makes way for others
# Tasks that misbehave on purpose: known only to workers started with this variable, which the tests set.
SELFTEST_VARIABLE = "CONCORD_WORKER_SELFTEST"
SELFTESTS = {
    f"selftest.{name}": f"curation.media.selftest:{name}"
    for name in ("echo", "crash", "hang", "eat_memory", "fail", "chatter", "leave", "slow", "big")
}
MAX_FILE_BYTES = 8 << 30
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve tasks until stdin ends."""
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    _harden(parent)
    source, sink = _private_streams()
    send(sink, {"kind": "ready", "pid": os.getpid()})
    loaded: dict[str, Task] = {}
    while True:
        try:
            request = messages.read(lambda n: _exactly(source, n))
        except EOFError:
            return 0
        _serve(request, sink, loaded)


def _serve(request: dict[str, Any], sink: BinaryIO, loaded: dict[str, Task]) -> None:
    name = str(request.get("task"))
    try:
        task = loaded.get(name) or loaded.setdefault(name, load(name))
        send(sink, {"kind": "started"})
        value = task(request["payload"])
        pieces = messages.encode({"kind": "value", "value": value})
    except MemoryError:
        pieces = messages.encode(
            {
                "kind": "error",
                "code": "out_of_memory",
                "hint": "",
                "message": "The task asked for more memory than there is.",
            }
        )
    except ConcordError as error:
        pieces = messages.encode({"kind": "error", "code": error.code, "message": error.message, "hint": error.hint})
    except Exception as error:  # a worker's faults are data for the parent: the traceback goes back with it
        detail = "".join(traceback.format_exception(error))[-8000:]
        pieces = messages.encode(
            {
                "kind": "error",
                "code": "internal",
                "hint": "",
                "detail": detail,
                "message": f"{type(error).__name__}: {error}"[:1000],
            }
        )
    _write(sink, pieces)


def load(name: str) -> Task:
    """The function of a task. Raises KeyError for a name that is not in the list."""
    known = TASKS | (SELFTESTS if os.environ.get(SELFTEST_VARIABLE) == "1" else {})
    if name not in known:
        raise KeyError(f"there is no task {name!r}; known: {', '.join(sorted(known))}")
    module, _, function = known[name].partition(":")
    return getattr(importlib.import_module(module), function)


def send(sink: BinaryIO, value: dict[str, Any]) -> None:
    """Write one message."""
    _write(sink, messages.encode(value))


def _write(sink: BinaryIO, pieces: list[bytes | memoryview]) -> None:
    try:
        for piece in pieces:
            sink.write(piece)
        sink.flush()
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more


def _exactly(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """stdin and stdout for messages alone: what libraries print or read must not meet them."""
    source = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
    sink = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return source, sink


def _harden(parent: int) -> None:
    """No core files, a bound on written files, no Ctrl-C (the parent decides), and death with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, ValueError):
        os.nice(int(os.environ.get(NICE_VARIABLE, "0")))
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        bound = MAX_FILE_BYTES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILE_BYTES)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bound, hard))
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(0)  # the parent died before the line above was in force


if __name__ == "__main__":
    sys.exit(main())
