"""MI, NMI and AMI of subsets against scikit-learn and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn import metrics

import curation
from curation.errors import InputError, SettingError
from curation.kernels.adjusted import adjusted_information, expected_information, normalized


@pytest.mark.parametrize(("n", "k"), [(7, 2), (60, 32), (1000, 5), (5000, 40)])
@pytest.mark.parametrize("share", [0, 0.4, 1])
def test_measures_equal_scikit_learn(n: int, k: int, share: float) -> None:
    rng = np.random.default_rng(n + k)
    kind = rng.integers(0, k, n)
    codes = np.where(rng.random((n, 3)) < share, kind[:, None], rng.integers(0, k + 2, (n, 3)))
    subset = np.flatnonzero(rng.random(n) < 0.8)
    found = curation.mutual_information(codes, ["audio", "visual", "visual"], subset=subset, pairing="combination",
                                        adjusted=True)  # fmt: skip
    for (a, b), mi, nmi, ami in zip(found.pairs, found.values, found.normalized, found.adjusted, strict=True):
        x, y = codes[subset, a], codes[subset, b]
        assert mi == pytest.approx(metrics.mutual_info_score(x, y), abs=1e-9)
        assert nmi == pytest.approx(metrics.normalized_mutual_info_score(x, y), abs=1e-9)
        assert ami == pytest.approx(metrics.adjusted_mutual_info_score(x, y), abs=1e-9)
    assert found.n == len(subset)


def test_expected_information_is_the_mean_over_permutations() -> None:
    x, y = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 2, 2])
    mean = np.mean([metrics.mutual_info_score(x, y[list(order)]) for order in itertools.permutations(range(5))])
    assert expected_information(np.bincount(x), np.bincount(y), 5) == pytest.approx(mean, abs=1e-12)


def test_trivial_clusterings() -> None:
    one, two = np.array([5]), np.array([3, 2])
    assert normalized(0.0, one, one) == adjusted_information(0.0, one, one) == 1
    assert normalized(0.0, one, two) == adjusted_information(0.0, one, two) == 0


def test_large_subsets_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (4000, 2))
    codes[:2000, 1] = codes[:2000, 0]
    exact = curation.mutual_information(codes, ["audio", "visual"], adjusted=True)
    monkeypatch.setattr("curation.information.ADJUSTED_MAX", 2000)
    one, same, other = (
        curation.mutual_information(codes, ["audio", "visual"], adjusted=True, seed=seed) for seed in (1, 1, 2)
    )
    assert one.n == 2000 and one.values == exact.values
    assert one.adjusted == same.adjusted != other.adjusted
    assert one.adjusted == pytest.approx(exact.adjusted, abs=0.04)


def test_bad_input_is_named() -> None:
    codes = np.zeros((5, 2), np.int32)
    with pytest.raises(InputError, match="subset is empty"):
        curation.mutual_information(codes, ["audio", "visual"], subset=[], adjusted=True)
    with pytest.raises(SettingError, match="seed"):
        curation.mutual_information(codes, ["audio", "visual"], adjusted=True, seed=-1)
    assert len(curation.mutual_information(codes, ["audio", "visual"]).adjusted) == 0
