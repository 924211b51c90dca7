"""Methods: slow versions, hand-worked tables, permutations, prefixes, threads, planted clusters, bad settings."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numba
import numpy as np
import pytest

import curation
from curation.config import METHOD_NAMES
from curation.errors import Cancelled, InputError, SettingError
from curation.kernels import pointwise
from curation.kernels.chunks import over_chunks
from curation.kernels.draws import STREAM_TIES, stream_key
from curation.kernels.instance import similarity
from curation.kernels.top import top_rows
from curation.methods.registry import METHODS
from tests import reference
from tests.methodmaker import MODALITIES, make_codes, needs_of, select

COUNTING = ("greedy", "ratio", "ascent", "mixture")
ON_FEATURES = tuple(name for name, method in METHODS.items() if method.needs_features)


def test_registry_and_settings_name_the_same_methods() -> None:
    assert set(METHOD_NAMES) == set(METHODS)
    assert all(method.title.endswith(".") for method in METHODS.values())


@pytest.mark.parametrize(
    "pairing", ["bipartite", "combination", [(0, 1), (2, 1)], [("audio-0", "visual-0", 2), (2, 3, 0.5)]]
)
def test_greedy_equals_the_plain_version(pairing: Any) -> None:
    codes = make_codes(120, k=4)
    found = select(codes, method="greedy", budget=60, pairing=pairing, seed=5)
    names = found.report["layers"]
    pairs = [(names.index(p["first"]), names.index(p["second"])) for p in found.report["pairs"]]
    weights = [p["weight"] for p in found.report["pairs"]]
    assert found.order.tolist() == reference.greedy(codes, pairs, weights, budget=60, seed=5)
    assert found.gain.sum() == pytest.approx(60 * found.objective, abs=1e-9)


def test_lazy_greedy_is_another_method() -> None:
    """n MI is not submodular: CELF's picks differ from greedy's, by this many of 60 here."""
    codes = make_codes(120, k=4)
    pairs = reference.pairs_of(MODALITIES, "bipartite")
    exact, lazy = (reference.greedy(codes, pairs, [0.25] * 4, budget=60, seed=5, lazy=way) for way in (False, True))
    assert len(set(exact) - set(lazy)) == 8


def test_greedy_reaches_more_than_batches() -> None:
    codes = make_codes(600)
    assert select(codes, method="greedy").objective > select(codes, method="batch-greedy").objective


def test_ratio_of_a_table_worked_by_hand() -> None:
    # 2 x 2 counts [[3, 1], [1, 3]], expected 2 each; smoothing 1: log(4/3) on the diagonal, log(2/3) off it
    a = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    b = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    found = curation.select(np.stack([a, b], 1), ["audio", "visual"], budget=3, method="ratio", controls=False)
    wanted = np.where(a == b, math.log(4 / 3), math.log(2 / 3))
    assert found.scores == pytest.approx(wanted, abs=1e-11)
    assert set(found.order) <= set(np.flatnonzero(a == b))


@pytest.mark.parametrize(
    "given", [{}, {"groups": True}, {"duplicates": True}, {"groups": True, "duplicates": True}], ids=str
)
def test_ratio_equals_the_plain_version(given: dict[str, bool]) -> None:
    codes, rng = make_codes(60, k=3), np.random.default_rng(3)
    group = rng.integers(0, 9, 60) if given.get("groups") else None
    duplicate = np.where(rng.random(60) < 0.4, rng.integers(0, 8, 60), -1) if given.get("duplicates") else None
    pairs = reference.pairs_of(MODALITIES, "combination")
    weights = np.arange(1.0, 7)
    found = select(codes, method="ratio", groups=group, duplicate_groups=duplicate, pairing="combination",
                    weights=weights, options={"smoothing": 0.5})  # fmt: skip
    wanted = reference.ratio_scores(codes, pairs, weights / weights.sum(), 0.5, group, duplicate)
    assert found.scores == pytest.approx(np.array(wanted), abs=1e-10)
    assert found.report["own_source_left_out"] == (group is not None)


def test_own_source_does_not_speak_for_itself() -> None:
    """A title whose theme goes with its palette looks like correspondence until its own clips are left out."""
    rng = np.random.default_rng(0)
    true = np.repeat(rng.integers(0, 8, 400)[:, None], 4, axis=1)
    titles = np.arange(400) // 40
    themed = np.stack([titles + 8, titles + 20] * 2, axis=1)
    codes = np.concatenate([true, themed]).astype(np.int32)
    groups = np.concatenate([1000 + np.arange(400), titles])
    plain, careful = (select(codes, method="ratio", budget=200, groups=g) for g in (None, groups))
    assert (plain.order < 400).mean() < 0.6 and (careful.order < 400).mean() == 1


@pytest.mark.parametrize("own", [False, True])
def test_mixture_equals_the_plain_version(own: bool) -> None:
    codes = make_codes(300, k=4)
    pairs = reference.pairs_of(MODALITIES, "bipartite")
    options = {"marginals": "own" if own else "shared", "tempering": 0.3, "rounds": 6, "smoothing": 0.5}
    found = select(codes, method="mixture", budget=100, options=options)
    wanted = reference.mixture_scores(codes, pairs, [0.25] * 4, wanted=100, tempering=0.3, rounds=6, own=own, alpha=0.5)
    assert found.scores == pytest.approx(wanted, abs=2e-3)


def test_ascent_keeps_the_best_round() -> None:
    codes = make_codes(2000, k=10)
    ratio, found = (select(codes, method=name) for name in ("ratio", "ascent"))
    rounds = found.report["objective_of_rounds"]
    assert rounds[0] == pytest.approx(ratio.objective, abs=1e-9)
    assert found.objective == pytest.approx(max(rounds), abs=1e-9) and max(rounds) > rounds[0]


def test_clips_of_a_large_source_are_judged_alike_by_table_and_one_by_one() -> None:
    """A source of more clips than cells gets a table of its own."""
    codes = make_codes(2400, k=4)
    large, rng = np.r_[np.zeros(1200, int), 1 + np.arange(1200)], np.random.default_rng(7)
    found = select(codes, method="ratio", groups=large)
    for i in rng.integers(0, 1200, 20):
        others = codes[1200:]
        wanted = 0.0
        for a in (0, 2):
            for b in (1, 3):
                in_a, in_b = others[:, a] == codes[i, a], others[:, b] == codes[i, b]
                wanted += 0.25 * math.log(((in_a & in_b).sum() + 1) / (in_a.sum() * in_b.sum() / 1200 + 1))
        assert found.scores[i] == pytest.approx(wanted, abs=1e-10)


def test_one_source_only_counts_as_many() -> None:
    codes = make_codes(500)
    plain, one = (select(codes, method="ratio", groups=g) for g in (None, np.zeros(500, int)))
    assert one.order.tolist() == plain.order.tolist() and not one.report["own_source_left_out"]


@pytest.mark.parametrize("name", [*COUNTING[1:], "batch-greedy"])
def test_planted_one_to_one_clusters_are_found(name: str) -> None:
    """Half of the clips follow a one-to-one table, the sounds of the others are drawn at random."""
    rng = np.random.default_rng(2)
    n, k = 4000, 300
    kind = rng.integers(0, k, n)
    other = np.where(np.arange(n) < n // 2, kind, rng.integers(0, k, n))
    same_by_chance = (kind == other)[n // 2 :].sum()
    codes = np.stack([kind, other, kind, other], axis=1).astype(np.int32)
    found = select(codes, method=name, budget=n // 2 - 1)
    right = (found.order < n // 2).mean()
    assert same_by_chance < 20
    assert right >= (0.99 if name != "batch-greedy" else 0.7)


@pytest.mark.parametrize("name", COUNTING)
def test_independent_modalities_give_chance(name: str) -> None:
    rng = np.random.default_rng(5)
    codes, mark = rng.integers(0, 8, (4000, 4)).astype(np.int32), rng.random(4000) < 0.5
    found = select(codes, method=name, budget=1000)
    assert abs(mark[found.order].mean() - mark.mean()) < 0.06


@pytest.mark.parametrize("name", METHODS)
def test_a_run_repeats_on_any_number_of_threads(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codes, before = make_codes(3000, k=9), numba.get_num_threads()
    needs = needs_of(name, 3000) | {"groups": np.arange(3000) // 3, "max_per_group": 2, "budget": 300}
    if needs.get("like") is not None:
        needs["budget"] = None
    original = over_chunks
    for module in ("pointwise",):
        monkeypatch.setattr(f"curation.kernels.{module}.over_chunks",
                            lambda n, work, look=None, size=64: original(n, work, look, min(size, 64)))  # fmt: skip
        monkeypatch.setattr(f"curation.kernels.{module}.n_workers", lambda n, size=64: numba.get_num_threads())
    try:
        runs = []
        for threads in (1, before):
            numba.set_num_threads(threads)
            runs.append(select(codes, controls=True, **needs))
    finally:
        numba.set_num_threads(before)
    one, two = runs
    for a, b in ((one.order, two.order), (one.gain, two.gain), (one.scores, two.scores),
                 (one.curve["permuted"], two.curve["permuted"])):  # fmt: skip
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(one.curve["permuted"]).all()
    other_seed = select(codes, seed=1, **needs).order
    assert name.startswith("pca") or other_seed.tolist() != one.order.tolist()


@pytest.mark.parametrize("name", COUNTING)
def test_permuting_clips_permutes_the_scores(name: str) -> None:
    codes, groups = make_codes(500, k=5), np.arange(500) // 4
    order = np.random.default_rng(9).permutation(500)
    if name == "greedy":
        # ties go by rows, so only what was reached is alike
        one, two = select(codes, method=name), select(codes[order], method=name)
        assert one.objective == pytest.approx(two.objective, rel=0.05)
        return
    one = select(codes, method=name, groups=groups)
    two = select(codes[order], method=name, groups=groups[order])
    if name == "ratio":  # ties at the edge of the chosen differ, which later rounds of the others build on
        np.testing.assert_array_equal(one.scores[order], two.scores)
    else:
        assert np.corrcoef(one.scores[order], two.scores)[0, 1] > 0.99


@pytest.mark.parametrize("name", COUNTING)
def test_names_of_clusters_and_order_of_layers_do_not_matter(name: str) -> None:
    codes = make_codes(400)
    wanted = select(codes, method=name).order.tolist()
    renamed = np.random.default_rng(2).permutation(9)[:6].astype(np.int32)[codes]  # some ids stay empty
    assert select(renamed, method=name).order.tolist() == wanted
    assert select(codes[:, [2, 1, 0, 3]], method=name).order.tolist() == wanted
    swapped = curation.select(codes, ["visual", "audio"] * 2, budget=0.3, method=name, controls=False)
    assert swapped.order.tolist() == wanted


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.is_prefix])
def test_a_prefix_is_the_run_with_a_smaller_budget(name: str) -> None:
    codes, needs = make_codes(300), needs_of(name, 300)
    groups = np.arange(300) // 5
    long = select(codes, budget=150, groups=groups, max_per_group=4, **needs)
    for budget in (1, 40, 149):
        short = select(codes, budget=budget, groups=groups, max_per_group=4, **needs)
        assert short.order.tolist() == long.order[:budget].tolist()


def test_different_numbers_of_clusters() -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 4, 900)
    codes = np.stack([kind * 3 + rng.integers(0, 3, 900), kind, rng.integers(0, 50, 900), kind], axis=1)
    for name in COUNTING:
        assert len(select(codes.astype(np.int32), method=name).order) == 270


def test_ties_go_by_hash_not_by_row() -> None:
    scores = np.zeros(2000)
    scores[7] = 1
    key = stream_key(3, STREAM_TIES)
    rows = top_rows(scores, 400, key)
    assert rows[0] == 7 and len(set(rows.tolist())) == 400
    assert 800 < rows[1:].mean() < 1200 and (np.diff(rows[1:]) < 0).mean() > 0.3
    others = [i for i in range(2000) if i != 7]
    wanted = sorted(others, key=lambda i: reference.hashed(key, i))
    assert rows[1:].tolist() == wanted[:399]


@pytest.mark.parametrize("seed", range(6))
def test_top_rows_sort_as_python_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=500), seed % 3) * (1 if seed else 1e-300)
    scores[rng.integers(0, 500, 5)] = -np.inf
    blocked = (rng.random(500) < 0.2).astype(np.uint8)
    key = stream_key(seed, STREAM_TIES)
    free = [i for i in range(500) if not blocked[i]]
    wanted = sorted(free, key=lambda i: (-scores[i], reference.hashed(key, i)))
    for take in (1, 37, len(free), 900):
        assert top_rows(scores, take, key, blocked).tolist() == wanted[:take]
    assert len(top_rows(scores, 0, key)) == 0


@pytest.mark.parametrize("name", ON_FEATURES)
def test_features_follow_the_permuted_sounds(name: str) -> None:
    """A method that compares features must not find, in the control, what only the true pairs have."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(600, 8)) * np.linspace(3, 1, 8)
    wrong = np.arange(600) >= 300
    sound = shared + 0.05 * rng.normal(size=shared.shape)
    sound[wrong] = sound[wrong][rng.permutation(300)]
    codes = np.stack([x[:, 0].argsort().argsort() // 60 for x in (sound, shared)] * 2, axis=1).astype(np.int32)
    features = {"a": sound, "b": shared, "c": sound, "d": shared}
    found = select(codes, method=name, budget=300, layers=list("abcd"), features=features, controls=True)
    right = (~wrong[found.order]).mean()
    assert right > (0.9 if name != "pca-inner-product" else 0.6)
    assert found.report["above_permuted"] > 0
    listed = select(codes, method=name, budget=300, features=[features[k] for k in "abcd"])
    assert listed.order.tolist() == found.order.tolist()


def test_similarities_of_a_pair_worked_by_hand() -> None:
    x, y = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [1.0, 1.0]])
    assert similarity(x, y, "inner-product").tolist() == [24, 0]
    assert similarity(x, y, "cosine").tolist() == [24 / 25, 0]
    assert similarity(x, y, "l1").tolist() == [-2, -2]
    assert similarity(x, y, "l2") == pytest.approx([-math.sqrt(2)] * 2)


