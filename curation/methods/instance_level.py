"""pca-inner-product, pca-cosine, pca-l1, pca-l2: similarity of a clip's own features, without clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.kernels.instance import instance_scores
from curation.methods.base import Option, Request, ScoreMethod

_FIT_ROWS = 50_000


class PcaMethod(ScoreMethod):
    """Baseline of ACAV100M: both modalities projected onto as many principal components, then compared clip by clip;
    mean over the pairs. The spaces of two modalities have nothing in common, so this is expected to be near chance.
    """

    is_prefix = True
    needs_features = True
    options = (Option("dim", 64, "Principal components, fewer where a layer has fewer values.", 1, 4096),)

    def __init__(self, kind: str, says: str) -> None:
        self._kind = kind
        self.name = f"pca-{kind}"
        self.title = f"Baseline without clusters: {says} of sound and picture features."

    def score(self, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        pairs = feature_pairs(request)
        dim = min([request.options["dim"], *(request.features[k].shape[1] for k in np.unique(pairs))])
        rows = [request.partner_of(k) for k in range(len(request.features))]
        fit = fit_rows(request)
        scores = instance_scores(list(request.features), rows, pairs, request.plan.weights, fit, self._kind, dim)
        request.look()
        return scores, {}, {"dim": dim}


def feature_pairs(request: Request) -> np.ndarray:
    """Index pairs of the layers, int64 (P, 2)."""
    layout = request.plan.layout
    return np.stack([layout.first, layout.second], axis=1)


def fit_rows(request: Request) -> np.ndarray:
    """Candidates, evenly thinned to at most 50,000."""
    rows = request.candidates()
    rows = rows if len(rows) else np.arange(request.n_rows)
    return rows[:: max(1, -(-len(rows) // _FIT_ROWS))]


PCA_METHODS = (
    PcaMethod("inner-product", "inner product"),
    PcaMethod("cosine", "cosine"),
    PcaMethod("l1", "nearness (L1)"),
    PcaMethod("l2", "nearness (L2)"),
)
