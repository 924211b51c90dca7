"""The funnel of the selection page, against hand-worked answers."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.views import funnel

HOURS = np.array([1.0, 1, 2, 2, 4, np.nan])


def passed(off: tuple[str, ...] = ()) -> list[funnel.Passed]:
    healthy = np.array([True, True, True, True, False, True])
    copies = np.array([7, -1, 7, -1, 7, -1])
    inside = np.array([True, False, True, True, True, True])
    steps = {
        "healthy": funnel.meeting(healthy), "copies": funnel.first_of_copies(copies), "scope": funnel.meeting(inside),
    }  # fmt: skip
    return funnel.walk(6, steps, off)


def test_every_step_counts_what_the_ones_before_it_left() -> None:
    found = funnel.in_numbers(passed(), HOURS, lambda mask: float(mask.sum()))
    assert [(step.key, step.left, step.lost) for step in found] == [
        ("healthy", 5, 1),
        ("copies", 4, 1),
        ("scope", 3, 1),
    ]
    assert [step.lost_hours for step in found] == [4, 2, 1]
    assert found[-1].left_hours == 3  # 1 + 2, and one clip without times
    assert [step.dependence for step in found] == [-1, -1, -1]


def test_a_step_that_is_off_loses_nothing_but_says_what_it_would() -> None:
    healthy, copies, scope = funnel.in_numbers(passed(("copies",)), HOURS, lambda mask: 0.0)
    assert (copies.on, copies.left, copies.lost, copies.lost_hours) == (False, 5, 1, 2)
    assert (scope.left, scope.lost) == (4, 1)
    assert healthy.on


def test_the_first_of_copies_is_the_first_that_is_left() -> None:
    lost = passed()[1].lost
    assert lost.tolist() == [False, False, True, False, False, False]
    narrow = funnel.first_of_copies(np.array([3, 3, 3]))
    assert narrow(np.array([False, True, True])).tolist() == [False, True, False]


def test_dependence_takes_away_what_chance_reads() -> None:
    same = np.array([0, 0, 1, 1])
    # log 2, less (2 cells - 2 - 2 + 1) / (2 * 4) = -1/8
    assert funnel.dependence([same, same], ["audio", "visual"], "bipartite") == pytest.approx(np.log(2) + 1 / 8)
    rng = np.random.default_rng(0)
    unrelated = [rng.integers(20, size=4000) for _ in range(2)]
    assert abs(funnel.dependence(unrelated, ["audio", "visual"], "bipartite")) < 0.01  # the plug-in reads 0.045
    assert np.isnan(funnel.dependence([same[:0], same[:0]], ["audio", "visual"], "bipartite"))
    assert np.isnan(funnel.dependence([same, same], ["audio", "audio"], "bipartite"))


@pytest.mark.parametrize("rest", ["", "start_s < 5", "a = ')' AND (b OR c)", "(a) OR (b)"])
@pytest.mark.parametrize("healthy", [True, False])
def test_a_scope_is_written_and_read_back(healthy: bool, rest: str) -> None:
    assert funnel.split_scope(funnel.join_scope(healthy, rest)) == (healthy, rest)


def test_a_condition_that_only_looks_like_ours_stays_as_it_was_typed() -> None:
    for text in ("healthy AND (a) OR (b)", "healthy OR quiet", "NOT healthy"):
        assert funnel.split_scope(text) == (False, text)


def test_scope_and_exclusion_as_one_condition() -> None:
    assert funnel.within("", " ") == ""
    assert funnel.within("a > 1", "b") == "(a > 1) AND ((b) IS NOT TRUE)"
