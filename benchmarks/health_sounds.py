"""Sounds with known answers for the scores of speech and of music: spoken digits in sequences, esc-av, made music.

Half for fitting, half for reporting: other speakers, other recordings, other made pieces. The pieces are changed by
equalising, reverberation, background noise and gain, so that a score cannot learn a microphone or a room.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

from curation.extractors.sound_character import character
from curation.media.decode import DecodedClip, decode_clips

RATE_HZ = 16_000
STEADY = ("rain", "sea_waves", "crackling_fire", "helicopter")  # background noise for speech and music
SPEECH_LABELS = ("speech (woman)", "talking man", "speech (film)", "speech, cuts", "speech in restaurant")
MUSIC_LABELS = ("guitar", "harp", "double bass", "music", "drum", "congas")


@dataclass(frozen=True)
class Sounds:
    """Decoded: `digits` by speaker, `esc` clips with class and half (0 fit, 1 report), `real` videos with labels."""

    digits: dict[str, list[np.ndarray]]
    esc: list[np.ndarray]
    esc_class: np.ndarray
    esc_half: np.ndarray
    real: list[tuple[str, np.ndarray]]


def heard(path: Path, end_s: float = 30.0) -> np.ndarray:
    """float32 mono 16 kHz of a file's first seconds; empty where there is none."""
    (clip,) = decode_clips(path, [(0.0, end_s)], want_video=False)
    return clip.audio if isinstance(clip, DecodedClip) else np.zeros(0, np.float32)


def load(folder: Path) -> Sounds:
    """All material under the folder of test data."""
    digits: dict[str, list[np.ndarray]] = {}
    for row in _rows(folder / "mnist-fsdd/truth/items.csv"):
        if row["file"].endswith(".wav"):
            digits.setdefault(row["speaker"], []).append(heard(folder / "mnist-fsdd" / row["file"]))
    esc = _rows(folder / "esc-av/truth.csv")
    recordings = [f"{row['audio_class']}/{row['sounds']}" for row in esc]
    half = [hashlib.blake2b(name.encode(), digest_size=2).digest()[1] % 2 for name in recordings]
    real = [row for row in _rows(folder / "real-videos/manifest.csv") if row["label"]]
    return Sounds(
        digits,
        [heard(folder / "esc-av/clips" / row["clip"]) for row in esc],
        np.array([row["audio_class"] for row in esc]),
        np.array(half),
        [(row["label"], sound) for row in real if (sound := heard(folder / "real-videos" / row["file"], 10.0)).size],
    )


def characters(sounds: list[np.ndarray]) -> np.ndarray:
    """float64 (n, numbers)."""
    return np.array([character(sound, RATE_HZ) for sound in sounds], np.float64)


