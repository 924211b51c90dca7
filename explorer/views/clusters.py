"""Clusterings and their clusters: assignments and facts go in, rows of tables come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from curation.kernels.adjusted import adjusted_information, normalized
from curation.kernels.agreement import adjusted_rand_of

Order = Literal["size", "number", "selected", "pure", "mixed", "name"]
SHOWN_MAX = 500
AGREEMENT_MAX = 1_000_000
"""Clips that agreement is measured on: of more, a seeded sample."""
_DENSE = 1 << 22


def effective_share(sizes: np.ndarray) -> float:
    """Balance: exp(entropy of the sizes) / K, in (0, 1]; 1 = all clusters equally large. 0 where nothing is counted."""
    total = float(np.sum(sizes))
    if not total or not len(sizes):
        return 0.0
    p = np.asarray(sizes, float) / total
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()) / len(sizes))


def cluster_sizes(assignments: np.ndarray, n_clusters: int, which: np.ndarray | None = None) -> np.ndarray:
    """Clips in each cluster, int64 (K,); `assignments` integer (N,), -1 = none; `which` bool (N,) or all."""
    use = assignments >= 0 if which is None else (assignments >= 0) & which
    return np.bincount(assignments[use], minlength=n_clusters).astype(np.int64)


def clustering_rows(infos: Iterable[Mapping[str, Any]], sizes: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row a clustering: name, modality, clusters, smallest, largest, balance, inertia a clip, notices.

    `infos`: facts of each clustering with `name`; `sizes`: `{name: int (K,)}`.
    """
    rows = []
    for info in infos:
        size = np.asarray(sizes[info["name"]])
        inertia = info.get("inertia")
        rows.append(
            {
                "name": info["name"],
                "modality": info["modality"],
                "clusters": len(size),
                "clips": int(size.sum()),
                "smallest": int(size.min(initial=0 if not len(size) else int(size.max()))),
                "largest": int(size.max(initial=0)),
                "balance": effective_share(size),
                "inertia": float(inertia) / max(1, int(size.sum())) if inertia is not None else float("nan"),
                "notices": "; ".join((info.get("report") or {}).get("notices", [])),
            }
        )
    columns = ["name", "modality", "clusters", "clips", "smallest", "largest", "balance", "inertia", "notices"]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class ClusterRow:
    """One cluster: its number, clips, and how many of these are selected (None without a selection).

    `purity`: share of its clips with a label that have the one most of them have, `mostly` that label's number, `known`
    clips with a label; None where it was not compared, or no clip has a label.
    """

    cluster: int
    size: int
    selected: int | None
    purity: float | None = None
    mostly: int | None = None
    known: int = 0

    @property
    def selected_share(self) -> float | None:
        """Share of its clips that are selected, 0 to 1."""
        return self.selected / self.size if self.selected is not None and self.size else None


def cluster_rows(
    assignments: np.ndarray, n_clusters: int, selected: np.ndarray | None, labels: np.ndarray | None = None
) -> list[ClusterRow]:
    """All clusters, largest first, ties by number; `selected` bool (N,) or None; `labels` integer (N,), -1 = none."""
    sizes = cluster_sizes(assignments, n_clusters)
    chosen = cluster_sizes(assignments, n_clusters, selected) if selected is not None else None
    pure = purities(cross(assignments, labels), n_clusters) if labels is not None else None
    order = np.argsort(-sizes, kind="stable")
    return [
        ClusterRow(
            int(c),
            int(sizes[c]),
            int(chosen[c]) if chosen is not None else None,
            float(pure.share[c]) if pure is not None and pure.known[c] else None,
            int(pure.label[c]) if pure is not None and pure.known[c] else None,
            int(pure.known[c]) if pure is not None else 0,
        )
        for c in order
    ]


def ordered(rows: list[ClusterRow], order: Order, names: Mapping[int, str] | None = None) -> list[ClusterRow]:
    """Rows (largest first) in another order: by number, most selected, purest or least pure, named ones by name."""
    named = names or {}
    if order == "number":
        return sorted(rows, key=lambda row: row.cluster)
    if order == "selected":
        return sorted(rows, key=lambda row: -(row.selected_share or 0.0))
    if order == "pure":
        return sorted(rows, key=lambda row: -(row.purity if row.purity is not None else -1.0))
    if order == "mixed":
        return sorted(rows, key=lambda row: row.purity if row.purity is not None else 2.0)
    if order == "name":
        return sorted(rows, key=lambda row: (not named.get(row.cluster), named.get(row.cluster, "").casefold()))
    return rows


def shown_and_rest(rows: list[ClusterRow], limit: int = SHOWN_MAX) -> tuple[list[ClusterRow], ClusterRow | None]:
    """The `limit` largest of `rows` (any order, which is kept), and the others as one (cluster -1), None without any.

    Clusters without a clip are in neither.
    """
    filled = [row for row in rows if row.size]
    if len(filled) <= limit:
        return filled, None
    kept = {row.cluster for row in sorted(filled, key=lambda row: (-row.size, row.cluster))[:limit]}
    rest = [row for row in filled if row.cluster not in kept]
    selected = sum(row.selected or 0 for row in rest) if rest[0].selected is not None else None
    return [row for row in filled if row.cluster in kept], ClusterRow(-1, sum(row.size for row in rest), selected)


