"""Prints of sound and picture: a few hundred bytes a clip that survive gain, re-encoding, scaling and a shifted start.

A print is a row of slots, one for each 1/8 s (sound) or 1/4 s (picture), each a small integer of signs. Copies have
nearly the same signs in the same order, maybe a few slots later; other clips agree in half of them. The extractors
`sound-print` and `picture-print` work on the clip that the built-in features get; `curation.kernels.duplicates`
compares.

A slot of zero says "nothing to go by": silence, or a picture without detail. The top bit of every other slot is set.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors import stft
from curation.extractors.base import ClipExtractor, InputSpec, Layer
from curation.media.luma import block_side

if TYPE_CHECKING:
    from curation.media.decode import DecodedClip

SOUND_SLOTS, SOUND_SLOT_S = 80, 0.125
PICTURE_SLOTS = 40  # of two frames, so 0.25 s each in clips up to 10 s
# Sound: log energies of 32 bands, averaged over SMOOTH frames, compared with those LAG frames later.
N_BANDS, LOW_HZ, HIGH_HZ = 32, 200.0, 3400.0
FRAMES_PER_SLOT, SMOOTH, LAG = 2, 8, 6
WINDOW_S = 0.128
HEARD_DBFS, HEARD_DB = -70.0, 40.0  # a slot counts above this level, and this near to the clip's loudest
# Picture: signs of the 63 lowest coefficients of a cosine transform of the luma, averaged over 0.5 s; and of the
# change of the 31 lowest ones within 0.5 s.
SIDE, FRAMES_PER_MEAN = 8, 4
DETAIL_LUMA, CHANGE_LUMA = 2.0, 0.7


def sound_slots(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """uint32 (SOUND_SLOTS,) of mono samples float32 (S,).

    Signs of differences of band energies in time and frequency, after Haitsma and Kalker, "A Highly Robust Audio
    Fingerprinting System" (ISMIR 2002), section 4.2, with far longer steps. Up to 10 s: a slot each 1/8 s from the
    start on. Longer: the first 5 s and the last 5 s.
    """
    if samples.size > round(SOUND_SLOTS * SOUND_SLOT_S * rate_hz):
        half = round(SOUND_SLOTS // 2 * SOUND_SLOT_S * rate_hz)
        return np.concatenate([_half(samples[:half], rate_hz), _half(samples[-half:], rate_hz)])
    slots = np.zeros(SOUND_SLOTS, np.uint32)
    found = _slots_of(samples, rate_hz)[:SOUND_SLOTS]
    slots[: found.size] = found
    return slots


def _half(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    found = _slots_of(samples, rate_hz)
    return np.pad(found, (0, SOUND_SLOTS // 2 - found.size))


def _slots_of(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """uint32 (slots,): as many as fit into the samples."""
    power = _band_power(samples, rate_hz)
    sums = np.cumsum(np.pad(power, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    means = (sums[SMOOTH:] - sums[:-SMOOTH]) / SMOOTH if len(sums) > SMOOTH else np.zeros((0, N_BANDS))
    if len(means) <= LAG:
        return np.zeros(0, np.uint32)
    level = means.sum(axis=1)
    floor = max(float(level.max()) * 10 ** (-HEARD_DB / 10), 10 ** (HEARD_DBFS / 10))
    shape = np.log(means + 1e-12)
    shape = shape[:, :-1] - shape[:, 1:]
    signs = (shape[LAG:] > shape[:-LAG])[::FRAMES_PER_SLOT]
    heard = np.maximum(level[LAG:], level[:-LAG])[::FRAMES_PER_SLOT] > floor
    return np.where(heard, _packed(signs, np.uint32), np.uint32(0))


def _band_power(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """float32 (frames, N_BANDS): power between LOW_HZ and HIGH_HZ in bands of equal ratio, 16 frames a second."""
    size, hop = round(WINDOW_S * rate_hz), round(SOUND_SLOT_S / FRAMES_PER_SLOT * rate_hz)
    edges = np.geomspace(LOW_HZ, HIGH_HZ, N_BANDS + 1) * size / rate_hz
    bins = np.round(edges).astype(int)
    power = stft.power(samples, size, hop, bins=slice(bins[0], bins[-1]))
    return np.add.reduceat(power, bins[:-1] - bins[0], axis=1) * np.float32(1 / size**2)


def picture_slots(means: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """uint64 (PICTURE_SLOTS,) of the picture and uint32 (PICTURE_SLOTS,) of its change.

    means: float32 (T, rows, columns), T >= 1, `block_means` of frames of `height` x `width` pixels.

    Signs of cosine coefficients (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
    section 3.2) of the luma, stretched to a square, averaged over four frames, two frames apart. Clips of more than 80
    frames: the first 80 (a clip longer than 10 s comes with 80 frames spread over it).
    """
    waves = coefficients(means[: 2 * PICTURE_SLOTS], height, width)
    n = max(1, len(waves) // 2)
    means = np.stack([waves[2 * i : 2 * i + FRAMES_PER_MEAN].mean(axis=0) for i in range(n)])
    detailed = np.sqrt(np.square(means[:, 1:]).sum(axis=1)) >= DETAIL_LUMA
    still, change = np.zeros(PICTURE_SLOTS, np.uint64), np.zeros(PICTURE_SLOTS, np.uint32)
    still[:n] = np.where(detailed, _packed(means[:, 1:] > 0, np.uint64), np.uint64(0))
    step = means[2:] - means[:-2]
    step = step[:, 1:32]
    moved = np.sqrt(np.square(step).sum(axis=1)) >= CHANGE_LUMA
    change[: len(step)] = np.where(moved, _packed(step > 0, np.uint32), np.uint32(0))
    return still, change


def coefficients(means: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 (T, 64): cosine coefficients of luma, lowest first, in grey levels RMS, from its `block_means`."""
    side = block_side(height, width)
    waves = np.matmul(_cosines(height, side), means @ _cosines(width, side).T)
    return waves.reshape(len(means), -1)[:, _ORDER]


