"""Which clusterings are compared with which: the modality of each in, index pairs out."""

from __future__ import annotations

import numpy as np

PAIRINGS = ("bipartite", "diagonal", "combination")


def pair_indices(is_audio: np.ndarray, pairing: str) -> np.ndarray:
    """Index pairs of clusterings, int64 (P, 2).

    `is_audio` bool (D,). `bipartite`: every audio with every visual clustering, audio first. `diagonal`: the k-th
    audio with the k-th visual one, audio first (counts must be equal: the caller checks). `combination`: every two,
    lower index first. Source: ACAV100M (arXiv 2101.10803), section 3.
    """
    audio, visual = np.flatnonzero(is_audio), np.flatnonzero(~is_audio)
    if pairing == "bipartite":
        pairs = [(a, v) for a in audio.tolist() for v in visual.tolist()]
    elif pairing == "diagonal":
        pairs = list(zip(audio.tolist(), visual.tolist(), strict=True))
    else:
        pairs = [(i, j) for i in range(len(is_audio)) for j in range(i + 1, len(is_audio))]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
