"""Luma in; how black, how still and how stepwise they are out. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

from curation.media.luma import block_areas

BLACK_LUMA = 0.1 * 255  # ffmpeg's blackdetect: a pixel is black below a tenth of full luma,
BLACK_PIXELS = 0.98  # a picture is black when 98 % of its pixels are
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
    dark = np.array([np.count_nonzero(frame) for frame in grey < np.uint8(BLACK_LUMA + 1)])
    return float((dark / grey[0].size >= BLACK_PIXELS).mean())


def motion(grey: np.ndarray, means: np.ndarray, times_s: np.ndarray, rate_hz: float) -> np.ndarray:
    """float32 (8,) in the order of `MOTION_NAMES`; at least one frame. A single frame is still.

    grey: uint8 (T, H, W), and means: float32 (T, rows, columns), its `block_means`. times_s: float64 (T,), seconds.
    Times: the picture begins half a step before its first frame and ends half a step after its last one.
    """
    change, areas = changed(means), block_areas(*grey.shape[1:])
    n_changes = int(change.sum())
    half_s = 0.5 / rate_hz
    return np.array(
        [
            black_share(grey),
            float((means.mean(axis=0, dtype=np.float64) * areas).sum() / areas.sum()),
            1.0 - (n_changes / change.size if change.size else 0.0),
            n_changes,
            steps(change).sum() / n_changes if n_changes else 0.0,
            max(0.0, float(times_s[0]) - half_s),
            float(times_s[-1]) + half_s,
            len(grey),
        ],
        np.float32,
    )
