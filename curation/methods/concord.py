"""concord, the default: how well sound and picture go together, judged on other sources and against decoys; the best
pool with an acceptable false share, then batch-greedy inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from curation.kernels.batch_greedy import BatchGreedy
from curation.kernels.chunks import over_chunks
from curation.kernels.compiled import compiled
from curation.kernels.content_prior import Prior, Regression, fit_prior, logit, predict
from curation.kernels.contingency import Rows, make_layout
from curation.kernels.decoys import decoy_partners, folds_of
from curation.kernels.draws import STREAM_SAMPLE, bounded, hashed, rejection_limit, shuffle_front, stream_key
from curation.kernels.evidence import (
    Columns,
    Evidence,
    count_folds,
    fit,
    make_columns,
    scaled,
    score_parts,
    score_range,
)
from curation.kernels.reliability import Reliability, reliability
from curation.kernels.shares import FalseShares, Share, corresponding_share, false_shares, least_share
from curation.methods.base import Method, Option, Outcome, Request, top_by_score
from curation.methods.fitting import SAMPLE, SMOOTHING, distinct_candidates, joined_sources, sampled_rows

FOLDS = 5
DECOY_DRAWS = 4
STABLE = 0.8  # a pick is stable that this share of the replicates makes
_CALIBRATION = 200_000  # clips that decoys are drawn for
_STRATA, _STRATUM_MIN = 8, 150
_STRATA_R2 = 0.02  # of the content prior; strata by noise make pairs unlike decoys
_FEW_SOURCES = 20
_ONE_THREAD_CLUSTERS = 2000  # of all layers together
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
    reliability: Reliability
    report: dict[str, Any]


@compiled()
def _row_folds(key: np.uint64, n_folds: int, out: np.ndarray) -> None:
    limit = rejection_limit(n_folds)
    for i in range(len(out)):
        out[i] = max(0, bounded(hashed(key, i), n_folds, limit))


class ConcordMethod(Method):
    """Cross-fitted pair evidence (`kernels.evidence`), a graded content prior (`kernels.content_prior`), false shares
    from decoys of like content (`kernels.shares`). The score is their sum, in deviations of decoys, mean over the
    replicates: those of the request, and clusterings named `<layer>@<replicate>`, one for each text behind the `@`.
    `stability` in the report is the share of the chosen clips that at least `STABLE` of the replicates choose alone.

    The pool holds the best `budget` clips and those whose false share, and that of all at least as good, is at most
    `tolerance * breadth / (1 - breadth)` above the worst of them: breadth 0 takes the top, 1 is batch-greedy (queue)
    among all candidates.
    """

    name = "concord"
    title = "Pairs that fit together by the evidence of other sources, spread over many kinds."
    options = (
        Option("breadth", 0.5, "0 takes the surest pairs; the nearer to 1, the more kinds of clips are let in, and the "
               "more wrong pairs.", 0, 1),
        Option("content_prior", "graded", "graded: kinds of clips whose sound and picture seldom belong together "
               "(speech over any picture) count as less sure, as far as the data show it. off: pairs are judged alone.",
               choices=("graded", "off")),
        Option("tolerance", 0.02, "How many more wrong pairs breadth 0.5 may let in than breadth 0 does; 0.02 is 2 in "
               "100.", 0, 1),
        SMOOTHING,
        SAMPLE,
    )  # fmt: skip

    def run(self, request: Request) -> Outcome:
        n_clusters = int(request.plan.layout.layer_offset[-1])
        # The threads of small matrix products wait for each other longer than they work
        with threadpool_limits(1 if n_clusters <= _ONE_THREAD_CLUSTERS else None, "blas"):
            return self._chosen(request)

    def _chosen(self, request: Request) -> Outcome:
        source = _sources(request)
        fold = _folds(request, source)
        replicates = _replicates(request)
        # Where sounds are permuted, only the choice is of interest
        voting = len(replicates) > 1 and not len(request.plan.rows.partner)
        votes = np.zeros(request.n_rows if voting else 0, np.uint16)
        mean, models = _Mean(), []
        for one, layers in replicates:
            models.append(_fit(one, layers, source, fold))
            columns = _columns_of(one, models[-1], fold)
            if voting:
                votes[_spread_out(_alone(one, layers), _scores_of(columns), columns)[0]] += 1
            mean.add(columns)
        columns = mean.columns()
        scores = _scores_of(columns)
        order, gain, pool = _spread_out(request, scores, columns)
        report = _report(models, fold, order, pool, columns, scores)
        if voting:
            report["stability"] = float((votes[order] >= STABLE * len(replicates)).mean())
        return Outcome(order, gain, scores, columns, report)


class _Mean:
    """Running means of the columns of replicates, and the spread of their scores: one replicate's are in memory."""

    def __init__(self) -> None:
        self._n = 0
        self._columns: dict[str, np.ndarray] = {}
        self._squares = np.zeros(0, np.float32)

    def add(self, columns: dict[str, np.ndarray]) -> None:
        """Takes hold of the arrays of the first call."""
        self._n += 1
        if self._n == 1:
            self._columns = columns
            return
        score = columns["pair_evidence"] + columns["content_prior"]
        before = score - self._columns["pair_evidence"] - self._columns["content_prior"]
        for name, values in columns.items():
            self._columns[name] += (values - self._columns[name]) / np.float32(self._n)
        # Welford 1962: sums of squares about the mean, without the cancellation of squares of sums
        score -= self._columns["pair_evidence"] + self._columns["content_prior"]
        before *= score
        self._squares = before if self._n == 2 else self._squares + before

    def columns(self) -> dict[str, np.ndarray]:
        """The means; with more than one replicate also `spread`, the standard deviation of the score over them."""
        if self._n == 1:
            return self._columns
        return self._columns | {"spread": np.sqrt(np.maximum(self._squares, 0) / np.float32(self._n - 1))}


