"""mixture: clips either correspond (cells of a joint J) or do not (cells independent, Q); EM over the share s."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.kernels.pointwise import SCORE_UNIT, responsibilities
from curation.methods.base import Option, Request, ScoreMethod
from curation.methods.fitting import SAMPLE, SMOOTHING, Judged, make_fit

_UNIT = 1 << 20  # of a responsibility, so that weighted counts are whole numbers


class MixtureMethod(ScoreMethod):
    """Responsibilities `r_i = sigmoid(t sum_p w_p log[J_p(a, b) / (Q_p(a) Q_p(b))] - c)`, weights summing to P, c such
    that they sum to s; J from r-weighted counts; Q from all clips (shared) or the (1 - r)-weighted ones (own).

    t < 1 because the pairs repeat one another, so the rounds are capped: EM of a tempered likelihood need not rise.
    The score is the log ratio of the last round, mean over the pairs, nats: a ranking, not a probability.
    """

    name = "mixture"
    title = "Clips that fit a model of corresponding sounds and pictures better than one of unrelated ones."
    options = (
        Option(
            "marginals",
            "shared",
            "Independence as in all clips, or as in the unrelated ones (own): drops kinds.",
            choices=("shared", "own"),
        ),
        Option("tempering", 0.0, "How much a pair counts (t); 0 = 0.2 for shared, 0.1 for own marginals.", 0, 1),
        Option("rounds", 30, "Rounds of EM.", 1, 1000),
        SMOOTHING,
        SAMPLE,
    )

    def score(self, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        settings, plan = request.options, request.plan
        own = settings["marginals"] == "own"
        tempering = float(settings["tempering"]) or (0.1 if own else 0.2)
        alpha = float(settings["smoothing"])
        fit = make_fit(request, settings["sample"])
        wanted = max(1.0, plan.budget * fit.share)
        slope = tempering * SCORE_UNIT
        everything = fit.counts()
        g = fit.scores(everything, everything, None, None, alpha)
        r, rest = None, None
        counts = against = everything
        for _ in range(settings["rounds"]):
            r = responsibilities(g, slope, min(wanted, float(fit.n)), _UNIT, request.look)
            counts = fit.counts(r)
            rest = (_UNIT - r).astype(np.int32) if own else None
            against = fit.counts(rest) if own else everything
            g = fit.scores(counts, against, r, rest, alpha * _UNIT)
        report = {
            "marginals": settings["marginals"],
            "tempering": tempering,
            "fitted_on": fit.n,
            "own_source_left_out": fit.sources is not None,
        }
        if not fit.is_sample:
            none = np.zeros(0, np.int64)
            return fit.everyone(Judged(g, none, none)), {}, report
        return fit.everyone(fit.judge(counts, against, r, rest, alpha * _UNIT)), {}, report
