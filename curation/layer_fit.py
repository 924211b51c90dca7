"""One layer's clustering while it is made: features in; a model, assigned stretches, and at the end the arrays out.

    make    draws the sample, learns the clusters and those of the further runs (or takes over the ones that are kept)
    assign  one stretch of rows: the nearest clusters of each, in every run, read once
    joined  the stretches as arrays with one value a clip

What is between lies in a folder beside the artefact: `fit.npz` and `fit.json` (the model; the second says it is whole),
`begun.npz` (rounds of k-means so far), `assigned-*.npz`. What is there is not done again, whoever did it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.atomic import read_json, write_json
from curation.checkpoint import Checkpoint
from curation.clustering import FEW, TRAIN_BYTES_MAX, Fit, assign_rows, auto_n_clusters, fit, nearest_clusters
from curation.config import ClusterConfig
from curation.errors import WorkspaceError
from curation.feature_rows import FeatureRows
from curation.kernels.draws import STREAM_KMEANS, stream_key
from curation.kernels.kmeans_sample import lowest_hashes

ROWS_PER_PART = 1 << 18  # assigned at a time: what a kill costs at most
POINTS_WANTED = 256  # a cluster; fewer are said
REPLICATE_POINTS = 512  # a cluster: the further runs are trained on a sample of this many clips where there are more
STAYED_MIN = 0.5  # of the clips fitted that must still be there: with fewer it is another data set
_STREAM_REPLICATES, _STREAM_DRAWN = 31, 4
_CHECKED = 64  # clips that were there before whose distances are looked at again
_TOLERANCE = 0.01

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Layer:
    """What is clustered, and how: `features` and `valid` bool (n,), one a clip; `keys` uint64 (n,) of the clips.

    `count`: clusters, "auto" or digits. `old`: arrays of the clustering whose clusters are kept, None to fit anew.
    """

    name: str
    features: FeatureRows
    valid: np.ndarray
    keys: np.ndarray
    count: str
    settings: ClusterConfig
    device: str
    threads: int
    old: Arrays | None


def sample_size(settings: ClusterConfig, dim: int) -> int:
    """Most clips that a layer of `dim` values is trained on."""
    return settings.sample or TRAIN_BYTES_MAX // (4 * dim)


class LayerFit:
    """Makes one layer's clustering in steps that may be done by different processes, each after those it rests on."""

    def __init__(self, layer: Layer, folder: Path, identity: str, check: Callable[[], None]) -> None:
        self._layer, self._folder, self._identity, self._check = layer, folder, identity, check
        self._known: np.ndarray | None = None
        self._model: dict[str, np.ndarray] | None = None

    # -- the model -------------------------------------------------------------------------------------------------

    def is_made(self) -> bool:
        """Whether the model is there."""
        return file_of(self._folder, None).is_file()

    @property
    def facts(self) -> dict[str, Any]:
        """Of the model: `kept`; of one that was learnt also `why_anew` (a sentence or ""), `report`, `sample`."""
        return dict(read_json(file_of(self._folder, None)))

    def make(self) -> None:
        """Keep the clusters that are there, or learn new ones; a run that was cut short goes on at its last round."""
        why = self._why_anew() if self._layer.old is not None else ""
        if self._layer.old is not None and not why:
            names = ("centroids", "replicate_centroids", "mean", "scale", "components", "replicate_components")
            self._keep({name: self._layer.old[name] for name in names if name in self._layer.old}, kept=True)
            return
        sample = self._sample()
        rows = self._layer.features[sample]
        rows = rows.astype(np.float32) if rows.dtype.itemsize > 4 else rows
        begun = Checkpoint(self._folder / "begun.npz", self._identity)
        runs, rounds = _Runs.of(begun.load())
        n_clusters = auto_n_clusters(int(self._layer.valid.sum())) if self._layer.count == "auto" else self._layer.count
        for r in range(len(runs.found), self._layer.settings.replicates):
            self._check()
            runs.add(self._run(rows, int(n_clusters), r, rounds, runs, begun))
            rounds = None
        report = runs.found[0].report
        report["notices"] = self._sample_notices(len(sample), int(n_clusters)) + report["notices"]
        self._keep(runs.arrays(), kept=False, why_anew=why, report=report, sample=len(sample))
        begun.drop()

    def _run(self, rows: np.ndarray, n_clusters: int, r: int, rounds: Any, runs: _Runs, begun: Checkpoint) -> Fit:
        settings = self._layer.settings

        def on_round(now: Any) -> None:
            if begun.due():
                begun.save(runs.state(now))
            self._check()

        return fit(
            rows,
            n_clusters,
            seed=settings.seed if r == 0 else stream_key(settings.seed, _STREAM_REPLICATES, r - 1) >> 1,
            device=self._layer.device,
            threads=self._layer.threads,
            standardize=settings.standardize,
            pca_dim=settings.pca_dim or None,
            n_iter=settings.n_iter,
            max_points_per_centroid=None if r == 0 else REPLICATE_POINTS,
            begun=rounds,
            on_round=on_round,
        )

    def _sample(self) -> np.ndarray:
        """Rows that are trained on, rising: all valid ones, or those with the lowest hashes of their clips."""
        take = max(sample_size(self._layer.settings, self._layer.features.shape[1]), _digits(self._layer.count))
        key = stream_key(self._layer.settings.seed, STREAM_KMEANS, _STREAM_DRAWN)
        return lowest_hashes(self._layer.keys, self._layer.valid, take, key)

    def _sample_notices(self, drawn: int, n_clusters: int) -> list[str]:
        n = int(self._layer.valid.sum())
        if drawn == n:
            return []
        few = drawn < POINTS_WANTED * n_clusters
        return [
            f"Trained on {drawn:,} of {n:,} clips, drawn by a hash of their ids; all are assigned."
            + (f" That is {drawn // n_clusters} a cluster: set cluster.sample for more." if few else "")
        ]

    def _keep(self, arrays: Arrays, **facts: Any) -> None:
        Checkpoint(self._folder / "fit.npz", self._identity).save(dict(arrays))
        write_json(file_of(self._folder, None), facts)

    def model(self) -> dict[str, np.ndarray]:
        """Arrays of the model: `centroids`, `replicate_centroids`, and those of the transform."""
        if self._model is None:
            found = Checkpoint(self._folder / "fit.npz", self._identity).load()
            if found is None:
                raise WorkspaceError(
                    f"{self._folder / 'fit.npz'} cannot be read.", hint=f"Remove the folder {self._folder}."
                )
            self._model = found
        return self._model

    def _spaces(self) -> tuple[list[np.ndarray], list[dict[str, np.ndarray]]]:
        """Centroids and transform of every run."""
        model = self.model()
        others = [run[~np.isnan(run[:, 0])] for run in model["replicate_centroids"]]
        transforms = [transform_of(model), *(transform_of(model, r) for r in range(len(others)))]
        return [model["centroids"], *others], transforms

    # -- what is kept ----------------------------------------------------------------------------------------------

    def known(self) -> np.ndarray:
        """Where each clip was when the clusters that are kept were made, int64 (n,); -1: not there, or without one."""
        if self._known is None:
            old, valid = self._layer.old or {}, self._layer.valid
            place = places(old["clip_keys"], self._layer.keys)
            self._known = np.where(valid & (place >= 0) & (old["assignments"][place] >= 0), place, -1)
        return self._known

    def fitted(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys of the clips that the kept clusters were fitted on, and which clips are among them, bool (n,)."""
        old = self._layer.old or {}
        keys = old["fit_keys"] if "fit_keys" in old else old["clip_keys"][old["assignments"] >= 0]
        return keys, self._layer.valid & np.isin(self._layer.keys, keys)

    def _why_anew(self) -> str:
        """Why the clusters cannot be kept: "" where they can."""
        keys, fitted = self.fitted()
        if fitted.sum() < STAYED_MIN * len(keys):
            return "most of the clips that it was fitted on are gone"
        return "" if self._as_before() else "the features of the clips that were there have changed"

    def _as_before(self) -> bool:
        """Whether some of the clips that were there before are as far from their centroids as they were."""
        old, known = self._layer.old or {}, self.known()
        rows = np.flatnonzero(known >= 0)
        rows = rows[:: max(1, len(rows) // _CHECKED)]
        before = old["distances"][known[rows]]
        now = nearest_clusters(self._layer.features[rows], old["centroids"], transform_of(old))[1]
        return bool(np.allclose(now, before, rtol=_TOLERANCE, atol=_TOLERANCE * float(before.mean())))

    # -- assigning -------------------------------------------------------------------------------------------------

    def assign(self, stretch: int) -> None:
        """Clusters of one stretch of rows in every run, and the distances to those of the first."""
        at = slice(stretch * ROWS_PER_PART, min((stretch + 1) * ROWS_PER_PART, len(self._layer.valid)))
        runs, transforms = self._spaces()
        labels = np.full((len(runs), at.stop - at.start), -1, np.int32)
        distances = np.full(at.stop - at.start, np.nan, np.float32)
        valid = np.asarray(self._layer.valid[at])
        kept = bool(self.facts["kept"])
        if kept:
            old, known = self._layer.old or {}, self.known()[at]
            there = np.flatnonzero(known >= 0)
            labels[0, there], distances[there] = old["assignments"][known[there]], old["distances"][known[there]]
            for r in range(len(runs) - 1):
                labels[r + 1, there] = old["replicates"][r][known[there]]
            valid = valid & (known < 0)
        open_rows = np.flatnonzero(valid)
        inertia = 0.0
        if len(open_rows):
            found, squared = self._nearest(at.start + open_rows, runs, transforms, few_too=kept)
            labels[:, open_rows], distances[open_rows] = found, np.sqrt(squared).astype(np.float32)
            inertia = float(squared.sum())
        kept_arrays = {"labels": labels, "distances": distances, "inertia": np.array(inertia)}
        Checkpoint(file_of(self._folder, stretch), self._identity).save(kept_arrays)

    def _nearest(
        self, rows: np.ndarray, runs: list[np.ndarray], transforms: list[dict[str, np.ndarray]], *, few_too: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels int32 (runs, m) and squared distances float64 (m,). A few clips that join need not wait for faiss."""
        layer = self._layer
        if not few_too or len(rows) * sum(run.size for run in runs) > FEW:
            return assign_rows(layer.features, rows, runs, transforms, device=layer.device, threads=layer.threads)
        values = layer.features[rows]
        found = [nearest_clusters(values, run, transform) for run, transform in zip(runs, transforms, strict=True)]
        return np.stack([labels for labels, _ in found]), found[0][1].astype(np.float64) ** 2

    def joined(self) -> tuple[dict[str, np.ndarray], float]:
        """`assignments` int32 (n,), `distances` float32 (n,), `replicates` (replicates, n), and the inertia.

        Clips without a value have -1 and NaN.
        """
        n, runs, facts = len(self._layer.valid), self._spaces()[0], self.facts
        old = (self._layer.old or {}) if facts["kept"] else {}
        dtype = old["replicates"].dtype if old else _smallest(facts["report"]["n_clusters_asked"])
        assignments, distances = np.empty(n, np.int32), np.empty(n, np.float32)
        replicates = np.empty((len(runs) - 1, n), dtype)
        inertia = 0.0
        for stretch in range(n_stretches(n)):
            found = Checkpoint(file_of(self._folder, stretch), self._identity).load()
            if found is None:
                raise WorkspaceError(
                    f"{file_of(self._folder, stretch)} cannot be read.",
                    hint="Remove it and run the same command again.",
                )
            at = slice(stretch * ROWS_PER_PART, stretch * ROWS_PER_PART + found["labels"].shape[1])
            assignments[at], replicates[:, at] = found["labels"][0], found["labels"][1:]
            distances[at] = found["distances"]
            inertia += float(found["inertia"])
        return {"assignments": assignments, "distances": distances, "replicates": replicates}, inertia


class _Runs:
    """The runs of k-means of one layer that are finished, and as arrays for a checkpoint."""

    def __init__(self) -> None:
        self.found: list[Fit] = []

    def add(self, run: Fit) -> None:
        self.found.append(run)

    @classmethod
    def of(cls, state: Arrays | None) -> tuple[_Runs, Any]:
        """Those of a checkpoint, and the rounds of the one under way."""
        runs = cls()
        if state is None:
            return runs, None
        from curation.kernels.kmeans import Rounds

        for r, report in enumerate(json.loads(str(state["reports"]))):
            names = {name: f"{name}_{r}" for name in ("mean", "scale", "components") if f"{name}_{r}" in state}
            transform = {name: state[stored] for name, stored in names.items()}
            runs.add(Fit(state[f"centroids_{r}"], transform, report))
        return runs, Rounds(int(state["round"]), state["centroids"], int(state["reseeded"]))

    def state(self, now: Any) -> dict[str, np.ndarray]:
        """All of it: `now` as of `kernels.kmeans.Rounds`."""
        arrays = {"round": np.array(now.number), "centroids": now.centroids, "reseeded": np.array(now.reseeded)}
        for r, run in enumerate(self.found):
            arrays |= {f"{name}_{r}": value for name, value in {**run.transform, "centroids": run.centroids}.items()}
        return arrays | {"reports": np.array(json.dumps([run.report for run in self.found]))}

    def arrays(self) -> dict[str, np.ndarray]:
        """Of the artefact."""
        first, others = self.found[0], self.found[1:]
        arrays = {"centroids": first.centroids, **first.transform}
        arrays["replicate_centroids"] = _padded([run.centroids for run in others], first.centroids.shape[1])
        if others and "components" in first.transform:
            arrays["replicate_components"] = np.stack([run.transform["components"] for run in others])
        return arrays


def n_stretches(rows: int) -> int:
    """How many stretches `rows` are assigned in."""
    return -(-rows // ROWS_PER_PART)


def file_of(folder: Path, stretch: int | None) -> Path:
    """What is there when a stretch of rows is assigned, or, None, when the model is made."""
    return folder / ("fit.json" if stretch is None else f"assigned-{stretch:06d}.npz")


def transform_of(arrays: Arrays, replicate: int | None = None) -> dict[str, np.ndarray]:
    """The transform of the first run, or of one of the replicates: these differ in their projection alone."""
    found = {name: arrays[name] for name in ("mean", "scale", "components") if name in arrays}
    if replicate is not None and "replicate_components" in arrays:
        found["components"] = arrays["replicate_components"][replicate]
    return found


def places(there: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each of `keys` is in `there`, both uint64: int64 (n,), -1 for nowhere."""
    order = np.argsort(there, kind="stable")
    found = order[np.searchsorted(there, keys, sorter=order).clip(max=len(there) - 1)]
    return np.where(there[found] == keys, found, -1)


def _digits(count: str) -> int:
    return 0 if count == "auto" else int(count)


def _padded(pieces: list[np.ndarray], dim: int) -> np.ndarray:
    """Centroids of several runs as one array (runs, most clusters, dim), NaN where a run has fewer."""
    out = np.full((len(pieces), max(map(len, pieces), default=0), dim), np.nan, np.float32)
    for piece, place in zip(pieces, out):
        place[: len(piece)] = piece
    return out


def _smallest(n_clusters: int) -> type[np.signedinteger[Any]]:
    """The smallest integer type that holds the cluster ids and -1."""
    return np.int8 if n_clusters < 127 else np.int16 if n_clusters < 32_767 else np.int32
