"""Uniform selection without replacement, under the same constraints as the other methods: the control of every plot."""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled
from curation.kernels.draws import shuffle_front, stream_key


@compiled()
def _walk(
    candidate: np.ndarray, order: np.ndarray, n: int, group: np.ndarray, group_left: np.ndarray,
    duration_us: np.ndarray, limit_us: int, used_us: int,
) -> int:  # fmt: skip
    """Append candidates in order from place n on, skipping full groups, up to the budget; returns the new length."""
    for i in candidate:
        if n == len(order):
            break
        if len(group) > 0:
            if group_left[group[i]] == 0:
                continue
            group_left[group[i]] -= 1
        if len(duration_us) > 0:
            if used_us + duration_us[i] > limit_us:
                break
            used_us += duration_us[i]
        order[n] = i
        n += 1
    return n


def random_order(
    n_rows: int,
    budget: int,
    *,
    seed: int,
    stream: tuple[int, ...],
    included: np.ndarray,
    excluded: np.ndarray,
    group: np.ndarray,
    group_max: int,
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
    # With groups or a limit of hours the walk may skip clips, so more than the budget can be needed.
    take = len(candidate) if len(group) else budget - len(included)
    shuffle_front(candidate, take, np.uint64(stream_key(seed, *stream)))
    order = np.empty(budget, np.int64)
    order[: len(included)] = included
    left = np.zeros(0, np.int64)
    if len(group):
        left = np.full(int(group.max()) + 1, group_max, np.int64)
        left -= np.bincount(group[included], minlength=len(left))
    used_us = int(duration_us[included].sum()) if len(duration_us) else 0
    n = _walk(candidate, order, len(included), group, left, duration_us, limit_us, used_us)
    return order[:n]
