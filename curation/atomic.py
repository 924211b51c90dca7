"""Whole files or none: bytes, JSON, arrays and tables are written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike

from curation.errors import WorkspaceError

PARTIAL_SUFFIX = ".partial"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`; rename it to `path` when the block ends without an error.

    The block must close what it opens. A kill leaves the old file, or the new one, and at most a `*.partial` file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL_SUFFIX}")
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def disk_error(error: OSError, path: Path) -> OSError | WorkspaceError:
    """Turn a full or read-only disk into a sentence with the next step; other errors stay what they are."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkspaceError(
            f"The disk is full while writing {path}.",
            hint="Free some space and run the same command again: finished work is kept.",
            code="disk_full",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return WorkspaceError(
            f"{path.parent} cannot be written ({os.strerror(error.errno)}).",
            hint="Choose a folder that you may write to, or change its permissions.",
            code="read_only",
        )
    return error


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    _write(path, lambda handle: handle.write(data))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as readable UTF-8 JSON, whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True, default=_plain)
    write_bytes(path, text.encode("utf-8", "backslashreplace") + b"\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write `array` as .npy without pickled objects, whole or not at all."""
    # NumPy must not see the file itself: of a full disk it would say only how much is missing, with no error number.
    _write(path, lambda handle: np.lib.format.write_array(_Writer(handle), array, allow_pickle=False))


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """An array of zeros in a new .npy file, mapped to be filled in. Its room is taken at once: on a disk that is full
    a write to a map would end the process. Raises OSError where there is no room."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as handle:
                os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # a file system that cannot take room ahead
                raise
    return array


def read_json(path: Path) -> Any:
    """Read a JSON file that this module wrote. Raises `WorkspaceError` when it is not JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WorkspaceError(
            f"{path} is not readable JSON ({error}).",
            hint="Restore it from a copy, or remove it and run again.",
        ) from error


class _Writer:
    """What can be written to and nothing else."""

    def __init__(self, handle: IO[bytes]) -> None:
        self.write = handle.write


def _write(path: Path, put: Callable[[IO[bytes]], Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as handle:
        put(handle)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    # A rename is on disk only when its folder is; systems that cannot open a folder flush on their own.
    with contextlib.suppress(OSError):
        _flush(folder)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
