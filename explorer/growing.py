"""A file that is still being written, on its way to a browser: what is there at once, the rest as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 1 << 16
LOOK_S = 0.01


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
