"""The stages in order; what is done, stale or missing; and running what is needed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.config import Config
from curation.errors import ConcordError, MissingArtefactError
from curation.progress import Progress
from curation.stage import (
    PartsDone,
    Report,
    Stage,
    StageContext,
    do_parts,
    is_imported,
    run_stage,
    shared_decoders,
    stale_targets,
)
from curation.stages.cluster import ClusterStage
from curation.stages.features import FeaturesStage
from curation.stages.filter import FilterStage
from curation.stages.health import HealthStage
from curation.stages.neighbours import NeighboursStage
from curation.stages.project import ProjectStage
from curation.stages.scan import ScanStage
from curation.stages.segment import SegmentStage
from curation.stages.select import SelectStage
from curation.workspace import Workspace

STAGES: list[Stage] = [
    ScanStage(),
    FilterStage(),
    SegmentStage(),
    FeaturesStage(),
    HealthStage(),
    ClusterStage(),
    SelectStage(),
    NeighboursStage(),
    ProjectStage(),
]


# What each stage reads; where that is not up to date, neither is the stage.
READS = {
    "filter": "scan",
    "segment": "filter",
    "features": "segment",
    "health": "features",
    "cluster": "features",
    "select": "cluster",
    "neighbours": "features",
    "project": "features",
}


@dataclass(frozen=True)
class StageStatus:
    """State of one stage: `done`, `stale`, `missing`, `blocked` (an input is missing) or `imported`."""

    stage: str
    state: str
    reason: str
    artefacts: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def stage_named(name: str) -> Stage:
    """The stage called `name`."""
    return next(stage for stage in STAGES if stage.name == name)


def status(workspace: Workspace, config: Config | None = None) -> list[StageStatus]:
    """What is done, stale and missing, stage by stage, without starting anything."""
    config = config or workspace.config
    found: dict[str, StageStatus] = {}
    for stage in STAGES:
        here = _status_of(stage, workspace, config)
        before = found.get(READS.get(stage.name, ""))
        if here.state == "done" and before is not None and before.state not in ("done", "imported"):
            here = dataclasses.replace(here, state="stale", reason=f"{before.stage} is {before.state}")
        found[stage.name] = here
    return list(found.values())


def run(
    workspace: Workspace,
    progress: Progress,
    *,
    only: Sequence[str] | None = None,
    on_stage: Callable[[str, Report, float], None] | None = None,
    do: PartsDone = do_parts,
) -> dict[str, Report]:
    """Run the stages named in `only` (all by default) in order, skipping what is done.

    Raises the first error that stops everything; `on_stage(name, report, seconds)` is called after each stage. `do`
    does the parts: here, or on an engine.
    """
    reports = {}
    config = workspace.config
    with shared_decoders(config) as decoders:
        for stage in STAGES:
            if only is not None and stage.name not in only:
                continue
            if only is None and not applies(stage, workspace):
                continue
            if not any(later.decodes for later in STAGES[STAGES.index(stage) :]):
                decoders.close()  # their memory is of use to what follows
            started = time.monotonic()
            reports[stage.name] = run_stage(stage, StageContext(workspace, config, progress, decoders), do)
            if on_stage:
                on_stage(stage.name, reports[stage.name], time.monotonic() - started)
    return reports


def applies(stage: Stage, workspace: Workspace) -> bool:
    """False where a workspace began with imported clips, features or assignments and this stage has nothing to read."""
    if not is_imported(workspace, "clips"):
        return True
    if stage.name in ("scan", "filter", "segment", "features", "health"):
        return False
    if stage.name in ("cluster", "neighbours", "project"):
        return bool(workspace.keys("features"))
    return True


def _status_of(stage: Stage, workspace: Workspace, config: Config) -> StageStatus:
    if not applies(stage, workspace):
        return StageStatus(stage.name, "imported", "brought in from elsewhere")
    try:
        targets = stage.targets(workspace, config)
    except MissingArtefactError as error:
        return StageStatus(stage.name, "stale" if error.code == "stale_input" else "blocked", error.message)
    except ConcordError as error:
        return StageStatus(stage.name, "blocked", str(error))
    stale = stale_targets(workspace, targets)
    keys = [target.key for target in targets]
    facts = {key: found.info for key in keys if (found := workspace.artefact(key))}
    if not stale:
        return StageStatus(stage.name, "done", "", keys, facts)
    if any(workspace.fingerprint(target.key) is not None for target in stale):
        return StageStatus(stage.name, "stale", "settings or inputs changed since it was made", keys, facts)
    return StageStatus(stage.name, "missing", "not made yet", keys, facts)
