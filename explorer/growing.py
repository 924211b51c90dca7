"""A file that is still being written, on its way to a browser: what is there at once, the rest as it comes.

Who reads it is counted, so that its making can end when nobody does any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 16
LOOK_S = 0.01
GRACE_S = 0.25  # a browser that asks for the whole file leaves the growing one first


async def opened(path: Callable[[], Path | None], is_done: Callable[[], bool]) -> BinaryIO | None:
    """The file as soon as something is in it; None where its making ended before, well or not.

    `path`: where it is written, None while that is not begun.
    """
    while not is_done():
        place = path()
        try:
            if place is not None and place.stat().st_size > 0:
                return place.open("rb")
        except OSError:
            pass  # not there yet, or not any more
        await asyncio.sleep(LOOK_S)
    return None


def media_type(head: bytes) -> str:
    """Content type of an MP4 of H.264 and AAC from its first bytes, with its codecs (RFC 6381), as a browser asks for
    them before it takes pieces of a file; without them where they are not in there."""
    box = head.find(b"avcC")
    if box < 0 or len(head) < box + 8:
        return "video/mp4"
    sound = ", mp4a.40.2" if b"mp4a" in head else ""  # AAC-LC, what is encoded here
    return f'video/mp4; codecs="avc1.{head[box + 5 : box + 8].hex()}{sound}"'


async def blocks(file: BinaryIO, is_done: Callable[[], bool]) -> AsyncIterator[bytes]:
    """What `file` holds until its making has ended. It may be removed from its folder meanwhile. Closes it."""
    with file:
        while True:
            ended = is_done()  # asked before it is read: what was written before the end is not missed
            block = file.read(BLOCK_BYTES)
            if block:
                yield block
            elif ended:
                return
            else:
                await asyncio.sleep(LOOK_S)


class Audience:
    """How many wait for each name; `alone(name)` is called a quarter of a second after the last one left."""

    def __init__(self, alone: Callable[[str], None]) -> None:
        self._alone = alone
        self._counts: Counter[str] = Counter()

    def waits_for(self, name: str) -> bool:
        """Whether anybody does."""
        return self._counts[name] > 0

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[None]:
        """One more for as long as the block lasts."""
        self._counts[name] += 1
        try:
            yield
        finally:
            self._leave(name, asyncio.get_running_loop())

    def hold(self, name: str, file: BinaryIO) -> None:
        """One more for as long as `file` is kept: a browser that goes away lets go of it without another word."""
        self._counts[name] += 1
        weakref.finalize(file, self._leave, name, asyncio.get_running_loop())

    def _leave(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._counts[name] -= 1
        with contextlib.suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(loop.call_later, GRACE_S, self._look, name)

    def _look(self, name: str) -> None:
        if self._counts[name] <= 0:
            del self._counts[name]
            self._alone(name)
