"""Why a clip was picked or not, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explorer.views import why as view
from explorer.views.why import Standing


def test_the_cell_of_a_clip() -> None:
    """2 x 2 with 10 clips: log(4 * 10 / (5 * 6)) = log(4/3); an empty cell has no PMI."""
    counts = view.Table.of(np.array([[4, 1], [2, 3]]))
    cell = view.cell_of("s", "p", 0, 0, counts)
    assert cell.clips == 4 and math.isclose(cell.pmi, math.log(4 / 3))
    assert math.isnan(view.cell_of("s", "p", 0, 0, view.Table.of(np.array([[0, 1], [1, 0]]))).pmi)
    low = view.cell_of("s", "p", 0, 1, counts)
    assert view.ordered([low, cell])[0] is cell


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (Standing(missing=["sound.logmel"], in_scope=False), "no candidate: it has no value in sound · logmel"),
        (Standing(missing=list("abcde")), "no candidate: it has no value in a, b, c and 2 more"),
        (Standing(in_scope=False, scope="healthy", unhealthy=["static"]), "scope (healthy); not healthy: static"),
        (Standing(in_scope=True, dropped_by="anna", copy_of="x"), "dropped in review by anna"),
        (Standing(excluded="row = 1", copy_of="x"), "excluded by the run's condition (row = 1)"),
        (Standing(copy_of="dog", source_clips=9, source_limit=3), "a copy of dog, which was picked"),
        (Standing(source_clips=3, source_limit=3), "already has the 3 clips that one source may have"),
        (Standing(source_clips=2, source_limit=3, score=0.1), "the budget of 675 clips was filled before it"),
        (Standing(), "it was never compared before the budget was full"),
    ],
)
def test_the_first_cause_that_holds(known: Standing, said: str) -> None:
    assert said in view.reason(known, 675)


def test_percentiles_count_ties_half() -> None:
    values = np.array([1.0, 2.0, 2.0, 3.0, np.nan])
    assert view.percentile(values, 2.0) == 50.0
    assert view.percentile(values, 3.0) == 87.5
    assert math.isnan(view.percentile(values, math.nan)) and math.isnan(view.percentile(np.array([np.nan]), 1.0))


def test_scores_and_timing_in_words() -> None:
    assert view.score_line(0.314, 41.8, 0.58) == "score 0.31, 42nd percentile of the candidates · lowest picked 0.58"
    assert view.score_line(math.nan, math.nan, 0.5) == ""
    assert view.timing_line(98.0, True, 0.04) == (
        "sound and motion onsets: +0.04 s (sound after motion), 98th percentile of shifted and other sounds"
    )
    assert "no clear event" in view.timing_line(40.0, False, math.nan)
    assert view.timing_line(None, None, None) == "" and view.timing_line(math.nan, None, None) == ""
    assert view.health_line(["slide_show", "silent"]) == "Health: slide show, silent"


def test_neighbours_that_belong_elsewhere() -> None:
    assert view.disagreement(3, np.array([3, 4, -1, 5])).tolist() == [False, True, False, True]
    assert not view.disagreement(-1, np.array([3, 4])).any()
    assert (
        view.disagreement_line(2, 4, "sound", "picture") == "2 of 4 that sound like it have another picture cluster (≠)"
    )
    assert view.disagreement_line(0, 4, "picture", "sound") == "all 4 that look like it share its sound cluster"


def test_pmi_is_coloured_around_zero() -> None:
    scale = ("#000000", "#808080", "#ffffff")
    assert view.pmi_style(0.0, scale) == "background-color: #808080; color: #10161d"
    assert view.pmi_style(-9.0, scale) == "background-color: #000000; color: #ffffff"
    assert view.pmi_style(2.0, scale).startswith("background-color: #ffffff")
    assert view.pmi_style(math.nan, scale) == ""
