"""Correspondence retrieval: a task with known answers and methods of selection in; precision, recall and F1 along the
budget out, with intervals, beside random. Kept in `evaluations/retrieval-<name>/`.

A run (one method, one seed) is kept as it ends, so that a cancelled evaluation goes on where it was; one that is made
again with more methods or seeds keeps the runs it has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import read_json, replacing, write_array, write_json
from curation.errors import Cancelled, ConcordError, InputError
from curation.evaluation.attempt import BUDGETS as BUDGETS
from curation.evaluation.attempt import MATCHED, RANDOM, VARIANTS, Settings, evaluate, fitted_batch
from curation.evaluation.attempt import method_names as method_names
from curation.evaluation.summary import summarize as summarize
from curation.evaluation.trial import PairTask, Task, Trial
from curation.kernels.retrieval import by_source
from curation.locks import writer_lock
from curation.methods.registry import METHODS
from curation.workspace import CLIPS_FINGERPRINT, Workspace, check_name, fingerprint_of

VERSION = 1  # of a run; raised when its numbers change
RESULT_VERSION = 2  # of result.json; raised when intervals are made otherwise: the runs stay
PREFIX = "retrieval-"

_RUN_COLUMNS = pa.schema(
    [
        ("method", pa.string()), ("seed", pa.int64()), ("clips", pa.int64()), ("is_main", pa.bool_()),
        ("known", pa.int64()), ("right", pa.int64()), ("precision", pa.float64()), ("recall", pa.float64()),
        ("f1", pa.float64()), ("average_precision", pa.float64()), ("objective", pa.float64()),
        ("took_s", pa.float64()),
    ]
)  # fmt: skip
_CURVE_COLUMNS = pa.schema(
    [("method", pa.string()), ("seed", pa.int64()), ("clips", pa.int64()), ("precision", pa.float64()),
     ("recall", pa.float64()), ("f1", pa.float64())]
)  # fmt: skip


# -- a whole evaluation ------------------------------------------------------------------------------------------------


def names(workspace: Workspace) -> list[str]:
    """Names of the finished evaluations, without their prefix; the newest last."""
    found = []
    for key in workspace.keys("evaluations"):
        if key.startswith(f"evaluations/{PREFIX}"):
            marker = workspace.artefact_path(key) / "artefact.json"
            found.append((marker.stat().st_mtime, key.removeprefix(f"evaluations/{PREFIX}")))
    return [name for _, name in sorted(found)]


@dataclass(frozen=True)
class Result:
    """A finished evaluation. `facts`: of its task; `rows`: one dictionary a method, best first, random last (see
    `summarize`); `runs`, `curve`: tables as in runs.parquet and curve.parquet; `folder`: where the picks are.
    """

    name: str
    fingerprint: str
    facts: dict[str, Any]
    settings: dict[str, Any]
    rows: list[dict[str, Any]]
    notices: list[str]
    runs: pa.Table
    curve: pa.Table
    folder: Path

    @property
    def leaky(self) -> bool:
        """True where the reference's shuffle was used: it shows a leak and is no result."""
        return self.facts.get("shuffle") == "leaky"

    def picks(self, method: str, seed: int) -> np.ndarray:
        """Candidates (places among them, not rows) that a run chose, best first, int32."""
        return np.load(self.folder / _picks_file(method, seed), allow_pickle=False)

    def clips(self, seed: int) -> pa.Table:
        """The candidates of a seed: `right`, `known`, and `row`, or the picture and sound of each pair."""
        own = self.folder / f"clips-s{seed}.parquet"
        return pq.read_table(own if own.is_file() else self.folder / "clips.parquet", partitioning=None)


_EARLIER = (
    "An earlier version wrote these numbers, with narrower rules for intervals: try the same again to have them judged "
    "anew; what was chosen is kept."
)


