"""Made films: titles with their own look and music, events that occur in all of them; tiny clips, nothing decoded.

Every clip shows an event of one of eight kinds, in its own colour at a random place, and one hears it, at a random
moment, over the title's music. Titles are split between pre-training, probe training and probe testing.

How large events are was chosen so that the problem of easy negatives can be seen: larger ones are learnt by any
sampling, much smaller ones by none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.pretraining.dataset import TinyClips, TinyFormat

KINDS = 8
FORMAT = TinyFormat(frames=2, size_px=30, sound_frames=72)
CLIP_S = 2.0
INKS = 255.0 * np.array([[i & 1, i >> 1 & 1, i >> 2 & 1] for i in range(KINDS)])


@dataclass(frozen=True)
class Films:
    """`kind`, `title` int (N,); `start_s` float (N,): seconds into its title; `part` int (N,) as in `sources`."""

    clips: TinyClips
    kind: np.ndarray
    title: np.ndarray
    start_s: np.ndarray
    part: np.ndarray


def films(
    seed: int, *, titles: tuple[int, int, int] = (96, 32, 32), clips_a_title: int = 24, event_px: int = 7,
    event_frames: int = 14, event_level: float = 4.0,
) -> Films:  # fmt: skip
    """Titles for pre-training, probe training and probe testing, each with so many clips.

    `event_px`, `event_frames`, `event_level`: how large an event is in picture and sound, and how loud.
    """
    rng = np.random.default_rng([seed, 6])
    total = sum(titles)
    title = np.repeat(np.arange(total), clips_a_title)
    n = len(title)
    kind = rng.integers(0, KINDS, n)
    looks = rng.uniform(20, 235, (total, 2, 3))  # two colours of the set, from left to right
    frame = rng.integers(0, 2, (total, 4))  # which edges of the picture the title darkens
    music = _music(total, rng)
    frames = np.stack([_picture(looks[t], frame[t], k, event_px, rng) for t, k in zip(title, kind)])
    sound = np.stack([_sound(music[t], k, event_frames, event_level, rng) for t, k in zip(title, kind)])
    start_s = np.tile(np.arange(clips_a_title) * CLIP_S, total)
    part = np.repeat([0, 1, 2], np.array(titles) * clips_a_title)
    clips = TinyClips(FORMAT, frames, sound.astype(np.float16), np.ones((n, 2), np.uint8))
    return Films(clips, kind, title, start_s, part)


def _music(titles: int, rng: np.random.Generator) -> np.ndarray:
    """Some steady bands and a rhythm a title, log-mel above silence, (titles, F, 64)."""
    bands = rng.random((titles, 1, 64)) < 0.3
    beat = rng.integers(4, 13, titles)
    moment = np.arange(FORMAT.sound_frames)[None, :, None]
    return bands * (1.6 + 0.9 * ((moment % beat[:, None, None]) < 2))


def _picture(look: np.ndarray, frame: np.ndarray, kind: int, event_px: int, rng: np.random.Generator) -> np.ndarray:
    """Uint8 (T, S, S, 3): the title's set, and a square in the kind's colour."""
    size = FORMAT.size_px
    across = np.linspace(0, 1, size)[None, :, None]
    scene = np.repeat(look[0] * (1 - across) + look[1] * across, size, axis=0)
    for edge, dark in zip((scene[:4], scene[-4:], scene[:, :4], scene[:, -4:]), frame):
        edge *= 1 - 0.6 * dark
    out = np.repeat(scene[None], FORMAT.frames, axis=0) + rng.normal(0, 8, (FORMAT.frames, size, size, 3))
    y, x = rng.integers(5, size - event_px - 4, 2)
    out[:, y : y + event_px, x : x + event_px] = INKS[kind] * rng.uniform(0.8, 1.0)
    return out.clip(0, 255).astype(np.uint8)


def _sound(music: np.ndarray, kind: int, event_frames: int, event_level: float, rng: np.random.Generator) -> np.ndarray:
    """Log-mel (F, 64): music, and an event in the eight of the 64 bands that are its kind's."""
    out = np.full(music.shape, -4.0) + music + rng.normal(0, 0.4, music.shape)
    at = rng.integers(0, FORMAT.sound_frames - event_frames)
    out[at : at + event_frames, 8 * kind : 8 * kind + 8] += event_level
    return out
