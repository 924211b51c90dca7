"""Where clips are cut, against answers worked by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from curation.config import SegmentConfig
from curation.media import layout as media_layout
from curation.media.shots import Shots
from curation.stages.segment import layout

SHOTS = SegmentConfig()
WINDOWS = dataclasses.replace(SHOTS, mode="windows", max_clips=0)
REFERENCE = dataclasses.replace(SHOTS, detector="scdet")


def made_shots(
    cuts_s: list[float], scores: list[float] | None = None, looks: list[int] | None = None, step_s: float = 2.0
) -> Shots:
    """Shots with one signature every `step_s` seconds, all 24 numbers of it those of `looks`."""
    points = np.repeat(np.asarray(looks or [], np.uint8)[:, None], 24, axis=1)
    given = [50.0] * len(cuts_s) if scores is None else scores
    return Shots(np.asarray(cuts_s, np.float64), np.asarray(given, np.float64), points, step_s, 0.0, 0)


def lay_out(duration_s: float, shots: list[float] | Shots | None, settings: SegmentConfig) -> list[tuple[float, float]]:
    found = made_shots(shots) if isinstance(shots, list) else shots
    return media_layout.lay_out(duration_s, found, layout(settings))


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


def test_the_most_different_clips_stay() -> None:
    cuts_s = [float(t) for t in range(12, 120, 12)]
    looks = [100] * 60
    looks[18:24] = [250] * 6  # the shot of 36 to 48 s
    looks[48:54] = [0] * 6  # 96 to 108 s
    spans = lay_out(120.0, made_shots(cuts_s, looks=looks), SHOTS)
    assert [span[0] for span in spans] == [1.0, 37.0, 97.0]
    even = dataclasses.replace(SHOTS, choice="even")
    assert [span[0] for span in lay_out(120.0, made_shots(cuts_s, looks=looks), even)] == [13.0, 61.0, 97.0]


def test_signatures_farther_apart_than_clips_are_long() -> None:
    shots = made_shots([float(t) for t in range(12, 120, 12)], looks=[0, 200, 90], step_s=40.0)
    assert [span[0] for span in lay_out(120.0, shots, dataclasses.replace(SHOTS, max_clips=2))] == [1.0, 25.0]


# Cuts of a video of 60 s every 6 s; those with a higher score remain as the threshold rises: 10, 12, 14.4, 17.28 ...
EVERY_SIX_S = [float(t) for t in range(6, 60, 6)]


@pytest.mark.parametrize(
    ("scores", "max_clips", "starts"),
    [
        # At 12 the cuts at 18 and 36 s remain: three shots of 18, 18 and 24 s.
        ([11, 11, 12, 11, 11, 13, 11, 11, 11], 3, [4.0, 22.0, 43.0]),
        # One is wanted: at 10 no shot is long enough, at 12 three are, and the middle one stays.
        ([11, 11, 12, 11, 11, 13, 11, 11, 11], 1, [22.0]),
        # Two at most (cut at 30 s); the lowest threshold that gives two counts, not the last one.
        ([11, 11, 11, 11, 40, 11, 11, 11, 11], 3, [10.0, 40.0]),
        # Nothing but one shot remains at any threshold.
        ([11] * 9, 3, [25.0]),
        # Every cut is certain: no shot is ever long enough, and the centre is taken.
        ([100] * 9, 3, [25.0]),
    ],
)
def test_annealing_raises_the_threshold_until_there_are_enough(
    scores: list[float], max_clips: int, starts: list[float]
) -> None:
    settings = dataclasses.replace(REFERENCE, max_clips=max_clips, choice="even")
    assert [span[0] for span in lay_out(60.0, made_shots(EVERY_SIX_S, scores), settings)] == starts


def test_annealing_is_the_references_alone_and_can_be_left_out() -> None:
    shots = made_shots(EVERY_SIX_S, [11, 11, 12, 11, 11, 13, 11, 11, 11])
    for settings in (SHOTS, dataclasses.replace(REFERENCE, anneal=1.0)):
        assert lay_out(60.0, shots, settings) == [(25.0, 35.0)]