def test_matched_random_has_the_histograms_of_its_subset() -> None:
    codes = make_codes(4000, k=5, share=0.7)
    like = np.flatnonzero((codes[:, 1] < 2) & (codes[:, 0] == codes[:, 1]))[:400]
    found = select(codes, method="matched-random", like=like, budget=None)
    assert len(found.order) == 400
    for d in (0, 1):
        wanted, got = (np.bincount(codes[rows, d], minlength=5) for rows in (like, found.order))
        assert np.abs(wanted - got).sum() <= (0 if d == 1 else 20)
    # the pairing itself is not copied: its clips agree as often as chance and the whole data say
    assert (codes[found.order, 0] == codes[found.order, 1]).mean() < 0.99
    half = select(codes, method="matched-random", like=like, budget=200)
    assert len(half.order) == 200 and half.report["histogram_kept"]["picture"] == 1
    mask = np.zeros(4000, bool)
    mask[like] = True
    assert select(codes, method="matched-random", like=mask, budget=400).order.tolist() == found.order.tolist()


def test_pairs_can_be_named() -> None:
    codes, layers = make_codes(200), ["s0", "p0", "s1", "p1"]
    one = select(codes, method="ratio", layers=layers, pairing=("s0", "p1"))
    assert [(p["first"], p["second"]) for p in one.report["pairs"]] == [("s0", "p1")]
    assert one.report["pairing"] == "pairs"
    assert select(codes, method="ratio", pairing=(0, 3)).order.tolist() == one.order.tolist()
    listed = select(codes, method="ratio", layers=layers, pairing=[("s0", "p0", 3), ("s1", "p1", 1)])
    weighted = select(codes, method="ratio", pairing="diagonal", weights=[3, 1])
    assert listed.order.tolist() == weighted.order.tolist()
    assert [p["weight"] for p in listed.report["pairs"]] == [0.75, 0.25]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_cancelled_and_tells_of_its_progress(name: str) -> None:
    class Told:
        done, stop = 0, False

        def advance(self, n: int) -> None:
            self.done += n

        def series(self, point: dict[str, float]) -> None:
            pass

        def check_cancelled(self) -> None:
            if self.stop:
                raise Cancelled

    told, needs = Told(), needs_of(name, 400)
    found = select(make_codes(400), progress=told, controls=True, **needs)
    assert told.done == 400 and found.report["method"] == name
    told.stop = True
    with pytest.raises(Cancelled):
        select(make_codes(400), progress=told, **needs)


