"""Weighted counts of cells and scores by pointwise mutual information: assignments and weights in, one number a clip
out. Passes over all clips on several threads.

The score of a clip is `sum_p w_p log[(n_ab + alpha) / (e_ab + alpha)]`, e_ab = n q_a q_b: counts n_ab of one set of
weighted clips against what independence expects from the marginals q, their own or another set's; alpha pseudo-clips
are seen and expected in every cell, so rare cells count less. Scores are int64 sums of rounded terms, so they do not
depend on the order of layers or on threads. Weights are int32 fixed-point numbers, so counts do not either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import uint64

from curation.kernels.chunks import n_workers, over_chunks
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Layout, Rows

_BLOCK = 256
SCORE_UNIT = 2.0**-40  # of P times a score, nats
Look = Callable[[], object] | None


class Counts(NamedTuple):
    """Sums of fixed-point weights: int64, in the flat layout of `contingency.Layout`."""

    cells: np.ndarray
    layers: np.ndarray
    total: int


class Sources(NamedTuple):
    """Positions grouped by source. Positions are places in `which` (or rows, where `which` is empty)."""

    source: np.ndarray  # int32 (n,): source of each position
    member: np.ndarray  # int32 (n,): positions sorted by source
    start: np.ndarray  # int64 (G + 1,)
    first: np.ndarray  # int32 (n,): the position that stands for this one's duplicate group, or empty


def no_rows() -> np.ndarray:
    """`which` that means all rows."""
    return np.zeros(0, np.int32)


def make_sources(source: np.ndarray, duplicate: np.ndarray) -> Sources:
    """`source` int (n,) from 0 up, numbers without a position allowed; `duplicate` int (n,), -1 = none, or empty."""
    source = source.astype(np.int32, copy=False)
    start = np.concatenate([[0], np.cumsum(np.bincount(source))]).astype(np.int64)
    member = np.empty(len(source), np.int32)
    _sort_by_source(source, start[:-1].copy(), member)
    return Sources(source, member, start, first_of(duplicate))


@compiled()
def _sort_by_source(source: np.ndarray, place: np.ndarray, member: np.ndarray) -> None:
    """Positions in the order of their sources, rising inside one; `place` is where each source begins (changed)."""
    for j in range(len(source)):
        member[place[source[j]]] = j
        place[source[j]] += 1


def first_of(duplicate: np.ndarray) -> np.ndarray:
    """The first position of each position's duplicate group (its own where it has none), int32 (n,); empty in, empty
    out.
    """
    first = np.arange(len(duplicate), dtype=np.int32)
    grouped = np.flatnonzero(duplicate >= 0)
    _, where, which = np.unique(duplicate[grouped], return_index=True, return_inverse=True)
    first[grouped] = grouped[where][which]
    return first


@compiled(inline="always")
def code_of(rows, i, d):  # type: ignore[no-untyped-def]
    if len(rows.partner) > 0 and rows.swapped[d]:
        return np.int64(rows.codes[uint64(rows.partner[i]), d])
    return np.int64(rows.codes[i, d])


@compiled()
def _read_block(rows: Rows, which: np.ndarray, start: int, block: int, codes: np.ndarray) -> None:
    """Cluster ids of the rows at places start to start + block of `which`, one row of `codes` uint64 a clustering."""
    for j in range(block):
        i = np.int64(which[start + j]) if len(which) > 0 else start + j
        for d in range(rows.codes.shape[1]):
            codes[d, j] = uint64(code_of(rows, i, d))


@compiled()
def _count(
    rows: Rows,
    layout: Layout,
    which: np.ndarray,
    weight: np.ndarray,
    low: int,
    high: int,
    cells: np.ndarray,
    layers: np.ndarray,
) -> None:
    n_layers = rows.codes.shape[1]
    codes = np.empty((n_layers, _BLOCK + 8), np.uint64)
    w = np.ones(_BLOCK, np.int64)
    for start in range(low, high, _BLOCK):
        block = min(_BLOCK, high - start)
        _read_block(rows, which, start, block, codes)
        if len(weight) > 0:
            for j in range(block):
                w[j] = weight[start + j]
        for d in range(n_layers):
            a, offset = codes[d], uint64(layout.layer_offset[d])
            for j in range(block):
                layers[offset + a[j]] += w[j]
        for p in range(len(layout.first)):
            a, b = codes[layout.first[p]], codes[layout.second[p]]
            offset, stride = uint64(layout.offset[p]), uint64(layout.stride[p])
            for j in range(block):
                cells[offset + a[j] * stride + b[j]] += w[j]


def count_weighted(
    rows: Rows, layout: Layout, which: np.ndarray | None = None, weight: np.ndarray | None = None, look: Look = None
) -> Counts:
    """Counts of the rows `which` int (n,) (None = all), each `weight` int32 (n,) times (None = once)."""
    which = no_rows() if which is None else which
    weight = np.zeros(0, np.int32) if weight is None else weight
    n = len(which) or len(rows.codes)
    tables = [
        (np.zeros(int(layout.offset[-1]), np.int64), np.zeros(int(layout.layer_offset[-1]), np.int64))
        for _ in range(n_workers(n))
    ]
    over_chunks(n, lambda worker, low, high: _count(rows, layout, which, weight, low, high, *tables[worker]), look)
    cells, layers = sum(t[0] for t in tables[1:]) + tables[0][0], sum(t[1] for t in tables[1:]) + tables[0][1]
    return Counts(cells, layers, int(layers[: layout.layer_offset[1]].sum()))


@compiled(inline="always")
def _term(cell, a, b, total, q_total, alpha, scale):  # type: ignore[no-untyped-def]
    """One pair's rounded part of a score."""
    expected = a * b * (total / (q_total * q_total)) if q_total > 0 else 0.0
    return np.int64(np.rint(scale * np.log((cell + alpha) / (expected + alpha))))


