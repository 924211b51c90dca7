"""Shards on their way into a workspace: appended one by one to plain files, so that a kill costs the last one only.

Each layer is one raw file of rows, the journal one line a shard, written after its rows: what lies beyond the journal
was cut by a kill and is written over.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import InputError
from curation.importers.shards import LAYERS_MAX, LayerKey, Shard

JOURNAL = "journal.jsonl"
SHARDS = pa.schema([("shard", pa.string()), ("rows", pa.int64()), ("code", pa.string()), ("message", pa.string())])
_PAD_ROWS = 65_536


class ShardStore:
    """A folder of raw layer files and a journal; opened again, it goes on behind the last whole shard."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = folder / JOURNAL
        self.n_rows = 0
        self.done: set[str] = set()
        self.dims: dict[LayerKey, int] = {}  # 0: a column of clusters
        self.problems: Counter[str] = Counter()
        self.examples: list[str] = []
        self._length = 0
        folder.mkdir(parents=True, exist_ok=True)
        for line in self._lines():
            self._count(json.loads(line), len(line))

    def append(self, shard: Shard) -> None:
        """Add a shard's rows. Rows of another length than the layer has so far become missing, and are counted."""
        rows = len(shard.filenames)
        fitting: dict[LayerKey, np.ndarray] = {}
        for key, values in shard.layers.items():
            dim = values.shape[1] if values.ndim == 2 else 0
            if key not in self.dims and len(self.dims) + len(fitting) >= LAYERS_MAX:
                shard.note("layers", f"{shard.name}: more than {LAYERS_MAX} layers.")
            elif self.dims.get(key, dim) != dim:
                shard.note("dim", f"{shard.name}: {key.extractor} {key.layer} has {dim} numbers, not {self.dims[key]}.")
            else:
                fitting[key] = values
        for key in {**self.dims, **fitting}:
            self._write(key, fitting.get(key), rows, self.dims.get(key, -1))
        new = {key: v.shape[1] if v.ndim == 2 else 0 for key, v in fitting.items() if key not in self.dims}
        self._note(
            {
                "shard": shard.name,
                "digest": shard.digest,
                "rows": rows,
                "layers": [[key.what, key.modality, key.extractor, key.layer, dim] for key, dim in new.items()],
                "filenames": shard.filenames,
                "ids": shard.ids,
                "start_s": _nullable(shard.start_s),
                "end_s": _nullable(shard.end_s),
                "problems": dict(shard.problems),
                "examples": shard.examples,
            }
        )

    def fail(self, name: str, error: InputError) -> None:
        """Keep a shard that cannot be read as a line with its code and sentence."""
        self._note({"shard": name, "rows": 0, "code": error.code, "message": error.message})

    def array(self, key: LayerKey) -> np.ndarray:
        """A memory map: float32 (n_rows, dim), NaN for missing; or int32 (n_rows,), -1."""
        dim = self.dims[key]
        shape = (self.n_rows, dim) if dim else (self.n_rows,)
        return np.memmap(self._path(key), _dtype(dim), mode="r", shape=shape)

    def clips(self) -> pa.Table:
        """filename, id, start_s, end_s of all rows."""
        schema = pa.schema(
            [("filename", pa.string()), ("id", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())]
        )
        batches = [
            pa.record_batch(
                [
                    pa.array(entry["filenames"], pa.string()),
                    pa.array(entry["ids"], pa.string()),
                    pa.array(entry["start_s"], pa.float64()),
                    pa.array(entry["end_s"], pa.float64()),
                ],
                schema,
            )
            for entry in self._entries()
            if entry["rows"]
        ]
        return pa.Table.from_batches(batches, schema)

    def shards(self) -> pa.Table:
        """A row for each shard: shard, rows, code and message ("" where it was read)."""
        rows = [{**dict.fromkeys(SHARDS.names, ""), **_shown(entry)} for entry in self._entries()]
        return pa.Table.from_pylist(rows, SHARDS)

    def digests(self) -> list[list[Any]]:
        """What was read, for fingerprints: [shard, digest or code] in order."""
        return [[entry["shard"], entry.get("digest") or entry["code"]] for entry in self._entries()]

    def _entries(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines())

    def _lines(self) -> Iterator[bytes]:
        if not self._journal.is_file():
            return
        with self._journal.open("rb") as handle:
            for line in handle:
                if not line.endswith(b"\n"):  # a kill while it was written
                    return
                yield line

    def _note(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=True).encode("ascii") + b"\n"
        with self._journal.open("r+b" if self._journal.is_file() else "wb") as handle:
            handle.truncate(self._length)
            handle.seek(self._length)
            handle.write(line)
            _flush(handle)
        self._count(entry, len(line))

    def _count(self, entry: dict[str, Any], length: int) -> None:
        self.done.add(entry["shard"])
        self.n_rows += entry["rows"]
        self.problems.update(entry.get("problems", {}))
        self.examples = (self.examples + entry.get("examples", []))[:20]
        for *names, dim in entry.get("layers", []):
            self.dims[LayerKey(*names)] = dim
        self._length += length

    def _write(self, key: LayerKey, values: np.ndarray | None, rows: int, dim: int) -> None:
        if dim < 0:  # a new layer: clips of earlier shards have none of it
            assert values is not None
            dim = values.shape[1] if values.ndim == 2 else 0
        path, width = self._path(key), max(dim, 1)
        fill = np.nan if dim else -1
        with path.open("r+b" if path.is_file() else "wb") as handle:
            at = self.n_rows * width * 4
            size = min(handle.seek(0, os.SEEK_END), at) if key in self.dims else 0
            handle.truncate(size)
            handle.seek(size)
            missing = (at - size) // (width * 4)
            while missing:
                n = min(missing, _PAD_ROWS)
                handle.write(np.full(n * width, fill, _dtype(dim)).tobytes())
                missing -= n
            block = np.full(rows * width, fill, _dtype(dim)) if values is None else values.astype(_dtype(dim))
            handle.write(block.tobytes())
            _flush(handle)

    def _path(self, key: LayerKey) -> Path:
        return self._folder / f"{key.what}~{key.modality}~{key.extractor}~{key.layer}.raw"


def _dtype(dim: int) -> np.dtype[Any]:
    return np.dtype("<f4" if dim else "<i4")


def _nullable(values: np.ndarray) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    found = {name: entry[name] for name in SHARDS.names if name in entry}
    if entry.get("problems"):
        counts = ", ".join(f"{code} {count}" for code, count in sorted(entry["problems"].items()))
        found |= {"code": "partly", "message": f"Some of it could not be used ({counts})."}
        found["message"] = " ".join([found["message"], *entry["examples"][:1]])
    return found


def _flush(handle: Any) -> None:
    handle.flush()
    os.fsync(handle.fileno())
