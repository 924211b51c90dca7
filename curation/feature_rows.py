"""Rows of one feature layer, read from its part files as they are asked for: row numbers in, arrays out.

Only the parts that hold wanted rows are opened, one at a time, so a layer of any size costs the memory of the rows
that are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


class FeatureRows:
    """`part-*.npy` files (rows of the part, dim), in order, as one table: `len`, `shape`, `dtype`, and `[rows]`.

    Any number of threads may read. Raises `OSError` and `ValueError` for files that are gone or no arrays.
    """

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts = list(parts)
        heads = [_head(path) for path in self._parts]
        self._starts = np.cumsum([0, *[rows for rows, _, _ in heads]])
        self.dtype = heads[0][2]
        self.shape = int(self._starts[-1]), heads[0][1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Rows by number, rising int (m,): (m, dim) of the layer's own dtype."""
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        at = 0
        while at < len(rows):
            part = int(np.searchsorted(self._starts, rows[at], side="right")) - 1
            end = int(np.searchsorted(rows, self._starts[part + 1]))
            mapped = np.load(self._parts[part], mmap_mode="r", allow_pickle=False)
            out[at:end] = mapped[rows[at:end] - self._starts[part]]
            at = end
        return out


def _head(path: Path) -> tuple[int, int, np.dtype]:
    """Rows, dim and dtype of an array file, from its first bytes."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return int(shape[0]), int(shape[1]), dtype
