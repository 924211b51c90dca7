"""Pairs of clusterings: assignments go in; tables, their measures, orders, controls and the clips of a cell come out.

Rows are sound clusters, columns picture clusters. All information is in nats (natural logarithm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from curation.kernels.contingency import Rows, count_pairs, make_layout
from curation.kernels.draws import permuted_partners
from curation.kernels.information import information_of

Measure = Literal["count", "expected", "pmi", "residual", "share", "difference"]
Order = Literal["match", "blocks", "size", "number", "name"]
Over = Literal["pair", "every", "depth"]
OTHER = -1
LIMIT = 500
MAX_BLOCKS = 40
SAMPLE = 200_000
"""Pairs of larger sets are ranked on this many clips, drawn with a seed from `LOOKED_AT` times as many."""
LOOKED_AT = 4


@dataclass(frozen=True)
class Fold:
    """The clusters that are shown: `lookup` int64 (K,) cluster -> position, `shown` int64 (S,) position -> cluster.

    Where K is above the limit the last position is `OTHER`: all the smaller clusters together.
    """

    lookup: np.ndarray
    shown: np.ndarray

    def position(self, cluster: int) -> int | None:
        """Where a cluster stands, or None when there is no such cluster."""
        if cluster == OTHER:
            return len(self.shown) - 1 if self.shown[-1] == OTHER else None
        return int(self.lookup[cluster]) if 0 <= cluster < len(self.lookup) else None


def fold(sizes: np.ndarray, limit: int = LIMIT) -> Fold:
    """Show at most `limit` clusters; where there are more, the largest and, in the last place, all others as one.

    `sizes` int (K,); ties go to the lower number.
    """
    k = len(sizes)
    if k <= limit:
        return Fold(np.arange(k), np.arange(k))
    kept = np.sort(np.argsort(-np.asarray(sizes), kind="stable")[: limit - 1])
    lookup = np.full(k, limit - 1, np.int64)
    lookup[kept] = np.arange(limit - 1)
    return Fold(lookup, np.append(kept, OTHER))


@dataclass(frozen=True)
class PairTable:
    """Counts of one pair of clusterings: `counts` int64 (R, C)."""

    counts: np.ndarray

    @property
    def n(self) -> int:
        """Clips counted."""
        return int(self.counts.sum())

    @property
    def row_totals(self) -> np.ndarray:
        """int64 (R,)."""
        return self.counts.sum(1)

    @property
    def col_totals(self) -> np.ndarray:
        """int64 (C,)."""
        return self.counts.sum(0)

    def expected(self) -> np.ndarray:
        """Counts if sound and picture were independent, float64 (R, C)."""
        return np.outer(self.row_totals, self.col_totals) / max(1, self.n)

    def pmi(self) -> np.ndarray:
        """log(count / expected), nats, float64 (R, C); NaN where the cell is empty."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(self.counts / self.expected())
        return np.where(self.counts > 0, values, np.nan)

    def residual(self) -> np.ndarray:
        """Adjusted standardized residual, float64 (R, C): about N(0, 1) under independence; NaN where undefined.

        (count - expected) / sqrt(expected (1 - row share) (1 - column share)); Agresti, Categorical Data Analysis, 3.3.
        """
        n = max(1, self.n)
        expected = self.expected()
        free = np.outer(1 - self.row_totals / n, 1 - self.col_totals / n)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = (self.counts - expected) / np.sqrt(expected * free)
        return np.where(np.isfinite(values), values, np.nan)

    def terms(self) -> np.ndarray:
        """Each cell's part of the mutual information, nats, float64 (R, C); their sum is `information`."""
        return np.nan_to_num(self.pmi()) * self.counts / max(1, self.n)

    def information(self) -> float:
        """Mutual information, nats (plug-in estimate)."""
        return max(0.0, float(self.terms().sum()))

    def share(self) -> np.ndarray:
        """Each cell's part of the mutual information, per cent, float64 (R, C); cells below chance are negative."""
        total = self.information()
        return 100 * self.terms() / total if total > 0 else np.zeros(self.counts.shape)


