"""SlowFast's input: a clip's frames in, windows of 32 normalised pictures of 256 x 256 out.

Feichtenhofer et al. 2019 (arXiv 1812.03982), the 8 x 8 setting: short side 256, the central square, values
(v / 255 - 0.45) / 0.225. The fast pathway sees all 32 frames of a window, the slow one 8 of them (alpha = 4).
"""

from __future__ import annotations

import numpy as np

N_FRAMES, ALPHA, SIZE = 32, 4, 256
MEAN, DEVIATION = 0.45, 0.225


def windows(frames: np.ndarray) -> np.ndarray:
    """uint8 RGB (T, H, W, 3), T >= 1, to float32 (n, 3, 32, 256, 256), n = ceil(T / 32).

    The n * 32 frames are spread evenly from the first to the last; of fewer than 32, some are shown again.
    """
    n_windows = -(-len(frames) // N_FRAMES)
    chosen = spread(len(frames), n_windows * N_FRAMES)
    # Each frame is resized once, however often it is shown.
    pictures = squares(frames)[chosen]
    normalised = (pictures / np.float32(255) - np.float32(MEAN)) / np.float32(DEVIATION)
    return np.ascontiguousarray(normalised.reshape(n_windows, N_FRAMES, SIZE, SIZE, 3).transpose(0, 4, 1, 2, 3))


def spread(n_in: int, n_out: int) -> np.ndarray:
    """int64 (n_out,): places from 0 to n_in - 1, evenly spread, rounded down; the published sub-sampling."""
    return np.arange(n_out) * (n_in - 1) // max(n_out - 1, 1)


def squares(frames: np.ndarray) -> np.ndarray:
    """uint8 (T, H, W, 3) to float32 (T, 256, 256, 3), 0 to 255: short side to 256, bilinear, then the centre."""
    height, width = frames.shape[1:3]
    short = min(height, width)
    if short != SIZE:
        frames = _resized(frames, height * SIZE // short, width * SIZE // short)
        height, width = frames.shape[1:3]
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    return frames[:, top : top + SIZE, left : left + SIZE].astype(np.float32)


def _resized(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, pixel centres aligned, float32 (T, height, width, 3)."""
    import torch
    from torch.nn import functional as F

    # A frame at a time: a long strip in float would be the largest array of all.
    channels = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
    resized = [
        F.interpolate(frame[None].float(), (height, width), mode="bilinear", align_corners=False)[0]
        for frame in channels
    ]
    return torch.stack(resized).permute(0, 2, 3, 1).numpy()