def read(workspace: Workspace, name: str) -> Result:
    """A finished evaluation, also of an earlier version, which says so. Raises `InputError` naming those there are."""
    key = f"evaluations/{PREFIX}{name}"
    artefact = workspace.artefact(key) if name in names(workspace) else None
    if artefact is None:
        known = ", ".join(names(workspace)) or "none yet"
        raise InputError(f"{workspace.name} has no retrieval {name!r}.", hint=f"There are: {known}.")
    folder = workspace.artefact_path(key)
    told = read_json(folder / "result.json")
    if isinstance(told, dict) and isinstance(told.get("version"), int) and told["version"] > RESULT_VERSION:
        raise InputError(f"{name} was written by a newer version of this program.", hint="Look at it with that one.")
    try:
        notices = [*told["notices"], *([_EARLIER] if told["version"] < RESULT_VERSION else [])]
        runs, curve = (pq.read_table(folder / f"{what}.parquet", partitioning=None) for what in ("runs", "curve"))
        return Result(
            name=name, fingerprint=artefact.fingerprint, facts=told["facts"], settings=told["settings"],
            rows=told["rows"], notices=notices, runs=runs, curve=curve, folder=folder,
        )  # fmt: skip
    except (KeyError, TypeError, pa.ArrowInvalid) as error:
        raise InputError(f"{folder} is damaged ({error}).", hint="Try the methods again under its name.") from error


def fits(workspace: Workspace, result: Result) -> bool:
    """True where the rows of a result are those of the present table of clips (always so for pairs)."""
    made_of = result.facts.get(CLIPS_FINGERPRINT)
    return made_of is None or made_of == workspace.fingerprint("clips")


def run(workspace: Workspace, task: Task, settings: Settings, name: str, progress: Any = None) -> Result:
    """Evaluate and keep the result under `name`. What is there of the same task and budgets is not made again."""
    settings = settings.checked()
    name = check_name(name, "evaluation")
    key = f"evaluations/{PREFIX}{name}"
    fixed = {k: v for k, v in asdict(settings).items() if k not in ("methods", "seeds")}
    base = fingerprint_of({"evaluation": "retrieval", "version": VERSION, "task": task.identity(), "settings": fixed})
    fingerprint = fingerprint_of({
        "base": base, "methods": sorted(settings.methods), "seeds": sorted(settings.seeds), "result": RESULT_VERSION,
    })  # fmt: skip
    with writer_lock(workspace.path / "locks" / f"{PREFIX}{name}.lock", purpose="retrieval"):
        workspace.recover()
        if workspace.fingerprint(key) == fingerprint:
            return read(workspace, name)
        folder = workspace.partial_folder(key, base)
        old = workspace.artefact(key)
        if old is not None and old.info.get("base") == base:
            _take_over(workspace.artefact_path(key), folder)
        work = _Work(task, settings, folder, progress)
        work.run()
        facts = work.finish()
        workspace.commit_folder(key, folder, fingerprint, {"base": base, "evaluation": "retrieval", **facts})
    return read(workspace, name)


def _take_over(there: Path, folder: Path) -> None:
    """Copy the runs of an earlier, smaller evaluation of the same task."""
    for path in [*there.glob("run-*"), *there.glob("clips*.parquet")]:
        if not (folder / path.name).exists():
            shutil.copy2(path, folder / path.name)


