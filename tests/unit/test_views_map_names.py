"""Where names stand on a map, against answers worked by hand."""

from __future__ import annotations

import numpy as np

from explorer.views import map_names

WINDOW = (0.0, 0.0, 96.0, 96.0)  # cells of one unit


def test_a_name_stands_in_the_densest_part_not_between_two() -> None:
    xy = np.array([[10.5, 80.5]] * 5 + [[90.5, 80.5]] * 3 + [[50.5, 5.5]] * 4, np.float32)
    labels = np.array([0] * 8 + [2] * 4, np.int32)
    found = map_names.centres(xy, labels, [2, 0], WINDOW)
    assert np.allclose(found, [[50.5, 5.5], [10.5, 80.5]])


def test_the_middle_is_that_of_the_cells_around() -> None:
    xy = np.array([[20.5, 20.5], [20.5, 20.5], [22.5, 20.5], [20.5, 18.5]], np.float32)
    assert np.allclose(map_names.centres(xy, np.zeros(4, np.int32), [0], WINDOW), [[21.0, 20.0]])


def test_corners_gaps_and_clusters_without_a_place() -> None:
    xy = np.array([[0, 0], [96, 96], [np.nan, np.nan], [500, 500], [7.5, 7.5]], np.float32)
    labels = np.array([0, 1, 2, 3, -1], np.int32)
    found = map_names.centres(xy, labels, [0, 1, 2, 3, 9], WINDOW)
    assert np.allclose(found[:2], [[0.5, 0.5], [95.5, 95.5]]) and np.isnan(found[2:]).all()
    assert map_names.centres(xy, labels, [], WINDOW).shape == (0, 2)
    assert np.isnan(map_names.centres(xy[:0], labels[:0], [0], WINDOW)).all()


def test_named_clusters_come_first_then_the_largest() -> None:
    sizes = np.arange(100)
    found = map_names.chosen(sizes, {3, 99, 0})
    assert found == [99, 3, *range(98, 80, -1)] and len(found) == map_names.MOST
    assert map_names.chosen(np.array([0, 5, 2]), set()) == [1, 2] and map_names.chosen(np.zeros(0, int), set()) == []
