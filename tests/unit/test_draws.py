"""Counter-based draws: equal to plain integers, uniform, prefixes, permutations without one's own group."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels import draws
from curation.kernels.compiled import compiled
from tests import reference


@compiled()
def _some(key: np.uint64, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    hashes, values = np.empty(count, np.uint64), np.empty(count, np.int64)
    limit = draws.rejection_limit(size)
    for j in range(count):
        hashes[j] = draws.hashed(key, j)
        values[j] = draws.bounded(hashes[j], size, limit)
    return hashes, values


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("size", [1, 7, 1000, 2**31 - 1])
def test_draws_equal_plain_integers(seed: int, size: int) -> None:
    key = draws.stream_key(seed, 3, 4)
    assert key == reference.key_of(seed, 3, 4)
    hashes, values = _some(np.uint64(key), 200, size)
    assert hashes.tolist() == [reference.hashed(key, j) for j in range(200)]
    wanted = [reference.bounded(reference.hashed(key, j), size) for j in range(200)]
    assert [None if v < 0 else v for v in values.tolist()] == wanted


def test_first_values_of_the_published_generator() -> None:
    # SplitMix64 from seed 1234567, as listed with its reference implementation
    assert [reference.hashed(1234567, j) for j in range(2)] == [6457827717110365317, 3203168211198807973]
    assert [draws.mix_int(1234567 + (j + 1) * draws.GOLDEN_INT) for j in range(2)] == [
        6457827717110365317,
        3203168211198807973,
    ]


def test_draws_are_uniform() -> None:
    _, values = _some(np.uint64(draws.stream_key(5, 1)), 60_000, 30)
    counts = np.bincount(values[values >= 0], minlength=30)
    expected = counts.sum() / 30
    assert ((counts - expected) ** 2 / expected).sum() < 60  # chi-square, 29 degrees of freedom: p about 0.0006


def test_torch_hashes_have_the_same_bits() -> None:
    torch_draws = pytest.importorskip("curation.kernels.batch_greedy_torch")
    key = draws.stream_key(9, 1)
    hashes, values = _some(np.uint64(key), 500, 12_345)
    found = torch_draws.hashes(key, 0, 500, "cpu")
    assert found.numpy().view(np.uint64).tolist() == hashes.tolist()
    assert torch_draws.hashes(key, 100, 50, "cpu").tolist() == found[100:150].tolist()
    assert torch_draws.bounded(found, 12_345).tolist() == values[values >= 0].tolist()


def test_shuffle_is_plain_fisher_yates_and_a_prefix_is_a_smaller_sample() -> None:
    key = draws.stream_key(3, 2)
    whole = np.arange(50, dtype=np.int32)
    draws.shuffle_front(whole, 50, np.uint64(key))
    assert whole.tolist() == reference.shuffled(range(50), key)
    part = np.arange(50, dtype=np.int32)
    draws.shuffle_front(part, 20, np.uint64(key))
    assert part[:20].tolist() == whole[:20].tolist()
    assert sorted(part.tolist()) == list(range(50))


def test_partners_come_from_other_groups() -> None:
    group = np.repeat([0, 1, 2, 3], [45, 30, 20, 5]).astype(np.int32)
    partner, left = draws.permuted_partners(group, 7)
    assert left == 0
    assert sorted(partner.tolist()) == list(range(100))
    assert (group[partner] != group).all()
    assert partner.tolist() == draws.permuted_partners(group, 7)[0].tolist()
    assert partner.tolist() != draws.permuted_partners(group, 8)[0].tolist()


def test_a_group_of_more_than_half_keeps_some_partners() -> None:
    group = np.repeat([0, 1], [70, 30]).astype(np.int32)
    partner, left = draws.permuted_partners(group, 0)
    assert sorted(partner.tolist()) == list(range(100))
    assert left == int((group[partner] == group).sum()) == 40
