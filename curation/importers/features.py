"""import_features: .npy arrays or Parquet list columns made elsewhere -> features/<name>/<layer>/part-*.npy."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.atomic import new_array, replacing, write_array
from curation.errors import InputError, SettingError
from curation.importers.assignments import MODALITIES
from curation.importers.clips import Placement, clip_columns, place_rows, read_clip_columns
from curation.importers.growth import ROWS_PER_PART, failure_counts, link, place_added
from curation.importers.readers import check_identifier, file_digest, load_npy, refuse_pickle
from curation.locks import writer_lock
from curation.progress import Progress
from curation.records import FAILURES
from curation.workspace import CLIPS_FINGERPRINT, Artefact, Workspace, fingerprint_of

_LOOK_ROWS = 4096
SINGLE_LAYER = "features"  # the layer's name when one array is all there is

Source = str | os.PathLike[str]


def import_features(
    workspace: Workspace,
    name: str,
    file: Source | Mapping[str, Source],
    modality: str,
    clips_file: Source | None = None,
    progress: Progress | None = None,
    *,
    add: bool = False,
) -> dict[str, Any]:
    """Bring in feature vectors as features/<name>; at most a part (65,536 rows) of one layer is in memory.

    `file`: a .npy (N, dim), one layer called "features"; a Parquet file, in which each list column is a layer and
    columns clip_id, or path and start_s, if any, name the clips; or a mapping of layer -> file. float16 and float32
    are kept, other numbers become float32. `modality`: "audio" or "visual". `clips_file`: see
    `curation.importers.clips.place_rows`. `add`: rows that are no clip yet become one
    (`curation.importers.growth.place_added`), and where the features are there already only clips without get values.

    A clip is valid when it has a row and all its values in all layers are finite; others are zeros, listed in
    failures.parquet. Returns a report: layers, rows, valid, failures, clips, matched_by, unmatched_rows, ...

    Raises `InputError`: a pickle, a wrong shape, numbers of rows that differ (with both numbers), no valid row.
    """
    check_free(workspace, name, modality)
    layers, own = _layers(file)
    counts = {layer.name: layer.n_rows for layer in layers}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{layer} {count}" for layer, count in counts.items())
        raise InputError(f"The layers have different numbers of rows: {shown}.", hint="All must be of the same clips.")
    n_rows = layers[0].n_rows
    existing = workspace.artefact(f"features/{name}") if add else None
    if existing is not None:  # before any clip is added; lists in Parquet say their length only when they are read
        _check_alike(existing, modality, {layer.name: layer.dim for layer in layers})
    placement = (place_added if add else place_rows)(workspace, n_rows, f"The features {name}", clips_file, own)
    with writer_lock(workspace.path / "locks" / "features.lock", purpose="import of features", wait_s=10):
        workspace.recover()
        digests = {str(path): file_digest(path) for path in {layer.path for layer in layers}}
        content = {layer.name: [digests[str(layer.path)], layer.column] for layer in layers}
        info = store_features(
            workspace,
            name,
            modality,
            content,
            lambda folder: {layer.name: layer.open(folder) for layer in layers},
            placement,
            progress,
            add=add,
        )
    facts = {key: info[key] for key in ("layers", "valid", "failures")}
    return {"features": name, "modality": modality, "rows": n_rows, **facts, **placement.facts()}


def check_free(workspace: Workspace, name: str, modality: str) -> None:
    """Raise for a name or a modality that features cannot have, and for features that a stage made."""
    check_identifier(name, "features")
    if modality not in MODALITIES:
        raise SettingError(f"Modality {modality!r} is unknown.", hint="Allowed: audio, visual.")
    existing = workspace.artefact(f"features/{name}")
    if existing is not None and existing.info.get("origin") != "imported":
        raise InputError(f"{workspace.name} has features {name!r} of its own.", hint="Import them under another name.")


@dataclass(frozen=True)
class _Layer:
    """One layer's file: `column` is None for .npy."""

    name: str
    path: Path
    column: str | None
    n_rows: int

    @property
    def dim(self) -> int | None:
        """Values a row, where they are known without reading."""
        return None if self.column is not None else int(self.open(self.path.parent).shape[1])

    def open(self, folder: Path) -> np.ndarray:
        """A memory map (n_rows, dim); list columns are first written out as .npy into `folder`."""
        if self.column is None:
            return load_npy(self.path, n_dims=2, what="features (clips, dim)")
        plain = folder / "sources" / f"{self.name}.npy"
        if not plain.is_file():
            _unpack(self.path, self.column, self.n_rows, plain)
        return np.load(plain, mmap_mode="r", allow_pickle=False)


