"""VGGish: the front end and the network against slow plain versions, its file by the published names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.errors import InputError
from curation.extractors import registry
from curation.extractors import vggish_frontend as fe
from curation.extractors.base import Extractor
from curation.extractors.vggish_net import VGGish
from curation.media.decode import DecodedClip
from tests.checkpointmaker import VGGISH_FILE, tensors, vggish_shapes, write_vggish


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the workers; several threads on a busy machine wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * 16_000))
    return (0.3 * np.sin(t * rng.uniform(0.1, 0.6)) + 0.05 * rng.standard_normal(len(t))).astype(np.float32)


def clip_of(samples: np.ndarray) -> DecodedClip:
    return DecodedClip(np.zeros((0, 0, 0, 3), np.uint8), np.zeros(0), 8.0, samples, 16_000, len(samples) / 16_000)


def slow_log_mel(samples: np.ndarray) -> list[list[float]]:
    """The published front end, written as loops over frames, bins and bands."""

    def mel(hz: float) -> float:
        return 1127.0 * math.log(1.0 + hz / 700.0)

    edges = [mel(125.0) + i * (mel(7500.0) - mel(125.0)) / 65 for i in range(66)]
    rows = []
    for start in range(0, len(samples) - 400 + 1, 160):
        window = [samples[start + i] * (0.5 - 0.5 * math.cos(2 * math.pi * i / 400)) for i in range(400)]
        # The transform by its definition.
        turns = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
        magnitudes = np.abs(turns @ np.array(window))
        row = []
        for band in range(64):
            low, centre, high = edges[band : band + 3]
            total = 0.0
            for k in range(1, 257):
                at = mel(k * 8000 / 256)
                total += magnitudes[k] * max(0.0, min((at - low) / (centre - low), (high - at) / (high - centre)))
            row.append(math.log(total + 0.01))
        rows.append(row)
    return rows


def test_log_mel_is_the_published_one() -> None:
    samples = sound(0.06).astype(np.float64)
    np.testing.assert_allclose(fe.log_mel(samples), slow_log_mel(samples), atol=1e-9)


@pytest.mark.parametrize(
    ("n_samples", "n_patches"), [(1, 1), (15_599, 1), (15_600, 1), (30_959, 1), (30_960, 2), (160_000, 10)]
)
def test_patches_are_of_096_s_without_overlap(n_samples: int, n_patches: int) -> None:
    samples = sound(10.0)[:n_samples]
    patches = fe.patches(samples)
    assert patches.shape == (n_patches, 96, 64) and patches.dtype == np.float32
    if n_samples >= fe.PATCH_SAMPLES:
        whole = fe.log_mel(samples.astype(np.float64))
        np.testing.assert_allclose(patches.reshape(-1, 64), whole[: 96 * n_patches], atol=1e-5)


def test_silence_is_the_log_of_the_offset() -> None:
    np.testing.assert_allclose(fe.patches(np.zeros(16_000, np.float32)), math.log(0.01), atol=1e-6)


def slow_pass(state: dict[str, torch.Tensor], patch: np.ndarray) -> list[np.ndarray]:
    """The network on one patch in NumPy: convolution as a sum over its nine taps, pooling as a maximum of four."""
    x, pooled = patch[None].astype(np.float64), []
    for places in ((0,), (3,), (6, 8), (11, 13)):
        for place in places:
            weight, bias = (state[f"features.{place}.{key}"].double().numpy() for key in ("weight", "bias"))
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            height, width = x.shape[1:]
            taps = [(i, j, padded[:, i : i + height, j : j + width]) for i in range(3) for j in range(3)]
            x = sum(np.einsum("oc,chw->ohw", weight[:, :, i, j], part) for i, j, part in taps) + bias[:, None, None]
            x = np.maximum(x, 0)
        x = np.maximum.reduce([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
        pooled.append(x.mean(axis=(1, 2)))
    flat = x.transpose(1, 2, 0).ravel()
    for place in (0, 2, 4):
        weight, bias = (state[f"embeddings.{place}.{key}"].double().numpy() for key in ("weight", "bias"))
        flat = np.maximum(weight @ flat + bias, 0)
    return [*pooled, flat]


def test_the_network_has_the_published_parameters() -> None:
    assert {key: tuple(value.shape) for key, value in _empty().state_dict().items()} == vggish_shapes()
    assert sum(value.numel() for value in _empty().parameters()) == 72_141_184


def _empty() -> VGGish:
    with torch.device("meta"):
        return VGGish()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    write_vggish(made)
    return made


@pytest.fixture(scope="module")
def vggish(folder: Path) -> Extractor:
    return registry.get("vggish", weights_folder=str(folder), fetch=False)


def test_numbers_are_those_of_the_slow_version(vggish: Extractor, folder: Path) -> None:
    samples = sound(1.95)
    state = torch.load(folder / VGGISH_FILE, weights_only=True)
    wanted = [slow_pass(state, patch) for patch in fe.patches(samples)]
    values, valid = vggish.extract([clip_of(samples)])
    assert valid.tolist() == [True]
    for i, layer in enumerate(vggish.layers):
        mean = np.mean([layers[i] for layers in wanted], axis=0)
        np.testing.assert_allclose(values[layer.name][0], mean, atol=2e-4, rtol=1e-4)
        assert mean.std() > 0.01, "a layer that says nothing would pass any comparison"


def test_the_batch_changes_numbers_by_less_than_a_thousandth(folder: Path) -> None:
    clips = [clip_of(sound(1.0 + 0.7 * i, i)) for i in range(4)]
    extractor = registry.get("vggish", weights_folder=str(folder), fetch=False)
    alone = extractor.extract(clips).values
    extractor.joins_clips, type(extractor).windows_per_call = True, 3  # type: ignore[attr-defined]
    try:
        joined = extractor.extract(clips).values
    finally:
        type(extractor).windows_per_call = 64  # type: ignore[attr-defined]
    for name, values in alone.items():
        np.testing.assert_allclose(joined[name], values, atol=1e-3 * np.abs(values).max())


def test_the_fingerprint_holds_revision_and_hash_of_the_file(vggish: Extractor, folder: Path) -> None:
    said = vggish.fingerprint()["weights"]
    assert said["revision"] == "torchvggish-v0.1" and len(said["sha256"]) == 64
    assert registry.get("vggish").fingerprint()["weights"] != said


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    shapes = {"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)}
    torch.save(tensors(shapes), tmp_path / VGGISH_FILE)
    extractor = registry.get("vggish", weights_folder=str(tmp_path), fetch=False)
    with pytest.raises(
        InputError, match=r"missing: features\.3\.weight.*\(64, 3, 3, 3\) and should be \(64, 1, 3, 3\)"
    ):
        extractor.extract([clip_of(sound(1.0))])
