"""project: features -> projections/audio and projections/visual, a place on a plane for every clip.

With the method `umap` also neighbours -> projections/audio.umap and projections/visual.umap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.atomic import write_array
from curation.config import Config
from curation.errors import MissingArtefactError
from curation.kernels.draws import STREAM_SAMPLE, shuffle_front, stream_key
from curation.kernels.plane import BLOCK_ROWS, fit_plane, fit_rows
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace

MODALITIES = ("audio", "visual")
UMAP_FITTED = 100_000
_UMAP_VERSION = 1


class ProjectStage(Stage):
    """Lay the clips out by what they sound like and by what they look like."""

    name = "project"
    version = 1
    unit = "maps"
    makes = "the maps"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        found = {modality: _extractors(workspace, modality) for modality in MODALITIES}
        if not any(found.values()):
            raise MissingArtefactError(f"{workspace.name} has no features yet.", hint="Run the features stage first.")
        seed = config.project.seed
        pca = [
            Target(
                f"projections/{modality}",
                self.fingerprint(
                    {"method": "pca", "seed": seed},
                    [workspace.require_fitting(f"features/{n}", "features").fingerprint for n in names],
                ),
            )
            for modality, names in found.items()
            if names
        ]
        if config.project.method != "umap":
            return pca
        settings = {"method": "umap", "seed": seed, "umap_version": _UMAP_VERSION}
        return pca + [
            Target(
                f"projections/{modality}.umap",
                self.fingerprint(
                    settings, [workspace.require_fitting(f"neighbours/{modality}", "neighbours").fingerprint]
                ),
            )
            for modality, names in found.items()
            if names
        ]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return ProjectWork(context, targets)


class ProjectWork(Work):
    """One map a part."""

    def __init__(self, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        self.parts = [Part(i, 1, target) for i, target in enumerate(targets)]

    def is_done(self, part: Part) -> bool:
        return self._context.workspace.fingerprint(part.payload.key) == part.payload.fingerprint

    def run(self, part: Part) -> None:
        target: Target = part.payload
        modality, _, method = target.key.partition("/")[2].partition(".")
        self._context.progress.note(f"{modality} {method or 'pca'}")
        xy, info = self._umap(modality) if method else self._pca(modality)
        workspace = self._context.workspace
        folder = workspace.partial_folder(target.key, target.fingerprint)
        write_array(folder / "xy.npy", xy)
        workspace.commit_folder(target.key, folder, target.fingerprint, info)
        self._context.progress.advance()

    def finish(self) -> Report:
        return Report(facts={"maps": len(self.parts)})

    def _pca(self, modality: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Places float32 (N, 2), NaN = no value, on the two principal components of all layers; read block by block."""
        workspace = self._context.workspace
        names = _extractors(workspace, modality)
        valid = np.logical_and.reduce([np.asarray(workspace.array(f"features/{name}", "valid")) for name in names])
        rows = np.flatnonzero(valid)
        layers = [(n, layer) for n in names for layer in workspace.require(f"features/{n}", "features").info["layers"]]

        def read(wanted: np.ndarray) -> np.ndarray:
            return np.concatenate([workspace.features(name, layer, wanted) for name, layer in layers], axis=1)

        xy = np.full((len(valid), 2), np.nan, np.float32)
        if len(rows) < 2:
            xy[rows] = 0
        else:
            rng = np.random.default_rng(self._context.config.project.seed)
            plane = fit_plane(read(rows[fit_rows(len(rows), rng)]))
            for start in range(0, len(rows), BLOCK_ROWS):
                self._context.progress.check_cancelled()
                here = rows[start : start + BLOCK_ROWS]
                xy[here] = plane.place(read(here))
        made_of = workspace.require(f"features/{names[0]}", "features").info.get(CLIPS_FINGERPRINT)
        return xy, {CLIPS_FINGERPRINT: made_of, "method": "pca", "clips": len(rows)}

    def _umap(self, modality: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Places float32 (N, 2), NaN = no value, by UMAP of the vectors that neighbours are found with."""
        from curation.kernels.umap_plane import umap_plane  # torch and faiss are loaded here, not with the package

        workspace, seed = self._context.workspace, self._context.config.project.seed
        key = f"neighbours/{modality}"
        places = np.asarray(workspace.array(key, "places"))
        rows = np.flatnonzero(places >= 0)
        drawn = np.arange(len(rows))
        if len(rows) > UMAP_FITTED:
            shuffle_front(drawn, UMAP_FITTED, np.uint64(stream_key(seed, STREAM_SAMPLE, 8)))
            drawn = np.sort(drawn[:UMAP_FITTED])
        vectors = np.asarray(workspace.array(key, "vectors")[places[rows]])
        xy = np.full((len(places), 2), np.nan, np.float32)
        xy[rows] = umap_plane(vectors, drawn, seed, check=self._context.progress.check_cancelled)
        made_of = workspace.require(key, "neighbours").info.get(CLIPS_FINGERPRINT)
        return xy, {CLIPS_FINGERPRINT: made_of, "method": "umap", "clips": len(rows), "fitted": len(drawn)}


def _extractors(workspace: Workspace, modality: str) -> list[str]:
    keys = workspace.keys("features")
    return [k.partition("/")[2] for k in keys if workspace.require(k, "features").info["modality"] == modality]
