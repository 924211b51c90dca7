"""Picture arithmetic: RGB frames in, the vectors of the five layers of `picture` out.

Still layers look at up to six frames spread over the clip and give the mean over them and the deviation
between them, so a slide show is described by its slides and by how much they differ. `motion` looks at every
frame.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from curation.extractors.randconv import RandomConvolutions
from curation.media.luma import luma

MAX_STILLS = 6
CONV_SIZE, COLOUR_GRID, N_HUES, N_LEVELS = 64, 3, 8, 3
GREY_SIZE, HOG_CELLS, HOG_GRID, N_ANGLES = 96, 8, 4, 9
N_SCALES, TEXTURE_GRID, N_PATTERNS = 4, 3, 59
MOTION_SIZE, MOTION_GRID = 24, 4
# Mean absolute change of brightness, 0 to 1: from CUT on a step is a cut, below STILL nothing moves.
CUT, STILL = 0.08, 0.002
MOTION_LAGS_S = (0.25, 0.5, 1.0)
LUMA = (0.299, 0.587, 0.114)


class FrontEnd:
    """Frames to the vectors of all layers; `conv_seed` makes the random filters."""

    def __init__(self, conv_seed: int) -> None:
        self._convolutions = RandomConvolutions(conv_seed)

    def layers(
        self, frames: np.ndarray, frame_rate_hz: float, lumas: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Layer name -> vector of uint8 RGB frames (T, H, W, 3), T, H, W >= 1. lumas: `luma(frames)` if it was made."""
        rgb, grey = stills(frames)
        colours = halved(rgb).transpose(0, 2, 3, 1)
        return {
            "colour": over_frames(colour_grid(colours), colour_histogram(colours)),
            "gradient": over_frames(oriented_gradients(grey)),
            "texture": over_frames(binary_patterns(grey), detail(grey)),
            "motion": motion(luma(frames) if lumas is None else lumas, frame_rate_hz),
            "conv": over_frames(self._convolutions(rgb)),
        }