class _Work:
    """The runs of one evaluation, seed by seed."""

    def __init__(self, task: Task, settings: Settings, folder: Path, progress: Any) -> None:
        self._task, self._settings, self._folder, self._progress = task, settings, folder, progress
        self._left_out: dict[str, str] = {}

    def run(self) -> None:
        """Everything that is not there yet."""
        methods, progress = self._settings.methods, self._progress
        if progress is not None:
            progress.start("retrieval", len(methods) * len(self._settings.seeds), "runs")
        for seed in self._settings.seeds:
            missing = self._missing(seed)
            if progress is not None:
                progress.advance(len(methods) - len(missing), finished_before=True)
            if not missing:
                continue
            if progress is not None:
                progress.note(f"seed {seed}: clusters")
            trial = self._task.trial(seed, progress)
            self._keep_clips(trial, seed)
            for method in sorted(missing, key=lambda method: method == MATCHED):  # it resembles another one's choice
                self._one(trial, method, seed)
                if progress is not None:
                    progress.advance()

    def _one(self, trial: Trial, method: str, seed: int) -> None:
        if self._progress is not None:
            self._progress.check_cancelled()
            self._progress.note(f"seed {seed}: {method}")
        like = self._resembled(seed) if method == MATCHED else None
        kind = METHODS[VARIANTS.get(method, {"method": method})["method"]]
        if (kind.needs_features and trial.features is None) or (kind.needs_like and like is None):
            why = "features of every layer" if kind.needs_features else "another method's choice"
            self._left_out[method] = f"{method} was left out: it needs {why}"
            return
        try:
            found = evaluate(trial, method, seed, self._settings, like=like, progress=self._progress)
        except Cancelled:
            raise
        except ConcordError as error:
            if method == RANDOM:  # what not even random can do, none can
                raise
            self._left_out[method] = f"{method} was left out: {error.message}"
            return
        write_array(self._folder / _picks_file(method, seed), found.order.astype(np.int32))
        counts = by_source(found.order, trial.right, trial.known, trial.source, int(trial.source.max()) + 1)
        write_array(self._path(method, seed).with_suffix(".sources.npy"), counts)
        write_json(self._path(method, seed), {
            "points": found.points, "curve": found.curve, "method": method,
            "batch": fitted_batch(self._settings, len(found.order)),
            "like": self._resembled_name() if method == MATCHED else None,
        })  # fmt: skip

    def _missing(self, seed: int) -> list[str]:
        """Methods to be run for a seed. What was made by other rules goes, or it would be told of if it cannot be made
        again: batches of another size, and matched-random of another choice than the one it resembles now.
        """
        missing: list[str] = []
        for method in sorted(self._settings.methods, key=lambda method: method == MATCHED):
            path = self._path(method, seed)
            told = json.loads(path.read_text("utf-8")) if path.is_file() else None
            if told is not None and not self._is_same(told, missing):
                path.unlink()
                told = None
            if told is None:
                missing.append(method)
        return missing

    def _is_same(self, told: Mapping[str, Any], missing: Sequence[str]) -> bool:
        settings = self._settings
        main = next(point["clips"] for point in told["points"] if point["is_main"])
        # Before there was `batch` in a run the whole batch stayed where fewer were taken of it
        used = told.get("batch", [settings.batch_size, min(settings.selection_size, max(1, main // 10))])
        if list(used) != list(fitted_batch(settings, main)):
            return False
        if told["method"] != MATCHED:
            return True
        return told.get("like") == self._resembled_name() and self._resembled_name() not in missing

    def _resembled(self, seed: int) -> np.ndarray | None:
        """The choice that matched-random resembles: concord's, else that of the first method that chose."""
        method = self._resembled_name()
        if not method or not self._path(method, seed).is_file():
            return None
        return np.load(self._folder / _picks_file(method, seed), allow_pickle=False).astype(np.int64)

    def _resembled_name(self) -> str:
        named = [method for method in self._settings.methods if method not in (RANDOM, MATCHED)]
        return "concord" if "concord" in named else next(iter(named), "")

    def _keep_clips(self, trial: Trial, seed: int) -> None:
        columns: dict[str, Any] = {"right": trial.right, "known": trial.known}
        if isinstance(self._task, PairTask) and trial.pairs is not None:
            columns |= {"same_class": trial.pairs.same_class, **self._task.files_of(trial.pairs)}
            name = f"clips-s{seed}.parquet"
        else:
            columns["row"], name = trial.rows, "clips.parquet"
        if trial.pairs is not None and self._task.facts().get("protocol") == "sample":
            write_json(self._folder / f"run-limit-s{seed}.json", {"limit": trial.pairs.limit})
        with replacing(self._folder / name) as temporary:
            pq.write_table(pa.table(columns), temporary)

    def _path(self, method: str, seed: int) -> Path:
        return self._folder / f"run-{_slug(method)}-s{seed}.json"

    def finish(self) -> dict[str, Any]:
        """Write the tables and the summary; returns what the artefact says of itself."""
        told = {}
        for method in self._settings.methods:
            paths = [self._path(method, seed) for seed in self._settings.seeds]
            if all(path.is_file() for path in paths):
                told[method] = [json.loads(path.read_text("utf-8")) for path in paths]
        runs = [point for found in told.values() for one in found for point in one["points"]]
        curve = [
            {"method": method, "seed": seed, **dict(zip(one["curve"], values, strict=True))}
            for method, found in told.items()
            for seed, one in zip(self._settings.seeds, found, strict=True)
            for values in zip(*one["curve"].values(), strict=True)
        ]
        for what, rows, schema in (("runs", runs, _RUN_COLUMNS), ("curve", curve, _CURVE_COLUMNS)):
            with replacing(self._folder / f"{what}.parquet") as temporary:
                pq.write_table(pa.Table.from_pylist(rows, schema), temporary)
        facts = self._task.facts()
        over_seeds = facts["kind"] == "pairs" and len(self._settings.seeds) > 1
        rows = summarize(runs, {method: self._sources(method) for method in told}, over_seeds=over_seeds)
        limits = [json.loads(path.read_text("utf-8"))["limit"] for path in sorted(self._folder.glob("run-limit-*"))]
        facts |= {"limit": float(np.mean(limits))} if limits else {}
        facts |= {"interval": "seeds" if over_seeds else "sources", "resembled": self._resembled_name()}
        notices = [*self._task.notices, *self._left_out.values()]
        write_json(self._folder / "result.json", {
            "version": RESULT_VERSION, "facts": facts, "settings": asdict(self._settings), "rows": rows,
            "notices": notices,
        })  # fmt: skip
        kept = {CLIPS_FINGERPRINT: facts[CLIPS_FINGERPRINT]} if CLIPS_FINGERPRINT in facts else {}
        return {"methods": len(told), "seeds": len(self._settings.seeds), **kept}

    def _sources(self, method: str) -> np.ndarray:
        found = [np.load(self._path(method, seed).with_suffix(".sources.npy")) for seed in self._settings.seeds]
        widest = max(counts.shape[1] for counts in found)
        return np.stack([np.pad(counts, ((0, 0), (0, widest - counts.shape[1]))) for counts in found])


def _slug(method: str) -> str:
    return "".join(c if c.isalnum() or c == "-" else "_" for c in method)


def _picks_file(method: str, seed: int) -> str:
    return f"run-{_slug(method)}-s{seed}.picks.npy"


# -- words -------------------------------------------------------------------------------------------------------------


def title_of(result: Result) -> str:
    """What was tried, in a line."""
    facts = result.facts
    if facts["kind"] == "workspace":
        return (
            f"{facts['known']:,} clips with known answers of {facts['candidates']:,}, {facts['right']:,} of them right"
        )
    made = {"class": "whole classes mismatched", "sample": "single pairs mismatched",
            "half": "half by class, half by pair", "independent": "all independent: random is right"}  # fmt: skip
    leak = "LEAKY SHUFFLE, no result · " if result.leaky else ""
    return (f"{leak}{Path(facts['pictures']).name} with {Path(facts['sounds']).name}: {facts['candidates']:,} pairs of "
            f"{facts['classes']} classes, {made[facts['protocol']]}, {100 * facts['share']:.0f} % matched")  # fmt: skip


def interval_words(result: Result) -> str:
    """How the intervals are made."""
    n = len(result.settings["seeds"])
    if result.facts["interval"] == "seeds":
        return f"95 % intervals: Student's over {n} seeds"
    pairs = result.facts["kind"] == "pairs"
    what = "pairs" if pairs else f"{result.facts['sources']:,} sources" if "sources" in result.facts else "sources"
    if n == 1:
        return f"95 % intervals: {what} resampled; one seed, so how far seeds differ is not in them"
    return f"95 % intervals: {what} resampled, and Student's over {n} seeds"


def report_lines(result: Result) -> list[str]:
    """The table as Markdown, for a terminal or a document."""
    seeds = result.settings["seeds"]
    lines = [f"{result.name}: {title_of(result)}", f"seeds {', '.join(map(str, seeds))}; {interval_words(result)}; ± "
             "deviation over seeds"]  # fmt: skip
    if "limit" in result.facts:
        lines.append(
            f"limit {result.facts['limit']:.3f}: mismatched pairs of one class cannot be told from matched ones"
        )
    if any(row["method"] == MATCHED for row in result.rows):
        lines.append(
            f"matched-random: random with the picture and sound clusters of {result.facts['resembled']}'s choice"
        )
    lines += [f"note: {notice}" for notice in result.notices]
    lines.append("")
    lines.append("| method | precision | 95 % interval | above random | F1 | average precision | F, nats | s |")
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in result.rows:
        gap = "-" if row["method"] == RANDOM else (
            f"{row['above']:+.3f} ({row['above_low']:+.3f} to {row['above_high']:+.3f})")  # fmt: skip
        cells = [measure(row, key) for key in ("f1", "average_precision", "objective")]
        lines.append(
            f"| {row['method']} | {measure(row, 'precision')} | {row['low']:.3f} to {row['high']:.3f} | {gap} | "
            f"{' | '.join(cells)} | {row['took_s']:.2f} |"
        )
    return lines


def measure(row: Mapping[str, Any], key: str) -> str:
    """`0.612 ± 0.013`: mean and deviation over seeds, which a row of an earlier version may lack; or a dash."""
    if row[key] is None:
        return "-"
    spread = row.get("spread" if key == "precision" else f"{key}_spread")
    return f"{row[key]:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
