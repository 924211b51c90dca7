"""Shares from the whole shape of scores: bins, planted shares, corresponding pairs that score low, strata."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.tilt import SHARES, Tilt, binned, shares_of_strata

N = 2000


def drawn(share: float, seed: int, slope: float = 2.0, accident: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Pairs and four decoys each from normal scores `slope` apart: log C/W is a line of that slope."""
    rng = np.random.default_rng(seed)
    pair = rng.normal(size=N) + slope * (rng.random(N) < share + (1 - share) * accident)
    return pair, rng.normal(size=(4, N)) + slope * (rng.random((4, N)) < accident)


def estimate(pair: np.ndarray, decoy: np.ndarray) -> float:
    tilt = Tilt(binned(pair, decoy))
    return float(shares_of_strata(tilt.likelihood(tilt.counts[None]), np.ones(1), 1)[0])


def test_bins_hold_every_pair_and_all_decoys() -> None:
    pair, decoy = drawn(0.4, 0)
    bins = binned(pair, decoy)
    m = len(bins.decoys)
    assert bins.decoys.sum() == pytest.approx(1)
    assert len(bins.edge) == m - 1
    assert bins.place.min() >= 0
    assert bins.place.max() == m - 1
    assert (np.diff(bins.middle) > 0).all()
    assert (pair >= np.append(-np.inf, bins.edge)[bins.place]).all()
    assert (pair < np.append(bins.edge, np.inf)[bins.place]).all()


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
def test_planted_shares_come_back_though_corresponding_pairs_score_low(share: float) -> None:
    found = [estimate(*drawn(share, seed)) for seed in range(4)]
    assert abs(np.mean(found) - share) < 0.05


def test_a_share_of_one_is_not_short_of_those_that_score_low() -> None:
    pair, decoy = drawn(1.0, 5, slope=1.2)
    # Many corresponding pairs score like decoys: the lowest ratio alone would say so
    assert min((pair < t).mean() / (decoy < t).mean() for t in np.quantile(decoy, [0.1, 0.2, 0.3])) > 0.02
    assert estimate(pair, decoy) > 0.93


def test_the_chance_rises_with_the_score_and_its_mean_is_the_share() -> None:
    pair, decoy = drawn(0.5, 1)
    tilt = Tilt(binned(pair, decoy))
    chance = tilt.chance(0.5)
    assert (np.diff(chance) >= -1e-9).all()
    assert tilt.counts @ chance / N == pytest.approx(0.5, abs=0.03)
    assert (tilt.chance(0) == 0).all()
    assert np.allclose(tilt.chance(1), 1)


def test_the_likelihood_of_resampled_counts_peaks_elsewhere() -> None:
    tilt = Tilt(binned(*drawn(0.5, 2)))
    upper = tilt.counts * (tilt.bins.middle > 0.5)
    both = tilt.likelihood(np.stack([tilt.counts, upper]))
    assert both.shape == (2, len(SHARES))
    assert both.max() == 1
    assert SHARES[both[1].argmax()] > SHARES[both[0].argmax()]


def test_strata_that_are_noise_apart_are_drawn_together_and_others_are_not() -> None:
    def bump(at: float) -> np.ndarray:
        return np.exp(-0.5 * ((SHARES - at) / 0.1) ** 2)

    alike = shares_of_strata(np.stack([bump(0.45), bump(0.55)]), np.ones(2))
    apart = shares_of_strata(np.stack([bump(0.1), bump(0.9)]), np.ones(2))
    assert alike[1] - alike[0] < 0.09
    assert apart[1] - apart[0] > 0.7
