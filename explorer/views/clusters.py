"""Clusterings and their clusters: assignments and facts go in, rows of tables come out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


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
    """One cluster: its number, clips, and how many of these are selected (None without a selection)."""

    cluster: int
    size: int
    selected: int | None

    @property
    def selected_share(self) -> float | None:
        """Share of its clips that are selected, 0 to 1."""
        return self.selected / self.size if self.selected is not None and self.size else None


def cluster_rows(assignments: np.ndarray, n_clusters: int, selected: np.ndarray | None) -> list[ClusterRow]:
    """All clusters, largest first, ties by number; `selected` bool (N,) or None."""
    sizes = cluster_sizes(assignments, n_clusters)
    chosen = cluster_sizes(assignments, n_clusters, selected) if selected is not None else None
    order = np.argsort(-sizes, kind="stable")
    return [ClusterRow(int(c), int(sizes[c]), int(chosen[c]) if chosen is not None else None) for c in order]
