"""Mono samples in, power spectra of windows out: what every sound measure begins with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BLOCK_SAMPLES = 1 << 16  # of windows that are transformed together: they stay in the processor's cache


def power(samples: np.ndarray, size: int, hop: int, *, n_fft: int = 0, bins: slice = slice(None)) -> np.ndarray:
    """float32 (T, bins): |spectrum|**2 of Hann windows of `size` samples that begin at 0, hop, 2 * hop, ...

    samples: float32 (S,); T = 0 where S is less than `size`. n_fft: windows are filled up with zeros to this length.
    bins: only these of the n_fft // 2 + 1 bins.
    """
    # Twice as quick as numpy.fft for many short rows; a third of a second to import: only where sound is measured.
    from scipy import fft

    n_fft = n_fft or size
    first, last, _ = bins.indices(n_fft // 2 + 1)
    if samples.size < size:
        return np.zeros((0, last - first), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    found = np.empty((len(frames), last - first), np.float32)
    step = max(1, BLOCK_SAMPLES // n_fft)
    for start in range(0, len(frames), step):
        spectrum = fft.rfft(frames[start : start + step] * hann(size), n_fft, axis=1)[:, first:last]
        np.add(np.square(spectrum.real), np.square(spectrum.imag), out=found[start : start + step])
    return found


@lru_cache(maxsize=8)
def hann(size: int) -> np.ndarray:
    """The periodic Hann window, float32 (size,)."""
    return np.hanning(size + 1)[:-1].astype(np.float32)
