"""Floors, the same way for every method: a finished choice in, one that holds enough of every label out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curation.kernels.draws import STREAM_TIES, stream_key
from curation.kernels.greedy_plan import plan_quotas
from curation.kernels.quotas import label_counts, repair_floors
from curation.kernels.top import top_rows
from curation.methods.base import Method, Outcome, Request


def keep_floors(method: Method, request: Request, outcome: Outcome) -> Outcome:
    """`outcome` with the method's best clips of every label that a floor lacks, at the end of its order, in place of
    its latest picks that no floor needs. Gains of clips that came in so are NaN.
    """
    plan = request.plan
    quotas = plan_quotas(plan)
    if not (label_counts(quotas, outcome.order) < quotas.floor).any():
        return outcome
    lacking = np.append(quotas.floor > 0, False)
    blocked = np.ones(request.n_rows, np.uint8)
    for f in range(len(quotas.offset) - 1):
        low, high = quotas.offset[f], quotas.offset[f + 1]
        blocked[np.append(lacking[low:high], False)[quotas.label[f]]] = 0
    blocked[plan.excluded] = 1
    blocked[outcome.order] = 1
    values = method.floor_values(request, outcome)
    candidates = top_rows(values, request.n_rows, stream_key(plan.seed, STREAM_TIES), blocked)
    order = repair_floors(outcome.order, len(plan.included), candidates, quotas)
    if len(plan.duration_us):
        order = _within_hours(order, request)
    gain = np.full(request.n_rows if len(order) else 0, np.nan)
    gain[outcome.order] = outcome.gain
    return replace(outcome, order=order, gain=gain[order])


def _within_hours(order: np.ndarray, request: Request) -> np.ndarray:
    """Without the latest picks that no floor needs, until the hours fit."""
    plan = request.plan
    quotas = plan_quotas(plan)
    counts = label_counts(quotas, order)
    over_us = int(plan.duration_us[order].sum()) - plan.limit_us
    kept = np.ones(len(order), bool)
    for place in range(len(order) - 1, len(plan.included) - 1, -1):
        if over_us <= 0:
            break
        own = quotas.label[:, order[place]]
        at = (quotas.offset[:-1] + own)[own >= 0]
        if (counts[at] > quotas.floor[at]).all():
            counts[at] -= 1
            kept[place] = False
            over_us -= int(plan.duration_us[order[place]])
    return order[kept]
