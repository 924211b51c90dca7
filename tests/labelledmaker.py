"""Small labelled sets for tests: pictures of stripes and sounds of tones, one folder a class."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("bell", "cow", "drum", "rain")


def make_pictures(folder: Path, n: int = 12, classes: tuple[str, ...] = CLASSES, size: int = 16) -> Path:
    """`n` pictures of each class: stripes of its own direction, with noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size]
    for k, name in enumerate(classes):
        angle = np.pi * k / len(classes)
        (folder / name).mkdir(parents=True)
        for i in range(n):
            wave_of = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / 6 + rng.uniform(0, 6))
            pixels = 128 + 70 * wave_of + rng.normal(0, 20, wave_of.shape)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{i:03d}.png")
    return folder


def make_sounds(folder: Path, n: int = 12, classes: tuple[str, ...] = CLASSES) -> Path:
    """`n` sounds of 0.3 s of each class: a tone of its own pitch, with noise."""
    rng = np.random.default_rng(2)
    t = np.arange(2400) / 8000
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            tone = np.sin(2 * np.pi * 300 * 2**k * t * rng.uniform(0.97, 1.03)) + rng.normal(0, 0.05, len(t))
            with wave.open(str(folder / name / f"{i:03d}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(8000)
                file.writeframes((np.clip(tone, -1, 1) * 12000).astype("<i2").tobytes())
    return folder
