"""Constraints under every method: caps, floors, duplicates, costs; what contradicts itself is refused before work."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import curation
from curation.errors import InputError, SettingError
from curation.kernels.batch_greedy import BatchGreedy
from curation.kernels.contingency import Rows, make_layout
from curation.kernels.greedy_plan import Plan
from curation.kernels.pairing import pair_indices
from curation.kernels.quotas import family, joined_quotas, label_counts, make_limits, repair_floors
from curation.methods.registry import METHODS

MODALITIES = ["audio", "visual", "audio", "visual"]
N = 600
_RNG = np.random.default_rng(0)
_KIND = _RNG.integers(0, 6, N)
CODES = np.where(_RNG.random((N, 4)) < 0.5, _KIND[:, None], _RNG.integers(0, 6, (N, 4))).astype(np.int32)
SPEECH = (CODES[:, 0] < 3) | (_RNG.random(N) < 0.3)
LANGUAGE = np.array(["en", "fr", None, "de"], dtype=object)[_RNG.integers(0, 4, N)]
GROUPS = np.arange(N) // 4
DUPLICATES = np.where(_RNG.random(N) < 0.3, _RNG.integers(0, 60, N), -1)
FEATURES = [_RNG.normal(size=(N, 4)) for _ in range(4)]


def _select(**settings: Any) -> curation.Selection:
    method = METHODS[settings.get("method", "batch-greedy")]
    needs: dict[str, Any] = {"budget": 120, "controls": False}
    if method.needs_features:
        needs["features"] = FEATURES
    if method.needs_like:
        needs["like"] = np.arange(120)
    if method.name == "contrastive":
        needs["options"] = {"steps": 5}
    return curation.select(CODES, MODALITIES, **(needs | settings))


@pytest.mark.parametrize("controls", [False, True], ids=["alone", "with controls"])
@pytest.mark.parametrize("method", METHODS)
def test_all_constraints_hold_together(method: str, controls: bool) -> None:
    found = _select(
        method=method,
        controls=controls,
        include=[5, 590],
        exclude=np.arange(N) % 7 == 1,
        groups=GROUPS,
        max_per_group=2,
        duplicate_groups=DUPLICATES,
        cluster_cap={"audio-0": 0.25, "visual-1": {0: 10}},
        cluster_floor={"visual-0": 0.12},
        share_cap={"speech": {True: 0.4}},
        share_floor={"language": {"fr": 0.3, "de": 0.25}},
        columns={"speech": SPEECH, "language": LANGUAGE},
    )
    order = found.order
    assert len(order) == len(set(order.tolist())) == 120
    assert order[:2].tolist() == [5, 590] and not (order % 7 == 1).any()
    assert np.bincount(GROUPS[order]).max() <= 2
    copies = DUPLICATES[order]
    assert np.bincount(copies[copies >= 0]).max() == 1
    assert np.bincount(CODES[order, 0]).max() <= 30 and (CODES[order, 3] == 0).sum() <= 10
    assert np.bincount(CODES[order, 1], minlength=6).min() >= 15
    assert SPEECH[order].sum() <= 48
    assert (LANGUAGE[order] == "fr").sum() >= 36 and (LANGUAGE[order] == "de").sum() >= 30
    assert len(found.gain) == 120 and len(found.scores) == N
    json.dumps(found.report, allow_nan=False)


@pytest.mark.parametrize("method", ["batch-greedy", "greedy", "ratio", "random"])
def test_one_constraint_at_a_time(method: str) -> None:
    free = _select(method=method)
    assert SPEECH[free.order].mean() > 0.3
    capped = _select(method=method, share_cap={"s": {True: 0.2}}, columns={"s": SPEECH})
    assert SPEECH[capped.order].sum() == 24
    floored = _select(method=method, share_floor={"s": {True: 0.95}}, columns={"s": SPEECH})
    assert SPEECH[floored.order].sum() == 114
    # what was not needed for the floor stays in its order
    kept = [i for i in floored.order.tolist() if i in set(free.order.tolist())]
    assert kept == [i for i in free.order.tolist() if i in set(kept)]
    none = _select(method=method, cluster_cap={"visual-0": {2: 0}})
    assert not (CODES[none.order, 1] == 2).any() and len(none.order) == 120


def test_redundant_constraints_change_nothing() -> None:
    for method in ("batch-greedy", "greedy", "ratio", "random"):
        free = _select(method=method)
        same = _select(method=method, cluster_cap={"audio-0": 1.0}, cluster_floor={"audio-0": 0},
                       share_cap={"s": {True: 1.0}}, columns={"s": SPEECH}, duplicate_groups=np.arange(N))  # fmt: skip
        assert same.order.tolist() == free.order.tolist()


def test_floors_take_the_best_of_what_is_lacking() -> None:
    scores = _select(method="ratio").scores
    few = np.zeros(N, bool)
    few[np.argsort(scores)[:30]] = True  # the worst ones
    found = _select(method="ratio", share_floor={"few": {True: 0.1}}, columns={"few": few})
    chosen = found.order[few[found.order]]
    wanted = sorted(np.flatnonzero(few), key=lambda i: -scores[i])[:12]
    assert sorted(scores[chosen]) == pytest.approx(sorted(scores[wanted]))


def test_shares_hold_where_hours_end_the_run_early() -> None:
    durations = np.random.default_rng(3).uniform(1, 30, N)
    for method in ("batch-greedy", "ratio"):
        found = _select(method=method, budget="0.4h", durations_s=durations, share_cap={"s": {True: 0.25}},
                        share_floor={"l": {"en": 0.3}}, columns={"s": SPEECH, "l": LANGUAGE})  # fmt: skip
        assert durations[found.order].sum() <= 1440
        assert SPEECH[found.order].mean() <= 0.25 and (LANGUAGE[found.order] == "en").mean() >= 0.3


def test_caps_that_leave_less_say_so() -> None:
    found = _select(budget=500, share_cap={"s": {True: 0.1}}, columns={"s": SPEECH})
    assert len(found.order) < 500 and SPEECH[found.order].mean() <= 0.1
    assert "share_cap and the clips there are leave" in found.report["notices"][0]
    once = _select(budget=N, duplicate_groups=DUPLICATES)
    assert len(once.order) == (DUPLICATES < 0).sum() + len(set(DUPLICATES[DUPLICATES >= 0].tolist()))


def test_costs_of_constraints() -> None:
    found = _select(method="ratio", cluster_cap={"audio-0": 0.18}, exclude=[0, 1], constraint_costs=True)
    costs = found.report["constraint_cost"]
    assert set(costs) == {"cluster_cap", "exclude"}
    free = _select(method="ratio", exclude=[0, 1])
    assert costs["cluster_cap"] == pytest.approx(free.objective - found.objective)


_BAD: list[tuple[dict[str, Any], str]] = [
    ({"cluster_cap": {"sound": 0.1}}, "Allowed: audio-0, visual-0, audio-1, visual-1"),
    ({"cluster_cap": {"audio-0": {9: 0.1}}}, "Allowed: 0 to 5"),
    ({"cluster_cap": 0.1}, "a dictionary with one entry a clustering"),
    ({"cluster_cap": {"audio-0": 1.5}}, "shares .* or whole numbers"),
    ({"cluster_cap": {"audio-0": -1}}, "shares .* or whole numbers"),
    ({"cluster_cap": {"audio-0": "all"}}, "shares .* or whole numbers"),
    ({"cluster_cap": {"audio-0": 0}}, "leaves no room"),
    ({"cluster_floor": {"audio-0": 0.2}}, "add up to 144 clips, more than the budget of 120"),
    ({"cluster_floor": {"audio-0": {1: 20}}, "cluster_cap": {"audio-0": {1: 10}}},
     "floor of 20 .* above its cap of 10"),
    ({"cluster_floor": {"audio-0": {1: 119}}}, "candidates have it"),
    ({"share_cap": {"speech": {True: 0.4}}}, "Pass columns="),
    ({"share_cap": {"l": {"xx": 0.4}}, "columns": {"l": LANGUAGE}}, "Its values: .*'en'"),
    ({"share_cap": {"l": {"en": 40}}, "columns": {"l": LANGUAGE}}, "shares from 0 to 1"),
    ({"share_cap": {"s": {True: 0.4, False: 0.4}}, "columns": {"s": SPEECH}}, "leaves no room"),
    ({"share_cap": {"s": {True: 0.01}}, "columns": {"s": np.arange(N) < 9}, "include": np.arange(5)},
     "than its cap of"),
    ({"share_floor": {"g": {1: 0.5}}, "columns": {"g": GROUPS < 40}, "groups": GROUPS, "max_per_group": 1},
     "contradicts max_per_group"),
    ({"share_floor": {"s": {True: 0.7}}, "share_cap": {"t": {1: 0.1}}, "columns": {"s": SPEECH, "t": SPEECH + 0}},
     "contradicts share_cap"),
    ({"share_floor": {"s": {True: 0.6}, "t": {0: 0.6}}, "columns": {"s": SPEECH, "t": SPEECH + 0}},
     "could not be kept together"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "says"), _BAD, ids=lambda value: str(value)[:50])
def test_contradictions_are_refused_before_work(settings: dict[str, Any], says: str) -> None:
    class Silent:
        def check_cancelled(self) -> None:
            raise AssertionError("work began")

    if "max_per_group" in settings:
        settings = settings | {"columns": {"g": (GROUPS < 40) + 0}}
    with pytest.raises(SettingError, match=says):
        _select(progress=Silent(), **settings)


def test_bad_columns_are_named() -> None:
    with pytest.raises(InputError, match="one value a clip"):
        _select(share_cap={"s": {True: 0.4}}, columns={"s": SPEECH[:-1]})
    with pytest.raises(InputError, match="duplicate_groups has the shape"):
        _select(duplicate_groups=[1, 2])
    yes = _select(share_cap={"s": {False: 0.4}}, columns={"s": np.ones(N, bool)})
    assert len(yes.order) == 120


def test_duplicate_groups_may_be_text() -> None:
    names = np.array([f"d{g}" if g >= 0 else "" for g in DUPLICATES])
    by_number, by_name = (_select(duplicate_groups=d).order.tolist() for d in (DUPLICATES, names))
    with_none = np.array([name or None for name in names], dtype=object)
    assert by_number == by_name == _select(duplicate_groups=with_none).order.tolist()


def test_quotas_of_two_families_worked_by_hand() -> None:
    label = np.array([0, 0, 0, 1, 1, -1])
    other = np.array([0, 1, 1, 1, 0, 0])
    quotas = joined_quotas([family(label, [2, 9], [0, 1]), family(other, [9, 9], [2, 0])])
    assert label_counts(quotas, np.array([0, 1, 2])).tolist() == [3, 0, 1, 2]
    found = repair_floors(np.array([0, 1, 2]), 1, np.array([5, 4, 3]), quotas)
    # 5 fills the floor of the second family in place of 2; 4 then fills the floor of the first in place of 1
    assert found.tolist() == [0, 5, 4]
    limits = make_limits(quotas, 6, np.array([3]), np.zeros(0, np.int64), 0)
    assert limits.alive.tolist() == [1, 1, 1, 0, 1, 1] and limits.left.tolist() == [2, 9, 9, 9]


@pytest.mark.parametrize("queue", [False, True])
def test_torch_keeps_the_same_caps(queue: bool) -> None:
    torch_engine = pytest.importorskip("curation.kernels.batch_greedy_torch")
    is_audio = np.array([m == "audio" for m in MODALITIES])
    pairs = pair_indices(is_audio, "bipartite")
    quotas = joined_quotas([family(CODES[:, 0], np.full(6, 25)), family(DUPLICATES, np.ones(60)),
                            family(SPEECH.astype(int), [200, 50])])  # fmt: skip
    plan = Plan(Rows(CODES, np.zeros(0, np.int32), is_audio), make_layout(pairs, CODES.max(axis=0) + 1),
                np.full(len(pairs), 1 / len(pairs)), budget=130, batch_size=60, selection_size=20, seed=3, queue=queue,
                included=np.array([4, 9]), quotas=quotas)  # fmt: skip
    engines = BatchGreedy(plan), torch_engine.BatchGreedyTorch(plan, "cpu")
    for engine in engines:
        while engine.step(3):
            pass
    (order, gain, scores), (other, other_gain, other_scores) = (engine.result() for engine in engines)
    assert order.tolist() == other.tolist() and (label_counts(quotas, order) <= quotas.cap).all()
    np.testing.assert_array_equal(gain, other_gain)
    np.testing.assert_array_equal(scores, other_scores)
