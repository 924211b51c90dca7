"""Cross-fitted pair evidence: assignments in, tables that say how well a sound goes with a picture, and scores, out.

Every clip belongs to a *fold*, whole sources together; the tables that judge a clip are counted on the other folds, so
neither it nor its source has a say. Two estimates of the same log ratio are added, both in deviations of decoys:

- *low rank*: the cross-tabulations of all sound with all picture clusterings, taken as one matrix, whitened by the
  ridge-regularized tables within each modality (canonical correlations of indicator vectors, Hotelling 1936), cut and
  shrunk at the largest singular value that permuted sounds reach (Gavish and Donoho 2017). Sounds x and pictures y
  become short vectors with the score `x.y - log mean exp` over random partners, the latter in its Gaussian
  approximation: without it clips whose *kind* is easy to tell would outrank those that fit together.
- *cells*: the pointwise mutual information of each pair of clusterings, smoothed, summed by weight.

The first needs little data and ignores clusterings of pure noise; the second sees kinds that few clips have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import ArpackError, svds

from curation.kernels.chunks import over_chunks
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Rows

RIDGE = 8.0  # times the number of clusters over the number of clips: the ridge, in mean variances of an indicator
RIDGE_MIN = 1e-3
RANK_MAX = 64
CELL_SHARE = 0.7  # deviations of the cells for one of the low rank
_DENSE = 400  # matrices up to this size are decomposed whole


class Columns(NamedTuple):
    """Which columns of the assignments are read, and where their clusters lie among those of the modality."""

    audio: np.ndarray  # int64 (La,)
    visual: np.ndarray  # int64 (Lv,)
    audio_offset: np.ndarray  # int64 (La + 1,)
    visual_offset: np.ndarray  # int64 (Lv + 1,)
    weight: np.ndarray  # float64 (La, Lv): weight of each pair, largest 1


@dataclass(frozen=True)
class Tables:
    """Counts of clips. `cross` int32 (F, A, V): sound by picture clusters in each fold; `audio` (A, A) and `visual`
    (V, V) int32 within a modality, all folds; `n` int64 (F,) clips.
    """

    cross: np.ndarray
    audio: np.ndarray
    visual: np.ndarray
    n: np.ndarray


class Evidence(NamedTuple):
    """What scores a pair, float32; fold f is judged by entry f, which has not seen it."""

    x: np.ndarray  # (F, A, r): summed over the sound clusterings, a sound's vector
    y: np.ndarray  # (F, V, r)
    x_square: np.ndarray  # (F, r): what is taken off for the square of each entry
    y_square: np.ndarray  # (F, r)
    cells: np.ndarray  # (F, A, V)


def make_columns(codes_is_audio: np.ndarray, n_clusters: np.ndarray, pairs: np.ndarray, weights: np.ndarray,
                 layers: np.ndarray) -> Columns:  # fmt: skip
    """Columns of the clusterings `layers` int (m,); `pairs` int (P, 2) with `weights` (P,); pairs within a modality
    say nothing about correspondence and are left out.
    """
    audio, visual = layers[codes_is_audio[layers]], layers[~codes_is_audio[layers]]
    weight = np.zeros((len(audio), len(visual)))
    place = {int(d): k for side in (audio, visual) for k, d in enumerate(side)}
    for (a, b), w in zip(pairs.tolist(), weights.tolist(), strict=True):
        if a in place and b in place and codes_is_audio[a] != codes_is_audio[b]:
            row, column = (a, b) if codes_is_audio[a] else (b, a)
            weight[place[row], place[column]] += w
    of_audio, of_visual = (np.append(0, np.cumsum(n_clusters[side])).astype(np.int64) for side in (audio, visual))
    weight /= max(weight.max(), 1e-300)
    return Columns(audio.astype(np.int64), visual.astype(np.int64), of_audio, of_visual, weight)


@compiled()
def _read(rows: Rows, i: int, columns: np.ndarray, offset: np.ndarray, out: np.ndarray) -> None:
    """Places of clip i's clusters among those of one modality."""
    for k in range(len(columns)):
        d = columns[k]
        row = rows.partner[i] if len(rows.partner) > 0 and rows.swapped[d] else i
        out[k] = offset[k] + rows.codes[row, d]


@compiled()
def _count(rows: Rows, columns: Columns, which: np.ndarray, fold: np.ndarray, low: int, high: int,
           cross: np.ndarray, audio: np.ndarray, visual: np.ndarray, n: np.ndarray) -> None:  # fmt: skip
    a, v = np.empty(len(columns.audio), np.int64), np.empty(len(columns.visual), np.int64)
    within = audio.shape[0] > 0
    for j in range(low, high):
        i = which[j]
        _read(rows, i, columns.audio, columns.audio_offset, a)
        _read(rows, i, columns.visual, columns.visual_offset, v)
        f = fold[j]
        n[f] += 1
        for k in range(len(a)):
            for m in range(len(v)):
                cross[f, a[k], v[m]] += 1
        if within:
            for k in range(len(a)):
                for m in range(len(a)):
                    audio[a[k], a[m]] += 1
            for k in range(len(v)):
                for m in range(len(v)):
                    visual[v[k], v[m]] += 1