def _layers(file: Source | Mapping[str, Source]) -> tuple[list[_Layer], pa.Table | None]:
    """The layers in `file`, checked for shape and kind, and the clip columns that came with them."""
    if isinstance(file, Mapping):
        files = {check_identifier(layer, "a layer"): Path(path).expanduser() for layer, path in file.items()}
    else:
        files = {"": Path(file).expanduser()}
    layers: list[_Layer] = []
    own = None
    for layer, path in files.items():
        refuse_pickle(path)
        if path.suffix.lower() == ".parquet":
            found, columns = _parquet_layers(path, layer)
            layers += found
            if own is not None and columns is not None and not own.equals(columns):
                raise InputError(f"{path} is of other clips than the file before it.", hint="Import them one by one.")
            own = columns if own is None else own
        else:
            array = load_npy(path, n_dims=2, what="features (clips, dim)")
            if array.dtype.kind not in "fiu" or not array.shape[1]:
                raise InputError(f"{path} holds {array.dtype} {array.shape}; features are numbers (clips, dim).")
            layers.append(_Layer(layer or SINGLE_LAYER, path, None, len(array)))
    if not layers:
        raise InputError("No layer was given.", hint="Give one file, or a file for each layer.")
    names = Counter(layer.name for layer in layers)
    if names.most_common(1)[0][1] > 1 or "parts" in names or "sources" in names:
        raise SettingError(f"The layers' names cannot be {', '.join(names)}.", hint="Each needs a name of its own.")
    return layers, own


def _parquet_layers(path: Path, layer: str) -> tuple[list[_Layer], pa.Table | None]:
    if not path.is_file():
        raise InputError(f"There is no file {path}.", hint="Check the path.")
    try:
        schema, n_rows = pq.read_schema(path), pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({error}).") from error
    lists = [field.name for field in schema if _is_vector(field.type)]
    if not lists:
        raise InputError(f"{path} has no column of lists of numbers.", hint=f"Its columns: {', '.join(schema.names)}.")
    if layer and len(lists) > 1:
        raise InputError(f"{path} has several list columns: {', '.join(lists)}.", hint="Give the file alone.")
    own = read_clip_columns(path) if clip_columns(schema.names) else None
    return [_Layer(layer or check_identifier(column, "a layer"), path, column, n_rows) for column in lists], own


def _is_vector(kind: pa.DataType) -> bool:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return listed and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _unpack(path: Path, column: str, n_rows: int, plain: Path) -> None:
    """Write a list column as .npy, batch by batch; a missing list is a row of NaN."""
    with pq.ParquetFile(path) as reader, replacing(plain) as temporary:
        half = pa.types.is_float16(reader.schema_arrow.field(column).type.value_type)
        out: np.memmap | None = None
        start = 0
        for batch in reader.iter_batches(ROWS_PER_PART, columns=[column]):
            lists = batch[column]
            there = pc.is_valid(lists).to_numpy(zero_copy_only=False)
            sizes = pc.unique(pc.list_value_length(lists.filter(pa.array(there)))).to_pylist()
            dim = out.shape[1] if out is not None else sizes[0] if sizes else 0
            if any(size != dim for size in sizes) or (sizes and not dim):
                shown = ", ".join(str(size) for size in sorted({dim, *sizes}))
                raise InputError(f"{path}: the lists in {column} are of different lengths ({shown}).")
            if out is None and dim:
                out = new_array(temporary, np.float16 if half else np.float32, (n_rows, dim))
                out[:start] = np.nan
            if out is not None:
                rows = np.full((len(there), dim), np.nan, out.dtype)
                rows[there] = pc.list_flatten(lists).to_numpy(zero_copy_only=False).reshape(-1, dim)
                out[start : start + len(there)] = rows
            start += len(there)
        if out is None:
            raise InputError(f"{path}: no row of {column} has a list.")
        out.flush()
        del out


