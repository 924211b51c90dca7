"""Selection views: budgets, precision, curves, overlaps, against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curation.config import METHOD_NAMES
from explorer.views import selection as view
from explorer.views import words


@pytest.mark.parametrize(
    ("text", "parts"),
    [("0.2", (0.2, "share")), ("500", (500.0, "clips")), ("1.5h", (1.5, "hours")), ("1", (1.0, "clips"))],
)
def test_budget_texts_go_both_ways(text: str, parts: tuple[float, str]) -> None:
    assert view.budget_parts(text) == parts
    assert view.budget_text(*parts) == text


def test_wilson_interval_of_eight_in_ten() -> None:
    low, high = view.wilson(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    assert view.wilson(0, 0) == (0, 1)
    assert view.wilson(0, 5)[0] == pytest.approx(0, abs=1e-9) and view.wilson(5, 5)[1] == pytest.approx(1)


def test_precision_speaks_only_of_clips_with_a_known_answer() -> None:
    truth = np.array([True, True, False, False, False, True])
    known = np.array([True, True, True, True, False, False])
    found = view.precision(np.array([0, 2, 4, 5]), truth, known)
    assert found is not None
    assert (found.hits, found.known, found.known_candidates) == (1, 2, 4)
    assert found.share == 0.5 and found.expected_random == 0.5
    assert view.precision(np.array([4, 5]), truth, known) is None


def test_truth_columns_with_gaps() -> None:
    truth, known = view.truth_columns([True, None, False]) or (None, None)
    assert truth.tolist() == [True, False, False] and known.tolist() == [True, False, True]
    assert view.truth_columns(pd.Series([True, False]))[1].all()
    assert view.truth_columns(["yes", "no"]) is None
    assert view.truth_columns([None, None]) is None


def test_the_curve_between_its_points() -> None:
    curve = {"size": np.array([10, 20]), "objective": np.array([1.0, 2.0]), "random": np.array([np.nan, 1.0])}
    found = view.curve_at(curve, 15)
    assert found["objective"] == 1.5
    assert np.isnan(found["random"]) and np.isnan(found["permuted"])
    assert view.curve_at(curve, 20)["random"] == 1.0
    assert np.isnan(view.curve_at(curve, 30)["objective"])


def test_objective_is_the_mean_over_the_pairs() -> None:
    a = np.array([0, 0, 1, 1, -1])
    constant = np.zeros(5, int)
    assert view.objective_of([a, a], ["audio", "visual"], "bipartite", np.arange(5)) == pytest.approx(np.log(2))
    both = view.objective_of([a, a, constant], ["audio", "visual", "visual"], "bipartite", np.arange(4))
    assert both == pytest.approx(np.log(2) / 2)
    assert np.isnan(view.objective_of([a, a], ["audio", "visual"], "bipartite", np.array([4])))


def test_information_counts_only_the_cells_that_occur_where_there_are_too_many() -> None:
    a, b = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    # 2/4 log(2*4/(2*3)) + 1/4 log(1*4/(2*3)) + 1/4 log(1*4/(2*1))
    expected = 0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    assert view.information(a, b) == pytest.approx(expected)
    assert view.information(a * 9000, b * 9000) == pytest.approx(expected)
    assert view.information(a, np.zeros(4, int)) == 0


def test_overlap_of_two_selections() -> None:
    found = view.overlap(np.array([5, 1, 2]), np.array([2, 5, 7, 8]))
    assert (found.both, found.only_a, found.only_b) == (2, 1, 2)
    assert found.share == pytest.approx(0.4)
    assert view.overlap(np.array([]), np.array([])).share == 0
    assert view.overlap_by_chance(20, 30, 100) == 6


def test_clusterings_that_changed_since_a_run() -> None:
    assert view.changed_inputs({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9"}) == ["b", "c"]


def test_the_estimate_speaks_of_candidates_and_subset_or_not_at_all() -> None:
    shares = {"corresponding_share": 0.58, "corresponding_share_low": 0.52, "corresponding_share_high": 0.63}
    report = shares | {"false_share": 0.09}
    assert view.estimate_sentence(report) == (
        "Estimated from decoys: 58 % (52–63) of the candidates correspond; about 9 % of this subset does not."
    )
    assert view.estimate_sentence({"objective": 1.0}) == ""


def test_every_method_of_the_settings_is_explained() -> None:
    assert set(words.METHODS) == set(METHOD_NAMES)
