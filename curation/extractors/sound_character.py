"""Mono samples in; numbers that tell speech and music from other sound out. Pure functions of arrays.

Everything is measured between 100 and 3800 Hz, so that a telephone's bandwidth, or a low sample rate, is no sign of
speech, and on active frames only, so that pauses around a word are none either.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from curation.extractors import stft

LOW_HZ, HIGH_HZ = 100.0, 3800.0
WINDOW_S, HOP_S = 0.032, 0.016
PITCH_HZ = (80.0, 400.0)
ACTIVE_DB = 30.0  # frames within this of the loud ones count
VOICED = 0.6
BANDS_HZ = (100.0, 400.0, 1000.0, 2000.0, 3800.0)
HELD_FRAMES = 8  # a tone that keeps its pitch for 0.13 s is held: notes are, syllables hardly
PULSE_S = (0.25, 1.0)

CHARACTER_NAMES = (
    "harmonicity",  # mean height of the pitch peak of the autocorrelation, 0..1
    "harmonicity_spread",
    "voiced_share",  # share of active frames whose peak is at least 0.6
    "pitch_distance",  # octaves of the median pitch from 160 Hz
    "pitch_spread",  # octaves, standard deviation
    "pitch_glide",  # octaves from frame to frame, mean
    "centroid",  # octaves above 100 Hz, mean and standard deviation
    "centroid_spread",
    "flatness",  # log of geometric over arithmetic mean of the spectrum
    "flatness_spread",
    "band_1",  # dB of each band's share of the energy, mean and standard deviation
    "band_2",
    "band_3",
    "band_4",
    "band_1_spread",
    "band_2_spread",
    "band_3_spread",
    "band_4_spread",
    "flux",  # 0..1, how far the shape of the spectrum changes from frame to frame
    "level_spread",  # dB, of all frames down to 40 dB below the loud ones
    "swell",  # share of the swelling of loudness that happens 2 to 8 times a second (0.5 to 20)
    "held",  # share of energy in tones that keep their pitch for 0.13 s
    "pulse",  # how well the onsets repeat after 0.25 to 1 s
)


def character(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """float32 (23,) in the order of `CHARACTER_NAMES`; zeros where nothing between 100 and 3800 Hz is heard."""
    power, hz = _spectra(samples, rate_hz)
    energy = power.sum(axis=1)
    loud = float(np.percentile(energy, 95))
    out = np.zeros(len(CHARACTER_NAMES), np.float32)
    if loud < 1e-8:
        return out
    active = energy >= loud * 10 ** (-ACTIVE_DB / 10)
    parts = (
        _pitch_numbers(power, active, hz, rate_hz),
        _spectrum_numbers(power, active, hz),
        _course_numbers(power, energy, loud),
    )
    out[:] = np.concatenate(parts)
    return out


def _spectra(samples: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 (frames, bins) power of the bins between LOW_HZ and HIGH_HZ, and their frequencies."""
    size, hop = round(WINDOW_S * rate_hz), round(HOP_S * rate_hz)
    padded = np.pad(samples, (0, max(0, size - samples.size))).astype(np.float32)
    hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    inside = slice(*np.searchsorted(hz, (LOW_HZ, np.nextafter(HIGH_HZ, np.inf))))
    return stft.power(padded, size, hop, bins=inside) / np.float32(size), hz[inside]


def _pitch_numbers(power: np.ndarray, active: np.ndarray, hz: np.ndarray, rate_hz: int) -> np.ndarray:
    peak, pitch_hz = pitch(power[active], hz, rate_hz)
    voiced = peak >= VOICED
    octaves = np.log2(pitch_hz / 160.0)
    spoken = octaves[voiced]
    places = np.flatnonzero(active)
    follows = (np.diff(places) == 1) & voiced[1:] & voiced[:-1]
    glide = np.abs(np.diff(octaves))[follows]
    return np.array(
        [
            peak.mean(),
            peak.std(),
            voiced.mean(),
            abs(float(np.median(spoken))) if spoken.size else 1.0,
            spoken.std() if spoken.size else 0.5,
            np.minimum(glide, 0.5).mean() if glide.size else 0.25,
        ]
    )


