"""Mutual information between clusterings: assignments in, nats out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from curation.checks import check_assignments, check_pairs, check_seed, row_indices
from curation.errors import InputError
from curation.kernels.adjusted import adjusted_information, normalized
from curation.kernels.contingency import Layout, Rows, add_counts, empty_counts
from curation.kernels.draws import STREAM_SAMPLE, shuffle_front, stream_key
from curation.kernels.information import information_of, pair_information

ADJUSTED_MAX = 1_000_000  # clips


@dataclass(frozen=True)
class MutualInformation:
    """Plug-in mutual information of pairs of clusterings.

    `pairs` int64 (P, 2): indices of the clusterings (audio, visual; with `combination` lower index first). `values`
    float64 (P,), nats. `mean`: sum of w_p values_p with weights normalised to 1, nats (the plain mean where none are
    given). `normalized`, `adjusted` float64 (P,): see `mutual_information`; empty where not asked for. `n`: clips that
    `adjusted` was computed on.
    """

    pairs: np.ndarray
    values: np.ndarray
    mean: float
    normalized: np.ndarray = field(default_factory=lambda: np.zeros(0))
    adjusted: np.ndarray = field(default_factory=lambda: np.zeros(0))
    n: int = 0


def mutual_information(
    assignments: Any,
    modalities: Sequence[str],
    *,
    subset: Any = None,
    pairing: Any = "bipartite",
    weights: Any = None,
    layers: Sequence[str] | None = None,
    adjusted: bool = False,
    seed: int = 0,
) -> MutualInformation:
    """Mutual information of every pair of a pairing, over all clips or a subset.

    `assignments` integer (N, D), cluster ids from 0 up; `modalities` D of "audio" / "visual"; `subset` row numbers or
    a bool mask (N,); `pairing`, `weights`, `layers` as in `select`. The estimate is biased upward by about (A - 1)(B -
    1) / 2n nats: compare only within equal numbers of clusters and clips (Miller 1955; ACAV100M, arXiv 2101.10803,
    section 3). With `adjusted`, also MI over the mean of the two entropies (`normalized`), and `adjusted` = (MI - E) /
    (mean entropy - E), E the mean under permuted labels (Vinh, Epps, Bailey 2010): comparable between sizes, 0 by
    chance. Both are exact up to a million clips, and of a sample of a million by `seed` above. Raises `InputError`,
    `SettingError`.
    """
    checked = check_assignments(assignments, modalities, layers)
    layout, pairs, w = check_pairs(checked, pairing, weights, layers)
    n_rows = len(checked.codes)
    which = np.arange(n_rows) if subset is None else row_indices("subset", subset, n_rows)
    if not len(which):
        raise InputError("The subset is empty.", hint="Mutual information needs at least one clip.")
    which = which.astype(np.int64)
    rows = Rows(checked.codes, np.zeros(0, np.int32), checked.is_audio)
    values = information_of(rows, which, layout)
    found = MutualInformation(pairs, values, float(values @ w))
    if not adjusted:
        return found
    check_seed(seed)
    if len(which) > ADJUSTED_MAX:
        shuffle_front(which, ADJUSTED_MAX, np.uint64(stream_key(seed, STREAM_SAMPLE)))
        which = which[:ADJUSTED_MAX]
    normal, adjusted_values = _normal_and_adjusted(rows, which, layout)
    return replace(found, normalized=normal, adjusted=adjusted_values, n=len(which))


def _normal_and_adjusted(rows: Rows, which: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """NMI and AMI of every pair over the clips `which`, float64 (P,) each."""
    counts, layer_counts = empty_counts(layout)
    add_counts(rows, which, layout, counts, layer_counts)
    values = pair_information(counts, layer_counts, layout, len(which))
    normal, adjusted_values = np.empty(len(values)), np.empty(len(values))
    for p, value in enumerate(values.tolist()):
        sizes = [
            layer_counts[layout.layer_offset[d] : layout.layer_offset[d + 1]].astype(np.int64)
            for d in (layout.first[p], layout.second[p])
        ]
        normal[p], adjusted_values[p] = normalized(value, *sizes), adjusted_information(value, *sizes)
    return normal, adjusted_values
