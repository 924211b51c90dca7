"""VGGish's input: sound at 16 kHz in, log-mel patches (n, 96, 64) out.

Hershey et al. 2017 (arXiv 1609.09430) and the front end published with AudioSet: frames of 25 ms every 10 ms under
a periodic Hann window, magnitudes of a 512-point Fourier transform, 64 triangular bands evenly spaced in HTK mel
from 125 to 7500 Hz, log(mel + 0.01), patches of 96 frames (0.96 s) without overlap; a rest shorter than a patch is
dropped. NumPy only, in float64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_RATE_HZ = 16_000
WINDOW, HOP, N_FFT = 400, 160, 512
N_BANDS, PATCH_FRAMES = 64, 96
F_MIN_HZ, F_MAX_HZ = 125.0, 7500.0
LOG_OFFSET = 0.01
PATCH_SAMPLES = WINDOW + (PATCH_FRAMES - 1) * HOP


def patches(samples: np.ndarray) -> np.ndarray:
    """Float (S,) at 16 kHz, -1 to 1, S >= 1, to float32 (n, 96, 64), n >= 1.

    Less than one patch (15,600 samples) is followed by silence. Samples that are not finite count as silence.
    """
    # A decoder gives nothing beyond full scale; what is there by other ways must not swamp the network.
    clean = np.clip(np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
    frames = log_mel(np.pad(clean, (0, max(PATCH_SAMPLES - len(clean), 0))))
    n_patches = len(frames) // PATCH_FRAMES
    return frames[: n_patches * PATCH_FRAMES].reshape(n_patches, PATCH_FRAMES, N_BANDS).astype(np.float32)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Float64 (S,), S >= 400, to the log-mel spectrogram (1 + (S - 400) // 160, 64)."""
    framed = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi / WINDOW * np.arange(WINDOW))
    return np.log(np.abs(np.fft.rfft(framed * hann, N_FFT)) @ mel_bank() + LOG_OFFSET)


@lru_cache(maxsize=1)
def mel_bank() -> np.ndarray:
    """Triangles in mel, float64 (257, 64), peak 1 at a band's centre; the constant bin belongs to none."""
    bins = mel(np.linspace(0.0, SAMPLE_RATE_HZ / 2, N_FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(np.array(F_MIN_HZ)), mel(np.array(F_MAX_HZ)), N_BANDS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0.0, np.minimum(rising, falling))
    bank[0] = 0.0
    return bank


def mel(frequency_hz: np.ndarray) -> np.ndarray:
    """HTK's mel of frequencies in Hz."""
    return 1127.0 * np.log1p(frequency_hz / 700.0)
