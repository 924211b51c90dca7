"""Estimated corresponding shares and false shares against planted ones."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.shares import corresponding_share, false_shares

N = 4000


def scores(share: float, seed: int, shift: float = 2.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of which `share` score higher by `shift` deviations, four decoys a pair, and which correspond."""
    rng = np.random.default_rng(seed)
    matched = rng.random(N) < share
    return rng.normal(size=N) + shift * matched, rng.normal(size=(4, N)), matched


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5, 0.7, 0.9, 1])
def test_planted_shares_come_back(share: float) -> None:
    estimates = []
    for seed in range(5):
        pair, decoy, _ = scores(share, seed)
        found = corresponding_share(pair, decoy, np.zeros(N, int), np.arange(N), np.random.default_rng(0))
        estimates.append(found.share)
        assert 0 <= found.low <= found.share <= found.high <= 1
    assert abs(np.median(estimates) - share) < 0.05


def test_no_correspondence_is_not_found_in_noise() -> None:
    estimates = []
    for seed in range(10):
        pair, decoy, _ = scores(0, seed)
        estimates.append(corresponding_share(pair[:500], decoy[:, :500], np.zeros(500, int), np.arange(500),
                                             np.random.default_rng(seed)).share)  # fmt: skip
    assert np.mean(estimates) < 0.06
    assert max(estimates) < 0.2


def test_strata_with_decoys_of_their_own() -> None:
    shares = []
    for seed in range(3):
        pair, decoy, matched = scores(0.5, 10 + seed)
        stratum = np.arange(N) % 2
        rng = np.random.default_rng(seed)
        pair = rng.normal(size=N) + 2.5 * (matched & (stratum == 0)) - 3 * stratum
        shares.append(corresponding_share(pair, decoy - 3 * stratum, stratum, np.arange(N), rng).by_stratum)
    assert np.allclose(np.median(shares, axis=0), [0.5, 0], atol=0.08)


def test_few_sources_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    matched = np.repeat(rng.random(40) < 0.5, N // 40)
    pair, decoy = rng.normal(size=N) + 2.5 * matched, rng.normal(size=(4, N))
    widths = []
    for source in (np.arange(N), np.repeat(np.arange(40), N // 40)):
        found = corresponding_share(pair, decoy, np.zeros(N, int), source, np.random.default_rng(0))
        widths.append(found.high - found.low)
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_false_shares_are_those_of_the_truth(share: float) -> None:
    pair, decoy, matched = scores(share, 4)
    curves = false_shares(pair, decoy, np.zeros(N, int), np.array([share]))
    order = np.argsort(-pair)
    tail, local = curves.tail_at(pair), curves.local_at(pair)
    for part in (0.1, 0.3, 0.5):
        k = round(part * N)
        assert abs(tail[order[k - 1]] - (1 - matched[order[:k]].mean())) < 0.05
    for bin_ in np.array_split(order, 10):
        assert abs(local[bin_].mean() - (1 - matched[bin_].mean())) < 0.08
    assert (np.diff(tail[order]) >= 0).all()
    assert (np.diff(local[order]) >= 0).all()


def test_scores_beyond_the_known_ones_take_the_nearest() -> None:
    pair, decoy, _ = scores(0.5, 5)
    curves = false_shares(pair, decoy, np.zeros(N, int), np.array([0.5]))
    assert curves.tail_at(np.array([99.0]))[0] == curves.tail_at(pair).min()
    assert curves.tail_at(np.array([-99.0]))[0] == curves.tail_at(pair).max()


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_intervals_hold_the_truth(share: float) -> None:
    held = 0
    for seed in range(6):
        pair, decoy, matched = scores(share, 100 + seed)
        pair, decoy, matched = pair[:1500], decoy[:, :1500], matched[:1500]
        found = corresponding_share(pair, decoy, np.zeros(1500, int), np.arange(1500), np.random.default_rng(seed))
        held += found.low - 0.005 <= matched.mean() <= found.high + 0.005
    assert held >= 5


def kinds(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two kinds of content: one always goes together, of the other nine sorts are mixed up. A pair across scores -4, a
    pair within the mixed kind 0.5, one within the other 2; strata are the kinds. Pairs, decoys like and wide, truth.
    """
    rng = np.random.default_rng(seed)
    stratum = (rng.random(N) < 0.3).astype(int)

    def score(of_picture: np.ndarray, of_sound: np.ndarray) -> np.ndarray:
        level = np.where(of_picture != of_sound, -4.0, np.where(of_picture == 1, 2.0, 0.5))
        return level + rng.normal(size=of_picture.shape)

    wide = np.stack([score(stratum, rng.permutation(stratum)) for _ in range(4)])
    like = np.stack([score(stratum, stratum) for _ in range(4)])
    like[:, stratum == 1] -= 2.5
    return score(stratum, stratum), like, wide, stratum, stratum == 1


def test_kinds_that_are_mixed_up_give_a_range_that_holds_the_truth() -> None:
    pair, like, wide, stratum, matched = kinds(0)
    found = corresponding_share(pair, like, stratum, np.arange(N), np.random.default_rng(0), wide)
    assert found.doubt == 1
    assert found.any_kind > 0.9
    assert found.low <= matched.mean() <= found.high
    assert found.high - found.low > 0.4
    curves = false_shares(pair, like, stratum, found.by_stratum, found, wide)
    low, high = curves.range_at(pair)
    order = np.argsort(-pair)
    for part in (0.1, 0.3, 0.5):
        k = round(part * N)
        wrong = 1 - matched[order[:k]].mean()
        assert low[order[k - 1]] - 0.01 <= wrong <= high[order[k - 1]] + 0.01


def test_single_clips_that_are_mixed_up_leave_no_doubt() -> None:
    pair, decoy, _ = scores(0.5, 6)
    found = corresponding_share(pair, decoy, np.arange(N) % 4, np.arange(N), np.random.default_rng(0), decoy)
    assert found.doubt == 0
    assert found.high - found.low < 0.15


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_ranges_of_false_shares_hold_the_truth_and_the_estimate(share: float) -> None:
    held = []
    for seed in range(3):
        pair, decoy, matched = scores(share, 200 + seed)
        none = np.zeros(N, int)
        found = corresponding_share(pair, decoy, none, np.arange(N), np.random.default_rng(seed))
        curves = false_shares(pair, decoy, none, found.by_stratum, found)
        order = np.argsort(-pair)
        low, high = (end[order] for end in curves.range_at(pair))
        tail = curves.tail_at(pair)[order]
        assert (low <= tail + 1e-6).all()
        assert (tail <= high + 1e-6).all()
        assert (np.diff(low) >= 0).all()
        assert (np.diff(high) >= 0).all()
        for part in (0.1, 0.3, 0.5):
            k = round(part * N)
            held.append(low[k - 1] - 0.005 <= 1 - matched[order[:k]].mean() <= high[k - 1] + 0.005)
    assert np.mean(held) >= 0.9


def test_equal_scores_share_nothing() -> None:
    pair, decoy = np.zeros(N), np.zeros((4, N))
    found = corresponding_share(pair, decoy, np.zeros(N, int), np.arange(N), np.random.default_rng(0))
    assert found.share == 0
    assert (found.low, found.high) == (0, 1)  # and nothing is excluded
