"""Statistics of an audit: by property, by hand, and by a thousand cheap draws with an auditor who is always right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation.kernels import auditing
from curation.truth import wilson_interval


def population(rng: np.random.Generator, per_source: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Source, score, truth, chosen of 1,200 clips with shares like esc-av: half are true, of the chosen two thirds."""
    n = 1200
    source = np.repeat(np.arange(n), rng.integers(1, per_source + 1, n))[:n]
    own = rng.normal(size=n)[source] if per_source > 1 else np.zeros(n)
    score = rng.normal(size=n) + own
    truth = rng.random(n) < 1 / (1 + np.exp(-0.6 * score))
    chosen = np.zeros(n, bool)
    chosen[np.argsort(-(score + rng.normal(size=n) * 0.5))[: n // 5]] = True
    return source, score, truth, chosen


@pytest.mark.parametrize("per_source", [1, 8])
def test_the_interval_covers_the_truth_in_at_least_93_percent_of_1000_draws(per_source: int) -> None:
    rng = np.random.default_rng(7)
    source, score, truth, chosen = population(rng, per_source)
    stratum = np.zeros(len(score), int)
    for half, mask in enumerate((chosen, ~chosen)):
        stratum[mask] = 4 * half + auditing.score_bands(score[mask], 4)
    sizes, cell = np.bincount(stratum).astype(float), np.arange(8) // 4
    wanted = 120 * (sizes / np.bincount(cell, sizes)[cell] / 3 + sizes / sizes.sum() / 3)
    expected = auditing.expected_draws(wanted, sizes)
    members = [cell == 0, cell == 1, np.ones(8, bool)]
    real = [truth[chosen].mean(), truth[~chosen].mean(), truth.mean()]
    covered, apart, mean = np.zeros(3), 0, np.zeros(3)
    for _ in range(1000):
        rows = auditing.draw(stratum, source, expected, rng)
        found = [
            auditing.group_share(truth[rows].astype(float), stratum[rows], member, sizes, cell) for member in members
        ]
        covered += [one.low <= value <= one.high for one, value in zip(found, real)]
        mean += [one.value / 1000 for one in found]
        difference = auditing.contrast(found[:2], np.array([1.0, -1.0]))
        apart += difference.low <= real[0] - real[1] <= difference.high
    assert (covered >= 930).all() and apart >= 930
    assert np.abs(mean - real).max() < 0.01, "the estimate is not biased"


def test_every_clip_of_a_stratum_has_the_same_chance() -> None:
    rng = np.random.default_rng(1)
    stratum = np.repeat([0, 1], [30, 70])
    source = np.concatenate([np.zeros(10, int), np.arange(1, 21), np.repeat(np.arange(30, 44), 5)])
    counts = np.zeros(100)
    for _ in range(4000):
        rows = auditing.draw(stratum, source, np.array([6.0, 7.0]), rng)
        assert len(set(rows.tolist())) == 13
        counts[rows] += 1
    assert np.abs(counts[:30] / 4000 - 0.2).max() < 0.035 and np.abs(counts[30:] / 4000 - 0.1).max() < 0.03


def test_a_source_gives_one_clip_unless_it_owes_more() -> None:
    rng = np.random.default_rng(2)
    source = np.concatenate([np.zeros(50, int), np.repeat(np.arange(1, 51), 3)])
    stratum = rng.integers(0, 3, 200)
    for _ in range(50):
        expected = np.bincount(stratum) * 0.2
        drawn = np.bincount(source[auditing.draw(stratum, source, expected, rng)])
        assert drawn[1:].max() == 1 and 9 <= drawn[0] <= 11 and drawn.sum() == 40


def test_the_same_seed_draws_the_same_and_inputs_stay() -> None:
    stratum, source = np.arange(40) % 3, np.arange(40) // 2
    before = stratum.copy(), source.copy()
    first, second = (
        auditing.draw(stratum, source, np.array([3.0, 2.0, 4.0]), np.random.default_rng(5)) for _ in range(2)
    )
    assert (first == second).all() and (stratum == before[0]).all() and (source == before[1]).all()


def test_small_strata_give_all_they_have_and_others_the_rest() -> None:
    found = auditing.expected_draws(np.array([20.0, 20.0, 20.0]), np.array([5, 100, 100]))
    assert found.tolist() == [5.0, 27.5, 27.5]
    assert auditing.expected_draws(np.array([2.0, 0.0]), np.array([1, 9])).tolist() == [1.0, 1.0]
    assert auditing.expected_draws(np.array([4.0, 6.0]), np.array([4, 6])).tolist() == [4.0, 6.0]


def test_bands_hold_equally_many() -> None:
    bands = auditing.score_bands(np.array([4.0, 1.0, np.nan, 2.0, 3.0]), 2)
    assert bands.tolist() == [1, 0, -1, 0, 1]
    assert auditing.score_bands(np.full(5, 0.5), 4).tolist() == [0] * 5


@pytest.mark.parametrize(("n", "n_repeats"), [(120, 12), (120, 0), (10, 5), (5, 5), (1, 1)])
def test_repeats_come_later(n: int, n_repeats: int) -> None:
    order = auditing.order_with_repeats(n, n_repeats, np.random.default_rng(3))
    counts = np.bincount(order)
    assert len(counts) == n and counts.sum() == n + n_repeats and counts.max() <= 2
    for clip in np.flatnonzero(counts == 2):
        first, again = np.flatnonzero(order == clip)
        assert again > first
        if n == 120:
            assert again - first >= 20


def test_wilson_is_the_one_of_truth() -> None:
    for k, n in ((0, 5), (3, 10), (10, 10), (45, 60)):
        assert auditing.wilson(k / n, n) == pytest.approx(wilson_interval(k, n), abs=1e-9)
    assert auditing.wilson(math.nan, 0) == (0.0, 1.0)


def test_weights_by_hand() -> None:
    # 10 of 100 and 10 of 300 clips answered: 8 and 3 of them right: (0.8 * 100 + 0.3 * 300) / 400
    right = np.concatenate([np.arange(10) < 8, np.arange(10) < 3]).astype(float)
    stratum = np.repeat([0, 1], 10)
    found = auditing.group_share(right, stratum, np.ones(2, bool), np.array([100.0, 300.0]), np.array([0, 1]))
    assert found.value == pytest.approx(0.425) and found.n == 20
    assert found.effective == pytest.approx(400**2 / (10 * 10**2 + 10 * 30**2))
    equal = auditing.weighted_share(right, np.full(20, 7.0))
    assert equal.effective == pytest.approx(20) and (equal.low, equal.high) == pytest.approx(wilson_interval(11, 20))


def test_strata_without_answers_are_joined_or_named() -> None:
    sizes, cell = np.array([10.0, 20.0, 30.0, 40.0]), np.array([0, 0, 1, 1])
    weights, unknown = auditing.answer_weights(sizes, cell, np.array([1, 1, 2]))
    assert weights.tolist() == [15.0, 15.0, 70.0] and not unknown.any()
    _, unknown = auditing.answer_weights(sizes, cell, np.array([0]))
    assert unknown.tolist() == [0, 0, 30, 40]
    found = auditing.group_share(np.ones(1), np.array([0]), np.ones(4, bool), sizes, cell)
    assert math.isnan(found.value) and (found.low, found.high) == (0, 1), "what nobody heard is not known"


def test_a_difference_that_stands_needs_no_more_and_a_small_one_many() -> None:
    def share(k: int, n: int) -> auditing.Share:
        return auditing.weighted_share((np.arange(n) < k).astype(float), np.ones(n))

    part = np.array([1.0, -1.0])
    assert auditing.contrast([share(45, 50), share(20, 50)], part).more == 0
    close = auditing.contrast([share(30, 50), share(25, 50)], part)
    assert close.low < 0 < close.high and close.value == pytest.approx(0.1)
    # By the textbook: (1.96 + 0.84)^2 (p q + p q) / 0.1^2 = 385 a side, less the 50 heard
    assert close.more == pytest.approx(2 * (385 - 50), rel=0.02)
    assert auditing.contrast([share(25, 50), share(25, 50)], part).more is None
    assert auditing.contrast([share(25, 50), auditing.weighted_share(np.zeros(0), np.zeros(0))], part).more is None
    same = auditing.contrast([share(1, 2), share(30, 50), share(10, 50)], np.array([0.0, 0.5, -0.5]))
    assert same.counts == (False, True, True) and same.value == pytest.approx(0.2)


def test_kappa_by_hand() -> None:
    # Cohen's table 20, 5 / 10, 15: observed 0.7, by chance 0.5, kappa 0.4
    first, second = np.repeat([0, 0, 1, 1], [20, 5, 10, 15]), np.repeat([0, 1, 0, 1], [20, 5, 10, 15])
    found = auditing.agreement(first, second)
    assert found.kappa == pytest.approx(0.4) and found.agree.value == pytest.approx(0.7)
    assert found.low < 0.4 < found.high
    full = auditing.agreement(np.array([0, 1, 2]), np.array([0, 1, 2]))
    assert full.kappa == pytest.approx(1) and full.low < 0.5, "three agreeing answers prove little"
    assert math.isnan(auditing.agreement(np.zeros(4), np.zeros(4)).kappa)
    assert auditing.agreement(np.zeros(0), np.zeros(0)).n == 0
    independent = np.random.default_rng(0).integers(0, 4, (2, 4000))
    assert abs(auditing.agreement(*independent).kappa) < 0.05
