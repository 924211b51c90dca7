"""A graded content prior: pair evidence and cluster ids in, what a clip's *kind* says about correspondence, out.

Kinds of content may be mismatched more often than others (narration over any picture). Whether they are shows without
truth: responsibilities from the pair evidence alone are predicted from the clips' cluster ids, sound and picture, by a
ridge regression that has not seen the clip's fold. Where the out-of-fold R2 is near 0, or the clips are few, the kind
says nothing, and the prior has weight 0; it is whole from R2_FULL on. Then prediction and responsibilities are refined
in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from curation.kernels.compiled import compiled
from curation.kernels.contingency import Rows
from curation.kernels.evidence import Columns, Tables

RIDGE = 30.0  # clips
R2_NONE, R2_FULL = 0.05, 0.5
R2_CHANCE, FEW = 0.4, 160  # what is added to R2_NONE for no clips, less for more and nothing from FEW on: chance
ROUNDS = 8
SLOPE = 2.0  # log odds of correspondence for one deviation of the evidence
_CLIP = 0.02  # predictions are kept this far from 0 and 1


class Prior(NamedTuple):
    """`log_odds` is read off `table` float64 (F, A + V): sums over a clip's clusters, plus `base` float64 (F,)."""

    table: np.ndarray
    base: np.ndarray
    r2: float  # out of fold, of the responsibilities from the pair evidence alone
    weight: float  # 0..1


@compiled()
def _sums(codes: np.ndarray, columns: Columns, fold: np.ndarray, value: np.ndarray, out: np.ndarray) -> None:
    """Sum of `value` over the clips of each fold and cluster, added to `out` (F, A + V)."""
    n_audio = columns.audio_offset[-1]
    for i in range(len(codes)):
        row = out[fold[i]]
        for k in range(len(columns.audio)):
            row[columns.audio_offset[k] + codes[i, columns.audio[k]]] += value[i]
        for k in range(len(columns.visual)):
            row[n_audio + columns.visual_offset[k] + codes[i, columns.visual[k]]] += value[i]


@compiled()
def predict(rows: Rows, columns: Columns, table: np.ndarray, base: np.ndarray, fold: np.ndarray, low: int, high: int,
            out: np.ndarray) -> None:  # fmt: skip
    """Prediction for rows low..high by the entry of their fold, into `out` float64 (high - low,)."""
    n_audio = columns.audio_offset[-1]
    for i in range(low, high):
        row = table[fold[i]]
        total = base[fold[i]]
        for k in range(len(columns.audio)):
            d = columns.audio[k]
            at = rows.partner[i] if len(rows.partner) > 0 and rows.swapped[d] else i
            total += row[columns.audio_offset[k] + rows.codes[at, d]]
        for k in range(len(columns.visual)):
            d = columns.visual[k]
            at = rows.partner[i] if len(rows.partner) > 0 and rows.swapped[d] else i
            total += row[n_audio + columns.visual_offset[k] + rows.codes[at, d]]
        out[i - low] = total


def logit(q: np.ndarray) -> np.ndarray:
    """Log odds of predictions, kept within what a regression can mean."""
    kept = np.clip(q, _CLIP, 1 - _CLIP)
    return np.log(kept / (1 - kept))


def responsibilities(score: np.ndarray, share: float) -> np.ndarray:
    """sigmoid(score - c) with c such that the mean is `share`, 0 < share < 1."""
    low, high = float(score.min()) - 20, float(score.max()) + 20
    for _ in range(60):
        middle = (low + high) / 2
        if np.mean(1 / (1 + np.exp(middle - score))) > share:
            low = middle
        else:
            high = middle
    return 1 / (1 + np.exp((low + high) / 2 - score))


class Regression:
    """Ridge regression on indicators of all clusters, one solution a fold from the clips of the other folds."""

    def __init__(self, codes: np.ndarray, columns: Columns, fold: np.ndarray, tables: Tables) -> None:
        self._codes, self._columns, self._fold = codes, columns, fold
        cross = tables.cross.sum(axis=0, dtype=np.float64)
        gram = np.block([[tables.audio.astype(np.float64), cross], [cross.T, tables.visual.astype(np.float64)]])
        n = float(tables.n.sum())
        self._mean = np.diag(gram) / n
        gram -= n * np.outer(self._mean, self._mean)
        gram[np.diag_indices_from(gram)] += RIDGE
        self._factor = cho_factor(gram, overwrite_a=True)
        self._size = tables.n.astype(np.float64)
        self._count = self._by_code(np.ones(len(codes)))
        self._rows = Rows(codes, np.zeros(0, np.int32), np.zeros(codes.shape[1], bool))

    def _by_code(self, value: np.ndarray) -> np.ndarray:
        out = np.zeros((len(self._size), len(self._mean)))
        _sums(self._codes, self._columns, self._fold, value, out)
        return out

    def solve(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Table (F, T) and base (F,) for `value` (n,), and the out-of-fold predictions (n,)."""
        sums = self._by_code(value)
        other = sums.sum(axis=0) - sums
        n = np.maximum(self._size.sum() - self._size, 1)  # one source alone: nothing to learn from, so zeros
        total = np.bincount(self._fold, value, len(n))
        mean = (total.sum() - total) / n
        target = other - mean[:, None] * (self._count.sum(axis=0) - self._count)
        table = cho_solve(self._factor, target.T).T * (self._size.sum() / n)[:, None]
        base = mean - table @ self._mean
        out = np.empty(len(value))
        predict(self._rows, self._columns, table, base, self._fold, 0, len(value), out)
        return table, base, out


def fit_prior(
    regression: Regression,
    evidence: np.ndarray,
    share: float,
    look: Callable[[], object],
    r2_max: float = 1.0,
) -> tuple[Prior, np.ndarray]:
    """The prior and its out-of-fold predictions (n,), for the clips of `regression` with pair evidence float (n,),
    where about `share` of them correspond. The weight is that of an R2 of at most `r2_max`.
    """
    score = SLOPE * evidence.astype(np.float64) / max(float(np.std(evidence)), 1e-12)
    r = responsibilities(score, share)
    table, base, q = regression.solve(r)
    squares, n = float(((r - r.mean()) ** 2).sum()), len(r)
    r2 = 1 - float(((r - q) ** 2).sum()) / squares if squares > 1e-9 * n else 0.0
    none = R2_NONE + R2_CHANCE * max(0.0, 1 - n / FEW)
    weight = min(1.0, max(0.0, (min(r2, r2_max) - none) / (R2_FULL - none)))
    if weight > 0:
        for _ in range(ROUNDS):
            look()
            table, base, q = regression.solve(responsibilities(score + SLOPE * weight * logit(q), share))
    return Prior(table, base, r2, weight), q