def pair_table(a: np.ndarray, b: np.ndarray, rows: Fold, cols: Fold, which: np.ndarray | None = None) -> PairTable:
    """Count the clips `which` (bool (N,), default all) that have a value in both; `a`, `b` integer (N,), -1 = none."""
    counts = np.zeros((len(rows.shown), len(cols.shown)), np.int64)
    count_pairs(a, b, rows.lookup, cols.lookup, np.zeros(0, bool) if which is None else which, counts)
    return PairTable(counts)


def difference(selected: PairTable, candidates: PairTable) -> np.ndarray:
    """Share of the selected minus share of the candidates, percentage points, float64 (R, C)."""
    return 100 * (selected.counts / max(1, selected.n) - candidates.counts / max(1, candidates.n))


def values_of(measure: Measure, table: PairTable, candidates: PairTable) -> np.ndarray:
    """The numbers to draw, float64 (R, C): of `table` alone, or for `difference` against `candidates`."""
    if measure == "difference":
        return difference(table, candidates)
    if measure == "count":
        return table.counts.astype(np.float64)
    return {"expected": table.expected, "pmi": table.pmi, "residual": table.residual, "share": table.share}[measure]()


def ordering(
    table: PairTable, order: Order, names: tuple[Sequence[str], Sequence[str]] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row order int64 (R,) and column order int64 (C,).

    `match`: rows and columns paired one to one so that the pairs carry the most information (Hungarian method), the
    strongest pair first, what has no partner last by size. `blocks`: see `blocks`. `size`: largest first. `number`: as
    given. `name`: by `names` of rows and of columns, those without one ("") last, by number.
    """
    n_rows, n_cols = table.counts.shape
    if order == "number" or (order == "name" and names is None):
        return np.arange(n_rows), np.arange(n_cols)
    if order == "name" and names is not None:
        rows, cols = (sorted((not name, name.casefold(), i) for i, name in enumerate(side)) for side in names)
        return np.array([i for *_, i in rows], np.int64), np.array([i for *_, i in cols], np.int64)
    if order == "blocks":
        return blocks(table)
    by_rows = np.argsort(-table.row_totals, kind="stable")
    by_cols = np.argsort(-table.col_totals, kind="stable")
    if order == "size":
        return by_rows, by_cols
    terms = table.terms()
    row, col = linear_sum_assignment(terms, maximize=True)
    strongest = np.argsort(-terms[row, col], kind="stable")
    row, col = row[strongest], col[strongest]
    return (
        np.concatenate([row, by_rows[~np.isin(by_rows, row)]]),
        np.concatenate([col, by_cols[~np.isin(by_cols, col)]]),
    )


def blocks(table: PairTable, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row order int64 (R,) and column order int64 (C,) by spectral co-clustering (Dhillon 2001), seeded.

    Sound and picture clusters that share clips stand together, the block with most clips first, the largest first in
    each. As many blocks as the scaled table has singular values above what independent sounds and pictures would
    give, (sqrt(R) + sqrt(C)) / sqrt(n); where there is no such structure, by size. Empty rows and columns are last.
    """
    by_rows = np.argsort(-table.row_totals, kind="stable")
    by_cols = np.argsort(-table.col_totals, kind="stable")
    full_rows, full_cols = np.flatnonzero(table.row_totals), np.flatnonzero(table.col_totals)
    counts = table.counts[np.ix_(full_rows, full_cols)].astype(np.float64)
    if min(counts.shape) < 2:
        return by_rows, by_cols
    scaled = counts / np.sqrt(np.outer(counts.sum(1), counts.sum(0)))
    values = np.linalg.svd(scaled, compute_uv=False)
    noise = (np.sqrt(counts.shape[0]) + np.sqrt(counts.shape[1])) / np.sqrt(counts.sum())
    count = min(1 + int((values[1:] > noise).sum()), min(counts.shape), MAX_BLOCKS)
    if count < 2:
        return by_rows, by_cols
    from sklearn.cluster import SpectralCoclustering  # takes a second to load

    found = SpectralCoclustering(count, random_state=seed).fit(counts)
    block_of_row, block_of_col = np.full(len(by_rows), count), np.full(len(by_cols), count)
    block_of_row[full_rows], block_of_col[full_cols] = found.row_labels_, found.column_labels_
    own = [int(table.counts[np.ix_(block_of_row == i, block_of_col == i)].sum()) for i in range(count)]
    place = np.append(np.argsort(np.argsort(-np.array(own), kind="stable")), count)
    return (
        by_rows[np.argsort(place[block_of_row[by_rows]], kind="stable")],
        by_cols[np.argsort(place[block_of_col[by_cols]], kind="stable")],
    )


def paired(sounds: Sequence[str], pictures: Sequence[str], over: Over) -> list[tuple[str, str]]:
    """The pairs of clusterings that a mean is over: `every` sound with every picture layer, or those of the same
    `depth`, first with first and so on; none where the numbers of layers differ."""
    if over == "depth":
        return list(zip(sounds, pictures)) if len(sounds) == len(pictures) else []
    return [(a, b) for a in sounds for b in pictures]


@dataclass(frozen=True)
class MeanTable:
    """The dependence of many pairs of clusterings, sorted into the cells of one of them.

    `pmi` float64 (R, C): mean over the cell's clips of their PMI in every pair, nats, NaN where the cell is empty.
    `share` float64 (R, C): the clips' part of the mean mutual information of the pairs, per cent. `information`: that
    mean, nats. `pairs`: how many. `clips`: those with a value in all of them.
    """

    pmi: np.ndarray
    share: np.ndarray
    information: float
    pairs: int
    clips: int


def mean_table(a: np.ndarray, b: np.ndarray, rows: Fold, cols: Fold, clip_pmi: np.ndarray, pairs: int) -> MeanTable:
    """`clip_pmi` float64 (N,): mean PMI of each clip's cells over the pairs, nats, NaN = not counted; `a`, `b` integer
    (N,), -1 = none: the clusterings whose cells the clips are sorted into.

    The mean mutual information of the pairs is the mean of `clip_pmi`, so its parts by cell sum to it.
    """
    use = np.isfinite(clip_pmi) & (a >= 0) & (b >= 0)
    shape = len(rows.shown), len(cols.shown)
    cell = rows.lookup[a[use]] * shape[1] + cols.lookup[b[use]]
    counts = np.bincount(cell, minlength=shape[0] * shape[1])
    sums = np.bincount(cell, weights=clip_pmi[use], minlength=shape[0] * shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        pmi = np.where(counts > 0, sums / counts, np.nan)
    n, total = max(1, int(use.sum())), float(sums.sum())
    share = 100 * sums / total if total > 0 else np.zeros(len(sums))
    return MeanTable(pmi.reshape(shape), share.reshape(shape), max(0.0, total / n), pairs, int(use.sum()))


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a few repeats, and how many."""

    mean: float
    deviation: float
    repeats: int


@dataclass(frozen=True)
class Controls:
    """Mutual information of some clips beside what chance gives at the same size, nats.

    `permuted`: sounds given to other clips among the same clips: a control for all candidates, but not for clips that
    a method chose for their high counts. `random`: as many clips drawn from the candidates;
    None where the clips are all the candidates.
    """

    information: float
    permuted: Spread
    random: Spread | None
    clips: int


def controls(candidates: PairTable, selected: PairTable | None = None, *, repeats: int = 5, seed: int = 0) -> Controls:
    """Controls of one pair for all candidates, or for the `selected` among them; fewer than 1e9 clips.

    Drawn from the table alone, as if its clips had been: sounds permuted among clips give any table with the same
    totals, as likely as the number of permutations that lead to it (Patefield 1981); clips drawn without replacement
    give a multivariate hypergeometric one.
    """
    table = candidates if selected is None else selected
    rng = np.random.default_rng([seed, table.n])
    permuted = [_permuted(table, rng).information() for _ in range(repeats)]
    drawn = []
    if table.n < candidates.n:
        cells, shape = candidates.counts.ravel(), candidates.counts.shape
        for _ in range(repeats):
            found = rng.multivariate_hypergeometric(cells, table.n, method="marginals")
            drawn.append(PairTable(found.reshape(shape)).information())
    return Controls(table.information(), _spread(permuted), _spread(drawn) if drawn else None, table.n)


def _permuted(table: PairTable, rng: np.random.Generator) -> PairTable:
    """The table after the sounds changed places at random: row by row, a draw from what is left of each column."""
    counts, left = np.empty_like(table.counts), table.col_totals
    for r, total in enumerate(table.row_totals):
        counts[r] = rng.multivariate_hypergeometric(left, int(total), method="marginals")
        left = left - counts[r]
    return PairTable(counts)


def _spread(values: list[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0, len(values))


def rank_pairs(
    sounds: list[np.ndarray], pictures: list[np.ndarray], *, seed: int = 0, sample: int = SAMPLE
) -> np.ndarray:
    """MI minus MI with permuted sounds of every pair, nats, float64 (A, V): the largest is the pair shown first.

    `sounds`, `pictures`: integer (N,) each, -1 = none. Measured on at most `sample` clips that have a value in all, of
    `LOOKED_AT` times as many.
    """
    columns, rng = [*sounds, *pictures], np.random.default_rng(seed)
    n, looked_at = len(columns[0]), LOOKED_AT * sample
    rows = np.arange(n) if n <= looked_at else np.sort(rng.choice(n, looked_at, replace=False, shuffle=False))
    where = rows[np.logical_and.reduce([np.asarray(column)[rows] >= 0 for column in columns])]
    if len(where) > sample:
        where = np.sort(rng.choice(where, sample, replace=False, shuffle=False))
    shape = (len(sounds), len(pictures))
    if len(where) < 2:
        return np.zeros(shape)
    codes = np.stack([np.asarray(column)[where] for column in columns], axis=1).astype(np.int32)
    codes = np.minimum(codes, LIMIT)  # a bound on the tables: with more clusters the order is a rough one
    counts = codes.max(0).astype(np.int64) + 1
    pairs = np.array([(i, len(sounds) + j) for i in range(shape[0]) for j in range(shape[1])], np.int64)
    layout, everyone = make_layout(pairs, counts), np.arange(len(where))
    swapped = np.arange(len(columns)) < len(sounds)
    partner, _ = permuted_partners(np.arange(len(where), dtype=np.int32), seed)
    plain = information_of(Rows(codes, np.zeros(0, np.int32), swapped), everyone, layout)
    permuted = information_of(Rows(codes, partner, swapped), everyone, layout)
    return (plain - permuted).reshape(shape)


def box_rows(
    a: np.ndarray, b: np.ndarray, rows: Fold, cols: Fold, r: np.ndarray, c: np.ndarray, which: np.ndarray | None = None
) -> np.ndarray:
    """Rows int64 (m,) of the clips in any of the shown rows `r` and any of the shown columns `c`."""
    in_a = _wanted(a, rows, r)
    use = in_a & _wanted(b, cols, c)
    if which is not None:
        use &= which
    return np.flatnonzero(use)


def _wanted(labels: np.ndarray, folded: Fold, positions: np.ndarray) -> np.ndarray:
    hit = np.zeros(len(folded.lookup) + 1, bool)
    hit[:-1] = np.isin(folded.lookup, positions)
    return hit[labels]  # label -1 reads the last place, which is False


def nearest_both(rows: np.ndarray, distance_a: np.ndarray, distance_b: np.ndarray) -> np.ndarray:
    """`rows` with the ones nearest to both centroids first: by the sum of their two distance ranks, ties by row."""
    rank = np.zeros(len(rows), np.int64)
    for distance in (distance_a, distance_b):
        rank += np.argsort(np.argsort(distance[rows], kind="stable"), kind="stable")
    return rows[np.argsort(rank, kind="stable")]
