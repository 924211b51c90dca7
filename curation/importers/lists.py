"""import_list: a list of clips that somebody curated -> selections/<name>, as if it had been selected here.

The same files as the select stage writes, so that it can be inspected, compared, audited and exported; the mutual
information of its clips is computed from the workspace's clusterings, where there are any.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.atomic import replacing, write_array, write_json
from curation.checks import check_assignments, check_pairs
from curation.errors import ConcordError, InputError
from curation.importers.list_files import ListRows, read_list
from curation.importers.matching import START_TOLERANCE_S, Match, match_rows
from curation.importers.readers import file_digest
from curation.kernels.contingency import Rows
from curation.kernels.draws import STREAM_CONTROL, shuffle_front, stream_key
from curation.kernels.information import information_of, objective_along
from curation.locks import writer_lock
from curation.records import PICKS
from curation.workspace import CLIPS_FINGERPRINT, Workspace, check_name, fingerprint_of

METHOD = "list"
CURVE_POINTS = 60
RANDOM_DRAWS = 3
UNMATCHED = pa.schema(
    [
        ("row", pa.int64()),  # of the list, from 1
        ("id", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("code", pa.string()),  # not_found | ambiguous | repeated
        ("message", pa.string()),
    ]
)
_MESSAGES = {
    "not_found": "No clip of the workspace is called this, or none begins there.",
    "ambiguous": "Several files are called this.",
    "repeated": "An earlier row of the list is the same clip.",
}
_VERSION = 1  # raised when the same list gives other numbers


def import_list(
    workspace: Workspace, file: str | os.PathLike[str], name: str, *, key: str = "", start: str = ""
) -> dict[str, Any]:
    """Make selections/<name> of a curated list (`curation.importers.list_files.read_list`).

    Rows are matched by clip id, path, file name, stem, YouTube id or URL, with their start where they have one (0.5 s).
    A row without a start that names a file of several clips means all of them. The order of the list is the picking
    order. Scores are the list's own, where it has a column of them, else NaN; there are no gains.

    Writes picks, scores, curve (objective, and the mean of three random subsets as large; `permuted` is NaN: there is
    no method to run on permuted sounds), params, and unmatched.parquet: every row that became no pick, with its reason.
    Returns a report: selection, clips, candidates, objective, random, format, other_end_rows, notices, `Match.facts`.

    Raises `InputError`: a list that cannot be read, no row that names a clip, a name that the select stage made.
    """
    key_of = f"selections/{check_name(name, 'selection')}"
    existing = workspace.artefact(key_of)
    if existing is not None and existing.info.get("origin") != "imported":
        raise InputError(f"{workspace.name} has a selection {name!r} of its own.", hint="Import under another name.")
    clips_fingerprint = workspace.require("clips", "segment").fingerprint
    listed = read_list(file, key, start)
    match = match_rows(workspace, listed.keys, str(file), listed.otherwise)
    facts = match.facts()
    if not facts["matched_rows"]:
        raise InputError(f"Every row of {file} names several files.", hint="Use paths below the media folder.")
    clips = workspace.table("clips", ["clip_id", "start_s", "end_s"])
    rows = _picked(match)
    notices = _notices(listed, match, rows, clips, facts)
    measured = _measure(workspace, rows, notices)
    info = {
        "origin": "imported",
        CLIPS_FINGERPRINT: clips_fingerprint,
        "method": METHOD,
        "budget": str(len(rows)),
        "pairing": measured.pairing,
        "seed": 0,
        "file": Path(file).name,
        "format": listed.format,
        "matched_by": match.kind,
        "score_columns": [],
        "options": {},
        "clips": len(rows),
        "candidates": measured.candidates,
        "without_value": int(clips.num_rows - measured.candidates),
        "unmatched": int((~match.matched | match.repeated).sum()),
        "hours": _hours(clips, rows),
        "objective": measured.objective,
        "clusterings": {name: workspace.fingerprint(f"clusterings/{name}") for name in measured.modalities},
        "fits": {
            name: workspace.require(f"clusterings/{name}", "cluster").info.get("fit", "")
            for name in measured.modalities
        },
        "modalities": measured.modalities,
        "report": {
            "method": METHOD,
            "is_prefix": False,
            "options": {},
            "objective": measured.objective,
            "objective_random": measured.random,
            "objective_permuted": None,
            "pairs": measured.pairs,
            "notices": notices,
        },
    }
    content = {"import": "list", "version": _VERSION, "file": file_digest(file), "info": info,
               "picks": hashlib.blake2b(rows.tobytes(), digest_size=16).hexdigest()}  # fmt: skip
    fingerprint = fingerprint_of(content)
    with writer_lock(workspace.path / "locks" / "select.lock", purpose="import of a list", wait_s=10):
        workspace.recover()
        if workspace.fingerprint(key_of) != fingerprint:
            folder = workspace.partial_folder(key_of, fingerprint)
            _write(folder, listed, match, rows, clips, measured.curve)
            write_json(folder / "params.json", info)
            workspace.commit_folder(key_of, folder, fingerprint, info)
    said = ("clips", "candidates", "hours", "objective", "format")
    return {
        **facts,
        "selection": name,
        **{part: info[part] for part in said},
        "random": measured.random,
        "unmatched_reasons": _reasons(match),
        "notices": [*facts["notices"], *notices],
    }


@dataclass(frozen=True)
class _Measured:
    """What the clusterings say of the listed clips; objective None where there are no clusterings of both kinds."""

    candidates: int
    objective: float | None
    random: float | None
    curve: dict[str, np.ndarray]
    pairs: list[dict[str, Any]]
    modalities: dict[str, str]
    pairing: str


def _picked(match: Match) -> np.ndarray:
    """Rows of the clips, int64 (s,): in the list's order; clips of one row in the workspace's."""
    of_clip = match.row_of_clip
    found = np.flatnonzero(of_clip >= 0)
    return found[np.argsort(of_clip[found], kind="stable")].astype(np.int64)


def _measure(workspace: Workspace, rows: np.ndarray, notices: list[str]) -> _Measured:
    n_clips = workspace.n_rows("clips")
    modalities = _clusterings(workspace, notices)
    if set(modalities.values()) != {"audio", "visual"}:
        notices.append("There are no clusterings of both sound and picture: mutual information is not known.")
        return _Measured(n_clips, None, None, _curve(np.zeros(0, np.int64)), [], {}, "bipartite")
    names = list(modalities)
    usable = np.ones(n_clips, bool)
    columns = [workspace.array(f"clusterings/{name}", "assignments") for name in names]
    for column in columns:
        usable &= np.asarray(column) >= 0
    place = np.cumsum(usable) - 1
    order = place[rows[usable[rows]]]
    if len(order) < len(rows):
        notices.append(f"{len(rows) - len(order)} listed clips have no cluster; mutual information is without them.")
    if not len(order):
        return _Measured(int(usable.sum()), None, None, _curve(np.zeros(0, np.int64)), [], {}, "bipartite")
    largest = max(int(column.max(initial=0)) for column in columns)
    matrix = np.empty((int(usable.sum()), len(columns)), np.int16 if largest < 32_767 else np.int32)
    for i, column in enumerate(columns):
        matrix[:, i] = column[usable]
    checked = check_assignments(matrix, list(modalities.values()), names)
    pairing = workspace.config.select.pairing
    try:
        layout, pairs, weights = check_pairs(checked, pairing, None, names)
    except ConcordError as error:
        notices.append(f"The pairing of the settings does not fit ({error.message}); all pairs were used.")
        pairing = "bipartite"
        layout, pairs, weights = check_pairs(checked, pairing, None, names)
    coded = Rows(checked.codes, np.zeros(0, np.int32), checked.is_audio)
    sizes = _sizes(len(order))
    curve = _curve(sizes)
    curve["objective"] = objective_along(coded, order, sizes, layout, weights)
    draws = [objective_along(coded, _random(len(matrix), len(order), k), sizes, layout, weights)
             for k in range(RANDOM_DRAWS)]  # fmt: skip
    curve["random"] = np.mean(draws, axis=0)
    values = information_of(coded, order, layout)
    rest = information_of(coded, np.arange(len(matrix)), layout)
    described = [
        {
            "first": names[a],
            "second": names[b],
            "weight": float(w),
            "mutual_information": float(x),
            "all_clips": float(y),
        }
        for (a, b), w, x, y in zip(pairs.tolist(), weights, values, rest, strict=True)
    ]
    return _Measured(
        len(matrix), float(values @ weights), float(curve["random"][-1]), curve, described, modalities, pairing
    )


def _clusterings(workspace: Workspace, notices: list[str]) -> dict[str, str]:
    """Name -> modality of the clusterings that selections use: those of the settings where they name some, else all."""
    found: dict[str, str] = {}
    for key in workspace.keys("clusterings"):
        artefact, name = workspace.require(key, "cluster"), key.partition("/")[2]
        if workspace.fits(artefact):
            found[name] = str(artefact.info["modality"])
        else:
            notices.append(f"The clustering {name} is of another list of clips and was left out.")
    wanted = [name.strip() for name in workspace.config.select.layers.split(",") if name.strip()]
    if wanted and set(wanted) <= set(found):
        found = {name: found[name] for name in wanted}
    return dict(sorted(found.items(), key=lambda item: item[1] != "audio"))


def _sizes(s: int) -> np.ndarray:
    points = min(s, CURVE_POINTS)
    return np.unique(np.rint(np.arange(1, points + 1) * s / points).astype(np.int64)) if s else np.zeros(0, np.int64)


def _curve(sizes: np.ndarray) -> dict[str, np.ndarray]:
    nothing = np.full(len(sizes), np.nan)
    return {"size": sizes, "objective": nothing, "random": nothing, "permuted": nothing}


def _random(n: int, take: int, draw: int) -> np.ndarray:
    rows = np.arange(n)
    shuffle_front(rows, take, np.uint64(stream_key(0, STREAM_CONTROL, draw)))
    return rows[:take]


def _notices(listed: ListRows, match: Match, rows: np.ndarray, clips: pa.Table, facts: dict[str, Any]) -> list[str]:
    notices = []
    of_several = len(rows) - int((match.matched & ~match.repeated).sum())
    if of_several > 0:
        notices.append(f"Rows without a start name files of several clips: {of_several} clips more than rows.")
    ends = clips["end_s"].to_numpy()[rows]
    said = listed.end_s[match.row_of_clip[rows]]
    other = int((np.abs(ends - said) > START_TOLERANCE_S).sum())
    if other:
        notices.append(f"{other} clips end elsewhere than the list says, by more than {START_TOLERANCE_S} s.")
    if lost := facts["unmatched_rows"] + facts["repeated_rows"]:
        notices.append(
            f"{lost} rows of the list became no pick; they are kept in unmatched.parquet with their reasons."
        )
    return notices


def _codes(match: Match) -> np.ndarray:
    """Why a row became no pick; "" where it did."""
    return np.select(
        [match.ambiguous, ~match.matched, match.repeated], ["ambiguous", "not_found", "repeated"], default=""
    )


def _reasons(match: Match) -> dict[str, int]:
    codes, counts = np.unique(_codes(match), return_counts=True)
    return {str(code): int(count) for code, count in zip(codes, counts, strict=True) if code}


def _write(
    folder: Path, listed: ListRows, match: Match, rows: np.ndarray, clips: pa.Table, curve: dict[str, np.ndarray]
) -> None:
    nothing = pa.nulls(len(rows), pa.float64())
    ids = clips["clip_id"].take(pa.array(rows))
    picks = pa.table([pa.array(np.arange(1, len(rows) + 1)), pa.array(rows), ids, nothing], PICKS)
    codes = _codes(match)
    left = np.flatnonzero(codes != "")
    reasons = codes[left].tolist()
    unmatched = pa.table(
        [
            pa.array(left + 1),
            pc.fill_null(listed.labels.take(pa.array(left)), ""),
            pa.array(listed.start_s[left], from_pandas=True),
            pa.array(listed.end_s[left], from_pandas=True),
            pa.array(reasons, pa.string()),
            pa.array([_MESSAGES[code] for code in reasons], pa.string()),
        ],
        UNMATCHED,
    )
    for file, table in {"picks": picks, "unmatched": unmatched, "curve": pa.table(curve)}.items():
        with replacing(folder / f"{file}.parquet") as temporary:
            pq.write_table(table, temporary, row_group_size=65_536)
    scores = np.full(clips.num_rows, np.nan)
    if listed.score is not None:
        scores[rows] = listed.score[match.row_of_clip[rows]]
    write_array(folder / "scores.npy", scores)


def _hours(clips: pa.Table, rows: np.ndarray) -> float | None:
    total_s = float(np.sum(clips["end_s"].to_numpy()[rows] - clips["start_s"].to_numpy()[rows]))
    return total_s / 3600 if np.isfinite(total_s) else None
