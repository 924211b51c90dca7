"""Pixels, votes and outlines, against answers worked by hand and a plain test of each point."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.raster import inside, majority, occupancy, pixel_of

NAN = float("nan")


def test_pixels_count_from_the_top_and_what_lies_outside_has_none() -> None:
    xy = np.float32([[0.1, 0.9], [0.9, 0.9], [0.1, 0.1], [1, 0], [0, 1], [1.1, 0.5], [0.5, -0.1], [NAN, 0.5]])
    assert pixel_of(xy, np.array([0.0, 0, 1, 1]), 2, 3).tolist() == [0, 2, 3, 5, 0, -1, -1, -1]


def test_occupancy_counts_what_has_a_place() -> None:
    pixel = np.random.default_rng(0).integers(-1, 9, 1000).astype(np.int32)
    assert occupancy(pixel, 9).tolist() == np.bincount(pixel[pixel >= 0], minlength=9).tolist()


def test_a_pixel_has_the_code_of_the_majority() -> None:
    pixel = np.int32([0, 0, 0, 2, 2, -1])
    assert majority(pixel, np.uint8([4, 7, 7, 5, 5, 9]), 3).tolist() == [7, 0, 5]
    assert majority(np.int32([0, 0, 0, 0, 0]), np.uint8([1, 2, 1, 3, 1]), 1)[0] == 1


def winds(point: np.ndarray, outline: np.ndarray) -> bool:
    """The angle that the outline sweeps around the point, in full turns, is not zero."""
    rays = outline - point
    angles = np.arctan2(rays[:, 1], rays[:, 0])
    steps = np.diff(np.append(angles, angles[0]))
    return round(float(((steps + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi))) != 0


@pytest.mark.parametrize("shape", ["box", "star", "crossing", "thin", "scribble", "tiny"])
def test_outlines_hold_what_they_wind_around(shape: str) -> None:
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    outline = {
        "box": np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]),
        "star": np.stack([np.cos(turn), np.sin(turn)], 1) * np.where(np.arange(40) % 2, 0.4, 1.6)[:, None],
        "crossing": np.array([[-1.0, -1], [1, 1], [1, -1], [-1, 1]]),
        "thin": np.array([[-1.5, -1.5], [1.5, 1.5], [1.5, 1.501]]),
        "scribble": rng.normal(size=(60, 2)),
        "tiny": np.array([[0.0, 0], [1e-4, 0], [0, 1e-4]]) + 0.25,
    }[shape]
    xy = np.concatenate([rng.normal(size=(3000, 2)), outline.mean(0) + rng.normal(size=(200, 2)) * 1e-4])
    xy = xy.astype(np.float32)
    want = [winds(point, outline) for point in xy.astype(np.float64)]
    assert inside(xy, outline).tolist() == want and (any(want) or shape == "thin")


def test_nothing_is_in_no_outline_and_nowhere_is_in_none() -> None:
    xy = np.float32([[0, 0], [NAN, 0]])
    assert inside(xy, np.array([[-1.0, -1], [1, 1]])).tolist() == [False, False]
    assert inside(xy, np.array([[-1.0, -1], [1, -1], [0, 5]])).tolist() == [True, False]
    assert inside(xy, np.array([[0.0, 0], [0, 0], [0, 0]])).tolist() == [False, False]
