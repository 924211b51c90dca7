"""What the cluster page computes, cached: clusterings and columns go in; rows, agreement and overlaps come out.

Keyed on the workspace's path and the fingerprints of what was read, like `measures`; nobody may write into a result.
Columns named `label*` and `truth*` are answers: they are shown here and read by no stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import streamlit as st

from curation.workspace import Workspace
from explorer import cluster_names, data
from explorer.views import clusters as views
from explorer.views import contingency as tables
from explorer.views import words

VALUES_MAX = 1000
"""A column of more different values is no partition that anybody reads."""
_COLUMN = "column:"


@dataclass(frozen=True)
class Partition:
    """A value for every clip: `codes` int32 (N,), -1 = none; `names` of a column's values, None for a clustering."""

    codes: np.ndarray
    names: tuple[str, ...] | None
    n: int


def options(ws: Workspace, name: str) -> dict[str, str]:
    """What a clustering can be held against, key -> words: label columns, clusterings, other columns."""
    columns = sorted(data.columns(ws), key=lambda column: (not column.startswith("label"), column))
    labels = [column for column in columns if column.startswith("label")]
    others = [column for column in columns if not column.startswith("label")]
    found = {f"{_COLUMN}{column}": f"{column} (answers)" for column in labels}
    found |= {other: words.layer(other) for other in data.clusterings(ws) if other != name}
    return found | {f"{_COLUMN}{column}": f"{column} (column)" for column in others}


def partition(ws: Workspace, key: str) -> Partition | None:
    """The partition called `key`, or None: it is not there, or a column has more than `VALUES_MAX` values."""
    if not key.startswith(_COLUMN):
        if key not in data.clusterings(ws):
            return None
        return Partition(data.assignments(ws, key), None, len(data.sizes(ws, key)))
    column = key.removeprefix(_COLUMN)
    if column not in data.columns(ws):
        return None
    return _column(str(ws.path), column, ws.fingerprint(f"columns/{column}") or "", ws.fingerprint("clips") or "")


def value_names(ws: Workspace, key: str, values: Sequence[int]) -> list[str]:
    """What values of a partition are called: a cluster's number and name, or a column's value, shortened."""
    found = partition(ws, key)
    if found is None or found.names is None:
        return cluster_names.labels(ws, key, values)
    texts = [" ".join(found.names[value].split()) or "empty" if value >= 0 else "other" for value in values]
    return [cluster_names.shortened(text, cluster_names.LABEL_CHARS) for text in texts]


def rows(ws: Workspace, name: str, run: str | None, against: str | None) -> list[views.ClusterRow]:
    """Clusters, largest first, with how many of each `run` selected, and their purity against a partition."""
    key = against if against and partition(ws, against) is not None else ""
    return _rows(str(ws.path), name, run or "", key, _prints(ws, name, key, run))


def agreement(ws: Workspace, name: str, against: str) -> views.Agreement | None:
    """How far a clustering and a partition agree; None where they share no clip."""
    return _agreement(str(ws.path), name, against, _prints(ws, name, against, None))


def matches(ws: Workspace, name: str, against: str) -> views.Cross:
    """The cross-tabulation of a clustering with a partition."""
    return _cross(str(ws.path), name, against, _prints(ws, name, against, None))


def members(ws: Workspace, name: str, cluster: int, against: str, value: int) -> np.ndarray:
    """Rows of the clips of a cluster that have a value of a partition."""
    found = partition(ws, against)
    if found is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero((data.assignments(ws, name) == cluster) & (found.codes == value))


def fold_of(ws: Workspace, key: str) -> tables.Fold:
    """The largest values of a partition, the others as one."""
    found = partition(ws, key)
    return tables.fold(np.zeros(1, np.int64) if found is None else views.cluster_sizes(found.codes, found.n))


def _prints(ws: Workspace, name: str, against: str, run: str | None) -> tuple[str, ...]:
    key = f"columns/{against.removeprefix(_COLUMN)}" if against.startswith(_COLUMN) else f"clusterings/{against}"
    found = [ws.fingerprint(f"clusterings/{name}"), ws.fingerprint(key) if against else ""]
    found += [ws.fingerprint("clips"), ws.fingerprint(f"selections/{run}") if run else ""]
    return tuple(value or "" for value in found)


@st.cache_resource(max_entries=8, show_spinner=False)
def _column(path: str, name: str, fingerprint: str, clips: str) -> Partition | None:
    ws = Workspace.open(path)
    table = pq.read_table(ws.artefact_path(f"columns/{name}"), partitioning=None)
    values = [field for field in table.column_names if field != "clip_id"]
    if not values or "clip_id" not in table.column_names:
        return None
    column = table[name if name in values else values[0]].combine_chunks()
    if pa.types.is_floating(column.type) or pa.types.is_nested(column.type):
        return None
    here = ws.table("clips", ["clip_id"])["clip_id"]
    if not table["clip_id"].equals(here):
        column = column.take(pc.index_in(here.combine_chunks(), table["clip_id"].combine_chunks()))
    coded = pc.dictionary_encode(column)
    if len(coded.dictionary) > VALUES_MAX:
        return None
    order = pc.sort_indices(coded.dictionary).to_numpy()
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    indices = np.asarray(coded.indices.fill_null(-1), np.int32)
    codes = np.where(indices >= 0, place[indices.clip(min=0)] if len(place) else -1, -1).astype(np.int32)
    codes.flags.writeable = False
    texts = [coded.dictionary[int(i)].as_py() for i in order]
    return Partition(
        codes, tuple(str(text).lower() if isinstance(text, bool) else str(text) for text in texts), len(texts)
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _rows(path: str, name: str, run: str, against: str, prints: tuple[str, ...]) -> list[views.ClusterRow]:
    ws = Workspace.open(path)
    selected = data.selected_mask(ws, run) if run else None
    other = partition(ws, against) if against else None
    labels = other.codes if other is not None else None
    return views.cluster_rows(data.assignments(ws, name), len(data.sizes(ws, name)), selected, labels)


@st.cache_resource(max_entries=16, show_spinner=False)
def _agreement(path: str, name: str, against: str, prints: tuple[str, ...]) -> views.Agreement | None:
    ws = Workspace.open(path)
    other = partition(ws, against)
    return None if other is None else views.agreement(data.assignments(ws, name), other.codes)


@st.cache_resource(max_entries=8, show_spinner=False)
def _cross(path: str, name: str, against: str, prints: tuple[str, ...]) -> views.Cross:
    ws = Workspace.open(path)
    other = partition(ws, against)
    codes = other.codes if other is not None else np.full(data.n_clips(ws), -1)
    return views.cross(data.assignments(ws, name), codes)
