"""faiss, loaded so that its matrix products use the widest instructions that the processor has.

The OpenBLAS inside faiss's wheels (0.3.15) is older than some processors and takes those for a kind without wide
instructions: an AMD Zen 5 for `Barcelona`, with 42 thousand million operations a second on one core where it does 178
when told (8,192 x 1,024 points, 500 centroids). So it is told while it is loaded, unless the environment names a kind.
Every kernel takes faiss from here, so that results
do not depend on which of them was loaded first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch  # noqa: F401  before faiss: both bring an OpenMP library, and this order is the one that works
from llvmlite.binding import get_host_cpu_features

_CORE = "OPENBLAS_CORETYPE"
_WANTED = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd")


@contextlib.contextmanager
def _core_named() -> Iterator[None]:
    features = get_host_cpu_features()
    if _CORE in os.environ or not all(features.get(name) for name in _WANTED):
        yield
        return
    os.environ[_CORE] = "SKYLAKEX"
    try:
        yield
    finally:
        del os.environ[_CORE]


with _core_named():
    import faiss

__all__ = ["faiss"]
