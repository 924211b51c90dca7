"""Frames in; how black, how still and how stepwise they are out. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

BLACK_LUMA = 0.1 * 255  # ffmpeg's blackdetect: a pixel is black below a tenth of full luma,
BLACK_PIXELS = 0.98  # a picture is black when 98 % of its pixels are
BLOCKS = 16  # at most this many blocks along the short side: coding noise averages out, a moving mouth does not
STILL_LUMA = 3.0
STEP_PAIRS = 2  # after a cut some encoders sharpen the new picture for another frame

MOTION_NAMES = (
    "black_share",
    "luma",
    "still_share",
    "changes",
    "step_share",
    "picture_start_s",
    "picture_end_s",
    "frames",
)


def luma(frames: np.ndarray) -> np.ndarray:
    """uint8 (T, H, W) from RGB uint8 (T, H, W, 3): (R + 2 G + B) / 4, near enough to BT.601."""
    total = frames[..., 1].astype(np.uint16)
    total <<= 1
    total += frames[..., 0]
    total += frames[..., 2]
    total >>= 2
    return total.astype(np.uint8)


def block_means(grey: np.ndarray) -> np.ndarray:
    """float32 (T, rows, columns): mean luma of about square blocks, at most 16 along the short side."""
    _, height, width = grey.shape
    side = max(1, -(-min(height, width) // BLOCKS))
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(grey, columns, axis=2, dtype=np.uint32), rows, axis=1)
    area = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    return (sums / area).astype(np.float32)


def changed(means: np.ndarray) -> np.ndarray:
    """bool (T - 1,): pairs of neighbouring frames in which a block's mean differs by at least 3 grey levels."""
    if len(means) < 2:
        return np.zeros(0, bool)
    return np.abs(np.diff(means, axis=0)).max(axis=(1, 2)) >= STILL_LUMA


def steps(change: np.ndarray) -> np.ndarray:
    """bool like `change`: changes in runs of at most 2 pairs (0.25 s), stillness before and after: as a slide gives way
    to the next one."""
    edges = np.diff(np.pad(change, 1).astype(np.int8))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    found = np.zeros(change.size, bool)
    for start, end in zip(starts, ends):
        found[start:end] = end - start <= STEP_PAIRS
    return found


def black_share(grey: np.ndarray) -> float:
    """Share of frames of which at least 98 % of the pixels are darker than a tenth of full luma."""
    dark = np.count_nonzero(grey < np.uint8(BLACK_LUMA + 1), axis=(1, 2)) / grey[0].size
    return float((dark >= BLACK_PIXELS).mean())


def motion(frames: np.ndarray, times_s: np.ndarray, rate_hz: float) -> np.ndarray:
    """float32 (8,) in the order of `MOTION_NAMES`; at least one frame. A single frame is still.

    Times: the picture begins half a step before its first frame and ends half a step after its last one.
    """
    grey = luma(frames)
    change = changed(block_means(grey))
    n_changes = int(change.sum())
    half_s = 0.5 / rate_hz
    return np.array(
        [
            black_share(grey),
            float(grey.mean()),
            1.0 - (n_changes / change.size if change.size else 0.0),
            n_changes,
            steps(change).sum() / n_changes if n_changes else 0.0,
            max(0.0, float(times_s[0]) - half_s),
            float(times_s[-1]) + half_s,
            len(frames),
        ],
        np.float32,
    )
