"""A random order of rows: against the plain sort of their hashes."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels import shuffle


def plain_hash(row: int, seed: int) -> int:
    mask = 2**64 - 1
    z = (row + (seed + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_hashes_are_those_of_the_paper(dtype) -> None:
    rows = np.array([0, 1, 7, 2**31 - 1], dtype)
    for seed in (0, 3, 10**9):
        assert shuffle.hashes(rows, seed).tolist() == [plain_hash(int(row), seed) for row in rows]


@pytest.mark.parametrize(("m", "n"), [(0, 5), (1, 5), (5, 0), (100, 100), (100, 7), (60_000, 50), (60_000, 40_000)])
def test_the_first_are_the_least_of_a_plain_sort(m: int, n: int) -> None:
    rows = np.random.default_rng(0).choice(10**6, m, replace=False).astype(np.int32)
    kept = rows.copy()
    for seed in range(3):
        found = shuffle.first(rows, seed, n)
        assert found.dtype == rows.dtype
        assert found.tolist() == rows[np.argsort(shuffle.hashes(rows, seed), kind="stable")][:n].tolist()
    assert (rows == kept).all()


def test_a_limit_that_lets_too_few_through_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(50_000)
    right = shuffle.first(rows, 1, 3000)
    monkeypatch.setattr(shuffle, "_SHARE", 0.3)
    assert shuffle.first(rows, 1, 3000).tolist() == right.tolist()


def test_taking_rows_away_keeps_the_order_of_the_rest() -> None:
    rows = np.arange(1000)
    some = rows[rows % 3 == 0]
    whole = shuffle.first(rows, 5, 1000)
    assert shuffle.first(some, 5, 1000).tolist() == [row for row in whole if row % 3 == 0]
