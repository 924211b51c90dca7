"""Uniform selection without replacement, under the same constraints as the other methods: the control of every plot."""

from __future__ import annotations

import numpy as np

from curation.kernels.draws import shuffle_front, stream_key
from curation.kernels.quotas import Quotas, left_after, walk


def random_order(
    n_rows: int,
    budget: int,
    *,
    seed: int,
    stream: tuple[int, ...],
    included: np.ndarray,
    excluded: np.ndarray,
    quotas: Quotas,
    duration_us: np.ndarray,
    limit_us: int,
) -> np.ndarray:
    """The first clips of a random permutation keyed by `seed` and `stream`, after the included ones: int64 (<=
    budget,).

    The run ends before the first clip whose duration would pass `limit_us`. A prefix is the run with a smaller budget.
    """
    candidate = np.arange(n_rows, dtype=np.int32)
    if len(included) or len(excluded):
        free = np.ones(n_rows, bool)
        free[included] = False
        free[excluded] = False
        candidate = candidate[free]
    # With quotas or a limit of hours the walk may skip clips, so more than the budget can be needed.
    limited = len(quotas.offset) > 1
    take = len(candidate) if limited else budget - len(included)
    shuffle_front(candidate, take, np.uint64(stream_key(seed, *stream)))
    order = np.empty(budget, np.int64)
    order[: len(included)] = included
    left = left_after(quotas, included)
    used_us = int(duration_us[included].sum()) if len(duration_us) else 0
    n = walk(candidate, order, len(included), quotas.label, quotas.offset, left, duration_us, limit_us, used_us)
    return order[:n]
