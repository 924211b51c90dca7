"""How well a ranking finds the right clips: rows in order and who is right in, precision, recall, intervals out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curation.kernels.draws import STREAM_TIES, stream_key
from curation.kernels.top import top_rows


class Along(NamedTuple):
    """Of the first `size` clips (m,): `known` of them are judged, `right` of these are right; `precision` = right /
    known (NaN where none is known), `recall` = right / all right ones, `f1` their harmonic mean. float64, counts int64.
    """

    size: np.ndarray
    known: np.ndarray
    right: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def ranking(order: np.ndarray, scores: np.ndarray, seed: int) -> np.ndarray:
    """All rows, int64 (N,): the chosen ones `order` (s,) in their order, then the others by falling `scores` (N,).

    Ties and rows without a score (NaN, last) are in an order of hashes under `seed`, so they carry no order of theirs.
    """
    blocked = np.zeros(len(scores), np.uint8)
    blocked[order] = 1
    values = np.where(np.isnan(scores), -np.inf, scores).astype(np.float64)
    others = top_rows(values, len(scores), stream_key(seed, STREAM_TIES), blocked)
    return np.concatenate([order.astype(np.int64), others])


def along(rows: np.ndarray, right: np.ndarray, known: np.ndarray, sizes: np.ndarray) -> Along:
    """Precision, recall and F1 of the first `sizes` (m,) of `rows`; `right`, `known` bool (N,), 1 <= sizes."""
    sizes = np.minimum(np.asarray(sizes, np.int64), len(rows))
    n_known = np.cumsum(known[rows])[sizes - 1]
    n_right = np.cumsum((right & known)[rows])[sizes - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(n_known > 0, n_right / np.maximum(n_known, 1), np.nan)
        recall = n_right / max(1, int((right & known).sum()))
        f1 = np.where(n_right > 0, 2 * precision * recall / (precision + recall), 0.0)
    return Along(sizes, n_known.astype(np.int64), n_right.astype(np.int64), precision, recall, np.nan_to_num(f1))


def average_precision(rows: np.ndarray, right: np.ndarray, known: np.ndarray) -> float:
    """Area under precision over recall: mean precision at each right clip, among known ones; NaN without a right one.

    Random rows give about the share of right ones.
    """
    hit = right[rows[known[rows]]]
    if not hit.any():
        return float("nan")
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(precision[hit].mean())


def by_source(rows: np.ndarray, right: np.ndarray, known: np.ndarray, source: np.ndarray, n: int) -> np.ndarray:
    """Right and known clips of `rows` in each of `n` sources, float32 (2, n)."""
    judged = rows[known[rows]]
    counts = [np.bincount(source[judged], right[judged], n), np.bincount(source[judged], minlength=n)]
    return np.stack(counts).astype(np.float32)


def resampled_precision(counts: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Precision when sources are resampled, float64 (draws,), mean over the seeds that choose something known.

    `counts` float (S, 2, n): right and known clips by source of S runs. Poisson weights a source (Hanley and MacGibbon
    2006), the same for every call with one `seed` and n, so that differences of two calls are paired.
    """
    rng = np.random.default_rng(seed)
    out = np.empty(draws)
    for b in range(draws):
        weight = np.asarray(rng.poisson(1.0, counts.shape[2]), np.float32)
        right, known = (counts[:, k] @ weight for k in (0, 1))
        out[b] = np.nanmean(np.where(known > 0, right / np.maximum(known, 1e-9), np.nan)) if known.any() else np.nan
    return out
