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
    for seed in range(20):
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


def test_equal_scores_share_nothing() -> None:
    pair, decoy = np.zeros(N), np.zeros((4, N))
    found = corresponding_share(pair, decoy, np.zeros(N, int), np.arange(N), np.random.default_rng(0))
    assert found.share == 0
