"""Precision where the truth is known: hand-worked intervals, unknown answers, a judged selection."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import binom, binomtest

from curation.errors import InputError
from curation.truth import by_source, judge, precision, precision_report, random_range, truth_of, wilson_interval
from tests.workspacemaker import make_workspace


def test_wilson_interval_worked_by_hand() -> None:
    # 8 of 10, z = 1.959964: centre (0.8 + 0.192073) / 1.384146 = 0.716740; half 0.313651 / 1.384146 = 0.226602
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.4901625, abs=1e-6)
    assert high == pytest.approx(0.9433178, abs=1e-6)


@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(0, 10, 0.95), (10, 10, 0.95), (410, 600, 0.95), (3, 7, 0.8), (1, 1, 0.99)]
)
def test_wilson_interval_equals_scipys(k: int, n: int, confidence: float) -> None:
    expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(k, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_interval_covers_what_it_says() -> None:
    n, p = 60, 0.37
    covered = sum(binom.pmf(k, n, p) for k in range(n + 1) if wilson_interval(k, n)[0] <= p <= wilson_interval(k, n)[1])
    assert 0.93 < covered < 0.97


def test_wilson_interval_of_nothing_is_everything_and_nonsense_is_refused() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for k, n, confidence in ((3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)):
        with pytest.raises(InputError):
            wilson_interval(k, n, confidence)


@pytest.mark.parametrize(
    "truth",
    [
        [True, None, False, True],
        pa.array([True, None, False, True]),
        pa.chunked_array([[True, None], [False, True]]),
        pd.array([True, pd.NA, False, True], dtype="boolean"),
        np.array([1.0, np.nan, 0.0, 1.0]),
    ],
)
def test_precision_leaves_unknown_answers_out(truth: object) -> None:
    every = precision(truth)
    assert (every.known, every.true, every.value) == (3, 2, pytest.approx(2 / 3))
    by_rows, by_mask = precision(truth, [3, 1]), precision(truth, np.array([False, True, False, True]))
    assert by_rows == by_mask
    assert (by_rows.known, by_rows.true, by_rows.value) == (1, 1, 1.0)


def test_precision_of_nothing_known_is_no_number() -> None:
    for found in (precision([None, None]), precision(np.array([True]), [])):
        assert found.known == 0
        assert math.isnan(found.value)
        assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize("truth", [[2, 1], [[True]], np.ones((2, 2), bool), ["maybe", "no"]])
def test_precision_refuses_what_is_no_truth(truth: object) -> None:
    with pytest.raises(InputError, match="truth"):
        precision(truth)


@pytest.mark.parametrize("chosen", [[0, 5], [-1], [1, 1], [0.5], np.ones(3, bool), np.zeros((1, 2), int)])
def test_precision_refuses_rows_that_are_not_there(chosen: object) -> None:
    with pytest.raises(InputError, match="chosen"):
        precision(np.array([True, False]), chosen)


def test_random_range_is_where_random_choices_lie() -> None:
    truth = np.arange(200) < 120
    draws = [precision(truth, np.random.default_rng(i).choice(200, 50, replace=False)).value for i in range(2000)]
    low, high = random_range(200, 120, 50)
    assert 0.94 <= np.mean([low <= value <= high for value in draws]) <= 0.99
    assert random_range(200, 120, 200) == (0.6, 0.6)
    assert all(math.isnan(value) for value in random_range(5, 2, 0))
    with pytest.raises(InputError):
        random_range(5, 2, 6)


def test_a_selection_is_judged_beside_random(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws")
    truth = np.array(truth_of(workspace).to_pylist(), bool)
    found = judge(workspace)
    assert (found.selection, found.n_chosen, found.n_candidates) == ("main", 12, 60)
    assert (found.chosen.true, found.chosen.known) == (12, 12)  # the made selection takes true clips first
    assert (found.base.true, found.base.known) == (int(truth.sum()), 60)
    assert found.random_low < found.base.value < found.random_high
    lines = precision_report(workspace, None, "truth_match")
    assert "precision 1.000" in lines[1]
    assert f"random    {found.base.value:.3f}" in lines[2]


def test_intervals_hold_for_other_sources() -> None:
    """40 sources of 25 clips, each wholly true or wholly false: 40 answers, not 1000."""
    rng = np.random.default_rng(0)
    inside = {"clips": 0, "sources": 0}
    for _ in range(200):
        truth = np.repeat(rng.random(40) < 0.7, 25)
        clips = precision(truth)
        for name, found in (("clips", clips), ("sources", by_source(clips, truth, np.arange(1000) // 25))):
            inside[name] += found.low <= 0.7 <= found.high
    assert inside["sources"] >= 0.9 * 200 and inside["clips"] < 0.5 * 200
    apart = np.arange(1000) % 2 == 0
    assert by_source(precision(apart), apart, np.arange(1000)) == precision(apart), "each clip a source: as before"
    same = by_source(precision([True] * 50), [True] * 50, np.arange(50) // 25)
    assert same.high == 1 and same.low == pytest.approx(2 / (2 + 1.959964**2))


def test_many_clips_of_few_sources_are_judged_as_few(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws")
    before = judge(workspace)
    clips = workspace.table("clips").to_pandas()
    clips["source"] = [f"film {row % 2}" for row in range(len(clips))]
    workspace.commit_table("clips", pa.Table.from_pandas(clips, preserve_index=False), "s", {})
    after = judge(workspace)
    assert after.chosen.value == before.chosen.value == 1 and after.chosen.low < 0.5 < before.chosen.low


def test_candidates_are_the_clips_with_all_clusters(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws")
    file = workspace.artefact_path("clusterings/sound.mfcc") / "assignments.npy"
    assignments = np.load(file)
    assignments[:7] = -1
    np.save(file, assignments)
    assert judge(workspace).n_candidates == 53


def test_clips_without_an_answer_are_said(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws")
    table = workspace.table("columns/truth_match")
    partly = table["truth_match"].to_pylist()
    first = np.flatnonzero(partly)[:3]
    for row in first:
        partly[row] = None
    workspace.commit_table(
        "columns/truth_match", pa.table({"clip_id": table["clip_id"], "truth_match": partly}), "t2", {}
    )
    assert "3 chosen clips have no answer" in precision_report(workspace)[-1]


def test_what_is_missing_is_said_with_the_next_step(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    with pytest.raises(InputError, match="none yet"):
        judge(workspace)
    with pytest.raises(InputError, match=r"no column 'other'.*truth_match.*import"):
        truth_of(workspace, "other")
    ids = workspace.table("clips", ["clip_id"])["clip_id"]
    workspace.commit_table("columns/kind", pa.table({"clip_id": ids, "kind": ["a"] * 60}), "k", {})
    with pytest.raises(InputError, match="true/false"):
        truth_of(workspace, "kind")
