"""The plane of two principal components, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from curation.kernels.plane import principal_plane


def test_agrees_with_scikit_learn_up_to_sign() -> None:
    x = np.random.default_rng(0).normal(size=(300, 12)) @ np.diag(np.arange(1, 13))
    x[:, 3] = x[:, 1] + 0.1 * x[:, 3]
    x[:, 5] = 2.0  # constant: tells nothing
    got = principal_plane(x, np.random.default_rng(1))
    want = PCA(2).fit_transform(StandardScaler().fit_transform(np.delete(x, 5, 1)))
    for axis in range(2):
        assert abs(np.corrcoef(got[:, axis], want[:, axis])[0, 1]) == pytest.approx(1, abs=1e-6)
        assert got[:, axis].std() == pytest.approx(want[:, axis].std(), rel=1e-4)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 1), (5, 2), (3, 50), (40, 3)])
def test_small_data_give_finite_places(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    got = principal_plane(x, np.random.default_rng(0))
    assert got.shape == (shape[0], 2) and np.isfinite(got).all()


def test_the_same_seed_gives_the_same_map_and_the_input_is_kept() -> None:
    x = np.random.default_rng(0).normal(size=(500, 20)).astype(np.float32)
    before = x.copy()
    first, second = (principal_plane(x, np.random.default_rng(3), max_fit=100) for _ in range(2))
    assert (first == second).all() and (x == before).all()


def test_equal_rows_lie_in_one_place() -> None:
    assert (principal_plane(np.ones((10, 5)), np.random.default_rng(0)) == 0).all()
