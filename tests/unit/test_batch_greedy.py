"""Batch-greedy engines: picks equal to a slow plain version, on every device, thread count and after every break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.batch_greedy import SHARED_BATCH, BatchGreedy
from curation.kernels.contingency import Rows
from curation.kernels.greedy_plan import Plan, count_again, make_tables
from curation.kernels.quotas import family
from tests.planmaker import finished, made_codes, made_plan, plain

_RNG = np.random.default_rng(11)
_VARIANTS: dict[str, dict[str, Any]] = {
    "redraw": {},
    "equal weights": {"equal": True, "budget": 140},
    "equal weights, queue": {"equal": True, "queue": True, "batch_size": 40, "selection_size": 10},
    "queue": {"queue": True},
    "large batches": {"batch_size": 90, "selection_size": 80, "budget": 150},
    "batch of all": {"batch_size": 150, "selection_size": 2, "budget": 40},
    "everything": {"budget": 150},
    "everything from the queue": {"budget": 150, "queue": True},
    "one by one": {"batch_size": 1, "selection_size": 1},
    "excluded": {"excluded": np.arange(0, 150, 4), "budget": 100},
    "included": {"included": np.array([9, 3, 140]), "excluded": np.array([0, 1]), "budget": 148},
    "included, queue": {"included": np.array([9, 3, 140]), "excluded": np.array([0, 1]), "budget": 90, "queue": True},
    "groups": {"group": _RNG.integers(0, 12, 150).astype(np.int32), "group_max": 4, "budget": 48},
    "groups, queue": {"group": _RNG.integers(0, 12, 150).astype(np.int32), "group_max": 4, "budget": 48, "queue": True},
    "groups, batch of half": {
        "group": _RNG.integers(0, 5, 150).astype(np.int32),
        "group_max": 20,
        "budget": 95,
        "batch_size": 60,
        "selection_size": 30,
        "included": np.array([5, 77]),
    },
    "hours": {"duration_us": _RNG.integers(1, 100, 150), "limit_us": 2000, "budget": 150},
    "permuted": {"partner": _RNG.permutation(150).astype(np.int32)},
}


def _variant(name: str, codes: np.ndarray, pairing: str = "bipartite") -> Plan:
    given = dict(_VARIANTS[name])
    partner = given.pop("partner", None)
    plan = made_plan(codes, pairing, **given)
    return plan if partner is None else replace(plan, rows=plan.rows._replace(partner=partner))


@pytest.mark.parametrize("name", _VARIANTS)
def test_picks_equal_the_plain_version(name: str) -> None:
    codes = made_codes(150)
    plan = _variant(name, codes)
    order, gain, _ = finished(BatchGreedy(plan))
    wanted, wanted_gain = plain(plan, codes)
    assert order.tolist() == wanted
    assert gain == pytest.approx(np.array(wanted_gain), abs=1e-11, nan_ok=True)


@pytest.mark.parametrize("name", _VARIANTS)
def test_torch_picks_equal_numba_picks(name: str) -> None:
    torch_engine = pytest.importorskip("curation.kernels.batch_greedy_torch")
    plan = _variant(name, made_codes(150), "combination")
    engine, other = BatchGreedy(plan), torch_engine.BatchGreedyTorch(plan, "cpu")
    wanted, found = finished(engine), finished(other)
    assert found[0].tolist() == wanted[0].tolist()
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(found[2], wanted[2])
    assert (engine.n_scored, engine.objective()) == (other.n_scored, other.objective())


def test_ties_of_exact_arithmetic_go_to_the_earlier_draw() -> None:
    # g(2) + g(3) = 3 g(1): rounding must not decide between such clips, so many small counts are tried
    codes = np.concatenate([made_codes(400, k=3, seed=seed) for seed in range(3)])
    plan = made_plan(codes, "combination", equal=True, budget=60, batch_size=60, selection_size=6)
    assert finished(BatchGreedy(plan))[0].tolist() == plain(plan, codes)[0]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**64 - 1),
)
def test_any_shape_equals_the_plain_version(
    n: int, k: int, batch: int, take: int, queue: bool, equal: bool, seed: int
) -> None:
    codes = made_codes(n, k=k, seed=seed % 1000)
    batch = min(batch, n)
    plan = made_plan(
        codes,
        equal=equal,
        budget=max(1, n * 3 // 4),
        batch_size=batch,
        selection_size=min(batch, take),
        queue=queue,
        seed=seed,
    )
    assert finished(BatchGreedy(plan))[0].tolist() == plain(plan, codes)[0]


@pytest.mark.parametrize("selection", [33, 64, 250])
def test_large_selections_equal_the_plain_version(selection: int) -> None:
    codes = made_codes(420, k=5)
    for equal in (False, True):
        plan = made_plan(codes, equal=equal, batch_size=300, selection_size=selection, budget=330)
        assert finished(BatchGreedy(plan))[0].tolist() == plain(plan, codes)[0]


def test_a_clustering_without_a_pair_is_left_out() -> None:
    codes = made_codes(200)
    plan = made_plan(codes, "diagonal", equal=True)
    alone = replace(plan, layout=plan.layout._replace(first=plan.layout.first[:1], second=plan.layout.second[:1],
                    offset=plan.layout.offset[:2], stride=plan.layout.stride[:1]), weights=np.ones(1))  # fmt: skip
    assert finished(BatchGreedy(alone))[0].tolist() == plain(alone, codes)[0]


def test_scores_are_the_gains_when_last_compared() -> None:
    codes = made_codes(150)
    order, gain, scores = finished(BatchGreedy(made_plan(codes, batch_size=150, selection_size=10, budget=10)))
    np.testing.assert_array_equal(scores[order], gain)
    assert np.isfinite(scores).all() and scores.max() == gain[0]
    assert not len(finished(BatchGreedy(made_plan(codes, keep_scores=False)))[2])


def _threads(count: int, run: Callable[[], Any]) -> Any:
    before = numba.get_num_threads()
    numba.set_num_threads(min(count, before))
    try:
        return run()
    finally:
        numba.set_num_threads(before)


@pytest.mark.skipif(numba.get_num_threads() < 2, reason="numba may use one thread only")
@pytest.mark.parametrize("settings", [{}, {"queue": True}, {"equal": True, "included": np.arange(50)}])
def test_large_batches_are_shared_and_pick_the_same(settings: dict[str, Any]) -> None:
    codes = made_codes(60_000, k=40)
    plan = made_plan(codes, "combination", batch_size=SHARED_BATCH, selection_size=2_500, budget=30_000, **settings)
    one, two = (_threads(count, lambda: finished(BatchGreedy(plan))) for count in (1, 2))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["redraw", "everything", "permuted", "included, queue"])
def test_fetching_ahead_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = made_codes(150)
    plan = _variant(name, codes)
    wanted = finished(BatchGreedy(plan))
    monkeypatch.setattr("curation.kernels.batch_greedy._CACHED", -1)
    for found, value in zip(finished(BatchGreedy(plan)), wanted, strict=True):
        np.testing.assert_array_equal(found, value)


def test_tables_counted_again_are_the_running_ones() -> None:
    codes = made_codes(3000, k=9)
    for equal in (False, True):
        plan = made_plan(codes, "combination", equal=equal, budget=1500)
        engine, again = BatchGreedy(plan), make_tables(plan)
        order = finished(engine)[0]
        count_again(plan, again, order)
        for name in ("counts", "layer_counts", "values", "layer_values"):
            np.testing.assert_array_equal(getattr(again, name), getattr(engine.tables, name))


def _engines() -> list[Callable[[Plan], Any]]:
    torch_engine = pytest.importorskip("curation.kernels.batch_greedy_torch")
    return [BatchGreedy, lambda plan: torch_engine.BatchGreedyTorch(plan, "cpu")]


@pytest.mark.parametrize("name", [*_VARIANTS, "caps"])
@pytest.mark.parametrize(("one", "two"), [(0, 0), (1, 1), (0, 1), (1, 0)], ids=["cpu", "torch", "to torch", "to cpu"])
def test_a_broken_run_goes_on_as_if_it_never_stopped(name: str, one: int, two: int) -> None:
    codes = made_codes(150)
    if name == "caps":
        plan = made_plan(codes, budget=120, batch_size=60, selection_size=20, included=np.array([4, 9]),
                         quotas=family(codes[:, 0], np.full(6, 22)))  # fmt: skip
    else:
        plan = _variant(name, codes)
    wanted = finished(BatchGreedy(plan))
    engines = _engines()
    for stop in (0, 1, 2, 5, 9):
        first, second = engines[one](plan), engines[two](plan)
        first.step(stop)
        state = first.state()
        first.step(3)  # the state is a copy
        second.restore(state)
        assert second.n_picked == len(state["order"])
        for found, value in zip(finished(second), wanted, strict=True):
            np.testing.assert_array_equal(found, value)
        assert second.n_scored == _scored(plan)


def _scored(plan: Plan) -> int:
    engine = BatchGreedy(plan)
    finished(engine)
    return engine.n_scored


def test_memory_beside_the_assignments_is_small() -> None:
    """int8, 10 clusterings, 20 %: order, gain and g take 8 bytes a pick each, one bit a clip says what is taken."""
    n = 400_000
    codes = np.random.default_rng(0).integers(0, 32, (n, 10), dtype=np.int8)
    is_audio = np.arange(10) < 5
    plan = replace(made_plan(codes[:, :4]), rows=Rows(codes, np.zeros(0, np.int32), is_audio), budget=n // 5)
    for kept, limit in ((False, 0.6), (True, 1.4)):
        engine = BatchGreedy(replace(plan, keep_scores=kept))
        arrays = [*engine.run, *engine.pool, *engine.tables[:4], engine.tables.g]
        assert sum(array.nbytes for array in arrays) < limit * codes.nbytes
