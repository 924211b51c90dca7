"""import_assignments: an integer .npy (N, D) of clusters made elsewhere -> clusterings/<name>, one for each column."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from curation.atomic import write_array, write_json
from curation.errors import InputError, SettingError
from curation.importers.clips import Placement, place_rows
from curation.importers.readers import check_identifier, load_npy
from curation.locks import writer_lock
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

MODALITIES = ("audio", "visual")
CLUSTERS_MAX = 100_000  # a table of counts has the product of two such numbers of cells
_CHUNK = 1 << 20


def import_assignments(
    workspace: Workspace,
    file: str | os.PathLike[str],
    names: Sequence[str],
    clips_file: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Bring in cluster numbers. The array is memory-mapped; one column is in memory at a time.

    `file`: .npy of int8 to int64, shape (N, D), values 0 .. C-1, or -1 for a clip without a value. `names`: D texts
    `modality:name`, for example `audio:a0`; a name becomes clusterings/<name>. `clips_file`: see
    `curation.importers.clips.place_rows`; a workspace without clips gets them.

    Writes for each column assignments (int32, a row for every clip), sizes and params of origin "imported"; there are
    no centroids and no distances. What is already there with the same content is kept. Returns a report: clusterings,
    rows, clips, matched_by, unmatched_rows, clips_without_row, clips_made, notices.

    Raises `InputError`: not integer, out of range, numbers of rows or names that differ (with both numbers), a column
    without any value, a name that a stage made; `SettingError`: a name that is not `audio:...` or `visual:...`.
    """
    array = load_npy(file, n_dims=2, what="assignments (clips, clusterings)")
    if array.dtype.kind not in "iu" or array.dtype == np.uint64:
        raise InputError(f"{file} holds {array.dtype}; assignments are whole numbers (int8 to int64).")
    parsed = _parse_names(names, array.shape[1], file)
    for _, name in parsed:
        _check_free(workspace, name)
    counts = [_check_column(array[:, i], name) for i, (_, name) in enumerate(parsed)]
    placement = place_rows(workspace, len(array), str(file), clips_file)
    notices: list[str] = []
    with writer_lock(workspace.path / "locks" / "cluster.lock", purpose="import of assignments", wait_s=10):
        workspace.recover()
        for i, (modality, name) in enumerate(parsed):
            notices += _write(workspace, array[:, i], placement, modality, name, counts[i])
    return {"clusterings": len(parsed), "rows": len(array), **placement.facts(), "notices": notices}


def _parse_names(names: Sequence[str], n_columns: int, file: str | os.PathLike[str]) -> list[tuple[str, str]]:
    if len(names) != n_columns:
        raise InputError(
            f"{file} has {n_columns} columns, {len(names)} names were given.",
            hint="Give one name for each, for example: --names audio:a0,audio:a1,visual:v0",
        )
    parsed = []
    for text in names:
        modality, _, name = text.strip().partition(":")
        if modality not in MODALITIES or not name:
            raise SettingError(f"{text!r} is not of the form modality:name.", hint="Allowed: audio:NAME, visual:NAME.")
        parsed.append((modality, check_identifier(name, "a clustering")))
    if len({name for _, name in parsed}) != len(parsed):
        raise SettingError("Two clusterings have the same name.", hint=f"Names given: {', '.join(names)}.")
    return parsed


def _check_free(workspace: Workspace, name: str) -> None:
    found = workspace.artefact(f"clusterings/{name}")
    if found is not None and found.info.get("origin") != "imported":
        raise InputError(f"{workspace.name} has a clustering {name!r} of its own.", hint="Import under another name.")


def _check_column(column: np.ndarray, name: str) -> int:
    """Number of clusters of a column. Raises `InputError` for values out of range."""
    low, high = 0, -1
    for start in range(0, len(column), _CHUNK):
        piece = column[start : start + _CHUNK]
        low, high = min(low, int(piece.min())), max(high, int(piece.max()))
    if low < -1:
        raise InputError(f"{name} holds {low}.", hint="Clusters are 0, 1, 2 ...; -1 stands for a clip without a value.")
    if high >= CLUSTERS_MAX:
        raise InputError(
            f"{name} holds {high}; at most {CLUSTERS_MAX} clusters can be used.",
            hint="Number the clusters from 0 without gaps (numpy.unique with return_inverse does).",
        )
    if high < 0:
        raise InputError(f"{name} has no value at all.", hint="Leave this column out.")
    return high + 1


def _write(
    workspace: Workspace, column: np.ndarray, placement: Placement, modality: str, name: str, n_clusters: int
) -> list[str]:
    n = placement.n_clips
    assignments = np.empty(n, np.int32)
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        assignments[start:stop] = np.where(placement.present(start, stop), placement.rows(column, start, stop), -1)
    if not (assignments >= 0).any():
        raise InputError(f"No clip of {workspace.name} has a value in {name}.", hint="Leave this column out.")
    sizes = np.zeros(n_clusters, np.int64)
    for start in range(0, n, _CHUNK):
        piece = assignments[start : start + _CHUNK]
        sizes += np.bincount(piece[piece >= 0], minlength=n_clusters)
    empty = int((sizes == 0).sum())
    notices = [f"{name}: {empty} of {n_clusters} clusters are empty."] if empty else []
    facts: dict[str, Any] = {
        "origin": "imported",
        "modality": modality,
        "extractor": "",
        "layer": name,
        "dim": 0,
        "n_clusters": n_clusters,
        "asked": "imported",
        "clips": int(sizes.sum()),
        "inertia": None,
        "seed": None,
        "report": {"notices": notices},
    }
    digest = hashlib.blake2b(assignments.tobytes(), digest_size=16).hexdigest()
    fingerprint = fingerprint_of(
        {"import": "assignments", "facts": facts, "rows": placement.fingerprint, "values": digest}
    )
    key = f"clusterings/{name}"
    if workspace.fingerprint(key) == fingerprint:
        return notices
    folder = workspace.partial_folder(key, fingerprint)
    write_array(folder / "assignments.npy", assignments)
    write_array(folder / "sizes.npy", sizes)
    facts = {CLIPS_FINGERPRINT: workspace.fingerprint("clips"), **facts}
    write_json(folder / "params.json", facts)
    workspace.commit_folder(key, folder, fingerprint, facts)
    return notices
