"""What a selection stands beside: the same request on permuted sounds, random subsets, and the curve of all three."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from curation.kernels.contingency import Rows
from curation.kernels.draws import STREAM_CONTROL, permuted_partners
from curation.kernels.information import objective_along
from curation.methods.base import Request
from curation.methods.uniform import draw_random

CURVE_POINTS = 60
RANDOM_DRAWS = 3  # mean of this many random subsets, one where that takes long


def permuted_request(request: Request, notices: list[str]) -> Request:
    """The same request with every sound given to a picture of another source, among the candidates."""
    plan = request.plan
    rows = np.arange(request.n_rows, dtype=np.int32)
    if len(plan.excluded):
        rows = np.delete(rows, plan.excluded)
    group = request.group[rows] if len(request.group) else rows
    if len(rows) and (group == group[0]).all():  # one source for all says nothing of sources
        group = rows
    partner, left = permuted_partners(group, plan.seed)
    if left:
        notices.append(f"{left} of {len(rows)} permuted sounds stay within their own source: one source is too large.")
    partners = np.arange(request.n_rows, dtype=np.int32)
    partners[rows] = rows[partner]
    # Hours end the run itself; its control only has to be as long.
    control = replace(
        plan,
        rows=plan.rows._replace(partner=partners),
        duration_us=np.zeros(0, np.int64),
        limit_us=0,
        keep_scores=False,
    )
    again = tuple((rows._replace(partner=partners), layout) for rows, layout in request.replicates)
    return replace(request, plan=control, replicates=again, checkpoint=None)


def curve_of(
    request: Request, order: np.ndarray, control: Request | None, permuted_order: np.ndarray
) -> dict[str, np.ndarray]:
    """F of the run, of random and of the control, at the same sizes; NaN for controls that were not asked for."""
    plan, s = request.plan, len(order)
    points = min(s, CURVE_POINTS)
    sizes = np.unique(np.rint(np.arange(1, points + 1) * s / points).astype(np.int64))

    def along(rows: Rows, clips: np.ndarray) -> np.ndarray:
        return objective_along(rows, clips, sizes, plan.layout, plan.weights)

    curve = {"size": sizes, "objective": along(plan.rows, order)}
    for name in ("random", "permuted"):
        curve[name] = np.full(len(sizes), np.nan)
    if control is not None:
        uncut = replace(plan, budget=s, duration_us=np.zeros(0, np.int64))
        draws = [draw_random(uncut, STREAM_CONTROL, k) for k in range(random_draws(s))]
        curve["random"] = np.mean([along(plan.rows, draw) for draw in draws], axis=0)
        curve["permuted"] = along(control.plan.rows, permuted_order)
    return curve


def random_draws(size: int) -> int:
    """Random subsets that the curve's `random` is the mean of."""
    return RANDOM_DRAWS if size <= 1_000_000 else 1
