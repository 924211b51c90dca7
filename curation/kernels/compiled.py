"""Numba with a cache on disk that knows about *all* kernels: in goes a function, out comes its compiled twin.

Numba notices a changed file only for the functions inside it; a kernel that inlines another file's function would keep
stale machine code. So the digest of every file of this folder is part of each cached function's name.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba import njit

_FOLDER = Path(__file__).resolve().parent


@lru_cache(maxsize=1)
def _digest() -> str:
    """Eight hexadecimal digits of all kernel sources; entries of other versions are swept from the cache folder."""
    digest = hashlib.blake2b(digest_size=4)
    for source in sorted(_FOLDER.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    name = f"k{digest.hexdigest()}"
    for entry in (_FOLDER / "__pycache__").glob("*.nb[ic]"):
        if name not in entry.name:
            with contextlib.suppress(OSError):  # another process swept it first, or the folder is read-only
                entry.unlink()
    return name


def compiled(**given: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: `numba.njit` with a disk cache where a folder for it is writable, without one elsewhere.

    Integer division by zero and indices out of range are *not* checked inside: callers validate.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"} | given

    def wrap(function: Callable[..., Any]) -> Any:
        function.__qualname__ = f"{function.__qualname__}_{_digest()}"
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # "no locator available": nowhere to write a cache
            return njit(**options)(function)

    return wrap
