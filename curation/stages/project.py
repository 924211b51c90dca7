"""project: features -> projections/audio and projections/visual, a place on a plane for every clip."""

from __future__ import annotations

import numpy as np

from curation.atomic import write_array
from curation.config import Config
from curation.errors import MissingArtefactError
from curation.kernels.plane import principal_plane
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace

MODALITIES = ("audio", "visual")


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
        return [
            Target(
                f"projections/{modality}",
                self.fingerprint(
                    config.affecting("project"),
                    [workspace.require_fitting(f"features/{n}", "features").fingerprint for n in names],
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
        workspace = self._context.workspace
        modality = target.key.partition("/")[2]
        names = _extractors(workspace, modality)
        valid = np.logical_and.reduce([np.asarray(workspace.array(f"features/{name}", "valid")) for name in names])
        rows = np.flatnonzero(valid)
        layers = [
            workspace.features(name, layer, rows)
            for name in names
            for layer in workspace.require(f"features/{name}", "features").info["layers"]
        ]
        rng = np.random.default_rng(self._context.config.project.seed)
        xy = np.full((len(valid), 2), np.nan, np.float32)
        xy[rows] = principal_plane(np.concatenate(layers, axis=1), rng)
        folder = workspace.partial_folder(target.key, target.fingerprint)
        write_array(folder / "xy.npy", xy)
        made_of = workspace.require(f"features/{names[0]}", "features").info.get(CLIPS_FINGERPRINT)
        info = {CLIPS_FINGERPRINT: made_of, "method": "pca", "clips": len(rows)}
        workspace.commit_folder(target.key, folder, target.fingerprint, info)
        self._context.progress.advance()

    def finish(self) -> Report:
        return Report(facts={"maps": len(self.parts)})


def _extractors(workspace: Workspace, modality: str) -> list[str]:
    keys = workspace.keys("features")
    return [k.partition("/")[2] for k in keys if workspace.require(k, "features").info["modality"] == modality]
