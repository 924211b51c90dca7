"""Hashes of texts, straight from the bytes that a column keeps them in."""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled


@compiled()
def hash_texts(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    """A number for each text, uint64 (n,): `offsets` int (n + 1,) into `data` uint8. FNV-1a (Fowler, Noll and Vo),
    its bits mixed at the end as in SplitMix64.
    """
    out = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(out)):
        z = np.uint64(0xCBF29CE484222325)
        for j in range(offsets[i], offsets[i + 1]):
            z = (z ^ np.uint64(data[j])) * np.uint64(0x100000001B3)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        out[i] = z ^ (z >> np.uint64(31))
    return out
