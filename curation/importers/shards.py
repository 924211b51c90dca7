"""One shard of the ACAV100M reference: shard-NNNNNN.pkl and its .json in; names, times and arrays of its clips out."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import InputError
from curation.importers.plainpickle import BYTES_MAX, TEXT_MAX, PlainArray, load_plain

ROWS_MAX = 65_536
LAYERS_MAX = 64
DIM_MAX = 65_536
CELLS_MAX = 1 << 28  # numbers of a shard, all layers together: 1 GiB
JSON_MAX = 64 << 20
CLUSTERS_MAX = 100_000

_MODALITY = {"audio": "audio", "video": "visual", "visual": "visual"}
_ARRAY_KEYS = ("array", "feat_array", "assignments", "features")


@dataclass(frozen=True, order=True)
class LayerKey:
    """A layer in shards: what it holds ("features" or "assignments"), modality, extractor and layer."""

    what: str
    modality: str
    extractor: str
    layer: str


@dataclass
class Shard:
    """What a shard says of its n clips, in its order.

    `filenames`, `ids` (empty: unknown); `start_s`, `end_s` float64 (n,), NaN: unknown. `layers`: float32 (n, dim) with
    rows of NaN for what is missing, or int32 (n,) with -1. `problems` counts what could not be used by code, `examples`
    are sentences, one a code.
    """

    name: str
    digest: str
    filenames: list[str]
    ids: list[str]
    start_s: np.ndarray
    end_s: np.ndarray
    layers: dict[LayerKey, np.ndarray]
    problems: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, code: str, sentence: str) -> None:
        """Count a problem, and keep the first of each code in words."""
        self.problems[code] += 1
        if self.problems[code] == 1:
            self.examples.append(sentence[:300])


def read_shard(path: Path, segments: Path | None = None) -> Shard:
    """Read a feature or cluster shard, in either spelling of its keys; `segments`: the .json with the clips' times.

    Raises `InputError` (code "forbidden", "damaged", "too_large", "unreadable", "not_a_shard") when nothing of it can
    be used. A row or an array that cannot be used is a problem in the shard, and the rest is read.
    """
    data = _bytes_of(path, BYTES_MAX)
    rows = load_plain(data)
    if not isinstance(rows, list) or not rows or not any(_text(row.get("filename")) for row in rows if _is_dict(row)):
        raise InputError(f"{path.name} is no list of clips with file names.", hint="Is it a shard?", code="not_a_shard")
    if len(rows) > ROWS_MAX:
        raise InputError(f"{path.name} has {len(rows)} clips; at most {ROWS_MAX} are read.", code="too_large")
    nothing = np.zeros(0)
    shard = Shard(path.stem, hashlib.blake2b(data, digest_size=16).hexdigest(), [], [], nothing, nothing, {})
    values: dict[LayerKey, dict[int, Any]] = {}
    times = []
    for row in rows:
        filename = _text(row.get("filename")) if _is_dict(row) else ""
        if not filename:
            shard.note("no_filename", f"{path.name}: a clip has no file name.")
            continue
        at = len(shard.filenames)
        shard.filenames.append(filename)
        times.append((_text(row.get("id")), row.get("segment")))
        for key, value in _layers_of(row, shard, filename):
            if key in values or len(values) < LAYERS_MAX:
                values.setdefault(key, {})[at] = value
            else:
                shard.note("layers", f"{path.name} has more than {LAYERS_MAX} layers.")
    _add_times(shard, times, segments)
    _stack(shard, values)
    return shard


def read_segments(path: Path) -> dict[str, tuple[str, float, float]]:
    """File name (and its part before the first dot) -> id, start_s, end_s. Raises `InputError` for what is no list."""
    try:
        rows = json.loads(_bytes_of(path, JSON_MAX))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"{path.name} is not readable JSON ({str(error)[:200]}).", code="damaged") from error
    if not isinstance(rows, list):
        raise InputError(f"{path.name} is no list of clips.", code="not_a_shard")
    found = {}
    for row in rows:
        if _is_dict(row) and (name := _text(row.get("filename"))):
            entry = (_text(row.get("id")), *_segment(row.get("segment")))
            found[name] = entry
            found.setdefault(name.split(".")[0], entry)
    return found


def _bytes_of(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as handle:
            data = handle.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}).", code="unreadable") from error
    if len(data) > limit:
        raise InputError(f"{path.name} has more than {limit} bytes.", code="too_large")
    return data


def _layers_of(row: dict[str, Any], shard: Shard, filename: str) -> list[tuple[LayerKey, Any]]:
    """The arrays of one clip by layer, not yet looked at."""
    found: dict[LayerKey, Any] = {}
    for what in ("features", "assignments"):
        for spelling, modality in _MODALITY.items():
            entries = row.get(f"{spelling}_{what}")
            for entry in entries if isinstance(entries, list) else []:
                if not _is_dict(entry):
                    shard.note("entry", f"{filename}: an entry of {spelling}_{what} is no dictionary.")
                    continue
                extractor = _name(_text(entry.get("extractor_name")) or _text(entry.get("model_key")) or modality)
                arrays = next((entry[key] for key in _ARRAY_KEYS if key in entry), None)
                layers = arrays if isinstance(arrays, dict) else {"features": arrays}
                named = {LayerKey(what, modality, extractor, _name(layer)): value for layer, value in layers.items()}
                if named.keys() & found.keys():  # the same network trained on something else
                    extractor = _name(f"{extractor}-{_text(entry.get('dataset')) or 'other'}")
                    named = {replace(key, extractor=extractor): value for key, value in named.items()}
                found |= named
    return list(found.items())


def _stack(shard: Shard, values: dict[LayerKey, dict[int, Any]]) -> None:
    cells = 0
    for key, found in values.items():
        if key.what == "assignments":
            _stack_clusters(shard, key, found)
            continue
        vectors = {}
        for at, value in found.items():
            vector = _vector(value)
            if vector is None:
                shard.note("shape", f"{shard.filenames[at]}: {key.extractor} {key.layer} is not one row of numbers.")
                continue
            vectors[at] = vector
            cells += len(vector)
            if cells > CELLS_MAX:  # before they are copied: one array can be named by every clip of a small file
                raise InputError(f"{shard.name} unfolds to more than {CELLS_MAX} numbers.", code="too_large")
        if vectors:
            _stack_vectors(shard, key, vectors)


def _stack_clusters(shard: Shard, key: LayerKey, found: dict[int, Any]) -> None:
    column = np.full(len(shard.filenames), -1, np.int32)
    for at, value in found.items():
        cluster = _cluster(value)
        if cluster is None:
            shard.note(
                "cluster", f"{shard.filenames[at]}: {key.extractor} {key.layer} is no cluster below {CLUSTERS_MAX}."
            )
        else:
            column[at] = cluster
    shard.layers[key] = column


def _stack_vectors(shard: Shard, key: LayerKey, vectors: dict[int, np.ndarray]) -> None:
    dim = Counter(len(vector) for vector in vectors.values()).most_common(1)[0][0]
    if len(shard.filenames) * dim > CELLS_MAX:
        raise InputError(f"{shard.name} unfolds to more than {CELLS_MAX} numbers.", code="too_large")
    table = np.full((len(shard.filenames), dim), np.nan, np.float32)
    for at, vector in vectors.items():
        if len(vector) != dim:
            shard.note(
                "dim", f"{shard.filenames[at]}: {key.extractor} {key.layer} has {len(vector)} numbers, not {dim}."
            )
            continue
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and so not valid
            table[at] = vector
    shard.layers[key] = table


def _vector(value: Any) -> np.ndarray | None:
    """One clip's numbers as (dim,); None for what is none. Axes of length 1 are dropped."""
    if isinstance(value, list) and value and len(value) <= DIM_MAX and all(type(x) in (int, float) for x in value):
        try:
            return np.array(value, np.float64)
        except OverflowError:
            return None
    if not isinstance(value, PlainArray):
        return None
    array = value.numpy()
    if array.dtype.kind not in "fiu" or not 0 < array.size <= DIM_MAX or array.size not in array.shape:
        return None
    return array.reshape(-1)


