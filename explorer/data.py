"""Cached readers: a workspace in, its tables and arrays out. Shared by all sessions, so nobody may write into them.

Every cache is keyed on the workspace's path and the artefact's fingerprint, so a new result is read and an old one
never shown; large arrays stay memory maps. What was made of another list of clips is left out; a selection
of one stays, by the ids of its clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import streamlit as st

from curation.atomic import read_json
from curation.errors import MissingArtefactError
from curation.remembered import remembered, remembered_folder
from curation.workspace import MARKER, Workspace
from explorer.clip_file import Clip, ClipFile

# Columns of tables of videos that no page shows; some are large.
HEAVY_COLUMNS = ("path_bytes", "cuts_s", "scores", "signatures", "step_s")
OTHER_CLIPS = "made of another list of clips"
OTHER_CLUSTERS = "clusters changed since"
# How many of each kind the caches hold, by what one takes; the workspaces of a few sessions fit together.
_MAPS = 64  # memory maps: next to nothing
_RUNS = 24  # of selections: pages draw up to eight at once, each with its picks, its curve and its mask
_COLUMNS = 8  # a value for every clip, or a table of videos
_WORKSPACES = 4  # what there is one of in a workspace


def clips_at(ws: Workspace, rows: np.ndarray) -> list[Clip]:
    """Some clips in the order of `rows` (few: what a page shows)."""
    return _clip_file(str(ws.path), _fingerprint(ws, "clips")).clips(np.asarray(rows, np.int64))


def clip_at(ws: Workspace, row: int) -> Clip:
    """One clip."""
    return clips_at(ws, np.array([row]))[0]


def n_clips(ws: Workspace) -> int:
    """Number of clips, without reading the table."""
    return ws.n_rows("clips") if ws.artefact_path("clips").is_file() else 0


def row_of(ws: Workspace, clip_id: str) -> int | None:
    """The row of a clip, or None when there is no such clip."""
    fingerprint = ws.fingerprint("clips")
    return _clip_file(str(ws.path), fingerprint).row_of(clip_id) if fingerprint is not None else None


def rows_of(ws: Workspace, clip_ids: Sequence[str]) -> np.ndarray:
    """Rows of those clips that are there, ascending, int64 (m,)."""
    return _clip_file(str(ws.path), _fingerprint(ws, "clips")).rows_of(clip_ids)


def ids_at(ws: Workspace, rows: np.ndarray) -> list[str]:
    """Ids of the clips at `rows`, int (m,) ascending; for as many as are written somewhere, not for all there are."""
    return _clip_file(str(ws.path), _fingerprint(ws, "clips")).ids_at(np.asarray(rows, np.int64))


def hours(ws: Workspace) -> np.ndarray:
    """Length of every clip, hours, float32 (N,)."""
    return _hours(str(ws.path), _fingerprint(ws, "clips"))


def total_hours(ws: Workspace, rows: np.ndarray | None = None) -> tuple[float, int]:
    """Length of clips (all by default), hours, and how many of them are not in it: their times are not known.

    NaN where no clip's times are known; 0 of no clips.
    """
    if rows is None:
        return _all_hours(str(ws.path), _fingerprint(ws, "clips"))
    return _known_sum(hours(ws)[rows])


def source_codes(ws: Workspace) -> np.ndarray:
    """A number for each clip's source, int32 (N,), 0 = the first clip's; what counts as one source is in the table."""
    return _source_codes(str(ws.path), _fingerprint(ws, "clips"))


def clusterings(ws: Workspace) -> dict[str, dict[str, Any]]:
    """Name -> facts (modality, extractor, layer, n_clusters, inertia, report, fingerprint, ...), sounds first."""
    clips = ws.artefact_path("clips")
    if not clips.is_file():
        return {}
    return dict(remembered_folder(ws.path / "clusterings", [clips], lambda: _clusterings(ws)))


def _clusterings(ws: Workspace) -> dict[str, dict[str, Any]]:
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
    clips = ws.artefact_path("clips")
    if not clips.is_file():
        return {}
    beside = [ws.path / "clusterings", clips]
    return dict(remembered_folder(ws.path / "selections", beside, lambda: _selections(ws)))


def _selections(ws: Workspace) -> dict[str, dict[str, Any]]:
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
        length = remembered(ws.artefact_path(key) / f"{name}.npy", lambda _: len(ws.array(key, name)))
    except (FileNotFoundError, MissingArtefactError):
        return False
    return bool(length == n_clips(ws)) and not _of_other_clips(ws, key)


def _of_other_clips(ws: Workspace, key: str) -> bool:
    """True where an artefact says so itself; what was made before artefacts said it is judged by its length."""
    artefact = ws.artefact(key)
    return artefact is not None and not ws.fits(artefact)


@st.cache_resource(max_entries=_MAPS, show_spinner=False)
def _mapped(path: str, key: str, fingerprint: str, name: str) -> np.ndarray:
    return Workspace.open(path).array(key, name)


@st.cache_resource(max_entries=_WORKSPACES, show_spinner=False)
def _clip_file(path: str, fingerprint: str) -> ClipFile:
    return ClipFile(Workspace.open(path).artefact_path("clips"))


@st.cache_resource(max_entries=_WORKSPACES, show_spinner=False)
def _hours(path: str, fingerprint: str) -> np.ndarray:
    file = _clip_file(path, fingerprint)
    seconds = pc.subtract(file.column("end_s"), file.column("start_s"))
    return _kept(np.asarray(seconds, np.float32) / np.float32(3600))


@st.cache_resource(max_entries=_WORKSPACES, show_spinner=False)
def _all_hours(path: str, fingerprint: str) -> tuple[float, int]:
    return _known_sum(_hours(path, fingerprint))


def _known_sum(values: np.ndarray) -> tuple[float, int]:
    known = np.isfinite(values)
    n_known = int(np.count_nonzero(known))
    if len(values) and not n_known:
        return float("nan"), len(values)
    return float(values[known].sum(dtype=np.float64)), len(values) - n_known


@st.cache_resource(max_entries=_WORKSPACES, show_spinner=False)
def _source_codes(path: str, fingerprint: str) -> np.ndarray:
    codes = _clip_file(path, fingerprint).column("source").combine_chunks().fill_null("").dictionary_encode()
    return _kept(np.asarray(codes.indices, np.int32))


@st.cache_resource(max_entries=_COLUMNS, show_spinner=False)
def _table(path: str, key: str, fingerprint: str) -> pd.DataFrame:
    found = Workspace.open(path).table(key)
    return found.drop_columns([name for name in HEAVY_COLUMNS if name in found.column_names]).to_pandas()


@st.cache_resource(max_entries=_RUNS, show_spinner=False)
def _frame(path: str, key: str, fingerprint: str, name: str) -> pd.DataFrame:
    file = Workspace.open(path).artefact_path(key) / f"{name}.parquet"
    return pq.read_table(file, partitioning=None).to_pandas()


@st.cache_resource(max_entries=_RUNS, show_spinner=False)
def _picks_by_id(path: str, name: str, fingerprint: str, clips_fingerprint: str) -> pd.DataFrame:
    found = _frame(path, f"selections/{name}", fingerprint, "picks")
    here = _clip_file(path, clips_fingerprint).column("clip_id")
    rows = np.asarray(pc.index_in(pa.array(found["clip_id"], pa.string()), here).fill_null(-1), np.int64)
    return found.assign(row=rows)[rows >= 0].reset_index(drop=True)


@st.cache_resource(max_entries=_RUNS, show_spinner=False)
def _mask(path: str, name: str, fingerprint: str, clips_fingerprint: str) -> np.ndarray:
    workspace = Workspace.open(path)
    mask = np.zeros(workspace.n_rows("clips"), bool)
    mask[picks(workspace, name)["row"].to_numpy()] = True
    mask.flags.writeable = False
    return mask


@st.cache_resource(max_entries=_COLUMNS, show_spinner=False)
def _column(path: str, name: str, fingerprint: str, clips_fingerprint: str) -> np.ndarray | None:
    workspace = Workspace.open(path)
    found = pq.read_table(workspace.artefact_path(f"columns/{name}"), partitioning=None)
    names = [field for field in found.column_names if field != "clip_id"]
    if not names or "clip_id" not in found.column_names:
        return None
    values = found[name if name in names else names[0]].combine_chunks()
    here = _clip_file(path, clips_fingerprint).column("clip_id")
    if not found["clip_id"].equals(here):
        values = values.take(pc.index_in(here.combine_chunks(), found["clip_id"]))
    return _kept(_plain(values))


def _plain(values: pa.Array) -> np.ndarray:
    """Numbers as they are, with NaN where some are missing; booleans too, or as objects with None; texts as objects."""
    found = np.asarray(values.to_numpy(zero_copy_only=False))
    return found if found.dtype.kind in "biuf" else found.astype(object)


def _kept(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values
