"""Keeps the imported packages out of what is looked through for garbage.

Streamlit collects garbage after every run of a script: over the half a million objects that the packages of a page
keep for good this takes longer than most of the runs. They are set aside once, after a page was first drawn.
"""

from __future__ import annotations

import atexit
import gc
import threading

_LOCK = threading.Lock()
_SETTLED: set[str] = set()


def settle(page: str) -> None:
    """Set aside what is alive, the first time that a page was drawn by this server: its packages are imported now."""
    with _LOCK:
        if page in _SETTLED:
            return
        if not _SETTLED:
            atexit.register(gc.unfreeze)  # at its end the interpreter takes everything apart
        _SETTLED.add(page)
        gc.collect()  # what is garbage now would be kept for good
        gc.freeze()
