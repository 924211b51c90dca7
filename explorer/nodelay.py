"""Every answer leaves at once: sets `TCP_NODELAY` on the socket that the server listens on.

Streamlit opens that socket without naming a protocol, so asyncio does not see that it is TCP and leaves Nagle's
algorithm on: the body of each small answer, and a message that follows another, then waits 40 ms for the browser to
acknowledge the piece before (uvicorn, issue 3149). What is accepted inherits the option from the socket that listens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

OPEN_FILES = "/dev/fd"
"""Numbers of this process's open files, on Linux and macOS; elsewhere nothing is changed."""


@contextlib.asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """What the server does when it starts (its socket is bound by then) and ends."""
    set_nodelay()
    yield


def set_nodelay() -> int:
    """Set it on every TCP socket of this process; how many these are."""
    numbers: list[int] = []
    with contextlib.suppress(OSError):
        numbers = [int(place.name) for place in Path(OPEN_FILES).iterdir()]
    return sum(map(_set, numbers))


def _set(number: int) -> bool:
    with contextlib.suppress(OSError):  # closed meanwhile
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as found:
                if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return True
    return False
