"""The picture features on hand-made pictures, against slow plain versions, and what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation.extractors import picture_layers as pl
from curation.extractors.randconv import SHAPES, RandomConvolutions, random_filters
from curation.media.luma import luma

SIZE = pl.GREY_SIZE
NOTED_FILTER = (-0.137847, 0.116636, 0.168647)


@pytest.fixture(scope="module")
def front_end() -> pl.FrontEnd:
    return pl.FrontEnd(7)


def ramp(degrees: float) -> np.ndarray:
    """(1, SIZE, SIZE): brightness rises steadily towards `degrees` (0: to the right, 90: downwards)."""
    down, across = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    angle = math.radians(degrees)
    return (0.5 + 0.5 * (across * math.cos(angle) + down * math.sin(angle)))[None].astype(np.float32)


def scene(seed: int, n_frames: int = 8) -> np.ndarray:
    """uint8 (n_frames, 96, 120, 3) with coarse structure, the same in each frame."""
    blocks = np.random.default_rng(seed).integers(30, 220, (1, 8, 10, 3))
    picture = np.repeat(np.repeat(blocks, 12, axis=1), 12, axis=2).astype(np.uint8)
    return np.repeat(picture, n_frames, axis=0)


@pytest.mark.parametrize("degrees", [0, 20, 60, 100, 160, 180, 240])
def test_an_edge_goes_to_its_bin(degrees: int) -> None:
    cells = pl.oriented_gradients(ramp(degrees))[0, 1:3, 1:3].mean(axis=(0, 1))
    bin_of = degrees % 180 / 20
    assert cells.shape == (pl.N_ANGLES,)
    assert np.argmax(cells) == round(bin_of) % pl.N_ANGLES
    # A faint ramp is held down by the normalization; what counts is that no other bin has a share.
    assert cells.max() > 0.4 and np.sort(cells)[-2] < 0.05 * cells.max()


def test_a_vertical_edge_is_seen_only_where_it_is() -> None:
    grey = np.zeros((1, SIZE, SIZE), np.float32)
    grey[:, :, SIZE // 8 :] = 1.0
    cells = pl.oriented_gradients(grey)[0]
    assert cells[:, 0, 0].min() > 0.4
    assert not cells[:, 1:].any() and not cells[:, 0, 1:].any()


def slow_gradients(grey: np.ndarray) -> np.ndarray:
    """Oriented gradients pixel by pixel; a direction is rounded to 10 degrees, half way it is shared by two bins."""
    cells = np.zeros((8, 8, 9))
    for y in range(SIZE):
        for x in range(SIZE):
            across = grey[y, x + 1] - grey[y, x - 1] if 0 < x < SIZE - 1 else 0.0
            down = grey[y + 1, x] - grey[y - 1, x] if 0 < y < SIZE - 1 else 0.0
            tens = round(math.degrees(math.atan2(down, across)) % 180 / 10) % 18
            share = math.hypot(across, down) / 144
            if tens % 2:
                cells[y // 12, x // 12, tens // 2] += share / 2
                cells[y // 12, x // 12, (tens // 2 + 1) % 9] += share / 2
            else:
                cells[y // 12, x // 12, tens // 2] += share
    lengths = np.array([[math.sqrt((cells[y, x] ** 2).sum()) for x in range(8)] for y in range(8)])
    for y in range(8):
        for x in range(8):
            cells[y, x] /= lengths[y, x] + lengths.mean() / 2 + 0.002
    pooled = [[cells[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(0, 1)) for j in range(4)] for i in range(4)]
    return np.array(pooled)


@pytest.mark.parametrize("shape", [(112, 150), (96, 96), (7, 5), (1, 1), (30, 200)])
def test_resizing_is_the_mean_of_the_area(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(4).random((2, *shape), np.float32)
    # Each pixel as 24 x 24 equal ones: then every output is a whole number of them.
    fine = np.repeat(np.repeat(grey, 24, axis=1), 24, axis=2)
    expected = fine.reshape(2, 24, shape[0], 24, shape[1]).mean(axis=(2, 4))
    np.testing.assert_allclose(pl.resized(grey, 24), expected, atol=1e-5)


def test_stills_are_resized_frames() -> None:
    frames = np.random.default_rng(5).integers(0, 256, (3, 40, 70, 3), dtype=np.uint8)
    rgb, grey = pl.stills(frames)
    for channel in range(3):
        plane = frames[..., channel].astype(np.float32) / 255
        np.testing.assert_allclose(rgb[:, channel], pl.resized(plane, 64), atol=1e-5)
    weighted = (frames @ np.array(pl.LUMA) / 255).astype(np.float32)
    np.testing.assert_allclose(grey, pl.resized(weighted, pl.GREY_SIZE), atol=1e-5)


def test_gradients_equal_the_slow_version() -> None:
    grey = np.random.default_rng(0).random((2, SIZE, SIZE), np.float32)
    np.testing.assert_allclose(pl.oriented_gradients(grey)[1], slow_gradients(grey[1].astype(float)), atol=1e-4)


def test_binary_patterns_equal_the_slow_version() -> None:
    grey = np.random.default_rng(1).random((1, 12, 14), np.float32)
    circle = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    uniform = [p for p in range(256) if sum((p >> i & 1) != (p >> (i + 1) % 8 & 1) for i in range(8)) <= 2]
    counts = np.zeros(59)
    for y in range(1, 11):
        for x in range(1, 13):
            brighter = [grey[0, y + dy, x + dx] > grey[0, y, x] + np.float32(0.01) for dy, dx in circle]
            pattern = sum(int(bit) << i for i, bit in enumerate(brighter))
            counts[uniform.index(pattern) if pattern in uniform else 58] += 1
    np.testing.assert_allclose(pl.binary_patterns(grey)[0], np.sqrt(counts / counts.sum()), atol=1e-6)


def test_pool_is_the_mean_of_each_cell() -> None:
    values = np.random.default_rng(2).random((2, 10, 7, 3))
    pooled = pl.pool(values, 3)
    np.testing.assert_allclose(pooled[1, 0, 2], values[1, 0:3, 4:7].mean(axis=(0, 1)))
    np.testing.assert_allclose(pooled[0, 2, 1], values[0, 6:10, 2:4].mean(axis=(0, 1)))


@pytest.mark.parametrize(
    ("colour", "code"),
    [
        ((255, 255, 255), 2),
        ((0, 0, 0), 0),
        ((128, 128, 128), 1),
        ((255, 0, 0), 3 + (0 * 2 + 1) * 3 + 2),
        ((0, 255, 0), 3 + (2 * 2 + 1) * 3 + 2),
        ((0, 0, 255), 3 + (5 * 2 + 1) * 3 + 2),
        ((12, 2, 2), 0),
    ],
)
def test_a_colour_goes_to_its_bin(colour: tuple[int, int, int], code: int) -> None:
    rgb = np.broadcast_to(np.array(colour, np.float32) / 255, (1, 32, 32, 3))
    histogram = pl.colour_histogram(rgb)[0]
    assert np.flatnonzero(histogram).tolist() == [code] and histogram[code] == 1.0


def test_light_drops_out_of_gradient_and_conv(front_end: pl.FrontEnd) -> None:
    frames = scene(0)
    darker = (frames * 0.6 + 20).astype(np.uint8)
    plain, changed = front_end.layers(frames, 8.0), front_end.layers(darker, 8.0)
    for name in ("gradient", "conv"):
        other = front_end.layers(scene(1), 8.0)[name]
        assert np.linalg.norm(changed[name] - plain[name]) < 0.15 * np.linalg.norm(other - plain[name]), name


def test_mirrored_picture_keeps_its_colours_and_moves_its_edges(front_end: pl.FrontEnd) -> None:
    frames = scene(3)
    plain, mirrored = front_end.layers(frames, 8.0), front_end.layers(frames[:, :, ::-1].copy(), 8.0)
    n_grid = 8 * pl.COLOUR_GRID**2
    np.testing.assert_allclose(mirrored["colour"][n_grid:123], plain["colour"][n_grid:123], atol=0.05)
    swapped = plain["colour"][:n_grid].reshape(3, 3, 8)[:, ::-1]
    np.testing.assert_allclose(mirrored["colour"][:n_grid].reshape(3, 3, 8), swapped, atol=0.04)  # 32 by 3


def test_size_and_shape_of_the_frame_hardly_count(front_end: pl.FrontEnd) -> None:
    frames = scene(4)
    large = np.repeat(np.repeat(frames, 2, axis=1), 2, axis=2)
    plain, changed = front_end.layers(frames, 8.0), front_end.layers(large, 8.0)
    for name in ("colour", "gradient", "conv"):
        other = front_end.layers(scene(5), 8.0)[name]
        assert np.linalg.norm(changed[name] - plain[name]) < 0.25 * np.linalg.norm(other - plain[name]), name


def test_a_slide_show_has_the_mean_of_its_slides_and_a_spread(front_end: pl.FrontEnd) -> None:
    one, two = scene(6), scene(7)
    show = front_end.layers(np.concatenate([one, two]), 8.0)
    first, second = front_end.layers(one, 8.0), front_end.layers(two, 8.0)
    for name in ("colour", "gradient", "texture", "conv"):
        half = len(show[name]) // 2
        np.testing.assert_allclose(show[name][:half], (first[name][:half] + second[name][:half]) / 2, atol=1e-5)
        assert np.abs(first[name][half:]).max() < 1e-5 < np.abs(show[name][half:]).max()


def test_one_frame_is_a_still(front_end: pl.FrontEnd) -> None:
    one, many = front_end.layers(scene(8, 1), 8.0), front_end.layers(scene(8, 40), 8.0)
    for name in one:
        np.testing.assert_allclose(one[name], many[name], atol=1e-5, err_msg=name)


def test_stills_are_spread_over_the_clip() -> None:
    frames = np.zeros((60, 8, 8, 3), np.uint8)
    frames += np.arange(60, dtype=np.uint8)[:, None, None, None]
    seen = pl.stills(frames)[1][:, 0, 0] * 255
    np.testing.assert_allclose(seen, [5, 15, 25, 35, 45, 55], atol=1e-3)


def moving_square(step: int, n_frames: int = 24) -> np.ndarray:
    """A bright square in the upper left quarter that jumps `step` pixels a frame, there and back."""
    frames = np.full((n_frames, 96, 96, 3), 40, np.uint8)
    for k in range(n_frames):
        x = (k % 2) * step
        frames[k, 4:20, x : x + 16] = 200
    return frames


def test_motion_is_seen_where_it_is_and_grows_with_speed() -> None:
    still, slow, fast = (pl.motion(luma(moving_square(step)), 8.0) for step in (0, 4, 8))
    assert still[32] == pytest.approx(-4.0) and still[36] == 1.0
    assert still[32] < slow[32] < fast[32]
    cells = fast[:16].reshape(4, 4)
    assert cells[0, 0] > -2 and cells[2:].max() == pytest.approx(-3.0)


def test_cuts_are_counted_and_left_out_of_the_mean_motion() -> None:
    cut = np.concatenate([np.full((8, 96, 96, 3), 20, np.uint8), np.full((8, 96, 96, 3), 220, np.uint8)])
    vector = pl.motion(luma(cut), 8.0)
    assert vector[37] == pytest.approx(1 / 15)
    assert vector[:16].max() == pytest.approx(-3.0) and vector[16:32].min() > -1


def test_motion_that_repeats_is_known_by_its_lag() -> None:
    frames = np.full((33, 96, 96, 3), 40, np.uint8)
    frames[2::4, :40] = 60
    frames[3::4, :40] = 60
    again = pl.motion(luma(frames), 8.0)[-3:]
    assert again[0] > 0.8  # a change every second frame: 0.25 s at 8 Hz


def test_random_filters_are_the_same_everywhere() -> None:
    filters = random_filters(np.random.Generator(np.random.Philox(7)), 32, 3, 5)
    assert filters.shape == SHAPES[0][:2] + (5, 5)
    # Values noted once: another numpy, system or processor must give the same filters.
    np.testing.assert_allclose(filters[0, 0, 0, :3], NOTED_FILTER, atol=1e-6)
    np.testing.assert_allclose(filters.reshape(32, -1).mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(filters.reshape(32, -1), axis=1), 1, atol=1e-5)


def test_another_seed_is_another_network() -> None:
    picture = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    same, other = RandomConvolutions(7)(picture), RandomConvolutions(8)(picture)
    assert np.array_equal(same, RandomConvolutions(7)(picture)) and np.abs(same - other).max() > 0.01


def slow_convolution(values: np.ndarray, filters: np.ndarray, stride: int) -> np.ndarray:
    """Standardize, filter, rectify, in loops over the places of the output."""
    pad = filters.shape[2] // 2
    padded = np.pad(values, ((0, 0), (pad, pad), (pad, pad)))
    places = range(0, values.shape[1], stride)
    out = np.zeros((len(filters), len(places), len(places)))
    for i, y in enumerate(places):
        for j, x in enumerate(places):
            patch = padded[:, y : y + filters.shape[2], x : x + filters.shape[2]]
            out[:, i, j] = np.maximum((filters * patch).sum(axis=(1, 2, 3)), 0)
    return out


def test_network_equals_the_slow_version() -> None:
    picture = np.random.default_rng(3).random((3, 16, 16), np.float32)
    generator = np.random.Generator(np.random.Philox(7))
    values, least = picture.astype(float), 0.05
    for depth, shape in enumerate(SHAPES):
        if depth:
            values = values.reshape(len(values), values.shape[1] // 2, 2, -1, 2).max(axis=(2, 4))
        values = (values - values.mean()) / (values.std() + least)
        values = slow_convolution(values, random_filters(generator, *shape[:3]), shape[3])
        least = 1e-3
    assert values.shape == (128, 2, 2)
    np.testing.assert_allclose(RandomConvolutions(7)(picture[None])[0], values.ravel(), atol=1e-4)
