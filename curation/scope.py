"""What a selection was chosen from: a workspace and the facts of a selection in, a yes or no a clip out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curation import columns
from curation.errors import ConcordError
from curation.workspace import Workspace


@dataclass(frozen=True)
class Scope:
    """Bool (N,) each. `clustered`: clips with a value in every clustering of the run that is still there;
    `candidates`: of these the ones that meet its condition (`select.where`). `notice`: why they may be others than
    the run had, or "".
    """

    clustered: np.ndarray
    candidates: np.ndarray
    notice: str = ""


def scope_of(workspace: Workspace, info: dict[str, Any]) -> Scope:
    """The clips that a selection with the facts `info` was chosen from, as far as the present tables tell."""
    clustered = np.ones(workspace.n_rows("clips"), bool)
    for name in present_clusterings(workspace, info):
        clustered &= np.asarray(workspace.array(f"clusterings/{name}", "assignments")) >= 0
    condition = str(info.get("where") or "").strip()
    if not condition:
        return Scope(clustered, clustered)
    try:
        return Scope(clustered, clustered & columns.matching(workspace, condition, "select.where"))
    except ConcordError:
        notice = f"The scope of the run cannot be read any more ({condition}): all clips with clusters are candidates"
        return Scope(clustered, clustered, notice)


def present_clusterings(workspace: Workspace, info: dict[str, Any]) -> list[str]:
    """The clusterings of a selection that are still there and of the present clips."""
    found = []
    for name in info.get("clusterings", {}):
        artefact = workspace.artefact(f"clusterings/{name}")
        if artefact is not None and workspace.fits(artefact):
            found.append(name)
    return found
