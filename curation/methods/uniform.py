"""random: uniform without replacement, the control that every result stands beside."""

from __future__ import annotations

import numpy as np

from curation.kernels.draws import STREAM_RANDOM
from curation.kernels.greedy_plan import Plan, plan_quotas
from curation.kernels.random_order import random_order
from curation.methods.base import Method, Outcome, Request, capped


def draw_random(plan: Plan, *stream: int) -> np.ndarray:
    """A random run under the plan's caps and hours, int64 (s,)."""
    return random_order(
        len(plan.rows.codes),
        plan.budget,
        seed=plan.seed,
        stream=stream,
        included=plan.included,
        excluded=plan.excluded,
        quotas=capped(plan_quotas(plan)),
        duration_us=plan.duration_us,
        limit_us=plan.limit_us,
    )


class RandomMethod(Method):
    """A permutation keyed by the seed, from its front."""

    name = "random"
    title = "Drawn uniformly: the control that every result stands beside."
    is_prefix = True

    def run(self, request: Request) -> Outcome:
        request.look()
        order = draw_random(request.plan, STREAM_RANDOM)
        scores = np.full(request.n_rows, np.nan)
        scores[order] = np.arange(len(order), 0, -1)
        return Outcome(order, np.full(len(order), np.nan), scores, {}, {"scored_candidates": 0})

    def floor_values(self, request: Request, outcome: Outcome) -> np.ndarray:
        """All alike: the hashes decide."""
        return np.zeros(request.n_rows)
