"""What every extractor must hold to, whatever it measures. A new one joins by being in the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from curation.errors import SettingError
from curation.extractors import registry, slowfast_frontend
from curation.extractors.base import Extractor
from curation.media.decode import DecodedClip
from tests.checkpointmaker import write_slowfast, write_vggish

NO_FRAMES = np.zeros((0, 0, 0, 3), np.uint8)
NO_AUDIO = np.zeros(0, np.float32)


def make_clip(frames: np.ndarray, audio: np.ndarray, rate_hz: float = 8.0) -> DecodedClip:
    times_s = (np.arange(len(frames)) + 0.5) / rate_hz
    duration_s = max(len(frames) / rate_hz, len(audio) / 16_000)
    return DecodedClip(frames, times_s, rate_hz, audio, 16_000, duration_s)


def random_clip(seed: int, n_frames: int = 10, seconds: float = 1.2, size: tuple[int, int] = (112, 150)) -> DecodedClip:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(seconds * 16_000)).astype(np.float32)
    tone = np.sin(np.arange(len(noise)) * rng.uniform(0.05, 1.0)).astype(np.float32)
    blocks = rng.integers(0, 256, (n_frames, 7, 9, 3), dtype=np.uint8)
    frames = np.repeat(np.repeat(blocks, -(-size[0] // 7), axis=1), -(-size[1] // 9), axis=2)
    return make_clip(np.ascontiguousarray(frames[:, : size[0], : size[1]]), 0.1 * noise + 0.4 * tone)


def even(n_frames: int, value: int, size: tuple[int, int] = (112, 150)) -> np.ndarray:
    return np.full((n_frames, *size, 3), value, np.uint8)


def sparse(value: float, n: int = 16_000) -> np.ndarray:
    samples = np.zeros(n, np.float32)
    samples[n // 2] = value
    return samples


HARD_CLIPS = {
    "one frame, 0.2 s": random_clip(1, 1, 0.2),
    "two frames, one sample": random_clip(2, 2, 1 / 16_000),
    "ten seconds": random_clip(3, 80, 10.0, (60, 80)),
    "twenty seconds": random_clip(4, 80, 20.0, (60, 80)),
    "black and silent": make_clip(even(16, 0), np.zeros(32_000, np.float32)),
    "white and constant": make_clip(even(16, 255), np.ones(32_000, np.float32)),
    "click": make_clip(even(3, 128), sparse(1.0)),
    "dither": make_clip(even(3, 1), np.random.default_rng(0).choice([0, 1 / 32768], 16_000).astype(np.float32)),
    "rumble below every band": make_clip(
        even(3, 9), np.sin(2 * np.pi * 10 * np.arange(32_000) / 16_000).astype(np.float32)
    ),
    "not finite": make_clip(even(3, 9), np.array([np.nan, np.inf, -np.inf, 0.5] * 800, np.float32)),
    "far over full scale": make_clip(even(3, 9), sparse(1e30)),
    "one pixel": make_clip(even(5, 77, (1, 1)), sparse(0.1)),
    "thin strip": make_clip(even(5, 77, (8, 32)), sparse(0.1)),
}


@pytest.fixture(scope="module")
def made_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Checkpoints of random numbers where torch keeps downloads, so that pretrained extractors run here.

    SlowFast sees small pictures: what is held to here does not depend on their size.
    """
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    write_vggish(folder)
    write_slowfast(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        patch.setattr(slowfast_frontend, "SIZE", 32)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(params=registry.names(), scope="module")
def extractor(request: pytest.FixtureRequest, made_weights: None) -> Extractor:
    made = registry.get(request.param)
    state = made.available()
    if not state.ready:
        assert state.missing, "an extractor that cannot run must say what is missing"
        pytest.skip(state.missing)
    return made


def test_declaration_is_whole(extractor: Extractor) -> None:
    names = [layer.name for layer in extractor.layers]
    assert extractor.name in registry.names() and extractor.version >= 1 and extractor.batch_size >= 1
    assert extractor.modality in ("audio", "visual") and extractor.kind in ("features", "measures")
    assert {layer.dtype for layer in extractor.layers} <= {"float16", "float32", "uint8"}
    assert extractor.kind == "measures" or {layer.dtype for layer in extractor.layers} == {"float16"}
    assert len(set(names)) == len(names) > 0 and all(name.isidentifier() for name in names)
    assert set(extractor.descriptions) == set(names)
    for name in names:
        assert extractor.describe(name).endswith(".")


def test_unknown_layer_is_refused_with_the_known_ones(extractor: Extractor) -> None:
    with pytest.raises(SettingError, match=extractor.layers[0].name):
        extractor.describe("nonsense")


def test_fingerprint_is_json_and_says_what_counts(extractor: Extractor) -> None:
    fingerprint = extractor.fingerprint()
    assert json.loads(json.dumps(fingerprint)) == fingerprint
    assert fingerprint["name"] == extractor.name and fingerprint["version"] == extractor.version
    assert {"settings", "weights", "layers", "input"} <= set(fingerprint)
    assert registry.get(extractor.name).fingerprint() == fingerprint


def test_the_device_is_not_in_the_fingerprint(extractor: Extractor) -> None:
    elsewhere = registry.get(extractor.name, device="cuda")
    assert elsewhere.device == "cuda" and elsewhere.fingerprint() == extractor.fingerprint()


@pytest.mark.parametrize("kind", HARD_CLIPS)
def test_hard_clips_give_finite_numbers_in_the_declared_form(extractor: Extractor, kind: str) -> None:
    values, valid = extractor.extract([HARD_CLIPS[kind]])
    assert valid.dtype == bool and valid.tolist() == [True]
    assert set(values) == {layer.name for layer in extractor.layers}
    for layer in extractor.layers:
        assert values[layer.name].dtype == layer.value_dtype and values[layer.name].shape == (1, layer.dim)
        assert np.isfinite(values[layer.name]).all(), layer.name
        if layer.dtype == "float16":
            # Small enough for float16 with room to add up squares, large enough not to vanish in it.
            assert np.abs(values[layer.name]).max() < 200, layer.name


def test_a_missing_modality_is_zeros_and_not_valid(extractor: Extractor) -> None:
    whole = random_clip(5)
    without = make_clip(NO_FRAMES, whole.audio) if extractor.modality == "visual" else make_clip(whole.frames, NO_AUDIO)
    values, valid = extractor.extract([without, whole, without])
    assert valid.tolist() == [False, True, False]
    for layer in extractor.layers:
        assert not values[layer.name][[0, 2]].any() and values[layer.name][1].any()


def test_only_its_own_modality_counts(extractor: Extractor) -> None:
    whole, other = random_clip(6), random_clip(7)
    mixed = replace(whole, frames=other.frames) if extractor.modality == "audio" else replace(whole, audio=other.audio)
    a, b = extractor.extract([whole]).values, extractor.extract([mixed]).values
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_no_clips_give_empty_matrices(extractor: Extractor) -> None:
    values, valid = extractor.extract([])
    assert valid.shape == (0,)
    assert {name: array.shape for name, array in values.items()} == {
        layer.name: (0, layer.dim) for layer in extractor.layers
    }


def test_the_batch_changes_no_number(extractor: Extractor) -> None:
    clips = [random_clip(seed, n_frames=3 + seed, seconds=0.3 + 0.2 * seed) for seed in range(5)]
    together = extractor.extract(clips).values
    backwards = extractor.extract(clips[::-1]).values
    for i, clip in enumerate(clips):
        alone = extractor.extract([clip]).values
        for name in together:
            np.testing.assert_array_equal(together[name][i], alone[name][0])
            np.testing.assert_array_equal(together[name][i], backwards[name][len(clips) - 1 - i])


def test_a_new_one_gives_the_same_numbers_and_inputs_stay_as_they_were(extractor: Extractor) -> None:
    clip = random_clip(8)
    frames, audio = clip.frames.copy(), clip.audio.copy()
    first = extractor.extract([clip]).values
    second = registry.get(extractor.name).extract([clip]).values
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert np.array_equal(clip.frames, frames) and np.array_equal(clip.audio, audio)


def test_read_only_input_is_accepted(extractor: Extractor) -> None:
    clip = random_clip(9)
    clip.frames.setflags(write=False)
    clip.audio.setflags(write=False)
    assert extractor.extract([clip]).valid.all()


def test_different_clips_differ_in_every_layer(extractor: Extractor) -> None:
    values = extractor.extract([random_clip(10), random_clip(11)]).values
    differ = {name: np.abs(a[0].astype(np.float64) - a[1]).max() > 1e-3 for name, a in values.items()}
    # A layer of measures may say something that clips of one length share, such as when its bins lie.
    assert any(differ.values()) if extractor.kind == "measures" else all(differ.values()), differ


def test_float16_keeps_the_numbers(extractor: Extractor) -> None:
    values = extractor.extract([random_clip(12)]).values
    for name in [layer.name for layer in extractor.layers if layer.dtype == "float16"]:
        assert np.abs(values[name] - values[name].astype(np.float16)).max() < 0.02, name
