"""The figures of a selection: what stands in their HTML."""

from __future__ import annotations

import re
from urllib.parse import unquote

import numpy as np
import pytest
from numpy.testing import assert_allclose

from explorer import curves
from explorer.views.breadth import Point

SIZE = np.array([25, 50, 75])


def lines(html: str) -> list[np.ndarray]:
    """Points of each line, (n, 2), from 0 to 1000, y downwards."""
    picture = unquote(re.findall(r'src="data:image/svg\+xml,([^"]+)"', html)[0])
    found = re.findall(r"points='([^']+)'", picture)
    return [np.array([list(map(float, point.split(","))) for point in one.split()]) for one in found]


def names(html: str) -> list[str]:
    return re.findall(r'<span class="name"[^>]*>([^<]*)</span>', html)


@pytest.mark.parametrize("dark", [False, True])
def test_a_curve_stands_on_axes_that_hold_it(dark: bool) -> None:
    html = curves.mi_curve(SIZE, SIZE / 75.0, SIZE / 150.0, SIZE / 100.0, marker=50, dark=dark)
    random, permuted, run = lines(html)
    assert_allclose(run[:, 0], [1000 / 3, 2000 / 3, 1000], atol=0.1)
    assert_allclose(1000 - run[:, 1], [1000 / 3, 2000 / 3, 1000], atol=0.1)  # the axis ends at 1
    assert_allclose(2 * (1000 - random[:, 1]), 1000 - run[:, 1], atol=0.2)
    assert_allclose((1000 - permuted[:, 1]) / 0.75, 1000 - run[:, 1], atol=0.2)
    assert 'class="mark" style="left:66.67%"' in html and "50 clips" in html
    assert "mutual information, nats" in html and "clips selected" in html
    assert "this" not in html and "selection 1.000 nats at 75 clips; permuted sounds 0.750" in html


def test_a_curve_draws_what_is_known_and_names_are_text() -> None:
    html = curves.mi_curve(np.array([25, 50]), np.array([1.0, 1.5]), None, np.array([0.4, np.nan]), name="run <A>")
    assert len(lines(html)) == 1 and html.count('class="dot"') == 1
    assert names(html) == ["permuted sounds", "run &lt;A&gt;"] and "<A>" not in html


def test_a_curve_below_zero_is_on_the_figure() -> None:
    html = curves.mi_curve(SIZE, np.array([-0.5, 0.0, 1.0]))
    assert lines(html)[0][:, 1].min() >= 0 and lines(html)[0][:, 1].max() <= 1000


def test_names_of_curves_do_not_cover_each_other() -> None:
    size = np.array([10, 20])
    html = curves.mi_curve(size, np.array([1.0, 2.0]), np.array([1.0, 1.99]), np.array([1.0, 1.995]), height=300)
    found = re.findall(r'class="name" style="left:[^;]+;bottom:calc\(([\d.]+)% \+ (\d+)px', html)
    heights = sorted(float(share) / 100 * (300 - 110) + int(px) for share, px in found)
    assert len(heights) == 3 and np.diff(heights).min() >= 16


def test_the_pointer_is_told_the_numbers_of_all_lines() -> None:
    size = np.arange(1, 501) * 10
    html = curves.mi_curve(size, size / 5000, size / 10_000, others={"other": (size[:250], size[:250] / 2500)})
    strips = re.findall(r'class="at (\w+)" style="left:([\d.]+)%;width:([\d.]+)%"><em>([^<]+)</em>', html)
    assert len(strips) == curves.HOVERS_MAX
    assert strips[0][0] == "behind" and strips[-1][0] == "before"
    assert strips[-1][3] == "5,000 clips, nats\nselection 1.000\nrandom 0.500"  # the other one ended before
    assert strips[0][3] == "10 clips, nats\nselection 0.002\nother 0.004\nrandom 0.001"
    assert sum(float(width) for _, _, width, _ in strips) == pytest.approx(100, abs=1)


def test_figures_leave_their_arrays_alone() -> None:
    size, line = np.array([1.0, 2.0]), np.array([0.5, np.nan])
    copies = size.copy(), line.copy()
    curves.mi_curve(size, line, line, line)
    for array, copy in zip((size, line), copies):
        np.testing.assert_array_equal(array, copy)


def test_figures_without_data_say_so() -> None:
    for html in (curves.mi_curve(np.array([]), np.array([])), curves.mi_curve(SIZE, np.full(3, np.nan))):
        assert "The curve appears" in html and "<img" not in html
    assert "Known answers" in curves.precision_breadth([])


def test_the_figure_has_a_dot_a_run_and_names_random() -> None:
    points = [Point("a", 80, 70, 60, 78, "known"), Point("<b>", 40, 90, 90, 90, "estimated")]
    html = curves.precision_breadth(points, shown="a", random=50.0)
    assert len(re.findall('class="dot', html)) == 2 and len(re.findall('class="reach', html)) == 1
    hollow, filled = re.findall(r'class="dot ([^"]*)"', html)
    assert hollow.split() == ["hollow"] and filled.split() == ["shown"]  # the shown run lies on top
    assert "a · 70.0 % correspond (known), interval 60–78 % · 80 % of" in html
    assert re.findall(r'class="beside[^>]*>([^<]*)<', html) == ["a", "&lt;b&gt;"] and "<b>" not in html
    assert 'class="random" style="bottom:43.86%"' in html  # 50 of 114
    low, high = 100 * 60 / curves.TOP_OF_SHARES, 100 * 78 / curves.TOP_OF_SHARES
    assert f"bottom:{low:.2f}%;height:{high - low:.2f}%" in html


def test_names_that_would_cover_each_other_are_left_to_the_hover() -> None:
    crowd = [Point(f"run number {i}", 90 + i / 10, 80 + i / 10, 80, 81, "known") for i in range(8)]
    found = curves.point_names(crowd, "run number 5", 112.0, None, curves.HEIGHT)
    assert found[0].text == "run number 5" and len(found) < len(crowd)
    apart = [Point(f"run {i}", 20 + 30 * i, 20 + 30 * i, 0, 0, "estimated") for i in range(3)]
    assert len(curves.point_names(apart, "", 112.0, None, curves.HEIGHT)) == 3
    best = curves.point_names([Point("the best", 100, 100, 98, 100, "known")], "the best", 112.0, None, curves.HEIGHT)
    assert [note.text for note in best] == ["the best"]
