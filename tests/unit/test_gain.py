"""Gain over decoys: nothing where there is nothing, something where it was planted, and errors that cover both."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.decoys import folds_of
from curation.kernels.gain import error_by_source, evidence_gain, permuted_codes

AUDIO = np.array([True, False, False])


def planted(share: float, clusters: int, seed: int = 0, n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of one sound layer and two picture layers of 16 kinds, of which `share` of the clips agree."""
    rng = np.random.default_rng(seed)
    source = np.unique(rng.integers(300, size=n), return_inverse=True)[1]
    kind = rng.integers(16, size=n)
    heard = np.where(rng.random(n) < share, kind, rng.integers(16, size=n))
    sound = (
        heard * clusters // 16 if clusters <= 16 else heard * (clusters // 16) + rng.integers(clusters // 16, size=n)
    )
    codes = np.stack([sound, kind, kind], axis=1).astype(np.int32)
    return codes, source, folds_of(source, 5, seed)


def gain(codes: np.ndarray, source: np.ndarray, fold: np.ndarray, clusters: int):  # type: ignore[no-untyped-def]
    return evidence_gain(codes, AUDIO, np.array([clusters, 16, 16]), source, fold)


def test_the_right_number_of_clusters_gains_most() -> None:
    found = {}
    for clusters in (2, 16, 256):
        codes, source, fold = planted(0.4, clusters)
        found[clusters] = gain(codes, source, fold, clusters)
    assert found[16].mean > found[2].mean + 0.1 and found[16].mean > found[256].mean + 0.1
    assert all(0.55 < one.wins < 1 for one in found.values())


@pytest.mark.parametrize("clusters", [2, 16, 256])
def test_nothing_is_gained_where_there_is_nothing(clusters: int) -> None:
    # 10 seeds: their mean is within what its own error explains
    means, errors = [], []
    for seed in range(10):
        codes, source, fold = planted(0.0, clusters, seed, n=1500)
        one = gain(codes, source, fold, clusters)
        means.append(one.mean)
        errors.append(error_by_source(one.excess, source))
    assert abs(np.mean(means)) < 3 * np.sqrt(2) * np.mean(errors) / np.sqrt(10)


def test_permuted_sounds_gain_nothing() -> None:
    codes, source, fold = planted(0.5, 16)
    control = permuted_codes(codes, AUDIO, source, fold, 0)
    assert (control[:, 1:] == codes[:, 1:]).all() and sorted(control[:, 0]) == sorted(codes[:, 0])
    one = gain(control, source, fold, 16)
    assert abs(one.mean) < 4 * error_by_source(one.excess, source)


@pytest.mark.parametrize("what", ["one cluster", "one source"])
def test_what_tells_nothing_is_zero(what: str) -> None:
    codes, source, fold = planted(0.5, 16, n=200)
    if what == "one cluster":
        codes[:] = 0
    else:
        source, fold = np.zeros(200, int), np.zeros(200, np.uint8)
    one = gain(codes, source, fold, 16)
    assert one.mean == 0 and one.wins == 0.5 and not one.score.any()


def test_error_by_source_by_hand() -> None:
    # residuals -1, -1, 1, 1: sums -2 and 2, so sqrt(8 * 2 / 1) / 4 = 1
    assert error_by_source(np.array([0.0, 0, 2, 2]), np.array([0, 0, 1, 1])) == pytest.approx(1.0)
    alone = error_by_source(np.array([0.0, 0, 2, 2]), np.arange(4))  # the usual standard error
    assert alone == pytest.approx(np.std([0, 0, 2, 2], ddof=1) / 2)
    assert np.isnan(error_by_source(np.ones(3), np.zeros(3, int)))
