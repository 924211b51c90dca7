"""Which clips are shown, in which order, and why one was picked: arrays and choices go in, row numbers come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.kernels import shuffle
from curation.kernels.contingency import contingency_table, count_pairs
from explorer.views.why import CellOfClip

Examples = Literal["random", "typical", "far"]
PAGE = 60
HEAD = 20_000
"""Clips that an order is worked out for: more than anybody steps through."""


@dataclass(frozen=True)
class Order:
    """An order of clips. `key` makes rising numbers, float (N,), NaN = last; None is as in the folder.

    `seed` is that of the order called random; `falls` turns the key round; `prints` say what the key was made of.
    """

    name: str
    key: Callable[[], np.ndarray] | None = None
    seed: int = 0
    falls: bool = False
    prints: tuple[str, ...] = ()

    def first(self, rows: np.ndarray) -> np.ndarray:
        """The first `HEAD` of `rows` (ascending) in this order."""
        if self.name == "random":
            return shuffle.first(rows, self.seed, HEAD)
        if self.key is None:
            return rows[:HEAD]
        values = np.asarray(self.key()[rows])
        return first_rows(rows, -values.astype(np.float64) if self.falls else values, HEAD)


def first_rows(rows: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """The `n` of `rows` with the least `values` (m,), in their order, ties as they come, NaN last."""
    at = np.arange(len(rows))
    if len(rows) > n:
        if values.dtype.kind == "f":
            values = np.where(np.isnan(values), np.inf, values)
        last = np.partition(values, n - 1)[n - 1]
        below, ties = np.flatnonzero(values < last), np.flatnonzero(values == last)
        at = np.sort(np.concatenate([below, ties[: n - len(below)]]))
    return rows[at[np.argsort(values[at], kind="stable")]]


def mask_of(n: int, rows: np.ndarray) -> np.ndarray:
    """bool (n,): true at `rows`."""
    mask = np.zeros(n, bool)
    mask[rows] = True
    return mask


def in_clusters(labels: np.ndarray, chosen: list[int], n_clusters: int) -> np.ndarray:
    """bool (N,): the label (-1 = none) is one of `chosen`."""
    wanted = np.zeros(n_clusters + 1, bool)
    wanted[chosen] = True
    return wanted[labels]  # -1 reads the last place, which is never wanted


def said_mask(wanted: str, said: Mapping[str, np.ndarray], machine: np.ndarray) -> np.ndarray:
    """bool (N,): clips of one decision (`keep`, `drop`, `maybe`), with `none`, in the `final` choice, or `against`.

    `said`: bool (N,) each of keep, drop, maybe. `machine`: bool (N,), the machine's choice. `against`: kept though not
    chosen, or dropped though chosen.
    """
    if wanted == "none":
        return ~(said["keep"] | said["drop"] | said["maybe"])
    if wanted == "final":
        return (machine | said["keep"]) & ~said["drop"]
    if wanted == "against":
        return (said["keep"] & ~machine) | (said["drop"] & machine)
    return said[wanted]


def text_mask(paths: pa.Array | pa.ChunkedArray, text: str) -> np.ndarray:
    """bool (N,): the path holds `text`, taken literally, whatever the case."""
    found = pc.match_substring(paths, text, ignore_case=True)
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=bool)


def all_of(n: int, *masks: np.ndarray | None) -> np.ndarray:
    """Row numbers int64 (m,) where every mask (bool (n,); None = no condition) holds."""
    kept = np.ones(n, bool)
    for mask in masks:
        if mask is not None:
            kept &= mask
    return np.flatnonzero(kept)


def shuffled(rows: np.ndarray, seed: int, n: int | None = None) -> np.ndarray:
    """`rows` (the first `n` of them) in a random order that belongs to each row and the seed: a filter never
    reshuffles what stays."""
    return shuffle.first(rows, seed, len(rows) if n is None else n)


def sorted_rows(rows: np.ndarray, key: np.ndarray) -> np.ndarray:
    """`rows` by rising `key` (N,), without a value (NaN) last, ties by row."""
    return rows[np.argsort(key[rows], kind="stable")]


def pick_rank(n: int, picked_rows: np.ndarray) -> np.ndarray:
    """float64 (n,): 1 for the first picked, NaN for clips that were not."""
    rank = np.full(n, np.nan)
    rank[picked_rows] = np.arange(1, len(picked_rows) + 1)
    return rank


def rank_or_score(rank: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """A rising key float64 (N,): the picked in their order, the others by falling score, those without one last."""
    last = np.nanmax(rank, initial=0.0)
    known = np.where(np.isfinite(scores), scores, np.nan)
    best = float(np.nanmax(known)) if np.isfinite(scores).any() else 0.0
    return np.where(np.isnan(rank), last + 1 + (best - known), rank)


def mean_pmi(sounds: list[np.ndarray], pictures: list[np.ndarray]) -> np.ndarray:
    """Mean PMI of each clip's cells over every sound x picture pair, nats, float64 (N,); NaN without a value in all."""
    n = len(sounds[0]) if sounds else 0
    if not sounds or not pictures:
        return np.full(n, np.nan)
    usable = np.logical_and.reduce([column >= 0 for column in [*sounds, *pictures]])
    total = np.zeros(int(usable.sum()))
    for a in sounds:
        for b in pictures:
            total += cell_pmi(np.asarray(a)[usable], np.asarray(b)[usable])
    out = np.full(n, np.nan)
    out[usable] = total / (len(sounds) * len(pictures))
    return out