@lru_cache(maxsize=64)
def _cosines(size: int, side: int) -> np.ndarray:
    """float32 (SIDE, blocks): share of each block, `side` pixels of `size` (the last one maybe fewer), in each wave."""
    edges = np.append(np.arange(0, size, side), size)
    table = np.cos(np.pi * np.outer(np.arange(SIDE), (edges[1:] + edges[:-1]) / (2 * size))) * np.diff(edges) / size
    table[1:] *= np.sqrt(2)
    return table.astype(np.float32)


_ORDER = np.argsort(np.add.outer(np.arange(SIDE) ** 2, np.arange(SIDE) ** 2).ravel(), kind="stable")


def _packed(signs: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """(n, bits) of yes and no -> (n,) integers with the top bit set."""
    top = np.dtype(dtype).itemsize * 8 - 1
    places = (1 << np.arange(signs.shape[1], dtype=np.uint64)).astype(np.uint64)
    return ((signs * places).sum(axis=1, dtype=np.uint64) | np.uint64(1 << top)).astype(dtype)


class SoundPrintExtractor(ClipExtractor):
    """What a clip's sound can be recognised by."""

    name: ClassVar[str] = "sound-print"
    version: ClassVar[int] = 1
    modality = "audio"
    kind = "measures"
    layers: ClassVar[tuple[Layer, ...]] = (Layer("slots", SOUND_SLOTS * 4, "uint8"),)
    input: ClassVar[InputSpec] = InputSpec(sample_rate_hz=16_000)
    descriptions: ClassVar[Mapping[str, str]] = {
        "slots": "Signs of how the shape of the spectrum changes, every eighth of a second."
    }

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> uint8 (dim,): little-endian uint32 a slot; what is not finite counts as silence."""
        samples = np.clip(np.nan_to_num(clip.audio, posinf=0.0, neginf=0.0), -1.0, 1.0)
        return {"slots": sound_slots(samples, clip.sample_rate_hz).astype("<u4").view(np.uint8)}


class PicturePrintExtractor(ClipExtractor):
    """What a clip's picture can be recognised by."""

    name: ClassVar[str] = "picture-print"
    version: ClassVar[int] = 1
    modality = "visual"
    kind = "measures"
    layers: ClassVar[tuple[Layer, ...]] = (
        Layer("slots", PICTURE_SLOTS * 8, "uint8"),
        Layer("change", PICTURE_SLOTS * 4, "uint8"),
    )
    input: ClassVar[InputSpec] = InputSpec(frame_rate_hz=8.0, max_frames=80, frame_size=112)
    descriptions: ClassVar[Mapping[str, str]] = {
        "slots": "Signs of the picture's coarse waves of light and dark, every quarter of a second.",
        "change": "Signs of how these waves change within half a second.",
    }

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> uint8 (dim,): little-endian uint64 or uint32 a slot."""
        still, change = picture_slots(clip.block_means, *clip.frames.shape[1:3])
        return {"slots": still.astype("<u8").view(np.uint8), "change": change.astype("<u4").view(np.uint8)}
