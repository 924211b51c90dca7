"""May a score be read as a probability? Scores of pairs and of decoys and the corresponding share in, a verdict out.

Without truth nobody can check a probability. What can be checked: in ten bins of equal numbers of pairs, how far two
readings of the decoys lie from the estimate, and how far the interval of the corresponding share moves it. Together
within `WITHIN`, and no doubt about whole kinds of content, is the most that data without truth can show; that wrong
pairs look like decoys stays an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.kernels.shares import Share
from curation.kernels.tilt import Tilt, binned

WITHIN = 0.05
N_BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Of ten bins, lowest scores first, float64 (10,): `chance` of a pair to correspond as published; by the shape of
    the scores (`by_tilt`); counted from decoys, `low` and `high` at the ends of the share. `reason` says why
    `is_probability` is False, else "".
    """

    chance: np.ndarray
    by_tilt: np.ndarray
    counted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_probability: bool
    reason: str


def reliability(pair: np.ndarray, decoy: np.ndarray, share: Share, local: np.ndarray) -> Reliability:
    """Verdict on the local false shares `local` (n,) of scores `pair` (n,), with decoys of any kind of content (k, n).

    `counted` is `1 - (1 - share) decoys / pairs` of each bin: no shape of the scores is assumed.
    """
    rank = np.empty(len(pair), np.int64)
    rank[np.argsort(pair, kind="stable")] = np.arange(len(pair))
    of_pair = rank * N_BINS // len(pair)
    size = np.maximum(np.bincount(of_pair, minlength=N_BINS), 1)
    edge = np.sort(pair)[np.cumsum(size)[:-1].clip(max=len(pair) - 1)]
    decoys = np.bincount(np.searchsorted(edge, decoy.ravel(), side="right"), minlength=N_BINS) / len(decoy)
    bins = binned(pair, decoy)
    chance = 1 - np.bincount(of_pair, local, N_BINS) / size
    by_tilt = np.bincount(of_pair, Tilt(bins).chance(share.share)[bins.place], N_BINS) / size
    counted, low, high = (np.clip(1 - (1 - at) * decoys / size, 0, 1) for at in (share.share, share.low, share.high))
    apart = float(max(np.abs(chance - by_tilt).max(), np.abs(chance - counted).max()))
    moved = float(np.maximum(high - counted, counted - low).max())
    reason = ""
    if share.doubt > 0:
        reason = "whole kinds of content may be mismatched, and these data cannot tell"
    elif apart + moved > WITHIN:
        reason = (
            f"of ten bins of scores, estimates of the corresponding share differ by up to {apart:.2f}, and its "
            f"interval moves them by up to {moved:.2f}; together at most {WITHIN} would do"
        )
    return Reliability(chance, by_tilt, counted, low, high, not reason, reason)
