"""Mutual information between clusterings: assignments in, nats out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.checks import check_assignments, check_pairs, row_indices
from curation.errors import InputError
from curation.kernels.contingency import Rows
from curation.kernels.information import information_of


@dataclass(frozen=True)
class MutualInformation:
    """Plug-in mutual information of pairs of clusterings.

    `pairs` int64 (P, 2): indices of the clusterings (audio, visual; with `combination` lower index first). `values`
    float64 (P,), nats. `mean`: sum of w_p values_p with weights normalised to 1, nats (the plain mean where none are
    given).
    """

    pairs: np.ndarray
    values: np.ndarray
    mean: float


def mutual_information(
    assignments: Any,
    modalities: Sequence[str],
    *,
    subset: Any = None,
    pairing: str = "bipartite",
    weights: Any = None,
) -> MutualInformation:
    """Mutual information of every pair of a pairing, over all clips or a subset.

    `assignments` integer (N, D), cluster ids from 0 up; `modalities` D of "audio" / "visual"; `subset` row numbers or
    a bool mask (N,); `weights` (P,), not negative. The estimate is biased upward by about (A - 1)(B - 1) / 2n nats:
    compare only within equal numbers of clusters and clips (Miller 1955; ACAV100M, arXiv 2101.10803, section 3).
    Raises `InputError`, `SettingError`.
    """
    checked = check_assignments(assignments, modalities)
    layout, pairs, w = check_pairs(checked, pairing, weights)
    n_rows = len(checked.codes)
    which = np.arange(n_rows) if subset is None else row_indices("subset", subset, n_rows)
    if not len(which):
        raise InputError("The subset is empty.", hint="Mutual information needs at least one clip.")
    rows = Rows(checked.codes, np.zeros(0, np.int32), checked.is_audio)
    values = information_of(rows, which.astype(np.int64), layout)
    return MutualInformation(pairs, values, float(values @ w))