_BAD: list[tuple[dict[str, Any], str]] = [
    ({"method": "ratio", "options": {"rounds": 3}}, "Allowed: smoothing"),
    ({"method": "random", "options": {"rounds": 3}}, "Allowed: none"),
    ({"method": "mixture", "options": {"marginals": "mine"}}, "Allowed: shared, own"),
    ({"method": "mixture", "options": {"rounds": 0}}, "whole numbers from 1 to 1000"),
    ({"method": "mixture", "options": {"tempering": 2}}, "numbers from 0 to 1"),
    ({"method": "ratio", "options": {"smoothing": float("nan")}}, "numbers from 0.001"),
    ({"method": "ratio", "options": {"smoothing": "much"}}, "numbers from 0.001"),
    ({"method": "pca-l2"}, "needs features"),
    ({"method": "ratio", "features": [np.zeros((50, 2))] * 4}, "features=None.*pca-inner-product"),
    ({"method": "matched-random"}, "needs like"),
    ({"method": "ratio", "like": [1]}, "like=None"),
    ({"pairing": ("audio-0", "audio-9")}, "Allowed.*audio-0, visual-0"),
    ({"pairing": (0, 4)}, "0 to 3"),
    ({"pairing": (0, 0)}, "with itself"),
    ({"pairing": [(0, 1), (1, 0)]}, "a pair twice"),
    ({"pairing": [(0, 1, 1), (2, 3)]}, "each with a weight or each without"),
    ({"pairing": []}, "two different clusterings"),
    ({"pairing": 3}, "two different clusterings"),
    ({"pairing": [(0, 1, 2)], "weights": [1]}, "weights of their own"),
    ({"budget": None}, "cannot be used"),
]


