"""concord: planted correspondence, sources, duplicates, content, breadth, constraints, determinism."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from curation.methods.registry import METHODS
from curation.selection import Selection, select

MODALITIES = ["audio"] * 3 + ["visual"] * 3


def clips(n: int, share: float, seed: int, *, kinds: int = 10, clear: float = 0.75, wrong_kinds: int = 0,
          zipf: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Assignments int32 (n, 6), which clips correspond, what the picture shows. With `wrong_kinds` whole kinds are
    mismatched among themselves, the others never.
    """
    rng = np.random.default_rng(seed)
    p = np.arange(1, kinds + 1, dtype=float) ** -zipf
    picture = rng.choice(kinds, n, p=p / p.sum())
    matched = picture >= wrong_kinds if wrong_kinds else rng.permutation(n) < round(n * share)
    sound = picture.copy()
    where = np.flatnonzero(~matched)
    sound[where] = sound[rng.permutation(where)]
    columns = [np.where(rng.random(n) < clear, kind, rng.integers(0, kinds, n)) for kind in [sound] * 3 + [picture] * 3]
    return np.stack(columns, axis=1).astype(np.int32), matched, picture


def concord(codes: np.ndarray, budget: Any, *, seed: int = 0, controls: bool = False, **settings: Any) -> Selection:
    named = {"groups", "duplicate_groups", "include", "exclude", "max_per_group", "layers", "modalities"}
    given = {name: settings.pop(name) for name in named & set(settings)}
    modalities = given.pop("modalities", MODALITIES)
    return select(codes, modalities, budget=budget, method="concord", seed=seed, controls=controls, options=settings,
                  **given)  # fmt: skip


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_planted_one_to_one_clusters_are_found(share: float) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 32, 4000)
    matched = rng.random(4000) < share
    sound = np.where(matched, picture, (picture + rng.integers(1, 32, 4000)) % 32)
    codes = np.repeat(np.stack([sound, picture], axis=1), 3, axis=1).astype(np.int32)
    found = concord(codes, int(matched.sum()), breadth=0.0)
    assert matched[found.order].mean() >= 0.99


def test_independent_modalities_give_chance_and_no_share() -> None:
    precision, shares = [], []
    for seed in range(6):
        codes, _, _ = clips(1500, 0.0, seed)
        lot = np.random.default_rng(seed).random(1500) < 0.5
        found = concord(codes, 750, seed=seed)
        precision.append(lot[found.order].mean())
        shares.append(found.report["corresponding_share"])
    assert abs(np.mean(precision) - 0.5) < 0.03
    assert np.mean(shares) < 0.1


def test_single_mismatch_leaves_the_content_prior_out_and_estimates_the_share() -> None:
    codes, matched, _ = clips(3000, 0.5, 1)
    found = concord(codes, 1500)
    assert matched[found.order].mean() > 0.8
    assert found.report["replicates"][0]["content_weight"] < 0.1
    assert abs(found.report["corresponding_share"] - 0.5) < 0.1
    assert abs(found.report["false_share"] - (1 - matched[found.order].mean())) < 0.1


def test_mismatched_kinds_are_found_by_the_content_prior_and_the_switch_turns_it_off() -> None:
    codes, matched, _ = clips(3000, 0.5, 2, wrong_kinds=5)
    graded = concord(codes, int(matched.sum()), breadth=0.0)
    off = concord(codes, int(matched.sum()), breadth=0.0, content_prior="off")
    assert matched[graded.order].mean() > 0.9
    assert matched[off.order].mean() < matched[graded.order].mean() - 0.05
    assert graded.report["content_moved"] > 0
    assert (off.columns["content_prior"] == 0).all()
    assert off.report["content_moved"] == 0


def test_columns_add_up_and_false_shares_fall_with_the_score() -> None:
    codes, _, _ = clips(1200, 0.5, 3)
    found = concord(codes, 0.3)
    columns = found.columns
    assert np.allclose(found.scores, columns["pair_evidence"].astype(float) + columns["content_prior"], atol=1e-6)
    order = np.argsort(found.scores)
    assert (np.diff(columns["false_share"][order]) <= 0).all()
    assert all(np.isfinite(values).all() and len(values) == 1200 for values in columns.values())


def test_own_source_has_no_say() -> None:
    rng = np.random.default_rng(4)
    n, titles = 2400, 8
    codes, matched, _ = clips(n, 0.4, 4, kinds=24)
    title = rng.integers(0, titles, n)
    themed = ~matched & (rng.random(n) < 0.6)
    # A theme and a palette of the title, in the clusters that the kinds leave free
    for half, start in ((slice(0, 3), 24), (slice(3, 6), 24)):
        seen = rng.random((n, 3)) < 0.75
        codes[:, half] = np.where(themed[:, None] & seen, start + title[:, None], codes[:, half])
    with_titles = concord(codes, 480, groups=title)
    without = concord(codes, 480)
    assert matched[with_titles.order].mean() > 0.9
    assert matched[with_titles.order].mean() > matched[without.order].mean() + 0.2