def cell_pmi(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """PMI of each clip's own cell, nats, float64 (n,): log(n n_ab / (n_a n_b)); `a`, `b` integer (n,), not negative."""
    n = len(a)
    if not n:
        return np.zeros(0)
    size_a, size_b = np.bincount(a), np.bincount(b)
    if len(size_a) * len(size_b) <= 4_000_000:
        shared = contingency_table(a, b, len(size_a), len(size_b))[a, b]
    else:  # a table that large is mostly empty: count only the cells that occur
        _, where, times = np.unique(a.astype(np.int64) * len(size_b) + b, return_inverse=True, return_counts=True)
        shared = times[where]
    return np.log(shared) + np.log(n) - np.log(size_a[a]) - np.log(size_b[b])


def pair_counts(a: np.ndarray, b: np.ndarray, n_a: int, n_b: int) -> np.ndarray:
    """Clips in each cell, int32 (n_a, n_b), of those with a value (not -1) in both."""
    counts = np.zeros((n_a, n_b), np.int64)
    count_pairs(a, b, np.arange(n_a), np.arange(n_b), np.zeros(0, bool), counts)
    return counts.astype(np.int32)


def why(row: int, sounds: dict[str, np.ndarray], pictures: dict[str, np.ndarray]) -> list[CellOfClip]:
    """The cells of clip `row` in all pairs where it has a value, the most expected pairing first."""
    found = []
    inside_a = {name: a == a[row] for name, a in sounds.items() if a[row] >= 0}
    inside_b = {name: b == b[row] for name, b in pictures.items() if b[row] >= 0}
    for name_a, in_a in inside_a.items():
        for name_b, in_b in inside_b.items():
            valid = (sounds[name_a] >= 0) & (pictures[name_b] >= 0)
            n_ab = int(np.count_nonzero(in_a & in_b))
            n_a, n_b = int(np.count_nonzero(in_a & valid)), int(np.count_nonzero(in_b & valid))
            pmi = float(np.log(n_ab * int(valid.sum()) / (n_a * n_b)))
            a, b = int(sounds[name_a][row]), int(pictures[name_b][row])
            found.append(CellOfClip(name_a, name_b, a, b, n_ab, pmi))
    return sorted(found, key=lambda cell: -cell.pmi)


def examples(
    assignments: np.ndarray, distances: np.ndarray, clusters: np.ndarray, how: Examples, n: int, seed: int = 0
) -> dict[int, np.ndarray]:
    """At most `n` rows of each of the `clusters`, `{cluster: rows}`; only as many are sorted.

    `random`: drawn with the seed. `typical`: nearest to the centroid first. `far`: farthest first.
    """
    rows = np.flatnonzero(np.isin(assignments, clusters))
    own = np.asarray(assignments)[rows]
    key = {"random": shuffle.hashes(rows, seed), "typical": distances[rows], "far": -distances[rows]}[how]
    found = {int(c): np.flatnonzero(own == c) for c in clusters}
    return {c: rows[at[_lowest(key[at], n)]] for c, at in found.items()}


def _lowest(key: np.ndarray, n: int) -> np.ndarray:
    """Places of the `n` lowest keys, rising, ties by place, without a value (NaN) last; only those are sorted."""
    at = np.arange(len(key))
    if 0 < n < len(key):
        last = np.partition(key, n - 1)[n - 1]
        at = at if np.isnan(last) else np.flatnonzero(key <= last)
    return at[np.argsort(key[at], kind="stable")[:n]]


def place_in(rows: np.ndarray, row: int) -> int:
    """Where `row` stands among `rows`, -1 when it is not there."""
    at = np.flatnonzero(rows == row)
    return int(at[0]) if len(at) else -1


def page_of(rows: np.ndarray, page: int, size: int = PAGE) -> tuple[np.ndarray, int, int]:
    """The rows of one page, the page's number kept within range (from 1), and how many pages there are."""
    pages = max(1, -(-len(rows) // size))
    page = min(max(1, page), pages)
    return rows[(page - 1) * size : page * size], page, pages


def neighbours(rows: np.ndarray, row: int) -> tuple[int | None, int | None]:
    """The clip before and after `row` in the list (None at its ends); both None when it is not in the list."""
    at = np.flatnonzero(rows == row)
    if not len(at):
        return None, None
    i = int(at[0])
    return (int(rows[i - 1]) if i else None), (int(rows[i + 1]) if i + 1 < len(rows) else None)
