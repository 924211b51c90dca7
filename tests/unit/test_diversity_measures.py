"""How many kinds and how uneven: numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.diversity import covered_share, effective_number, gini, has_copy, largest_share


def test_effective_number_by_hand() -> None:
    assert effective_number(np.array([5, 5, 5, 5])) == pytest.approx(4)
    assert effective_number(np.array([7, 0])) == pytest.approx(1)
    # shares 1/2, 1/4, 1/4: entropy 3/2 log 2
    assert effective_number(np.array([2, 1, 1])) == pytest.approx(2**1.5)
    assert effective_number(np.zeros(3)) == 0


def test_copies_are_kinds_of_their_own() -> None:
    assert effective_number(np.array([2, 1]), np.array([1, 2])) == pytest.approx(effective_number(np.array([2, 1, 1])))
    assert gini(np.array([2, 1]), np.array([1, 2])) == pytest.approx(gini(np.array([2, 1, 1])))


def test_gini_by_hand() -> None:
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    # mean absolute difference of 1, 2, 3 over all nine pairs 8/9; half of it over the mean 2
    assert gini(np.array([3, 1, 2])) == pytest.approx(8 / 9 / 2 / 2)
    assert gini(np.array([5, 0, 5])) == pytest.approx(0), "sources without a clip do not count"
    assert np.isnan(gini(np.zeros(2)))


def test_gini_is_the_mean_absolute_difference() -> None:
    counts = np.random.default_rng(0).integers(1, 50, 40)
    slow = np.abs(counts[:, None] - counts).mean() / 2 / counts.mean()
    assert gini(counts) == pytest.approx(slow)


def test_coverage_and_the_largest_source() -> None:
    assert covered_share(np.array([1, 0, 3, 0]), np.array([True, True, True, False])) == pytest.approx(2 / 3)
    assert largest_share(np.array([1, 3])) == 0.75
    assert largest_share(np.array([1, 3]), np.array([3, 1])) == 0.5


def test_copies_among_some_clips() -> None:
    assert has_copy(np.array([4, -1, 4, 2, -1])).tolist() == [True, False, True, False, False]
