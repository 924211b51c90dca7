"""Diversity and skew of a selection against what it was chosen from: a workspace and a selection in, a table out.

Every number stands beside the candidates', random choices of the same size and content-matched random ones, with 95 %
intervals from resampled sources. Clusters are counted in clusterings that took no part in the choice, where there are
some; the table says which. Kept in `evaluations/diversity-<selection>/`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from curation import columns
from curation.atomic import write_array, write_json
from curation.diversity_table import DiversityTable, Row, Value
from curation.errors import InputError
from curation.evaluation.held_out import HeldOut, held_out, redone_choices, used_assignments
from curation.kernels.auditing import few_wider, wilson
from curation.kernels.diversity import covered_share, effective_number, gini, has_copy, largest_share
from curation.locks import writer_lock
from curation.scope import scope_of
from curation.selection import select
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

VERSION = 2  # raised when a number or its interval is made otherwise: kept tables are measured anew
PREFIX = "diversity-"
BEHIND_MAX = 600  # rows kept behind a number
FLAGS = {
    "speech_like": "speech-like", "music_like": "music-like", "silent": "silent", "static": "static picture",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """`draws` of each control; `resamples` of the sources; `redone`: choices made again with other seeds; `seed` of
    all of these.
    """

    draws: int = 5
    resamples: int = 200
    redone: int = 3
    seed: int = 0


def table(
    workspace: Workspace, selection: str | None = None, settings: Settings | None = None, *, progress: Any = None
) -> DiversityTable:
    """The table of a selection (the shown one by default): the kept one where it is still true, else made and kept.

    Raises `InputError` where there is no such selection, or it was made of another list of clips.
    """
    name, wanted = _checked(workspace, selection, settings)
    key = f"evaluations/{PREFIX}{name}"
    there = kept(workspace, name, wanted)
    if there is not None:
        if progress is not None:
            progress.start("diversity", 1, "selections")
            progress.advance(finished_before=True)
        return there
    with writer_lock(workspace.path / "locks" / f"{PREFIX}{name}.lock", purpose="diversity"):
        fingerprint = _fingerprint(workspace, name, wanted)
        folder = workspace.partial_folder(key, fingerprint)
        found = _Work(workspace, name, wanted, folder, progress).run()
        write_json(folder / "result.json", {k: v for k, v in asdict(found).items() if k != "folder"})
        facts = {"evaluation": "diversity", "clips": found.clips, CLIPS_FINGERPRINT: workspace.fingerprint("clips")}
        workspace.commit_folder(key, folder, fingerprint, facts)
    made = kept(workspace, name, wanted)
    assert made is not None
    return made


def kept(workspace: Workspace, selection: str | None = None, settings: Settings | None = None) -> DiversityTable | None:
    """The kept table of a selection (the shown one by default), or None where it is missing or not true any more."""
    name, wanted = _checked(workspace, selection, settings)
    key = f"evaluations/{PREFIX}{name}"
    if workspace.fingerprint(key) != _fingerprint(workspace, name, wanted):
        return None
    folder = workspace.artefact_path(key)
    try:
        told = json.loads((folder / "result.json").read_text("utf-8"))
        told |= {"rows": tuple(map(_row, told["rows"])), "notices": tuple(told["notices"])}
        return DiversityTable(**told, folder=folder)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # damaged: as if it was never measured
        return None


def _row(told: dict[str, Any]) -> Row:
    values: dict[str, Any] = {k: Value(**v) if isinstance(v, dict) else v for k, v in told.items()}
    return Row(**values)


def _checked(workspace: Workspace, selection: str | None, settings: Settings | None) -> tuple[str, Settings]:
    name = workspace.current_selection if selection is None else selection
    if name is None or f"selections/{name}" not in workspace.keys("selections"):
        known = ", ".join(key.partition("/")[2] for key in workspace.keys("selections")) or "none yet"
        raise InputError(f"There is no selection {name or ''!r} in {workspace.name}.", hint=f"There are: {known}.")
    if not workspace.fits(workspace.require(f"selections/{name}", "select")):
        raise InputError(f"The selection {name!r} was made of another list of clips.",
                         hint=f"Make it again: python -m curation select {workspace.path}")  # fmt: skip
    return name, settings or Settings()


def _fingerprint(workspace: Workspace, name: str, settings: Settings) -> str:
    keys = ["clips", "health", f"selections/{name}", *workspace.keys("clusterings")]
    inputs = {key: workspace.fingerprint(key) for key in keys}
    return fingerprint_of({"diversity": VERSION, "inputs": inputs, "settings": asdict(settings)})


# -- the numbers -------------------------------------------------------------------------------------------------------


class _Subset:
    """What the measures of some clips need, looked up once; `rows` int64."""

    def __init__(self, rows: np.ndarray, work: _Work) -> None:
        self.rows = rows
        self.source = work.source[rows]
        self.sources, self.of_source = np.unique(self.source, return_counts=True)
        self.codes = [one.codes[rows] for one in work.judges]
        self.flags = {name: values[rows] for name, values in work.flags.items()}
        if work.duplicates is not None:
            self.flags["copies"] = has_copy(work.duplicates[rows])


class _Work:
    """One table."""

    def __init__(self, workspace: Workspace, name: str, settings: Settings, folder: Path, progress: Any) -> None:
        self.workspace, self.name, self.settings, self.folder = workspace, name, settings, folder
        self.progress = progress
        self.info = workspace.require(f"selections/{name}", "select").info
        picks = pq.read_table(workspace.artefact_path(f"selections/{name}") / "picks.parquet", columns=["row"])
        self.rows = np.sort(picks["row"].to_numpy())
        sources = workspace.table("clips", ["source"])["source"].combine_chunks().dictionary_encode()
        self.source = np.asarray(sources.indices).astype(np.int64)
        self.n_sources = int(self.source.max(initial=-1)) + 1
        self.notices: list[str] = []
        self.candidates = self._candidates()
        self.flags = self._flags()
        self.duplicates = columns.duplicates(workspace) if columns.finds_duplicates(workspace) else None
        self.judges: list[HeldOut] = []
        self.present: list[np.ndarray] = []

    def run(self) -> DiversityTable:
        settings, progress = self.settings, self.progress
        if progress is not None:
            progress.start("diversity", settings.resamples + 2 * settings.draws + settings.redone, "steps")
            progress.note("clusterings that took no part")
        self.judges, judged_on, is_held_out = held_out(self.workspace, self.info, settings.seed, progress)
        for judge in self.judges:
            counts = _counts(judge.codes[self.candidates], None, judge.n_clusters)
            self.present.append(counts > 0)
        if len(self.rows):
            self._stability()
        subset, whole = _Subset(self.rows, self), _Subset(self.candidates, self)
        if "stability" in self.flags:
            del whole.flags["stability"]
        controls = {"random": self._random(), "matched": self._matched()}
        rows = self._rows(subset, whole, controls)
        self._keep_behind(subset)
        return DiversityTable(
            self.name, len(self.rows), len(self.candidates), len(subset.sources), judged_on, is_held_out,
            settings.draws, tuple(rows), tuple(self.notices),
        )  # fmt: skip

    def _candidates(self) -> np.ndarray:
        """Rows that the run chose from, and those that it chose."""
        scope = scope_of(self.workspace, self.info)
        if scope.notice:
            self.notices.append(scope.notice)
        mask = scope.candidates.copy()
        mask[self.rows] = True
        return np.flatnonzero(mask)

    def _flags(self) -> dict[str, np.ndarray]:
        """Yes or no of every clip, float32 (N,), from its health."""
        artefact = self.workspace.artefact("health")
        if artefact is None or not self.workspace.fits(artefact):
            self.notices.append(
                "Health was not measured: nothing is known of speech, music, silence and still pictures"
            )
            return {}
        path = self.workspace.artefact_path("health")
        names = [name for name in FLAGS if name in pq.read_schema(path).names]
        found = pq.read_table(path, columns=names, partitioning=None)
        return {name: np.asarray(found[name].fill_null(False)).astype(np.float32) for name in names}

    def _random(self) -> list[_Subset]:
        rng = np.random.default_rng([self.settings.seed, 1])
        found = []
        for _ in range(self.settings.draws):
            drawn = rng.choice(self.candidates, min(len(self.rows), len(self.candidates)), replace=False)
            found.append(_Subset(np.sort(drawn), self))
            self._step("random choices")
        return found

    def _matched(self) -> list[_Subset]:
        used = used_assignments(self.workspace, self.info)
        if used is None or not len(self.rows):
            self.notices.append("No content-matched random: the run used no clusterings of both modalities that are "
                                "still there")  # fmt: skip
            return []
        names, modalities, codes = used
        like = np.isin(self.candidates, self.rows)
        found = []
        for draw in range(self.settings.draws):
            self._step("content-matched random choices")
            chosen = select(codes[self.candidates], modalities, layers=names, method="matched-random", like=like,
                            seed=1000 * self.settings.seed + draw, controls=False, device="cpu")  # fmt: skip
            found.append(_Subset(np.sort(self.candidates[chosen.order]), self))
        return found

    def _stability(self) -> None:
        """How often each clip is chosen again; a flag between 0 and 1."""
        again = redone_choices(
            self.workspace, self.info, self.candidates, len(self.rows), self.settings.redone, self.settings.seed,
            lambda: self._step("the choice made again with other seeds"),
        )  # fmt: skip
        self.notices += again.notices
        if again.orders:
            often = np.zeros(len(self.source), np.float32)
            for order in again.orders:
                often[self.candidates[order]] += 1 / len(again.orders)
            self.flags["stability"] = often

    def _step(self, what: str) -> None:
        if self.progress is not None:
            self.progress.check_cancelled()
            self.progress.note(what)
            self.progress.advance()

    def _measures(self, one: _Subset, weight: np.ndarray | None) -> dict[str, float]:
        """Every measure of a subset; `weight` float (n sources,): how often a source is in the resample."""
        own = None if weight is None else weight[one.source]
        copies = None if weight is None else weight[one.sources]
        found: dict[str, float] = {}
        for modality in ("audio", "visual"):
            effective, covered = [], []
            for judge, codes, present in zip(self.judges, one.codes, self.present):
                if judge.modality == modality:
                    counts = _counts(codes, own, judge.n_clusters)
                    effective.append(effective_number(counts))
                    covered.append(covered_share(counts, present))
            if effective:
                found[f"effective_{modality}"] = float(np.exp(np.mean(np.log(np.maximum(effective, 1e-9)))))
                found[f"covered_{modality}"] = float(np.mean(covered))
        # At the same number of sources: a resample has a few more or fewer of them, which is not what is asked
        scale = 1.0 if copies is None else len(copies) / max(1.0, float(copies.sum()))
        found["sources_effective"] = scale * effective_number(one.of_source, copies)
        found["sources_gini"] = gini(one.of_source, copies)
        found["sources_largest"] = largest_share(one.of_source, copies)
        for name, values in one.flags.items():
            total = len(values) if own is None else float(own.sum())
            found[name] = float((values.sum() if own is None else own @ values) / total) if total else float("nan")
        return found

    def _rows(self, subset: _Subset, whole: _Subset, controls: dict[str, list[_Subset]]) -> list[Row]:
        at = {"subset": self._measures(subset, None), "whole": self._measures(whole, None)}
        drawn = {name: [self._measures(one, None) for one in found] for name, found in controls.items()}
        rng = np.random.default_rng([self.settings.seed, 2])
        again: dict[str, list[dict[str, float]]] = {"subset": [], **{name: [] for name in controls}}
        for _ in range(self.settings.resamples):
            self._step("resampled sources")
            weight = np.asarray(rng.poisson(1.0, self.n_sources), np.float64)
            again["subset"].append(self._measures(subset, weight))
            for name, found in controls.items():
                again[name].append(_mean([self._measures(one, weight) for one in found]))
        if len(whole.sources) < 2:
            self.notices.append("All candidates are of one source: nothing can be resampled, so there are no intervals")
        sizes = {"subset": len(subset.sources), **{name: min((len(one.sources) for one in found), default=0)
                                                   for name, found in controls.items()}}  # fmt: skip
        reach = 1.96 * few_wider(len(subset.sources))
        rows = []
        for key, (title, unit, says) in _described(at["subset"], self.info).items():
            resampled = {name: np.array([one.get(key, np.nan) for one in found]) for name, found in again.items()}
            theirs = {name: [one.get(key, np.nan) for one in found] for name, found in drawn.items()}
            alone = {"subset": _value(at["subset"][key], resampled["subset"], [], unit, reach)}
            alone |= {name: _value(_average(own), resampled[name], own, unit, reach) for name, own in theirs.items()}
            above = {name: _difference(alone["subset"], alone[name], resampled["subset"], resampled[name], own, reach)
                     for name, own in theirs.items()}  # fmt: skip
            if key in subset.flags:
                alone = {name: _of_flags(value, sizes[name]) for name, value in alone.items()}
                above = {name: _beside_none(value, alone["subset"], alone[name]) for name, value in above.items()}
            if len(whole.sources) < 2:
                alone, above = ({name: Value(value.value) for name, value in one.items()} for one in (alone, above))
            rows.append(
                Row(key, title, unit, says, alone["subset"], Value(_known(at["whole"].get(key))), alone["random"],
                    alone["matched"], above["random"], above["matched"])
            )  # fmt: skip
        return rows

    def _keep_behind(self, subset: _Subset) -> None:
        """Rows of clips to look at behind the numbers."""
        behind: dict[str, np.ndarray] = {
            name: subset.rows[values > 0] for name, values in subset.flags.items() if name != "stability"
        }
        if "stability" in subset.flags:
            behind["stability"] = subset.rows[subset.flags["stability"] == 0]
        if len(subset.sources):
            largest = subset.sources[np.argmax(subset.of_source)]
            for key in ("sources_largest", "sources_gini", "sources_effective"):
                behind[key] = subset.rows[subset.source == largest]
        for modality in ("audio", "visual"):
            missing = [
                self.candidates[~np.isin(judge.codes[self.candidates], codes) & (judge.codes[self.candidates] >= 0)]
                for judge, codes in zip(self.judges, subset.codes)
                if judge.modality == modality
            ]
            behind[f"covered_{modality}"] = np.unique(np.concatenate(missing)) if missing else np.zeros(0, np.int64)
        rng = np.random.default_rng([self.settings.seed, 3])
        for key, rows in behind.items():
            some = rows if len(rows) <= BEHIND_MAX else np.sort(rng.choice(rows, BEHIND_MAX, replace=False))
            write_array(self.folder / f"behind-{key}.npy", some.astype(np.int64))


def _described(found: dict[str, float], info: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Title, unit and explanation of the measures there are, in the order in which they are shown."""
    clusters = (
        "exp of the entropy of clusters: how many equally large ones they would be; geometric mean of clusterings"
    )
    known = {
        "effective_audio": ("effective sound clusters", "number", clusters),
        "effective_visual": ("effective picture clusters", "number", clusters),
        "covered_audio": ("sound clusters with a clip", "share", "of those that the candidates have"),
        "covered_visual": ("picture clusters with a clip", "share", "of those that the candidates have"),
        **{name: (title, "share", "of the clips, as health finds it") for name, title in FLAGS.items()},
        "sources_effective": ("effective sources", "number", "exp of the entropy of the clips' sources"),
        "sources_gini": ("Gini of sources", "index", "0: each source gives as many clips; near 1: few give nearly all"),
        "sources_largest": ("clips of the largest source", "share", "of the clips"),
        "copies": ("clips with a copy", "share", "another clip of the subset has the same sound and picture"),
        "stability": ("chosen again", "share", "of the clips, mean over choices made with other seeds and clusters"),
    }
    return {key: text for key, text in known.items() if key in found}


