"""import_assignments: clusters made elsewhere (integer .npy (N, D), or columns of a table) -> clusterings/<name>."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.atomic import replacing, write_array, write_json
from curation.errors import InputError, SettingError
from curation.importers.clips import Placement, clip_columns, place_rows, read_clip_columns
from curation.importers.growth import place_added
from curation.importers.readers import as_text, check_identifier, is_table, load_npy, read_table, table_columns
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
    *,
    add: bool = False,
) -> dict[str, Any]:
    """Bring in cluster numbers. An array is memory-mapped; one column is in memory at a time.

    `file`: .npy of int8 to int64, shape (N, D), values 0 .. C-1, or -1 for a clip without a value; or a csv, tsv, jsonl
    or parquet with such columns, where empty cells are -1 and clip_id, or path and start_s, if any, name the clips.
    `names`: for an array D texts `modality:name`, for example `audio:a0`; for a table `modality:column`, or
    `modality:name=column`, for the columns that are wanted. A name becomes clusterings/<name>. `clips_file`: see
    `curation.importers.clips.place_rows`; a workspace without clips gets them. `add`: rows that are no clip yet become
    one (`curation.importers.growth.place_added`), and what is there stays: only clips without a value get one.

    Writes for each column assignments (int32, a row for every clip), sizes and params of origin "imported"; there are
    no centroids and no distances. What is already there with the same content is kept. Returns a report: clusterings,
    rows, clips, matched_by, unmatched_rows, clips_without_row, clips_made, notices.

    Raises `InputError`: not integer, out of range, numbers of rows or names that differ (with both numbers), a column
    without any value, a name that a stage made; `SettingError`: a name that is not `audio:...` or `visual:...`.
    """
    own = None
    if Path(file).suffix.lower() in (".npy", ".npz") or not is_table(file):
        array = load_npy(file, n_dims=2, what="assignments (clips, clusterings)")
        if array.dtype.kind not in "iu" or array.dtype == np.uint64:
            raise InputError(f"{file} holds {array.dtype}; assignments are whole numbers (int8 to int64).")
        if not len(array):
            raise InputError(f"{file} has no rows.", hint="An import needs at least one clip.")
        if len(names) != array.shape[1]:
            raise InputError(
                f"{file} has {array.shape[1]} columns, {len(names)} names were given.",
                hint="Give one name for each, for example: --names audio:a0,audio:a1,visual:v0",
            )
        parsed = [(modality, name) for modality, name, _ in _parse_names(names, with_columns=False)]
        columns = [array[:, i] for i in range(len(parsed))]
    else:
        wanted = _parse_names(names, with_columns=True)
        if not wanted:
            raise InputError(f"No column of {file} was named.", hint="For example: --names audio:a0,visual:v0=column")
        parsed = [(modality, name) for modality, name, _ in wanted]
        columns = _table_columns(file, [column for _, _, column in wanted])
        there = set(clip_columns(table_columns(file)).values()) - {column for _, _, column in wanted}
        own = read_clip_columns(file) if there and clips_file is None else None
    for _, name in parsed:
        check_free_clustering(workspace, name)
    counts = [count_clusters(column, name) for column, (_, name) in zip(columns, parsed, strict=True)]
    n_rows = len(columns[0])
    placement = (place_added if add else place_rows)(workspace, n_rows, str(file), clips_file, own)
    notices: list[str] = []
    with writer_lock(workspace.path / "locks" / "cluster.lock", purpose="import of assignments", wait_s=10):
        workspace.recover()
        for column, count, (modality, name) in zip(columns, counts, parsed, strict=True):
            notices += store_assignments(workspace, column, placement, modality, name, count, add=add)
    facts = placement.facts()
    return {"clusterings": len(parsed), "rows": n_rows, **facts, "notices": [*facts.get("notices", []), *notices]}


def _table_columns(file: str | os.PathLike[str], names: list[str]) -> list[np.ndarray]:
    """Columns of a table as int64 (N,), -1 for empty cells. Raises `InputError` for what is no whole number."""
    table = read_table(file, names)
    if not table.num_rows:
        raise InputError(f"{file} has no rows.", hint="An import needs at least one clip.")
    found = []
    for name in names:
        values = table[name]
        if not pa.types.is_integer(values.type):
            try:
                numbers = as_text(values).cast(pa.float64())
                values = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers).cast(pa.int64())
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"{file}: {name} is not a whole number everywhere ({str(error)[:200]}).",
                    hint="Clusters are 0, 1, 2 ...; an empty cell stands for a clip without a value.",
                ) from error
        elif pa.types.is_uint64(values.type):
            raise InputError(f"{file}: {name} holds uint64; assignments are whole numbers (int8 to int64).")
        found.append(pc.fill_null(values.cast(pa.int64()), -1).to_numpy())
    return found


def _parse_names(names: Sequence[str], with_columns: bool) -> list[tuple[str, str, str]]:
    """Modality, name and column of each text; without columns the third is the name."""
    parsed = []
    for text in names:
        modality, _, name = text.strip().partition(":")
        name, equals, column = name.partition("=") if with_columns else (name, "", "")
        if modality not in MODALITIES or not name or (equals and not column):
            form = "modality:name" + " or modality:name=column" * with_columns
            raise SettingError(f"{text!r} is not of the form {form}.", hint="Allowed: audio:NAME, visual:NAME.")
        parsed.append((modality, check_identifier(name, "a clustering"), column or name))
    if len({name for _, name, _ in parsed}) != len(parsed):
        raise SettingError("Two clusterings have the same name.", hint=f"Names given: {', '.join(names)}.")
    return parsed


def check_free_clustering(workspace: Workspace, name: str) -> None:
    """Raise `InputError` for the name of a clustering that a stage made."""
    found = workspace.artefact(f"clusterings/{name}")
    if found is not None and found.info.get("origin") != "imported":
        raise InputError(f"{workspace.name} has a clustering {name!r} of its own.", hint="Import under another name.")


def count_clusters(column: np.ndarray, name: str) -> int:
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


def store_assignments(
    workspace: Workspace,
    column: np.ndarray,
    placement: Placement,
    modality: str,
    name: str,
    n_clusters: int,
    tables: Mapping[str, pa.Table] | None = None,
    *,
    add: bool = False,
) -> list[str]:
    """Write clusterings/<name> of one integer column (rows,); the caller holds the lock. Returns notices.

    `tables`: more tables of the artefact, by file name. `add`: clips that have a value keep it.
    """
    n = placement.n_clips
    assignments = np.empty(n, np.int32)
    for start in range(0, n, _CHUNK):
        stop = min(n, start + _CHUNK)
        assignments[start:stop] = np.where(placement.present(start, stop), placement.rows(column, start, stop), -1)
    existing = workspace.artefact(f"clusterings/{name}") if add else None
    if existing is not None:
        if existing.info["modality"] != modality:
            raise InputError(f"The clustering {name} is {existing.info['modality']}.", hint="Import as such.")
        before = workspace.array(f"clusterings/{name}", "assignments")
        assignments = np.where(before >= 0, before, assignments)
        n_clusters = max(n_clusters, int(existing.info["n_clusters"]))
        if np.array_equal(assignments, before):
            return []
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
    for file, table in (tables or {}).items():
        with replacing(folder / f"{file}.parquet") as temporary:
            pq.write_table(table, temporary)
    facts = {CLIPS_FINGERPRINT: workspace.fingerprint("clips"), **facts}
    write_json(folder / "params.json", facts)
    workspace.commit_folder(key, folder, fingerprint, facts)
    return notices
