"""Signatures tell pictures apart, keep their number, and the most different ones are chosen."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from curation.media.signature import (
    MAX_POINTS,
    SIZE,
    SignatureTrack,
    Small,
    most_different,
    signature,
    span_signatures,
)


def small(picture: np.ndarray) -> Small:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return Small(frame, VideoReformatter())


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (64, 96, 3))


def test_a_signature_against_a_slow_plain_one() -> None:
    planes = np.random.default_rng(0).integers(0, 256, (48, 32), dtype=np.uint8)
    luma = planes[:32].astype(float)
    y, x = np.mgrid[:32, :32]
    expected = []
    for v in range(4):
        for u in range(4):
            wave = np.cos(np.pi * v * (2 * y + 1) / 64) * np.cos(np.pi * u * (2 * x + 1) / 64)
            scale = np.sqrt(2) ** ((u > 0) + (v > 0)) / 1024
            value = scale * (luma * wave).sum()
            expected.append(value if u == v == 0 else 128 + 2 * value)
    for chroma in (planes[32:40].reshape(16, 16), planes[40:].reshape(16, 16)):
        expected += [128 + 2 * (chroma[r : r + 8, c : c + 8].mean() - 128) for r in (0, 8) for c in (0, 8)]
    np.testing.assert_array_equal(signature(planes), np.clip(np.rint(expected), 0, 255))


def test_colour_and_place_count() -> None:
    half = plain((40, 40, 40)).copy()
    half[:, 48:] = 200
    pictures = [plain((120, 120, 120)), plain((200, 90, 90)), plain((60, 130, 180)), half, half[:, ::-1]]
    points = [signature(small(picture).planes).astype(float) for picture in pictures]
    for i, a in enumerate(points):
        assert a.shape == (SIZE,)
        assert all(np.abs(a - b).max() > 20 for b in points[:i])


def test_a_track_keeps_one_every_two_seconds() -> None:
    track = SignatureTrack()
    for k in range(50):
        track.push(small(plain((5 * k, 5 * k, 5 * k))), k / 5)
    points = track.finish()
    assert points.shape == (5, SIZE) and track.step_s == 2.0
    np.testing.assert_allclose(np.diff(points[:, 0].astype(float)), 50 * 219 / 255, atol=2)


def test_a_gap_is_filled_and_a_long_video_keeps_fewer() -> None:
    track = SignatureTrack()
    dark, light = small(plain((0, 0, 0))), small(plain((255, 255, 255)))
    track.push(dark, 0.0)
    track.push(light, 9.0)
    assert track.finish().shape == (5, SIZE)
    for time_s in range(10, 30_000, 3):
        track.push(light, float(time_s))
    points = track.finish()
    assert track.step_s == 8.0 and points.shape == (3750, SIZE) and len(points) <= MAX_POINTS
    assert points[0, 0] < 30 and (points[1:, 0] > 220).all()


def test_span_signatures_are_means_or_the_nearest() -> None:
    points = np.repeat(np.arange(0, 60, 10, dtype=np.uint8)[:, None], SIZE, axis=1)
    found = span_signatures(points, 2.0, [(0.0, 2.0), (2.0, 6.5), (2.5, 3.4), (99.0, 109.0)])
    assert found[:, 0].tolist() == [5.0, 20.0, 10.0, 50.0]


def test_the_most_different() -> None:
    values = np.array([[10.0], [11.0], [50.0], [12.0], [0.0], [30.0]])
    assert most_different(values, 1) == [2]
    assert most_different(values, 2) == [2, 4]
    assert most_different(values, 3) == [2, 4, 5]
    assert most_different(values, 9) == [0, 1, 2, 3, 4, 5]
    assert most_different(np.zeros((5, 3)), 3) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(20))
def test_chosen_ones_are_at_least_half_as_far_apart_as_the_best(seed: int) -> None:
    from itertools import combinations

    rows = np.random.default_rng(seed).normal(size=(8, 2))

    def nearest(chosen: list[int]) -> float:
        return min(float(np.linalg.norm(rows[a] - rows[b])) for a, b in combinations(chosen, 2))

    assert nearest(most_different(rows, 3)) >= max(nearest(list(c)) for c in combinations(range(8), 3)) / 2
