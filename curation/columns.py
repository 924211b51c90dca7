"""Columns of clips that a stage may read: a workspace and a name or an SQL condition in, a value or a yes a clip out.

Readable are the columns of clips.parquet and health.parquet, those that came with the media (listed.parquet) and those
that were joined from elsewhere, except answers: what begins with `truth` or `label` says how a choice is judged, so it
must never help to make one.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import strings
from curation.errors import InputError, SettingError
from curation.workspace import Workspace

ANSWERS = re.compile(r"(truth|label)(_.*)?", re.IGNORECASE)
DUPLICATE = "duplicate"  # column of health.parquet: group of clips alike in sound and picture, -1 = none
_ANSWER_NAMED = re.compile(r"\b(truth|label)(_\w*)?\b", re.IGNORECASE)
_TEXT = re.compile(r"'(?:[^']|'')*'")  # a quoted text in SQL
_KEYS = ("row", "clip_id", "video_id")


def is_answer(name: str) -> bool:
    """True for a column that says what is right, which no stage may read."""
    return ANSWERS.fullmatch(name) is not None


def readable(workspace: Workspace) -> list[str]:
    """Names of the columns that conditions and bounds may use."""
    names = [name for table in ("clips", "health", "listed") for name in _names_of(workspace, table)]
    names += _joined(workspace)
    return list(dict.fromkeys(names))


def matching(workspace: Workspace, condition: str, setting: str) -> np.ndarray:
    """Clips that meet an SQL condition, bool (N,). Raises `SettingError` that names `setting` and the columns."""
    named = _ANSWER_NAMED.search(_TEXT.sub("''", condition))
    if named:
        raise SettingError(
            f"{setting} names {named[0]}, an answer: it judges a choice and must not make it.",
            hint=f"Columns: {', '.join(readable(workspace))}.",
        )
    tables, source = _tables(workspace, condition)
    try:
        found = workspace.query(f"SELECT row FROM ({source}) WHERE ({condition})", **tables)
    except InputError as error:
        raise SettingError(
            f"{setting} cannot be read: {error.message}", hint=f"Columns: {', '.join(readable(workspace))}."
        ) from error
    out = np.zeros(workspace.n_rows("clips"), bool)
    out[found["row"].to_numpy()] = True
    return out


def values(workspace: Workspace, name: str, setting: str) -> np.ndarray:
    """The values of one column as texts, object (N,); None where a clip has none. Booleans are `true` and `false`.

    Raises `SettingError` that names `setting` and the columns there are.
    """
    if name not in readable(workspace):
        raise SettingError(
            f"{setting} names the column {name!r}, which cannot be used.",
            hint=f"Columns: {', '.join(readable(workspace))}.",
        )
    tables, source = _tables(workspace, name)
    found = workspace.query(f"SELECT CAST({_quoted(name)} AS VARCHAR) AS value FROM ({source}) ORDER BY row", **tables)
    return np.asarray(found["value"].to_pylist(), dtype=object)


def finds_duplicates(workspace: Workspace) -> bool:
    """True where the health of these clips says which are alike."""
    found = workspace.artefact("health")
    return found is not None and workspace.fits(found) and DUPLICATE in _names_of(workspace, "health")


def duplicates(workspace: Workspace) -> np.ndarray:
    """Duplicate group of each clip, int64 (N,), -1 = stands alone: copies of one id, and what was found alike.

    A group that was found and holds copies of an id is one group with them.
    """
    group = strings.first_rows(workspace.table("clips", ["clip_id"])["clip_id"])
    if finds_duplicates(workspace):
        found = workspace.table("health", [DUPLICATE])[DUPLICATE].to_numpy()
        alike = found >= 0
        _, which = np.unique(found[alike], return_inverse=True)
        leader = np.full(which.max(initial=-1) + 1, len(group))
        np.minimum.at(leader, which, group[alike])
        group[alike] = leader[which]
    group[np.bincount(group)[group] == 1] = -1
    return group


def fingerprints(workspace: Workspace, *texts: str) -> list[str]:
    """Fingerprints of the tables that the conditions or bounds in `texts` read beside the clips themselves."""
    text = " ".join(texts)
    keys = [f"columns/{name}" for name in _used(text, _joined(workspace))]
    keys += [table for table in ("health", "listed") if _used(text, _names_of(workspace, table))]
    return [f"{key}:{workspace.fingerprint(key)}" for key in keys]


def _names_of(workspace: Workspace, table: str) -> list[str]:
    """Columns of a table of the workspace, but for what tells its rows; none where it is not there."""
    if workspace.artefact(table) is None:
        return []
    names = pq.read_schema(workspace.artefact_path(table)).names
    return [name for name in names if table == "clips" or not (name in _KEYS or is_answer(name))]


def _joined(workspace: Workspace) -> list[str]:
    names = [key.partition("/")[2] for key in workspace.keys("columns")]
    return [name for name in names if not is_answer(name)]


def _used(text: str, names: list[str]) -> list[str]:
    return [name for name in names if name.lower() in text.lower()]


def _tables(workspace: Workspace, text: str) -> tuple[dict[str, pa.Table], str]:
    """The joined columns that `text` names, as tables, and SQL that puts them beside clips and health, a row a clip."""
    joined = _used(text, _joined(workspace))
    tables = {f"joined_{i}": workspace.table(f"columns/{name}") for i, name in enumerate(joined)}
    source = "SELECT * FROM clips"
    if _used(text, _names_of(workspace, "health")):
        workspace.require_fitting("health", "health")
        source += " LEFT JOIN (SELECT * EXCLUDE (clip_id) FROM health) USING (row)"
    listed = _used(text, _names_of(workspace, "listed"))
    if listed:
        source += f" LEFT JOIN (SELECT video_id, {', '.join(map(_quoted, listed))} FROM listed) USING (video_id)"
    for table, name in zip(tables, joined, strict=True):
        # Copies of a clip have one id: each of them gets the value once
        once = f"SELECT clip_id, ANY_VALUE({_quoted(name)}) AS {_quoted(name)} FROM {table} GROUP BY clip_id"
        source += f" LEFT JOIN ({once}) USING (clip_id)"
    return tables, source


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