def stills(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Up to MAX_STILLS of the frames, evenly chosen, stretched to squares.

    Returns RGB float32 (K, 3, CONV_SIZE, CONV_SIZE) and grey float32 (K, GREY_SIZE, GREY_SIZE), both 0 to 1.
    """
    # Centres of K equal spans: the first frame of a clip is often a fade.
    n_stills = min(len(frames), MAX_STILLS)
    chosen = ((np.arange(n_stills) + 0.5) * len(frames) / n_stills).astype(int)
    pixels = frames[chosen].astype(np.float32) / np.float32(255)
    _, height, width, _ = pixels.shape
    weights = np.array(LUMA, np.float32)
    grey = resized((pixels.reshape(-1, 3) @ weights).reshape(n_stills, height, width), GREY_SIZE)
    # Rows first, with the colours beside each other: half the pixels are gone before the layout changes.
    shorter = area_weights(height, CONV_SIZE) @ pixels.reshape(n_stills, height, width * 3)
    colours = np.ascontiguousarray(shorter.reshape(n_stills, CONV_SIZE, width, 3).transpose(0, 3, 1, 2))
    return colours @ area_weights(width, CONV_SIZE).T, grey


def resized(grey: np.ndarray, size: int) -> np.ndarray:
    """Float32 (K, H, W) to (K, size, size), each output the mean of the area under it."""
    height, width = grey.shape[1:]
    return area_weights(height, size) @ (grey @ area_weights(width, size).T)


@lru_cache(maxsize=64)
def area_weights(n_in: int, n_out: int) -> np.ndarray:
    """Float32 (n_out, n_in): the share of each input pixel in each output pixel along one axis; rows sum to 1."""
    edges = np.arange(n_out + 1) * n_in / n_out
    pixel = np.arange(n_in)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.maximum(overlap, 0.0) * n_out / n_in).astype(np.float32)


def halved(pictures: np.ndarray) -> np.ndarray:
    """Float32 (..., H, W), both even, to (..., H / 2, W / 2): means of 2 x 2 pixels."""
    rows = pictures[..., ::2, :] + pictures[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)


@lru_cache(maxsize=8)
def doubling(n_in: int) -> np.ndarray:
    """Float32 (2 * n_in, n_in): linear interpolation between the centres of pixels, the outermost ones repeated."""
    places = np.clip((np.arange(2 * n_in) + 0.5) / 2 - 0.5, 0, n_in - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(n_in)), 0.0).astype(np.float32)


def over_frames(*parts: np.ndarray) -> np.ndarray:
    """Mean over frames, then deviation between frames, of per-frame arrays (K, ...) flattened. (2 * C,)"""
    flat = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0)])


def pool(values: np.ndarray, cells: int) -> np.ndarray:
    """Means over a grid of nearly equal cells: (K, H, W, C) -> (K, cells, cells, C); H, W >= cells."""
    rows, columns = (np.arange(cells) * size // cells for size in values.shape[1:3])
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)
    heights, widths = (np.diff(np.append(at, size)) for at, size in zip((rows, columns), values.shape[1:3]))
    return sums / (heights[:, None] * widths[None, :])[None, :, :, None]


def colour_grid(rgb: np.ndarray) -> np.ndarray:
    """Mean and deviation of brightness, two opponent colours and chroma in a 3 x 3 grid. (K, 3, 3, 8)"""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    channels = np.stack(
        [
            rgb.mean(axis=3),
            red - (green + blue) / 2,
            (green - blue) * np.float32(np.sqrt(0.75)),
            rgb.max(axis=3) - rgb.min(axis=3),
        ],
        axis=3,
    )
    mean = pool(channels, COLOUR_GRID)
    spread = np.sqrt(np.maximum(pool(np.square(channels), COLOUR_GRID) - np.square(mean), 0.0))
    return np.concatenate([mean, spread], axis=3)


def colour_histogram(rgb: np.ndarray) -> np.ndarray:
    """Square roots of the shares of 3 greys and 8 hues x 2 saturations x 3 levels. (K, 51)"""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    top = rgb.max(axis=3)
    chroma = top - rgb.min(axis=3)
    safe = chroma + np.float32(1e-6)
    hue = np.select(
        [top == red, top == green],
        [((green - blue) / safe) % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    hues = (hue * N_HUES / 6).astype(np.int64) % N_HUES
    # Colour in the dark is noise: below a fifth of full brightness it counts as less saturated.
    saturation = np.minimum(chroma / np.maximum(top, np.float32(0.2)) * 3, 2).astype(np.int64)
    level = np.minimum(top * N_LEVELS, N_LEVELS - 1).astype(np.int64)
    code = np.where(saturation == 0, level, N_LEVELS + (hues * 2 + saturation - 1) * N_LEVELS + level)
    return np.sqrt(shares(code, N_LEVELS + N_HUES * 2 * N_LEVELS))


def shares(codes: np.ndarray, n_codes: int) -> np.ndarray:
    """Share of each code in each frame: integer (K, ...) below n_codes -> (K, n_codes), rows sum to 1."""
    flat = codes.reshape(len(codes), -1)
    offset = np.arange(len(flat))[:, None] * n_codes
    counts = np.bincount((flat + offset).ravel(), minlength=len(flat) * n_codes)
    return counts.reshape(len(flat), n_codes) / flat.shape[1]


def _fold_table() -> np.ndarray:
    """(4 * N_ANGLES + 1, N_ANGLES): half bins of direction to bins of orientation; an odd half bin is shared by two."""
    table = np.zeros((4 * N_ANGLES + 1, N_ANGLES))
    for fine in range(len(table)):
        table[fine, fine // 2 % N_ANGLES] += 0.5
        table[fine, (fine + 1) // 2 % N_ANGLES] += 0.5
    return table


_FOLD = _fold_table()


def oriented_gradients(grey: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (Dalal and Triggs 2005): grey (K, S, S) -> (K, 4, 4, N_ANGLES).

    Angle bin b holds edges whose gradient points to b * 180 / N_ANGLES degrees (0: brightness changes from
    left to right, a vertical edge); a gradient between two bins is shared. Each of 8 x 8 cells is normalized
    by its own length and that of the whole picture, then 2 x 2 cells are averaged: contrast and light drop out.
    """
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = np.sqrt(np.square(across) + np.square(down))
    # Half bins over the full circle, -180 to 180 degrees, are counted first and folded afterwards: one pass.
    n_fine = 4 * N_ANGLES + 1
    fine = np.rint(np.arctan2(down, across) * np.float32(2 * N_ANGLES / np.pi)).astype(np.int64) + 2 * N_ANGLES
    row = np.arange(grey.shape[1]) * HOG_CELLS // grey.shape[1]
    cell = (np.arange(len(grey))[:, None, None] * HOG_CELLS + row[:, None]) * HOG_CELLS + row
    counts = np.bincount((cell * n_fine + fine).ravel(), strength.ravel(), len(grey) * HOG_CELLS**2 * n_fine)
    cells = counts.reshape(len(grey), HOG_CELLS, HOG_CELLS, n_fine) @ _FOLD
    cells /= (grey.shape[1] // HOG_CELLS) ** 2
    length = np.sqrt(np.square(cells).sum(axis=3, keepdims=True))
    # Cells with far weaker edges than the rest of their picture stay weak; noise in an even picture stays small.
    cells /= length + 0.5 * length.mean(axis=(1, 2), keepdims=True) + 0.002
    return pool(cells, HOG_GRID)


def _pattern_table() -> np.ndarray:
    """(256, 59): 1 where a binary pattern belongs to a class; 58 have at most two changes around the circle."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    uniform = (bits != np.roll(bits, -1, axis=1)).sum(axis=1) <= 2
    table = np.zeros((256, N_PATTERNS))
    table[uniform, np.arange(N_PATTERNS - 1)] = 1
    table[~uniform, N_PATTERNS - 1] = 1
    return table


_PATTERNS = _pattern_table()
_CIRCLE = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))


def binary_patterns(grey: np.ndarray) -> np.ndarray:
    """Square roots of the shares of uniform local binary patterns (Ojala et al. 2002), 8 neighbours. (K, 59)

    A neighbour counts as brighter from 1 % of full brightness on, so that flat areas are flat in spite of
    noise.
    """
    height, width = grey.shape[1:]
    centre = grey[:, 1:-1, 1:-1] + np.float32(0.01)
    code = np.zeros(centre.shape, np.uint8)
    for bit, (dy, dx) in enumerate(_CIRCLE):
        neighbour = grey[:, 1 + dy : height - 1 + dy, 1 + dx : width - 1 + dx]
        code |= (neighbour > centre).view(np.uint8) << np.uint8(bit)
    return np.sqrt(shares(code, 256) @ _PATTERNS)


def detail(grey: np.ndarray) -> np.ndarray:
    """Log strength of detail at four scales (a Laplacian pyramid) in a 3 x 3 grid. (K, 4, 3, 3)"""
    scale = grey
    strengths = []
    for _ in range(N_SCALES):
        coarser = halved(scale)
        weights = doubling(coarser.shape[1])
        residue = scale - weights @ (coarser @ weights.T)
        strengths.append(pool(np.abs(residue)[..., None], TEXTURE_GRID)[..., 0])
        scale = coarser
    return np.log10(np.stack(strengths, axis=1) + 1e-3)


def motion(lumas: np.ndarray, frame_rate_hz: float) -> np.ndarray:
    """Where, how much and how steadily brightness, uint8 (T, H, W), changes between neighbouring frames. (42,)

    Log of the mean and of the largest change in a 4 x 4 grid (cuts left out of the mean); then of the whole
    picture: log mean, deviation and 10th, 90th percentile of the log change, shares of still steps and of
    cuts, change over the whole clip; then the autocorrelation of the change at MOTION_LAGS_S. One frame: as
    if nothing moved.
    """
    # Every second pixel is enough for cells of about five pixels, and three quarters cheaper.
    grey = resized(lumas[:, ::2, ::2].astype(np.float32) / np.float32(255), MOTION_SIZE)
    steps = np.abs(np.diff(grey, axis=0)) if len(grey) > 1 else np.zeros((1, *grey.shape[1:]), np.float32)
    cells = pool(steps[..., None], MOTION_GRID).reshape(len(steps), -1)
    change = steps.mean(axis=(1, 2))
    moving = cells[change < CUT]
    mean = moving.mean(axis=0) if len(moving) else cells.mean(axis=0)
    log_change = np.log10(change + 1e-4)
    whole = [
        log_change.mean(),
        log_change.std(),
        *np.percentile(log_change, (10, 90)),
        (change < STILL).mean(),
        (change >= CUT).mean(),
        10 * np.abs(grey[-1] - grey[0]).mean(),
    ]
    centred = log_change - log_change.mean()
    energy = float(centred @ centred) + 1e-6
    lags = [max(1, round(lag * frame_rate_hz)) for lag in MOTION_LAGS_S]
    again = [centred[lag:] @ centred[: max(0, len(centred) - lag)] / energy for lag in lags]
    return np.concatenate([np.log10(mean + 1e-3), np.log10(cells.max(axis=0) + 1e-3), whole, again])