def count_folds(rows: Rows, columns: Columns, which: np.ndarray, fold: np.ndarray, n_folds: int, *,
                within: bool = True, look: Callable[[], object] | None = None) -> Tables:  # fmt: skip
    """Tables of the clips `which` int (n,), with `fold` int (n,) of each."""
    n_a, n_v = int(columns.audio_offset[-1]), int(columns.visual_offset[-1])
    w = 1 if within else 0
    tables = Tables(np.zeros((n_folds, n_a, n_v), np.int32), np.zeros((w * n_a, w * n_a), np.int32),
                    np.zeros((w * n_v, w * n_v), np.int32), np.zeros(n_folds, np.int64))  # fmt: skip
    for low in range(0, len(which), 1 << 17):
        high = min(len(which), low + (1 << 17))
        _count(rows, columns, which, fold, low, high, tables.cross, tables.audio, tables.visual, tables.n)
        if look is not None:
            look()
    return tables


def _whitening(gram: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (A,), covariance (A, A) of the indicators, and W (A, A) with W' (covariance + ridge) W = 1."""
    mean = np.diag(gram) / n
    covariance = gram / n - np.outer(mean, mean)
    ridge = max(RIDGE_MIN, RIDGE * len(mean) / n) * max(float(np.trace(covariance)) / len(mean), 1e-12)
    lower = np.linalg.cholesky(covariance + ridge * np.eye(len(mean)))
    return mean, covariance, solve_triangular(lower, np.eye(len(mean)), lower=True).T


def _leading(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest singular triples; signs such that the largest entry of a left vector is positive."""
    u, s, vt = _triples(matrix, rank)
    sign = np.sign(u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])])
    return u * sign, s, vt * sign[:, None]


def _triples(matrix: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The largest `rank` singular triples, largest first. Clusterings that are nearly copies of each other give many
    values that are all but equal, on which the quick ways may not converge; the next slower one is taken then.
    """
    if min(matrix.shape) > _DENSE and rank < min(matrix.shape) - 1:
        with contextlib.suppress(ArpackError):
            u, s, vt = svds(matrix, k=rank, v0=np.ones(min(matrix.shape)), solver="arpack")
            return u[:, ::-1], s[::-1], vt[::-1]
    try:
        u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:  # divide and conquer: QR steps are slower and sure
        u, s, vt = scipy.linalg.svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return u[:, :rank], s[:rank], vt[:rank]


def _blocks(columns: Columns) -> np.ndarray:
    """The weight of each cell's pair, (A, V)."""
    sizes = [np.diff(columns.audio_offset), np.diff(columns.visual_offset)]
    return np.repeat(np.repeat(columns.weight, sizes[0], axis=0), sizes[1], axis=1)


def fit(tables: Tables, decoys: Tables, columns: Columns, smoothing: float) -> tuple[Evidence, dict[str, list[int]]]:
    """Evidence from counts; `decoys.cross` are the counts of permuted pairs of the same clips. Both parts are in units
    of their own: `scaled` brings them together. Also the rank of each fold.
    """
    n_all, n_folds = int(tables.n.sum()), len(tables.n)
    weight = _blocks(columns)
    mean_a, cov_a, white_a = _whitening(tables.audio, n_all)
    mean_v, cov_v, white_v = _whitening(tables.visual, n_all)
    total = tables.cross.sum(axis=0, dtype=np.int64)

    def whitened(cross: np.ndarray, n: int) -> np.ndarray:
        # A fold's own means: clusters that the training clips never have must not look like deviations
        means = [np.add.reduceat(cross, offset[:-1], axis=axis) for axis, offset in
                 ((1, columns.visual_offset), (0, columns.audio_offset))]  # fmt: skip
        expected = np.outer(means[0][:, 0], means[1][0]) / n
        return white_a.T @ (((cross - expected) / n) * weight) @ white_v

    noise = whitened(decoys.cross.sum(axis=0, dtype=np.int64), n_all)
    edge = float(_leading(noise, 1)[1][0]) * np.sqrt(n_folds / max(1, n_folds - 1))
    parts, ranks = [], []
    for f in range(n_folds):
        # With a single source nothing is left to learn from: zero counts, so zero evidence.
        cross, n = total - tables.cross[f], max(1, n_all - int(tables.n[f]))
        u, s, vt = _leading(whitened(cross, n), RANK_MAX)
        strength = np.sqrt(np.maximum(s * s - edge * edge, 0))
        rank = max(1, int((strength > 1e-9).sum()))
        ranks.append(rank)
        g = np.maximum(strength[:rank], 1e-9)
        to_x, to_y = white_a @ u[:, :rank], white_v @ vt[:rank].T
        var_x = np.maximum(np.einsum("ar,ab,br->r", to_x, cov_a, to_x, optimize=True), 1e-12)
        var_y = np.maximum(np.einsum("ar,ab,br->r", to_y, cov_v, to_y, optimize=True), 1e-12)
        spread = float(np.sqrt((g * g * var_x * var_y).sum()))
        scale = np.sqrt(g / spread)
        parts.append((
            (to_x - mean_a @ to_x / len(columns.audio)) * scale,
            (to_y - mean_v @ to_y / len(columns.visual)) * scale,
            0.25 * g * var_y / spread,
            0.25 * g * var_x / spread,
            _cell_table(cross, n, columns, weight, smoothing),
        ))  # fmt: skip
    r = max(ranks)
    padded = [
        np.stack([np.pad(part[k], [(0, 0)] * (part[k].ndim - 1) + [(0, r - part[k].shape[-1])]) for part in parts])
        for k in range(4)
    ]
    x, y, x_square, y_square = (np.ascontiguousarray(p, dtype=np.float32) for p in padded)
    evidence = Evidence(x, y, x_square, y_square, np.stack([part[4] for part in parts]))
    return evidence, {"rank": ranks}


def _cell_table(cross: np.ndarray, n: int, columns: Columns, weight: np.ndarray, smoothing: float) -> np.ndarray:
    """Weighted pointwise mutual information, mean over the pairs, float32 (A, V), nats."""
    row = np.add.reduceat(cross, columns.visual_offset[:-1], axis=1)[:, 0]
    column = np.add.reduceat(cross, columns.audio_offset[:-1], axis=0)[0]
    expected = np.outer(row, column) / n
    return (weight / columns.weight.sum() * np.log((cross + smoothing) / (expected + smoothing))).astype(np.float32)


@compiled()
def _score(rows: Rows, columns: Columns, evidence: Evidence, which: np.ndarray, fold: np.ndarray, low: int, high: int,
           out: np.ndarray) -> None:  # fmt: skip
    """Low-rank part into out[:, 0], cells into out[:, 1]."""
    a, v = np.empty(len(columns.audio), np.int64), np.empty(len(columns.visual), np.int64)
    r = evidence.x.shape[2]
    x, y = np.empty(r, np.float32), np.empty(r, np.float32)
    whole = len(which) == 0
    for j in range(low, high):
        i = j if whole else which[j]
        _read(rows, i, columns.audio, columns.audio_offset, a)
        _read(rows, i, columns.visual, columns.visual_offset, v)
        f = fold[j]
        x[:] = 0
        y[:] = 0
        cells = np.float32(0)
        for k in range(len(a)):
            table = evidence.x[f, a[k]]
            for q in range(r):
                x[q] += table[q]
            row = evidence.cells[f, a[k]]
            for m in range(len(v)):
                cells += row[v[m]]
        for m in range(len(v)):
            table = evidence.y[f, v[m]]
            for q in range(r):
                y[q] += table[q]
        total = np.float32(0)
        for q in range(r):
            total += x[q] * y[q] - evidence.x_square[f, q] * x[q] * x[q] - evidence.y_square[f, q] * y[q] * y[q]
        out[j, 0] = total
        out[j, 1] = cells


def score_parts(rows: Rows, columns: Columns, evidence: Evidence, which: np.ndarray, fold: np.ndarray,
                look: Callable[[], object] | None = None) -> np.ndarray:  # fmt: skip
    """Low-rank part and cells of the clips `which` int (n,) (empty = all rows), float32 (n, 2); `fold` int (n,)."""
    out = np.empty((len(fold), 2), np.float32)

    def work(_worker: int, low: int, high: int) -> None:
        _score(rows, columns, evidence, which, fold, low, high, out)

    over_chunks(len(fold), work, look)
    return out


def score_range(rows: Rows, columns: Columns, evidence: Evidence, fold: np.ndarray, low: int, high: int,
                out: np.ndarray) -> None:  # fmt: skip
    """Sum of both parts of rows low to high into `out` float32 (N,); `fold` int (N,)."""
    parts = np.empty((high - low, 2), np.float32)
    _score(rows, columns, evidence, np.arange(low, high), fold[low:high], 0, high - low, parts)
    np.add(parts[:, 0], parts[:, 1], out=out[low:high])


def scaled(evidence: Evidence, decoy_parts: np.ndarray) -> Evidence:
    """The evidence whose parts, added, are the score: low rank in deviations of decoys plus CELL_SHARE times the cells
    in theirs, brought back to deviation 1 of the decoys. `decoy_parts` (n, 2) as from `score_parts`.
    """
    parts = decoy_parts.astype(np.float64)
    deviation = np.maximum(parts.std(axis=0), 1e-9)
    both = float((parts[:, 0] / deviation[0] + CELL_SHARE * parts[:, 1] / deviation[1]).std()) or 1.0
    low_rank, cells = 1 / (deviation[0] * both), CELL_SHARE / (deviation[1] * both)
    root = np.float32(np.sqrt(low_rank))
    return Evidence(evidence.x * root, evidence.y * root, evidence.x_square, evidence.y_square,
                    evidence.cells * np.float32(cells))  # fmt: skip
