"""cluster: every feature layer -> clusterings/<extractor>.<layer>: assignments, centroids, sizes, replicates.

k-means is trained on a sample of the clips, drawn by a hash of their ids, where there are more than `cluster.sample`,
and on all of them otherwise; all are assigned, in stretches that are read once. The replicates are the assignments of
further runs of k-means with seeds of their own: what a choice rests on besides the data is the seed, and they say how
much. Clips that were added since a layer was clustered join the clusters that are there (`cluster.fit`), with a word on
how far they drift from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from curation.atomic import write_array, write_json
from curation.clustering import without_empty
from curation.config import Config
from curation.errors import LockedError, MissingArtefactError, SettingError
from curation.feature_rows import FeatureRows
from curation.kernels.drift import Drift, drift
from curation.layer_fit import Layer, LayerFit, file_of, n_stretches, sample_size
from curation.locks import writer_lock
from curation.records import clip_keys
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

# When a new fit is proposed. Drift is looked at from ADDED_MIN on: fewer clips move no centroid far.
ADDED_MIN = 0.05  # clips that were added, of all
FAR_MIN = 1.15  # times as far from their centroids as the fitted ones, and more than chance explains
SHARES_MIN = 0.1  # of the clips in other clusters, beyond what chance explains
CHANGED_MIN = 0.5  # clips that were added or are gone, of those fitted


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

    @property
    def key(self) -> str:
        return f"clusterings/{self.name}"


@dataclass(frozen=True)
class FitPlan:
    """What becomes of one layer. `settings`: fingerprint of what its clusters depend on besides the clips; `fit`:
    of clusters fitted on the clips as they are; `kept`: of the fit that stays, "" where it is fitted anew."""

    settings: str
    fit: str
    kept: str

    @property
    def fingerprint(self) -> str:
        """Of the artefact: the same for the same clips and the same fit, however the clips came."""
        return fingerprint_of({"kept": self.kept, "clips": self.fit}) if self.kept else self.fit


@dataclass(frozen=True)
class Piece:
    """What a part is: a layer's target, and the stretch of rows to assign; None: its model is to be made."""

    target: Target
    stretch: int | None


class ClusterStage(Stage):
    """k-means of every layer, each with its own number of clusters."""

    name = "cluster"
    version = 2
    unit = "parts"
    makes = "clusterings"
    shared = True

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        return [Target(info.key, self.fit_plan(workspace, config, info).fingerprint)
                for info in chosen_layers(workspace, config.cluster.layers, "cluster.layers")]  # fmt: skip

    def fit_plan(self, workspace: Workspace, config: Config, info: LayerInfo) -> FitPlan:
        """Whether the clusters of a layer are fitted, or kept and joined by the clips that are new.

        Kept where the settings allow it, something was clustered by the same settings from the same extractor, and
        its clips are not just those that are there now.
        """
        features = workspace.require_fitting(f"features/{info.extractor}", "features")
        left_out = ("layers", "n_clusters", "per_layer", "fit", "sample")
        settings = {k: v for k, v in config.affecting("cluster").items() if k not in left_out}
        settings |= {"sample": config.cluster.sample} if config.cluster.sample else {}
        count = layer_counts(config, [layer.name for layer in feature_layers(workspace)])[info.name]
        settings |= {"layer": info.layer, "n_clusters": count}
        wanted = self.fingerprint(settings | {"dim": info.dim}, [str(features.info.get("extractor", "imported"))])
        # Said only where it changes numbers: where all clips are trained on, nothing is drawn
        drawn = _n_valid(workspace, info.extractor) > sample_size(config.cluster, info.dim)
        fit = self.fingerprint(settings | ({"drawn": "clip ids"} if drawn else {}), [features.fingerprint])
        there = workspace.artefact(info.key)
        if config.cluster.fit == "refit" or there is None or there.info.get("fit_settings") != wanted:
            return FitPlan(wanted, fit, "")
        kept = str(there.info["fit"])
        return FitPlan(wanted, fit, kept if kept != fit else "")

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return ClusterWork(self, context, targets)