@pytest.mark.parametrize(("settings", "says"), _BAD, ids=lambda value: str(value)[:50])
def test_bad_settings_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        select(make_codes(50), **settings)


def test_bad_features_are_named() -> None:
    codes, good = make_codes(50), np.ones((50, 3))
    broken = good.copy()
    broken[4, 1] = np.nan
    for features, says in (
        ([good] * 3, "3 arrays for 4"),
        ([good, good, good, good[:9]], "'visual-1' are float64 of shape"),
        ([good, broken, good, good], "'visual-0' hold NaN or infinity in 1 of 50"),
        ({"audio-0": good}, "no entry 'visual-0'"),
        ([good, good.astype(str), good, good], "rows of numbers"),
    ):
        with pytest.raises(InputError, match=says):
            select(codes, method="pca-cosine", features=features)


def test_constant_features_and_small_data_do_not_break() -> None:
    for name in METHODS:
        for n in (1, 2, 5):
            needs = needs_of(name, n)
            if "features" in needs:
                needs["features"] = [np.ones((n, 2))] * 4
            if "like" in needs:
                needs["like"] = [0]
            found = select(make_codes(n), controls=True, **(needs | {"budget": 1}))
            assert len(found.order) == 1, name


def test_a_method_is_told_nothing_that_changes() -> None:
    assert dataclasses.fields(METHODS["ratio"].options[0]) and METHODS["ratio"].options[0].default == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        METHODS["ratio"].options[0].default = 2  # type: ignore[misc]


def test_responsibilities_sum_to_what_is_wanted() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=5000) * 1e6
    for wanted in (1, 700, 4990):
        r = pointwise.responsibilities(score.astype(np.int64), 1e-6, wanted, 1 << 20)
        assert r.sum() / (1 << 20) == pytest.approx(wanted, rel=2e-3)
    assert pointwise.responsibilities(np.zeros(10, np.int64), 1.0, 3, 1 << 20).sum() / (1 << 20) == pytest.approx(
        3, abs=1e-4
    )
