"""The clips that numbers of clusters are judged on: a sample by clip ids, its sources and folds, k-means of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curation import columns
from curation.clustering import Clustering, cluster
from curation.errors import InputError
from curation.kernels.decoys import folds_of
from curation.kernels.draws import GOLDEN_INT, MASK, MULTIPLIERS, stream_key
from curation.progress import Progress
from curation.records import clip_keys
from curation.stages.cluster import LayerInfo, feature_layers
from curation.workspace import Workspace

FOLDS = 5
CLIPS_MIN = 20
_STREAM_SEEDS, _STREAM_SAMPLE = 41, 42


@dataclass(frozen=True)
class Sample:
    """`rows` int64 (n,), rising; `source` int (n,), 0..G-1; `fold` uint8 (n,), whole sources together."""

    rows: np.ndarray
    source: np.ndarray
    fold: np.ndarray

    @property
    def n_sources(self) -> int:
        return int(self.source.max()) + 1


def take_sample(workspace: Workspace, usable: np.ndarray, size: int, seed: int) -> Sample:
    """At most `size` of the clips that are `usable` bool (N,), by a hash of their ids, one of every duplicate group.

    Clips that are added later join or stay out by their own ids: the sample stays nearly the same. Where all clips are
    of one source each stands for itself, as nothing could be judged otherwise.
    """
    rows = np.flatnonzero(usable)
    if columns.finds_duplicates(workspace):
        group = columns.duplicates(workspace)[rows]
        first = np.zeros(len(rows), bool)
        first[np.unique(group, return_index=True)[1]] = True
        rows = rows[first | (group < 0)]
    if len(rows) > size:
        key = _keys(workspace, rows) ^ np.uint64(stream_key(seed, _STREAM_SAMPLE))
        rows = np.sort(rows[np.argpartition(_mixed(key), size)[:size]])
    if len(rows) < CLIPS_MIN:
        raise InputError(
            f"Only {len(rows)} clips have a value in all of these layers.",
            hint=f"At least {CLIPS_MIN} are needed to say how many clusters tell most.",
        )
    names = workspace.table("clips", ["source"])["source"].combine_chunks().fill_null("").dictionary_encode()
    source = np.unique(np.asarray(names.indices)[rows], return_inverse=True)[1]
    if not source.any():
        source = np.arange(len(rows))
    # A decoy is of another source of its fold: two sources a fold, at least
    n_folds = max(2, min(FOLDS, (int(source.max()) + 1) // 2))
    return Sample(rows, source, folds_of(source, n_folds, seed))


def _keys(workspace: Workspace, rows: np.ndarray) -> np.ndarray:
    for key in workspace.keys("features"):
        file = workspace.artefact_path(key) / "clip_keys.npy"
        if file.is_file():
            keys = np.load(file, mmap_mode="r", allow_pickle=False)
            if len(keys) == workspace.n_rows("clips"):
                return np.asarray(keys[rows])
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    return clip_keys(ids)[rows]


def _mixed(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer, uint64."""
    with np.errstate(over="ignore"):
        z = z + np.uint64(GOLDEN_INT & MASK)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MULTIPLIERS[0])
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MULTIPLIERS[1])
    return z ^ (z >> np.uint64(31))


def layer_called(workspace: Workspace, name: str) -> LayerInfo:
    layers = feature_layers(workspace)
    found = next((info for info in layers if info.name == name), None)
    if found is None:
        known = ", ".join(info.name for info in layers) or "none yet"
        raise InputError(f"{name!r} is no layer of features in {workspace.name}.", hint=f"Layers: {known}.")
    return found


def valid_clips(workspace: Workspace, info: LayerInfo) -> np.ndarray:
    return np.asarray(workspace.array(f"features/{info.extractor}", "valid"), bool)


def clusterings_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Clusterings of the present clips: name -> facts with `fingerprint`."""
    found = {}
    for key in workspace.keys("clusterings"):
        artefact = workspace.artefact(key)
        if artefact is not None and workspace.fits(artefact):
            found[key.partition("/")[2]] = {**artefact.info, "fingerprint": artefact.fingerprint}
    return found


def clustered(
    workspace: Workspace, features: np.ndarray, count: int, seed: int, progress: Progress, points: int | None = None
) -> Clustering:
    settings = workspace.config.cluster
    return cluster(
        features,
        count,
        seed=stream_key(seed, _STREAM_SEEDS) >> 1,
        device=workspace.config.resources.device,
        standardize=settings.standardize,
        pca_dim=settings.pca_dim or None,
        n_iter=settings.n_iter,
        max_points_per_centroid=points,
        progress=progress,
    )
