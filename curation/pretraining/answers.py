"""Labels of a workspace's own clips: joined columns or a table in, classes and sources a clip out.

They answer; nothing is chosen by them. Rows of a table are found by file name. A cell may name several sources,
separated by spaces, and names may count only within the class of another column: `images@visual_class`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from curation.errors import InputError
from curation.pretraining.labelled import rows_of
from curation.workspace import Workspace

SHOWN = 8


@dataclass(frozen=True)
class Answers:
    """Of N clips. `picture_label`, `sound_label` int (N,), -1 = none, into `classes`; `picture_source`, `sound_source`:
    names of each clip's sources; `right` bool (N,), or None where only one kind of label is known.
    """

    classes: tuple[str, ...]
    picture_label: np.ndarray
    sound_label: np.ndarray
    picture_source: list[list[str]]
    sound_source: list[list[str]]
    right: np.ndarray | None

    def of(self, rows: np.ndarray) -> Answers:
        """Those of some clips."""
        return Answers(
            self.classes,
            self.picture_label[rows],
            self.sound_label[rows],
            [self.picture_source[i] for i in rows],
            [self.sound_source[i] for i in rows],
            None if self.right is None else self.right[rows],
        )


def read_answers(
    workspace: Workspace,
    file: Path | None = None,
    *,
    key: str = "path",
    picture_label: str = "",
    sound_label: str = "",
    picture_source: str = "",
    sound_source: str = "",
) -> Answers:
    """Labels and sources of every clip, from the columns of `file`, or from columns joined to the workspace.

    `key`: the file's column with the name, or the path within its folder, of a media file. Without a column of sources
    the clip's own `source` counts. Raises `InputError` for columns that are not there, and where no clip has a label.
    """
    labels = [name for name in (picture_label, sound_label) if name]
    if not labels:
        raise InputError("No column of labels is named.", hint="Give --picture-label, --sound-label or both.")
    sources = [part for name in (picture_source, sound_source) for part in name.split("@") if part]
    wanted = list(dict.fromkeys([*labels, *sources]))
    cells = _of_columns(workspace, wanted) if file is None else _of_file(workspace, file, key, wanted)
    classes = sorted({text for name in labels for text in cells[name] if text})
    if not classes:
        raise InputError(f"No clip has a label in {' or '.join(labels)}.")
    if len(labels) == 2:
        _check_match(labels, *({text for text in cells[name] if text} for name in labels))
    place = {name: k for k, name in enumerate(classes)}
    own = [[str(name)] for name in workspace.table("clips", ["source"])["source"].to_pylist()]
    none = np.full(len(own), -1, np.int64)
    seen, heard = (
        np.array([place.get(text, -1) for text in cells[name]], np.int64) if name else none
        for name in (picture_label, sound_label)
    )
    picture, sound = (_sources(cells, name, own) if name else own for name in (picture_source, sound_source))
    right = (seen == heard) & (seen >= 0) if len(labels) == 2 else None
    return Answers(tuple(classes), seen, heard, picture, sound, right)


def _check_match(columns: Sequence[str], seen: set[str], heard: set[str]) -> None:
    """Raises `InputError` where pictures and sounds have no class in common."""
    if seen and heard and not seen & heard:
        some = [", ".join(sorted(names)[:SHOWN]) for names in (seen, heard)]
        raise InputError(
            f"The labels do not match: no class is both in {columns[0]} ({some[0]}) and in {columns[1]} ({some[1]}).",
            hint="Write the classes of pictures and of sounds alike, or name only one of the two columns.",
        )


def _sources(cells: dict[str, list[str]], name: str, own: list[list[str]]) -> list[list[str]]:
    """Names of each clip's sources; its own where the cell is empty."""
    column, _, within = name.partition("@")
    prefix = [f"{text} " for text in cells[within]] if within else [""] * len(own)
    return [[before + one for one in text.split()] or other for before, text, other in zip(prefix, cells[column], own)]


def _of_columns(workspace: Workspace, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Texts of joined columns, a clip each, empty = none."""
    known = [key.partition("/")[2] for key in workspace.keys("columns")]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise InputError(
            f"{workspace.name} has no column {', '.join(missing)}.",
            hint=f"Joined columns: {', '.join(known) or 'none'}. Give --labels FILE for those of a table.",
        )
    ids = workspace.table("clips", ["clip_id"])["clip_id"].combine_chunks()
    cells = {}
    for name in wanted:
        table = workspace.table(f"columns/{name}")
        found = table[name].combine_chunks().take(pc.index_in(ids, table["clip_id"].combine_chunks()))
        cells[name] = [_text(value) for value in found.to_pylist()]
    return cells


def _of_file(workspace: Workspace, file: Path, key: str, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Texts of a table's columns, a clip each, empty = none."""
    table = rows_of(file)
    missing = [name for name in [key, *wanted] if not table or name not in table[0]]
    if missing:
        there = ", ".join(map(str, table[0])) if table else "none"
        raise InputError(f"{file} has no column {', '.join(missing)}.", hint=f"Its columns: {there}.")
    at = _rows(workspace.table("clips", ["path"])["path"].to_pylist(), [str(row[key]) for row in table], file)
    return {name: ["" if i < 0 else _text(table[i][name]) for i in at] for name in wanted}


def _text(value: Any) -> str:
    """A cell as text; empty for none, also as floats write it (NaN)."""
    return "" if value is None or value != value else str(value).strip()


def _rows(paths: Sequence[str], keys: Sequence[str], file: Path) -> list[int]:
    """Row of the table of each clip, -1 = none: by path, else by the file's name where that is unambiguous."""
    by_key = {name: i for i, name in enumerate(keys)}
    if len(by_key) < len(keys):
        raise InputError(f"{file} names a file twice.", hint="One row a file.")
    count: dict[str, int] = {}
    for path in set(paths):
        name = path.rpartition("/")[2]
        count[name] = count.get(name, 0) + 1
    found = []
    for path in paths:
        name = path.rpartition("/")[2]
        found.append(by_key.get(path, by_key.get(name, -1) if count[name] == 1 else -1))
    if all(i < 0 for i in found):
        shown = ", ".join(list(by_key)[:SHOWN])
        raise InputError(f"No clip of the workspace has a row in {file} (it names {shown}, ...).")
    return found
