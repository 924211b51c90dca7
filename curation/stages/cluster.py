"""cluster: every feature layer -> clusterings/<extractor>.<layer>: assignments, centroids, sizes, replicates.

The replicates are the assignments of further runs of k-means with seeds of their own: what a choice rests on besides
the data is the seed, and they say how much. Clips that were added since a layer was clustered join the clusters that
are there (`cluster.fit`), with a word on how far they drift from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from curation.atomic import write_array, write_json
from curation.clustering import Clustering, auto_n_clusters, cluster, nearest_clusters
from curation.config import Config
from curation.errors import MissingArtefactError, SettingError
from curation.kernels.draws import stream_key
from curation.kernels.drift import Drift, drift
from curation.records import clip_keys
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

REPLICATE_POINTS = 512  # a cluster: the further runs are trained on a sample of this many clips where there are more
_STREAM_REPLICATES = 31

# When a new fit is proposed. Drift is looked at from ADDED_MIN on: fewer clips move no centroid far.
ADDED_MIN = 0.05  # clips that were added, of all
FAR_MIN = 1.15  # times as far from their centroids as the fitted ones, and more than chance explains
SHARES_MIN = 0.1  # of the clips in other clusters, beyond what chance explains
CHANGED_MIN = 0.5  # clips that were added or are gone, of those fitted
STAYED_MIN = 0.5  # of the clips fitted that must still be there: with fewer it is another data set
_CHECKED = 64  # clips that were there before whose distances are looked at again
_TOLERANCE = 0.01


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
class Made:
    """Arrays of one clustering by name, one value a clip where they are of clips, and what its facts say of the fit."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


class ClusterStage(Stage):
    """k-means of every layer, each with its own number of clusters."""

    name = "cluster"
    version = 2
    unit = "layers"
    makes = "clusterings"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        return [Target(info.key, self.fit_plan(workspace, config, info).fingerprint)
                for info in chosen_layers(workspace, config.cluster.layers, "cluster.layers")]  # fmt: skip

    def fit_plan(self, workspace: Workspace, config: Config, info: LayerInfo) -> FitPlan:
        """Whether the clusters of a layer are fitted, or kept and joined by the clips that are new.

        Kept where the settings allow it, something was clustered by the same settings from the same extractor, and
        its clips are not just those that are there now.
        """
        features = workspace.require_fitting(f"features/{info.extractor}", "features")
        left_out = ("layers", "n_clusters", "per_layer", "fit")
        settings = {k: v for k, v in config.affecting("cluster").items() if k not in left_out}
        count = layer_counts(config, [layer.name for layer in feature_layers(workspace)])[info.name]
        settings |= {"layer": info.layer, "n_clusters": count}
        wanted = self.fingerprint(settings | {"dim": info.dim}, [str(features.info.get("extractor", "imported"))])
        fit = self.fingerprint(settings, [features.fingerprint])
        there = workspace.artefact(info.key)
        if config.cluster.fit == "refit" or there is None or there.info.get("fit_settings") != wanted:
            return FitPlan(wanted, fit, "")
        kept = str(there.info["fit"])
        return FitPlan(wanted, fit, kept if kept != fit else "")

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return ClusterWork(self, context, targets)


