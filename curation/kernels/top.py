"""The best clips by a score, ties by a seeded hash of the row and never by its place: scores in, rows in order out."""

from __future__ import annotations

import numpy as np
from numba import uint64

from curation.kernels.compiled import compiled
from curation.kernels.draws import hashed

_BITS = 16
_SIGN = np.uint64(1 << 63)


@compiled(inline="always")
def _sortable(bits):  # type: ignore[no-untyped-def]
    """Bits of a float64 as uint64 that rises with the number."""
    return ~bits if bits & _SIGN else bits | _SIGN


@compiled()
def _threshold(bits: np.ndarray, blocked: np.ndarray, take: int) -> tuple[np.uint64, int]:
    """The `take`-th largest sortable value of what is not blocked, and how many lie above it."""
    prefix = np.uint64(0)
    above = 0
    for level in range(64 // _BITS):
        shift = uint64(64 - _BITS * (level + 1))
        histogram = np.zeros(1 << _BITS, np.int64)
        for i in range(len(bits)):
            if len(blocked) > 0 and blocked[i]:
                continue
            value = _sortable(bits[i])
            if level > 0 and (value >> (shift + uint64(_BITS))) != prefix:
                continue
            histogram[np.int64((value >> shift) & uint64((1 << _BITS) - 1))] += 1
        bucket = (1 << _BITS) - 1
        while bucket > 0 and above + histogram[bucket] < take:
            above += histogram[bucket]
            bucket -= 1
        prefix = (prefix << uint64(_BITS)) | uint64(bucket)
    return prefix, above


@compiled()
def _split(
    bits: np.ndarray, blocked: np.ndarray, threshold: np.uint64, best: np.ndarray, equal: np.ndarray
) -> tuple[int, int]:
    """Rows above and at the threshold, as far as they fit."""
    n_best = n_equal = 0
    for i in range(len(bits)):
        if len(blocked) > 0 and blocked[i]:
            continue
        value = _sortable(bits[i])
        if value > threshold:
            best[n_best] = i
            n_best += 1
        elif value == threshold:
            if n_equal < len(equal):
                equal[n_equal] = i
            n_equal += 1
    return n_best, n_equal


@compiled()
def row_hashes(rows: np.ndarray, key: np.uint64) -> np.ndarray:
    out = np.empty(len(rows), np.uint64)
    for j in range(len(rows)):
        out[j] = hashed(key, rows[j])
    return out


@compiled()
def _settle_ties(rows: np.ndarray, scores: np.ndarray, key: np.uint64) -> None:
    """Runs of equal scores in the order of their hashes (rows changed in place)."""
    start = 0
    while start < len(rows):
        end = start + 1
        while end < len(rows) and scores[rows[end]] == scores[rows[start]]:
            end += 1
        if end - start > 1:
            hashes = np.empty(end - start, np.uint64)
            for j in range(end - start):
                hashes[j] = hashed(key, rows[start + j])
            run = rows[start:end].copy()
            order = np.argsort(hashes)
            for j in range(end - start):
                rows[start + j] = run[order[j]]
        start = end


def top_rows(scores: np.ndarray, take: int, key: int, blocked: np.ndarray | None = None) -> np.ndarray:
    """The `take` rows with the largest `scores`, best first, int64 (<= take,).

    `scores` float64 (N,) without NaN; `blocked` uint8 (N,): rows that cannot be taken; `key`: of the stream that
    settles ties (smaller hash first). The first k of `take` rows are the rows of `take = k`.
    """
    blocked = np.zeros(0, np.uint8) if blocked is None else blocked
    key64 = np.uint64(key)
    available = int(len(scores) - np.count_nonzero(blocked))
    take = min(take, available)
    if take <= 0:
        return np.zeros(0, np.int64)
    bits = (scores + 0.0).view(np.uint64) if (scores == 0).any() else scores.view(np.uint64)  # -0.0 equals 0.0
    found, above = _threshold(bits, blocked, take)
    threshold = np.uint64(found)  # Python numbers come back, and would be read as signed
    rows = np.empty(above, np.int64)
    n_equal = _split(bits, blocked, threshold, rows, np.zeros(0, np.int64))[1]
    equal = np.empty(n_equal, np.int64)
    _split(bits, blocked, threshold, rows, equal)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    _settle_ties(rows, scores, key64)
    equal = equal[np.argsort(row_hashes(equal, key64), kind="stable")][: take - above]
    return np.concatenate([rows, equal])
