"""ratio: every clip's pointwise mutual information under the counts of all clips; the best are taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.methods.base import Request, ScoreMethod
from curation.methods.fitting import SMOOTHING, make_fit


class RatioMethod(ScoreMethod):
    """Two passes: count, score `sum_p w_p log[(n_ab + alpha) / (n_a n_b / n + alpha)]`.

    Where several sources are given, the counts that judge a clip leave out its own; a duplicate group counts once.
    """

    name = "ratio"
    title = "Clips whose sound and picture clusters occur together more often than chance."
    is_prefix = True
    options = (SMOOTHING,)

    def score(self, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        fit = make_fit(request)
        counts = fit.counts()
        scores = fit.judge(counts, counts, None, None, float(request.options["smoothing"]))
        report = {"own_source_left_out": fit.sources is not None, "counted_clips": fit.n_counted}
        return fit.everyone(scores), {}, report
