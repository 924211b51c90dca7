"""A span of a video in, one PNG with its mel spectrogram, waveform, loudness and motion, and the curves, out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from curation.atomic import write_bytes
from curation.errors import MediaError
from curation.media.decode import DecodedClip, decode_clips
from curation.media.pictures import png_bytes

WIDTH = 900
VERSION = 2  # of the picture: 2 has loudness; files of another version are drawn anew
MEL_ROWS, WAVE_ROWS, LOUD_ROWS, MOTION_ROWS, GAP = 128, 56, 44, 44, 4
BANDS: dict[str, tuple[int, int]] = {}
for _name, _rows in (("mel", MEL_ROWS), ("wave", WAVE_ROWS), ("loudness", LOUD_ROWS), ("motion", MOTION_ROWS)):
    _first = max((last + GAP for _, last in BANDS.values()), default=0)
    BANDS[_name] = (_first, _first + _rows)
N_POINTS = 300
N_FFT = 1024
RANGE_DB = 70.0
SILENCE_DB = -100.0
LOUD_DB = (-60.0, 0.0)  # dB re full scale at the lower and upper edge of the band
SOUND_RGB, PICTURE_RGB = (217, 147, 40), (26, 140, 132)
# Eleven points of the cividis map (Nunez, Anderton and Renslow 2018), even steps in lightness for every eye.
CIVIDIS = np.array(
    [
        (0, 34, 78),
        (15, 49, 105),
        (54, 66, 108),
        (79, 84, 108),
        (102, 102, 112),
        (124, 123, 120),
        (148, 142, 119),
        (174, 163, 113),
        (200, 184, 102),
        (228, 207, 84),
        (254, 232, 56),
    ],
    np.float64,
)


def write_strip(
    path: str | Path, start_s: float, end_s: float, out: str | Path, *, width: int = WIDTH
) -> dict[str, Any]:
    """Draw the span [start_s, end_s) as one PNG of `width` columns, time from left to right, transparent around.

    Row bands (first, last + 1), fixed: `BANDS`: mel spectrogram (64 bands, 40 Hz to 8 kHz, low at the bottom, the
    loudest 70 dB in cividis), waveform, loudness (RMS, `LOUD_DB` from bottom to top), motion (mean absolute change of
    luma from frame to frame). A band without its stream stays transparent.

    Returns width, height, bands, duration_s, and curves of at most 300 points over the span: times_s, loudness_db
    (RMS re full scale, -100 = silence; [] without sound), motion (0..255 luma levels a frame at 15 frames a second;
    [] without picture). Raises MediaError (those of `decode_clips`).
    """
    clip = next(iter(decode_clips(path, [(start_s, end_s)], frame_rate_hz=15.0, max_frames=N_POINTS, frame_size=64)))
    if isinstance(clip, MediaError):
        raise clip
    length_s = end_s - start_s
    image = np.zeros((BANDS["motion"][1], width, 4), np.uint8)
    curves = _curves(clip, length_s)
    if clip.audio.size:
        filled = max(1, min(width, round(width * clip.audio.size / clip.sample_rate_hz / length_s)))
        image[slice(*BANDS["mel"]), :filled] = _mel_band(clip.audio, clip.sample_rate_hz, filled)
        image[slice(*BANDS["wave"]), :filled] = _wave_band(clip.audio, filled)
        image[slice(*BANDS["loudness"]), :filled] = _loudness_band(clip.audio, filled)
    if curves["motion"]:
        image[slice(*BANDS["motion"])] = _motion_band(np.asarray(curves["motion"]), width)
    write_bytes(Path(out), png_bytes(image))
    return {
        "width": width,
        "height": image.shape[0],
        "bands": {k: list(v) for k, v in BANDS.items()},
        "duration_s": clip.duration_s,
        **curves,
    }


def mel_filters(sample_rate_hz: int, n_fft: int, n_mels: int, low_hz: float = 40.0) -> np.ndarray:
    """float32 (n_mels, n_fft // 2 + 1): triangles with peaks of 1, evenly spaced in mel = 2595 log10(1 + f / 700)
    (O'Shaughnessy 1987) from `low_hz` to half the sample rate."""
    high_mel = 2595 * np.log10(1 + sample_rate_hz / 2 / 700)
    mels = np.linspace(2595 * np.log10(1 + low_hz / 700), high_mel, n_mels + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * sample_rate_hz / n_fft
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    # A triangle narrower than a bin would be empty: it takes the bin nearest to its peak.
    for band in np.flatnonzero(filters.sum(axis=1) == 0):
        filters[band, np.abs(bins - edges[band + 1]).argmin()] = 1.0
    return filters.astype(np.float32)


def log_mel(audio: np.ndarray, sample_rate_hz: int, n_columns: int, n_mels: int = 64) -> np.ndarray:
    """float32 (n_mels, n_columns): dB of the mel power of float32 (S,) samples, Hann windows of 1,024 evenly spread."""
    padded = np.pad(audio.astype(np.float32), N_FFT // 2)
    centres = ((np.arange(n_columns) + 0.5) * audio.size / n_columns).astype(int)
    filters, window = mel_filters(sample_rate_hz, N_FFT, n_mels), np.hanning(N_FFT).astype(np.float32)
    columns = []
    for first in range(0, n_columns, 256):  # in blocks: a long span would hold all its windows at once
        pieces = padded[centres[first : first + 256, None] + np.arange(N_FFT)]
        power = np.abs(np.fft.rfft(pieces * window, axis=1)) ** 2
        columns.append(filters @ power.T.astype(np.float32))
    return (10 * np.log10(np.concatenate(columns, axis=1) + 1e-10)).astype(np.float32)


def loudness_db(audio: np.ndarray, n_points: int) -> np.ndarray:
    """float64 (n_points,): RMS in dB re full scale of equal pieces of (S,) samples, at least -100."""
    edges = np.linspace(0, audio.size, n_points + 1).astype(int)
    sums = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    power = (sums[edges[1:]] - sums[edges[:-1]]) / np.maximum(1, np.diff(edges))
    return np.maximum(10 * np.log10(np.maximum(power, 1e-12)), SILENCE_DB)


def motion_energy(frames: np.ndarray) -> np.ndarray:
    """float64 (T,): mean absolute change of luma (Rec. 601) from the frame before, 0 for the first of (T, H, W, 3)."""
    if not frames.shape[0]:
        return np.zeros(0)
    luma = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    change = np.abs(np.diff(luma, axis=0)).mean(axis=(1, 2))
    return np.concatenate([[0.0], change]).astype(np.float64)


def _curves(clip: DecodedClip, length_s: float) -> dict[str, list[float]]:
    n_points = int(np.clip(round(length_s * 30), 1, N_POINTS))
    times_s = (np.arange(n_points) + 0.5) * length_s / n_points
    loud: list[float] = []
    if clip.audio.size:
        heard = max(1, min(n_points, round(n_points * clip.audio.size / clip.sample_rate_hz / length_s)))
        loud = np.full(n_points, SILENCE_DB).tolist()
        loud[:heard] = loudness_db(clip.audio, heard).round(2).tolist()
    moved: list[float] = []
    if clip.frames.shape[0]:
        energy = motion_energy(clip.frames)
        moved = np.interp(times_s, clip.frame_times_s, energy, right=0.0).round(3).tolist()
    return {"times_s": times_s.round(4).tolist(), "loudness_db": loud, "motion": moved}


def _mel_band(audio: np.ndarray, rate: int, width: int) -> np.ndarray:
    levels = log_mel(audio, rate, width)
    top = max(float(levels.max()), -40.0)  # so that silence is dark and not noise blown up
    shade = np.clip((levels - (top - RANGE_DB)) / RANGE_DB, 0, 1)[::-1]
    rows = (np.arange(MEL_ROWS) * shade.shape[0]) // MEL_ROWS
    return _with_alpha(cividis(shade[rows]))


def cividis(values: np.ndarray) -> np.ndarray:
    """uint8 (..., 3) colours of values in 0..1."""
    at = np.linspace(0, 1, len(CIVIDIS))
    return np.stack([np.interp(values, at, CIVIDIS[:, c]) for c in range(3)], axis=-1).round().astype(np.uint8)


def _with_alpha(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)


def _wave_band(audio: np.ndarray, width: int) -> np.ndarray:
    """Range of the samples in each column, around the middle row."""
    edges = np.linspace(0, audio.size, width + 1).astype(int)[:-1]
    high, low = np.maximum.reduceat(audio, edges), np.minimum.reduceat(audio, edges)
    rows = 1 - 2 * (np.arange(WAVE_ROWS)[:, None] + 0.5) / WAVE_ROWS  # amplitude at each row's middle
    half = 1.0 / WAVE_ROWS
    return _coloured((rows <= high + half) & (rows >= low - half), SOUND_RGB)


def _loudness_band(audio: np.ndarray, width: int) -> np.ndarray:
    """Columns from the bottom, as many as the curve has points or the picture columns, whichever are fewer."""
    low, high = LOUD_DB
    n_points = min(width, N_POINTS)
    heights = (loudness_db(audio, n_points)[(np.arange(width) * n_points) // width] - low) / (high - low)
    rows = 1 - (np.arange(LOUD_ROWS)[:, None] + 0.5) / LOUD_ROWS
    return _coloured(rows <= heights, SOUND_RGB)


def _motion_band(motion: np.ndarray, width: int) -> np.ndarray:
    """Columns from the bottom; the top is the span's own maximum, at least 8 luma levels."""
    heights = motion[(np.arange(width) * motion.size) // width] / max(8.0, float(motion.max()))
    rows = 1 - (np.arange(MOTION_ROWS)[:, None] + 0.5) / MOTION_ROWS
    return _coloured(rows <= heights, PICTURE_RGB)


def _coloured(mask: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    return np.where(mask[..., None], np.array([*rgb, 255], np.uint8), np.uint8(0)).astype(np.uint8)
