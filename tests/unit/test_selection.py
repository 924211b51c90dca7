"""Selection through its API: prefixes, budgets, constraints, controls, bad settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import curation
from curation.errors import Cancelled, InputError, SettingError
from curation.kernels.batch_greedy import BatchGreedy
from curation.kernels.information import objective_along
from curation.methods.needs import choose_device
from tests import reference
from tests.planmaker import MODALITIES, made_codes, made_plan


def _select(codes: Any, modalities: Sequence[str] = MODALITIES, **settings: Any) -> curation.Selection:
    return curation.select(codes, modalities, **({"budget": 0.3} | settings))


def test_cuda_picks_equal_cpu_picks() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    codes = made_codes(5000, k=32)
    for refill in ("redraw", "queue"):
        one, two = (_select(codes, refill=refill, device=device, batch_size=500) for device in ("cpu", "cuda"))
        np.testing.assert_array_equal(one.order, two.order)
        np.testing.assert_array_equal(one.gain, two.gain)


def test_gains_are_what_whole_tables_say() -> None:
    codes = made_codes(80, k=4)
    found = _select(codes, batch_size=10, selection_size=1, budget=30)
    pairs = reference.pairs_of(MODALITIES, "bipartite")
    tables = np.zeros((len(pairs), 4, 4))
    for n, (i, gain) in enumerate(zip(found.order, found.gain, strict=True)):
        cells = [(codes[i, a], codes[i, b]) for a, b in pairs]
        assert gain == pytest.approx(reference.one_hot_gain(tables, n, cells), abs=1e-9)
        for p, cell in enumerate(cells):
            tables[p][cell] += 1
    # One pick a batch: the gains add up to n F(S)
    assert found.gain.sum() == pytest.approx(30 * found.objective, abs=1e-9)


@pytest.mark.parametrize("pairing", ["bipartite", "diagonal", "combination"])
def test_objective_and_curve_are_recomputed_alike(pairing: str) -> None:
    codes = made_codes(500)
    found = _select(codes, pairing=pairing, batch_size=50, selection_size=10)
    whole = curation.mutual_information(codes, MODALITIES, subset=found.order, pairing=pairing)
    assert found.objective == pytest.approx(whole.mean, abs=1e-12)
    assert found.curve["size"][-1] == len(found.order) == 150
    assert {len(values) for values in found.curve.values()} == {60}
    half = found.order[: found.curve["size"][29]]
    partly = curation.mutual_information(codes, MODALITIES, subset=half, pairing=pairing)
    assert found.curve["objective"][29] == pytest.approx(partly.mean, abs=1e-12)
    assert found.report["pairs"][0]["first"] == "audio-0"
    assert found.report["objective"] > found.report["objective_permuted"] > found.report["objective_random"]


@pytest.mark.parametrize("settings", [{}, {"refill": "queue"}, {"method": "random"}, {"max_per_group": 3}])
def test_a_prefix_is_the_run_with_a_smaller_budget(settings: dict[str, Any]) -> None:
    codes, groups = made_codes(400), np.arange(400) // 5
    long = _select(codes, budget=200, groups=groups, **settings)
    for budget in (1, 24, 25, 26, 99, 199):
        short = _select(codes, budget=budget, groups=groups, **settings)
        assert short.order.tolist() == long.order[:budget].tolist()


def test_runs_repeat_and_do_not_depend_on_threads_or_dtype(tmp_path: Path) -> None:
    codes = made_codes(3000, k=20)
    wanted = _select(codes)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert _select(codes).order.tolist() == wanted.order.tolist()
    finally:
        numba.set_num_threads(before)
    for dtype in (np.int8, np.int16, np.int64, np.uint16, ">i4"):
        assert _select(codes.astype(dtype)).order.tolist() == wanted.order.tolist()
    np.save(tmp_path / "codes.npy", codes.astype(np.int8))
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert _select(mapped).order.tolist() == wanted.order.tolist()
    assert _select(np.asfortranarray(codes)).order.tolist() == wanted.order.tolist()
    assert _select(codes, seed=1).order.tolist() != wanted.order.tolist()


def test_large_arrays_are_read_in_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = _select(made_codes(300))
    monkeypatch.setattr("curation.checks._SMALL_CELLS", 0)
    seen = []
    monkeypatch.setattr(
        "curation.methods.batch_greedy.BatchGreedy", lambda plan: seen.append(plan) or BatchGreedy(plan)
    )
    np.save(tmp_path / "codes.npy", made_codes(300).astype(np.int16))
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert _select(mapped).order.tolist() == wanted.order.tolist()
    assert all(np.shares_memory(plan.rows.codes, mapped) for plan in seen) and len(seen) == 2


def test_names_of_clusters_and_modalities_do_not_matter() -> None:
    codes = made_codes(300)
    wanted = _select(codes).order.tolist()
    renamed = np.random.default_rng(2).permutation(6).astype(np.int32)[codes]
    assert _select(renamed).order.tolist() == wanted
    swapped = ["visual" if m == "audio" else "audio" for m in MODALITIES]
    assert _select(codes, swapped).order.tolist() == wanted
    layers = [2, 1, 0, 3]
    assert _select(codes[:, layers]).order.tolist() == wanted


def test_inputs_stay_as_they_were() -> None:
    codes, groups = made_codes(200), np.arange(200) // 2
    copies = codes.copy(), groups.copy()
    include = np.array([7, 2])
    _select(codes, groups=groups, max_per_group=1, include=include)
    assert (codes == copies[0]).all() and (groups == copies[1]).all() and include.tolist() == [7, 2]


def test_batch_greedy_finds_planted_pairs() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 8, 1200)
    other = np.where(np.arange(1200) < 600, kind, rng.integers(0, 8, 1200))
    codes = np.stack([kind, other, kind, other], axis=1).astype(np.int32)
    found = _select(codes, budget=0.4)
    assert (found.order < 600).mean() > 0.8
    assert found.report["above_permuted"] > 0.3


def test_scores_order_the_clips() -> None:
    found = _select(made_codes(900), budget=100)
    assert (-found.scores[found.order]).argsort(kind="stable").tolist() == list(range(100))
    others = np.setdiff1d(np.arange(900), found.order)
    passed = found.scores[others][~np.isnan(found.scores[others])]
    # 4 batches of 100, 25 taken of each: at most 300 were passed over
    assert found.report["scored_candidates"] == 400 and 200 < len(passed) <= 300
    assert passed.max() == 0 and np.isnan(found.scores).any()
    assert found.scores[found.order].min() == 1
    assert np.isfinite(found.gain).all() and found.gain[0] == 0


def test_random_is_uniform_and_a_control() -> None:
    codes = made_codes(200)
    counts = np.zeros(200)
    for seed in range(300):
        order = _select(codes, method="random", budget=50, seed=seed, controls=False).order
        assert len(set(order.tolist())) == 50
        counts[order] += 1
    assert abs(counts.mean() - 75) < 1e-9 and counts.std() < 1.25 * np.sqrt(300 * 0.25 * 0.75)
    found = _select(codes, method="random")
    assert np.isnan(found.gain).all() and np.isfinite(found.scores).sum() == 60
    assert np.isfinite(found.curve["permuted"]).all()


def test_redraw_is_uniform_where_all_clips_are_alike() -> None:
    codes = np.zeros((40, 4), np.int32)
    counts = np.zeros(40)
    for seed in range(400):
        counts[_select(codes, budget=10, batch_size=8, selection_size=2, seed=seed, controls=False).order] += 1
    assert counts.std() < 1.4 * np.sqrt(400 * 0.25 * 0.75)


def test_budgets() -> None:
    codes, durations = made_codes(200), np.full(200, 9.0)
    assert len(_select(codes, budget=7).order) == 7
    assert len(_select(codes, budget=np.int64(7)).order) == 7
    assert len(_select(codes, budget=0.1).order) == len(_select(codes, budget="0.1").order) == 20
    assert len(_select(codes, budget=1e-9).order) == 1
    by_text = _select(codes, budget="0.1h", durations_s=durations)
    assert len(by_text.order) == 40  # 360 s of 9 s: the last one fits exactly
    assert by_text.order.tolist() == _select(codes, budget=40).order.tolist()
    assert _select(codes, budget=("hours", 0.1), durations_s=durations).order.tolist() == by_text.order.tolist()
    assert len(_select(codes, budget="0.0999h", durations_s=durations).order) == 39
    for method in ("batch-greedy", "random"):
        all_hours = _select(codes, budget="9h", durations_s=durations, method=method)
        assert len(all_hours.order) == 200 and "all 200 candidates" in " ".join(all_hours.report["notices"])
    more = _select(codes, budget=201)
    assert len(more.order) == 200 and "larger than the 200 candidates" in more.report["notices"][0]
    uneven = np.random.default_rng(0).uniform(1, 20, 200)
    for method in ("batch-greedy", "random"):
        found = _select(codes, budget="0.2h", durations_s=uneven, method=method)
        used = uneven[found.order].sum()
        assert used <= 720 < used + 20
        longer = _select(codes, budget="0.3h", durations_s=uneven, method=method)
        assert longer.order[: len(found.order)].tolist() == found.order.tolist()


def test_small_data_say_what_was_done() -> None:
    found = _select(made_codes(30), budget=10)
    assert found.report["batch_size"] == 30 and found.report["selection_size"] == 7
    assert any("larger than the 30 candidates" in notice for notice in found.report["notices"])
    one = _select(made_codes(1), budget=1)
    assert one.order.tolist() == [0] and one.objective == 0
    constant = made_codes(50)
    constant[:, 1] = 0
    assert any("'visual-0' puts all clips into one cluster" in n for n in _select(constant).report["notices"])


def test_the_report_is_plain_json() -> None:
    found = _select(made_codes(100), layers=["a", "b", "c", "d"], groups=["x", "y"] * 50, max_per_group=9)
    text = json.loads(json.dumps(found.report, allow_nan=False))
    assert text["layers"] == ["a", "b", "c", "d"] and text["pairs"][0]["second"] == "b"
    assert text["device"]["used"] == "cpu" and "too small" in text["device"]["why"]
    assert json.dumps(_select(made_codes(100), controls=False).report, allow_nan=False)


@pytest.mark.parametrize("method", ["batch-greedy", "random"])
def test_constraints_hold(method: str) -> None:
    codes, groups = made_codes(400), np.array([f"video {i // 8}" for i in range(400)], dtype=object)
    found = _select(
        codes,
        method=method,
        budget=120,
        groups=groups,
        max_per_group=3,
        include=[5, 399],
        exclude=np.arange(400) % 7 == 1,
    )
    assert found.order[:2].tolist() == [5, 399] and np.isnan(found.gain[:2]).all()
    assert not (found.order % 7 == 1).any() and len(set(found.order.tolist())) == 120
    assert np.unique(groups[found.order].astype(str), return_counts=True)[1].max() == 3
    fewer = _select(codes, method=method, budget=300, groups=groups, max_per_group=2)
    assert len(fewer.order) == 100 and "leave 100 of the 300" in fewer.report["notices"][0]
    assert np.isfinite(fewer.curve["permuted"]).all()


def test_permuted_sounds_come_from_other_sources() -> None:
    codes = made_codes(400, share=0.9)
    apart = _select(codes, groups=np.arange(400) // 4)
    assert not apart.report["notices"]
    crowded = _select(codes, groups=np.arange(400) < 300)
    assert any("stay within their own source" in notice for notice in crowded.report["notices"])


def test_independent_modalities_look_like_their_permutation() -> None:
    rng = np.random.default_rng(4)
    codes = rng.integers(0, 10, (4000, 6)).astype(np.int32)
    found = _select(codes, ["audio"] * 3 + ["visual"] * 3, budget=0.2)
    assert abs(found.report["above_permuted"]) < 0.02
    assert found.report["objective"] - found.report["objective_random"] > 0.05


class _Progress:
    def __init__(self, stop_after: int = 10**9) -> None:
        self.done, self.points, self.looks, self.stop_after = 0, [], 0, stop_after

    def advance(self, n: int) -> None:
        self.done += n

    def series(self, point: dict[str, float]) -> None:
        self.points.append(point)

    def check_cancelled(self) -> None:
        self.looks += 1
        if self.looks > self.stop_after:
            raise Cancelled


@pytest.mark.parametrize("settings", [{}, {"method": "random"}, {"controls": False}, {"budget": "0.2h"}])
def test_progress_is_told(settings: dict[str, Any]) -> None:
    progress, codes = _Progress(), made_codes(2000)
    found = _select(codes, progress=progress, durations_s=np.full(2000, 3.0), **settings)
    assert progress.done == 2000 and progress.looks > 0
    if settings.get("method") != "random":
        assert progress.points[-1]["size"] == len(found.order)
        assert progress.points[-1]["objective"] == pytest.approx(found.objective)
        assert ("permuted" in progress.points[-1]) == settings.get("controls", True)


def test_cancel_stops_a_run() -> None:
    with pytest.raises(Cancelled):
        _select(made_codes(5000), progress=_Progress(stop_after=1))


def test_objective_beyond_the_order_is_nan() -> None:
    plan = made_plan(made_codes(20))
    found = objective_along(plan.rows, np.arange(5), np.array([2, 5, 6]), plan.layout, plan.weights)
    assert np.isfinite(found[:2]).all() and np.isnan(found[2])


def test_devices() -> None:
    assert choose_device("cpu", "batch-greedy", 10**6) == ("cpu", "asked for")
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        assert choose_device("auto", "batch-greedy", 10**5)[0] == "cuda"
    else:
        assert choose_device("auto", "batch-greedy", 10**5) == ("cpu", "torch finds no CUDA device")
        with pytest.raises(SettingError, match="no CUDA device"):
            _select(made_codes(10), device="cuda")


_BAD_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"budget": 0}, "500"),
    ({"budget": -3}, "chooses nothing"),
    ({"budget": 0.0}, "chooses nothing"),
    ({"budget": 1.0}, "not below 1"),
    ({"budget": float("nan")}, "chooses nothing"),
    ({"budget": "many"}, "cannot be read"),
    ({"budget": None}, "share below 1"),
    ({"budget": True}, "share below 1"),
    ({"budget": "1h"}, "durations_s"),
    ({"budget": "0.001h", "durations_s": np.full(50, 4.0)}, "shorter than the shortest clip"),
    ({"method": "best"}, "batch-greedy, greedy, ratio"),
    ({"refill": "never"}, "redraw, queue"),
    ({"device": "tpu"}, "auto, cpu, cuda"),
    ({"pairing": "every"}, "bipartite, diagonal, combination"),
    ({"selection_size": 101}, "selection_size from 1 to 100"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"selection_size": 2.5}, "whole numbers"),
    ({"seed": 2**64}, "seed"),
    ({"seed": -1}, "seed"),
    ({"seed": 0.5}, "seed"),
    ({"features": np.zeros((50, 2))}, "features=None"),
    ({"max_per_group": 2}, "needs groups"),
    ({"max_per_group": 0, "groups": np.arange(50)}, "max_per_group=0"),
    ({"include": [1, 2], "exclude": [2]}, "both included and excluded"),
    ({"include": [1, 2, 3], "budget": 2}, "more than the budget"),
    ({"include": [1, 2], "groups": np.zeros(50, int), "max_per_group": 1}, "more than max_per_group"),
    ({"include": [1, 2], "budget": "0.001h", "durations_s": np.full(50, 3.0)}, "longer than the budget"),
]


@pytest.mark.parametrize(("settings", "says"), _BAD_SETTINGS, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused_before_work(settings: dict[str, Any], says: str) -> None:
    progress = _Progress()
    with pytest.raises(SettingError, match=says):
        _select(made_codes(50), progress=progress, **settings)
    assert progress.looks == 0


_BAD_INPUT: list[tuple[dict[str, Any], str]] = [
    ({"groups": np.arange(49)}, "groups has the shape"),
    ({"budget": "1h", "durations_s": np.full(49, 1.0)}, "durations_s has the shape"),
    ({"budget": "1h", "durations_s": np.zeros(50)}, "positive number of seconds in 50"),
    ({"budget": "1h", "durations_s": ["x"] * 50}, "list of numbers"),
    ({"weights": [1, 2, 3]}, "weights must be 4"),
    ({"layers": ["a", "a", "b", "c"]}, "3 different names for 4"),
    ({"exclude": np.ones(50, bool)}, "nothing to choose"),
    ({"include": [50]}, "outside 0 to 49"),
]


@pytest.mark.parametrize(("settings", "says"), _BAD_INPUT, ids=lambda value: str(value)[:40])
def test_bad_input_is_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        _select(made_codes(50), **settings)
    with pytest.raises(InputError, match="1 audio and 3 visual"):
        _select(made_codes(50), ["audio", "visual", "visual", "visual"], pairing="diagonal")


def test_every_pair_has_its_permuted_control() -> None:
    rng = np.random.default_rng(5)
    kind = rng.integers(6, size=600)
    found = curation.select(
        np.stack([kind, rng.integers(6, size=600), kind], 1), ["audio", "audio", "visual"], budget=150, seed=1
    )
    pairs = found.report["pairs"]
    mean = np.mean([pair["permuted"] for pair in pairs])
    assert mean == pytest.approx(found.report["objective_permuted"], abs=1e-12)
    true, noise = (pair["mutual_information"] - pair["permuted"] for pair in pairs)
    assert true > 0.5 and true > 2 * noise
    alone = curation.select(np.stack([kind, kind], 1), ["audio", "visual"], budget=60, controls=False)
    assert "permuted" not in alone.report["pairs"][0]


@pytest.mark.parametrize(
    ("modalities", "settings", "said"),
    [
        (None, {}, "not a list"),
        (5, {}, "not a list"),
        (MODALITIES, {"groups": np.full(200, np.nan)}, "NaN"),
        (MODALITIES, {"weights": [1.0, 2.0, np.inf, 0.0]}, "4 numbers"),
        (np.ma.masked_array(made_codes(200), mask=True), {}, "masked"),
    ],
)
def test_odd_arguments_are_named(modalities: Any, settings: dict[str, Any], said: str) -> None:
    codes = made_codes(200)
    if isinstance(modalities, np.ma.MaskedArray):
        codes, modalities = modalities, MODALITIES
    with pytest.raises(InputError, match=said):
        curation.select(codes, modalities, budget=0.2, **settings)


def test_large_weights_count_by_their_ratio() -> None:
    codes = made_codes(300)
    large, small = (curation.select(codes, MODALITIES, budget=0.2, weights=[w] * 4) for w in (1e308, 1.0))
    assert large.order.tolist() == small.order.tolist() and large.objective == pytest.approx(small.objective)
