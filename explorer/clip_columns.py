"""Columns of clips that may be looked at: a name or an SQL condition goes in, values or a mask of all clips come out.

Unlike `curation.columns`, which feeds stages, answers (truth, labels) may be named here: looking is not choosing. Kept
are a few arrays at a time, keyed on the workspace and the fingerprints of what was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import streamlit as st

from curation.errors import InputError
from curation.workspace import Workspace
from explorer import data

Kind = Literal["yes", "number", "text"]
SQL_MAX = 2000
SQL_TIME_LIMIT_S = 5.0
_CLIP_COLUMNS = ("start_s", "end_s", "source", "title", "path", "status", "code")
_TABLE_WORDS = {"clips": "of the clips", "health": "health", "listed": "came with the media", "joined": "brought in"}


@dataclass(frozen=True)
class Column:
    """One column: `table` is clips, health, listed or joined; `unit` and `meaning` as far as they are known."""

    name: str
    kind: Kind
    table: str
    unit: str = ""
    meaning: str = ""

    @property
    def words(self) -> str:
        """The name, its unit, and where it comes from."""
        return f"{self.name}{f', {self.unit}' if self.unit else ''} ({_TABLE_WORDS[self.table]})"


def columns_of(ws: Workspace) -> dict[str, Column]:
    """All columns by name: those of the clips, of their health, those that came with the media or were brought in."""
    return _columns_of(str(ws.path), _prints(ws))


def numbers(ws: Workspace, name: str) -> np.ndarray:
    """A column of numbers, or of yes and no as 1 and 0, float32 (N,), NaN = no value."""
    return _numbers(str(ws.path), name, _prints(ws))


def span(ws: Workspace, name: str) -> tuple[float, float]:
    """The least and the largest value of a column of numbers; (0, 0) without any."""
    return _span(str(ws.path), name, _prints(ws))


def texts(ws: Workspace, name: str) -> pa.ChunkedArray:
    """A column of texts, string (N,), null = no value; not kept."""
    return pc.cast(_values(ws, columns_of(ws)[name]), pa.string())


def order_key(ws: Workspace, name: str) -> np.ndarray:
    """A rising key of a column, float32 (N,), NaN = no value: numbers themselves, of texts their rank."""
    return numbers(ws, name) if columns_of(ws)[name].kind != "text" else _text_rank(str(ws.path), name, _prints(ws))


def matching(ws: Workspace, condition: str) -> np.ndarray:
    """Clips that meet a condition in SQL, bool (N,). Raises `InputError` in words: wrong, too slow, or no condition."""
    return _matching(str(ws.path), condition, _prints(ws))


# -- inside ------------------------------------------------------------------------------------------------------------


def _prints(ws: Workspace) -> tuple[str, ...]:
    keys = ["clips", "health", "listed", *ws.keys("columns")]
    return tuple(f"{key}:{ws.fingerprint(key) or ''}" for key in keys)


@st.cache_resource(max_entries=8, show_spinner=False)
def _columns_of(path: str, prints: tuple[str, ...]) -> dict[str, Column]:
    ws = Workspace.open(path)
    found: dict[str, Column] = {"duration_s": Column("duration_s", "number", "clips", "s", "Length of the clip.")}
    artefact = ws.artefact("health")
    told = {one["name"]: one for one in (artefact.info.get("columns", []) if artefact else [])}
    for table in ("health", "clips", "listed"):
        if ws.artefact(table) is None or (table == "health" and not (artefact and ws.fits(artefact))):
            continue
        for field in pq.read_schema(ws.artefact_path(table)):
            kind = _kind(field.type)
            key = field.name == "row" or field.name.endswith(("_row", "_id"))
            wanted = field.name in _CLIP_COLUMNS if table == "clips" else not key
            if kind is not None and wanted and field.name not in found:
                about = told.get(field.name, {}) if table == "health" else {}
                found[field.name] = Column(
                    field.name, kind, table, str(about.get("unit", "")), str(about.get("definition", ""))
                )
    for key in ws.keys("columns"):
        name = key.partition("/")[2]
        fields = [field for field in pq.read_schema(ws.artefact_path(key)) if field.name != "clip_id"]
        field = next((one for one in fields if one.name == name), fields[0] if fields else None)
        kind = _kind(field.type) if field is not None else None
        if kind is not None:
            found[name] = Column(name, kind, "joined")
    return found


def _kind(kind: pa.DataType) -> Kind | None:
    if pa.types.is_boolean(kind):
        return "yes"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "number"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def _values(ws: Workspace, column: Column) -> pa.ChunkedArray:
    """The values of a column, one a clip."""
    name = column.name
    if column.table == "clips" and name == "duration_s":
        times = ws.table("clips", ["start_s", "end_s"])
        return pc.subtract(times["end_s"], times["start_s"])
    if column.table in ("clips", "health"):
        return ws.table(column.table, [name])[name]
    if column.table == "joined":
        found = data.column(ws, name)
        assert found is not None
        return pa.chunked_array([pa.array(found, from_pandas=True)])
    sql = f"SELECT value FROM (SELECT row, video_id FROM clips) LEFT JOIN (SELECT video_id, {_quoted(name)} AS value "
    return ws.query(f"{sql} FROM listed) USING (video_id) ORDER BY row")["value"]


@st.cache_resource(max_entries=12, show_spinner=False)
def _numbers(path: str, name: str, prints: tuple[str, ...]) -> np.ndarray:
    ws = Workspace.open(path)
    values = _values(ws, columns_of(ws)[name]).combine_chunks()
    found = np.asarray(pc.cast(values, pa.float32(), safe=False).to_numpy(zero_copy_only=False), np.float32)
    return _kept(found)


@st.cache_resource(max_entries=64, show_spinner=False)
def _span(path: str, name: str, prints: tuple[str, ...]) -> tuple[float, float]:
    values = _numbers(path, name, prints)
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


@st.cache_resource(max_entries=4, show_spinner=False)
def _text_rank(path: str, name: str, prints: tuple[str, ...]) -> np.ndarray:
    codes = texts(Workspace.open(path), name).combine_chunks().dictionary_encode()
    order = np.asarray(pc.sort_indices(codes.dictionary))
    rank = np.empty(len(order), np.float32)
    rank[order] = np.arange(len(order), dtype=np.float32)
    where = codes.indices.to_numpy(zero_copy_only=False)
    known = ~np.isnan(where) if where.dtype.kind == "f" else np.ones(len(where), bool)
    key = np.full(len(where), np.nan, np.float32)
    key[known] = rank[where[known].astype(np.int64)]
    return _kept(key)


@st.cache_resource(max_entries=8, show_spinner=False)
def _matching(path: str, condition: str, prints: tuple[str, ...]) -> np.ndarray:
    ws = Workspace.open(path)
    _check_condition(ws, condition)
    tables, source = _source(ws, condition)
    sql = f"SELECT row FROM ({source}) WHERE (\n{condition}\n)"
    rows = ws.query(sql, time_limit_s=SQL_TIME_LIMIT_S, **tables)["row"].to_numpy()
    mask = np.zeros(ws.n_rows("clips"), bool)
    mask[rows] = True
    return _kept(mask)


def _check_condition(ws: Workspace, condition: str) -> None:
    """Refuse what is more than one condition: text that closes the bracket it stands in and goes on."""
    if len(condition) > SQL_MAX:
        raise InputError(f"A condition has at most {SQL_MAX:,} characters.", hint="Make it shorter.")
    parsed = ws.query(
        "SELECT json_serialize_sql(sql) AS tree FROM said",
        said=pa.table({"sql": [f"SELECT (\n{condition}\n) AS met"]}),
    )["tree"][0].as_py()
    told = ws.query(
        "SELECT tree ->> '$.error' AS error, tree ->> '$.error_message' AS message, "
        "json_array_length(tree, '$.statements') AS statements, "
        "tree ->> '$.statements[0].node.type' AS kind, "
        "json_array_length(tree, '$.statements[0].node.select_list') AS selected, "
        "tree ->> '$.statements[0].node.from_table.type' AS source, "
        "json_array_length(tree, '$.statements[0].node.modifiers') AS modifiers FROM said",
        said=pa.table({"tree": [parsed]}),
    ).to_pylist()[0]
    if told["error"] == "true":
        raise InputError(
            f"The condition cannot be read: {told['message']}",
            hint="Write one condition, such as loudness_lufs < -40 AND speech_like.",
        )
    plain = (told["statements"], told["kind"], told["selected"], told["source"], told["modifiers"])
    if plain != (1, "SELECT_NODE", 1, "EMPTY", 0):
        raise InputError("This is more than one condition.", hint="Give one condition on the columns; nothing else.")


def _source(ws: Workspace, condition: str) -> tuple[dict[str, pa.Table], str]:
    """The brought-in columns that a condition names, as tables, and SQL that has one row a clip with all columns."""
    text = condition.lower()
    known = columns_of(ws)
    named = [column for column in known.values() if column.name.lower() in text]
    length = ", end_s - start_s AS duration_s" if known["duration_s"].table == "clips" else ""
    source = f"SELECT *{length} FROM clips"
    if any(column.table == "health" for column in named):
        source += " LEFT JOIN (SELECT * EXCLUDE (clip_id) FROM health) USING (row)"
    listed = [_quoted(column.name) for column in named if column.table == "listed"]
    if listed:
        source += f" LEFT JOIN (SELECT video_id, {', '.join(listed)} FROM listed) USING (video_id)"
    tables = {}
    for i, column in enumerate(column for column in named if column.table == "joined"):
        values = data.column(ws, column.name)
        tables[f"joined_{i}"] = pa.table(
            {"row": np.arange(data.n_clips(ws)), column.name: pa.array(values, from_pandas=True)}
        )
        source += f" LEFT JOIN joined_{i} USING (row)"
    return tables, source


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _kept(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values
