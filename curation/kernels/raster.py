"""Places on a plane in; pixels, what most places in a pixel belong to, and what lies in an outline, out. One pass each.

A window is (x0, y0, x1, y1) with x0 < x1 and y0 < y1; row 0 of an image is at the top, where y is largest.
"""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled

CELLS = 256  # a side of the grid that tells points which are surely inside an outline from those that must be tested


@compiled()
def pixel_of(xy: np.ndarray, window: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixel of each place: row * width + column, int32 (n,), -1 outside the window or without a place (NaN).

    `xy` float32 (n, 2); `window` float64 (4,).
    """
    out = np.full(len(xy), -1, np.int32)
    across, down = width / (window[2] - window[0]), height / (window[3] - window[1])
    for i in range(len(xy)):
        x, y = (xy[i, 0] - window[0]) * across, (window[3] - xy[i, 1]) * down
        if 0 <= x <= width and 0 <= y <= height:  # False for NaN too
            out[i] = min(int(y), height - 1) * width + min(int(x), width - 1)
    return out


@compiled()
def occupancy(pixel: np.ndarray, pixels: int) -> np.ndarray:
    """How many places lie in each pixel, int64 (pixels,). `pixel` int32 (n,), -1 = none."""
    counts = np.zeros(pixels, np.int64)
    for p in pixel:
        if p >= 0:
            counts[p] += 1
    return counts


@compiled()
def majority(pixel: np.ndarray, code: np.ndarray, pixels: int) -> np.ndarray:
    """The code that more than half of a pixel's places have, uint8 (pixels,); 0 without places.

    Where none has, one that occurs there. Boyer and Moore's vote (1981). `pixel` int32 (n,), -1 = none; `code`
    uint8 (n,).
    """
    winner, lead = np.zeros(pixels, np.uint8), np.zeros(pixels, np.int32)
    for i in range(len(pixel)):
        p = pixel[i]
        if p < 0:
            continue
        if lead[p] == 0:
            winner[p], lead[p] = code[i], 1
        elif winner[p] == code[i]:
            lead[p] += 1
        else:
            lead[p] -= 1
    return winner


def inside(xy: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Which places lie in an outline, bool (n,): where it winds around them (nonzero rule), however it crosses itself.

    `xy` float32 (n, 2), NaN = no place; `outline` float64 (m, 2), its last point joined to the first. Fewer than three
    points hold nothing. The border itself may fall on either side.
    """
    if len(outline) < 3:
        return np.zeros(len(xy), bool)
    low, high = outline.min(0), outline.max(0)
    size = np.maximum(high - low, np.maximum(np.abs(low), np.abs(high)) * 1e-9 + 1e-30)
    return _inside(xy, outline, low, size, _grid(outline, low, size))


@compiled()
def _winding(x: float, y: float, outline: np.ndarray) -> int:
    """How often the outline goes around a point (Sunday 2001)."""
    turns, m = 0, len(outline)
    for i in range(m):
        ax, ay = outline[i, 0], outline[i, 1]
        bx, by = outline[(i + 1) % m, 0], outline[(i + 1) % m, 1]
        side = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        if ay <= y < by and side > 0:
            turns += 1
        elif by <= y < ay and side < 0:
            turns -= 1
    return turns


@compiled()
def _grid(outline: np.ndarray, low: np.ndarray, size: np.ndarray) -> np.ndarray:
    """uint8 (CELLS, CELLS) over the outline's bounds: 0 outside, 1 inside, 2 where an edge passes."""
    grid = np.zeros((CELLS, CELLS), np.uint8)
    m = len(outline)
    for i in range(m):
        ax, ay = (outline[i, 0] - low[0]) / size[0] * CELLS, (outline[i, 1] - low[1]) / size[1] * CELLS
        j = (i + 1) % m
        bx, by = (outline[j, 0] - low[0]) / size[0] * CELLS, (outline[j, 1] - low[1]) / size[1] * CELLS
        if ay > by:
            ax, ay, bx, by = bx, by, ax, ay
        for row in range(max(0, int(ay) - 1), min(CELLS - 1, int(by) + 1) + 1):
            # The edge within this row of cells, a little more on both sides for what rounding may do.
            first, last = max(ay, row - 1e-6), min(by, row + 1 + 1e-6)
            if first > last:
                continue
            slope = (bx - ax) / (by - ay) if by > ay else 0.0
            left, right = ax + (first - ay) * slope, ax + (last - ay) * slope
            if by <= ay:
                left, right = ax, bx
            if left > right:
                left, right = right, left
            for col in range(max(0, int(left - 1e-6)), min(CELLS - 1, int(right + 1e-6)) + 1):
                grid[row, col] = 2
    for row in range(CELLS):
        for col in range(CELLS):
            # Cells that no edge touches and that are neighbours in a row lie on the same side.
            if grid[row, col] == 2:
                continue
            if col > 0 and grid[row, col - 1] != 2:
                grid[row, col] = grid[row, col - 1]
                continue
            x, y = low[0] + (col + 0.5) / CELLS * size[0], low[1] + (row + 0.5) / CELLS * size[1]
            grid[row, col] = 1 if _winding(x, y, outline) != 0 else 0
    return grid


@compiled()
def _inside(xy: np.ndarray, outline: np.ndarray, low: np.ndarray, size: np.ndarray, grid: np.ndarray) -> np.ndarray:
    out = np.zeros(len(xy), np.bool_)
    for i in range(len(xy)):
        x, y = (xy[i, 0] - low[0]) / size[0] * CELLS, (xy[i, 1] - low[1]) / size[1] * CELLS
        if not (0 <= x <= CELLS and 0 <= y <= CELLS):
            continue
        cell = grid[min(int(y), CELLS - 1), min(int(x), CELLS - 1)]
        out[i] = cell == 1 or (cell == 2 and _winding(xy[i, 0], xy[i, 1], outline) != 0)
    return out
