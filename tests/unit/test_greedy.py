"""The greedy engine: ties, caps, threads, breaks. Its picks are held against the plain version in test_methods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest

from curation.kernels import greedy as kernel
from curation.kernels.greedy import Greedy
from curation.kernels.quotas import family, label_counts
from tests import reference
from tests.planmaker import finished, made_codes, made_plan

CODES = made_codes(300, k=5)
_PLANS: dict[str, dict[str, Any]] = {
    "plain": {},
    "equal weights": {"equal": True},
    "included": {"included": np.array([7, 3]), "excluded": np.array([0, 1, 2])},
    "caps": {"quotas": family(CODES[:, 0], np.full(5, 9)), "included": np.array([7, 3]), "budget": 200},
    "hours": {"duration_us": np.arange(1, 301), "limit_us": 4000, "budget": 300},
}


def _broken(plan: Any, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = Greedy(plan), Greedy(plan)
    first.step(stop)
    second.restore(first.state())
    return finished(second)


@pytest.mark.parametrize("name", _PLANS)
@pytest.mark.parametrize("permuted", [False, True])
def test_a_broken_run_goes_on_as_if_it_never_stopped(name: str, permuted: bool) -> None:
    plan = made_plan(CODES, **_PLANS[name])
    if permuted:
        partner = np.random.default_rng(3).permutation(300).astype(np.int32)
        plan = replace(plan, rows=plan.rows._replace(partner=partner))
    wanted = finished(Greedy(plan))
    for stop in (0, 1, 17, 44, 300):
        for found, value in zip(_broken(plan, stop), wanted, strict=True):
            np.testing.assert_array_equal(found, value)
    if name == "caps":
        assert label_counts(plan.quotas, wanted[0]).max() == 9 and len(wanted[0]) == 45


def test_wide_and_narrow_assignments_are_read_alike() -> None:
    pairs, n = [(0, 1), (0, 3), (2, 1), (2, 3)], 40
    plan = made_plan(CODES, equal=True, budget=n)
    wanted = reference.greedy(CODES, pairs, [0.25] * 4, budget=n, seed=plan.seed)
    for codes in (CODES.astype(np.int8), CODES, np.asfortranarray(CODES)):
        found = finished(Greedy(replace(plan, rows=plan.rows._replace(codes=codes))))[0]
        assert found.tolist() == wanted


@pytest.mark.skipif(numba.get_num_threads() < 2, reason="numba may use one thread only")
def test_threads_pick_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = made_plan(made_codes(1100, k=5), equal=True, budget=80)
    wanted = finished(Greedy(plan))
    monkeypatch.setattr(kernel, "_SHARED_ROWS", 100)
    shared = Greedy(plan)
    assert shared._team.workers > 1
    for found, value in zip(finished(shared), wanted, strict=True):
        np.testing.assert_array_equal(found, value)


def test_memory_beside_the_assignments_is_small() -> None:
    """8 bytes a clip for its gain, which become its score, beside the picks."""
    codes = np.random.default_rng(0).integers(0, 32, (50_000, 4), dtype=np.int8)
    engine = Greedy(made_plan(codes, budget=2))
    engine.step(2)
    assert np.shares_memory(engine.result()[2], engine._gains)
