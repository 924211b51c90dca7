"""What clusterings tell about the pairing: assignments and sources in, cross-fitted evidence over decoys out.

Every clip is judged by tables of other folds, whole sources together (`kernels.evidence`), and so are its decoys: the
same picture with the sound of another source of its fold. The *gain* of a clip is its score less its decoys', in
deviations of decoys. Where sound and picture have nothing to do with each other it is 0 on average, for any number of
clusters: too many make the tables noise, which widens the decoys and lowers the gain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from curation.kernels.contingency import Rows
from curation.kernels.decoys import decoy_partners
from curation.kernels.evidence import count_folds, fit, make_columns, scaled, score_parts

DECOYS = 3  # draws a clip
_PERMUTED = 7  # the draw that permutes the sounds of the control; those of decoys are below


class Gain(NamedTuple):
    """Of n clips: `score` float64 (n,), in deviations of decoys, 0 = their mean; `excess` float64 (n,), the score less
    that of the clip's own decoys; `wins`: how often a pair scores above a decoy, 0.5 = it tells nothing.
    """

    score: np.ndarray
    excess: np.ndarray
    wins: float

    @property
    def mean(self) -> float:
        """Mean gain a clip, in deviations of decoys."""
        return float(self.excess.mean()) if len(self.excess) else 0.0


def evidence_gain(
    codes: np.ndarray,
    is_audio: np.ndarray,
    n_clusters: np.ndarray,
    source: np.ndarray,
    fold: np.ndarray,
    *,
    seed: int = 0,
    smoothing: float = 1.0,
    look: Callable[[], object] | None = None,
) -> Gain:
    """Gain of n clips with assignments `codes` integer (n, D), none missing, D clusterings of `n_clusters` int (D,).

    `is_audio` bool (D,), both kinds among them; `source` int (n,), 0..G-1; `fold` uint8 (n,) as `decoys.folds_of`.
    """
    n, none = len(codes), np.zeros(0, np.int32)
    which, n_folds = np.arange(n), int(fold.max()) + 1
    if n_folds < 2:  # one source: there is no table that has not seen it
        return Gain(np.zeros(n), np.zeros(n), 0.5)
    a, v = np.flatnonzero(is_audio), np.flatnonzero(~is_audio)
    pairs = np.array([(i, j) for i in a for j in v])
    columns = make_columns(is_audio, n_clusters, pairs, np.ones(len(pairs)), np.arange(len(is_audio)))
    real = Rows(np.ascontiguousarray(codes), none, is_audio)
    tables = count_folds(real, columns, which, fold, n_folds, look=look)
    decoys = [real._replace(partner=decoy_partners(source, fold, seed, draw)[0]) for draw in range(DECOYS)]
    permuted = count_folds(decoys[0], columns, which, fold, n_folds, within=False, look=look)
    evidence, _ = fit(tables, permuted, columns, smoothing)
    evidence = scaled(evidence, score_parts(decoys[0], columns, evidence, which, fold, look))

    def scored(rows: Rows) -> np.ndarray:
        return score_parts(rows, columns, evidence, which, fold, look).sum(axis=1, dtype=np.float64)

    own, wrong = scored(real), np.stack([scored(rows) for rows in decoys])
    deviation = float(wrong.std())
    if deviation < 1e-9:  # one cluster: nothing to tell pairs apart by
        return Gain(np.zeros(n), np.zeros(n), 0.5)
    wins = float(((own > wrong).mean() + (own >= wrong).mean()) / 2)
    return Gain((own - wrong.mean()) / deviation, (own - wrong.mean(axis=0)) / deviation, wins)


def permuted_codes(
    codes: np.ndarray, is_audio: np.ndarray, source: np.ndarray, fold: np.ndarray, seed: int
) -> np.ndarray:
    """The control: every clip's sounds given to a picture of another source of its fold, all sound layers together."""
    partner, _ = decoy_partners(source, fold, seed, _PERMUTED)
    out = np.array(codes)
    out[:, is_audio] = codes[partner][:, is_audio]
    return out


def error_by_source(values: np.ndarray, source: np.ndarray) -> float:
    """Standard error of the mean of `values` float (n,) where clips of one source go together; NaN for one source.

    The linearised (cluster-robust) estimate, with G / (G - 1) for G sources.
    """
    groups = int(source.max()) + 1 if len(source) else 0
    if groups < 2:
        return float("nan")
    sums = np.bincount(source, values - values.mean(), groups)
    return float(np.sqrt((sums**2).sum() * groups / (groups - 1)) / len(values))
