"""Work done in a process that can be killed: a function in, its pid, how far it is, and how it ended."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable

from curation.errors import ConcordError

LIMIT_S = 180.0


class Board:
    """Two numbers that a child writes and its parent reads: how far it is."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)

    def __getitem__(self, i: int) -> int:
        return int(struct.unpack_from("q", self._memory, 8 * i)[0])

    def __setitem__(self, i: int, value: int) -> None:
        struct.pack_into("q", self._memory, 8 * i, value)


def child(work: Callable[[Board], None], prepare: Callable[[], None] = lambda: None) -> tuple[int, Board]:
    """Do `work` in a process of its own group; returns its pid and its board."""
    board = Board()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            prepare()
            work(board)
            code = 0
        except ConcordError:
            code = 2
        except MemoryError:
            code = 3
        finally:
            os._exit(code)
    return pid, board


def ended(pid: int, limit_s: float = LIMIT_S) -> int:
    """Status of a child that ends by itself; -1 where it had to be killed after the limit, which is a finding."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.02)
    kill(pid)
    return -1


def kill(pid: int) -> None:
    """SIGKILL to a process and its group; waits for it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def alive(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == 0
