"""The sound features against slow plain versions, and what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation.extractors import registry
from curation.extractors import sound_layers as sl
from curation.media.decode import DecodedClip

RATE = sl.SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def front_end() -> sl.FrontEnd:
    return sl.FrontEnd()


def tone(hz: float, seconds: float = 2.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def noise(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def pulses(per_second: float, seconds: float = 4.0) -> np.ndarray:
    """Noise that is struck `per_second` times a second and dies away."""
    since = (np.arange(round(seconds * RATE)) / RATE) % (1 / per_second)
    return (noise(seconds) * np.exp(-20 * since)).astype(np.float32)


def slow_spectra(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrogram (T, 257) and mel energies (T, 64) in plain loops over frames and filters."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(samples.astype(np.float64), 256)
    power = []
    for start in range(0, len(padded) - 512 + 1, 160):
        frame = np.zeros(512)
        frame[56:456] = padded[start + 56 : start + 456] * window
        power.append(np.abs(np.fft.fft(frame)[:257]) ** 2)

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)

    def hertz(m: float) -> float:
        return m * 200 / 3 if m < 15 else 1000 * 6.4 ** ((m - 15) / 27)

    corners = [hertz(mel(50) + k * (mel(7600) - mel(50)) / 65) for k in range(66)]
    bank = np.zeros((257, 64))
    for band in range(64):
        low, mid, high = corners[band : band + 3]
        for k in range(257):
            hz = k * 8000 / 256
            bank[k, band] = max(0.0, min((hz - low) / (mid - low), (high - hz) / (high - mid)))
    return np.array(power), np.array(power) @ bank


def test_front_end_equals_the_slow_version(front_end: sl.FrontEnd) -> None:
    samples = noise(0.3) + tone(700, 0.3)
    samples /= np.abs(samples).max()
    power, mel = slow_spectra(samples)
    spectra = front_end.spectra(samples)
    scale = mel.sum(axis=1).max()
    np.testing.assert_allclose(spectra.power, power / scale, atol=1e-6)
    np.testing.assert_allclose(spectra.mel, mel / scale, atol=1e-6)
    np.testing.assert_allclose(spectra.energy, mel.sum(axis=1) / scale, atol=1e-5)


def test_mfcc_equals_the_cosine_sum(front_end: sl.FrontEnd) -> None:
    spectra = front_end.spectra(noise(0.5))
    n = np.arange(64)
    rows = [math.sqrt((1 if k == 0 else 2) / 64) * np.cos(np.pi * k * (n + 0.5) / 64) for k in range(20)]
    cepstra = spectra.log_mel @ np.array(rows).T
    expected = (cepstra * spectra.weight[:, None]).sum(axis=0)[1:]
    np.testing.assert_allclose(front_end.layers(noise(0.5), RATE)["mfcc"][:19], expected, atol=1e-3)


def test_shape_of_one_frame_by_hand(front_end: sl.FrontEnd) -> None:
    spectra = front_end.spectra(noise(0.4))
    vector = sl.spectral_shape(spectra)
    freqs = np.arange(257) * 31.25
    centroid, rolloff = [], []
    for frame in spectra.power:
        share = frame / frame.sum()
        centroid.append(math.log2((share * freqs).sum() + 50))
        reached, k = 0.0, 0
        while reached + share[k] < 0.85:
            reached += share[k]
            k += 1
        rolloff.append(k / 257)
    weight = np.sqrt(spectra.energy) / np.sqrt(spectra.energy).sum()
    assert vector[0] == pytest.approx(float(weight @ centroid), abs=1e-3)
    assert vector[3] == pytest.approx(float(weight @ rolloff), abs=2e-3)


def test_zero_crossings_count_sign_changes() -> None:
    samples = np.tile([1.0, -1.0], sl.HOP).astype(np.float32)
    np.testing.assert_allclose(sl.zero_crossings(samples, 3), [1.0, (sl.HOP - 1) / sl.HOP, 0.0])


@pytest.mark.parametrize("gain", [0.03, 0.5, 1.9])
def test_louder_or_softer_is_the_same_sound(front_end: sl.FrontEnd, gain: float) -> None:
    samples = 0.5 * pulses(3) + 0.1 * tone(500, 4.0)
    plain, changed = front_end.layers(samples, RATE), front_end.layers(np.float32(gain) * samples, RATE)
    for name in plain:
        np.testing.assert_allclose(changed[name], plain[name], atol=2e-2, err_msg=name)


def test_upside_down_is_the_same_sound(front_end: sl.FrontEnd) -> None:
    samples = pulses(3)
    plain, flipped = front_end.layers(samples, RATE), front_end.layers(-samples, RATE)
    for name in plain:
        np.testing.assert_allclose(flipped[name], plain[name], atol=1e-2, err_msg=name)


def test_silence_around_an_event_leaves_its_timbre(front_end: sl.FrontEnd) -> None:
    event = noise(1.0) * np.hanning(RATE).astype(np.float32)
    padded = np.pad(event, (RATE, 2 * RATE))
    plain, changed = front_end.layers(event, RATE), front_end.layers(padded, RATE)
    np.testing.assert_allclose(changed["logmel"], plain["logmel"], atol=0.05)
    # The balance and brightness means are weighted by loudness, so silence hardly counts.
    np.testing.assert_allclose(changed["shape"][:17], plain["shape"][:17], atol=0.1)


def test_a_tone_is_found_in_its_mel_band_and_at_its_centroid(front_end: sl.FrontEnd) -> None:
    low, high = front_end.layers(tone(300), RATE), front_end.layers(tone(4000), RATE)
    assert np.argmax(low["logmel"][:64]) < np.argmax(high["logmel"][:64])
    assert low["shape"][0] == pytest.approx(math.log2(350), abs=0.1)
    assert high["shape"][0] == pytest.approx(math.log2(4050), abs=0.1)


def test_noise_is_flatter_than_a_tone(front_end: sl.FrontEnd) -> None:
    assert front_end.layers(noise(), RATE)["shape"][4] > front_end.layers(tone(440), RATE)["shape"][4] + 1


@pytest.mark.parametrize("per_second", [2.5, 5.0, 7.0])
def test_modulation_peaks_at_the_rate_of_the_pulses(front_end: sl.FrontEnd, per_second: float) -> None:
    swell = (1 + np.sin(2 * np.pi * per_second * np.arange(4 * RATE) / RATE)).astype(np.float32)
    bands = front_end.layers(noise(4.0) * swell, RATE)["modulation"].reshape(-1, sl.N_GROUPS).mean(axis=1)
    strongest = int(np.argmax(bands))
    assert sl.MODULATION_EDGES_HZ[strongest] <= per_second < sl.MODULATION_EDGES_HZ[strongest + 1]


def test_modulation_sees_the_end_of_a_long_sound() -> None:
    mel = np.full((1000, sl.N_MELS), 0.01, np.float32)
    late = mel.copy()
    late[-60::10] = 1.0
    assert sl.modulation(late).max() > sl.modulation(mel).max() + 1


def test_onsets_a_second_are_counted(front_end: sl.FrontEnd) -> None:
    clicks = np.zeros(4 * RATE, np.float32)
    clicks[RATE // 4 :: RATE // 2] = 1.0
    assert front_end.layers(clicks, RATE)["rhythm"][15] == pytest.approx(2.0, abs=0.3)


def test_repetition_is_the_autocorrelation() -> None:
    track = np.sin(2 * np.pi * np.arange(400) / 20)
    expected = {0.1: -1.0, 0.2: 1.0, 0.4: 1.0}
    found = dict(zip(sl.AUTOCORRELATION_LAGS_S, sl.repetition(track)))
    for lag_s, value in expected.items():
        assert found[lag_s] == pytest.approx(value, abs=0.12)
    assert not sl.repetition(np.ones(400)).any()
    assert sl.repetition(track[:15])[3:].tolist() == [0.0] * 6


def test_another_sample_rate_gives_nearly_the_same(front_end: sl.FrontEnd) -> None:
    times = np.arange(2 * 32_000) / 32_000
    fast = sum(np.sin(2 * np.pi * hz * times) for hz in (300, 900, 2500)).astype(np.float32) / 3
    plain, resampled = front_end.layers(fast[::2].copy(), RATE), front_end.layers(fast, 32_000)
    assert np.abs(plain["logmel"] - resampled["logmel"]).mean() < 0.05


def test_silence_is_not_blown_up_to_noise(front_end: sl.FrontEnd) -> None:
    dither = np.random.default_rng(0).choice([-1 / 32768, 0, 1 / 32768], RATE).astype(np.float32)
    silent, dithered = front_end.spectra(np.zeros(RATE, np.float32)), front_end.spectra(dither)
    assert np.abs(dithered.samples).max() < 0.5
    assert not silent.energy.any() and silent.weight.sum() == pytest.approx(1.0)


def test_naming_the_layers_needs_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from curation.extractors import registry; "
        "[registry.get(n).fingerprint() for n in registry.names()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_extractor_resamples_what_was_decoded_at_another_rate() -> None:
    clip = DecodedClip(np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0), 8.0, tone(440, 1.0)[::2].copy(), 8000, 1.0)
    values, valid = registry.get("sound").extract([clip])
    assert valid.all() and np.isfinite(values["logmel"]).all()