def store_features(
    workspace: Workspace,
    name: str,
    modality: str,
    content: Mapping[str, Any],
    open_arrays: Callable[[Path], dict[str, np.ndarray]],
    placement: Placement,
    progress: Progress | None = None,
    tables: Mapping[str, pa.Table] | None = None,
    *,
    add: bool = False,
) -> dict[str, Any]:
    """Write features/<name>, part by part; the caller holds the lock. Returns the artefact's facts.

    `add`: what is there stays, and clips without features get those they have a row for.

    `content`: what the values are made of, for the fingerprint. `open_arrays`: layer -> (rows, dim), memory-mapped, may
    keep files in the folder it is given (`sources`). `tables`: more tables of the artefact, by file name.
    """
    key = f"features/{name}"
    fingerprint = fingerprint_of(
        {"import": "features", "modality": modality, "layers": content, "rows": placement.fingerprint}
    )
    existing = workspace.artefact(key)
    if existing is not None and existing.fingerprint == fingerprint:
        return existing.info
    if add and existing is not None:
        return _add_values(workspace, existing, modality, content, open_arrays, placement, tables or {})
    folder = workspace.partial_folder(key, fingerprint)
    arrays = open_arrays(folder)
    valid, missing = _write_parts(folder, arrays, placement, progress)
    if not valid.any():
        raise InputError(
            f"No clip of {workspace.name} has features {name}: every row has a value that is not finite.",
            hint="Look for NaN and infinite values in the file.",
        )
    write_array(folder / "valid.npy", valid)
    failures = _failures(valid, missing)
    _write_tables(folder, {"failures": failures, **(tables or {})})
    info = {
        "origin": "imported",
        CLIPS_FINGERPRINT: workspace.fingerprint("clips"),
        "modality": modality,
        "layers": {layer: int(array.shape[1]) for layer, array in arrays.items()},
        "clips": len(valid),
        "valid": int(valid.sum()),
        "failures": failure_counts(failures),
    }
    del arrays
    shutil.rmtree(folder / "sources", ignore_errors=True)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    workspace.commit_folder(key, folder, fingerprint, info)
    return info


