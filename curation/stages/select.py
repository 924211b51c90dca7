"""select: clusterings -> selections/<name>: picks in order, gains, scores, the curve with its controls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation import columns, review, strings
from curation.atomic import replacing, write_array, write_json
from curation.checkpoint import Checkpoint
from curation.checks import parse_budget
from curation.config import Config, SelectConfig
from curation.errors import InputError, MissingArtefactError, SettingError
from curation.methods.registry import METHODS
from curation.records import PICKS
from curation.selection import Selection, select
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace, check_name

STEPS_MIN = 10
CONCORD_SETTINGS = ("breadth", "content_prior")


class SelectStage(Stage):
    """Choose the subset in which sound and picture clusters tell most about each other."""

    name = "select"
    version = 3
    unit = "clips"
    makes = "a selection"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        names = chosen_clusterings(workspace, config.select.layers)
        inputs = [workspace.require("clips", "segment").fingerprint]
        inputs += [
            f"{name}:{workspace.require_fitting(f'clusterings/{name}', 'cluster').fingerprint}" for name in names
        ]
        if config.select.like:
            inputs.append(workspace.require(_like_key(workspace, config.select.like), "select").fingerprint)
        settings = config.select
        inputs += columns.fingerprints(
            workspace, settings.where, settings.include, settings.exclude, settings.share_floor, settings.share_cap
        )
        if settings.duplicates == "one" and columns.finds_duplicates(workspace):
            inputs.append(f"health:{workspace.fingerprint('health')}")
        if settings.review == "honour":
            inputs.append(f"review:{review.fingerprint(workspace)}")
        fingerprint = self.fingerprint(meant(config), inputs)
        return [Target(f"selections/{selection_name(config.select, fingerprint)}", fingerprint)]

    def settle(self, workspace: Workspace, targets: list[Target]) -> None:
        name = targets[0].key.partition("/")[2]
        if workspace.current_selection != name:
            workspace.current_selection = name

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return SelectWork(context, targets[0])


class SelectWork(Work):
    """One part: the run, its random control and the same method on permuted sounds."""

    def __init__(self, context: StageContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._folder = context.workspace.partial_folder(target.key, target.fingerprint)
        self._clips_fingerprint = context.workspace.require("clips", "segment").fingerprint
        self._names = chosen_clusterings(context.workspace, context.config.select.layers)
        self._modalities = [_modality(context.workspace, name) for name in self._names]
        self._assignments, self._rows = assignment_matrix(context.workspace, self._names)
        self._keep_scope(context.config.select.where)
        times = context.workspace.table("clips", ["start_s", "end_s"])
        self._durations_s = times["end_s"].to_numpy() - times["start_s"].to_numpy()
        self._selection: Selection | None = None
        self.parts = [Part(0, len(self._rows))]

    def is_done(self, part: Part) -> bool:
        return False

    def run(self, part: Part) -> None:
        settings = self._context.config.select
        durations_s = self._durations_s[self._rows]
        groups = strings.compact(strings.codes_of(self._clip_column("source"))[self._rows])
        pa.default_memory_pool().release_unused()  # the texts of the sources: gigabytes that the choice needs
        taken = taken_of_a_batch(settings, durations_s)
        needs_features = METHODS[settings.method].needs_features
        checkpoint = Checkpoint(self._folder / "checkpoint.npz", self._target.fingerprint)
        bounds = {name: _shares_of(getattr(settings, name), f"select.{name}") for name in ("share_floor", "share_cap")}
        include, exclude, said = self._wanted(settings)
        self._selection = select(
            self._assignments,
            self._modalities,
            budget=settings.budget,
            method=settings.method,
            options=method_options(settings),
            features=self._features() if needs_features else None,
            like=self._like(),
            pairing=_listed_pairs(settings.pairs) or settings.pairing,
            batch_size=settings.batch_size,
            selection_size=taken,
            refill=settings.refill,
            seed=settings.seed,
            device=self._context.config.resources.device,
            groups=groups,
            layers=self._names,
            durations_s=durations_s,
            max_per_group=settings.max_per_source or None,
            duplicate_groups=self._duplicates() if settings.duplicates == "one" else None,
            include=include,
            exclude=exclude,
            cluster_floor=_pairs_of(settings.cluster_floor, _number) or None,
            cluster_cap=_pairs_of(settings.cluster_cap, _number) or None,
            share_floor=bounds["share_floor"] or None,
            share_cap=bounds["share_cap"] or None,
            columns=self._columns(bounds),
            replicates=self._replicates() if settings.method == "concord" else (),
            constraint_costs=settings.costs,
            progress=self._context.progress,
            checkpoint=checkpoint,
        )
        checkpoint.drop()
        if said:
            self._selection.report["review"] = said
        if taken < settings.selection_size and settings.method == "batch-greedy":
            self._selection.report["notices"].append(
                f"{settings.selection_size} clips of each batch would fill the budget in fewer than {STEPS_MIN} "
                f"batches, and the first has nothing to compare with: {taken} at a time were taken instead."
            )

    def _clip_column(self, name: str) -> pa.ChunkedArray:
        """A column of all clips; not kept, as ids are the largest thing there is."""
        return self._context.workspace.table("clips", [name])[name]

    def _keep_scope(self, where: str) -> None:
        """Leave only the candidates that meet the scope's condition."""
        if not where.strip():
            return
        inside = columns.matching(self._context.workspace, where, "select.where")[self._rows]
        if not inside.any():
            raise SettingError(
                f"No clip with clusters meets select.where: {where}", hint="Loosen the condition, or empty the setting."
            )
        self._assignments, self._rows = np.ascontiguousarray(self._assignments[inside]), self._rows[inside]

    def _matching(self, condition: str, setting: str) -> np.ndarray | None:
        """Candidates that meet a condition, bool (n,); None where there is none."""
        if not condition.strip():
            return None
        return columns.matching(self._context.workspace, condition, setting)[self._rows]

    def _wanted(self, settings: SelectConfig) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, int]]:
        """Candidates to choose first and never to choose, bool (n,) or None, and how many people kept and dropped."""
        include = self._matching(settings.include, "select.include")
        exclude = self._matching(settings.exclude, "select.exclude")
        if settings.review != "honour":
            return include, exclude, {}
        said = review.masks(self._context.workspace)
        keep, drop = said["keep"][self._rows], said["drop"][self._rows]
        include = keep if include is None else (include & ~drop) | keep
        exclude = drop if exclude is None else (exclude & ~keep) | drop
        return include, exclude, {"keep": int(keep.sum()), "drop": int(drop.sum())}

    def _duplicates(self) -> np.ndarray | None:
        """Duplicate group of each candidate, int (n,), -1 = none; None where every clip stands alone."""
        group = columns.duplicates(self._context.workspace)[self._rows]
        return group if (group >= 0).any() else None

    def _columns(self, bounds: dict[str, dict[str, dict[str, float]]]) -> dict[str, np.ndarray] | None:
        """Values of the columns whose shares are bounded, of the candidates."""
        wanted = {name: setting for setting, bound in bounds.items() for name in bound}
        return {
            name: columns.values(self._context.workspace, name, f"select.{setting}")[self._rows]
            for name, setting in wanted.items()
        } or None

    def _replicates(self) -> list[np.ndarray]:
        """Assignments (n, D) of the further runs of k-means, as many as all clusterings have."""
        found = []
        for name in self._names:
            path = self._context.workspace.artefact_path(f"clusterings/{name}") / "replicates.npy"
            found.append(np.load(path, mmap_mode="r", allow_pickle=False) if path.is_file() else np.zeros((0, 0)))
        return [
            np.stack([np.asarray(runs[r])[self._rows] for runs in found], axis=1) for r in range(min(map(len, found)))
        ]

    def _features(self) -> list[np.ndarray]:
        """Features of the candidates, one array a clustering."""
        workspace, found = self._context.workspace, []
        for name in self._names:
            info = workspace.require(f"clusterings/{name}", "cluster").info
            found.append(workspace.features(info["extractor"], info["layer"], self._rows))
        return found

    def _like(self) -> np.ndarray | None:
        """The selection to resemble, as places among the candidates."""
        name = self._context.config.select.like
        if not name:
            return None
        workspace = self._context.workspace
        key = _like_key(workspace, name)
        # By id: the rows of a selection that was made of another list of clips are other clips now
        picked = pq.read_table(workspace.artefact_path(key) / "picks.parquet", columns=["clip_id"])["clip_id"]
        ids = strings.values_at(self._clip_column("clip_id"), self._rows)
        return np.flatnonzero(pc.is_in(ids, picked.combine_chunks()))

    def finish(self) -> Report:
        found = self._selection
        assert found is not None
        workspace, settings = self._context.workspace, self._context.config.select
        folder = self._folder
        rows = self._rows[found.order]
        ids = strings.values_at(self._clip_column("clip_id"), rows)
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
        for name, values in {"scores": found.scores, **{f"score_{k}": v for k, v in found.columns.items()}}.items():
            everywhere = np.full(len(self._durations_s), np.nan)
            everywhere[self._rows] = values
            write_array(folder / f"{name}.npy", everywhere)
        facts: dict[str, Any] = {
            CLIPS_FINGERPRINT: self._clips_fingerprint,
            "method": settings.method,
            "budget": settings.budget,
            "pairing": settings.pairing,
            "seed": settings.seed,
            "batch_size": settings.batch_size,
            "selection_size": settings.selection_size,
            "refill": settings.refill,
            "where": settings.where,
            "settings": meant(self._context.config),
            "options": found.report["options"],
            "score_columns": sorted(found.columns),
            "clips": len(rows),
            "candidates": len(self._rows),
            "without_value": len(self._durations_s) - len(self._rows),
            "hours": _hours(self._durations_s[rows]),
            "objective": found.objective,
            "clusterings": {
                name: workspace.require(f"clusterings/{name}", "cluster").fingerprint for name in self._names
            },
            "fits": {
                name: workspace.require(f"clusterings/{name}", "cluster").info.get("fit", "") for name in self._names
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


def meant(config: Config) -> dict[str, Any]:
    """The settings that change this selection: those of another method do not make it stale."""
    settings = config.affecting("select")
    if config.select.review == "none":
        del settings["review"]  # so that what was made before there were reviews is not stale
    if config.select.method != "concord":
        settings = {name: value for name, value in settings.items() if name not in CONCORD_SETTINGS}
    return settings


def method_options(settings: SelectConfig) -> dict[str, Any]:
    """Options of the method: `select.options`, and for concord its own settings unless they are named there."""
    own = {name: getattr(settings, name) for name in CONCORD_SETTINGS} if settings.method == "concord" else {}
    return own | _pairs_of(settings.options, str)


def _shares_of(text: str, setting: str) -> dict[str, dict[str, float]]:
    """`column:value=share,...` as `{column: {value: share}}`. Raises `SettingError` for what is no share."""
    found: dict[str, dict[str, float]] = {}
    for item in filter(None, text.split(",")):
        column, _, rest = item.partition(":")
        value, _, share = rest.partition("=")
        if not 0 <= float(share) <= 1:
            raise SettingError(f"{setting}: {share} is no share.", hint="Allowed: numbers from 0 to 1.")
        found.setdefault(column.strip(), {})[value.strip()] = float(share)
    return found


def _pairs_of(text: str, read: Callable[[str], Any]) -> dict[str, Any]:
    """`a=1,b=2` as a dictionary."""
    return {key: read(value) for key, _, value in (item.partition("=") for item in text.split(",") if item)}


def _like_key(workspace: Workspace, name: str) -> str:
    """Key of the selection to resemble. MissingArtefactError names those that are there."""
    key = f"selections/{check_name(name, 'selection')}"
    there = workspace.keys("selections")
    if key not in there:
        raise MissingArtefactError(
            f"select.like names {name!r}, which is not there.",
            hint=f"Selections: {', '.join(k.partition('/')[2] for k in there) or 'none yet'}.",
        )
    return key


def _number(text: str) -> float | int:
    """A whole number is a number of clips, a decimal one a share."""
    return int(text) if text.isdigit() else float(text)


def _listed_pairs(text: str) -> list[tuple[Any, ...]]:
    """`a:b=2,c:d=1` as pairs with weights, or without."""
    found: list[tuple[Any, ...]] = []
    for item in filter(None, text.split(",")):
        pair, _, weight = item.partition("=")
        found.append((*pair.split(":"), *([float(weight)] if weight else [])))
    return found


def taken_of_a_batch(settings: SelectConfig, durations_s: np.ndarray) -> int:
    """How many clips are taken of a batch: as set, or fewer where the budget would be full in under ten batches.

    The first batch is compared with nothing, so a run of one or two batches would be close to a random draw.
    """
    budget = parse_budget(settings.budget)
    if budget.kind == "hours":
        mean_s = float(np.nanmean(durations_s)) if np.isfinite(durations_s).any() else 0.0
        wanted = min(len(durations_s), int(budget.value * 3600 / mean_s)) if mean_s > 0 else len(durations_s)
    else:
        wanted = min(len(durations_s), budget.clips(len(durations_s)))
    return min(settings.selection_size, max(1, wanted // STEPS_MIN))


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
    names = [name.strip() for name in wanted.split(",") if name.strip()] or sorted(known)
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