class ClusterWork(Work):
    """The models of all layers first, one a part, then their rows in stretches; `finish` puts all in place.

    A part that needs a model which is not there yet (shards and engines take parts in any order) makes it, or waits
    for the one who does.
    """

    def __init__(self, stage: ClusterStage, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        workspace = context.workspace
        self._layers = {info.key: info for info in feature_layers(workspace)}
        self._targets = targets
        self._plans = {t.key: stage.fit_plan(workspace, context.config, self._layers[t.key]) for t in targets}
        # Beside the artefact, so that it is not in it when it is put in place
        self._notes = {t.key: workspace.partial_folder(t.key, f"notes-{t.fingerprint}") for t in targets}
        self._counts = layer_counts(context.config, [info.name for info in self._layers.values()])
        self._keys: tuple[str, np.ndarray] | None = None
        self._open: tuple[str, LayerFit] | None = None
        self._source: np.ndarray | None = None
        pieces = [Piece(target, None) for target in targets]
        for target in targets:
            pieces += [Piece(target, i) for i in range(n_stretches(self._n_rows(target.key)))]
        self.parts = [Part(i, 1, piece) for i, piece in enumerate(pieces)]

    def is_done(self, part: Part) -> bool:
        return file_of(self._notes[part.payload.target.key], part.payload.stretch).is_file()

    def run(self, part: Part) -> None:
        piece = part.payload
        info, layer = self._layers[piece.target.key], self._layer_fit(piece.target.key)
        self._make(info, layer)
        if piece.stretch is not None:
            self._context.progress.note(f"assigning the clips of {info.name}")
            layer.assign(piece.stretch)
        self._context.progress.advance()

    def _make(self, info: LayerInfo, layer: LayerFit) -> None:
        """Have the model made, here or by another process that is at it."""
        lock = self._context.workspace.path / "locks" / f"fit.{info.name}.lock"
        while not layer.is_made():
            self._context.progress.check_cancelled()
            try:
                with writer_lock(lock, purpose=f"clusters of {info.name}", wait_s=1.0):
                    if not layer.is_made():
                        self._context.progress.note(f"clustering {info.name}")
                        layer.make()
            except LockedError:
                self._context.progress.note(f"waiting for the clusters of {info.name}")

    def finish(self) -> Report:
        report, joined = Report(facts={"clusterings": len(self._targets)}), {}
        for target in self._targets:
            self._context.progress.check_cancelled()
            info, layer = self._layers[target.key], self._layer_fit(target.key)
            self._context.progress.note(f"putting {info.name} in place")
            made = layer.facts
            if made["kept"]:
                joined[info.name] = self._commit_kept(info, layer)
                continue
            if made["why_anew"]:
                report.notices.append(f"{info.name} was clustered anew: {made['why_anew']}.")
            facts = self._commit_fitted(info, layer, made)
            report.notices += [f"{info.name}: {notice}" for notice in facts["report"]["notices"]]
        self._open = None
        if joined:
            ratios = [facts["drift"]["distance_ratio"] for facts in joined.values() if facts["drift"]]
            report.facts |= {
                "kept": len(joined),
                "joined": max(facts["joined"] for facts in joined.values()),
                "drift": max((ratio for ratio in ratios if ratio is not None), default=None),
            }
            report.notices += drift_notices(joined)
        return report

    def _commit_fitted(self, info: LayerInfo, layer: LayerFit, made: Mapping[str, Any]) -> dict[str, Any]:
        """k-means of the clips as they are, and its replicates."""
        arrays, inertia = layer.joined()
        model, fitted = layer.model(), made["report"]
        assignments, centroids, sizes = without_empty(arrays["assignments"], model["centroids"])
        for labels, centroids_r in zip(arrays["replicates"], model["replicate_centroids"]):
            labels[:], kept, _ = without_empty(labels, centroids_r[~np.isnan(centroids_r[:, 0])])
            centroids_r[: len(kept)], centroids_r[len(kept) :] = kept, np.nan
        arrays |= model | {"assignments": assignments, "centroids": centroids, "sizes": sizes}
        if len(model["replicate_centroids"]):
            most = int((~np.isnan(model["replicate_centroids"][:, :, 0])).sum(axis=1).max())
            arrays["replicate_centroids"] = model["replicate_centroids"][:, :most]
        facts: dict[str, Any] = {
            "inertia": inertia,
            "fitted_on": int((assignments >= 0).sum()),
            "added": 0,
            "gone": 0,
            "joined": 0,
        }
        facts |= {"trained_on": made["sample"], "drift": None, "refit": [], "report": fitted}
        if len(centroids) < len(model["centroids"]):
            fitted["notices"].append(
                f"{len(model['centroids']) - len(centroids)} clusters without a clip were dropped."
            )
        plan = self._plans[info.key]
        return self._commit(info, arrays, facts, plan.fit, plan.fit)

    def _commit_kept(self, info: LayerInfo, layer: LayerFit) -> dict[str, Any]:
        """The clusters that were there: clips keep theirs by id, new ones joined the nearest, in the replicates too."""
        there, plan = self._context.workspace.require(info.key, "cluster"), self._plans[info.key]
        old, valid = self._old(info), self._valid(info.extractor)
        arrays, _ = layer.joined()
        distances, assignments = arrays["distances"], arrays["assignments"]
        fit_keys, fitted = layer.fitted()
        fit_sizes = old.get("fit_sizes", old["sizes"])
        later, seed = valid & ~fitted, self._context.config.cluster.seed
        found = drift(
            distances[valid], assignments[valid], later[valid], self._sources()[valid], fit_sizes=fit_sizes, seed=seed
        )
        added, gone = int(later.sum()), len(fit_keys) - int(fitted.sum())
        sizes = np.bincount(assignments[valid], minlength=len(fit_sizes))
        whole = old | arrays | {"sizes": sizes, "fit_keys": fit_keys, "fit_sizes": fit_sizes, "added": later}
        facts = {
            "inertia": float((distances[valid].astype(np.float64) ** 2).sum()),
            "fitted_on": len(fit_keys),
            "trained_on": there.info.get("trained_on", len(fit_keys)),
            "added": added,
            "gone": gone,
            "joined": int((valid & (layer.known() < 0)).sum()),
            "drift": None if found is None else _plain(found),
            "refit": refit_reasons(found, added, gone, len(fit_keys)),
            "report": there.info["report"],
        }
        return self._commit(info, whole, facts, plan.kept, plan.fingerprint)

    def _commit(
        self, info: LayerInfo, arrays: Mapping[str, np.ndarray], of_fit: Mapping[str, Any], fit: str, fingerprint: str
    ) -> dict[str, Any]:
        workspace, settings = self._context.workspace, self._context.config.cluster
        arrays = {**arrays, "clip_keys": self._clip_keys(info.extractor)}
        facts: dict[str, Any] = {
            CLIPS_FINGERPRINT: workspace.require(f"features/{info.extractor}", "features").info.get(CLIPS_FINGERPRINT),
            "modality": info.modality,
            "extractor": info.extractor,
            "layer": info.layer,
            "dim": info.dim,
            "n_clusters": len(arrays["sizes"]),
            "asked": self._counts[info.name],
            "clips": int(np.count_nonzero(self._valid(info.extractor))),
            "seed": settings.seed,
            "replicates": settings.replicates,
            "fit_settings": self._plans[info.key].settings,
            "fit": fit,
            **of_fit,
        }
        folder = workspace.partial_folder(info.key, fingerprint)
        for name, array in arrays.items():
            write_array(folder / f"{name}.npy", np.asarray(array))
        write_json(folder / "params.json", facts)
        workspace.commit_folder(info.key, folder, fingerprint, facts)
        return facts

    def _layer_fit(self, key: str) -> LayerFit:
        """The layer's, kept open until another one is asked for."""
        if self._open is None or self._open[0] != key:
            info, config, workspace = self._layers[key], self._context.config, self._context.workspace
            layer = Layer(
                info.name,
                FeatureRows(workspace.feature_parts(info.extractor, info.layer)),
                self._valid(info.extractor),
                self._clip_keys(info.extractor),
                self._counts[info.name],
                config.cluster,
                config.resources.device,
                config.resources.workers,
                self._old(info) if self._plans[key].kept else None,
            )
            check = self._context.progress.check_cancelled
            self._open = key, LayerFit(layer, self._notes[key], self._plans[key].fingerprint, check)
        return self._open[1]

    def _old(self, info: LayerInfo) -> dict[str, np.ndarray]:
        """The arrays of the clustering that is there, mapped."""
        files = self._context.workspace.artefact_path(info.key).glob("*.npy")
        return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}

    def _valid(self, extractor: str) -> np.ndarray:
        """Which clips have features, bool (n,), mapped."""
        return self._context.workspace.array(f"features/{extractor}", "valid")

    def _n_rows(self, key: str) -> int:
        return len(self._valid(self._layers[key].extractor))

    def _clip_keys(self, extractor: str) -> np.ndarray:
        """`records.clip_keys` of the clips, uint64 (n,)."""
        if self._keys is None or self._keys[0] != extractor:
            workspace = self._context.workspace
            file = workspace.artefact_path(f"features/{extractor}") / "clip_keys.npy"
            if file.is_file():
                self._keys = extractor, np.load(file, mmap_mode="r", allow_pickle=False)
            else:
                self._keys = extractor, clip_keys(workspace.table("clips", ["clip_id"])["clip_id"].to_pylist())
        return self._keys[1]

    def _sources(self) -> np.ndarray:
        """A number for the source of each clip, int32 (n,)."""
        if self._source is None:
            column = self._context.workspace.table("clips", ["source"])["source"].combine_chunks()
            self._source = np.asarray(column.dictionary_encode().indices)
        return self._source