class ClusterWork(Work):
    """One layer a part; each clustering is in place as soon as it is made."""

    def __init__(self, stage: ClusterStage, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        self._layers = {info.key: info for info in feature_layers(context.workspace)}
        self._plans = {
            target.key: stage.fit_plan(context.workspace, context.config, self._layers[target.key])
            for target in targets
        }
        self._counts = layer_counts(context.config, [info.name for info in self._layers.values()])
        self._keys: dict[str, np.ndarray] = {}
        self._report = Report()
        self._source: np.ndarray | None = None
        self._joined: dict[str, Mapping[str, Any]] = {}
        self.parts = [Part(i, 1, target) for i, target in enumerate(targets)]

    def is_done(self, part: Part) -> bool:
        return self._context.workspace.fingerprint(part.payload.key) == part.payload.fingerprint

    def run(self, part: Part) -> None:
        info, plan = self._layers[part.payload.key], self._plans[part.payload.key]
        workspace, settings = self._context.workspace, self._context.config.cluster
        valid = np.asarray(workspace.array(f"features/{info.extractor}", "valid"))
        self._context.progress.note(f"clustering {info.name}")
        made = self._kept(info, valid) if plan.kept else None
        if made is None:  # also where what was to be kept turned out to be of other values
            made, plan = self._fitted(info, valid), FitPlan(plan.settings, plan.fit, "")
        facts: dict[str, Any] = {
            CLIPS_FINGERPRINT: workspace.require(f"features/{info.extractor}", "features").info.get(CLIPS_FINGERPRINT),
            "modality": info.modality,
            "extractor": info.extractor,
            "layer": info.layer,
            "dim": info.dim,
            "n_clusters": len(made.arrays["sizes"]),
            "asked": self._counts[info.name],
            "clips": int(valid.sum()),
            "seed": settings.seed,
            "replicates": settings.replicates,
            "fit_settings": plan.settings,
            "fit": plan.kept or plan.fit,
            **made.facts,
        }
        folder = workspace.partial_folder(info.key, plan.fingerprint)
        for name, array in made.arrays.items():
            write_array(folder / f"{name}.npy", np.asarray(array))
        write_json(folder / "params.json", facts)
        workspace.commit_folder(info.key, folder, plan.fingerprint, facts)
        if plan.kept:
            self._joined[info.name] = facts
        self._context.progress.advance()

    def _fitted(self, info: LayerInfo, valid: np.ndarray) -> Made:
        """k-means of the clips as they are, and its replicates."""
        settings, rows = self._context.config.cluster, np.flatnonzero(valid)
        features = self._context.workspace.features(info.extractor, info.layer, rows)
        count = self._counts[info.name]
        n_clusters = auto_n_clusters(len(rows)) if count == "auto" else int(count)
        found = self._clustered(features, n_clusters, settings.seed)
        replicates = np.full((settings.replicates - 1, len(valid)), -1, _smallest(n_clusters))
        centroids, components = [], []
        for r in range(len(replicates)):
            self._context.progress.check_cancelled()
            seed = stream_key(settings.seed, _STREAM_REPLICATES, r) >> 1
            other = self._clustered(features, n_clusters, seed, REPLICATE_POINTS)
            replicates[r, rows] = other.assignments
            centroids.append(other.centroids)
            components += [other.transform["components"]] if "components" in other.transform else []
        self._report.notices += [f"{info.name}: {notice}" for notice in found.report.get("notices", [])]
        arrays = {
            "assignments": _everywhere(valid, found.assignments, -1),
            "distances": _everywhere(valid, found.distances, np.nan),
            "centroids": found.centroids,
            "sizes": found.sizes,
            "replicates": replicates,
            "replicate_centroids": _padded(centroids, found.centroids.shape[1]),
            **found.transform,
            "clip_keys": self._clip_keys(info),
        }
        if components:
            arrays["replicate_components"] = np.stack(components)
        facts = {"inertia": found.inertia, "fitted_on": len(rows), "added": 0, "gone": 0, "joined": 0}
        return Made(arrays, facts | {"drift": None, "refit": [], "report": found.report})

    def _kept(self, info: LayerInfo, valid: np.ndarray) -> Made | None:
        """The clusters that are there: clips keep theirs by id, new ones join the nearest, in the replicates too.

        None where most of the clips that were fitted are gone, or their features are others now.
        """
        workspace, there = self._context.workspace, self._context.workspace.require(info.key, "cluster")
        old = {file.stem: np.load(file, allow_pickle=False) for file in workspace.artefact_path(info.key).glob("*.npy")}
        keys = self._clip_keys(info)
        place = _places(old["clip_keys"], keys)
        known = valid & (place >= 0) & (old["assignments"][place] >= 0)
        fit_keys = old.get("fit_keys", old["clip_keys"][old["assignments"] >= 0])
        fitted = valid & np.isin(keys, fit_keys)
        why = "" if fitted.sum() >= STAYED_MIN * len(fit_keys) else "most of the clips that it was fitted on are gone"
        if why or not self._as_before(info, old, np.flatnonzero(known), place):
            why = why or "the features of the clips that were there have changed"
            self._report.notices.append(f"{info.name} was clustered anew: {why}.")
            return None
        new = np.flatnonzero(valid & ~known)
        features = workspace.features(info.extractor, info.layer, new)
        assignments = np.where(known, old["assignments"][place], np.int32(-1))
        distances = np.where(known, old["distances"][place], np.float32(np.nan))
        replicates = np.where(known, old["replicates"][:, place], old["replicates"].dtype.type(-1))
        assignments[new], distances[new] = nearest_clusters(features, old["centroids"], _transform(old))
        for r, centroids in enumerate(old["replicate_centroids"]):
            centroids = centroids[~np.isnan(centroids[:, 0])]
            replicates[r, new] = nearest_clusters(features, centroids, _transform(old, r))[0]
        fit_sizes = old.get("fit_sizes", old["sizes"])
        later, seed = valid & ~fitted, self._context.config.cluster.seed
        found = drift(
            distances[valid], assignments[valid], later[valid], self._sources()[valid], fit_sizes=fit_sizes, seed=seed
        )
        added, gone = int(later.sum()), len(fit_keys) - int(fitted.sum())
        arrays = old | {
            "assignments": assignments,
            "distances": distances,
            "sizes": np.bincount(assignments[valid], minlength=len(fit_sizes)),
            "replicates": replicates,
            "clip_keys": keys,
            "fit_keys": fit_keys,
            "fit_sizes": fit_sizes,
            "added": later,
        }
        facts = {
            "inertia": float((distances[valid].astype(np.float64) ** 2).sum()),
            "fitted_on": len(fit_keys),
            "added": added,
            "gone": gone,
            "joined": len(new),
            "drift": None if found is None else _plain(found),
            "refit": refit_reasons(found, added, gone, len(fit_keys)),
            "report": there.info["report"],
        }
        return Made(arrays, facts)

    def _as_before(self, info: LayerInfo, old: Mapping[str, np.ndarray], known: np.ndarray, place: np.ndarray) -> bool:
        """Whether some of the clips that were there before are as far from their centroids as they were."""
        rows = known[:: max(1, len(known) // _CHECKED)]
        features = self._context.workspace.features(info.extractor, info.layer, rows)
        now = nearest_clusters(features, old["centroids"], _transform(old))[1]
        before = old["distances"][place[rows]]
        return bool(np.allclose(now, before, rtol=_TOLERANCE, atol=_TOLERANCE * float(before.mean())))

    def _clip_keys(self, info: LayerInfo) -> np.ndarray:
        """`records.clip_keys` of the clips, uint64 (n,)."""
        if info.extractor not in self._keys:
            workspace = self._context.workspace
            file = workspace.artefact_path(f"features/{info.extractor}") / "clip_keys.npy"
            self._keys[info.extractor] = (
                np.load(file, allow_pickle=False)
                if file.is_file()
                else clip_keys(workspace.table("clips", ["clip_id"])["clip_id"].to_pylist())
            )
        return self._keys[info.extractor]

    def _sources(self) -> np.ndarray:
        """A number for the source of each clip, int32 (n,)."""
        if self._source is None:
            column = self._context.workspace.table("clips", ["source"])["source"].combine_chunks()
            self._source = np.asarray(column.dictionary_encode().indices)
        return self._source

    def _clustered(
        self, features: np.ndarray, n_clusters: int, seed: int, per_centroid: int | None = None
    ) -> Clustering:
        settings = self._context.config.cluster
        return cluster(
            features,
            n_clusters,
            seed=seed,
            device=self._context.config.resources.device,
            standardize=settings.standardize,
            pca_dim=settings.pca_dim or None,
            n_iter=settings.n_iter,
            max_points_per_centroid=per_centroid,
        )

    def finish(self) -> Report:
        self._report.facts = {"clusterings": len(self.parts)}
        if self._joined:
            ratios = [facts["drift"]["distance_ratio"] for facts in self._joined.values() if facts["drift"]]
            self._report.facts |= {
                "kept": len(self._joined),
                "joined": max(facts["joined"] for facts in self._joined.values()),
                "drift": max((ratio for ratio in ratios if ratio is not None), default=None),
            }
            self._report.notices += drift_notices(self._joined)
        return self._report


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


def _transform(arrays: Mapping[str, np.ndarray], replicate: int | None = None) -> dict[str, np.ndarray]:
    """The transform of the kept clusters, or of one of the replicates: these differ in their projection alone."""
    found = {name: arrays[name] for name in ("mean", "scale", "components") if name in arrays}
    if replicate is not None and "replicate_components" in arrays:
        found["components"] = arrays["replicate_components"][replicate]
    return found


def _places(there: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each of `keys` is in `there`, both uint64: int64 (n,), -1 for nowhere."""
    order = np.argsort(there, kind="stable")
    found = order[np.searchsorted(there, keys, sorter=order).clip(max=len(there) - 1)]
    return np.where(there[found] == keys, found, -1)


def _everywhere(valid: np.ndarray, values: np.ndarray, nothing: float) -> np.ndarray:
    """`values` (n valid,) as (n,), `nothing` for the others."""
    out = np.full(len(valid), nothing, values.dtype)
    out[valid] = values
    return out


def _padded(pieces: list[np.ndarray], dim: int) -> np.ndarray:
    """Centroids of several runs as one array (runs, most clusters, dim), NaN where a run has fewer."""
    out = np.full((len(pieces), max(map(len, pieces), default=0), dim), np.nan, np.float32)
    for piece, place in zip(pieces, out):
        place[: len(piece)] = piece
    return out


def _plain(found: Drift) -> dict[str, Any]:
    """As JSON has it: lists, and nothing for NaN."""

    def value(number: Any) -> Any:
        if isinstance(number, tuple):
            return [value(item) for item in number]
        return None if isinstance(number, float) and math.isnan(number) else number

    return {name: value(number) for name, number in asdict(found).items()}


def _smallest(n_clusters: int) -> type[np.signedinteger[Any]]:
    """The smallest integer type that holds the cluster ids and -1."""
    return np.int8 if n_clusters < 127 else np.int16 if n_clusters < 32_767 else np.int32


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
