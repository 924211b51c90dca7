"""A read-only file of known size that is not simply a file on the disk."""

from __future__ import annotations

import io
import os


class RawFile(io.RawIOBase):
    """Seeking and telling for those who read: a subclass sets `size` (bytes) and moves `_at` in its `readinto`."""

    size: int
    _at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the first byte")
        self._at = base + offset
        return self._at
