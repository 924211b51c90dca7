"""Tasks that do what bad files do to a decoder: for the tests of the sandbox alone, refused everywhere else."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy as np

from curation.errors import MediaError


def echo(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload back, with the worker's pid."""
    return {"payload": payload, "pid": os.getpid()}


def crash(_payload: dict[str, Any]) -> dict[str, Any]:
    """Die as a decoder dies that reads outside its memory."""
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)
    return {}


def leave(payload: dict[str, Any]) -> dict[str, Any]:
    """Exit with a status, as a library does that calls exit()."""
    os._exit(int(payload.get("status", 3)))


def hang(_payload: dict[str, Any]) -> dict[str, Any]:
    """Never come back, deaf to polite signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def eat_memory(payload: dict[str, Any]) -> dict[str, Any]:
    """Take memory in steps of 32 MiB up to `max_mb`, and hold it."""
    held = []
    for _ in range(int(payload["max_mb"]) // 32):
        held.append(np.ones(32 << 20, np.uint8))
        time.sleep(0.02)
    return {"held": len(held)}


def fail(payload: dict[str, Any]) -> dict[str, Any]:
    """Raise a MediaError with `code`, or without one a ValueError."""
    if "code" in payload:
        raise MediaError("Asked to fail.", hint="Ask for something else.", code=payload["code"])
    raise ValueError("asked to fail")


def chatter(payload: dict[str, Any]) -> dict[str, Any]:
    """Write a lot to stdout and stderr, as decoders do."""
    for _ in range(int(payload["lines"])):
        print("stdout chatter " * 8)
        print("stderr chatter " * 8, file=sys.stderr)
    return {"ok": True}


def slow(payload: dict[str, Any]) -> dict[str, Any]:
    """Take `seconds`."""
    time.sleep(float(payload["seconds"]))
    return {"seconds": payload["seconds"]}


def big(payload: dict[str, Any]) -> dict[str, Any]:
    """An array of `n` float32 numbers, 0, 1, 2, ..."""
    return {"array": np.arange(int(payload["n"])).astype(np.float32)}
