"""health: measures of the clips -> health.parquet, one row a clip: what is wrong with it, and every measure."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pyarrow as pa

from curation.config import Config
from curation.errors import SettingError
from curation.health import registry
from curation.health.base import Check
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace

KEY = "health"


class HealthStage(Stage):
    """Turn the measures of sound and picture into columns, flags and one answer: healthy or not."""

    name = "health"
    version = 1
    unit = "clips"
    makes = "the health of the clips"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        unhealthy_flags(config)
        checks, _ = chosen_checks(config)
        if not checks:
            return []
        settings = {**config.affecting("health"), "checks": {check.name: check.version for check in checks}}
        inputs = [
            workspace.require_fitting(f"measures/{name}", "features").fingerprint for name in needed_measures(checks)
        ]
        return [Target(KEY, self.fingerprint(settings, inputs))]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return HealthWork(context, targets[0])


class HealthWork(Work):
    """One part: arithmetic over small vectors, seconds for a million clips."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._columns: dict[str, np.ndarray] = {}
        self._notes: list[str] = []
        self.parts = [Part(0, context.workspace.n_rows("clips"))]

    def is_done(self, part: Part) -> bool:
        return False

    def run(self, part: Part) -> None:
        inputs = MeasuredClips(self._context.workspace)
        for check in chosen_checks(self._context.config)[0]:
            self._context.progress.check_cancelled()
            found = check.measure(inputs, self._context.config.health)
            self._columns |= {column.name: found[column.name] for column in check.columns}
        self._notes = inputs.notes
        self._context.progress.advance(part.size)

    def finish(self) -> Report:
        workspace, config = self._context.workspace, self._context.config
        checks, left_out = chosen_checks(config)
        columns = [column for check in checks for column in check.columns]
        flags = [column.name for column in columns if column.flag]
        problems = flags_of_rows({name: self._columns[name] for name in flags}, workspace.n_rows("clips"))
        bad = [self._columns[name] for name in unhealthy_flags(config) if name in self._columns]
        healthy = ~np.logical_or.reduce(bad) if bad else np.ones(len(problems), bool)
        clips = workspace.table("clips", ["row", "clip_id"])
        table = pa.table(
            {
                "row": clips["row"],
                "clip_id": clips["clip_id"],
                "healthy": healthy,
                "problems": pa.array(problems, pa.list_(pa.string())),
                **{name: pa.array(values, from_pandas=True) for name, values in self._columns.items()},
            }
        )
        counts = {name: int(self._columns[name].sum()) for name in flags}
        info = {
            CLIPS_FINGERPRINT: workspace.require("clips", "segment").fingerprint,
            "clips": len(problems),
            "healthy": int(healthy.sum()),
            "flags": counts,
            "columns": [asdict(column) for column in columns],
        }
        workspace.commit_table(KEY, table, self._target.fingerprint, info)
        found = {name: count for name, count in counts.items() if count}
        notices = [
            f"no {check.name} check: add {', '.join(check.needs)} to features.measures"
            for check in left_out
            if not check.is_optional
        ]
        notices += self._notes
        return Report(notices, facts={"clips": len(problems), "healthy": info["healthy"], **found})


class MeasuredClips:
    """The `Inputs` of the checks, read from a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        clips = workspace.table("clips", ["video_id", "source", "start_s", "end_s"])
        self.n_clips = clips.num_rows
        self.duration_s = np.asarray(clips["end_s"]) - np.asarray(clips["start_s"])
        self.notes: list[str] = []
        self.source, self.video_index = _numbers(clips["source"]), _numbers(clips["video_id"])

    def values(self, extractor: str, layer: str) -> np.ndarray:
        return self._workspace.measures(extractor, layer)

    def valid(self, extractor: str) -> np.ndarray:
        return np.asarray(self._workspace.array(f"measures/{extractor}", "valid"))

    def note(self, text: str) -> None:
        self.notes.append(text)


def flags_of_rows(flags: dict[str, np.ndarray], n_rows: int) -> list[list[str]]:
    """For each row the names of the flags (bool (n,) each) that are up, in the order given."""
    found: list[list[str]] = [[] for _ in range(n_rows)]
    for name, values in flags.items():
        for row in np.flatnonzero(values):
            found[row].append(name)
    return found


def chosen_checks(config: Config) -> tuple[list[Check], list[Check]]:
    """The checks whose measures are made (`features.measures`), and those that are left out."""
    made = set(config.features.measures.split(","))
    fitting = [check for check in registry.CHECKS if made.issuperset(check.needs)]
    return fitting, [check for check in registry.CHECKS if check not in fitting]


def needed_measures(checks: list[Check]) -> list[str]:
    """Names of the measures that the checks read, each once, sorted."""
    return sorted({name for check in checks for name in check.needs})


def unhealthy_flags(config: Config) -> list[str]:
    """The flags in `health.unhealthy`. Raises `SettingError` for a name that no check has."""
    known = [column.name for column in registry.columns() if column.flag]
    names = [name for name in config.health.unhealthy.replace(" ", "").split(",") if name]
    for name in names:
        if name not in known:
            raise SettingError(f"health.unhealthy cannot hold {name!r}.", hint=f"Allowed: {', '.join(known)}.")
    return names


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(codes).astype(np.int64)
