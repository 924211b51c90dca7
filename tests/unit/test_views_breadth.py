"""Precision against breadth, against hand-worked answers."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.views import breadth
from explorer.views.selection import precision


def test_equal_clusters_count_each() -> None:
    assert breadth.effective_clusters(np.array([0, 0, 1, 1, 2, 2, -1])) == pytest.approx(3)
    assert breadth.effective_clusters(np.array([5, 5, 5])) == pytest.approx(1)
    assert breadth.effective_clusters(np.array([-1])) == 0


def test_breadth_is_relative_to_the_candidates() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert breadth.relative_breadth([labels], np.arange(8), [4.0]) == pytest.approx(100)
    assert breadth.relative_breadth([labels], np.array([0, 1, 2, 3]), [4.0]) == pytest.approx(50)
    one = np.zeros(8, int)
    assert breadth.relative_breadth([labels, one], np.array([0, 1]), [4.0, 1.0]) == pytest.approx(50)  # sqrt(1/4 * 1)


def test_points_say_how_they_are_known() -> None:
    truth, known = np.array([True, True, False, False]), np.array([True, True, True, False])
    found = precision(np.array([0, 1, 2, 3]), truth, known)
    assert found is not None
    point = breadth.known_point("a", 80.0, found)
    assert point.right == pytest.approx(200 / 3) and point.low < point.right < point.high and point.how == "known"
    nothing = np.array([np.nan])
    low, high = np.array([0.0, 0.4, np.nan]), np.array([0.2, 0.6, np.nan])
    guessed = breadth.estimated_point("b", 70.0, np.array([0.1, 0.3, np.nan]), low, high)
    assert guessed is not None and guessed.right == pytest.approx(80) and guessed.how == "estimated"
    assert (guessed.low, guessed.high) == pytest.approx((60, 85))  # 1 - mean(0.2, 0.6), 1 - mean(0, 0.3)
    assert breadth.estimated_point("c", 70.0, nothing, nothing, nothing) is None
