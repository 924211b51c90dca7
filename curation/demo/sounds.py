"""The sounds of the demo, one function a form.

In: the clip's `Timeline`, its sound numbers (Hz, seconds, shares), a generator, the sample rate in Hz. Out:
float64 (n,) samples, n = round(duration * rate), at any level: `finish` brings them to a common loudness.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from curation.demo.timelines import Numbers, Timeline

Samples = NDArray[np.float64]


def _length(line: Timeline, rate: int) -> int:
    return round(line.duration_s * rate)


def _noise(rng: np.random.Generator, n: int, rate: int, gain: Callable[[Samples], Samples]) -> Samples:
    """Gaussian noise whose spectrum is weighted by `gain(frequency in Hz)`, scaled to unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    shaped = np.fft.irfft(spectrum * gain(np.arange(len(spectrum), dtype=np.float64) * (rate / n)), n)
    return shaped / max(float(np.sqrt(np.mean(shaped**2))), 1e-12)


def _band(low_hz: float, high_hz: float) -> Callable[[Samples], Samples]:
    """A band with gentle slopes on both sides."""
    return lambda f: 1.0 / (1.0 + (low_hz / np.maximum(f, 1.0)) ** 4) / (1.0 + (f / high_hz) ** 4)


def _add(out: Samples, start_s: float, piece: Samples, rate: int) -> None:
    """Mix `piece` into `out` from `start_s` on; what lies outside is cut."""
    at = round(start_s * rate)
    first, last = max(0, at), min(len(out), at + len(piece))
    if first < last:
        out[first:last] += piece[first - at : last - at]


def _modes(freqs: Samples, decays_s: Samples, gains: Samples, n: int, rate: int) -> Samples:
    """Sum of damped sines, with a one-millisecond rise so that nothing clicks."""
    t = np.arange(n) / rate
    waves = gains[:, None] * np.sin(2.0 * np.pi * freqs[:, None] * t) * np.exp(-t / decays_s[:, None])
    return waves.sum(0) * np.minimum(1.0, t / 0.001)


def _room(dry: Samples, rng: np.random.Generator, rate: int, decay_s: float, share: float) -> Samples:
    """`dry` with `share` of a diffuse tail that falls by 60 dB in about seven `decay_s`."""
    n = int(6.0 * decay_s * rate)
    tail = rng.standard_normal(n) * np.exp(-np.arange(n) / (decay_s * rate))
    tail /= np.sqrt(np.sum(tail**2))
    size = len(dry) + n
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail, size), size)[: len(dry)]
    return dry + share * wet


