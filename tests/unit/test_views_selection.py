"""Selection views: budgets, precision, curves, overlaps, against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from curation.config import METHOD_NAMES
from curation.methods.needs import CUDA_BATCH
from curation.selection import _CONSTRAINTS
from curation.stages.select import STEPS_MIN
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
    ranged = report | {"false_share_low": 0.04, "false_share_high": 0.2, "corresponding_share_doubt": 0.01}
    assert view.estimate_sentence(ranged).endswith("; about 9 % (4–20) of this subset does not.")
    assert "read the ranges" in view.estimate_sentence(ranged | {"corresponding_share_doubt": 0.3})


def test_every_method_of_the_settings_is_explained() -> None:
    assert set(words.METHODS) == set(METHOD_NAMES)


def test_a_prefix_is_a_run_of_its_own_only_where_nothing_depends_on_the_budget() -> None:
    batches = {"method": "batch-greedy", "selection_size": 25, "report": {"is_prefix": True, "selection_size": 25}}
    assert view.is_exact(batches, 250)
    assert not view.is_exact(batches, 249)  # 24 at a time would be taken
    assert view.is_exact({"method": "ratio", "report": {}}, 3)
    assert not view.is_exact({"method": "concord", "report": {"is_prefix": False}}, 3)
    bounded = {"method": "greedy", "report": {"is_prefix": True, "constraints": ["share_cap"]}}
    assert not view.is_exact(bounded, 3)


def test_the_time_of_a_run_is_that_of_the_fastest_of_its_method() -> None:
    def run(method: str, took_s: float, rows: int = 1000, size: int = 200) -> dict:
        report = {"timings_s": {"choose": took_s / 2, "curve": took_s / 2}, "n_rows": rows, "n_selected": size}
        return {"method": method, "report": report}

    past = {"a": run("concord", 60.0), "b": run("concord", 2.0), "c": run("greedy", 4.0), "d": {"method": "ratio"}}
    assert view.expected_s(past, "concord", 5000, 1) == pytest.approx(10)
    assert view.expected_s(past, "greedy", 1000, 100) == pytest.approx(2)
    assert np.isnan(view.expected_s(past, "ratio", 1000, 100))


@pytest.mark.parametrize(
    ("device", "method", "batch", "expected"),
    [
        ("auto", "concord", 10**6, "CPU"), ("auto", "batch-greedy", 100, "CPU"), ("cpu", "batch-greedy", 10**6, "CPU"),
        ("auto", "batch-greedy", 10**4, "GPU if there is one"), ("cuda", "batch-greedy", 100, "CUDA GPU"),
    ],
)  # fmt: skip
def test_the_device_in_words(device: str, method: str, batch: int, expected: str) -> None:
    assert view.device_words(device, method, batch) == expected


def test_the_batch_for_a_gpu_is_the_engine_s() -> None:
    assert view.GPU_BATCH == CUDA_BATCH
    assert view.STEPS_MIN == STEPS_MIN
    assert set(view.CONSTRAINTS) == set(_CONSTRAINTS)


def test_what_a_report_says_in_words() -> None:
    assert "12 % of the choice" in view.content_sentence({"content_moved": 0.12})
    assert "moved nothing" in view.content_sentence({"content_moved": 0.0})
    assert view.content_sentence({}) == "" == view.stability_sentence({}, 0.2)
    stable = view.stability_sentence({"stability": 0.834, "replicates": [{}, {}]}, 0.25)
    assert stable.startswith("Stability: 83 % of these clips") and "(2 runs)" in stable and "0.25" in stable
    costs = view.cost_lines({"constraint_cost": {"exclude": -0.003, "max_per_group": 0.01}})
    assert costs == [("most clips of one source", 0.01), ("clips that must be out", -0.003)]


def test_clips_by_the_size_of_their_source() -> None:
    labels, (before, after) = view.by_source_size(np.array([1, 1, 2, 4, 0]), np.array([0, 1, 1, 0, 0]))
    assert labels == ["1", "2", "3–4"]
    assert before.tolist() == [25, 25, 50] and after.tolist() == [100, 0, 0]
    labels, (many, _) = view.by_source_size(np.array([65, 64]), np.array([1]))
    assert labels[-2:] == ["33–64", "over 64"] and many[-1] == pytest.approx(100 * 65 / 129)
    assert view.by_source_size(np.zeros(0, int), np.zeros(0, int))[0] == ["1"]
