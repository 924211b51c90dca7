"""A folder of files that can be made again: a name and a maker in, the path of a whole file out, the oldest forgotten.

The same file asked for at once by several is made once. What failed is remembered for a minute, so that a page of
broken clips does not decode them again and again. Only regular files with names that a cache gives are read, counted
and removed: the folder may lie in a workspace that came from somewhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from curation.errors import ConcordError

FAILURE_KEPT_S = 60.0
FAILURES_MAX = 2000
TOUCH_AFTER_S = 60.0
# Codes of failures that may be gone a moment later.
PASSING = frozenset({"cancelled", "write_failed", "disk_full", "read_only", "internal"})
# What `routes` names its files, and what a write that was killed leaves of them.
OWN_NAME = re.compile(r"[0-9a-f]{32}\.(jpg|mp4|png|json)|\.[0-9a-f]{32}\.(jpg|mp4|png|json)\.[0-9]+-[0-9a-f]+\.partial")
KEPT_SHARE = 0.8  # how full the folder is after a sweep, so that not every new file sweeps


class BoundedFolder:
    """Files under one folder, at most about `limit_bytes` in all; least recently used ones go first."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._making: dict[str, Future[Path]] = {}
        self._failed: OrderedDict[str, tuple[float, ConcordError]] = OrderedDict()
        self._bytes: int | None = None

    def find(self, name: str) -> Path | None:
        """The file if it is there. Raises the error of a recent failure to make it."""
        with self._lock:
            failed = self._failed.get(name)
            if failed is not None:
                if time.monotonic() - failed[0] < FAILURE_KEPT_S:
                    raise failed[1]
                del self._failed[name]
        return self._present(name)

    def get(self, name: str, make: Callable[[Path], None]) -> Path:
        """The file, made by `make(path)` when it is not there (whole, or an error). Blocks until it is there."""
        found = self.find(name)
        if found is not None:
            return found
        with self._lock:
            waiting = self._making.get(name)
            mine = waiting is None
            if waiting is None:
                waiting = self._making[name] = Future()
        if not mine:
            return waiting.result()
        try:
            path = self._make(name, make)
        except BaseException as error:
            if isinstance(error, ConcordError) and error.code not in PASSING:
                self._remember_failure(name, error)
            self._settle(name)
            waiting.set_exception(error)
            raise
        self._settle(name)
        waiting.set_result(path)
        return path

    def _make(self, name: str, make: Callable[[Path], None]) -> Path:
        found = self._present(name)
        if found is not None:
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        make(path)
        self._count(path.lstat().st_size, path)
        return path

    def _present(self, name: str) -> Path | None:
        """The file, marked as used now and then; None where there is none, or a link in its place."""
        path = self.folder / name
        try:
            info = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(info.st_mode):
            return None
        if time.time() - info.st_mtime > TOUCH_AFTER_S:
            with contextlib.suppress(OSError):
                os.utime(path, follow_symlinks=False)
        return path

    def _settle(self, name: str) -> None:
        with self._lock:
            self._making.pop(name, None)

    def _remember_failure(self, name: str, error: ConcordError) -> None:
        with self._lock:
            self._failed[name] = (time.monotonic(), error)
            while len(self._failed) > FAILURES_MAX:
                self._failed.popitem(last=False)

    def _count(self, new_bytes: int, newest: Path) -> None:
        with self._lock:
            if self._bytes is not None:
                self._bytes += new_bytes
            if self._bytes is None or self._bytes > self.limit_bytes:
                self._bytes = self._sweep(newest)

    def _sweep(self, newest: Path) -> int:
        """Remove the least recently used files until the folder is well under its limit; returns the bytes left."""
        files = []
        for entry in os.scandir(self.folder):
            with contextlib.suppress(OSError):
                if OWN_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    info = entry.stat(follow_symlinks=False)
                    files.append((info.st_mtime, info.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        if total <= self.limit_bytes:
            return total
        for _, size, path in sorted(files):
            if total <= self.limit_bytes * KEPT_SHARE:
                break
            if path == str(newest):
                continue
            with contextlib.suppress(OSError):
                Path(path).unlink()
                total -= size
        return total
