"""Where the bytes of a medium lie: a path or an address in; the file, or the piece of a file, and a reader of it out.

A medium is a file, or a member of an uncompressed tar, which is a run of bytes inside a file and is read there, without
being copied out. The place of a member is written like a path below the tar, with its first byte (15 digits, so that
places sort as members lie), its number of bytes and its name: `shards/000.tar/@000000000001536+48291/clip.mp4`. Nothing
can lie below a regular file, so no real file has such a path.
"""

from __future__ import annotations

import io
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curation.raw_file import RawFile
from curation.remote import open_remote
from curation.urls import is_url

_MEMBER = re.compile(r"(?s)(?P<file>.+)/@(?P<start>\d{1,18})\+(?P<size>\d{1,18})/[^/]+")
_BUFFER = 1 << 18


@dataclass(frozen=True)
class Location:
    """`file` holds the bytes; all of them, or `size` bytes from `start` on where `size` is not None."""

    file: str
    start: int = 0
    size: int | None = None


def member_path(tar: bytes, start: int, size: int, name: bytes) -> bytes:
    """The path that stands for a member of a tar; only the last part of its name is kept."""
    last = name.replace(b"\0", b"").rstrip(b"/").rpartition(b"/")[2]
    return b"%s/@%015d+%d/%s" % (tar, start, size, last if last not in (b"", b".", b"..") else b"member")


def locate(path: str | os.PathLike[str]) -> Location:
    """The file behind a path, and which part of it is meant."""
    text = os.fspath(path)
    found = _MEMBER.fullmatch(text)
    # A folder may be called @1+2. A store is not asked: below an address such a name always stands for a member.
    if found is None or not (is_url(text) or _is_file(found["file"])):
        return Location(text)
    return Location(found["file"], int(found["start"]), int(found["size"]))


def open_bytes(path: str | os.PathLike[str]) -> BinaryIO:
    """The medium's bytes for reading and seeking; position 0 is its first byte. Raises OSError, of a store `MediaError`
    (`curation.remote`), also while it is read."""
    location = locate(path)
    if location.size is None and is_url(location.file):
        return open_remote(location.file)
    if location.size is None:
        return open(location.file, "rb")  # noqa: PTH123  (Path would not keep odd bytes)
    return io.BufferedReader(_Piece(location), _BUFFER)


class _Piece(RawFile):
    """A run of bytes of a file as a file of its own."""

    def __init__(self, location: Location) -> None:
        self._file: BinaryIO | io.FileIO
        if is_url(location.file):
            self._file = open_remote(location.file)
        else:
            self._file = open(location.file, "rb", buffering=0)  # noqa: SIM115, PTH123  (closed by `close`)
        self._start, self.size = location.start, location.size or 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = max(0, self.size - self._at)
        self._file.seek(self._start + self._at)
        count = self._file.readinto(memoryview(buffer)[:left]) or 0  # type: ignore[union-attr]
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False
