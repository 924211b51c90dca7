"""The largest of a batch: equal to a stable sort, also where gains crowd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.largest import bucket_room, largest


def _largest(gains: np.ndarray, take: int) -> list[int]:
    best = np.empty(len(gains), np.int64)
    largest(gains, len(gains), take, best, bucket_room(len(gains)))
    return best[:take].tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**62) + 1, 2**62 - 1) | st.integers(-2, 2), min_size=1, max_size=80), st.data())
def test_it_is_the_front_of_a_stable_sort(values: list[int], data: st.DataObject) -> None:
    take = data.draw(st.integers(1, len(values)))
    wanted = sorted(range(len(values)), key=lambda j: (-values[j], j))[:take]
    assert _largest(np.array(values, np.int64), take) == wanted


@pytest.mark.parametrize("outlier", [0, 2**61, -(2**61)])
def test_crowded_buckets_are_sorted(outlier: int) -> None:
    gains = np.random.default_rng(1).integers(0, 50, 5000)
    gains[77] += outlier
    wanted = np.argsort(-gains, kind="stable")
    for take in (1, 40, 2500, 5000):
        assert _largest(gains, take) == wanted[:take].tolist()
