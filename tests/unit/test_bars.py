"""Small bar charts: what stands in their HTML."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from explorer import bars, theme


def lengths(html: str, kind: str, of: str = "height") -> list[float]:
    return [float(found) for found in re.findall(rf'<b class="{kind}" style="{of}:([\d.]+)%', html)]


def test_balance_puts_the_largest_first_and_says_shares_and_counts():
    before, after = np.array([10, 70, 20]), np.array([5, 5, 0])
    html = bars.balance(before, after, modality="audio", labels=["x", "y", "z"], dark=False, height=200)
    hints = re.findall('title="([^"]+)"', html)
    assert hints[0] == "y · candidates 70 % · selected 50 %, 5 clips"
    assert hints[1].startswith("z") and "10 %" in hints[2]
    assert_allclose(np.divide(lengths(html, "before"), lengths(html, "before")[0]), [1, 20 / 70, 10 / 70], atol=1e-3)
    assert_allclose(np.divide(lengths(html, "after"), lengths(html, "before")[0]), [50 / 70, 0, 50 / 70], atol=1e-3)
    assert theme.palette(False).audio_fill in html and "sound clusters, largest first" in html
    assert before.tolist() == [10, 70, 20] and after.tolist() == [5, 5, 0]


@pytest.mark.parametrize("highest", [0.013, 0.9, 1.0, 4.99, 11.7, 50.0, 99.9, 100.0])
def test_an_axis_holds_every_bar_and_its_steps_are_round(highest):
    shares = bars.Shares(["a", "b"], np.array([highest, highest / 3]), np.array([0.0, highest / 2]))
    html = bars.columns(shares, dark=True, height=200)
    assert 50 < max(lengths(html, "before")) <= 100
    steps = [float(step) for step in re.findall(r"<em>([\d.e-]+)</em>", html)]
    assert steps[0] == 0 and 3 <= len(steps) <= 6 and steps[-1] >= highest * 0.999
    assert_allclose(np.diff(steps), steps[1])


def test_rows_say_the_number_beside_the_bar():
    html = bars.rows(bars.Shares(["static"], np.array([40.0]), np.array([4.25])), dark=False, height=200)
    assert lengths(html, "before", "width") == [100.0] and lengths(html, "after", "width") == [10.62]
    assert "<em>4.25 %</em>" in html


@pytest.mark.parametrize(
    "html",
    [
        bars.columns(bars.Shares([], np.array([]), np.array([])), dark=False, height=99),
        bars.columns(bars.Shares(["a"], np.zeros(1), np.zeros(1)), dark=False, height=99),
        bars.rows(bars.Shares([], np.array([]), np.array([])), dark=False, height=99),
        bars.nothing("Nothing to count yet.", 99),
    ],
)
def test_nothing_says_so(html):
    assert "Nothing to count yet." in html and "height:99px" in html and "<b" not in html


def test_names_are_text():
    bad, one = '<img src=x onerror="1">', np.ones(1)
    shares = bars.Shares([bad], one, one)
    for html in (
        bars.rows(shares, title=bad, dark=False, height=99),
        bars.columns(shares, title=bad, axis=bad, dark=False, height=99),
        bars.balance(np.array([3]), np.array([1]), modality="visual", labels=[bad], dark=True, height=99),
        bars.nothing(bad, 99),
    ):
        assert "<img" not in html and '="1"' not in html and "&lt;img" in html