def pitch(power: np.ndarray, hz: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Height 0..1 and frequency, Hz, of the highest peak of each frame's autocorrelation between 80 and 400 Hz.

    power: (frames, bins) at the frequencies `hz` (bins,), some of those of a window of WINDOW_S; 0 at the others.
    The autocorrelation is divided by the window's own (Boersma 1993, "Accurate short-term analysis of the fundamental
    frequency", eq. 9). Height 0 and 160 Hz where there is no peak.
    """
    first, last = round(rate_hz / PITCH_HZ[1]), round(rate_hz / PITCH_HZ[0])
    course = power @ _lag_waves(hz[0], hz[-1], len(hz), last + 2, rate_hz)
    course /= np.maximum(power.sum(axis=1, keepdims=True), 1e-20)
    inner = course[:, first : last + 1]
    is_peak = (inner >= course[:, first - 1 : last]) & (inner > course[:, first + 1 : last + 2])
    heights = np.where(is_peak, inner, 0.0)
    best = heights.argmax(axis=1)
    peak = np.take_along_axis(heights, best[:, None], 1)[:, 0].clip(0.0, 1.0)
    return peak, np.where(peak > 0, rate_hz / (best + first), 160.0)


@lru_cache(maxsize=4)
def _lag_waves(low_hz: float, high_hz: float, n_bins: int, n_lags: int, rate_hz: int) -> np.ndarray:
    """float32 (n_bins, n_lags): power between low_hz and high_hz to autocorrelation, over the window's own."""
    size = round(WINDOW_S * rate_hz)
    window = np.hanning(size + 1)[:-1]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)[:n_lags]
    turns = np.outer(np.linspace(low_hz, high_hz, n_bins), np.arange(n_lags)) / rate_hz
    return (np.cos(2 * np.pi * turns) / (own / own[0])).astype(np.float32)


def _spectrum_numbers(power: np.ndarray, active: np.ndarray, hz: np.ndarray) -> np.ndarray:
    shares = power[active]
    shares /= shares.sum(axis=1, keepdims=True)
    shares += np.float32(1e-7)
    octaves = np.log2(hz / LOW_HZ).astype(np.float32)
    centroid = shares @ octaves
    flatness = np.log(shares).mean(axis=1) - np.log(shares.mean(axis=1))
    edges = np.searchsorted(hz, BANDS_HZ[:-1])
    bands = 10 * np.log10(np.maximum(np.add.reduceat(shares, edges, axis=1), 1e-4))
    following = np.diff(np.flatnonzero(active)) == 1
    flux = 0.5 * np.abs(np.diff(shares, axis=0)).sum(axis=1)[following]
    return np.concatenate(
        [
            [centroid.mean(), centroid.std(), flatness.mean(), flatness.std()],
            bands.mean(axis=0),
            bands.std(axis=0),
            [flux.mean() if flux.size else 0.0],
        ]
    )


def _course_numbers(power: np.ndarray, energy: np.ndarray, loud: float) -> np.ndarray:
    level_db = 10 * np.log10(np.maximum(energy / loud, 1e-4))
    return np.array([level_db.std(), _swell(energy), held_share(power, energy), _pulse(level_db)])


def _swell(energy: np.ndarray) -> float:
    """Share of the modulation of the amplitude between 0.5 and 20 Hz that lies between 2 and 8 Hz."""
    amplitude = np.sqrt(energy)
    size = max(256, amplitude.size)  # at least 4 s, so that the bands hold frequencies
    spectrum = np.abs(np.fft.rfft(amplitude - amplitude.mean(), size)) ** 2
    hz = np.fft.rfftfreq(size, HOP_S)
    whole = spectrum[(hz >= 0.5) & (hz <= 20.0)].sum()
    return float(spectrum[(hz >= 2.0) & (hz <= 8.0)].sum() / whole) if whole > 0 else 0.0


def held_share(power: np.ndarray, energy: np.ndarray) -> float:
    """Share of all energy that lies in spectral peaks which keep their bin (31 Hz) for at least 8 frames (0.13 s)."""
    if len(power) < HELD_FRAMES or energy.sum() <= 0:
        return 0.0
    around = np.pad(power, ((0, 0), (3, 3)))
    n = power.shape[1]
    is_peak = (power >= around[:, 2 : 2 + n]) & (power > around[:, 4 : 4 + n])
    is_peak &= power > 4 * np.maximum(around[:, :n], around[:, 6 : 6 + n])  # 6 dB above three bins away
    counts = np.cumsum(np.pad(is_peak, ((1, 0), (0, 0))), axis=0, dtype=np.int32)
    whole = counts[HELD_FRAMES:] - counts[:-HELD_FRAMES] == HELD_FRAMES
    held = np.zeros_like(is_peak)
    for shift in range(HELD_FRAMES):
        held[shift : shift + len(whole)] |= whole
    wide = held.copy()
    wide[:, 1:] |= held[:, :-1]
    wide[:, :-1] |= held[:, 1:]
    return float(power[wide].sum() / energy.sum())


def _pulse(level_db: np.ndarray) -> float:
    """Highest peak of the autocorrelation of the onsets between 0.25 and 1 s, 0..1; 0 for less than 2 s."""
    onsets = np.maximum(np.diff(level_db), 0.0)
    first, last = round(PULSE_S[0] / HOP_S), round(PULSE_S[1] / HOP_S)
    if onsets.size < 2 * last:
        return 0.0
    smooth = np.convolve(onsets - onsets.mean(), np.hanning(5), "same")
    size = 1 << (2 * smooth.size - 1).bit_length()
    course = np.fft.irfft(np.abs(np.fft.rfft(smooth, size)) ** 2, size)
    if course[0] <= 0:
        return 0.0
    part = course[first : last + 1] / course[0] * (smooth.size / (smooth.size - np.arange(first, last + 1)))
    return float(np.clip(part.max(), 0.0, 1.0))