def _write_tables(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    for file, table in tables.items():
        with replacing(folder / f"{file}.parquet") as temporary:
            pq.write_table(table, temporary)


def _check_alike(existing: Artefact, modality: str, layers: Mapping[str, int | None]) -> None:
    """Raise `InputError` where layers (name -> values a row, None = not known yet) are not those that are there."""
    there = existing.info["layers"]
    same = layers.keys() == there.keys() and all(dim in (None, there[name]) for name, dim in layers.items())
    if modality != existing.info["modality"] or not same:
        raise InputError(
            f"{existing.key} has the layers {there} ({existing.info['modality']}), the file {dict(layers)} "
            f"({modality}).",
            hint="What is added must be made as what is there; import it under another name, or without --add.",
        )


def _add_values(
    workspace: Workspace,
    existing: Artefact,
    modality: str,
    content: Mapping[str, Any],
    open_arrays: Callable[[Path], dict[str, np.ndarray]],
    placement: Placement,
    tables: Mapping[str, pa.Table],
) -> dict[str, Any]:
    """Give the clips that have no features those they have a row for; parts without such a clip stay the same files."""
    old = workspace.artefact_path(existing.key)
    fingerprint = fingerprint_of({"added": existing.fingerprint, "layers": content, "rows": placement.fingerprint})
    folder = workspace.partial_folder(existing.key, fingerprint)
    arrays = open_arrays(folder)
    layers = {layer: int(array.shape[1]) for layer, array in arrays.items()}
    _check_alike(existing, modality, layers)
    before = np.load(old / "valid.npy", allow_pickle=False)
    wanted = placement.present(0, placement.n_clips) & ~before
    good = wanted.copy()
    parts = sorted(path.name for path in (old / next(iter(layers))).glob("part-*.npy"))
    stop = 0
    for part in parts:
        pieces = {layer: np.load(old / layer / part, mmap_mode="r", allow_pickle=False) for layer in layers}
        start, stop = stop, stop + len(next(iter(pieces.values())))
        rows = np.flatnonzero(wanted[start:stop])
        for layer in layers:
            values = _numbers(placement.rows(arrays[layer], start, stop)[rows]).astype(pieces[layer].dtype)
            good[start + rows] &= np.isfinite(values).all(axis=1)
        rows = np.flatnonzero(good[start:stop])
        for layer, piece in pieces.items():
            if len(rows):
                filled = np.array(piece)
                filled[rows] = _numbers(placement.rows(arrays[layer], start, stop)[rows])
                write_array(folder / layer / part, filled)
            else:
                link(old / layer / part, folder / layer / part)
    del arrays
    shutil.rmtree(folder / "sources", ignore_errors=True)
    if not good.any():
        shutil.rmtree(folder, ignore_errors=True)
        return existing.info
    valid = before | good
    earlier = pq.read_table(old / "failures.parquet", partitioning=None)
    refused = earlier.filter(pc.equal(earlier["code"], "not_finite"))["row"].to_numpy()
    missing = ~valid & ~(wanted & ~good)
    missing[refused] = False
    failures = _failures(valid, missing)
    write_array(folder / "valid.npy", valid)
    for file in old.glob("*.parquet"):
        link(file, folder / file.name)
    _write_tables(folder, {"failures": failures, **tables})
    info = existing.info | {"valid": int(valid.sum()), "failures": failure_counts(failures)}
    workspace.commit_folder(existing.key, folder, fingerprint, info)
    return info


def _write_parts(
    folder: Path, arrays: dict[str, np.ndarray], placement: Placement, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Write every part of every layer; returns which clips are valid, and which have no row. Done parts are kept."""
    n = placement.n_clips
    valid, missing = np.zeros(n, bool), np.zeros(n, bool)
    if progress is not None:
        progress.start("import", n, "clips")
    for index, start in enumerate(range(0, n, ROWS_PER_PART)):
        stop = min(n, start + ROWS_PER_PART)
        missing[start:stop] = ~placement.present(start, stop)
        marker = folder / "parts" / f"valid-{index:06d}.npy"
        if not marker.is_file():
            good = ~missing[start:stop]
            for array in arrays.values():
                good &= _finite(array, placement, start, stop)
            for layer, array in arrays.items():  # read again: all layers of a part together may be gigabytes
                piece = _numbers(placement.rows(array, start, stop))
                piece[~good] = 0
                write_array(folder / layer / f"part-{index:06d}.npy", piece)
            write_array(marker, good)  # written last: it says that the part is whole
        valid[start:stop] = np.load(marker, allow_pickle=False)
        if progress is not None:
            progress.advance(stop - start)
            progress.check_cancelled()
    return valid, missing


def _finite(array: np.ndarray, placement: Placement, start: int, stop: int) -> np.ndarray:
    """bool (stop - start,): all numbers of the clip's row are finite, as they are kept."""
    steps = range(start, stop, _LOOK_ROWS)
    pieces = (_numbers(placement.rows(array, at, min(stop, at + _LOOK_ROWS))) for at in steps)
    return np.concatenate([np.isfinite(piece).all(axis=1) for piece in pieces])


def _numbers(values: np.ndarray) -> np.ndarray:
    if values.dtype in (np.float16, np.float32):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and so not valid
        return values.astype(np.float32)


def _failures(valid: np.ndarray, missing: np.ndarray) -> pa.Table:
    rows = np.flatnonzero(~valid)
    gone = pa.array(missing[rows])
    code = pc.if_else(gone, "no_row", "not_finite")
    message = pc.if_else(gone, "No row of the imported features names this clip.", "A value is not a finite number.")
    return pa.table([pa.array(rows), code, message], schema=FAILURES)
