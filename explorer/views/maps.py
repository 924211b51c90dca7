"""Two maps of the same clips: coordinates go in; the points that are drawn, and their colour groups, come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.views.clips import hashes

MAX_POINTS = 5000
MAX_GROUPS = 7


def drawn_rows(xy: Sequence[np.ndarray], limit: int = MAX_POINTS, seed: int = 0) -> np.ndarray:
    """Rows int64 (m,), sorted, with a place on any of the maps (float (N, 2) each): all, or `limit` of them by hash."""
    placed = np.flatnonzero(np.logical_or.reduce([np.isfinite(points).all(1) for points in xy]))
    if len(placed) <= limit:
        return placed
    chosen = np.argpartition(hashes(placed, seed), limit)[:limit]
    return np.sort(placed[chosen])


@dataclass(frozen=True)
class Groups:
    """Colour groups: `code` int64 (m,), -1 = no value; `names` in the order of the codes, "other" last where needed."""

    code: np.ndarray
    names: list[str]


def cluster_groups(labels: np.ndarray, name: str = "cluster", limit: int = MAX_GROUPS) -> Groups:
    """The largest clusters a colour each, the rest as "other"; `labels` integer (m,), -1 = none."""
    known = labels[labels >= 0]
    sizes = np.bincount(known) if len(known) else np.zeros(0, np.int64)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    kept = np.sort(order[:limit])
    lookup = np.full(len(sizes) + 1, len(kept), np.int64)
    lookup[kept] = np.arange(len(kept))
    lookup[-1] = -1
    names = [f"{name} {c}" for c in kept]
    return Groups(lookup[labels], names if len(order) <= limit else [*names, "other"])


def truth_groups(truth: np.ndarray, known: np.ndarray, names: tuple[str, str] = ("true", "false")) -> Groups:
    """Two groups from booleans (m,), no value where not `known`."""
    return Groups(np.where(known, np.where(truth, 0, 1), -1), list(names))


def spread_over(labels: np.ndarray, rows: np.ndarray, share: float = 0.05) -> int:
    """How many clusters hold at least `share` of the marked `rows`: what a mark in one map becomes in the other."""
    marked = labels[rows]
    marked = marked[marked >= 0]
    if not len(marked):
        return 0
    sizes = np.bincount(marked)
    return int((sizes >= max(1.0, share * len(marked))).sum())
