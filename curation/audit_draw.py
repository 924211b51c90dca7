"""Which clips an audit listens to: runs of a workspace in, a plan out, the same for the same seed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.audit import (
    CLIPS,
    CLIPS_MAX,
    REPEATS,
    Item,
    Plan,
    ScoreBand,
    Stratum,
    free_name,
    lock,
    media_there,
    names,
    read_plan,
    write_plan,
)  # fmt: skip
from curation.columns import matching
from curation.errors import InputError
from curation.kernels.auditing import draw, expected_draws, order_with_repeats, score_bands
from curation.workspace import Workspace, check_name

SCORE_BANDS = 5  # of the figure that holds estimates against answers
_DRAW_BANDS, _PER_BAND = 4, 8  # strata by score in each cell, and the draws that one of them should get


def draw_audit(
    workspace: Workspace,
    runs: Sequence[str],
    *,
    clips: int = CLIPS,
    repeats: float = REPEATS,
    seed: int = 0,
    name: str = "",
) -> Plan:
    """Draw clips of one or two runs to be listened to, and keep the plan.

    A third at random of all candidates, the rest in equal parts of what was chosen and what was not (of two runs: by
    both, by one only, by neither), each in equal parts by score. A share `repeats` of them comes twice. Raises
    `InputError` for runs without candidates that were not chosen, too few candidates, or clips without media.
    """
    if not 0 <= repeats <= 1 or not 1 <= clips <= CLIPS_MAX:
        raise InputError(
            f"An audit of {clips} clips with {repeats:g} of them twice cannot be drawn.",
            hint=f"Allowed: 1 to {CLIPS_MAX} clips, and a share of repeats from 0 to 1.",
        )
    frame = _Frame.of(workspace, runs, clips)
    if clips > len(frame.rows):
        raise InputError(
            f"{clips} clips were asked for, but there are only {len(frame.rows)} candidates.",
            hint=f"Ask for at most {len(frame.rows)}.",
        )
    rng = np.random.default_rng(seed)
    picked = draw(frame.stratum, frame.source, frame.expected(clips), rng)
    items = frame.items(picked, clips, rng)
    if not any(media_there(workspace, [item.clip_id for item in items]).values()):
        raise InputError(
            f"None of the clips drawn of {workspace.name} has a media file that is there: they cannot be listened to.",
            hint="Check the media folders of the workspace: features and assignments alone make no sound.",
            code="no_media",
        )
    presented = order_with_repeats(clips, round(repeats * clips), rng)
    place: dict[int, int] = {}
    shown = []
    for at, i in enumerate(presented.tolist()):
        shown.append(replace(items[i], repeat_of=place.get(i)))
        place.setdefault(i, at)
    with lock(workspace):
        name = check_name(name, "audit") if name else free_name(workspace)
        if name in names(workspace):
            raise InputError(f"There is an audit {name!r} already.", hint="Choose another name.")
        plan = Plan(
            name, time.time(), seed, tuple(runs), frame.prints, clips, frame.strata(items), frame.bands, tuple(shown)
        )
        write_plan(workspace, plan)
    return plan


def extend(workspace: Workspace, name: str, more: int) -> Plan:
    """Add up to `more` clips, where the runs differ (of one run: chosen and rejected alike), to the end of an audit.

    Raises `InputError` when the clips or the runs have changed since it was drawn, or none is left.
    """
    with lock(workspace):
        plan = read_plan(workspace, name)
        if not 1 <= more <= CLIPS_MAX - len(plan.items):
            raise InputError(
                f"{more} clips cannot be added to the {len(plan.items)} of {name!r}.",
                hint=f"Allowed: 1 to {CLIPS_MAX - len(plan.items)}.",
            )
        frame = _Frame.of(workspace, plan.runs, plan.clips)
        if frame.prints != plan.prints:
            raise InputError(
                f"The clips or the runs of the audit {name!r} were made again since.", hint="Draw a new audit."
            )
        heard = [item.clip_id for item in plan.items]
        differs = np.array([len(plan.runs) == 1 or len(set(s.chosen_by)) > 1 for s in plan.strata])
        drawn = pc.is_in(frame.ids, pa.array(heard, frame.ids.type)).to_numpy(zero_copy_only=False)
        left = differs[frame.stratum] & ~drawn
        if not left.any():
            raise InputError(f"Every clip that could tell the runs of {name!r} apart was drawn.")
        rows = np.flatnonzero(left)
        sizes = np.bincount(frame.stratum[rows], minlength=len(plan.strata))
        wanted = frame.by_cell() * (sizes > 0)
        n = min(more, len(rows))
        rng = np.random.default_rng([plan.seed, len(plan.items)])
        expected = expected_draws(wanted / wanted.sum() * n, sizes)
        picked = rows[draw(frame.stratum[rows], frame.source[rows], expected, rng)]
        items = (*plan.items, *frame.items(picked, 0, rng))
        first = [item for item in items if item.repeat_of is None]
        plan = replace(plan, items=items, strata=frame.strata(first))
        write_plan(workspace, plan)
    return plan


@dataclass(frozen=True)
class _Frame:
    """What can be drawn: candidates (row, id, source), their strata, and the bands of their scores."""

    runs: tuple[str, ...]
    rows: np.ndarray
    ids: pa.Array
    source: np.ndarray
    stratum: np.ndarray
    chosen_by: tuple[tuple[bool, ...], ...]
    band: np.ndarray  # (n, runs)
    bands: tuple[tuple[ScoreBand, ...], ...]
    prints: tuple[str, ...]

    @classmethod
    def of(cls, workspace: Workspace, runs: Sequence[str], clips: int) -> _Frame:
        _check_runs(workspace, runs)
        keys = [f"selections/{run}" for run in runs]
        n = workspace.n_rows("clips")
        chosen = np.stack([_picked(workspace, key, n) for key in keys])
        inside = np.stack([_candidates(workspace, key, n) for key in keys]) | chosen
        rows = np.flatnonzero(inside.any(axis=0))
        for run, picked in zip(runs, chosen):
            if picked[rows].all():
                raise InputError(
                    f"The run {run!r} chose every candidate: there is nothing rejected to hold it against.",
                    hint="Audit a run with a smaller budget.",
                )
        scores = np.stack([_scores(workspace, key, "scores", n)[rows] for key in keys])
        local = [_scores(workspace, key, "score_local_false_share", n)[rows] for key in keys]
        table = workspace.table("clips", ["clip_id", "source"]).take(pa.array(rows))
        source = pc.dictionary_encode(table["source"].combine_chunks(), null_encoding="encode").indices
        stratum, chosen_by = _strata(chosen[:, rows], scores, clips)
        band = np.stack([score_bands(values, SCORE_BANDS) for values in scores], axis=1)
        bands = tuple(_score_bands(scores[r], band[:, r], local[r]) for r in range(len(runs)))
        prints = tuple(str(workspace.fingerprint(key)) for key in ["clips", *keys])
        ids = table["clip_id"].combine_chunks()
        return cls(tuple(runs), rows, ids, source.to_numpy(), stratum, chosen_by, band, bands, prints)

    @property
    def sizes(self) -> np.ndarray:
        return np.bincount(self.stratum, minlength=len(self.chosen_by))

    def by_cell(self) -> np.ndarray:
        """Parts (H,) that give each cell as much as another, and each stratum of a cell by its size; sum 1."""
        cells = sorted(set(self.chosen_by))
        cell = np.array([cells.index(c) for c in self.chosen_by])
        return self.sizes / np.bincount(cell, self.sizes)[cell] / len(cells)

    def expected(self, clips: int) -> np.ndarray:
        """Draws of each stratum: a third at random of all, the rest by cell."""
        wanted = clips * (self.by_cell() * 2 / 3 + self.sizes / self.sizes.sum() / 3)
        return expected_draws(wanted, self.sizes)

    def items(self, picked: np.ndarray, at_random: int, rng: np.random.Generator) -> list[Item]:
        """Items of drawn candidates; of a draw of `at_random` clips a third came from the draw of all."""
        share = np.zeros(len(self.chosen_by))
        if at_random:
            share = self.sizes / self.sizes.sum() / (self.by_cell() * 2 + self.sizes / self.sizes.sum())
        drawn_of_all = rng.random(len(picked)) < share[self.stratum[picked]]
        found = []
        for i, of_all in zip(picked.tolist(), drawn_of_all):
            h = int(self.stratum[i])
            origin = "random" if of_all else "chosen" if any(self.chosen_by[h]) else "rejected"
            found.append(Item(str(self.ids[i].as_py()), h, origin, tuple(self.band[i].tolist())))
        return found

    def strata(self, items: Sequence[Item]) -> tuple[Stratum, ...]:
        drawn = np.bincount([item.stratum for item in items], minlength=len(self.chosen_by))
        return tuple(Stratum(c, int(n), int(d)) for c, n, d in zip(self.chosen_by, self.sizes, drawn))


def _strata(chosen: np.ndarray, scores: np.ndarray, clips: int) -> tuple[np.ndarray, tuple[tuple[bool, ...], ...]]:
    """Stratum of each candidate, and by which runs its clips were chosen: chosen (R, n), scores (R, n)."""
    code = (chosen * (1 << np.arange(len(chosen)))[:, None]).sum(axis=0)
    codes = np.unique(code)
    n_bands = int(min(_DRAW_BANDS, max(1, clips * 2 / 3 / len(codes) // _PER_BAND)))
    stratum = np.zeros(len(code), np.int64)
    chosen_by: list[tuple[bool, ...]] = []
    for value in codes:
        cell = np.flatnonzero(code == value)
        by = tuple(bool(value >> r & 1) for r in range(len(chosen)))
        band = score_bands(scores[by.index(True) if any(by) else 0][cell], n_bands)
        for b in np.unique(band):
            stratum[cell[band == b]] = len(chosen_by)
            chosen_by.append(by)
    return stratum, tuple(chosen_by)


def _score_bands(scores: np.ndarray, band: np.ndarray, local: np.ndarray) -> tuple[ScoreBand, ...]:
    found = []
    for b in range(SCORE_BANDS):
        inside = band == b
        false = local[inside][np.isfinite(local[inside])]
        ends = (float(scores[inside].min()), float(scores[inside].max())) if inside.any() else (0.0, 0.0)
        found.append(ScoreBand(*ends, int(inside.sum()), float(false.mean()) if len(false) else None))
    return tuple(found)


def _check_runs(workspace: Workspace, runs: Sequence[str]) -> None:
    there = [key.partition("/")[2] for key in workspace.keys("selections")]
    wrong = [run for run in runs if run not in there]
    if wrong or len(set(runs)) != len(runs) or not 1 <= len(runs) <= 2:
        raise InputError(
            f"There is no selection {wrong[0]!r} in {workspace.name}."
            if wrong
            else "An audit judges one run, or two different ones.",
            hint=f"There are: {', '.join(there) or 'none yet'}.",
        )
    for run in runs:
        workspace.require_fitting(f"selections/{run}", "select")


def _picked(workspace: Workspace, key: str, n: int) -> np.ndarray:
    out = np.zeros(n, bool)
    rows = pq.read_table(workspace.artefact_path(key) / "picks.parquet", columns=["row"], partitioning=None)["row"]
    out[rows.to_numpy()] = True
    return out


def _candidates(workspace: Workspace, key: str, n: int) -> np.ndarray:
    """Clips that a run could choose from, bool (n,): a value in its clusterings, inside its scope."""
    info = workspace.require(key, "select").info
    usable = np.ones(n, bool)
    for name in info.get("clusterings", {}):
        found = workspace.artefact(f"clusterings/{name}")
        if found is not None and workspace.fits(found):
            usable &= np.asarray(workspace.array(found.key, "assignments")) >= 0
    if where := str(info.get("where") or "").strip():
        usable &= matching(workspace, where, "select.where")
    return usable


def _scores(workspace: Workspace, key: str, name: str, n: int) -> np.ndarray:
    path = workspace.artefact_path(key) / f"{name}.npy"
    return np.array(workspace.array(key, name), float) if path.is_file() else np.full(n, np.nan)
