"""Contingency tables of pairs of clusterings: assignments in, counts out, all tables of a set of pairs in one flat
array.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curation.kernels.compiled import compiled


class Layout(NamedTuple):
    """Where the tables lie. P pairs of D clusterings, clustering d with K_d clusters.

    Cell (a, b) of pair p is `offset[p] + a * stride[p] + b` of the pair counts; cluster c of clustering d is
    `layer_offset[d] + c` of the marginal counts. All int64.
    """

    first: np.ndarray  # (P,) clustering of the rows
    second: np.ndarray  # (P,) clustering of the columns
    offset: np.ndarray  # (P + 1,)
    stride: np.ndarray  # (P,) = K of the second
    layer_offset: np.ndarray  # (D + 1,)


class Rows(NamedTuple):
    """Assignments as the kernels read them, never copied.

    `codes` integer (N, D). With `partner` int32 (N,), the clusterings marked in `swapped` bool (D,) are read from row
    partner[i] instead of row i: sounds permuted among the clips, a whole modality together. An empty `partner` is none.
    """

    codes: np.ndarray
    partner: np.ndarray
    swapped: np.ndarray


def make_layout(pairs: np.ndarray, n_clusters: np.ndarray) -> Layout:
    """Layout of the tables of `pairs` int (P, 2), with `n_clusters` int (D,)."""
    first, second = (np.ascontiguousarray(pairs[:, k], dtype=np.int64) for k in (0, 1))
    k = n_clusters.astype(np.int64)
    return Layout(
        first=first,
        second=second,
        offset=np.concatenate([[0], np.cumsum(k[first] * k[second])]).astype(np.int64),
        stride=k[second],
        layer_offset=np.concatenate([[0], np.cumsum(k)]).astype(np.int64),
    )


@compiled()
def add_counts(rows: Rows, which: np.ndarray, layout: Layout, counts: np.ndarray, layer_counts: np.ndarray) -> None:
    """Count the clips `which` (int (m,)) into `counts` and `layer_counts` (both changed in place)."""
    n_layers = rows.codes.shape[1]
    code = np.empty(n_layers, np.int64)
    for i in which:
        for d in range(n_layers):
            row = rows.partner[i] if len(rows.partner) > 0 and rows.swapped[d] else i
            code[d] = rows.codes[row, d]
            layer_counts[layout.layer_offset[d] + code[d]] += 1
        for p in range(len(layout.first)):
            counts[layout.offset[p] + code[layout.first[p]] * layout.stride[p] + code[layout.second[p]]] += 1


def empty_counts(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Zero counts of all pairs and of all clusterings, int32."""
    return np.zeros(int(layout.offset[-1]), np.int32), np.zeros(int(layout.layer_offset[-1]), np.int32)


def contingency_table(a: np.ndarray, b: np.ndarray, n_a: int, n_b: int) -> np.ndarray:
    """Counts of the pairs (a_i, b_i), int64 (n_a, n_b); `a`, `b` integer (n,) with 0 <= a < n_a, 0 <= b < n_b."""
    return np.bincount(a.astype(np.int64) * n_b + b, minlength=n_a * n_b).reshape(n_a, n_b)


@compiled()
def count_pairs(a: np.ndarray, b: np.ndarray, place_a: np.ndarray, place_b: np.ndarray, which: np.ndarray,
                counts: np.ndarray) -> None:  # fmt: skip
    """Add the clips that have a value in both to `counts` int64 (n_a, n_b), in one pass and without copies.

    `a`, `b` integer (n,), -1 = none, read as `place_a[a]`, `place_b[b]`; `which` bool (n,): these clips; empty = all.
    Raises IndexError for a value that has no place.
    """
    for i in range(len(a)):
        if a[i] >= 0 and b[i] >= 0 and (len(which) == 0 or which[i]):
            if a[i] >= len(place_a) or b[i] >= len(place_b):
                raise IndexError("a value without a place")
            counts[place_a[a[i]], place_b[b[i]]] += 1


@compiled()
def column_range(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each column of `codes` integer (N, D), N > 0: two int64 (D,)."""
    low, high = codes[0].astype(np.int64), codes[0].astype(np.int64)
    for i in range(codes.shape[0]):
        for d in range(codes.shape[1]):
            low[d] = min(low[d], codes[i, d])
            high[d] = max(high[d], codes[i, d])
    return low, high
