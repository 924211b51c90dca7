"""Precision, recall and F1 along a ranking, average precision, and intervals of resampled sources, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.retrieval import along, average_precision, by_source, ranking, resampled_precision

RIGHT = np.array([True, False, True, False, True])
ALL = np.ones(5, bool)


def test_along_a_ranking_by_hand() -> None:
    found = along(np.array([0, 1, 2, 3, 4]), RIGHT, ALL, np.array([1, 2, 3, 5]))
    assert found.precision.tolist() == [1, 1 / 2, 2 / 3, 3 / 5]
    assert found.recall.tolist() == [1 / 3, 1 / 3, 2 / 3, 1]
    assert found.f1 == pytest.approx([1 / 2, 2 / 5, 2 / 3, 3 / 4])


def test_what_is_not_known_counts_for_neither_side() -> None:
    known = np.array([False, True, True, True, True])
    found = along(np.array([0, 1, 2, 3, 4]), RIGHT, known, np.array([1, 3, 5]))
    assert np.isnan(found.precision[0]) and found.precision[1:].tolist() == [1 / 2, 1 / 2]
    assert found.recall.tolist() == [0, 1 / 2, 1] and found.f1[0] == 0


def test_average_precision_by_hand() -> None:
    assert average_precision(np.array([0, 1, 2, 3, 4]), RIGHT, ALL) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert average_precision(np.array([0, 2, 4, 1, 3]), RIGHT, ALL) == 1
    assert np.isnan(average_precision(np.arange(5), np.zeros(5, bool), ALL))


def test_the_chosen_come_first_then_the_others_by_score() -> None:
    scores = np.array([np.nan, 0.5, 9.0, 0.7, -np.inf])
    found = ranking(np.array([4, 1]), scores, seed=0)
    assert found[:4].tolist() == [4, 1, 2, 3] and found[4] == 0


def test_ties_carry_no_order_of_the_rows() -> None:
    found = ranking(np.zeros(0, np.int64), np.zeros(2000), seed=3)
    assert sorted(found) == list(range(2000))
    assert abs(np.corrcoef(found, np.arange(2000))[0, 1]) < 0.1


def test_the_interval_of_one_source_each_is_the_binomial_one() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.7
    counts = by_source(np.arange(400), right, np.ones(400, bool), np.arange(400), 400)
    drawn = resampled_precision(counts[None], 2000, 0)
    assert drawn.std() == pytest.approx(np.sqrt(0.7 * 0.3 / 400), rel=0.15)
    assert drawn.mean() == pytest.approx(right.mean(), abs=0.005)


def test_differences_are_paired_by_sources() -> None:
    """The same choice twice differs by nothing, however it is resampled."""
    counts = by_source(np.arange(50), np.arange(50) < 20, np.ones(50, bool), np.arange(50) // 5, 10)[None]
    assert (resampled_precision(counts, 50, 0) == resampled_precision(counts, 50, 0)).all()
