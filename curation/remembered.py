"""What was read of a file, kept until another file is in its place: a path and a reader in, what it made out."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_KNOWN: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
_KNOWN_LOCK = threading.Lock()
_KNOWN_MAX = 512


def remembered(path: Path, read: Callable[[Path], Any]) -> Any:
    """What `read` made of a file, read again only when another file is in its place. Nobody may write into it.

    A page asks for fingerprints hundreds of times; the footer of a large table takes milliseconds each time.
    """
    return _kept(str(path), _stamp(path), lambda: read(path))


def remembered_folder(folder: Path, beside: Sequence[Path], read: Callable[[], Any]) -> Any:
    """What `read` made of the things in a folder and of the files and folders `beside` it, as `remembered`.

    For things that are put there whole, under their name, in place of what was called so: what changes inside of one
    is not seen.
    """
    stamps = [_entries(folder), *(_stamp(path) if path.is_file() else _entries(path) for path in beside)]
    return _kept("\0".join(map(str, (folder, *beside))), stamps, read)


def _stamp(path: Path) -> tuple[int, int, int]:
    info = path.stat()
    return info.st_ino, info.st_mtime_ns, info.st_size


def _entries(folder: Path) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Also who is there: two changes of one tick of the file system's clock look alike otherwise."""
    try:
        with os.scandir(folder) as found:
            return folder.stat().st_mtime_ns, tuple(sorted((entry.name, entry.inode()) for entry in found))
    except FileNotFoundError:
        return 0, ()


def _kept(key: str, stamp: Any, read: Callable[[], Any]) -> Any:
    with _KNOWN_LOCK:
        found = _KNOWN.get(key)
        if found is not None and found[0] == stamp:
            _KNOWN.move_to_end(key)
            return found[1]
    value = read()
    with _KNOWN_LOCK:
        _KNOWN[key] = (stamp, value)
        while len(_KNOWN) > _KNOWN_MAX:
            _KNOWN.popitem(last=False)
    return value
