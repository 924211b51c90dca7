"""Onset curves: when something begins to sound, and when a motion is sudden.

`sound-onsets` and `picture-onsets` work on the clip that the built-in features get; `curation.kernels.timing` lays the
two curves over each other. A layer `curve` is 0..255 of the clip's strongest onset, all zero where there is none; the
layer `grid` says when its bins lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors import stft
from curation.extractors.base import ClipExtractor, InputSpec, Layer

if TYPE_CHECKING:
    from curation.media.decode import DecodedClip

SOUND_BINS, SOUND_STEP_S = 320, 1 / 32
PICTURE_BINS, FINE_BINS = 80, 250
GRID_NAMES = ("first_s", "step_s", "bins")  # centre of the first bin, their distance, and how many there are
# Sound: rise of the log energy in bands, 64 times a second.
WINDOW_S, HOPS_A_BIN, N_BANDS, LOW_HZ, HIGH_HZ = 0.032, 2, 20, 80.0, 7000.0
FLOOR_DB, FLOOR_DBFS = 40.0, -70.0
USUAL = 2.0  # a rise counts from this many medians on: noise rises all the time
# Picture: mean change of blocks beyond coding noise, in grey levels.
STILL_LUMA = 1.0
AROUND_S = 0.16  # but at least two frames


def sound_onsets(samples: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 (bins,) rises of loudness, and its grid; 32 bins a second of the first 10 s.

    Spectral flux of log energies (Bello et al., "A Tutorial on Onset Detection in Music Signals", IEEE TSAP 2005,
    section III-A), against the louder one of the two moments before.
    """
    size, hop = round(WINDOW_S * rate_hz), round(SOUND_STEP_S / HOPS_A_BIN * rate_hz)
    samples = samples[: round(SOUND_BINS * SOUND_STEP_S * rate_hz)]
    # So that the window of moment k has its centre at (k + 0.5) hops.
    lead = (size - hop) // 2
    padded = np.pad(samples, (lead, size), mode="constant")
    level = _band_levels(padded[: size + hop * (-(-samples.size // hop) - 1)], size, hop, rate_hz)
    before = np.maximum(np.pad(level, ((1, 0), (0, 0)), "edge")[:-1], np.pad(level, ((2, 0), (0, 0)), "edge")[:-2])
    rise = np.maximum(level - before, 0.0).mean(axis=1)
    rise = np.maximum(rise - USUAL * float(np.median(rise)), 0.0)
    rise = np.pad(rise, (0, -rise.size % HOPS_A_BIN)).reshape(-1, HOPS_A_BIN)
    return rise.sum(axis=1)[:SOUND_BINS], np.array([SOUND_STEP_S / 2, SOUND_STEP_S, min(len(rise), SOUND_BINS)])


def _band_levels(samples: np.ndarray, size: int, hop: int, rate_hz: int) -> np.ndarray:
    """float32 (T, N_BANDS): log power of bands of equal ratio, never below the floor of the clip."""
    bins = np.unique(np.round(np.geomspace(LOW_HZ, HIGH_HZ, N_BANDS + 1) * size / rate_hz).astype(int))
    power = stft.power(samples, size, hop, bins=slice(bins[0], bins[-1])) * np.float32(1 / size**2)
    bands = np.add.reduceat(power, bins[:-1] - bins[0], axis=1)
    loud = float(np.percentile(bands.sum(axis=1), 99)) / bands.shape[1]
    return np.log(np.maximum(bands, max(loud * 10 ** (-FLOOR_DB / 10), 10 ** (FLOOR_DBFS / 10) / bands.shape[1])))


def motion_onsets(means: np.ndarray, times_s: np.ndarray, rate_hz: float, stops: bool) -> tuple[np.ndarray, np.ndarray]:
    """float32 (T - 1,) onsets between neighbouring frames, and their grid.

    means: float32 (T, rows, columns), `block_means` of the luma. times_s: float64 (T,), seconds.

    An onset is more motion than around it: a flash, a blow, a fast turn. With `stops` also motion that breaks off,
    which only frames much closer than 1/8 s show in time.
    """
    change = np.maximum(np.abs(np.diff(means, axis=0)) - STILL_LUMA, 0.0).mean(axis=(1, 2))
    first_s = float(times_s[0]) + 0.5 / rate_hz
    grid = np.array([first_s, 1.0 / rate_hz, change.size])
    if not change.size:
        return change, grid
    around = max(2, round(AROUND_S * rate_hz))
    window = np.full(2 * around + 1, 1 / (2 * around + 1))
    onset = np.maximum(change - np.convolve(np.pad(change, around, "edge"), window, "valid"), 0.0)
    if stops:
        onset += np.maximum(change - np.append(change[1:], change[-1]), 0.0)
    return onset.astype(np.float32), grid


def _layers(bins: int) -> tuple[Layer, ...]:
    return Layer("curve", bins, "uint8"), Layer("grid", len(GRID_NAMES), "float32")


def _vectors(curve: np.ndarray, grid: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    scaled = np.zeros(bins, np.uint8)
    top = float(curve.max(initial=0.0))
    if top > 0:
        scaled[: curve.size] = np.round(curve[:bins] * (255 / top))
    return {"curve": scaled, "grid": grid.astype(np.float32)}


class SoundOnsetsExtractor(ClipExtractor):
    """When something begins to sound."""

    name: ClassVar[str] = "sound-onsets"
    version: ClassVar[int] = 1
    modality = "audio"
    kind = "measures"
    layers: ClassVar[tuple[Layer, ...]] = _layers(SOUND_BINS)
    input: ClassVar[InputSpec] = InputSpec(sample_rate_hz=16_000)
    descriptions: ClassVar[Mapping[str, str]] = {
        "curve": "How much louder it becomes, 32 times a second.",
        "grid": "Centre of the first bin and their distance in seconds, and how many there are.",
    }

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> (dim,) of one clip with at least one sample; what is not finite counts as silence."""
        samples = np.clip(np.nan_to_num(clip.audio, posinf=0.0, neginf=0.0), -1.0, 1.0)
        return _vectors(*sound_onsets(samples, clip.sample_rate_hz), SOUND_BINS)


class PictureOnsetsExtractor(ClipExtractor):
    """When a motion is sudden."""

    name: ClassVar[str] = "picture-onsets"
    stops: ClassVar[bool] = False  # see `motion_onsets`
    version: ClassVar[int] = 1
    modality = "visual"
    kind = "measures"
    layers: ClassVar[tuple[Layer, ...]] = _layers(PICTURE_BINS)
    input: ClassVar[InputSpec] = InputSpec(frame_rate_hz=8.0, max_frames=80, frame_size=112)
    descriptions: ClassVar[Mapping[str, str]] = {
        "curve": "How much more moves between neighbouring frames than around them.",
        "grid": "Centre of the first bin and their distance in seconds, and how many there are.",
    }

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> (dim,) of one clip with at least one frame."""
        onsets = motion_onsets(clip.block_means, clip.frame_times_s, clip.frame_rate_hz, self.stops)
        return _vectors(*onsets, self.layers[0].dim)


class FinePictureOnsetsExtractor(PictureOnsetsExtractor):
    """The same at 25 frames a second: a decoding of its own, for offsets to a frame."""

    name: ClassVar[str] = "picture-onsets-fine"
    stops: ClassVar[bool] = True
    layers: ClassVar[tuple[Layer, ...]] = _layers(FINE_BINS)
    input: ClassVar[InputSpec] = InputSpec(frame_rate_hz=25.0, max_frames=250, frame_size=48)
