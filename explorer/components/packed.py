"""What canvases receive: a header and arrays go in, one compact message for the browser comes out.

Arrays that the browser already holds, known by their digest, are not sent again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

HELD_LIMIT = 4


class Packed(NamedTuple):
    """Descriptions of arrays (name, type, shape), their bytes one after another (little-endian), the digest of both."""

    specs: list[dict[str, Any]]
    raw: bytes
    digest: str


def pack(parts: Sequence[tuple[str, np.ndarray]]) -> Packed:
    """Named arrays of uint8, uint16, uint32, int16, float16 or float32."""
    specs = [{"name": name, "type": array.dtype.str[1:], "shape": list(array.shape)} for name, array in parts]
    raw = b"".join(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes() for _, array in parts)
    return Packed(specs, raw, blake2b(raw + json.dumps(specs).encode(), digest_size=12).hexdigest())


def message(header: dict[str, Any], raw: bytes | None) -> bytes:
    """Length of the header as uint32 little-endian, the header as JSON, then the arrays, deflated.

    `raw` None: the browser holds them. No bytes at all are arrays too: those without a value.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    return len(text).to_bytes(4, "little") + text + (b"" if raw is None else zlib.compress(raw, 4))
