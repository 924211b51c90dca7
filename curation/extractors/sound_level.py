"""Mono samples in; how silent, how clipped and how loud they are out. Pure functions of arrays."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

SILENCE_DBFS = -60.0
WINDOW_S = 0.02
FULL_SCALE = 0.985  # what lossy coding and resampling leave of a sample at full scale, in most cases
FLOOR_DBFS = -120.0
FLOOR_LUFS = -90.0
RING_S = 0.2  # the high pass at 38 Hz has died away by 200 dB
_STEP_S, _STEPS_A_BLOCK = 0.1, 4  # ITU-R BS.1770-4: blocks of 400 ms that overlap by 75 %
_ABSOLUTE_LUFS, _RELATIVE_LU = -70.0, -10.0


def decibels(power: np.ndarray | float, floor: float = FLOOR_DBFS) -> np.ndarray:
    """10 log10 of power, never below `floor`."""
    return np.maximum(10.0 * np.log10(np.maximum(power, 1e-30)), floor)


def silent_share(samples: np.ndarray, rate_hz: int) -> float:
    """Share of time (windows of 20 ms, the last one may be shorter) whose RMS lies below -60 dBFS."""
    size = max(1, round(WINDOW_S * rate_hz))
    starts = np.arange(0, samples.size, size)
    power = np.add.reduceat(np.square(samples, dtype=np.float64), starts)
    lengths = np.diff(np.append(starts, samples.size))
    quiet = decibels(power / lengths) < SILENCE_DBFS
    return float(lengths[quiet].sum() / samples.size)


def clipped_share(samples: np.ndarray) -> float:
    """Share of samples at full scale: |x| at least 0.985."""
    return float(np.count_nonzero(np.abs(samples) >= FULL_SCALE) / samples.size)


def k_weighting(rate_hz: int) -> np.ndarray:
    """The two filters of ITU-R BS.1770-4 (annex 1) at any sample rate, second-order sections float64 (2, 6).

    The standard tabulates 48 kHz only; these are the same analogue prototypes under the bilinear transform (De Man,
    "Evaluation of implementations of the EBU R128 loudness measurement", AES 145, 2018).
    """
    k, q = math.tan(math.pi * 1681.974450955533 / rate_hz), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (high + middle * k / q + k * k) / a0,
        2 * (k * k - high) / a0,
        (high - middle * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    k, q = math.tan(math.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    a0 = 1 + k / q + k * k
    return np.array([shelf, [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]])


def weighted(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """float32 (S,): samples float32 (S,) through `k_weighting`.

    By Fourier transform, with room behind the end for the filters to ring out: as exact as float32 is, and without the
    import of scipy.signal, which takes as long as two hundred clips.
    """
    from scipy import fft  # a third of a second to import: only where sound is measured

    size = fft.next_fast_len(samples.size + round(RING_S * rate_hz), real=True)
    return fft.irfft(fft.rfft(samples, size) * _response(rate_hz, size), size)[: samples.size]


@lru_cache(maxsize=4)
def _response(rate_hz: int, size: int) -> np.ndarray:
    """complex64 (size // 2 + 1,) of `k_weighting`."""
    turns = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(1, complex)
    for section in k_weighting(rate_hz):
        above, below = (coefficients[0] + turns * (coefficients[1] + turns * coefficients[2])
                        for coefficients in (section[:3], section[3:]))  # fmt: skip
        response = response * above / below
    return response.astype(np.complex64)


def loudness_lufs(samples: np.ndarray, rate_hz: int) -> float:
    """Integrated loudness of one channel, LUFS, gated as in ITU-R BS.1770-4; -90 where everything is gated out.

    A clip shorter than a block of 400 ms counts as one block.
    """
    squares = np.square(weighted(samples, rate_hz))
    step = max(1, round(_STEP_S * rate_hz))
    whole = samples.size // step
    if whole < _STEPS_A_BLOCK:
        power = squares.mean(keepdims=True)
    else:
        sums = squares[: whole * step].reshape(whole, step).sum(axis=1, dtype=np.float64)
        power = np.lib.stride_tricks.sliding_window_view(sums, _STEPS_A_BLOCK).sum(axis=1) / (_STEPS_A_BLOCK * step)
    heard = power[_lufs(power) > _ABSOLUTE_LUFS]
    if heard.size:
        heard = heard[_lufs(heard) > _lufs(heard.mean()) + _RELATIVE_LU]
    return max(float(_lufs(heard.mean())), FLOOR_LUFS) if heard.size else FLOOR_LUFS


def _lufs(power: np.ndarray | float) -> np.ndarray:
    return -0.691 + 10.0 * np.log10(np.maximum(power, 1e-30))


LEVEL_NAMES = ("silent_share", "clipped_share", "peak_dbfs", "loudness_lufs", "sound_s")


def level(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """float32 (5,) in the order of `LEVEL_NAMES`; samples of at least one value, finite, cut to -1..1."""
    return np.array(
        [
            silent_share(samples, rate_hz),
            clipped_share(samples),
            decibels(float(np.abs(samples).max()) ** 2),
            loudness_lufs(samples, rate_hz),
            samples.size / rate_hz,
        ],
        np.float32,
    )
