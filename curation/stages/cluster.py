"""cluster: every feature layer -> clusterings/<extractor>.<layer>: assignments, centroids, sizes, distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.atomic import write_array, write_json
from curation.clustering import auto_n_clusters, cluster
from curation.config import Config
from curation.errors import MissingArtefactError, SettingError
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace


@dataclass(frozen=True)
class LayerInfo:
    """One feature layer in the workspace: where it comes from and its clustering's name."""

    extractor: str
    layer: str
    dim: int
    modality: str

    @property
    def name(self) -> str:
        return f"{self.extractor}.{self.layer}"


class ClusterStage(Stage):
    """k-means of every layer, each with its own number of clusters."""

    name = "cluster"
    version = 1
    unit = "layers"
    makes = "clusterings"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        layers = chosen_layers(workspace, config.cluster.layers, "cluster.layers")
        counts = layer_counts(config, [info.name for info in feature_layers(workspace)])
        settings = config.affecting("cluster")
        common = {k: v for k, v in settings.items() if k not in ("layers", "n_clusters", "per_layer")}
        return [
            Target(
                f"clusterings/{info.name}",
                self.fingerprint(
                    common | {"layer": info.layer, "n_clusters": counts[info.name]},
                    [workspace.require_fitting(f"features/{info.extractor}", "features").fingerprint],
                ),
            )
            for info in layers
        ]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return ClusterWork(context, targets)


class ClusterWork(Work):
    """One layer a part; each clustering is in place as soon as it is made."""

    def __init__(self, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        self._layers = {info.name: info for info in feature_layers(context.workspace)}
        self._counts = layer_counts(context.config, list(self._layers))
        self._report = Report()
        self.parts = [Part(i, 1, target) for i, target in enumerate(targets)]

    def is_done(self, part: Part) -> bool:
        return self._context.workspace.fingerprint(part.payload.key) == part.payload.fingerprint

    def run(self, part: Part) -> None:
        target: Target = part.payload
        info = self._layers[target.key.partition("/")[2]]
        workspace, settings = self._context.workspace, self._context.config.cluster
        self._context.progress.note(f"clustering {info.name}")
        valid = np.asarray(workspace.array(f"features/{info.extractor}", "valid"))
        rows = np.flatnonzero(valid)
        features = workspace.features(info.extractor, info.layer, rows)
        count = self._counts[info.name]
        found = cluster(
            features,
            auto_n_clusters(len(rows)) if count == "auto" else int(count),
            seed=settings.seed,
            device=self._context.config.resources.device,
            standardize=settings.standardize,
            pca_dim=settings.pca_dim or None,
            n_iter=settings.n_iter,
        )
        assignments = np.full(len(valid), -1, np.int32)
        assignments[rows] = found.assignments
        distances = np.full(len(valid), np.nan, np.float32)
        distances[rows] = found.distances
        folder = workspace.partial_folder(target.key, target.fingerprint)
        for name, array in {
            "assignments": assignments,
            "distances": distances,
            "centroids": found.centroids,
            "sizes": found.sizes,
            **found.transform,
        }.items():
            write_array(folder / f"{name}.npy", np.asarray(array))
        facts: dict[str, Any] = {
            CLIPS_FINGERPRINT: workspace.require(f"features/{info.extractor}", "features").info.get(CLIPS_FINGERPRINT),
            "modality": info.modality,
            "extractor": info.extractor,
            "layer": info.layer,
            "dim": info.dim,
            "n_clusters": len(found.sizes),
            "asked": count,
            "clips": len(rows),
            "inertia": found.inertia,
            "seed": settings.seed,
            "report": found.report,
        }
        write_json(folder / "params.json", facts)
        workspace.commit_folder(target.key, folder, target.fingerprint, facts)
        self._report.notices += [f"{info.name}: {notice}" for notice in found.report.get("notices", [])]
        self._context.progress.advance()

    def finish(self) -> Report:
        self._report.facts = {"clusterings": len(self.parts)}
        return self._report


def feature_layers(workspace: Workspace) -> list[LayerInfo]:
    """All layers of all features in the workspace, sounds first, in the extractors' order."""
    layers = []
    for key in workspace.keys("features"):
        found = workspace.require(key, "features")
        for layer, dim in found.info["layers"].items():
            layers.append(LayerInfo(key.partition("/")[2], layer, int(dim), found.info["modality"]))
    return sorted(layers, key=lambda info: info.modality != "audio")


def chosen_layers(workspace: Workspace, wanted: str, setting: str) -> list[LayerInfo]:
    """The layers named in a setting (all when it is empty). Raises `SettingError` for one that is not there."""
    layers = feature_layers(workspace)
    if not layers:
        raise MissingArtefactError(
            f"{workspace.name} has no features yet.",
            hint=f"Make them with: python -m curation features {workspace.path}",
        )
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    known = {info.name for info in layers}
    for name in names:
        if name not in known:
            raise SettingError(
                f"{setting} names {name!r}, which is not there.", hint=f"Layers: {', '.join(sorted(known))}."
            )
    return [info for info in layers if not names or info.name in names]


def layer_counts(config: Config, names: list[str]) -> dict[str, str]:
    """The wanted number of clusters ("auto" or digits) of every layer."""
    counts = dict.fromkeys(names, config.cluster.n_clusters)
    for item in filter(None, config.cluster.per_layer.split(",")):
        name, _, count = item.partition("=")
        if name not in counts:
            raise SettingError(
                f"cluster.per_layer names {name!r}, which is not there.",
                hint=f"Layers: {', '.join(sorted(counts))}.",
            )
        counts[name] = count
    for name, count in counts.items():
        if count != "auto" and not 1 <= int(count) <= 10_000:
            raise SettingError(
                f"{count} clusters for {name}.", hint="Allowed: auto, or a whole number from 1 to 10000."
            )
    return counts
