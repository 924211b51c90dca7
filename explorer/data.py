"""Cached readers: a workspace in, its tables and arrays out. Shared by all sessions, so nobody may write into them.

Every cache is keyed on the workspace's path and the artefact's fingerprint, so a new result is read and an old one
never shown; large arrays stay memory maps. What was made of another list of clips is left out; a selection
of one stays, by the ids of its clips.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import streamlit as st

from curation.atomic import read_json
from curation.errors import MissingArtefactError
from curation.workspace import MARKER, Workspace

CLIP_COLUMNS = ["row", "clip_id", "video_id", "path", "start_s", "end_s", "source", "title"]
# Columns of tables of videos that no page shows; some are large.
HEAVY_COLUMNS = ("path_bytes", "cuts_s", "scores", "signatures", "step_s")
OTHER_CLIPS = "made of another list of clips"
OTHER_CLUSTERS = "clusters changed since"
_ENTRIES = 64


def clips(ws: Workspace) -> pd.DataFrame:
    """One row a clip, index = row: row, clip_id, video_id, path, start_s, end_s, source, title. Empty without clips."""
    fingerprint = ws.fingerprint("clips")
    if fingerprint is None:
        return pd.DataFrame({name: [] for name in CLIP_COLUMNS})
    return _clips(str(ws.path), fingerprint)


def clip_frame(ws: Workspace, rows: np.ndarray) -> pd.DataFrame:
    """Some clips in the order of `rows` (few: what a page shows), index 0..m-1; the columns of `clips`."""
    return clips(ws).iloc[np.asarray(rows, np.int64)].reset_index(drop=True)


def n_clips(ws: Workspace) -> int:
    """Number of clips, without reading the table."""
    return ws.n_rows("clips") if ws.artefact_path("clips").is_file() else 0


def row_of(ws: Workspace, clip_id: str) -> int | None:
    """The row of a clip, or None when there is no such clip."""
    found = np.flatnonzero((clips(ws)["clip_id"] == clip_id).to_numpy(dtype=bool))
    return int(found[0]) if len(found) else None


def clusterings(ws: Workspace) -> dict[str, dict[str, Any]]:
    """Name -> facts (modality, extractor, layer, n_clusters, inertia, report, fingerprint, ...), sounds first."""
    found = {}
    for key in ws.keys("clusterings"):
        artefact, name = ws.artefact(key), key.partition("/")[2]
        if artefact is not None and _fits(ws, key, "assignments"):
            found[name] = {**artefact.info, "fingerprint": artefact.fingerprint}
    return dict(sorted(found.items(), key=lambda item: item[1].get("modality") != "audio"))


def assignments(ws: Workspace, name: str) -> np.ndarray:
    """Cluster of every clip, int32 (N,), -1 = no value; a memory map."""
    return _array(ws, f"clusterings/{name}", "assignments")


def distances(ws: Workspace, name: str) -> np.ndarray | None:
    """Distance of every clip to its centroid, float32 (N,), NaN = no value; None for imported assignments."""
    return _optional_array(ws, f"clusterings/{name}", "distances")


def sizes(ws: Workspace, name: str) -> np.ndarray:
    """Clips in each cluster, int64 (n_clusters,)."""
    found = _optional_array(ws, f"clusterings/{name}", "sizes")
    if found is not None:
        return found
    values = assignments(ws, name)
    return np.bincount(values[values >= 0], minlength=int(clusterings(ws)[name].get("n_clusters", 0)))


def selections(ws: Workspace) -> dict[str, dict[str, Any]]:
    """Name -> facts (method, budget, pairing, clips, candidates, hours, objective, report, made, ...), newest first.

    `why` says why it is not of what is there now (`OTHER_CLIPS`, `OTHER_CLUSTERS`, else ""), `stale` whether it is not.
    """
    found = {}
    present = {key.partition("/")[2]: ws.fingerprint(key) for key in ws.keys("clusterings")}
    for key in ws.keys("selections"):
        artefact, name = ws.artefact(key), key.partition("/")[2]
        if artefact is None or not (_of_other_clips(ws, key) or _fits(ws, key, "scores")):
            continue
        used = artefact.info.get("clusterings", {})
        changed = any(present.get(layer) != fingerprint for layer, fingerprint in used.items())
        why = OTHER_CLIPS if _of_other_clips(ws, key) else OTHER_CLUSTERS if changed else ""
        made = float(read_json(ws.artefact_path(key) / MARKER).get("made", 0.0))
        facts = {"fingerprint": artefact.fingerprint, "made": made, "why": why, "stale": bool(why)}
        found[name] = {**artefact.info, **facts}
    return dict(sorted(found.items(), key=lambda item: -item[1]["made"]))


def picks(ws: Workspace, name: str) -> pd.DataFrame:
    """The clips of a selection in picking order: rank (from 1), row, clip_id, gain (nats).

    Of a selection made of another list of clips: those that are still there, with their present rows.
    """
    key = f"selections/{name}"
    if _of_other_clips(ws, key):
        return _picks_by_id(str(ws.path), name, _fingerprint(ws, key), _fingerprint(ws, "clips"))
    return _frame(str(ws.path), key, _fingerprint(ws, key), "picks")


def selected_mask(ws: Workspace, name: str) -> np.ndarray:
    """Which clips a selection holds, bool (N,)."""
    return _mask(str(ws.path), name, _fingerprint(ws, f"selections/{name}"), _fingerprint(ws, "clips"))


def scores(ws: Workspace, name: str) -> np.ndarray:
    """Score of every clip, float64 (N,), NaN = never scored, or made of another list of clips; a memory map."""
    key = f"selections/{name}"
    return np.full(n_clips(ws), np.nan) if _of_other_clips(ws, key) else _array(ws, key, "scores")


def score_column(ws: Workspace, name: str, column: str) -> np.ndarray:
    """One of a selection's further numbers a clip, float64 (N,), NaN = none; a memory map."""
    return _array(ws, f"selections/{name}", f"score_{column}")


