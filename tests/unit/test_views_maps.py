"""What the maps draw, against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.views import maps

NAN = float("nan")
UNIT = (0.0, 0.0, 1.0, 1.0)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of two by two pixels from the first clip on."""
    monkeypatch.setattr(maps, "MAX_POINTS", 0)
    monkeypatch.setattr(maps, "PIXELS", 2)
    monkeypatch.setattr(maps, "LEAST_PIXELS", 2)


def corners(*counts: int) -> np.ndarray:
    """So many clips in the upper left, upper right, lower left and lower right of the unit square."""
    places = np.float32([[0.2, 0.8], [0.8, 0.8], [0.2, 0.2], [0.8, 0.2]])
    return np.repeat(places, counts, axis=0)


def test_few_clips_are_points_in_their_places() -> None:
    xy = np.float32([[0, 0], [1, 1], [0.5, 0.25], [NAN, NAN], [2, 0]])
    marked = np.array([False, True, False, True, True])
    drawn = maps.draw(xy, maps.ground(xy, UNIT), maps.groups(np.array([0, 1, -1, 0, 0]), ["a", "b"]), marked)
    assert drawn.image is None and drawn.rows.tolist() == [0, 1, 2] and (drawn.visible, drawn.visible_marked) == (3, 1)
    assert drawn.places.tolist() == [[-32767, -32767], [32767, 32767], [0, -16384]]
    assert drawn.colors.tolist() == [1, 2, 0] and drawn.marked.tolist() == [False, True, False]


def test_densities_are_logarithmic_and_the_colour_is_the_majoritys(few: None) -> None:
    xy = corners(1, 4, 16, 0)
    labels = np.array([0] + [1, 1, 1, 0] + [0] * 16)
    coloring = maps.groups(labels, ["a", "b"])
    drawn = maps.draw(xy, maps.ground(xy, UNIT), coloring)
    assert drawn.image is not None and coloring.levels == 85
    color, level = (drawn.image.astype(int) - 1) // 85, (drawn.image.astype(int) - 1) % 85
    assert color[0].tolist() == [1, 2] and color[1, 0] == 1 and drawn.image[1, 1] == 0
    # 1, 4 and 16 clips: nothing, half and all of the logarithm of the 99.5th percentile, 15.88.
    assert (level[0, 0], level[0, 1], level[1, 0]) == (0, int(85 * np.log(4) / np.log(15.88)), 84)


def test_what_is_not_marked_is_grey_and_the_marked_show_their_own_colour(few: None) -> None:
    xy = corners(3, 3, 0, 0)
    coloring = maps.groups(np.array([0, 0, 1, 0, 0, 0]), ["a", "b"])
    marked = np.array([False, False, True, False, False, False])
    drawn = maps.draw(xy, maps.ground(xy, UNIT), coloring, marked)
    assert drawn.image is not None and drawn.visible_marked == 1
    assert ((drawn.image.astype(int) - 1) // 85)[0].tolist() == [2, 0]


def test_a_pixel_of_numbers_has_their_mean_and_shares_their_share(few: None) -> None:
    xy = corners(2, 4, 2, 0)
    values = np.array([0.0, 10, 10, 10, 10, NAN, NAN, NAN])
    found = maps.scale(values)
    assert found.ends == pytest.approx((0.4, 10), abs=0.2) and found.code[:2].tolist() == [1, 24]
    drawn = maps.draw(xy, maps.ground(xy, UNIT), found)
    assert drawn.image is not None
    color = (drawn.image.astype(int) - 1) // found.levels
    assert color[0].tolist() == [12, 24] and color[1, 0] == 0, "(1 + 24) / 2; NaN has no colour"
    share = maps.share(np.array([True, False] + [True] * 4 + [False] * 2), None, ("no", "yes"))
    drawn = maps.draw(xy, maps.ground(xy, UNIT), share)
    assert drawn.image is not None
    assert ((drawn.image.astype(int) - 1) // share.levels).tolist()[0] == [12, 24]
    assert maps.scale(np.full(3, NAN)).code.tolist() == [0, 0, 0]
    assert maps.scale(np.full(3, 7.0)).ends == (7.0, 7.0)


def test_images_are_bounded_and_as_wide_as_their_window() -> None:
    xy = np.random.default_rng(0).random((20_000, 2)).astype(np.float32)
    drawn = maps.draw(xy, maps.ground(xy, (0.0, 0.0, 1.0, 0.5)), maps.plain(20_000))
    assert drawn.image is not None and drawn.image.shape == (80, 160) and drawn.image.dtype == np.uint8
    assert drawn.image.max() <= 254 and drawn.visible == pytest.approx(10_000, rel=0.05)
    assert maps.hues(np.zeros(1, int), xy[:1], 1).colors * maps.hues(np.zeros(1, int), xy[:1], 1).levels <= 255


def test_the_largest_groups_keep_a_colour_each() -> None:
    labels = np.repeat(np.arange(9), np.arange(1, 10))
    found = maps.groups(np.append(labels, -1), [f"c{i}" for i in range(9)])
    assert found.names == ("c2", "c3", "c4", "c5", "c6", "c7", "c8", "other")
    assert found.code[0] == 8 and found.code[-1] == 0 and found.code[-2] == 7 and found.colors == 9
    assert maps.groups(np.array([-1]), ["a"]).names == ()


def test_clusters_that_lie_near_each_other_have_hues_alike() -> None:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    centres = np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32)
    labels = np.repeat(np.arange(12), 10)
    found = maps.hues(np.append(labels, -1), np.append(centres[labels], [[NAN, NAN]], 0), 12)
    hue = (found.code[:-1].astype(int) - 1)[::10] // maps.RINGS
    assert found.code[-1] == 0 and (np.diff(np.sort(hue)) > 0).all() and len(set(hue)) == 12


def test_the_home_window_leaves_out_far_outliers_only() -> None:
    xy = np.random.default_rng(1).normal(size=(10_000, 2)).astype(np.float32)
    x0, y0, x1, y1 = maps.home_window(xy)
    assert x0 < xy[:, 0].min() + 0.5 and x1 > xy[:, 0].max() - 0.5 and y0 < y1
    far = maps.home_window(np.append(xy, np.float32([[1000, 1000]]), 0))
    assert far[2] < 10
    assert maps.home_window(np.float32([[3, 3]]))[0] < 3 < maps.home_window(np.float32([[3, 3]]))[2]
    assert maps.home_window(np.full((2, 2), NAN, np.float32)) == maps.NO_WINDOW


def test_an_outline_gives_the_rows_inside() -> None:
    xy = np.float32([[0, 0], [5, 5], [NAN, 0], [0.5, 0.1]])
    assert maps.rows_inside(xy, np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])).tolist() == [0, 3]


