"""Made impacts: pictures of something that strikes, and its sound, with a planted offset. Numbers in, arrays out."""

from __future__ import annotations

import numpy as np

FPS, RATE_HZ = 25, 16_000
KINDS = ("flash", "bounce", "hammer")
SIZE = (112, 150)


def impact_times(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """float64 (1..6,): times of impacts, at least 0.8 s apart and from the ends."""
    n = int(rng.integers(1, 7))
    times = np.sort(rng.uniform(0.8, seconds - 0.8, 40 * n))
    kept: list[float] = []
    for time_s in rng.permutation(times):
        if len(kept) < n and all(abs(time_s - other) >= 0.8 for other in kept):
            kept.append(float(time_s))
    return np.sort(kept)


def picture(rng: np.random.Generator, kind: str, times: np.ndarray, seconds: float) -> np.ndarray:
    """uint8 (T, H, W, 3) at 25 frames a second: `kind` strikes at `times`, before a textured ground, with grain."""
    height, width = SIZE
    ground = np.kron(rng.integers(60, 160, (7, 10)), np.ones((16, 15)))[:height, :width]
    at = np.arange(round(seconds * FPS)) / FPS
    since = np.array([min([t - s for s in times if s <= t], default=9.0) for t in at])
    until = np.array([min([s - t for s in times if s > t], default=9.0) for t in at])
    frames = np.empty((at.size, height, width), np.float32)
    y, x = np.mgrid[:height, :width]
    for k in range(at.size):
        frame = ground.astype(np.float32).copy()
        if kind == "flash":
            spot = np.exp(-((y - 50) ** 2 + (x - 70) ** 2) / (2 * 14**2))
            frame += 140 * spot * np.exp(-since[k] / 0.1)
        elif kind == "bounce":  # a ball that falls on the floor and springs back, under gravity
            near = min(since[k], until[k])
            high = min(9.0 * near - 10 * near**2, 2.0) if near < 0.45 else 2.0
            frame[(y - (95 - 35 * high)) ** 2 + (x - 75) ** 2 < 11**2] = 235
        else:  # an arm is lifted slowly in 0.35 s, falls in 0.12 s, and rests
            high = 1.0 if until[k] < 0.12 else 0.0
            high = until[k] / 0.12 if until[k] < 0.12 else (0.47 - until[k]) / 0.35 if until[k] < 0.47 else 0.0
            top = round(70 - 55 * float(np.clip(high, 0, 1)))
            frame[top : top + 22, 40:110] = 20
        frames[k] = frame
    frames += rng.normal(0, 3, frames.shape)
    return np.repeat(np.clip(frames, 0, 255).astype(np.uint8)[..., None], 3, axis=3)


def sound(rng: np.random.Generator, times: np.ndarray, seconds: float, ambience: float = 0.02) -> np.ndarray:
    """float32 (S,): a click of noise with a decay of 30 to 120 ms at each time, over noise of `ambience` RMS."""
    n = round(seconds * RATE_HZ)
    out = rng.normal(0, ambience, n)
    for time_s in times:
        begin = round(time_s * RATE_HZ)
        if 0 <= begin < n:
            tail = np.arange(n - begin) / RATE_HZ
            out[begin:] += rng.normal(0, 0.3, n - begin) * np.exp(-tail / rng.uniform(0.03, 0.12))
    return np.clip(out, -1, 1).astype(np.float32)


def on_the_grid(frames: np.ndarray, seconds: float, rate_hz: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    """The frames shown at (k + 0.5) / rate_hz seconds, as decoding gives them, and these times."""
    times_s = (np.arange(round(seconds * rate_hz)) + 0.5) / rate_hz
    return frames[np.minimum((times_s * FPS).astype(int), len(frames) - 1)], times_s
