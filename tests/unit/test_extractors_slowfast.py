"""SlowFast: the front end and the network against slow plain versions, its file by the published names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from curation.errors import InputError
from curation.extractors import registry
from curation.extractors import slowfast_frontend as fe
from curation.extractors.slowfast_net import Residual, SlowFast
from curation.media.decode import DecodedClip
from tests.checkpointmaker import SLOWFAST_FILE, slowfast_shapes, tensors, write_slowfast

DIMS = [88, 352, 704, 1408, 2304]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the workers; several threads on a busy machine wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def frames_of(n: int, size: tuple[int, int] = (256, 300), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def clip_of(frames: np.ndarray) -> DecodedClip:
    return DecodedClip(frames, np.arange(len(frames)) / 15, 15.0, np.zeros(0, np.float32), 16_000, len(frames) / 15)


def test_the_slow_pathway_sees_the_published_frames() -> None:
    # linspace(0, 31, 8), cut to whole numbers.
    assert fe.spread(32, 8).tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert fe.spread(32, 32).tolist() == list(range(32))
    assert fe.spread(1, 4).tolist() == [0, 0, 0, 0] and fe.spread(3, 1).tolist() == [0]


def test_a_window_is_the_normalised_centre() -> None:
    frames = frames_of(32, (256, 301))
    (window,) = fe.windows(frames)
    assert window.shape == (3, 32, 256, 256) and window.dtype == np.float32
    for channel, time, row, column in ((0, 0, 0, 0), (2, 31, 255, 255), (1, 7, 100, 3)):
        value = frames[time, row, column + 22, channel]
        assert window[channel, time, row, column] == pytest.approx((value / 255 - 0.45) / 0.225, abs=1e-5)


def test_few_frames_are_repeated_and_many_give_several_windows() -> None:
    frames = frames_of(2, (8, 8))
    (window,) = fe.windows(frames)
    assert np.array_equal(window[:, 0], window[:, 30]) and not np.array_equal(window[:, 0], window[:, 31])
    assert fe.windows(frames_of(33, (4, 4))).shape[0] == 2


def test_resizing_is_bilinear_between_pixel_centres() -> None:
    frames = frames_of(1, (100, 140))
    resized = fe.squares(frames)[0]
    width = 140 * 256 // 100
    left = (width - 256) // 2
    for row, column in ((0, 0), (17, 200), (255, 255), (128, 64)):
        y, x = ((row + 0.5) * 100 / 256 - 0.5, (column + left + 0.5) * 140 / width - 0.5)
        y, x = max(y, 0.0), max(x, 0.0)
        top, west = int(y), int(x)
        bottom, east = min(top + 1, 99), min(west + 1, 139)
        a, b = y - top, x - west
        corners = [frames[0, i, j].astype(float) for i in (top, bottom) for j in (west, east)]
        wanted = (corners[0] * (1 - b) + corners[1] * b) * (1 - a) + (corners[2] * (1 - b) + corners[3] * b) * a
        np.testing.assert_allclose(resized[row, column], wanted, atol=0.02)


def test_the_network_has_the_published_parameters() -> None:
    with torch.device("meta"):
        made = {key: tuple(value.shape) for key, value in SlowFast().state_dict().items()}
    head = {"blocks.6.proj.weight", "blocks.6.proj.bias"}
    assert made == {key: shape for key, shape in slowfast_shapes().items() if key not in head}


def slow_convolution(x: np.ndarray, weight: np.ndarray, stride: tuple[int, int, int]) -> np.ndarray:
    """(C, T, H, W) and (O, C, t, h, w), padded to keep the shape, as a sum over the kernel's places."""
    kernel = weight.shape[2:]
    padded = np.pad(x, ((0, 0), *((k // 2, k // 2) for k in kernel)))
    shape = [(n + 2 * (k // 2) - k) // s + 1 for n, k, s in zip(x.shape[1:], kernel, stride)]
    out = np.zeros((weight.shape[0], *shape))
    for place in np.ndindex(*kernel):
        part = padded[:, *(slice(p, p + s * (n - 1) + 1, s) for p, n, s in zip(place, shape, stride))]
        out += np.einsum("oc,cthw->othw", weight[:, :, *place], part)
    return out


def slow_norm(x: np.ndarray, state: dict[str, np.ndarray], name: str) -> np.ndarray:
    mean, var, scale, shift = (
        state[f"{name}.{key}"][:, None, None, None] for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def slow_pool(x: np.ndarray) -> np.ndarray:
    """3 x 3 maximum with stride 2, padded by one."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2
    parts = [padded[:, :, i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2] for i in range(3) for j in range(3)]
    return np.maximum.reduce(parts)


def slow_residual(x: np.ndarray, state: dict[str, np.ndarray], name: str, stride: int) -> np.ndarray:
    inner = x
    for letter, step in (("a", 1), ("b", stride), ("c", 1)):
        inner = slow_convolution(inner, state[f"{name}.branch2.conv_{letter}.weight"], (1, step, step))
        inner = slow_norm(inner, state, f"{name}.branch2.norm_{letter}")
        inner = inner if letter == "c" else np.maximum(inner, 0)
    if f"{name}.branch1_conv.weight" in state:
        x = slow_convolution(x, state[f"{name}.branch1_conv.weight"], (1, stride, stride))
        x = slow_norm(x, state, f"{name}.branch1_norm")
    return np.maximum(inner + x, 0)


def slow_pass(state: dict[str, np.ndarray], window: np.ndarray) -> list[np.ndarray]:
    """The whole network by the table of its paper (Table 1) and the fusion of section 3.4, in NumPy."""
    n_frames = window.shape[1]
    paths = [window[:, [int(i * (n_frames - 1) / (n_frames // 4 - 1)) for i in range(n_frames // 4)]], window]
    pooled = []
    for block in range(5):
        for p in (0, 1):
            name = f"blocks.{block}.multipathway_blocks.{p}"
            if block == 0:
                x = slow_convolution(paths[p], state[f"{name}.conv.weight"], (1, 2, 2))
                paths[p] = slow_pool(np.maximum(slow_norm(x, state, f"{name}.norm"), 0))
                continue
            i = 0
            while f"{name}.res_blocks.{i}.branch2.conv_a.weight" in state:
                stride = 2 if block > 1 and i == 0 else 1
                paths[p] = slow_residual(paths[p], state, f"{name}.res_blocks.{i}", stride)
                i += 1
        fusion = f"blocks.{block}.multipathway_fusion"
        if block < 4:
            x = slow_convolution(paths[1], state[f"{fusion}.conv_fast_to_slow.weight"], (4, 1, 1))
            paths[0] = np.concatenate([paths[0], np.maximum(slow_norm(x, state, f"{fusion}.norm"), 0)])
        pooled.append(np.concatenate([x.mean(axis=(1, 2, 3)) for x in paths]))
    return pooled


def test_numbers_are_those_of_the_slow_version() -> None:
    # One block a stage and a small picture, or the plain version would take minutes; all widths are the real ones.
    network = SlowFast(depths=(1, 1, 1, 1)).eval()
    made = tensors({key: tuple(value.shape) for key, value in network.state_dict().items()}, seed=3)
    network.load_state_dict(made)
    window = torch.randn(1, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    wanted = slow_pass({key: value.double().numpy() for key, value in made.items()}, window[0].double().numpy())
    with torch.inference_mode():
        found = [values[0].numpy() for values in network(window)]
    assert [len(values) for values in found] == DIMS
    for values, plain in zip(found, wanted):
        np.testing.assert_allclose(values, plain, atol=1e-4, rtol=1e-3)
        assert plain.std() > 0.01


def test_a_block_without_a_change_of_shape_keeps_its_input_beside() -> None:
    block = Residual(8, 2, 8, 3, 1).eval()
    made = tensors({key: tuple(value.shape) for key, value in block.state_dict().items()})
    block.load_state_dict(made)
    x = torch.randn(1, 8, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    state = {f"r.{key}": value.double().numpy() for key, value in made.items()}
    with torch.inference_mode():
        found = block(x.clone())[0].numpy()
    np.testing.assert_allclose(found, slow_residual(x[0].double().numpy(), state, "r", 1), atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("weights")
    write_slowfast(made)
    return made


def test_the_published_file_loads_and_a_full_window_gives_five_layers(folder: Path) -> None:
    extractor = registry.get("slowfast", weights_folder=str(folder), fetch=False)
    values, valid = extractor.extract([clip_of(frames_of(20))])
    assert valid.tolist() == [True]
    assert [values[layer.name].shape for layer in extractor.layers] == [(1, dim) for dim in DIMS]
    assert all(np.isfinite(array).all() and array.std() > 0.01 for array in values.values())
    assert len(extractor.fingerprint()["weights"]["sha256"]) == 64


def test_the_batch_changes_numbers_by_less_than_a_thousandth(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fe, "SIZE", 32)
    extractor = registry.get("slowfast-dense", weights_folder=str(folder), fetch=False)
    clips = [clip_of(frames_of(n, (32, 32), n)) for n in (5, 40)]
    alone = extractor.extract(clips).values
    extractor.joins_clips = True  # type: ignore[attr-defined]
    joined = extractor.extract(clips).values
    for name, values in alone.items():
        np.testing.assert_allclose(joined[name], values, atol=1e-3 * np.abs(values).max())


def test_another_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    shapes = {**slowfast_shapes(), "blocks.0.multipathway_fusion.conv_fast_to_slow.weight": (16, 8, 5, 1, 1)}
    del shapes["blocks.4.multipathway_blocks.1.res_blocks.2.branch2.norm_c.bias"]
    torch.save({"model_state": {key: torch.zeros(shape) for key, shape in shapes.items()}}, tmp_path / SLOWFAST_FILE)
    extractor = registry.get("slowfast", weights_folder=str(tmp_path), fetch=False)
    with pytest.raises(InputError) as caught:
        extractor.extract([clip_of(frames_of(1, (8, 8)))])
    for word in ("norm_c.bias", "(16, 8, 5, 1, 1) and should be (16, 8, 7, 1, 1)", SLOWFAST_FILE):
        assert word in str(caught.value)