def test_duplicates_count_once() -> None:
    codes, _, _ = clips(800, 0.5, 5)
    copies = np.repeat(np.array([[1, 2, 3, 7, 8, 9]], np.int32), 60, axis=0)
    group = np.r_[np.full(800, -1), np.zeros(60, int)]
    found = concord(np.r_[codes, copies], 100, duplicate_groups=group)
    assert found.report["replicates"][0]["fitted_on"] == 801
    assert not np.isin(np.arange(801, 860), found.order).any()


def test_breadth_goes_from_the_best_to_batch_greedy_among_all() -> None:
    codes, matched, picture = clips(8000, 0.5, 6, kinds=20, zipf=1.0, clear=0.7)
    pools, effective, precision = [], [], []
    for breadth in (0.0, 0.5, 1.0):
        found = concord(codes, 300, breadth=breadth)
        pools.append(found.report["pool"])
        precision.append(matched[found.order].mean())
        p = np.bincount(picture[found.order], minlength=20) / 300
        effective.append(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))
    assert pools[0] == 300 < pools[1] < pools[2] == 8000
    assert effective[0] < effective[1] and effective[0] < effective[2]
    assert precision[0] >= precision[1] > precision[2]
    whole = concord(codes, 300, breadth=1.0)
    plain = select(codes, MODALITIES, budget=300, method="batch-greedy", refill="queue", controls=False)
    assert (whole.order == plain.order).all()


def test_replicates_are_averaged_and_give_a_spread() -> None:
    codes, matched, _ = clips(1500, 0.5, 7)
    rng = np.random.default_rng(0)
    other = np.where(rng.random(codes.shape) < 0.7, codes, rng.integers(0, 10, codes.shape)).astype(np.int32)
    names = [f"{m}-{k}@{r}" for r in "ab" for k, m in enumerate(MODALITIES)]
    found = concord(np.c_[codes, other], 700, layers=names, modalities=MODALITIES * 2)
    assert len(found.report["replicates"]) == 2
    assert (found.columns["spread"] > 0).mean() > 0.9
    assert matched[found.order].mean() > 0.75
    assert 0.5 < found.report["stability"] < 1
    # Two scores of one clip: their standard deviation is their distance over the root of 2
    scores = []
    for part in (codes, other):
        alone = concord(part, 700, layers=names[:6])
        scores.append(alone.scores)
        assert "stability" not in alone.report and "spread" not in alone.columns
    assert np.allclose(found.columns["spread"], np.abs(scores[0] - scores[1]) / np.sqrt(2), atol=1e-4)
    assert np.allclose(found.scores, np.mean(scores, axis=0), atol=1e-4)


def test_stability_is_the_share_of_picks_that_most_replicates_make() -> None:
    codes, _, _ = clips(1000, 0.5, 14)
    rng = np.random.default_rng(1)
    parts, chosen = [], []
    for _ in range(5):
        parts.append(np.where(rng.random(codes.shape) < 0.8, codes, rng.integers(0, 10, codes.shape)).astype(np.int32))
        chosen.append(np.isin(np.arange(1000), concord(parts[-1], 300).order))
    names = [f"{m}-{k}@{r}" for r in "abcde" for k, m in enumerate(MODALITIES)]
    found = concord(np.concatenate(parts, axis=1), 300, layers=names, modalities=MODALITIES * 5, controls=True)
    stable = np.sum(chosen, axis=0) >= 4
    assert found.report["stability"] == pytest.approx(stable[found.order].mean(), abs=1e-12)
    assert 0.3 < found.report["stability"] < 1
    again = select(parts[0], MODALITIES, budget=300, method="concord", replicates=parts[1:], controls=False)
    assert np.allclose(again.scores, found.scores, atol=1e-4)
    assert again.report["stability"] == pytest.approx(stable[again.order].mean(), abs=1e-12)
    same = concord(np.tile(codes, 5), 300, layers=names, modalities=MODALITIES * 5)
    assert same.report["stability"] == 1 and np.allclose(same.columns["spread"], 0, atol=1e-5)


def test_constraints_are_kept() -> None:
    codes, _, _ = clips(1000, 0.5, 8)
    source = np.arange(1000) // 10
    found = concord(codes, 150, groups=source, max_per_group=2, include=[3, 900], exclude=np.arange(100, 200))
    assert found.order[:2].tolist() == [3, 900]
    assert len(found.order) == 150
    assert np.bincount(source[found.order]).max() <= 2
    assert not ((found.order >= 100) & (found.order < 200)).any()


