"""Mono samples in; numbers that tell speech and music from other sound out. Pure functions of arrays.

Everything is measured between 100 and 3800 Hz, so that a telephone's bandwidth, or a low sample rate, is no sign of
speech, and on active frames only, so that pauses around a word are none either.
"""

from __future__ import annotations

import numpy as np

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
    """float32 (frames, bins) power between LOW_HZ and HIGH_HZ, zero elsewhere, and the bins' frequencies."""
    size, hop = round(WINDOW_S * rate_hz), round(HOP_S * rate_hz)
    padded = np.pad(samples, (0, max(0, size - samples.size))).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    spectrum = np.fft.rfft(frames * window, axis=1)
    hz = np.fft.rfftfreq(size, 1.0 / rate_hz)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) / np.float32(size)
    power[:, (hz < LOW_HZ) | (hz > HIGH_HZ)] = 0.0
    return power, hz


def _pitch_numbers(power: np.ndarray, active: np.ndarray, hz: np.ndarray, rate_hz: int) -> np.ndarray:
    peak, pitch_hz = pitch(power[active], rate_hz)
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


def pitch(power: np.ndarray, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Height 0..1 and frequency, Hz, of the highest peak of each frame's autocorrelation between 80 and 400 Hz.

    The autocorrelation is divided by the window's own (Boersma 1993, "Accurate short-term analysis of the fundamental
    frequency", eq. 9). Height 0 and 160 Hz where there is no peak.
    """
    size = 2 * (power.shape[1] - 1)
    window = np.hanning(size + 1)[:-1]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)[:size].astype(np.float32)
    first, last = round(rate_hz / PITCH_HZ[1]), round(rate_hz / PITCH_HZ[0])
    course = np.fft.irfft(power, axis=1)[:, : last + 2]
    lags = np.arange(last + 2)
    course = course / np.maximum(course[:, :1], 1e-20) / (own[lags] / own[0])
    inner = course[:, first : last + 1]
    is_peak = (inner >= course[:, first - 1 : last]) & (inner > course[:, first + 1 : last + 2])
    heights = np.where(is_peak, inner, 0.0)
    best = heights.argmax(axis=1)
    peak = np.take_along_axis(heights, best[:, None], 1)[:, 0].clip(0.0, 1.0)
    return peak, np.where(peak > 0, rate_hz / (best + first), 160.0)


def _spectrum_numbers(power: np.ndarray, active: np.ndarray, hz: np.ndarray) -> np.ndarray:
    inside = (hz >= LOW_HZ) & (hz <= HIGH_HZ)
    shares = power[active][:, inside]
    shares = shares / shares.sum(axis=1, keepdims=True) + 1e-7
    octaves = np.log2(hz[inside] / LOW_HZ)
    centroid = shares @ octaves
    flatness = np.log(shares).mean(axis=1) - np.log(shares.mean(axis=1))
    edges = np.searchsorted(hz[inside], BANDS_HZ[:-1])
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
