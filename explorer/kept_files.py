"""Folders of small files of which only those used last stay: a folder goes in, what is too many is removed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def forget_old(folder: Path, kept: int) -> None:
    """Remove all `.npy` files of a folder but the `kept` ones used last; another session may remove the same ones."""
    aged = []
    for path in folder.glob("[!.]*.npy"):
        with suppress(OSError):
            aged.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(aged, reverse=True)[kept:]:
        path.unlink(missing_ok=True)
