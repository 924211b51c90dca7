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

    grey: uint8 (T, H, W), the short side at most 4096.
    """
    n, height, width = grey.shape
    side = block_side(height, width)
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    # Rows of pixels first, one after another: five times as quick as `reduceat`. A block's height fits in 16 bits.
    sums = np.zeros((n, len(rows), width), np.uint16)
    for row in range(side):
        lines = grey[:, row::side]
        sums[:, : lines.shape[1]] += lines
    sums = np.add.reduceat(sums, columns, axis=2, dtype=np.uint32)
    return (sums / block_areas(height, width)).astype(np.float32)


def block_areas(height: int, width: int) -> np.ndarray:
    """int64 (rows, columns): pixels in each block of `block_means`."""
    side = block_side(height, width)
    heights, widths = (np.diff(np.append(np.arange(0, size, side), size)) for size in (height, width))
    return np.outer(heights, widths)