def _scores_of(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Both parts together, float64 (N,)."""
    scores = columns["pair_evidence"].astype(np.float64)
    scores += columns["content_prior"]
    return scores


def _alone(request: Request, layers: np.ndarray) -> Request:
    """The same request with only the pairs of these clusterings."""
    plan = request.plan
    pairs = np.stack([plan.layout.first, plan.layout.second], axis=1)
    own = np.isin(pairs, layers).all(axis=1)
    weights = plan.weights[own] / plan.weights[own].sum()
    return replace(request, plan=replace(plan, layout=make_layout(pairs[own], np.diff(plan.layout.layer_offset)),
                                         weights=weights))  # fmt: skip


def _replicates(request: Request) -> list[tuple[Request, np.ndarray]]:
    """What is fitted alone: requests that read one run of k-means, and which of their clusterings."""
    plan = request.plan
    again = [replace(request, plan=replace(plan, rows=rows, layout=layout)) for rows, layout in request.replicates]
    return [(one, layers) for one in (request, *again) for layers in _replicate_sets(one)]


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
    """Source of each row, int (N,), see `joined_sources`; empty = every row its own, as where there is only one."""
    source = joined_sources(request)
    return source if len(source) and (source != source[0]).any() else np.zeros(0, int)


def _folds(request: Request, source: np.ndarray) -> np.ndarray:
    """Fold of each row, uint8 (N,)."""
    if len(source) or request.n_rows < _HASHED_FROM:
        return folds_of(source if len(source) else np.arange(request.n_rows), FOLDS, request.plan.seed)
    out = np.empty(request.n_rows, np.uint8)
    _row_folds(np.uint64(stream_key(request.plan.seed, _STREAM_ROW_FOLDS)), FOLDS, out)
    return out


def _codes(rows: Rows, which: np.ndarray) -> np.ndarray:
    """Assignments of some clips, sounds of their partners where sounds are permuted: (n, D)."""
    codes = rows.codes[which]
    if len(rows.partner):
        codes[:, rows.swapped] = rows.codes[rows.partner[which]][:, rows.swapped]
    return np.ascontiguousarray(codes)


def _fit(request: Request, layers: np.ndarray, source: np.ndarray, fold_of_row: np.ndarray) -> _Model:
    """Count, fit and calibrate on the sample."""
    plan, look = request.plan, request.look
    # Folds keep sources apart, so the sample need not take them whole
    which = sampled_rows(request, int(request.options["sample"]), distinct_candidates(request), np.zeros(0, np.int32))
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
    prior, unit, false, share, reliable = clips.calibrated(columns, evidence, request)
    report = fitted | {
        "fitted_on": len(which),
        "calibrated_on": len(clips.codes),
        "sources": clips.n_sources,
        "decoys_of_own_source": stuck,
        "content_r2": prior.r2,
        "content_weight": prior.weight if unit > 0 else 0.0,
    }
    return _Model(columns, evidence, prior, unit, share, false, reliable, report)


class _Calibration:
    """The clips of the sample that decoys are drawn for, and what they say about shares and kinds of content."""

    def __init__(
        self, codes: np.ndarray, own: np.ndarray, fold: np.ndarray, is_audio: np.ndarray, n_folds: int, seed: int
    ) -> None:
        places = _calibration(len(codes), seed)
        self.codes, self.own, self.fold = codes[places], own[places], fold[places]
        self._is_audio, self._n_folds, self._seed = is_audio, n_folds, seed
        self.n_sources = len(np.unique(self.own))
        self._every = np.arange(len(places))
        self._rows = Rows(self.codes, np.zeros(0, np.int32), is_audio)

    def calibrated(
        self, columns: Columns, evidence: Evidence, request: Request
    ) -> tuple[Prior, float, FalseShares, Share, Reliability]:
        """The content prior, its unit (evidence for one unit of log odds), false shares, the corresponding share, and
        whether the score is a probability.
        """
        look = request.look
        real = score_parts(self._rows, columns, evidence, self._every, self.fold, look).sum(axis=1)
        tables = count_folds(self._rows, columns, self._every, self.fold, self._n_folds, look=look)
        regression = Regression(self.codes, columns, self.fold, tables)
        anywhere = self._decoys(np.zeros(len(self.own), np.int64), 2)

        def scored(decoys: list[Rows]) -> np.ndarray:
            parts = (score_parts(rows, columns, evidence, self._every, self.fold, look) for rows in decoys)
            return np.stack([part.sum(axis=1) for part in parts])

        wide = scored(anywhere)
        # The prior needs the share, the share needs decoys of like content: begin at one half, and strata anew with
        # the share found, which tells kinds apart better
        half, q = fit_prior(regression, real, 0.5, look)
        stratum = self._strata(q, half.r2)
        decoy = scored(self._decoys(stratum, 0))
        blind = bool((decoy == real).all())  # decoys are what the pairs are: one clip, one cluster
        share = Share(0.0, 0.0, 1.0, np.zeros(int(stratum.max()) + 1))
        if not blind:
            share = corresponding_share(real, decoy, stratum, self.own, self._rng(), wide, resamples=2)
        # Kinds differ in how easy they are to tell, which looks like a prior where the share is far off: R2 must be
        # there at both shares
        wanted = float(np.clip(share.share, 0.1, 0.9))
        prior, q = fit_prior(regression, real, wanted, look, 0.0 if blind else half.r2)
        stratum = stratum if blind else self._strata(q, half.r2)
        decoys = self._decoys(stratum, 1)
        decoy = scored(decoys)
        share = share if blind else self._share(real, decoy, stratum, wide)
        graded = request.options["content_prior"] == "graded"
        unit = prior.weight * float(np.std(real)) if graded else 0.0
        pair, wrong, other = real.astype(np.float64), decoy.astype(np.float64), wide.astype(np.float64)
        if unit > 0:
            pair += unit * logit(_predicted(self._rows, columns, prior, self.fold))
            for scores, drawn in ((wrong, decoys), (other, anywhere)):
                for k, rows in enumerate(drawn):
                    scores[k] += unit * logit(_predicted(rows, columns, prior, self.fold))
        false = false_shares(pair, wrong, stratum, share.by_stratum, share, other)
        return prior, unit, false, share, reliability(pair, other, share, false.local_at(pair))

    def _rng(self) -> np.random.Generator:
        return np.random.default_rng([self._seed % 2**63, _STREAM_RESAMPLING])

    def _share(self, real: np.ndarray, decoy: np.ndarray, stratum: np.ndarray, wide: np.ndarray) -> Share:
        """The corresponding share."""
        rng = self._rng()
        share = corresponding_share(real, decoy, stratum, self.own, rng, wide)
        if self.n_sources >= _FEW_SOURCES:
            return share
        # Few sources, resampled, hardly vary: the interval is at least that of clips that stand for themselves
        alone = corresponding_share(real, decoy, stratum, self._every, rng, wide)
        # What a source repeats (a set, a theme) is in its wrong pairs together and in decoys less so, which looks like
        # correspondence where few other sources tell what is usual. Only the pairs that no decoy can be are sure
        least = min(least_share(real, decoy, stratum), least_share(real, wide, np.zeros_like(stratum)))
        return replace(share, low=min(share.low, alone.low, least), high=max(share.high, alone.high))

    def _strata(self, q: np.ndarray, r2: float) -> np.ndarray:
        """Clips of like content together: as many of each stratum, by the prediction `q`; one where it says nothing."""
        n = len(self.codes)
        if r2 < _STRATA_R2:
            return np.zeros(n, np.int64)
        rank = np.empty(n, np.int64)
        rank[np.argsort(q, kind="stable")] = np.arange(n)
        return rank * int(np.clip(n // _STRATUM_MIN, 1, _STRATA)) // n

    def _decoys(self, stratum: np.ndarray, turn: int) -> list[Rows]:
        """DECOY_DRAWS decoys of each clip; another `turn` draws others."""
        inside = self.fold.astype(np.int64) * (int(stratum.max()) + 1) + stratum
        draws = range(1 + turn * DECOY_DRAWS, 1 + (turn + 1) * DECOY_DRAWS)
        return [Rows(self.codes, decoy_partners(self.own, inside, self._seed, k)[0], self._is_audio) for k in draws]


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
        predict(rows, columns, prior.table, prior.base, fold, low, high, out[low:high])

    over_chunks(len(fold), work)
    return out


def _columns_of(request: Request, model: _Model, fold: np.ndarray) -> dict[str, np.ndarray]:
    """Pair evidence, content prior and false shares of all rows, float32 (N,)."""
    rows = request.plan.rows
    names = ("pair_evidence", "content_prior", "false_share", "false_share_low", "false_share_high",
             "local_false_share")  # fmt: skip
    out = {name: np.zeros(len(fold), np.float32) for name in names}

    def work(_worker: int, low: int, high: int) -> None:
        part = slice(low, high)
        score_range(rows, model.columns, model.evidence, fold, low, high, out["pair_evidence"])
        if model.content_unit > 0:
            odds = np.empty(high - low)
            predict(rows, model.columns, model.prior.table, model.prior.base, fold, low, high, odds)
            out["content_prior"][part] = model.content_unit * logit(odds)
        score = out["pair_evidence"][part] + out["content_prior"][part]
        out["false_share"][part] = model.false.tail_at(score)
        out["false_share_low"][part], out["false_share_high"][part] = model.false.range_at(score)
        out["local_false_share"][part] = model.false.local_at(score)

    over_chunks(len(fold), work, request.look)
    return out


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


def _false_share_range(columns: dict[str, np.ndarray], scores: np.ndarray, order: np.ndarray) -> dict[str, float]:
    """Interval of the false share of the chosen clips: that of all clips at least as good as the worst of them."""
    if not len(order):
        return {}
    worst = order[np.nanargmin(scores[order])]
    return {f"false_share_{end}": float(columns[f"false_share_{end}"][worst]) for end in ("low", "high")}


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
        "corresponding_share_doubt": float(np.mean([s.doubt for s in shares])),
        "score_is_probability": all(m.reliability.is_probability for m in models),
        "score_is_no_probability_because": next((m.reliability.reason for m in models if m.reliability.reason), ""),
        "false_share": float(columns["local_false_share"][order].mean()) if len(order) else 0.0,
        **_false_share_range(columns, scores, order),
        "pool": pool,
        "content_moved": moved,
        "folds": int(fold.max()) + 1,
        "replicates": [m.report for m in models],
        "notices": _few_sources(models),
    }


def _few_sources(models: list[_Model]) -> list[str]:
    """A sentence where a few sources judge one another."""
    n = min(m.report["sources"] for m in models)
    if n >= _FEW_SOURCES:
        return []
    return [
        f"Only {n} sources judge one another (from {_FEW_SOURCES} on estimates are firm): what a source repeats, a set "
        "or a theme, can look like sound and picture that belong together. The ranges are widened for that; trust "
        "their careful end."
    ]
