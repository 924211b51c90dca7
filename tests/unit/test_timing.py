"""Onset curves of hand-made clips, and their fit against planted offsets and a plain correlation."""

from __future__ import annotations

import numpy as np
import pytest

from curation.config import HealthConfig
from curation.extractors import registry
from curation.health.timing import FineTimingCheck, TimingCheck
from curation.kernels.timing import Curves, timing
from curation.media.decode import DecodedClip

RATE_HZ = 16_000
N = 32


def clicks(times_s: np.ndarray, seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = rng.normal(0, 0.01, round(seconds * RATE_HZ))
    for time_s in times_s:
        begin = round(time_s * RATE_HZ)
        tail = out[begin : begin + 1600]
        tail += rng.normal(0, 0.3, tail.size) * np.exp(-np.arange(tail.size) / 500)
    return out.clip(-1, 1).astype(np.float32)


def flashes(times_s: np.ndarray, seconds: float, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Frames at the middle of each interval, lit at each time, fading within 0.1 s."""
    at = (np.arange(round(seconds * rate_hz)) + 0.5) / rate_hz
    since_s = at[:, None] - times_s
    light = np.where(since_s >= 0, np.exp(-np.maximum(since_s, 0) / 0.1), 0).sum(axis=1)
    frames = np.full((at.size, 30, 40, 3), 60, np.uint8)
    frames[:, 8:20, 10:25] = (60 + 140 * light.clip(0, 1)).astype(np.uint8)[:, None, None, None]
    return frames, at


def measured(offset_s: np.ndarray, seconds: float = 10.0) -> dict[str, dict[str, np.ndarray]]:
    """Layers of clips with three flashes and clicks `offset_s` later."""
    found: dict[str, dict[str, np.ndarray]] = {}
    rng = np.random.default_rng(0)
    plans = [np.sort(rng.uniform(0.7, seconds - 0.7, 3)) for _ in offset_s]
    for name in ("sound-onsets", "picture-onsets", "picture-onsets-fine"):
        rate_hz = 25.0 if name.endswith("fine") else 8.0
        clips = [
            DecodedClip(*flashes(plan, seconds, rate_hz), rate_hz, clicks(plan + late, seconds, i), RATE_HZ, seconds)
            for i, (plan, late) in enumerate(zip(plans, offset_s))
        ]
        found[name] = registry.get(name).extract(clips).values
    return found


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    offset_s = np.random.default_rng(1).uniform(-0.45, 0.45, N)
    return offset_s, measured(offset_s)


class Made:
    """`Inputs` from layers."""

    def __init__(self, layers: dict[str, dict[str, np.ndarray]]) -> None:
        self.layers = layers
        self.n_clips = len(layers["sound-onsets"]["curve"])
        self.duration_s, self.source, self.video_index = np.full(self.n_clips, 10.0), *[np.arange(self.n_clips)] * 2

    def values(self, extractor: str, layer: str) -> np.ndarray:
        return self.layers[extractor][layer]

    def valid(self, extractor: str) -> np.ndarray:
        return np.ones(self.n_clips, bool)

    def note(self, text: str) -> None:
        raise AssertionError(text)


def test_planted_offsets_are_found(planted: tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]) -> None:
    offset_s, layers = planted
    found = TimingCheck().measure(Made(layers), HealthConfig())
    fine = FineTimingCheck().measure(Made(layers), HealthConfig())
    assert found["clear_event"].mean() > 0.9 and (fine["fine_percentile"] >= 95).mean() > 0.9
    assert np.nanmedian(np.abs(found["onset_offset_s"] - offset_s)) < 0.08
    assert np.nanmedian(np.abs(fine["fine_offset_s"] - offset_s)) < 0.04
    assert np.isnan(found["onset_offset_s"][~found["clear_event"]]).all()
    late = found["clear_event"] & (np.abs(found["onset_offset_s"]) >= 0.15)
    assert found["sound_off_time"].tolist() == late.tolist() and late.any()


def test_other_sounds_and_steady_sounds_have_no_clear_event(
    planted: tuple[np.ndarray, dict[str, dict[str, np.ndarray]]],
) -> None:
    _, layers = planted
    swapped = {**layers, "sound-onsets": {k: np.roll(v, 5, axis=0) for k, v in layers["sound-onsets"].items()}}
    found = TimingCheck().measure(Made(swapped), HealthConfig())
    assert found["clear_event"].mean() < 0.2
    hum = DecodedClip(*flashes(np.array([2.0, 5.0]), 10.0, 8.0), 8.0, np.full(160_000, 0.3, np.float32), RATE_HZ, 10.0)
    curve = registry.get("sound-onsets").extract([hum]).values["curve"]
    assert not curve[0, 8:-8].any()


def test_short_flat_and_unusable_clips_have_no_value(
    planted: tuple[np.ndarray, dict[str, dict[str, np.ndarray]]],
) -> None:
    short = measured(np.zeros(2), 3.5)
    fit = timing(Curves(**short["sound-onsets"]), Curves(**short["picture-onsets"]), np.ones(2, bool))
    assert all(np.isnan(part).all() for part in fit)
    _, layers = planted
    still = {**layers["picture-onsets"], "curve": layers["picture-onsets"]["curve"].copy()}
    still["curve"][0] = 0
    usable = np.arange(N) != 1
    fit = timing(Curves(**layers["sound-onsets"]), Curves(**still), usable)
    assert np.isnan(fit.strength).tolist() == [True, True] + [False] * (N - 2)
    assert all(
        part.shape == (0,) for part in timing(*[Curves(np.zeros((0, 8), np.uint8), np.zeros((0, 3)))] * 2, usable[:0])
    )


def plain_strength(heard: np.ndarray, motion: np.ndarray, first_s: float) -> float:
    """The best correlation within 0.5 s at 32 bins and 8 bins a second, written out."""
    triangle = [max(0.0, 1 - abs(d) / 4) for d in range(-4, 5)]
    smooth = [sum(w * heard[(i + d) % 320] for d, w in zip(range(-4, 5), triangle)) for i in range(320)]
    at = [int((first_s + k / 8) * 32) for k in range(len(motion))]
    return max(
        float(np.corrcoef(motion, [smooth[(place + lag) % 320] for place in at])[0, 1]) for lag in range(-16, 17)
    )


def test_strength_is_the_best_correlation(planted: tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]) -> None:
    _, layers = planted
    sound, motion = layers["sound-onsets"], layers["picture-onsets"]
    fit = timing(Curves(**sound), Curves(**motion), np.ones(N, bool))
    for row in range(0, N, 8):
        first_s, _, bins = motion["grid"][row]
        expected = plain_strength(sound["curve"][row].astype(float), motion["curve"][row, : int(bins)], float(first_s))
        assert fit.strength[row] == pytest.approx(expected, abs=1e-5)


def test_the_result_does_not_depend_on_the_run_and_follows_the_seed(
    planted: tuple[np.ndarray, dict[str, dict[str, np.ndarray]]],
) -> None:
    _, layers = planted
    curves = Curves(**layers["sound-onsets"]), Curves(**layers["picture-onsets"])
    first, again = (timing(*curves, np.ones(N, bool)) for _ in range(2))
    np.testing.assert_array_equal(np.stack(first), np.stack(again))
    other = timing(*curves, np.ones(N, bool), seed=1)
    np.testing.assert_array_equal(first.strength, other.strength)