class Maker:
    """Made pieces from one half of the material. Same seed, same pieces."""

    def __init__(self, sounds: Sounds, half: int, seed: int) -> None:
        self._sounds = sounds
        self._rng = np.random.default_rng(seed)
        self._backgrounds = np.flatnonzero(np.isin(sounds.esc_class, STEADY) & (sounds.esc_half == half))

    def spoken(self, speaker: str) -> np.ndarray:
        """2 to 10 s of digits one after another, in a room."""
        rng, words = self._rng, self._sounds.digits[speaker]
        sound = np.zeros(round(rng.uniform(2, 10) * RATE_HZ), np.float32)
        at, gap_s = round(rng.uniform(0, 0.5) * RATE_HZ), rng.uniform(0.02, 0.5)
        while at < sound.size - 3000:
            word = words[rng.integers(len(words))][: sound.size - at]
            sound[at : at + word.size] += word
            at += word.size + round(rng.uniform(0, gap_s) * RATE_HZ)
        return self.placed(sound)

    def played(self) -> np.ndarray:
        """3 to 10 s of made music: one to four voices in a key, over a beat or not."""
        rng = self._rng
        seconds, beat_s, root_hz = rng.uniform(3, 10), 60 / rng.uniform(70, 160), rng.uniform(80, 300)
        scale = rng.choice([[0, 2, 4, 5, 7, 9, 11, 12], [0, 2, 3, 5, 7, 8, 10, 12]])
        sound = np.zeros(round(seconds * RATE_HZ))
        for _ in range(rng.integers(1, 5)):
            plucked, step_s, at_s = bool(rng.integers(2)), beat_s * rng.choice([0.5, 1, 2, 4]), 0.0
            while at_s < seconds - 0.1:
                pitch_hz = root_hz * 2 ** (rng.choice(scale) / 12 + rng.integers(0, 3))
                for ratio in [1.0] if rng.random() < 0.6 else [1.0, 2 ** (rng.choice([4, 7]) / 12)]:
                    _add(sound, at_s, self._note(pitch_hz * ratio, step_s, plucked) * rng.uniform(0.3, 1))
                at_s += step_s
        if rng.random() < 0.6:
            for i in range(int(seconds / beat_s * 2)):
                _add(sound, i * beat_s / 2, self._hit(bool(i % 2)) * rng.uniform(0.5, 1.5))
        return self.placed(sound)

    def placed(self, sound: np.ndarray) -> np.ndarray:
        """A sound through a microphone (7 of 10), in a room (6 of 10), before a background, at some level."""
        rng = self._rng
        if rng.random() < 0.7:
            sound = self._equalised(sound)
        if rng.random() < 0.6:
            n = round(rng.uniform(0.1, 0.6) * RATE_HZ)
            room = rng.normal(size=n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(0.02, 0.12)
            room[0] = 1.0
            sound = fftconvolve(sound, room)[: sound.size]
        background = self._background(sound.size)
        ratio = np.sqrt((np.mean(sound**2) + 1e-12) / (np.mean(background**2) + 1e-12))
        sound = sound + background * ratio * 10 ** (-rng.uniform(5, 40) / 20)
        return (sound / np.abs(sound).max() * 10 ** (rng.uniform(-25, 0) / 20)).astype(np.float32)

    def _background(self, n: int) -> np.ndarray:
        rng = self._rng
        if rng.random() < 0.5:
            return np.resize(self._sounds.esc[rng.choice(self._backgrounds)], n)
        hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE_HZ), 20)
        return np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * hz ** -rng.uniform(0, 1), n)

    def _equalised(self, sound: np.ndarray) -> np.ndarray:
        rng = self._rng
        octaves = np.log2(np.maximum(np.fft.rfftfreq(sound.size, 1 / RATE_HZ), 50) / 1000)
        gain_db = rng.uniform(-4, 4) * octaves
        for _ in range(3):
            gain_db += rng.uniform(-8, 8) * np.exp(-0.5 * ((octaves - rng.uniform(-3, 2)) / rng.uniform(0.3, 1)) ** 2)
        return np.fft.irfft(np.fft.rfft(sound) * 10 ** (gain_db / 20), sound.size)

    def _note(self, hz: float, seconds: float, plucked: bool) -> np.ndarray:
        rng, t = self._rng, np.arange(round(seconds * RATE_HZ)) / RATE_HZ
        fall = rng.uniform(0.5, 2)
        partials = [k for k in range(1, int(rng.integers(3, 15))) if hz * k < 7500]
        tone = sum(np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6)) / k**fall for k in partials)
        if plucked:
            return tone * np.exp(-t * rng.uniform(1, 8))
        return tone * np.minimum(1, t / 0.05) * np.minimum(1, (seconds - t) / 0.05)

    def _hit(self, snare: bool) -> np.ndarray:
        rng, t = self._rng, np.arange(round(0.12 * RATE_HZ)) / RATE_HZ
        body = rng.normal(size=t.size) if snare else 3 * np.sin(2 * np.pi * rng.uniform(55, 75) * t)
        return body * np.exp(-t * rng.uniform(25, 60))


def _add(sound: np.ndarray, at_s: float, piece: np.ndarray) -> None:
    first = round(at_s * RATE_HZ)
    piece = piece[: max(0, sound.size - first)]
    sound[first : first + piece.size] += piece


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
