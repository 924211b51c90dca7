"""Concord's engine: curate audio-visual data sets by the mutual information of sound and picture clusters.

Names are loaded when first used, so that `import curation` and the command line's help are instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.clustering import Clustering, auto_n_clusters, cluster
    from curation.information import MutualInformation, mutual_information
    from curation.selection import Selection, select
    from curation.workspace import open_workspace

__version__ = "0.1.0"

_HOMES = {
    "Clustering": "clustering",
    "auto_n_clusters": "clustering",
    "cluster": "clustering",
    "MutualInformation": "information",
    "mutual_information": "information",
    "Selection": "selection",
    "select": "selection",
    "open_workspace": "workspace",
}

__all__ = [
    "Clustering",
    "MutualInformation",
    "Selection",
    "auto_n_clusters",
    "cluster",
    "mutual_information",
    "open_workspace",
    "select",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'curation' has no attribute {name!r}")
    value = getattr(import_module(f"curation.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