def _cluster(value: Any) -> int | None:
    if isinstance(value, PlainArray):
        array = value.numpy()
        value = int(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iu" else None
    return value if type(value) is int and -1 <= value < CLUSTERS_MAX else None


def _add_times(shard: Shard, own: list[tuple[str, Any]], segments: Path | None) -> None:
    """Ids and segments: of the rows themselves where they have them, else of the .json beside the shard."""
    known: dict[str, tuple[str, float, float]] = {}
    if segments is not None:
        try:
            known = read_segments(segments)
        except InputError as error:
            shard.note("segments", error.message)
    rows = []
    for filename, (own_id, segment) in zip(shard.filenames, own, strict=True):
        start_s, end_s = _segment(segment)
        found = known.get(filename) or known.get(filename.split(".")[0]) or ("", np.nan, np.nan)
        timed = start_s == start_s
        rows.append((own_id or found[0], start_s if timed else found[1], end_s if timed else found[2]))
    shard.ids = ["" if row[0] == "-1" else row[0] for row in rows]
    shard.start_s = np.array([row[1] for row in rows], np.float64)
    shard.end_s = np.array([row[2] for row in rows], np.float64)
    if known and (missing := int(np.isnan(shard.start_s).sum())):
        shard.problems["no_segment"] += missing


def _segment(value: Any) -> tuple[float, float]:
    """Start and end in seconds; NaN for [-1, -1], for nothing, and for what is no segment."""
    if isinstance(value, PlainArray):
        value = value.numpy().reshape(-1).tolist() if value.dtype is not None and value.dtype.kind in "fiu" else None
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(x) in (int, float) for x in value):
        start_s, end_s = (float(x) if abs(x) < 1e9 else np.nan for x in value)
        if 0 <= start_s <= end_s:
            return start_s, end_s
    return np.nan, np.nan


def _is_dict(value: Any) -> bool:
    return type(value) is dict


def _text(value: Any) -> str:
    """A text that can be kept in a table, or a whole number as one; "" for anything else."""
    if type(value) is int and abs(value) < 1 << 63:
        return str(value)
    if type(value) is not str or len(value) > TEXT_MAX:
        return ""
    return value.encode("utf-8", "backslashreplace").decode("utf-8").strip()


def _name(text: str) -> str:
    """A name that settings can list, made of any text."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text).strip(".-")[:80] or "unnamed"
