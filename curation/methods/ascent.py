"""ascent: the ratio score, pulled step by step towards what the chosen clips themselves count."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.kernels.draws import STREAM_TIES, stream_key
from curation.kernels.information import pair_information
from curation.kernels.pointwise import Counts
from curation.kernels.top import top_rows
from curation.methods.base import Option, Request, ScoreMethod
from curation.methods.fitting import SAMPLE, SMOOTHING, Fit, make_fit


class AscentMethod(ScoreMethod):
    """g = ratio score; repeat: S = top s by g; g <- (1 - h) g + h (pointwise mutual information under S's counts).

    The g whose S had the largest F is the score: the gradient of n MI at fixed n is followed. Fitted on at most
    `sample` clips, of which S is the same share as the budget of all; the others are scored by what they counted.
    """

    name = "ascent"
    title = "The ratio score refined by the chosen clips' own counts: more mutual information in a few passes."
    options = (
        SMOOTHING,
        Option("step", 0.3, "How far each round moves towards the chosen clips' own counts.", 0.01, 1),
        Option("rounds", 20, "Rounds at most.", 1, 1000),
        SAMPLE,
    )

    def score(self, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        settings, plan = request.options, request.plan
        alpha, step = float(settings["smoothing"]), float(settings["step"])
        fit = make_fit(request, settings["sample"])
        size = min(fit.n, max(1, round(plan.budget * fit.share)))
        counts = fit.counts()
        best = g = fit.judge(counts, counts, None, None, alpha)
        member, objectives = None, []
        for _ in range(settings["rounds"]):
            if member is not None:
                g = g.towards(fit.judge(counts, counts, member, member, alpha), step)
            member, counts = _chosen(fit, g.fitted, size)
            objectives.append(_objective(fit, counts))
            if objectives[-1] >= max(objectives):
                best = g
        report = {
            "objective_of_rounds": objectives,
            "fitted_on": fit.n,
            "own_source_left_out": fit.sources is not None,
        }
        return fit.everyone(best), {}, report


def _chosen(fit: Fit, g: np.ndarray, size: int) -> tuple[np.ndarray, Counts]:
    """The top `size` positions as int32 weights 0 and 1, and their counts."""
    member = np.zeros(fit.n, np.int32)
    key = stream_key(fit.request.plan.seed, STREAM_TIES)
    member[top_rows(g.astype(np.float64), size, key)] = 1
    return member, fit.counts(member)


def _objective(fit: Fit, counts: Counts) -> float:
    plan = fit.request.plan
    return float(pair_information(counts.cells, counts.layers, plan.layout, counts.total) @ plan.weights)