def knock(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """A rubber ball on a wooden floor: low damped modes and a short thud of noise at each hit."""
    out = np.zeros(_length(line, rate))
    n = int(0.35 * rate)
    ratios = np.array([1.0, 1.9, 2.7, 4.3]) * rng.uniform(0.97, 1.03, 4)
    for t, strength in zip(line.times_s, line.strengths, strict=True):
        decays = p["decay_s"] * np.array([1.0, 0.7, 0.5, 0.3])
        body = _modes(p["pitch_hz"] * ratios, decays, np.array([1.0, 0.6, 0.35, 0.2]), n, rate)
        thud = _noise(rng, n, rate, _band(80.0, 700.0)) * np.exp(-np.arange(n) / (0.012 * rate))
        _add(out, t, strength**1.5 * (body + 0.5 * thud), rate)
    return _room(out, rng, rate, 0.09, 0.5)


def siren(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """Two tones that change with the lamp, gliding into each other; the odd half-period is the high one."""
    t = np.arange(_length(line, rate)) / rate
    half = 0.5 * line.period_s
    turn = np.sin(np.pi * (t - line.times_s[0]) / half)
    high = 0.5 + 0.5 * np.tanh(turn / max(p["glide"], 1e-3))
    freq = p["pitch_hz"] * (1.0 + (p["interval"] - 1.0) * high)
    phase = 2.0 * np.pi * np.cumsum(freq) / rate
    tone = sum(gain * np.sin(k * phase) for k, gain in ((1, 1.0), (2, 0.45), (3, 0.3), (5, 0.12)))
    near = 1.0 + 0.25 * np.sin(2.0 * np.pi * t / rng.uniform(3.0, 6.0) + rng.uniform(0.0, 6.28))
    return _room(near * np.tanh(1.2 * tone), rng, rate, 0.12, 0.35)


def plip(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """A drop into a pool: a bubble's tone that rises and dies, in a cave."""
    out = np.zeros(_length(line, rate))
    n = int(0.3 * rate)
    t = np.arange(n) / rate
    for at, strength in zip(line.times_s, line.strengths, strict=True):
        pitch = p["pitch_hz"] * (1.25 - 0.3 * strength) * rng.uniform(0.95, 1.05)
        rise = pitch * (1.0 + p["rise"] * (1.0 - np.exp(-t / 0.05)))
        bubble = np.sin(2.0 * np.pi * np.cumsum(rise) / rate) * np.exp(-t / p["decay_s"])
        _add(out, at, 0.25 * strength * bubble, rate)
        _add(out, at + 0.03, strength * bubble * np.minimum(1.0, t / 0.004), rate)
    return _room(out, rng, rate, 0.3, 0.55)


def tick(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """Tick and tock: a short burst of high noise and two small resonances of the case."""
    out = np.zeros(_length(line, rate))
    n = int(0.12 * rate)
    for i, (at, strength) in enumerate(zip(line.times_s, line.strengths, strict=True)):
        bend = 1.0 if i % 2 == 0 else p["tock"]
        freqs = p["pitch_hz"] * bend * np.array([1.0, 1.62, 2.4])
        case = _modes(freqs, p["decay_s"] * np.array([1.0, 0.8, 0.6]), np.array([0.7, 1.0, 0.8]), n, rate)
        burst = _noise(rng, n, rate, _band(2500.0, 7500.0)) * np.exp(-np.arange(n) / (0.004 * rate))
        _add(out, at, strength * (case + 0.8 * burst), rate)
        _add(out, at + 0.022, 0.4 * strength * burst, rate)
    return _room(out, rng, rate, 0.03, 0.25)


def rain(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """Broad noise that follows the force of the rain, and single drops on the sill."""
    n = _length(line, rate)
    force = line.level_at(np.arange(n) / rate)
    hiss = _noise(rng, n, rate, lambda f: _band(300.0, 7000.0)(f) * (np.maximum(f, 50.0) / 1000.0) ** p["tilt"])
    out = hiss * force
    grain = int(0.02 * rate)
    fall = np.exp(-np.arange(grain) / (0.003 * rate))
    for at in rng.uniform(0.0, line.duration_s, int(p["drops_per_s"] * line.duration_s)):
        piece = np.sin(2.0 * np.pi * rng.uniform(900.0, 3500.0) * np.arange(grain) / rate) * fall
        _add(out, at, rng.uniform(0.5, 2.0) * piece, rate)
    return out


def song(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """Whistled chirps: quick sweeps down or up and over, bending differently in every bird."""
    out = np.zeros(_length(line, rate))
    note_s = 0.85 * line.period_s
    n = int(note_s * rate)
    u = np.arange(n) / n
    bend = rng.uniform(-1.0, 1.0)
    for at, strength in zip(line.times_s, line.strengths, strict=True):
        sweep = p["sweep"] * (bend * (0.5 - u) + np.sin(np.pi * u) * 0.6)
        freq = p["pitch_hz"] * (1.0 + sweep) * rng.uniform(0.97, 1.03)
        phase = 2.0 * np.pi * np.cumsum(np.minimum(freq, 0.47 * rate)) / rate
        trill = 1.0 + 0.3 * np.sin(2.0 * np.pi * 45.0 * u * note_s)
        _add(out, at, strength * np.sin(np.pi * u) ** 0.7 * trill * np.sin(phase), rate)
    return _room(out, rng, rate, 0.12, 0.3)


def buzz(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """An engine: many harmonics of a pitch that follows the wheel, beating twice a turn."""
    n = _length(line, rate)
    t = np.arange(n) / rate
    speed = line.level_at(t)
    phase = 2.0 * np.pi * np.cumsum(speed * p["hz_per_turn"]) / rate
    harmonics = np.arange(1, 15)
    gains = harmonics ** -p["darkness"] * rng.uniform(0.6, 1.0, len(harmonics))
    tone = sum(g * np.sin(k * phase + d) for k, g, d in zip(harmonics, gains, rng.uniform(0, 6.28, 14), strict=True))
    turns = np.cumsum(speed) / rate
    beat = 1.0 - p["beat"] * (0.5 + 0.5 * np.cos(4.0 * np.pi * turns))
    chuff = _noise(rng, n, rate, _band(100.0, 900.0)) * beat**3
    return beat * tone + 0.25 * chuff


def bell(line: Timeline, p: Numbers, rng: np.random.Generator, rate: int) -> Samples:
    """A cast bell: hum, prime, tierce, quint, nominal and above, each dying at its own pace."""
    out = np.zeros(_length(line, rate))
    n = int(2.2 * rate)
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.51, 2.66, 3.01, 4.17]) * rng.uniform(0.99, 1.01, 9)
    gains = np.array([0.5, 0.7, 0.8, 0.4, 1.0, 0.5, 0.45, 0.4, 0.3])
    decays = p["decay_s"] / np.sqrt(ratios / 0.5)
    stroke = _modes(p["pitch_hz"] * ratios, decays, gains, n, rate)
    stroke[: int(0.01 * rate)] += 0.8 * _noise(rng, int(0.01 * rate), rate, _band(1500.0, 6000.0))
    for at, strength in zip(line.times_s, line.strengths, strict=True):
        _add(out, at, strength * stroke, rate)
    return _room(out, rng, rate, 0.25, 0.3)


def finish(dry: Samples, rng: np.random.Generator, rate: int, noise_db: float, peak: float) -> NDArray[np.float32]:
    """float32 samples with a peak of `peak` (0..1) over room noise of `noise_db` dBFS, faded in and out."""
    level = peak / max(float(np.abs(dry).max()), 1e-9)
    rms = float(np.sqrt(np.mean((level * dry) ** 2)))
    level *= min(1.0, 0.2 / max(rms, 1e-9))  # steady sounds would be far louder than single hits
    floor = _noise(rng, len(dry), rate, lambda f: 1.0 / np.sqrt(np.maximum(f, 60.0)))
    out = level * dry + 10.0 ** (noise_db / 20.0) * floor
    fade = min(int(0.015 * rate), len(out) // 2)
    out[:fade] *= np.linspace(0.0, 1.0, fade)
    out[-fade:] *= np.linspace(1.0, 0.0, fade)
    return np.clip(out, -0.99, 0.99).astype(np.float32)
