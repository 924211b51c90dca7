"""select: clusterings -> selections/<name>: picks in order, gains, scores, the curve with its controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import replacing, write_array, write_json
from curation.config import Config, SelectConfig
from curation.errors import InputError, MissingArtefactError, SettingError
from curation.records import PICKS
from curation.selection import Selection, select
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import Workspace, check_name


class SelectStage(Stage):
    """Choose the subset in which sound and picture clusters tell most about each other."""

    name = "select"
    version = 1
    unit = "clips"
    makes = "a selection"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        names = chosen_clusterings(workspace, config.select.layers)
        inputs = [workspace.require("clips", "segment").fingerprint]
        inputs += [f"{name}:{workspace.require(f'clusterings/{name}', 'cluster').fingerprint}" for name in names]
        fingerprint = self.fingerprint(config.affecting("select"), inputs)
        return [Target(f"selections/{selection_name(config.select, fingerprint)}", fingerprint)]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return SelectWork(context, targets[0])


class SelectWork(Work):
    """One part: the run, its random control and the same method on permuted sounds."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._names = chosen_clusterings(context.workspace, context.config.select.layers)
        self._modalities = [_modality(context.workspace, name) for name in self._names]
        self._assignments, self._rows = assignment_matrix(context.workspace, self._names)
        self._clips = context.workspace.table("clips", ["clip_id", "source", "start_s", "end_s"])
        self._selection: Selection | None = None
        self.parts = [Part(0, len(self._rows))]

    def is_done(self, part: Part) -> bool:
        return False

    def run(self, part: Part) -> None:
        settings = self._context.config.select
        clips = self._clips.take(pa.array(self._rows))
        durations_s = clips["end_s"].to_numpy() - clips["start_s"].to_numpy()
        _, groups = np.unique(np.asarray(clips["source"].to_pylist(), dtype=object).astype(str), return_inverse=True)
        self._selection = select(
            self._assignments,
            self._modalities,
            budget=settings.budget,
            method=settings.method,
            pairing=settings.pairing,
            batch_size=settings.batch_size,
            selection_size=settings.selection_size,
            refill=settings.refill,
            seed=settings.seed,
            device=self._context.config.resources.device,
            groups=groups,
            layers=self._names,
            durations_s=durations_s,
            max_per_group=settings.max_per_source or None,
            progress=self._context.progress,
        )

    def finish(self) -> Report:
        found = self._selection
        assert found is not None
        workspace, settings = self._context.workspace, self._context.config.select
        folder = workspace.partial_folder(self._target.key, self._target.fingerprint)
        rows = self._rows[found.order]
        ids = self._clips["clip_id"].take(pa.array(rows))
        picks = pa.table(
            [
                pa.array(np.arange(1, len(rows) + 1)),
                pa.array(rows),
                ids,
                pa.array(found.gain, from_pandas=True),
            ],
            PICKS,
        )
        with replacing(folder / "picks.parquet") as temporary:
            pq.write_table(picks, temporary, row_group_size=65536)
        with replacing(folder / "curve.parquet") as temporary:
            pq.write_table(pa.table({key: np.asarray(value) for key, value in found.curve.items()}), temporary)
        scores = np.full(self._clips.num_rows, np.nan)
        scores[self._rows] = found.scores
        write_array(folder / "scores.npy", scores)
        spans = self._clips.take(pa.array(rows))
        facts: dict[str, Any] = {
            "method": settings.method,
            "budget": settings.budget,
            "pairing": settings.pairing,
            "seed": settings.seed,
            "batch_size": settings.batch_size,
            "selection_size": settings.selection_size,
            "refill": settings.refill,
            "clips": len(rows),
            "candidates": len(self._rows),
            "without_value": int(self._clips.num_rows - len(self._rows)),
            "hours": _hours(spans["end_s"].to_numpy() - spans["start_s"].to_numpy()),
            "objective": found.objective,
            "clusterings": {
                name: workspace.require(f"clusterings/{name}", "cluster").fingerprint for name in self._names
            },
            "modalities": dict(zip(self._names, self._modalities)),
            "report": found.report,
        }
        write_json(folder / "params.json", facts)
        workspace.commit_folder(self._target.key, folder, self._target.fingerprint, facts)
        notices = list(found.report.get("notices", []))
        return Report(
            notices=notices,
            facts={k: facts[k] for k in ("clips", "candidates", "hours", "objective")}
            | {
                "selection": self._target.key.partition("/")[2],
                "permuted": found.report.get("objective_permuted"),
                "random": found.report.get("objective_random"),
            },
        )


def _hours(durations_s: np.ndarray) -> float | None:
    """Their sum in hours; None where imported clips have no times."""
    total_s = float(np.sum(durations_s))
    return total_s / 3600 if np.isfinite(total_s) else None


def selection_name(settings: SelectConfig, fingerprint: str) -> str:
    """The given name, or one that no other settings share: method, budget and a piece of the fingerprint."""
    if settings.name:
        return check_name(settings.name, "selection")
    return f"{settings.method}-{settings.budget}-{fingerprint[:6]}"


def chosen_clusterings(workspace: Workspace, wanted: str) -> list[str]:
    """Names of the clusterings that take part, sounds first. Raises when one is unknown or a modality is missing."""
    known = {key.partition("/")[2]: workspace.require(key, "cluster").info for key in workspace.keys("clusterings")}
    if not known:
        raise MissingArtefactError(
            f"{workspace.name} has no clusterings yet.",
            hint=f"Make them with: python -m curation cluster {workspace.path}",
        )
    names = [name for name in wanted.split(",") if name] or sorted(known)
    for name in names:
        if name not in known:
            raise SettingError(
                f"select.layers names {name!r}, which is not there.",
                hint=f"Clusterings: {', '.join(sorted(known))}.",
            )
    modalities = {known[name]["modality"] for name in names}
    if modalities != {"audio", "visual"}:
        raise InputError(
            f"The clusterings {', '.join(names)} are of one modality only.",
            hint="Choose at least one of sound and one of picture.",
        )
    return sorted(names, key=lambda name: (known[name]["modality"] != "audio", names.index(name)))


def assignment_matrix(workspace: Workspace, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Assignments (n, D), smallest integer type, of the clips with a value in all clusterings, and their rows (n,)."""
    columns = [workspace.array(f"clusterings/{name}", "assignments") for name in names]
    largest = max(int(column.max(initial=0)) for column in columns)
    dtype = np.int8 if largest < 127 else np.int16 if largest < 32_767 else np.int32
    usable = np.ones(len(columns[0]), bool)
    for column in columns:
        usable &= np.asarray(column) >= 0
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise InputError("No clip has a cluster in all clusterings.", hint="Choose fewer clusterings (select.layers).")
    matrix = np.empty((len(rows), len(columns)), dtype)
    for i, column in enumerate(columns):
        matrix[:, i] = column[rows]
    return matrix, rows


def _modality(workspace: Workspace, name: str) -> str:
    return str(workspace.require(f"clusterings/{name}", "cluster").info["modality"])
