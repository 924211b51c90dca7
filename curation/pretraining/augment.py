"""What a network sees of a tiny clip: rows and a generator in, a batch of float tensors out.

In training a random square, mirrored or not, of one random picture with other light, and a random stretch of the sound
with a few bands silenced; for features the middle of all pictures and the whole sound, always the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from curation.pretraining.dataset import TinyClips, TinyFormat

SOUND_MEAN, SOUND_DEVIATION = -1.5, 2.1  # about those of log(mel + 0.01) of everyday sounds
BLOCK = 256


def crop_px(form: TinyFormat) -> int:
    """Side of what the network sees: four fifths of the picture."""
    return form.size_px * 4 // 5


def training_batch(
    clips: TinyClips, picture: np.ndarray, sound: np.ndarray, rng: np.random.Generator, *, frames: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Float32 (B, 3, frames, C, C) and (B, 1, F', 64) of the clips whose picture and sound these rows are."""
    n, form = len(picture), clips.format
    side, slack = crop_px(form), form.size_px - crop_px(form)
    first = rng.integers(0, form.frames - frames + 1, n)
    shown = clips.frames[picture[:, None], first[:, None] + np.arange(frames)]
    top, left = rng.integers(0, slack + 1, (2, n))
    rows, columns = top[:, None] + np.arange(side), left[:, None] + np.arange(side)
    mirrored = rng.random(n) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    shown = shown[np.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (B, C, C, frames, 3)
    x = torch.from_numpy(shown).permute(0, 4, 3, 1, 2).float() / 255
    contrast = torch.from_numpy(rng.uniform(0.7, 1.3, (n, 1, 1, 1, 1)).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(-0.3, 0.3, (n, 3, 1, 1, 1)).astype(np.float32))
    x = _standard_picture(x) * contrast + tint

    length = form.sound_frames * 5 // 6
    at = rng.integers(0, form.sound_frames, n)
    heard = clips.sound[sound]
    heard = heard[np.arange(n)[:, None], (at[:, None] + np.arange(length)) % form.sound_frames]
    y = _standard_sound(torch.from_numpy(heard.astype(np.float32)))
    low = rng.integers(0, y.shape[2] - 8 + 1, n)
    silenced = (np.arange(y.shape[2]) >= low[:, None]) & (np.arange(y.shape[2]) < low[:, None] + 8)
    y = y.masked_fill(torch.from_numpy(silenced)[:, None, :], 0.0)
    louder = torch.from_numpy(rng.uniform(-0.3, 0.3, (n, 1, 1)).astype(np.float32))
    return x, (y + louder)[:, None]


def steady_batches(clips: TinyClips, rows: np.ndarray) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Middles of the pictures (b, 3, T, C, C) and whole sounds (b, 1, F, 64), in blocks, with their place in `rows`."""
    side, form = crop_px(clips.format), clips.format
    edge = (form.size_px - side) // 2
    for start in range(0, len(rows), BLOCK):
        block = slice(start, min(start + BLOCK, len(rows)))
        shown = clips.frames[rows[block]][:, :, edge : edge + side, edge : edge + side]
        x = _standard_picture(torch.from_numpy(np.ascontiguousarray(shown)).permute(0, 4, 1, 2, 3).float() / 255)
        y = _standard_sound(torch.from_numpy(clips.sound[rows[block]].astype(np.float32)))[:, None]
        yield block, x, y


def _standard_picture(x: torch.Tensor) -> torch.Tensor:
    return (x - 0.5) / 0.25


def _standard_sound(y: torch.Tensor) -> torch.Tensor:
    return (y - SOUND_MEAN) / SOUND_DEVIATION
