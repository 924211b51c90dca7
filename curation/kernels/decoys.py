"""Decoys: sources and folds in, pairs of a picture with another source's sound out: what no correspondence looks like.

A decoy pairs two clips of one fold, so the tables that judge it have seen neither, and within one stratum where strata
are given: then it is a pair of like content, and only the pairing is wrong.
"""

from __future__ import annotations

import numpy as np

from curation.kernels.compiled import compiled
from curation.kernels.draws import mix_int, permuted_partners, stream_key

STREAM_FOLDS, STREAM_DECOYS = 20, 21


@compiled()
def _lightest(order: np.ndarray, size: np.ndarray, n_folds: int, fold: np.ndarray) -> None:
    load = np.zeros(n_folds, np.int64)
    for g in order:
        best = 0
        for f in range(1, n_folds):
            if load[f] < load[best]:
                best = f
        fold[g] = best
        load[best] += size[g]


def folds_of(source: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Fold of each item, uint8 (n,), whole sources together and about equal in size.

    `source` int (n,), 0..G-1. Sources come largest first, equal ones in a seeded order, each into the lightest fold.
    Fewer sources than folds give as many folds as sources.
    """
    size = np.bincount(source)
    shuffled = np.empty(len(size), np.int64)
    shuffled[permuted_partners(np.arange(len(size)), stream_key(seed, STREAM_FOLDS))[0]] = np.arange(len(size))
    order = np.lexsort((shuffled, -size))
    fold = np.empty(len(size), np.uint8)
    _lightest(order, size, min(n_folds, len(size)), fold)
    return fold[source]


def decoy_partners(source: np.ndarray, stratum: np.ndarray, seed: int, draw: int = 0) -> tuple[np.ndarray, int]:
    """Place whose sound each of n items gets, int32 (n,): a permutation within strata, never of the own source.

    `source`, `stratum` int (n,). Also how many items had to keep a sound of their own source (a stratum of one source).
    """
    partner = np.arange(len(source), dtype=np.int32)
    left = 0
    stratum = stratum.astype(np.int64)
    order = np.argsort(stratum, kind="stable")
    starts = np.flatnonzero(np.diff(stratum[order], prepend=-1)) if len(order) else order
    for k, members in enumerate(np.split(order, starts[1:])):
        own = source[members]
        key = mix_int(stream_key(seed, STREAM_DECOYS, draw, k))
        inside, stuck = permuted_partners(own, key) if len(members) > 1 else (np.zeros(len(members), int), len(members))
        partner[members] = members[inside]
        left += stuck
    return partner, left
