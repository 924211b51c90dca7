"""matched-random: random clips with the picture clusters, then the sound clusters, of a given subset."""

from __future__ import annotations

import numpy as np

from curation.kernels.draws import STREAM_MATCHED, stream_key
from curation.kernels.greedy_plan import plan_quotas
from curation.kernels.pointwise import count_weighted
from curation.kernels.quotas import Quotas, family, joined_quotas, label_counts, left_after, walk
from curation.kernels.top import row_hashes, top_rows
from curation.methods.base import Method, Outcome, Request, capped

_ROUNDS = 20


class MatchedRandomMethod(Method):
    """Tells "chose easier content" from "chose better pairs": each modality's histogram is that of the subset `like`,
    and which sound goes with which picture is left to chance.

    Clips are drawn without replacement by weights `prod_d u_d(cluster)`, raked (iterative proportional fitting, Deming
    and Stephan 1940) until the expected histogram of every clustering is the subset's. Then the first visual clustering
    gets exactly the subset's numbers where there are enough clips, and within that the first audio clustering as nearly
    as they allow.
    """

    name = "matched-random"
    title = "Drawn at random with the same picture and sound clusters as another selection: the fair control for it."
    needs_like = True

    def run(self, request: Request) -> Outcome:
        plan = request.plan
        request.look()
        log_weight = _raked(request)
        key = stream_key(plan.seed, STREAM_MATCHED)
        draw = _exponential(request.n_rows, key) - log_weight  # smallest first: Efraimidis and Spirakis 2006
        blocked = np.zeros(request.n_rows, np.uint8)
        blocked[plan.excluded] = 1
        blocked[plan.included] = 1
        candidates = top_rows(-draw, request.n_rows, key, blocked)
        order = np.empty(plan.budget, np.int64)
        n = len(plan.included)
        order[:n] = plan.included
        swapped = plan.rows.swapped
        pictures = _histogram_family(request, int(np.flatnonzero(~swapped)[0]))
        sounds = _histogram_family(request, int(np.flatnonzero(swapped)[0]))
        used_us = int(plan.duration_us[plan.included].sum()) if len(plan.duration_us) else 0
        own = capped(plan_quotas(plan))
        for more in ([pictures, sounds], [pictures], []):  # each walk takes what the one before could not
            quotas = joined_quotas([own, *more])
            left = np.maximum(left_after(quotas, order[:n]), 0)
            n = walk(candidates, order, n, quotas.label, quotas.offset, left, plan.duration_us, plan.limit_us, used_us)
            used_us = int(plan.duration_us[order[:n]].sum()) if len(plan.duration_us) else 0
            candidates = candidates[~np.isin(candidates, order[:n])]
        order = order[:n]
        scores = np.full(request.n_rows, np.nan)
        scores[order] = np.arange(n, 0, -1)
        report = {"scored_candidates": 0, "like": len(request.like), "histogram_kept": _kept(pictures, sounds, order)}
        return Outcome(order, np.full(n, np.nan), scores, {}, report)

    def floor_values(self, request: Request, outcome: Outcome) -> np.ndarray:
        """All alike: the hashes decide."""
        return np.zeros(request.n_rows)


def _codes_of(request: Request, layer: int) -> np.ndarray:
    partner = request.partner_of(layer)
    column = request.plan.rows.codes[:, layer]
    return column if partner is None else column[partner]


def _histogram_family(request: Request, layer: int) -> Quotas:
    """Caps of one clustering: the subset's clusters, scaled to the budget (largest remainders)."""
    plan = request.plan
    codes = _codes_of(request, layer)
    size = int(plan.layout.layer_offset[layer + 1] - plan.layout.layer_offset[layer])
    # the subset as it is, also where sounds are permuted: its content is what is matched
    wanted = np.bincount(plan.rows.codes[request.like, layer], minlength=size) * (plan.budget / len(request.like))
    cap = np.floor(wanted + 1e-9).astype(np.int64)
    rest = plan.budget - int(cap.sum())
    cap[np.argsort(cap - wanted, kind="stable")[:rest]] += 1
    return family(codes, cap)


def _raked(request: Request) -> np.ndarray:
    """Logarithm of a weight a clip, float64 (N,), such that the expected histograms are the subset's."""
    plan = request.plan
    layout = plan.layout
    n_layers = len(layout.layer_offset) - 1
    target = count_weighted(plan.rows._replace(partner=plan.rows.partner[:0]), layout, request.like).layers
    target = target * (plan.budget / len(request.like))
    log_weight = np.zeros(request.n_rows)
    for _ in range(_ROUNDS):
        for d in range(n_layers):
            chance = np.exp(np.minimum(log_weight, 0))
            chance[plan.excluded] = 0
            codes = _codes_of(request, d)
            wanted = target[layout.layer_offset[d] : layout.layer_offset[d + 1]]
            now = np.bincount(codes, chance, minlength=len(wanted))
            factor = np.log(np.maximum(wanted, 1e-9) / np.maximum(now, 1e-9))
            log_weight += np.clip(factor, -20, 20)[codes]
        request.look()
    return np.clip(log_weight, -200, 200)


def _exponential(n: int, key: int) -> np.ndarray:
    """Logarithms of standard exponential draws, one a row, from counter-based hashes: float64 (n,)."""
    uniform = (row_hashes(np.arange(n), np.uint64(key)) >> np.uint64(11)).astype(np.float64) + 0.5
    return np.log(-np.log(uniform * 2.0**-53))


def _kept(pictures: Quotas, sounds: Quotas, order: np.ndarray) -> dict[str, float]:
    """Share of the clips that lie within the subset's histogram."""
    return {
        name: float(np.minimum(label_counts(part, order), part.cap).sum() / max(1, len(order)))
        for name, part in (("picture", pictures), ("sound", sounds))
    }