def _counts(codes: np.ndarray, weight: np.ndarray | None, n: int) -> np.ndarray:
    inside = codes >= 0
    if inside.all():
        return np.bincount(codes, weight, n)
    return np.bincount(codes[inside], None if weight is None else weight[inside], n)


def _mean(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]} if found else {}


def _average(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _value(value: float, resampled: np.ndarray, drawn: Sequence[float], unit: str, reach: float) -> Value:
    """`reach` deviations of the resamples, and of the mean of the draws, to both sides. Entropy and coverage fall in
    every resample, so its percentiles would miss the value; its deviation does not.
    """
    if not np.isfinite(value):
        return Value(None)
    half = reach * (_variance(resampled) + _variance(drawn) / max(1, len(drawn))) ** 0.5
    high = value + half if unit == "number" else min(1.0, value + half)
    return Value(float(value), max(0.0, float(value - half)), float(high))


def _difference(
    mine: Value,
    theirs: Value,
    resampled: np.ndarray,
    resampled_theirs: np.ndarray,
    drawn: Sequence[float],
    reach: float,
) -> Value:
    """Mine minus theirs, resampled together."""
    if mine.value is None or theirs.value is None:
        return Value(None)
    gap = mine.value - theirs.value
    half = reach * (_variance(resampled - resampled_theirs) + _variance(drawn) / max(1, len(drawn))) ** 0.5
    return Value(gap, gap - half, gap + half)


def _variance(values: Any) -> float:
    return float(np.nanvar(values, ddof=1)) if len(values) > 1 else 0.0


def _of_flags(value: Value, n_sources: int) -> Value:
    """Where no clip has a flag, or all have it, resamples do not differ: Wilson's interval at the number of sources."""
    if value.value is None or 0 < value.value < 1 or not n_sources:
        return value
    return Value(value.value, *wilson(value.value, n_sources))


def _beside_none(gap: Value, mine: Value, theirs: Value) -> Value:
    """A difference of two shares that no resample tells apart: as far as their own intervals reach."""
    if gap.value is None or gap.low != gap.high or None in (mine.low, mine.high, theirs.low, theirs.high):
        return gap
    assert mine.low is not None and mine.high is not None and theirs.low is not None and theirs.high is not None
    return Value(gap.value, mine.low - theirs.high, mine.high - theirs.low)


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