def test_some_of_many_stay_the_same_and_marked_clips_spread_over_clusters() -> None:
    rows = np.arange(0, 3000, 3)
    few = maps.some_of(rows, 5)
    assert len(few) == 5 and set(few) <= set(rows) and few.tolist() == maps.some_of(rows, 5).tolist()
    assert maps.some_of(rows[:4], 5).tolist() == rows[:4].tolist()
    labels = np.array([0] * 50 + [1] * 49 + [2])
    assert maps.spread_over(labels, np.arange(100)) == 2
    assert maps.spread_over(labels, np.array([], int)) == 0
    assert maps.spread_over(np.array([-1, 4]), np.array([0, 1])) == 1


def test_distinct_values_of_a_column() -> None:
    codes, called = maps.categories(np.array(["dog", None, "cat", "dog"], dtype=object))
    assert codes.tolist() == [0, -1, 1, 0] and called == ["dog", "cat"]
    codes, called = maps.categories(np.array([2.0, NAN, 2.0]))
    assert codes.tolist() == [0, -1, 0] and called == ["2.0"]


def test_a_few_marked_of_many_are_points_over_the_grey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "MAX_POINTS", 2)
    xy = np.array([[0, 0], [0, 0], [1, 1], [0.5, 0.5], [9, 9]], np.float32)
    coloring = maps.groups(np.array([0, 1, 1, 0, 1]), ["a", "b"])
    marked = np.array([False, True, True, False, True])
    drawn = maps.draw(xy, maps.ground(xy, (-0.1, -0.1, 1.1, 1.1)), coloring, marked)
    assert drawn.image is not None and (drawn.visible, drawn.visible_marked) == (4, 2)
    assert set(((drawn.image.astype(int) - 1) // coloring.levels)[drawn.image > 0]) == {0}, "the image is grey alone"
    assert drawn.rows.tolist() == [1, 2] and drawn.colors.tolist() == [2, 2] and drawn.marked.all()
    marked[:] = True  # more than are points: they have their colours in the image, none of them faint
    drawn = maps.draw(xy, maps.ground(xy, (-0.1, -0.1, 1.1, 1.1)), coloring, marked)
    assert drawn.image is not None and not len(drawn.rows)
    found = drawn.image[drawn.image > 0].astype(int) - 1
    assert (found // coloring.levels > 0).all() and (found % coloring.levels >= int(0.7 * coloring.levels)).all()
