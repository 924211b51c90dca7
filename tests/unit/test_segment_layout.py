"""Where clips are cut, against answers worked by hand."""

from __future__ import annotations

import dataclasses

import pytest

from curation.config import SegmentConfig
from curation.stages.segment import lay_out

SHOTS = SegmentConfig()
WINDOWS = dataclasses.replace(SHOTS, mode="windows", max_clips=0)


def test_a_video_of_three_seconds_is_one_clip() -> None:
    assert lay_out(3.0, None, SHOTS) == [(0.0, 3.0)]


def test_a_little_longer_than_a_clip_is_its_central_piece() -> None:
    assert lay_out(10.5, None, SHOTS) == [(0.25, 10.25)]


def test_the_central_piece_of_each_long_shot() -> None:
    assert lay_out(45.0, [12.0, 15.0, 31.0], SHOTS) == [(1.0, 11.0), (18.0, 28.0), (33.0, 43.0)]


def test_no_shot_long_enough_falls_back_to_the_centre() -> None:
    assert lay_out(30.0, [5.0, 10.0, 15.0, 20.0, 25.0], SHOTS) == [(10.0, 20.0)]


def test_cuts_outside_the_video_are_ignored() -> None:
    assert lay_out(20.0, [0.0, 20.0, 99.0], SHOTS) == [(5.0, 15.0)]


def test_many_shots_are_thinned_evenly() -> None:
    spans = lay_out(120.0, [float(t) for t in range(12, 120, 12)], SHOTS)
    assert [span[0] for span in spans] == [13.0, 61.0, 97.0]


def test_windows_leave_out_the_rest() -> None:
    assert lay_out(35.0, None, WINDOWS) == [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]
    half = dataclasses.replace(WINDOWS, hop_s=5.0)
    assert [span[0] for span in lay_out(25.0, None, half)] == [0.0, 5.0, 10.0, 15.0]


@pytest.mark.parametrize("duration_s", [0.1, 9.99, 10.0, 11.0, 11.01, 30.0, 3600.0])
def test_clips_lie_inside_the_video_and_never_exceed_their_length(duration_s: float) -> None:
    for settings in (SHOTS, WINDOWS):
        for start_s, end_s in lay_out(duration_s, [duration_s / 3], settings):
            assert 0 <= start_s < end_s <= duration_s + 1e-3
            assert end_s - start_s <= 10.0 + 1e-6
