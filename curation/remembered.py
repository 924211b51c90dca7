"""What was read of a file, kept until another file is in its place: a path and a reader in, what it made out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

_KNOWN: OrderedDict[str, tuple[tuple[int, int, int], Any]] = OrderedDict()
_KNOWN_LOCK = threading.Lock()
_KNOWN_MAX = 512


def remembered(path: Path, read: Callable[[Path], Any]) -> Any:
    """What `read` made of a file, read again only when another file is in its place. Nobody may write into it.

    A page asks for fingerprints hundreds of times; the footer of a large table takes milliseconds each time.
    """
    info = path.stat()
    stamp, key = (info.st_ino, info.st_mtime_ns, info.st_size), str(path)
    with _KNOWN_LOCK:
        found = _KNOWN.get(key)
        if found is not None and found[0] == stamp:
            _KNOWN.move_to_end(key)
            return found[1]
    value = read(path)
    with _KNOWN_LOCK:
        _KNOWN[key] = (stamp, value)
        while len(_KNOWN) > _KNOWN_MAX:
            _KNOWN.popitem(last=False)
    return value
