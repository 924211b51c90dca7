"""Sound arithmetic: mono samples in, the vectors of the five layers of `sound` out.

One power spectrogram (25 ms Hann windows, 10 ms apart) serves all layers. The sound is first divided by its
peak, so a recording and its louder copy have the same features; frames more than 40 dB below the loudest do
not count in averages, so silence around an event does not dilute it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curation.extractors import stft

SAMPLE_RATE_HZ = 16_000
WINDOW, HOP, N_FFT = 400, 160, 512
FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP
N_MELS, N_MFCC, N_GROUPS = 64, 20, 8
F_MIN_HZ, F_MAX_HZ = 50.0, 7600.0
# Below this peak (-80 dB of full scale) there is nothing but dither: it is not blown up to full scale.
SILENT_PEAK = 1e-4
ENERGY_FLOOR = 1e-6
ACTIVE_ENERGY = 1e-4
MODULATION_WINDOW = 512
MODULATION_EDGES_HZ = (0.3, 1, 2, 3, 4, 6, 8, 12, 16, 24, 51)
AUTOCORRELATION_LAGS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
PERCENTILES = (10, 50, 90)


@dataclass(frozen=True)
class Spectra:
    """What all layers start from; T frames at FRAME_RATE_HZ.

    samples: float32 (S,), peak 1 or silent. power: (T, N_FFT // 2 + 1) and mel: (T, N_MELS), both over the
    energy of the loudest frame. log_mel: log10(mel + ENERGY_FLOOR). energy: (T,), 1 in the loudest frame.
    weight: (T,), equal in active frames, 0 in others, sum 1.
    """

    samples: np.ndarray
    power: np.ndarray
    mel: np.ndarray
    log_mel: np.ndarray
    energy: np.ndarray
    weight: np.ndarray


class FrontEnd:
    """Samples at any rate to `Spectra`, and `Spectra` to the vectors of all layers."""

    def __init__(self) -> None:
        self._mel_bank = mel_bank()
        self._dct = cosines()

    def layers(self, samples: np.ndarray, rate_hz: int) -> dict[str, np.ndarray]:
        """Layer name -> vector of a sound float32 (S,), S >= 1, of any length and finite or not."""
        spectra = self.spectra(at_rate(samples, rate_hz))
        return {
            "logmel": np.concatenate(weighted_moments(spectra.log_mel, spectra.weight)),
            "mfcc": timbre(spectra, self._dct),
            "shape": spectral_shape(spectra),
            "modulation": modulation(spectra.mel),
            "rhythm": rhythm(spectra),
        }

    def spectra(self, samples: np.ndarray) -> Spectra:
        """Float32 (S,) at 16 kHz, S >= 1, to `Spectra`. Samples that are not finite count as silence."""
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        samples = samples / np.float32(max(float(np.abs(samples).max()), SILENT_PEAK))
        power = power_spectrogram(samples)
        mel = power @ self._mel_bank
        total = mel.sum(axis=1)
        loudest = max(float(total.max()), ENERGY_FLOOR)
        mel, energy = mel / loudest, total / loudest
        active = (energy > ACTIVE_ENERGY).astype(np.float32)
        weight = active / active.sum() if active.any() else np.full(len(energy), 1 / len(energy), np.float32)
        return Spectra(samples, power / loudest, mel, np.log10(mel + ENERGY_FLOOR), energy, weight)


def at_rate(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """The samples at 16 kHz; a clip decoded as asked for already is."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    # Seconds to import, and hardly ever needed.
    import torch

    from curation.extractors import torchaudio_compat

    with torch.inference_mode():
        source = torch.from_numpy(np.ascontiguousarray(samples))
        return torchaudio_compat.functional.resample(source, rate_hz, SAMPLE_RATE_HZ).numpy()


def power_spectrogram(samples: np.ndarray) -> np.ndarray:
    """Float32 (1 + S // HOP, N_FFT // 2 + 1) of samples float32 (S,): Hann windows centred at 0, HOP, 2 * HOP, ..."""
    return stft.power(np.pad(samples, WINDOW // 2), WINDOW, HOP, n_fft=N_FFT)


def mel_bank() -> np.ndarray:
    """Triangular mel filters, float32 (N_FFT // 2 + 1, N_MELS), peak 1, evenly spaced on Slaney's scale."""

    def hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)

    corners = hertz(np.linspace(mel(F_MIN_HZ), mel(F_MAX_HZ), N_MELS + 2))
    hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, N_FFT // 2 + 1)[:, None]
    rising = (hz - corners[:-2]) / np.diff(corners)[:-1]
    falling = (corners[2:] - hz) / np.diff(corners)[1:]
    return np.maximum(np.minimum(rising, falling), 0.0).astype(np.float32)


def cosines() -> np.ndarray:
    """The orthonormal cosine transform of mel bands, float32 (N_MELS, N_MFCC)."""
    waves = np.cos(np.pi * np.outer(np.arange(N_MELS) + 0.5, np.arange(N_MFCC)) / N_MELS) * math.sqrt(2 / N_MELS)
    waves[:, 0] /= math.sqrt(2)
    return waves.astype(np.float32)


def weighted_moments(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation over time, each (C,), of values (T, C) with weights (T,) that sum to 1."""
    mean = weight @ values
    return mean, np.sqrt(weight @ np.square(values - mean))


def summary(track: np.ndarray) -> np.ndarray:
    """Mean, deviation and 10th, 50th, 90th percentile of a track (T,), zeros of an empty one. (5,)"""
    if not len(track):
        return np.zeros(2 + len(PERCENTILES))
    return np.concatenate([[track.mean(), track.std()], np.percentile(track, PERCENTILES)])


def timbre(spectra: Spectra, dct: np.ndarray) -> np.ndarray:
    """Mean of MFCC 1 to 19 (the 0th is level), deviation of all 20, mean absolute change over 40 ms. (59,)"""
    cepstra = spectra.log_mel @ dct
    mean, spread = weighted_moments(cepstra, spectra.weight)
    if len(cepstra) > 4:
        change = np.abs(cepstra[4:] - cepstra[:-4]).mean(axis=0)
    else:
        change = np.zeros(N_MFCC)
    return np.concatenate([mean[1:], spread, change])


def spectral_shape(spectra: Spectra) -> np.ndarray:
    """Nine shape tracks and eight band shares, their mean and deviation weighted by loudness. (34,)

    Tracks: centroid and bandwidth (octaves), 50 % and 85 % roll-off (share of the range), flatness (log10),
    tonality (share of the five strongest bins), crest (log10), zero-crossing rate, flux (decades a frame).
    """
    power = spectra.power + 1e-12
    freqs = np.linspace(0.0, SAMPLE_RATE_HZ / 2, power.shape[1], dtype=np.float32)
    share = power / power.sum(axis=1, keepdims=True)
    centroid = share @ freqs
    # E[f^2] - E[f]^2 needs no (T, F) temporary; float32 rounding may leave a tiny negative.
    bandwidth = np.sqrt(np.maximum(share @ np.square(freqs) - np.square(centroid), 0.0))
    cumulative = np.cumsum(share, axis=1)
    strongest = np.partition(share, -5, axis=1)[:, -5:]
    flux = np.zeros(len(power))
    flux[1:] = np.maximum(np.diff(spectra.log_mel, axis=0), 0.0).mean(axis=1)
    flatness = np.exp(np.log(power[:, 4:]).mean(axis=1)) / power[:, 4:].mean(axis=1)
    tracks = [
        np.log2(centroid + F_MIN_HZ),
        np.log2(bandwidth + F_MIN_HZ),
        (cumulative < 0.5).mean(axis=1),
        (cumulative < 0.85).mean(axis=1),
        np.log10(flatness + 1e-6),
        strongest.sum(axis=1),
        np.log10(strongest.max(axis=1) + 1e-6),
        zero_crossings(spectra.samples, len(power)),
        flux,
    ]
    groups = spectra.mel.reshape(len(power), N_GROUPS, -1).sum(axis=2)
    balance = np.log10(groups / (spectra.energy[:, None] + ENERGY_FLOOR) + 1e-4)
    loudness = np.sqrt(spectra.energy) + 1e-6
    values = np.concatenate([np.stack(tracks, axis=1), balance], axis=1)
    return np.concatenate(weighted_moments(values, loudness / loudness.sum()))


def zero_crossings(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """Sign changes per sample around each frame's centre, (n_frames,), 0 to 1."""
    crossings = np.zeros(n_frames * HOP, np.float32)
    signs = np.signbit(samples)
    changes = (signs[1:] != signs[:-1])[: len(crossings)]
    crossings[: len(changes)] = changes
    return crossings.reshape(n_frames, HOP).mean(axis=1)


def modulation(mel: np.ndarray) -> np.ndarray:
    """Log power of the swell of eight mel groups in ten bands of modulation frequency, 0.3 to 50 Hz. (80,)

    The amplitude of each group over its own mean (so neither level nor timbre enters); the mean of the
    spectra of windows of 5.12 s that overlap by half or more; a shorter sound is one window, padded. The
    windows have no taper: it would hide an event near their ends.
    """
    amplitude = np.sqrt(mel.reshape(len(mel), N_GROUPS, -1).sum(axis=2))
    relative = amplitude / (amplitude.mean(axis=0) + 1e-3)
    relative -= relative.mean(axis=0)
    length = min(len(mel), MODULATION_WINDOW)
    n_windows = 1 + -(-(len(mel) - length) * 2 // MODULATION_WINDOW)
    starts = np.linspace(0, len(mel) - length, n_windows).astype(int)
    windows = np.stack([relative[start : start + length] for start in starts])
    spectrum = np.square(np.abs(np.fft.rfft(windows, MODULATION_WINDOW, axis=1))).mean(axis=0) / length
    freqs = np.fft.rfftfreq(MODULATION_WINDOW, 1 / FRAME_RATE_HZ)
    bands = np.searchsorted(freqs, MODULATION_EDGES_HZ)
    return np.log10(np.add.reduceat(spectrum, bands[:-1], axis=0) + 1e-3).ravel()


def rhythm(spectra: Spectra) -> np.ndarray:
    """Loudness contour, onset strength, change, shares of loud time, repetition of the contour. (27,)"""
    loudness = np.log10(spectra.energy + ENERGY_FLOOR)
    rise = np.maximum(np.diff(spectra.log_mel, axis=0), 0.0).mean(axis=1)
    inner = rise[1:-1]
    peaks = (inner > rise[:-2]) & (inner >= rise[2:]) & (inner > 0.1) if len(rise) > 2 else np.zeros(0, bool)
    shares = [
        peaks.sum() * FRAME_RATE_HZ / len(loudness),
        (spectra.energy > 0.01).mean(),
        (spectra.energy > 0.1).mean(),
    ]
    return np.concatenate(
        [summary(loudness), summary(rise), summary(np.abs(np.diff(loudness))), shares, repetition(loudness)]
    )


def repetition(track: np.ndarray) -> np.ndarray:
    """Autocorrelation of a track (T,) at AUTOCORRELATION_LAGS_S, -1 to 1; 0 at lags it is too short for."""
    centred = track - track.mean()
    energy = float(centred @ centred)
    lags = [round(lag * FRAME_RATE_HZ) for lag in AUTOCORRELATION_LAGS_S]
    if energy < 1e-9:
        return np.zeros(len(lags))
    return np.array([centred[lag:] @ centred[: len(track) - lag] / energy if lag < len(track) else 0.0 for lag in lags])