@compiled()
def _table(
    layout: Layout, cells: np.ndarray, q_layers: np.ndarray, total: float, q_total: float, scale: np.ndarray,
    alpha: float,
) -> np.ndarray:  # fmt: skip
    values = np.empty(len(cells), np.int64)
    for p in range(len(layout.first)):
        rows_at, columns_at = layout.layer_offset[layout.first[p]], layout.layer_offset[layout.second[p]]
        for at in range(layout.offset[p], layout.offset[p + 1]):
            k = at - layout.offset[p]
            a, b = q_layers[rows_at + k // layout.stride[p]], q_layers[columns_at + k % layout.stride[p]]
            values[at] = _term(float(cells[at]), float(a), float(b), total, q_total, alpha, scale[p])
    return values


def pair_scales(weights: np.ndarray) -> np.ndarray:
    """P w_p in score units, float64 (P,); exactly equal where the weights are."""
    scale = weights * len(weights)
    scale[np.isclose(scale, 1, rtol=1e-14, atol=0)] = 1.0
    return scale / SCORE_UNIT


def score_table(layout: Layout, counts: Counts, against: Counts, weights: np.ndarray, alpha: float) -> np.ndarray:
    """The part of the score that each cell gives, int64 (cells,); `alpha` in units of the weights of `counts`."""
    scale = pair_scales(weights)
    return _table(layout, counts.cells, against.layers, float(counts.total), float(against.total), scale, alpha)


@compiled()
def _score(
    rows: Rows, layout: Layout, values: np.ndarray, which: np.ndarray, low: int, high: int, out: np.ndarray
) -> None:
    n_layers = rows.codes.shape[1]
    codes = np.empty((n_layers, _BLOCK + 8), np.uint64)
    for start in range(low, high, _BLOCK):
        block = min(_BLOCK, high - start)
        _read_block(rows, which, start, block, codes)
        total = out[start : start + block]
        total[:] = 0
        for p in range(len(layout.first)):
            a, b = codes[layout.first[p]], codes[layout.second[p]]
            offset, stride = uint64(layout.offset[p]), uint64(layout.stride[p])
            for j in range(block):
                total[j] += values[offset + a[j] * stride + b[j]]


def score_rows(
    rows: Rows, layout: Layout, values: np.ndarray, which: np.ndarray | None = None, look: Look = None,
    out: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Sum of the cells' values of each row of `which` (None = all), int64 (n,)."""
    which = no_rows() if which is None else which
    n = len(which) or len(rows.codes)
    found = np.empty(n, np.int64) if out is None else out
    over_chunks(n, lambda _, low, high: _score(rows, layout, values, which, low, high, found), look)
    return found


@compiled()
def _add_own(layout: Layout, code: np.ndarray, w: int, q: int, cells: np.ndarray, layers: np.ndarray) -> None:
    """Add w to the cells and q to the clusters of one clip."""
    for d in range(len(code)):
        layers[layout.layer_offset[d] + code[d]] += q
    for p in range(len(layout.first)):
        cells[layout.offset[p] + code[layout.first[p]] * layout.stride[p] + code[layout.second[p]]] += w


@compiled(inline="always")
def _weight_of(weight, j):  # type: ignore[no-untyped-def]
    return np.int64(weight[j]) if len(weight) > 0 else np.int64(1)


@compiled(inline="always")
def _cell_at(layout, code, p):  # type: ignore[no-untyped-def]
    return layout.offset[p] + code[layout.first[p]] * layout.stride[p] + code[layout.second[p]]


@compiled()
def _score_one_without_own(
    layout: Layout, code: np.ndarray, counts: Counts, against: Counts, own_cells: np.ndarray, own_layers: np.ndarray,
    total: float, q_total: float, other: np.ndarray, other_w: int, other_q: int, scale: np.ndarray, alpha: float,
) -> np.int64:  # fmt: skip
    """Score of the clusters `code` by the counts without the own ones and without one clip `other` of these weights;
    the totals are what is left.
    """
    score = np.int64(0)
    for p in range(len(layout.first)):
        first, second = layout.first[p], layout.second[p]
        at = _cell_at(layout, code, p)
        at_a, at_b = layout.layer_offset[first] + code[first], layout.layer_offset[second] + code[second]
        cell = counts.cells[at] - own_cells[at]
        a, b = against.layers[at_a] - own_layers[at_a], against.layers[at_b] - own_layers[at_b]
        if other_w != 0 or other_q != 0:
            same_a, same_b = other[first] == code[first], other[second] == code[second]
            cell -= other_w if same_a and same_b else 0
            a -= other_q if same_a else 0
            b -= other_q if same_b else 0
        score += _term(float(cell), float(a), float(b), total, q_total, alpha, scale[p])
    return score


@compiled()
def _score_without_own(
    rows: Rows,
    layout: Layout,
    which: np.ndarray,
    weight: np.ndarray,
    q_weight: np.ndarray,
    counts: Counts,
    against: Counts,
    sources: Sources,
    scale: np.ndarray,
    alpha: float,
    low: int,
    high: int,
    own_cells: np.ndarray,
    own_layers: np.ndarray,
    out: np.ndarray,
) -> None:
    """`own_cells`, `own_layers`: zeros, and zeros again at the end."""
    n_layers, n_pairs = rows.codes.shape[1], len(layout.first)
    largest = 0
    for s in range(low, high):
        largest = max(largest, sources.start[s + 1] - sources.start[s])
    codes, other = np.empty((largest, n_layers), np.int64), np.empty(n_layers, np.int64)
    for s in range(low, high):
        members = sources.member[sources.start[s] : sources.start[s + 1]]
        total, q_total = counts.total, against.total
        for m in range(len(members)):
            j = members[m]
            i = np.int64(which[j]) if len(which) > 0 else np.int64(j)
            for d in range(n_layers):
                codes[m, d] = code_of(rows, i, d)
            w, q = _weight_of(weight, j), _weight_of(q_weight, j)
            _add_own(layout, codes[m], w, q, own_cells, own_layers)
            total -= w
            q_total -= q
        # More look-ups than cells: one table for all clips of the source
        tabled = len(members) * n_pairs > len(own_cells)
        values = own_cells[:0]
        if tabled:
            values = _table(layout, counts.cells - own_cells, against.layers - own_layers, float(total),
                            float(q_total), scale, alpha)  # fmt: skip
        for m in range(len(members)):
            j, code = members[m], codes[m]
            twin_w = twin_q = np.int64(0)  # the counted duplicate of this clip, where it belongs to another source
            if len(sources.first) > 0 and sources.source[sources.first[j]] != s:
                twin = sources.first[j]
                twin_w, twin_q = _weight_of(weight, twin), _weight_of(q_weight, twin)
                at_row = np.int64(which[twin]) if len(which) > 0 else np.int64(twin)
                for d in range(n_layers):
                    other[d] = code_of(rows, at_row, d)
            score = np.int64(0)
            if tabled and twin_w == 0 and twin_q == 0:
                for p in range(n_pairs):
                    score += values[_cell_at(layout, code, p)]
            else:
                score = _score_one_without_own(
                    layout, code, counts, against, own_cells, own_layers, float(total - twin_w),
                    float(q_total - twin_q), other, twin_w, twin_q, scale, alpha,
                )  # fmt: skip
            out[j] = score
        for m in range(len(members)):
            w, q = _weight_of(weight, members[m]), _weight_of(q_weight, members[m])
            _add_own(layout, codes[m], -w, -q, own_cells, own_layers)


def score_without_own(
    rows: Rows, layout: Layout, counts: Counts, against: Counts, sources: Sources, weights: np.ndarray, alpha: float,
    *, which: np.ndarray | None = None, weight: np.ndarray | None = None, q_weight: np.ndarray | None = None,
    look: Look = None,
) -> np.ndarray:  # fmt: skip
    """Score of every position, judged by counts without its own source and its own duplicates, int64 (n,).

    `counts` are of `weight`, `against` of `q_weight` (int32 (n,), None = 1 each). One pass in the order of the sources.
    """
    none = np.zeros(0, np.int32)
    which = no_rows() if which is None else which
    weight, q_weight = (none if w is None else w for w in (weight, q_weight))
    n_sources = len(sources.start) - 1
    size = max(1, n_sources // 64)
    scale, out = pair_scales(weights), np.empty(len(sources.member), np.int64)
    own = [(np.zeros_like(counts.cells), np.zeros_like(counts.layers)) for _ in range(n_workers(n_sources, size))]

    def work(worker: int, low: int, high: int) -> None:
        _score_without_own(
            rows, layout, which, weight, q_weight, counts, against, sources, scale, alpha, low, high, *own[worker], out
        )

    over_chunks(n_sources, work, look, size)
    return out


@compiled()
def _responsibilities(score: np.ndarray, slope: float, centre: float, unit: float, low: int, high: int,
                      out: np.ndarray) -> None:  # fmt: skip
    for j in range(low, high):
        out[j] = np.int32(np.rint(unit / (1 + np.exp(-(slope * score[j] - centre)))))


def responsibilities(score: np.ndarray, slope: float, wanted: float, unit: int, look: Look = None) -> np.ndarray:
    """`sigmoid(slope * score - c)` in units of 1 / `unit`, int32 (n,), with c set so that they sum to `wanted`.

    c is solved on a histogram of 65,536 bins, so it does not depend on the order of the clips.
    """
    n = len(score)
    low, high = float(score.min()), float(score.max())
    if low == high:
        return np.full(n, round(unit * wanted / n), np.int32)
    bins = np.zeros(1 << 16)
    width = (high - low) / len(bins)
    for start in range(0, n, 1 << 20):
        place = np.minimum((score[start : start + (1 << 20)] - low) / width, len(bins) - 1).astype(np.int64)
        bins += np.bincount(place, minlength=len(bins))
    x = slope * (low + (np.arange(len(bins)) + 0.5) * width)
    below, above = x[0] - 60, x[-1] + 60
    for _ in range(80):
        centre = (below + above) / 2
        if (bins / (1 + np.exp(np.minimum(centre - x, 700)))).sum() > wanted:
            below = centre
        else:
            above = centre
    out = np.empty(n, np.int32)
    over_chunks(n, lambda _, a, b: _responsibilities(score, slope, centre, float(unit), a, b, out), look)
    return out
