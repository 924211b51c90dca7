"""ascent: the ratio score, pulled step by step towards what the chosen clips themselves count."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.kernels.draws import STREAM_TIES, stream_key
from curation.kernels.information import pair_information
from curation.kernels.pointwise import Counts, score_rows, score_table
from curation.kernels.top import top_rows
from curation.methods.base import Option, Request, ScoreMethod
from curation.methods.fitting import SAMPLE, SMOOTHING, Fit, make_fit


class AscentMethod(ScoreMethod):
    """g = ratio score; repeat: S = top s by g; g <- (1 - h) g + h (pointwise mutual information under S's counts).

    The g whose S had the largest F is the score: the gradient of n MI at fixed n is followed. Fitted on at most
    `sample` clips; then the others are scored by the cell values of that g.
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
        sampled = fit.n < request.n_rows - len(plan.excluded)
        size = max(1, round(plan.budget * fit.n / (request.n_rows - len(plan.excluded))))
        counts = fit.counts()
        g = fit.scores(counts, counts, None, None, alpha)
        table = _table(fit, counts, alpha) if sampled else None
        best_g, best_table, objectives = g, table, []
        for _ in range(settings["rounds"]):
            member, counts = _chosen(fit, g, size)
            objectives.append(_objective(fit, counts, member))
            if objectives[-1] >= max(objectives):
                best_g, best_table = g, table
            towards = fit.scores(counts, counts, member, member, alpha)
            g = g + np.rint(step * (towards - g)).astype(np.int64)
            if table is not None:
                table = table + np.rint(step * (_table(fit, counts, alpha) - table)).astype(np.int64)
        report = {
            "objective_of_rounds": objectives,
            "fitted_on": fit.n,
            "own_source_left_out": fit.sources is not None,
        }
        if best_table is None:
            return fit.spread(best_g), {}, report
        everyone = Fit(request, request.candidates(), None, None)
        return everyone.spread(score_rows(plan.rows, plan.layout, best_table, everyone.which, request.look)), {}, report


def _table(fit: Fit, counts: Counts, alpha: float) -> np.ndarray:
    plan = fit.request.plan
    return score_table(plan.layout, counts, counts, plan.weights.copy(), alpha)


def _chosen(fit: Fit, g: np.ndarray, size: int) -> tuple[np.ndarray, Counts]:
    """The top `size` positions as int32 weights 0 and 1, and their counts."""
    member = np.zeros(fit.n, np.int32)
    key = stream_key(fit.request.plan.seed, STREAM_TIES)
    member[top_rows(g.astype(np.float64), size, key)] = 1
    return member, fit.counts(member)


def _objective(fit: Fit, counts: Counts, member: np.ndarray) -> float:
    plan = fit.request.plan
    return float(pair_information(counts.cells, counts.layers, plan.layout, counts.total) @ plan.weights)
