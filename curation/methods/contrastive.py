"""contrastive: two linear heads a pair, trained to tell a clip's own sound from others; score = their cosine."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.methods.base import Option, Request, ScoreMethod
from curation.methods.instance_level import feature_pairs, fit_rows


class ContrastiveMethod(ScoreMethod):
    """Baseline of ACAV100M: symmetric InfoNCE on the candidates themselves (temperature 0.1, learning rate 2e-4)."""

    name = "contrastive"
    title = "Baseline without clusters: a small model learns which sounds go with which pictures."
    is_prefix = True
    needs_features = True
    options = (
        Option("dim", 128, "Size of the common space.", 2, 4096),
        Option("batch", 256, "Clips told apart at a time.", 2, 65_536),
        Option("steps", 500, "Batches to learn from.", 1, 1_000_000),
    )

    def score(self, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        from curation.kernels.contrastive import contrastive_scores

        settings = request.options
        scores = contrastive_scores(
            list(request.features),
            [request.partner_of(k) for k in range(len(request.features))],
            feature_pairs(request),
            request.plan.weights,
            fit_rows(request),
            seed=request.plan.seed,
            dim=settings["dim"],
            batch=settings["batch"],
            steps=settings["steps"],
            look=request.look,
        )
        return scores, {}, {}