def test_the_same_seed_gives_the_same_picks_for_any_number_of_threads() -> None:
    codes, _, _ = clips(300_000, 0.5, 9)
    before = numba.get_num_threads()
    results = []
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            results.append(concord(codes, 1000, seed=5))
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        assert (results[0].order == other.order).all()
        assert (results[0].scores == other.scores).all()


def test_another_seed_moves_little() -> None:
    codes, _, _ = clips(2000, 0.5, 10)
    first, second = (set(concord(codes, 600, seed=s, breadth=0.0).order.tolist()) for s in (0, 1))
    assert len(first & second) > 480


def test_a_fit_on_a_sample_is_close_to_the_full_fit() -> None:
    codes, matched, _ = clips(20_000, 0.5, 11)
    full, sampled = (concord(codes, 4000, breadth=0.0, sample=s) for s in (5_000_000, 5000))
    assert 4990 <= sampled.report["replicates"][0]["fitted_on"] <= 5000
    assert matched[sampled.order].mean() > matched[full.order].mean() - 0.03


@pytest.mark.parametrize("n", [1, 2, 3, 12, 40, 160])
@pytest.mark.parametrize("sources", ["own", "one", "two"])
def test_few_clips_work(n: int, sources: str) -> None:
    codes, _, _ = clips(n, 0.5, 12, kinds=2)
    groups = {"own": None, "one": np.zeros(n, int), "two": np.arange(n) % 2}[sources]
    found = concord(codes, max(1, n // 2), controls=n > 3, groups=groups)
    assert len(found.order) == max(1, n // 2)
    assert len(set(found.order.tolist())) == len(found.order)
    report = found.report
    assert 0 <= report["corresponding_share_low"] <= report["corresponding_share"] <= report["corresponding_share_high"]
    if n < 4:
        assert report["corresponding_share_low"] == 0 and report["corresponding_share_high"] == 1
    assert all(-5 < r["content_r2"] <= 1 for r in report["replicates"])


def test_where_nothing_can_be_told_the_share_is_unknown() -> None:
    codes, _, _ = clips(160, 0.5, 15)
    codes[:, :3] = 0
    report = concord(codes, 80).report
    assert report["corresponding_share"] == 0
    assert (report["corresponding_share_low"], report["corresponding_share_high"]) == (0, 1)
    assert report["replicates"][0]["content_weight"] == 0


def test_few_clips_have_no_content_prior_by_chance() -> None:
    weights = [concord(clips(40, 0.5, seed, kinds=8)[0], 20).report["replicates"][0]["content_weight"]
               for seed in range(12)]  # fmt: skip
    assert max(weights) < 0.4 and np.mean(weights) < 0.05


def test_two_sources_do_not_feign_certainty() -> None:
    codes, _, _ = clips(160, 0.5, 16)
    alone, two = (concord(codes, 80, groups=g).report for g in (None, np.arange(160) % 2))
    width = [r["corresponding_share_high"] - r["corresponding_share_low"] for r in (alone, two)]
    assert width[1] > 0.7 * width[0]


def themed_clips(n_sources: int, seed: int, n: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Half of the pairs are right; the others mostly have their source's own two sounds with its own two pictures."""
    rng = np.random.default_rng(seed)
    source, event, right = np.arange(n) % n_sources, rng.integers(0, 16, n), rng.random(n) < 0.5
    themes = rng.integers(0, 16, (2, n_sources, 2))
    both = []
    for theme in themes:
        themed = theme[source, rng.integers(0, 2, n)]
        wrong = np.where(rng.random(n) < 0.7, themed, rng.integers(0, 16, n))
        content = np.where(right, event, wrong)
        both += [np.where(rng.random(n) < 0.75, content, rng.integers(0, 16, n)) for _ in range(3)]
    return np.stack(both, axis=1).astype(np.int32), right, source


@pytest.mark.parametrize("n_sources", [2, 5, 6, 8, 12])
def test_themes_of_few_sources_are_not_surely_correspondence(n_sources: int) -> None:
    for seed in range(3):
        codes, right, source = themed_clips(n_sources, seed)
        report = concord(codes, 300, groups=source).report
        assert report["corresponding_share_low"] <= right.mean() <= report["corresponding_share_high"] + 0.05
        assert any(f"Only {n_sources} sources" in notice for notice in report["notices"])
        assert not report["score_is_probability"]
    assert not concord(codes, 300, groups=np.arange(1000) // 20).report["notices"]


def test_what_people_read_of_the_options_is_one_plain_line() -> None:
    for option in METHODS["concord"].options:
        assert option.help.endswith(".") and 20 < len(option.help) < 200
        assert not {"posterior", "ridge", "prior", "R2"} & set(option.help.replace(".", "").split())


def test_one_source_only_counts_as_many() -> None:
    codes, matched, _ = clips(1500, 0.5, 13)
    found = concord(codes, 700, groups=np.zeros(1500, int))
    assert matched[found.order].mean() > 0.75