# -- two partitions of the same clips ----------------------------------------------------------------------------------


class Cross(NamedTuple):
    """Cells of a cross-tabulation that are not empty, int64 (m,) each: row, column, clips."""

    row: np.ndarray
    column: np.ndarray
    clips: np.ndarray


def cross(a: np.ndarray, b: np.ndarray) -> Cross:
    """Count the clips that have a value in both; `a`, `b` integer (N,), -1 = none. Works for any number of clusters."""
    use = (a >= 0) & (b >= 0)
    x, y = np.asarray(a)[use].astype(np.int64), np.asarray(b)[use].astype(np.int64)
    if not len(x):
        return Cross(*(np.zeros(0, np.int64) for _ in range(3)))
    width = int(y.max()) + 1
    if (int(x.max()) + 1) * width <= _DENSE:
        counts = np.bincount(x * width + y)
        place = np.flatnonzero(counts)
        return Cross(place // width, place % width, counts[place])
    place, counts = np.unique(x * width + y, return_counts=True)
    return Cross(place // width, place % width, counts)


class Purities(NamedTuple):
    """Of each row: `share` of its clips in their most frequent column, that column (`label`), and `known` clips."""

    share: np.ndarray
    label: np.ndarray
    known: np.ndarray


def purities(cells: Cross, n_rows: int) -> Purities:
    """Purity of each row, float64 (n_rows,), 0 where none of its clips has a label; ties go to the lower column."""
    known = np.bincount(cells.row, cells.clips, n_rows)
    order = np.lexsort((cells.column, -cells.clips, cells.row))
    rows, first = np.unique(cells.row[order], return_index=True)
    most, label = np.zeros(n_rows), np.full(n_rows, -1, np.int64)
    most[rows], label[rows] = cells.clips[order][first], cells.column[order][first]
    return Purities(np.divide(most, known, out=np.zeros(n_rows), where=known > 0), label, known.astype(np.int64))


@dataclass(frozen=True)
class Agreement:
    """Of two partitions of `clips` clips: adjusted Rand index, normalised and adjusted mutual information (1 = the
    same; ARI and AMI 0 by chance), mutual information in nats, and both mean purities (by clips).
    """

    clips: int
    rand: float
    normalized: float
    adjusted: float
    information: float
    purity: float
    other_purity: float


def agreement(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Agreement | None:
    """How far two partitions of the same clips agree; None where no clip has a value in both.

    Of more than `AGREEMENT_MAX` clips a seeded sample is taken. NMI and AMI as in Vinh, Epps, Bailey 2010 (mean of the
    entropies), the adjusted Rand index as in Hubert and Arabie 1985.
    """
    if len(a) > AGREEMENT_MAX:
        rows = np.sort(np.random.default_rng(seed).choice(len(a), AGREEMENT_MAX, replace=False))
        a, b = np.asarray(a[rows]), np.asarray(b[rows])
    cells = cross(a, b)
    n = int(cells.clips.sum())
    if not n:
        return None
    rows_total = np.bincount(cells.row, cells.clips).astype(np.int64)
    columns_total = np.bincount(cells.column, cells.clips).astype(np.int64)
    by_chance = rows_total[cells.row].astype(np.float64) * columns_total[cells.column]
    mi = max(0.0, float((cells.clips * np.log(cells.clips * (n / by_chance))).sum() / n))
    pure, other = (
        purities(cells, len(rows_total)),
        purities(Cross(cells.column, cells.row, cells.clips), len(columns_total)),
    )
    return Agreement(
        n,
        adjusted_rand_of(cells.clips, rows_total, columns_total),
        normalized(mi, rows_total, columns_total),
        adjusted_information(mi, rows_total[rows_total > 0], columns_total[columns_total > 0]),
        mi,
        float((pure.share * pure.known).sum() / n),
        float((other.share * other.known).sum() / n),
    )


def best_matches(cells: Cross, limit: int = SHOWN_MAX) -> pd.DataFrame:
    """The best partner of each row, largest rows first, at most `limit`; columns as below.

    `row`, `column`; `clips` that both hold; `of_row`, `of_column`: share of either, 0 to 1; `jaccard`: clips in both
    over clips in either, by which the partner is the best.
    """
    names = ["row", "column", "clips", "of_row", "of_column", "jaccard"]
    if not len(cells.row):
        return pd.DataFrame({name: [] for name in names})
    in_row, in_column = np.bincount(cells.row, cells.clips), np.bincount(cells.column, cells.clips)
    jaccard = cells.clips / (in_row[cells.row] + in_column[cells.column] - cells.clips)
    order = np.lexsort((cells.column, -jaccard, cells.row))
    best = order[np.unique(cells.row[order], return_index=True)[1]]
    best = best[np.argsort(-in_row[cells.row[best]], kind="stable")][:limit]
    row, column, clips = cells.row[best], cells.column[best], cells.clips[best]
    values = [row, column, clips, clips / in_row[row], clips / in_column[column], jaccard[best]]
    return pd.DataFrame(dict(zip(names, values, strict=True)))
