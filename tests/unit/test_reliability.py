"""A score is called a probability only where two readings of the decoys and the interval of the share agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curation.kernels.reliability import WITHIN, Reliability, reliability
from curation.kernels.shares import Share, corresponding_share, false_shares

N = 20_000


def verdict(share: float, seed: int, n: int = N, doubt: float = 0) -> tuple[Reliability, np.ndarray, Share]:
    """The verdict on normal scores 4 apart, a tenth of the decoys right by accident; true shares of the bins."""
    rng = np.random.default_rng(seed)
    matched = rng.random(n) < share
    right = matched | (rng.random(n) < 0.1)
    pair, decoy = rng.normal(size=n) + 4 * right, rng.normal(size=(4, n)) + 4 * (rng.random((4, n)) < 0.1)
    found = corresponding_share(pair, decoy, np.zeros(n, int), np.arange(n), np.random.default_rng(0))
    found = replace(found, doubt=doubt)
    local = false_shares(pair, decoy, np.zeros(n, int), found.by_stratum, found).local_at(pair)
    order = np.argsort(pair)
    truth = np.array([matched[b].mean() for b in np.array_split(order, 10)])
    return reliability(pair, decoy, found, local), truth, found


def test_where_it_is_called_a_probability_it_is_one() -> None:
    called = 0
    for seed, share in enumerate([0, 0.3, 0.7, 0.9, 1]):
        found, truth, _ = verdict(share, seed)
        if found.is_probability:
            called += 1
            assert np.abs(found.chance - truth).max() < WITHIN
            assert found.reason == ""
    assert called >= 2


def test_few_pairs_are_no_probability_and_the_reason_is_said() -> None:
    found, _, share = verdict(0.5, 1, 300)
    assert share.high - share.low > 0.05
    assert not found.is_probability
    assert "ten bins" in found.reason


def test_doubt_about_kinds_is_no_probability() -> None:
    found, _, _ = verdict(1, 2, doubt=0.5)
    assert not found.is_probability
    assert "kinds of content" in found.reason


def test_ends_of_the_interval_lie_around_what_is_counted() -> None:
    found, _, _ = verdict(0.5, 3, 1500)
    assert (found.low <= found.counted).all()
    assert (found.counted <= found.high).all()
    assert len(found.chance) == 10
