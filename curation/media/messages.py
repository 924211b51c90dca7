"""Values to bytes and back between a process and its workers: a JSON header and raw arrays, never pickle.

A message is 4 bytes magic, the header's length (uint32) and the buffers' total length (uint64), both little endian,
the header (JSON in ASCII), the buffers one after another. In the header an array stands as {"__array__": k}; its
dtype and shape are in the list "arrays". Both lengths are bounded before anything is read.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

MAGIC = b"CNC1"
PREFIX = struct.Struct("<4sIQ")
MAX_HEADER = 64 << 20
MAX_BUFFERS = 1 << 30
KINDS = "biuf"  # numbers and truth values: nothing that could hold an object
MARK = "__array__"


class ProtocolError(Exception):
    """The other side sent what is no message; it cannot be trusted any more."""


def encode(value: dict[str, Any]) -> list[bytes | memoryview]:
    """Pieces of one message. `value` holds JSON values, NumPy numbers and arrays; tuples become lists.

    Raises ValueError for anything else, and for more than 1 GiB of arrays or 64 MiB of the rest.
    """
    arrays: list[np.ndarray] = []
    plain = _plain(value, arrays)
    specs = [{"dtype": a.dtype.str, "shape": a.shape} for a in arrays]
    header = json.dumps({"value": plain, "arrays": specs}, separators=(",", ":")).encode("ascii")
    total = sum(a.nbytes for a in arrays)
    if len(header) > MAX_HEADER or total > MAX_BUFFERS:
        raise ValueError(f"a message of {len(header)} + {total} bytes is larger than allowed")
    pieces: list[bytes | memoryview] = [PREFIX.pack(MAGIC, len(header), total) + header]
    pieces += [a.data.cast("B") for a in arrays if a.nbytes]
    return pieces


def sizes(prefix: bytes) -> tuple[int, int]:
    """(header length, buffers' length) of a message from its first 16 bytes. Raises ProtocolError."""
    magic, header, total = PREFIX.unpack(prefix)
    if magic != MAGIC or header > MAX_HEADER or total > MAX_BUFFERS:
        raise ProtocolError("not a message, or one larger than allowed")
    return header, total


def decode(header: bytes | bytearray, buffers: bytes | bytearray | memoryview) -> dict[str, Any]:
    """The value of a message. Arrays are read-only where `buffers` is. Raises ProtocolError for nonsense."""
    try:
        parsed = json.loads(bytes(header))
        arrays, start = [], 0
        for spec in parsed["arrays"]:
            dtype, shape = np.dtype(str(spec["dtype"])), tuple(int(n) for n in spec["shape"])
            if dtype.kind not in KINDS or any(n < 0 for n in shape):
                raise ProtocolError(f"arrays of {dtype} are not allowed")
            count = math.prod(shape)
            arrays.append(
                np.frombuffer(buffers, dtype, count, start).reshape(shape) if count else np.zeros(shape, dtype)
            )
            start += count * dtype.itemsize
        if start != len(buffers):
            raise ProtocolError("the arrays do not fill the message")
        value = _restored(parsed["value"], arrays)
    except ProtocolError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ProtocolError(f"unreadable message: {error}") from error
    if not isinstance(value, dict):
        raise ProtocolError("a message holds a dict")
    return value


def read(exactly: Callable[[int], bytes | bytearray]) -> dict[str, Any]:
    """One message through `exactly(n)`, which gives n bytes or raises."""
    header_size, buffers_size = sizes(bytes(exactly(PREFIX.size)))
    header = exactly(header_size)
    return decode(header, exactly(buffers_size) if buffers_size else b"")


def _plain(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in KINDS:
            raise ValueError(f"an array of {value.dtype} cannot be sent")
        # ascontiguousarray makes 1-d of 0-d, so the shape is put back.
        arrays.append(np.ascontiguousarray(value).reshape(value.shape))
        return {MARK: len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) and key != MARK for key in value):
            raise ValueError(f"keys of a message are strings other than {MARK}")
        return {key: _plain(item, arrays) for key, item in value.items()}
    raise ValueError(f"a {type(value).__name__} cannot be sent to or from a worker")


def _restored(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_restored(item, arrays) for item in value]
    if isinstance(value, dict):
        if MARK in value:
            return arrays[int(value[MARK])]
        return {key: _restored(item, arrays) for key, item in value.items()}
    return value
