"""What share of pairs corresponds, from the whole shape of their scores: scores of pairs and of decoys in, shares with
their uncertainty and the chance of each score to belong to a corresponding pair, out.

Scores of pairs R mix those of corresponding pairs C with those of wrong ones, which look like decoys D. A few decoys
are right by accident: D = (1 - accident) W + accident C. The evidence is about a log likelihood ratio, so log C/W is
taken to rise linearly with it (an exponential tilt; Anderson 1979, Qin 1999): log C/W = level + slope * score. Then

    R/D = 1 - share + share / (accident + (1 - accident) exp(-level - slope * score)),

the level such that C sums to 1. Bottom and top of the curve show share and accident, so corresponding pairs that score
low do not pass for wrong ones, as they do where only the lowest ratio R/D is read off. The three parameters are
averaged over their posterior on a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARES = np.concatenate([[0, 0.0025, 0.005], np.linspace(0.01, 0.99, 99), [0.995, 0.9975, 1]])
_CELL = np.gradient(SHARES)  # how much of 0..1 each stands for
# Log odds of the accident and log of the slope (a decoys' deviation): mean and deviation of what is expected
_ACCIDENT, _SLOPE = (-2.5, 1.0), (0.9, 0.5)
_COARSE, _FINE = 11, 7  # points of the grid in each of the two
_REACH = 2.5  # deviations around the mean that the fine grid covers
_ROUNDS = 3  # of fitting the spread of shares over strata
_BINS, _PAIRS_A_BIN = 60, 6


@dataclass(frozen=True)
class Bins:
    """Scores in bins: `edge` (m - 1,), `decoys` (m,) share of the decoys in each, `middle` (m,) mean score, in
    deviations of decoys from their mean; `place` int (n,): the bin of each pair.
    """

    edge: np.ndarray
    decoys: np.ndarray
    middle: np.ndarray
    place: np.ndarray


def binned(pair: np.ndarray, decoy: np.ndarray) -> Bins:
    """Bins of about equal numbers of pairs and decoys; `pair` (n,), `decoy` (k, n)."""
    decoy = decoy.ravel().astype(np.float64)
    half = int(np.clip(len(pair) // _PAIRS_A_BIN, 4, _BINS)) // 2
    inner = np.linspace(0, 1, half + 1)[1:-1]
    edge = np.unique(np.concatenate([np.quantile(decoy, inner), np.quantile(pair, inner)]))
    place, where = np.searchsorted(edge, pair, side="right"), np.searchsorted(edge, decoy, side="right")
    m = len(edge) + 1
    decoys = np.bincount(where, minlength=m)
    n = decoys + np.bincount(place, minlength=m)
    total = np.bincount(where, decoy, m) + np.bincount(place, pair, m)
    middle = (total / np.maximum(n, 1) - decoy.mean()) / max(float(decoy.std()), 1e-12)
    return Bins(edge, decoys / decoys.sum(), middle, place)


class Tilt:
    """The fit of one stratum: log likelihoods over shares and shapes, and what they make of any counts of pairs."""

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self.counts = np.bincount(bins.place, minlength=len(bins.decoys)).astype(np.float64)
        grid = [np.linspace(mean - 3 * spread, mean + 3 * spread, _COARSE) for mean, spread in (_ACCIDENT, _SLOPE)]
        posterior = _softmax(self._log_posterior(*grid)[0])
        fine = []
        for axis, values in ((1, grid[0]), (2, grid[1])):
            p = posterior.sum(axis=tuple({0, 1, 2} - {axis}))
            mean = float(p @ values)
            reach = _REACH * max(float(np.sqrt(p @ (values - mean) ** 2)), 0.25 * (values[1] - values[0]))
            fine.append(np.linspace(mean - reach, mean + reach, _FINE))
        self._value, self._gain, self._log_r = self._log_posterior(*fine)
        self._prior = self._value - self._log_r @ self.counts

    def _log_posterior(self, accident: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log posterior density (S, A, B) on a grid of log odds of the accident and log slopes, C/D (A, B, m), and
        log R/D (S, A, B, m).
        """
        gain = _gain(self.bins, accident, np.exp(slope))
        prior = [-0.5 * ((v - mean) / spread) ** 2 for v, (mean, spread) in ((accident, _ACCIDENT), (slope, _SLOPE))]
        log_r = _log_r(gain)
        return log_r @ self.counts + prior[0][:, None] + prior[1][None, :], gain, log_r

    def likelihood(self, counts: np.ndarray) -> np.ndarray:
        """Of each share, for counts of pairs (r, m) in the bins: (r, S), the largest 1."""
        flat = self._log_r.reshape(-1, len(self.bins.decoys))
        value = (flat @ counts.T).reshape(*self._value.shape, -1) + self._prior[..., None]
        value = np.exp(value - value.max(axis=(0, 1, 2)))
        over = value.sum(axis=(1, 2)).T
        return over / over.max(axis=1, keepdims=True)

    def chance(self, share: float) -> np.ndarray:
        """Chance that a pair of each bin corresponds, where `share` of all do: (m,), rising with the score."""
        k = int(np.argmin(np.abs(SHARES - share)))
        weight = _softmax(self._value[k])
        return ((share * self._gain / np.maximum(1 - share + share * self._gain, 1e-9)) * weight[..., None]).sum((0, 1))


def _log_r(gain: np.ndarray) -> np.ndarray:
    """log R/D, (S, A, B, m): the largest array of a fit, so it is made in place."""
    share = SHARES[:, None, None, None]
    ratio = share * gain
    ratio += 1 - share
    np.maximum(ratio, 1e-9, out=ratio)
    return np.log(ratio, out=ratio)


def _gain(bins: Bins, accident: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """C/D in each bin (A, B, m), the level found by bisection such that its mean over decoys is 1."""
    wrong = 1 / (1 + np.exp(accident))[:, None, None]  # 1 - accident
    rise = slope[:, None] * bins.middle
    low, high = np.full((len(accident), len(slope)), -80.0), np.full((len(accident), len(slope)), 80.0)
    gain = np.empty((len(accident), len(slope), len(bins.middle)))
    for _ in range(40):
        level = (low + high) / 2
        gain = 1 / (1 - wrong + wrong * np.exp(np.clip(-(level[..., None] + rise), -50, 50)))
        above = gain @ bins.decoys > 1
        low, high = np.where(above, low, level), np.where(above, level, high)
    return gain


def _softmax(value: np.ndarray) -> np.ndarray:
    p = np.exp(value - value.max())
    return p / p.sum()


def shares_of_strata(likelihood: np.ndarray, size: np.ndarray, rounds: int = _ROUNDS) -> np.ndarray:
    """Mean share of each stratum, (..., B), from likelihoods (..., B, S), with a spread of shares over the strata that
    is fitted to them (empirical Bayes); `size` (B,) weighs strata.
    """
    weight = size / size.sum()
    prior = np.broadcast_to(_CELL, (*likelihood.shape[:-2], len(SHARES)))
    posterior = likelihood
    for _ in range(rounds):
        posterior = likelihood * prior[..., None, :]
        posterior = posterior / np.maximum(posterior.sum(axis=-1, keepdims=True), 1e-300)
        prior = np.einsum("b,...bs->...s", weight, posterior)
    return posterior @ SHARES
