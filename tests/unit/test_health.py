"""Measures of health against slow plain versions and hand-made signals, and the checks that make columns of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy.signal import sosfilt

from curation.config import Config, HealthConfig
from curation.errors import SettingError
from curation.extractors.picture_motion import MOTION_NAMES, motion, steps
from curation.extractors.sound_character import CHARACTER_NAMES, character, pitch
from curation.extractors.sound_level import (
    LEVEL_NAMES,
    clipped_share,
    k_weighting,
    loudness_lufs,
    silent_share,
    weighted,
)
from curation.health import registry
from curation.health.scores import MUSIC, SPEECH, Score, score
from curation.health.streams import StreamsCheck
from curation.media.luma import block_means, luma
from curation.stages.health import chosen_checks, flags_of_rows, unhealthy_flags

RATE_HZ = 16_000


def sine(hz: float, seconds: float, amplitude: float = 0.5, rate_hz: int = RATE_HZ) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def numbers(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(CHARACTER_NAMES, character(samples, RATE_HZ).tolist()))


def moved(frames: np.ndarray, times_s: np.ndarray, rate_hz: float) -> np.ndarray:
    grey = luma(frames)
    return motion(grey, block_means(grey), times_s, rate_hz)


def moving(frames: np.ndarray, rate_hz: float = 8.0) -> dict[str, float]:
    times_s = (np.arange(len(frames)) + 0.5) / rate_hz
    return dict(zip(MOTION_NAMES, moved(frames, times_s, rate_hz).tolist()))


def scenes(*lengths: int) -> np.ndarray:
    """Frames of one random picture after another."""
    rng = np.random.default_rng(0)
    return np.concatenate([np.repeat(rng.integers(0, 256, (1, 48, 64, 3), dtype=np.uint8), n, axis=0) for n in lengths])


# -- sound ---------------------------------------------------------------------------------------------------------


def test_silence_is_the_time_of_quiet_windows() -> None:
    rng = np.random.default_rng(0)
    samples = 10 ** (rng.uniform(-80, -20, 35).repeat(740) / 20) * rng.choice([-1.0, 1.0], 35 * 740)
    quiet = 0
    for start in range(0, samples.size, 320):
        window = samples[start : start + 320]
        if 10 * np.log10(np.mean(window**2)) < -60:
            quiet += window.size
    assert 0.1 < quiet / samples.size < 0.9
    assert silent_share(samples.astype(np.float32), RATE_HZ) == pytest.approx(quiet / samples.size)
    assert silent_share(np.zeros(1, np.float32), RATE_HZ) == 1.0


def test_clipping_counts_samples_at_full_scale() -> None:
    samples = sine(100, 1.0, 0.9)
    assert clipped_share(samples) == 0.0
    samples[::50] = -1.0
    assert clipped_share(samples) == pytest.approx(0.02)


def test_the_loudness_filter_is_the_standards_at_48_khz() -> None:
    # ITU-R BS.1770-4, annex 1, tables 1 and 2.
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48_000), [shelf, high_pass], atol=1e-8)


@pytest.mark.parametrize("n", [1, 777, 16_000, 160_001])
def test_the_loudness_filter_equals_the_recursion(n: int) -> None:
    samples = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    expected = sosfilt(k_weighting(RATE_HZ), samples.astype(np.float64))
    np.testing.assert_allclose(weighted(samples, RATE_HZ), expected, atol=2e-5)


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_full_scale_sine_of_997_hz_is_3_lu_below_full_scale(rate_hz: int) -> None:
    # The standard's own check: 0 dBFS, 997 Hz, one front channel: -3.01 LKFS.
    assert loudness_lufs(sine(997, 3.0, 1.0, rate_hz), rate_hz) == pytest.approx(-3.01, abs=0.05)


def test_loudness_gates_pauses_and_follows_gain() -> None:
    tone = sine(997, 4.0, 0.1)
    with_pause = np.concatenate([tone, np.zeros(6 * RATE_HZ, np.float32)])
    assert loudness_lufs(with_pause, RATE_HZ) == pytest.approx(loudness_lufs(tone, RATE_HZ), abs=0.3)
    assert loudness_lufs(tone * 0.1, RATE_HZ) == pytest.approx(loudness_lufs(tone, RATE_HZ) - 20, abs=0.01)
    assert loudness_lufs(np.zeros(RATE_HZ, np.float32), RATE_HZ) == -90.0
    assert np.isfinite(loudness_lufs(sine(997, 0.1), RATE_HZ))


@pytest.mark.parametrize("hz", [90.0, 150.0, 220.0, 380.0])
def test_pitch_of_a_pulse_train(hz: float) -> None:
    voice = sum(sine(hz * k, 0.5, 0.1) for k in range(1, 8))
    frame = voice[:512] * np.hanning(513)[:-1]
    peak, found_hz = pitch(np.abs(np.fft.rfft(frame))[None] ** 2, np.fft.rfftfreq(512, 1 / RATE_HZ), RATE_HZ)
    assert found_hz[0] == pytest.approx(hz, rel=0.03) and peak[0] > 0.9


def test_noise_has_no_pitch_and_a_held_note_is_held() -> None:
    noise = numbers(np.random.default_rng(1).normal(0, 0.1, 3 * RATE_HZ).astype(np.float32))
    note = numbers(sum(sine(262.0 * k, 3.0, 0.1) for k in range(1, 5)))
    assert noise["harmonicity"] < 0.45 < 0.9 < note["harmonicity"]
    assert noise["held"] < 0.05 < 0.8 < note["held"]
    assert note["flux"] < 0.1 < noise["flux"]


def test_swell_and_pulse_follow_the_rate_of_the_loudness() -> None:
    rng = np.random.default_rng(2)
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    noise = rng.normal(0, 0.1, t.size)
    four, twelve = (noise * (1.05 + np.sin(2 * np.pi * hz * t)) for hz in (4, 12))
    assert numbers(four.astype(np.float32))["swell"] > 0.8 > 0.3 > numbers(twelve.astype(np.float32))["swell"]
    beat = noise * np.exp(-((t % 0.5) * 30))
    free = np.zeros_like(noise)
    for at in np.sort(rng.integers(0, t.size - 8000, 16)):
        free[at : at + 8000] += noise[:8000] * np.exp(-t[:8000] * 30)
    assert numbers(beat.astype(np.float32))["pulse"] > 0.6 > numbers(free.astype(np.float32))["pulse"]


def test_gain_and_sounds_above_4_khz_change_no_character() -> None:
    voice = sum(sine(140.0 * k, 2.0, 0.05) for k in range(1, 20)) * (1 + sine(4, 2.0, 0.9))
    plain = character(voice, RATE_HZ)
    np.testing.assert_allclose(character(0.25 * voice, RATE_HZ), plain, atol=1e-3)
    np.testing.assert_allclose(character(voice + sine(6000, 2.0, 0.05), RATE_HZ), plain, atol=0.02)
    assert not character(np.zeros(100, np.float32), RATE_HZ).any()


def test_scores_use_known_numbers_and_stay_in_0_to_1() -> None:
    for model in (SPEECH, MUSIC):
        assert model.weights and set(model.weights) <= set(CHARACTER_NAMES)
    found = score(Score(-1.0, {"b": 2.0}), np.array([[9.0, 0.5], [9.0, 1e6], [9.0, -1e6]]), ("a", "b"))
    np.testing.assert_allclose(found, [0.5, 1.0, 0.0], atol=1e-6)


# -- picture -------------------------------------------------------------------------------------------------------


def test_block_means_are_plain_means() -> None:
    grey = luma(np.random.default_rng(3).integers(0, 256, (3, 37, 50, 3), dtype=np.uint8))
    means = block_means(grey)
    side = 3
    assert means.shape == (3, 13, 17)
    for row, column in ((0, 0), (5, 9), (12, 16)):
        block = grey[1, row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert means[1, row, column] == pytest.approx(block.mean())


def test_still_slides_and_motion() -> None:
    still, slides = moving(scenes(40)), moving(scenes(12, 15, 20))
    assert (still["still_share"], still["changes"]) == (1.0, 0.0)
    assert (slides["changes"], slides["step_share"]) == (2.0, 1.0)
    assert slides["still_share"] == pytest.approx(1 - 2 / 46)
    restless = moving(scenes(*[1] * 40))
    assert (restless["still_share"], restless["step_share"]) == (0.0, 0.0)


def test_a_small_moving_part_is_no_stillness_and_faint_noise_is() -> None:
    frames = scenes(40).copy()
    noise = np.random.default_rng(4).normal(0, 1, frames.shape)
    assert moving(np.clip(frames + noise, 0, 255).astype(np.uint8))["still_share"] > 0.95
    for k in range(40):
        frames[k, 20:24, 20:24] = 6 * k
    assert moving(frames)["still_share"] < 0.05


def test_steps_are_short_runs_of_change() -> None:
    change = np.array([1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1], bool)
    assert steps(change).tolist() == [True, False, True, True, False, False, False, False, False, False, True]
    assert steps(np.zeros(0, bool)).shape == (0,)


def test_black_frames_and_times() -> None:
    frames = scenes(16).copy()
    frames[4:] = 12
    frames[4:, 0, 0] = 255  # one bright pixel of many is still black
    found = dict(zip(MOTION_NAMES, moved(frames, 1.0 + (np.arange(16) + 0.5) / 8, 8.0).tolist()))
    assert found["black_share"] == pytest.approx(0.75)
    assert (found["picture_start_s"], found["picture_end_s"]) == (1.0, 3.0)
    assert moving(scenes(1))["still_share"] == 1.0


# -- checks --------------------------------------------------------------------------------------------------------


@dataclass
class MadeInputs:
    """Measures of two clips, by hand."""

    layers: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    n_clips: int = 2
    duration_s: np.ndarray = field(default_factory=lambda: np.full(2, 4.0))
    source: np.ndarray = field(default_factory=lambda: np.arange(2))
    video_index: np.ndarray = field(default_factory=lambda: np.arange(2))

    def values(self, extractor: str, layer: str) -> np.ndarray:
        return self.layers[f"{extractor}/{layer}"]

    def valid(self, extractor: str) -> np.ndarray:
        return self.present[extractor]


def made_inputs() -> MadeInputs:
    """Clip 0: silent, black, still, its sound a second short. Clip 1: a loud sound and no picture."""
    level = np.zeros((2, len(LEVEL_NAMES)), np.float32)
    level[:, LEVEL_NAMES.index("silent_share")] = [1.0, 0.1]
    level[:, LEVEL_NAMES.index("clipped_share")] = [0.0, 0.2]
    level[:, LEVEL_NAMES.index("loudness_lufs")] = [-90.0, -12.0]
    level[:, LEVEL_NAMES.index("sound_s")] = [3.0, 4.0]
    seen = np.zeros((2, len(MOTION_NAMES)), np.float32)
    seen[0, MOTION_NAMES.index("black_share")] = 1.0
    seen[0, MOTION_NAMES.index("still_share")] = 1.0
    seen[0, MOTION_NAMES.index("picture_end_s")] = 4.0
    heard = np.zeros((2, len(CHARACTER_NAMES)), np.float32)
    layers = {"sound-health/level": level, "sound-health/character": heard, "picture-health/motion": seen}
    return MadeInputs(layers, {"sound-health": np.ones(2, bool), "picture-health": np.array([True, False])})


def test_checks_give_their_columns_and_what_is_missing_is_no_fault() -> None:
    found: dict[str, np.ndarray] = {}
    for check in registry.CHECKS:
        if not {"sound-health", "picture-health"}.issuperset(check.needs):
            continue
        values = check.measure(made_inputs(), HealthConfig())
        assert set(values) == {column.name for column in check.columns}
        for column in check.columns:
            assert values[column.name].shape == (2,)
            assert values[column.name].dtype == (bool if column.flag else np.float32), column.name
        found |= values
    flags = {name: values.tolist() for name, values in found.items() if values.dtype == bool}
    assert {name for name, values in flags.items() if values[0]} == {
        "silent", "quiet", "black", "static", "length_mismatch",
    }  # fmt: skip
    assert {name for name, values in flags.items() if values[1]} == {"missing_stream", "clipped"}
    assert np.isnan(found["loudness_lufs"][0]) and np.isnan(found["black_share"][1])
    assert found["speech_score"].tolist() == [0.0, 0.0]


def test_thresholds_are_settings() -> None:
    assert StreamsCheck().measure(made_inputs(), HealthConfig())["length_mismatch"].tolist() == [True, False]
    patient = HealthConfig(length_gap_s=1.5)
    assert StreamsCheck().measure(made_inputs(), patient)["length_mismatch"].tolist() == [False, False]


def test_columns_are_described_once_each_and_name_their_settings() -> None:
    names = [column.name for column in registry.columns()]
    assert len(set(names)) == len(names)
    for column in registry.columns():
        assert column.definition.endswith(".") and column.error
        if column.threshold:
            section, _, key = column.threshold.partition(".")
            assert column.flag and hasattr(getattr(Config(), section), key)


def test_flags_of_rows_keep_the_order_given() -> None:
    flags = {"b": np.array([True, False, True]), "a": np.array([True, False, False])}
    assert flags_of_rows(flags, 3) == [["b", "a"], [], ["b"]]


def test_unknown_flags_and_left_out_checks_are_named() -> None:
    with pytest.raises(SettingError, match="nonsense"):
        unhealthy_flags(Config().replace({"health.unhealthy": "black,nonsense"}))
    chosen, left_out = chosen_checks(Config().replace({"features.measures": "picture-health"}))
    assert [check.name for check in chosen] == ["picture"] and {"sound", "streams"} <= {c.name for c in left_out}