def curve(ws: Workspace, name: str) -> pd.DataFrame:
    """Objective against size: size, objective, random, permuted (nats)."""
    return _frame(str(ws.path), f"selections/{name}", _fingerprint(ws, f"selections/{name}"), "curve")


def columns(ws: Workspace) -> list[str]:
    """Names of the columns brought in beside the clips (truth, labels, scores)."""
    return [key.partition("/")[2] for key in ws.keys("columns")]


def column(ws: Workspace, name: str) -> np.ndarray | None:
    """A column's value for every clip (N,): bool, numbers, or objects where some clips have none; None without it."""
    if name not in columns(ws):
        return None
    return _column(str(ws.path), name, ws.fingerprint(f"columns/{name}") or "", _fingerprint(ws, "clips"))


def projection(ws: Workspace, modality: str) -> np.ndarray | None:
    """Place of every clip on the map of "audio" or "visual", float32 (N, 2), NaN = no value; None when not made."""
    key = f"projections/{modality}"
    return _array(ws, key, "xy") if ws.artefact(key) is not None and _fits(ws, key, "xy") else None


def table(ws: Workspace, key: str) -> pd.DataFrame | None:
    """A whole table of videos (`videos`, `filtered`, `segmented`) as a frame, or None when it is not made."""
    fingerprint = ws.fingerprint(key)
    return _table(str(ws.path), key, fingerprint) if fingerprint is not None else None


# -- inside ------------------------------------------------------------------------------------------------------------


def _fingerprint(ws: Workspace, key: str) -> str:
    found = ws.fingerprint(key)
    if found is None:
        raise MissingArtefactError(f"{ws.name} has no {key} yet.", hint="Run what is missing from the first page.")
    return found


def _array(ws: Workspace, key: str, name: str) -> np.ndarray:
    return _mapped(str(ws.path), key, _fingerprint(ws, key), name)


def _optional_array(ws: Workspace, key: str, name: str) -> np.ndarray | None:
    return _array(ws, key, name) if (ws.artefact_path(key) / f"{name}.npy").is_file() else None


def _fits(ws: Workspace, key: str, name: str) -> bool:
    """False for what was made of another list of clips."""
    try:
        return not _of_other_clips(ws, key) and len(_array(ws, key, name)) == n_clips(ws)
    except MissingArtefactError:
        return False


def _of_other_clips(ws: Workspace, key: str) -> bool:
    """True where an artefact says so itself; what was made before artefacts said it is judged by its length."""
    artefact = ws.artefact(key)
    return artefact is not None and not ws.fits(artefact)


@st.cache_resource(max_entries=_ENTRIES, show_spinner=False)
def _mapped(path: str, key: str, fingerprint: str, name: str) -> np.ndarray:
    return Workspace.open(path).array(key, name)


@st.cache_resource(max_entries=4, show_spinner=False)
def _clips(path: str, fingerprint: str) -> pd.DataFrame:
    return Workspace.open(path).table("clips", CLIP_COLUMNS).to_pandas()


@st.cache_resource(max_entries=6, show_spinner=False)
def _table(path: str, key: str, fingerprint: str) -> pd.DataFrame:
    found = Workspace.open(path).table(key)
    return found.drop_columns([name for name in HEAVY_COLUMNS if name in found.column_names]).to_pandas()


@st.cache_resource(max_entries=_ENTRIES, show_spinner=False)
def _frame(path: str, key: str, fingerprint: str, name: str) -> pd.DataFrame:
    file = Workspace.open(path).artefact_path(key) / f"{name}.parquet"
    return pq.read_table(file, partitioning=None).to_pandas()


@st.cache_resource(max_entries=8, show_spinner=False)
def _picks_by_id(path: str, name: str, fingerprint: str, clips_fingerprint: str) -> pd.DataFrame:
    found = _frame(path, f"selections/{name}", fingerprint, "picks")
    here = _clips(path, clips_fingerprint)
    row_of_id = pd.Series(here["row"].to_numpy(), index=here["clip_id"].to_numpy())
    row_of_id = row_of_id[~row_of_id.index.duplicated()]
    kept = found[found["clip_id"].isin(row_of_id.index)].reset_index(drop=True)
    return kept.assign(row=row_of_id.loc[kept["clip_id"]].to_numpy(np.int64))


@st.cache_resource(max_entries=_ENTRIES, show_spinner=False)
def _mask(path: str, name: str, fingerprint: str, clips_fingerprint: str) -> np.ndarray:
    workspace = Workspace.open(path)
    mask = np.zeros(workspace.n_rows("clips"), bool)
    mask[picks(workspace, name)["row"].to_numpy()] = True
    mask.flags.writeable = False
    return mask


@st.cache_resource(max_entries=_ENTRIES, show_spinner=False)
def _column(path: str, name: str, fingerprint: str, clips_fingerprint: str) -> np.ndarray | None:
    workspace = Workspace.open(path)
    found = pq.read_table(workspace.artefact_path(f"columns/{name}"), partitioning=None)
    names = [field for field in found.column_names if field != "clip_id"]
    if not names or "clip_id" not in found.column_names:
        return None
    series = found.to_pandas().drop_duplicates("clip_id").set_index("clip_id")[name if name in names else names[0]]
    values = series.reindex(workspace.table("clips", ["clip_id"])["clip_id"].to_pandas()).to_numpy()
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        values = np.asarray(values, dtype=object)
    values.flags.writeable = False
    return values