def refit_reasons(found: Drift | None, added: int, gone: int, fitted_on: int) -> list[str]:
    """Why a new fit is proposed, none where it is not: `farther`, `other_shares`, `changed`."""
    reasons = []
    if found is not None and added >= ADDED_MIN * (fitted_on - gone + added):
        if found.distance_ratio > max(FAR_MIN, found.distance_ratio_chance[1]):
            reasons.append("farther")
        if found.shares_distance > found.shares_distance_chance[1] + SHARES_MIN:
            reasons.append("other_shares")
    if added + gone > CHANGED_MIN * fitted_on:
        reasons.append("changed")
    return reasons


def drift_notices(joined: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences on the layers that kept their clusters (name -> facts): how many clips joined, and where they drift."""
    most = max(joined.values(), key=lambda facts: facts["joined"])
    notices = [f"{most['joined']:,} new clips joined the clusters of the {most['fitted_on']:,} that were fitted."]
    drifting = []
    for name, facts in joined.items():
        said, found = [], facts["drift"]
        if "farther" in facts["refit"]:
            said.append(f"{found['distance_ratio']:.2f} times as far from their centroids as the fitted ones, "
                        f"by chance up to {found['distance_ratio_chance'][1]:.2f}")  # fmt: skip
        if "other_shares" in facts["refit"]:
            said.append(f"{found['shares_distance']:.0%} of them in other clusters, "
                        f"by chance up to {found['shares_distance_chance'][1]:.0%}")  # fmt: skip
        drifting += [f"{name} ({'; '.join(said)})"] if said else []
    if drifting:
        notices.append(f"The clips added since drift from the clusters in {', '.join(drifting)}.")
    changed = [facts for facts in joined.values() if "changed" in facts["refit"]]
    if changed:
        worst = max(changed, key=lambda facts: facts["added"] + facts["gone"])
        notices.append(f"{worst['added']:,} clips were added and {worst['gone']:,} are gone since "
                       f"{worst['fitted_on']:,} were fitted.")  # fmt: skip
    if drifting or changed:
        notices.append("To cluster all clips anew: --set cluster.fit=refit")
    return notices


def _n_valid(workspace: Workspace, extractor: str) -> int:
    """Clips with features, as the features' facts say, or as many as there are clips."""
    key = f"features/{extractor}"
    found = workspace.require(key, "features").info.get("valid")
    return len(workspace.array(key, "valid")) if found is None else int(found)


def _plain(found: Drift) -> dict[str, Any]:
    """As JSON has it: lists, and nothing for NaN."""

    def value(number: Any) -> Any:
        if isinstance(number, tuple):
            return [value(item) for item in number]
        return None if isinstance(number, float) and math.isnan(number) else number

    return {name: value(number) for name, number in asdict(found).items()}


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
