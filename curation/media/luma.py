"""Frames in; their luma, and its means over blocks, out. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

BLOCKS = 16  # at most this many blocks along the short side: coding noise averages out, a moving mouth does not


def luma(frames: np.ndarray) -> np.ndarray:
    """uint8 (T, H, W) from RGB uint8 (T, H, W, 3): (R + 2 G + B) / 4, near enough to BT.601."""
    total = frames[..., 1].astype(np.uint16)
    total <<= 1
    total += frames[..., 0]
    total += frames[..., 2]
    total >>= 2
    return total.astype(np.uint8)


def block_side(height: int, width: int) -> int:
    """Pixels along a side of the blocks of `block_means`; the last row and column of blocks may have fewer."""
    return max(1, -(-min(height, width) // BLOCKS))


def block_means(grey: np.ndarray) -> np.ndarray:
    """float32 (T, rows, columns): mean luma of about square blocks, at most 16 along the short side.

    grey: uint8 (T, H, W).
    """
    _, height, width = grey.shape
    side = block_side(height, width)
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(grey, columns, axis=2, dtype=np.uint32), rows, axis=1)
    area = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    return (sums / area).astype(np.float32)
