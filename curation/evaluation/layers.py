"""Plain layers for small labelled sets: pixels or samples in, five layers of features each out. No trained weights.

They are made for handwritten digits and short words: a benchmark of selection on known pairs, not of features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SOUND_RATE_HZ = 8000
VERSION = 3  # raised when a layer's numbers change, and then `retrieval.VERSION` too


def image_layers(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """float32 (n, H, W), 0 to 1, to five layers: principal components, oriented gradients, profiles of rows and
    columns, random convolutions, blurred thumbnails.
    """
    import torch

    n = len(pixels)
    flat = pixels.reshape(n, -1)
    centred = flat - flat.mean(0)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    x = torch.from_numpy(pixels)[:, None]
    gen = torch.Generator().manual_seed(0)
    filters = torch.randn(32, 1, 5, 5, generator=gen)
    filters -= filters.mean((1, 2, 3), keepdim=True)
    with torch.inference_mode():
        maps = torch.nn.functional.relu(torch.nn.functional.conv2d(x, filters))
        conv = torch.nn.functional.adaptive_avg_pool2d(maps, 3).flatten(1).numpy()
        thumb = torch.nn.functional.adaptive_avg_pool2d(x, 7).flatten(1).numpy()
    profiles = np.concatenate([pixels.mean(1), pixels.mean(2)], axis=1)
    return {
        "pca": np.ascontiguousarray(centred @ components[:32].T),
        "hog": _oriented_gradients(pixels, 4, 8),
        "profiles": profiles,
        "conv": conv,
        "thumb": thumb,
    }


def _oriented_gradients(pixels: np.ndarray, grid: int, angles: int) -> np.ndarray:
    gy, gx = np.gradient(pixels, axis=(1, 2))
    size = np.hypot(gx, gy)
    angle = np.minimum((np.arctan2(gy, gx) % np.pi) / np.pi * angles, angles - 1).astype(int)
    out = np.zeros((len(pixels), grid, grid, angles), np.float32)
    rows = np.array_split(np.arange(pixels.shape[1]), grid)
    for i, band in enumerate(rows):
        for j, strip in enumerate(rows):
            cell = np.ix_(np.arange(len(pixels)), band, strip)
            for a in range(angles):
                out[:, i, j, a] = (size[cell] * (angle[cell] == a)).sum((1, 2))
    flat = out.reshape(len(pixels), -1)
    return np.sqrt(flat / np.maximum(flat.sum(1, keepdims=True), 1e-6))


def sound_layers(sounds: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Mono float32 sounds to five layers: mean and deviation of log-mel energies, of MFCC, MFCC in eight parts of the
    sound, log-mel energies in a grid of time and frequency, outlines of loudness, brightness and zero crossings.
    """
    from scipy.fft import dct

    rows: dict[str, list[np.ndarray]] = {k: [] for k in ("logmel", "mfcc", "course", "grid", "outline")}
    bank = _mel_bank(32, 256, SOUND_RATE_HZ)
    for sound in sounds:
        frames = _frames(sound / max(float(np.abs(sound).max()), 1e-4))
        power = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), 256)) ** 2
        energy = power.sum(1)
        loud = np.flatnonzero(energy > 1e-3 * energy.max())
        if len(loud):  # silence is taken whole
            power, frames = power[loud[0] : loud[-1] + 1], frames[loud[0] : loud[-1] + 1]
        total = np.maximum(power.sum(1), 1e-12)
        mel = np.log10(power @ bank + 1e-4)
        cepstra = dct(mel, norm="ortho", axis=1)[:, 1:14]
        rows["logmel"].append(np.concatenate([mel.mean(0), mel.std(0)]))
        rows["mfcc"].append(np.concatenate([cepstra.mean(0), cepstra.std(0)]))
        rows["course"].append(_in_parts(cepstra, 8).ravel())
        rows["grid"].append((_in_parts(mel, 6) - mel.mean()).reshape(6, 8, 4).mean(2).ravel())
        centre = (power @ np.arange(power.shape[1])) / total / power.shape[1]
        crossings = (np.diff(np.sign(frames), axis=1) != 0).mean(1)
        track = np.stack([np.log10(power.sum(1) + 1e-4), 4 * centre, 4 * crossings], axis=1)
        rows["outline"].append(np.append(_in_parts(track, 12).ravel(), len(mel) / 50))
    return {name: np.stack(values).astype(np.float32) for name, values in rows.items()}


def _frames(sound: np.ndarray, size: int = 200, hop: int = 80) -> np.ndarray:
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def _in_parts(track: np.ndarray, parts: int) -> np.ndarray:
    """Mean of each of `parts` equal spans of (T, C), (parts, C); a short track repeats frames."""
    edges = np.linspace(0, len(track), parts + 1)
    return np.stack([track[int(lo) : max(int(lo) + 1, int(hi))].mean(0) for lo, hi in zip(edges[:-1], edges[1:])])


def _mel_bank(n: int, n_fft: int, rate_hz: int) -> np.ndarray:
    """Triangular filters (n_fft // 2 + 1, n) evenly spaced on the mel scale from 80 Hz to half the rate."""

    def mel(f: float) -> float:
        return float(2595 * np.log10(1 + f / 700))

    points = 700 * (10 ** (np.linspace(mel(80), mel(rate_hz / 2), n + 2) / 2595) - 1)
    f = np.arange(n_fft // 2 + 1) * rate_hz / n_fft
    rise = (f[:, None] - points[:-2]) / (points[1:-1] - points[:-2])
    fall = (points[2:] - f[:, None]) / (points[2:] - points[1:-1])
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
