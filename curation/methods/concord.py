"""concord, the default: how well sound and picture go together, judged on other sources and against decoys; the best
pool with an acceptable false share, then batch-greedy inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from curation.kernels.batch_greedy import BatchGreedy
from curation.kernels.chunks import over_chunks
from curation.kernels.compiled import compiled
from curation.kernels.content_prior import Prior, Regression, fit_prior, logit, predict
from curation.kernels.contingency import Rows
from curation.kernels.decoys import decoy_partners, folds_of
from curation.kernels.draws import STREAM_SAMPLE, bounded, hashed, rejection_limit, shuffle_front, stream_key
from curation.kernels.evidence import Columns, Evidence, count_folds, fit, make_columns, scaled, score_parts
from curation.kernels.shares import FalseShares, Share, corresponding_share, false_shares
from curation.methods.base import Method, Option, Outcome, Request, top_by_score
from curation.methods.fitting import SAMPLE, SMOOTHING

FOLDS = 5
DECOY_DRAWS = 4
_CALIBRATION = 200_000  # clips that decoys are drawn for
_STRATA, _STRATUM_MIN = 8, 150
_HASHED_FROM = 100_000  # rows: from here on folds are hashes, not exactly equal in size
_STREAM_ROW_FOLDS, _STREAM_RESAMPLING = 22, 23


@dataclass(frozen=True)
class _Model:
    """One fitted set of clusterings."""

    columns: Columns
    evidence: Evidence
    prior: Prior
    content_unit: float  # evidence for one unit of log odds
    share: Share
    false: FalseShares
    report: dict[str, Any]


@compiled()
def _row_folds(key: np.uint64, n_folds: int, out: np.ndarray) -> None:
    limit = rejection_limit(n_folds)
    for i in range(len(out)):
        out[i] = max(0, bounded(hashed(key, i), n_folds, limit))


class ConcordMethod(Method):
    """Cross-fitted pair evidence (`kernels.evidence`), a graded content prior (`kernels.content_prior`), false shares
    from decoys of like content (`kernels.shares`). The score is their sum, in deviations of decoys, mean over the
    replicates: clusterings named `<layer>@<replicate>` form one replicate for each text behind the `@`.

    The pool holds the best `budget` clips and those whose false share, and that of all at least as good, is at most
    `tolerance * breadth / (1 - breadth)` above the worst of them: breadth 0 takes the top, 1 is batch-greedy (queue)
    among all candidates.
    """

    name = "concord"
    title = "Pairs that fit together by the evidence of other sources, spread over many kinds."
    options = (
        Option("breadth", 0.5, "From purest (0) to broadest (1).", 0, 1),
        Option("content_prior", "graded", "Let kinds of content that seldom correspond count against a clip, as far as "
               "the data show them (graded), or judge the pairing alone (off).", choices=("graded", "off")),
        Option("tolerance", 0.02, "False share that breadth 0.5 may add to the purest choice.", 0, 1),
        SMOOTHING,
        SAMPLE,
    )  # fmt: skip

    def run(self, request: Request) -> Outcome:
        source = _sources(request)
        fold = _folds(request, source)
        models, scores, columns = [], np.zeros(request.n_rows), {}
        squares = np.zeros(0, np.float32)
        for layers in _replicate_sets(request):
            model = _fit(request, layers, source, fold)
            found = _columns_of(request, model, fold)
            score = found["pair_evidence"] + found["content_prior"]
            found["false_share"] = model.false.tail_at(score)
            found["local_false_share"] = model.false.local_at(score)
            models.append(model)
            # Running means: one replicate's columns at a time are in memory
            k = len(models)
            if k == 1:
                columns, squares = found, np.square(score) if len(_replicate_sets(request)) > 1 else squares
            else:
                for name, values in found.items():
                    columns[name] += (values - columns[name]) / np.float32(k)
                squares += (np.square(score) - squares) / np.float32(k)
        scores = columns["pair_evidence"].astype(np.float64)
        scores += columns["content_prior"]
        if len(models) > 1:
            columns["spread"] = np.sqrt(np.maximum(squares - np.square(scores), 0)).astype(np.float32)
        order, gain, pool = _spread_out(request, scores, columns)
        return Outcome(order, gain, scores, columns, _report(models, fold, order, pool, columns, scores))


def _replicate_sets(request: Request) -> list[np.ndarray]:
    """Clusterings of each replicate that has a pair of sound and picture; names without `@` are one replicate."""
    tag = np.array([name.partition("@")[2] for name in request.names])
    pairs = _audio_visual(request)
    sets = [np.flatnonzero(tag == t) for t in np.unique(tag)]
    return [s for s in sets if np.isin(pairs, s).all(axis=1).any()] or [np.arange(len(tag))]


def _audio_visual(request: Request) -> np.ndarray:
    pairs = np.stack([request.plan.layout.first, request.plan.layout.second], axis=1)
    is_audio = request.plan.rows.swapped
    return pairs[is_audio[pairs[:, 0]] != is_audio[pairs[:, 1]]]


def _sources(request: Request) -> np.ndarray:
    """Source of each row, int (N,), with the sources that share a duplicate joined; empty = every row its own."""
    group, duplicate = request.group, request.duplicate
    copies = np.flatnonzero(duplicate >= 0) if len(duplicate) else np.zeros(0, int)
    if not len(copies):
        source = group
    else:
        own = group if len(group) else np.arange(request.n_rows)
        n = int(own.max()) + 1
        size = n + int(duplicate.max()) + 1
        edges = coo_array((np.ones(len(copies), np.int8), (own[copies], n + duplicate[copies])), shape=(size, size))
        source = connected_components(edges, directed=False)[1][own]
        source = np.unique(source, return_inverse=True)[1]
    return source if len(source) and source.max() > 0 else np.zeros(0, int)


def _folds(request: Request, source: np.ndarray) -> np.ndarray:
    """Fold of each row, uint8 (N,)."""
    if len(source) or request.n_rows < _HASHED_FROM:
        return folds_of(source if len(source) else np.arange(request.n_rows), FOLDS, request.plan.seed)
    out = np.empty(request.n_rows, np.uint8)
    _row_folds(np.uint64(stream_key(request.plan.seed, _STREAM_ROW_FOLDS)), FOLDS, out)
    return out


def _sample(request: Request) -> np.ndarray:
    """Rows that the model is fitted on: candidates, one of each duplicate group, at most `sample`; rising int64."""
    plan = request.plan
    which = np.arange(request.n_rows, dtype=np.int32)
    if len(plan.excluded):
        which = np.delete(which, plan.excluded)
    if len(request.duplicate):
        own = request.duplicate[which]
        labels = np.where(own >= 0, own.astype(np.int64), -1 - which.astype(np.int64))
        which = np.sort(which[np.unique(labels, return_index=True)[1]])
    limit = int(request.options["sample"])
    if len(which) > limit:
        shuffle_front(which, limit, np.uint64(stream_key(plan.seed, STREAM_SAMPLE)))
        which = np.sort(which[:limit])
    return which.astype(np.int64)


def _codes(rows: Rows, which: np.ndarray) -> np.ndarray:
    """Assignments of some clips, sounds of their partners where sounds are permuted: (n, D)."""
    codes = rows.codes[which]
    if len(rows.partner):
        codes[:, rows.swapped] = rows.codes[rows.partner[which]][:, rows.swapped]
    return np.ascontiguousarray(codes)


def _fit(request: Request, layers: np.ndarray, source: np.ndarray, fold_of_row: np.ndarray) -> _Model:
    """Count, fit and calibrate on the sample."""
    plan, look = request.plan, request.look
    which = _sample(request)
    fold = fold_of_row[which]
    own = source[which] if len(source) else np.arange(len(which))
    own = np.unique(own, return_inverse=True)[1]
    is_audio = plan.rows.swapped
    n_clusters = np.diff(plan.layout.layer_offset)
    pairs = np.stack([plan.layout.first, plan.layout.second], axis=1)
    columns = make_columns(is_audio, n_clusters, pairs, plan.weights, layers)
    n_folds = int(fold_of_row.max()) + 1
    codes = _codes(plan.rows, which)
    every = np.arange(len(which))
    none = np.zeros(0, np.int32)
    rows = Rows(codes, none, is_audio)
    tables = count_folds(rows, columns, every, fold, n_folds, look=look)
    partner, stuck = decoy_partners(own, fold, plan.seed)
    permuted = count_folds(Rows(codes, partner, is_audio), columns, every, fold, n_folds, within=False, look=look)
    evidence, fitted = fit(tables, permuted, columns, float(request.options["smoothing"]))
    evidence = scaled(evidence, score_parts(Rows(codes, partner, is_audio), columns, evidence, every, fold, look))
    clips = _Calibration(codes, own, fold, is_audio, n_folds, plan.seed)
    prior, unit, false, share = clips.calibrated(columns, evidence, request)
    report = fitted | {
        "fitted_on": len(which),
        "calibrated_on": len(clips.codes),
        "decoys_of_own_source": stuck,
        "content_r2": prior.r2,
        "content_weight": prior.weight if unit > 0 else 0.0,
    }
    return _Model(columns, evidence, prior, unit, share, false, report)


class _Calibration:
    """The clips of the sample that decoys are drawn for, and what they say about shares and kinds of content."""

    def __init__(
        self, codes: np.ndarray, own: np.ndarray, fold: np.ndarray, is_audio: np.ndarray, n_folds: int, seed: int
    ) -> None:
        places = _calibration(len(codes), seed)
        self.codes, self.own, self.fold = codes[places], own[places], fold[places]
        self._is_audio, self._n_folds, self._seed = is_audio, n_folds, seed
        self._every = np.arange(len(places))
        self._rows = Rows(self.codes, np.zeros(0, np.int32), is_audio)

    def calibrated(
        self, columns: Columns, evidence: Evidence, request: Request
    ) -> tuple[Prior, float, FalseShares, Share]:
        """The content prior, its unit (evidence for one unit of log odds), false shares and the corresponding share."""
        look = request.look
        real = score_parts(self._rows, columns, evidence, self._every, self.fold, look).sum(axis=1)
        tables = count_folds(self._rows, columns, self._every, self.fold, self._n_folds, look=look)
        regression = Regression(self.codes, columns, self.fold, tables)
        # The prior needs the share, the share needs decoys of like content: begin at one half
        half, q = fit_prior(regression, real, 0.5, look)
        stratum = self._strata(q if half.weight > 0 else np.zeros(0))
        decoys = [self._decoys(stratum, k) for k in range(1, DECOY_DRAWS + 1)]
        decoy = np.stack(
            [score_parts(rows, columns, evidence, self._every, self.fold, look).sum(axis=1) for rows in decoys]
        )
        rng = np.random.default_rng([self._seed % 2**63, _STREAM_RESAMPLING])
        share = corresponding_share(real, decoy, stratum, self.own, rng)
        # Kinds differ in how easy they are to tell, which looks like a prior where the share is far off: R2 must be
        # there at both shares
        wanted = float(np.clip(share.share, 0.1, 0.9))
        prior, _ = fit_prior(regression, real, wanted, look, half.r2)
        graded = request.options["content_prior"] == "graded"
        unit = prior.weight * float(np.std(real)) if graded else 0.0
        pair, wrong = real.astype(np.float64), decoy.astype(np.float64)
        if unit > 0:
            pair += unit * logit(_predicted(self._rows, columns, prior, self.fold))
            for k, rows in enumerate(decoys):
                wrong[k] += unit * logit(_predicted(rows, columns, prior, self.fold))
        return prior, unit, false_shares(pair, wrong, stratum, share.by_stratum), share

    def _strata(self, q: np.ndarray) -> np.ndarray:
        """Clips of like content together: as many of each stratum, by the prediction `q`; all in one if it is empty."""
        n = len(self.codes)
        n_strata = int(np.clip(n // _STRATUM_MIN, 1, _STRATA)) if len(q) else 1
        rank = np.arange(n)
        if len(q):
            rank[np.argsort(q, kind="stable")] = np.arange(n)
        return rank * n_strata // n

    def _decoys(self, stratum: np.ndarray, draw: int) -> Rows:
        inside = self.fold.astype(np.int64) * (int(stratum.max()) + 1) + stratum
        return Rows(self.codes, decoy_partners(self.own, inside, self._seed, draw)[0], self._is_audio)


def _calibration(n: int, seed: int) -> np.ndarray:
    """Places of the sample that decoys are drawn for, rising."""
    places = np.arange(n)
    if n > _CALIBRATION:
        shuffle_front(places, _CALIBRATION, np.uint64(stream_key(seed, STREAM_SAMPLE, 1)))
        places = np.sort(places[:_CALIBRATION])
    return places


def _predicted(rows: Rows, columns: Columns, prior: Prior, fold: np.ndarray) -> np.ndarray:
    out = np.empty(len(fold))

    def work(_worker: int, low: int, high: int) -> None:
        predict(rows, columns, prior.table, prior.base, fold, low, high, out)

    over_chunks(len(fold), work)
    return out


def _columns_of(request: Request, model: _Model, fold: np.ndarray) -> dict[str, np.ndarray]:
    """Pair evidence and content prior of all rows, float32 (N,)."""
    rows, none = request.plan.rows, np.zeros(0, np.int64)
    parts = score_parts(rows, model.columns, model.evidence, none, fold, request.look)
    content = np.zeros(len(fold), np.float32)
    if model.content_unit > 0:
        content[:] = model.content_unit * logit(_predicted(rows, model.columns, model.prior, fold))
    return {"pair_evidence": parts[:, 0] + parts[:, 1], "content_prior": content}


def _spread_out(
    request: Request, scores: np.ndarray, columns: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, int]:
    """The pool, and batch-greedy (queue) inside it: order, gain, and how many clips the pool held."""
    plan, breadth = request.plan, float(request.options["breadth"])
    candidates = request.n_rows - len(plan.excluded)
    top = top_by_score(request, scores)
    if breadth == 0 or len(top) >= candidates:
        return top, np.full(len(top), np.nan), len(top)
    free = np.ones(request.n_rows, bool)
    free[plan.excluded] = False
    inside = np.zeros(request.n_rows, bool)
    inside[top] = True
    if breadth == 1:
        inside |= free
    else:
        room = float(request.options["tolerance"]) * breadth / (1 - breadth)
        cut = free & (scores >= scores[top[len(plan.included) :]].min(initial=np.inf))
        acceptable = free.copy()
        for name in ("false_share", "local_false_share"):
            acceptable &= columns[name] <= columns[name][cut].max(initial=0.0) + room
        inside |= acceptable
    engine = BatchGreedy(replace(plan, excluded=np.flatnonzero(~inside), queue=True, keep_scores=False))
    steps = 1 << 12
    while engine.step(steps):
        request.look()
    order, gain, _ = engine.result()
    if len(order) < len(top):  # caps that the pool could not fill: the best by score can
        return top, np.full(len(top), np.nan), int(inside.sum())
    return order, gain, int(inside.sum())


def _report(models: list[_Model], fold: np.ndarray, order: np.ndarray, pool: int, columns: dict[str, np.ndarray],
            scores: np.ndarray) -> dict[str, Any]:  # fmt: skip
    """Shares with their interval, what the content prior moved, what was fitted."""
    shares = [m.share for m in models]
    by_pair = columns["pair_evidence"]
    moved = 0.0
    if columns["content_prior"].any() and len(order):
        top = [values >= np.partition(values, -len(order))[-len(order)] for values in (scores, by_pair)]
        moved = float((top[0] & ~top[1]).sum()) / len(order)
    return {
        "corresponding_share": float(np.mean([s.share for s in shares])),
        "corresponding_share_low": float(np.mean([s.low for s in shares])),
        "corresponding_share_high": float(np.mean([s.high for s in shares])),
        "false_share": float(columns["local_false_share"][order].mean()) if len(order) else 0.0,
        "pool": pool,
        "content_moved": moved,
        "folds": int(fold.max()) + 1,
        "replicates": [m.report for m in models],
    }
