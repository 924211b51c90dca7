"""The listing: every medium that a workspace's sources name, as they stand now, written before a scan and read by it.

`listing.parquet` holds a row a medium in the order of the sources; its digest, in the file's metadata, is of what the
sources say and of the files' sizes and times, not of where a list lies. Where the last scan met a store that did not
answer, the number of the attempt is in the digest too, so that the next run asks again for what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import PARTIAL_SUFFIX, replacing
from curation.errors import InputError
from curation.media.roots import AllowedRoots
from curation.remote import UNREACHABLE
from curation.sources.base import Item
from curation.sources.registry import source_of
from curation.workspace import Workspace

CONFINED = "CONCORD_CONFINED"  # set for jobs that a page started: nothing outside the allowed folders is looked at
_SCHEMA = pa.schema(
    [
        ("root", pa.int32()),
        ("path_bytes", pa.binary()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("code", pa.string()),  # empty, or why it cannot be used
        ("problem", pa.string()),  # the same as a sentence
        ("shown", pa.string()),  # empty, or the path for people where it is not `path_bytes`
        ("title", pa.string()),  # null: the folder's name
        ("columns", pa.string()),  # a JSON object, or empty
    ]
)
_DIGEST, _ATTEMPT = b"concord.digest", b"concord.attempt"
_BATCH = 8192


def write_listing(workspace: Workspace) -> None:
    """Look at all sources. Raises `InputError` where they name nothing at all."""
    allowed = AllowedRoots() if os.environ.get(CONFINED) else None
    for left in workspace.path.glob(f".{_path(workspace).name}.*{PARTIAL_SUFFIX}"):  # of a scan that was killed
        left.unlink(missing_ok=True)
    digest = hashlib.blake2b(digest_size=16)
    attempt = _attempt(workspace)
    if attempt:
        digest.update(f"attempt {attempt}".encode())
    n_rows = n_skipped = 0
    with replacing(_path(workspace)) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for root, spec in enumerate(workspace.sources):
            if spec.removed:
                continue
            source = source_of(spec)
            for item in source.items(allowed):
                rows.append(_row(root, item))
                _feed(digest, rows[-1])
                n_rows += 1
                if len(rows) == _BATCH:
                    writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
                    rows = []
            n_skipped += source.n_skipped
        if not n_rows:
            raise _nothing(workspace, n_skipped)
        writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
        writer.add_key_value_metadata({_DIGEST: digest.hexdigest().encode(), _ATTEMPT: str(attempt).encode()})


def read_listing(workspace: Workspace) -> pa.Table | None:
    """The listing without its columns (`columns_of`), or None before the first scan."""
    path = _path(workspace)
    if not path.is_file():
        return None
    table = pq.read_table(path, columns=[name for name in _names(path) if name != "columns"], partitioning=None)
    if "code" not in table.column_names:  # of a version that knew only folders
        unreadable = ["unreadable" if problem else "" for problem in table["problem"].to_pylist()]
        empty = pa.array([""] * len(table), pa.string())
        table = table.append_column("code", pa.array(unreadable, pa.string())).append_column("shown", empty)
        table = table.append_column("title", pa.nulls(len(table), pa.string()))
    return table


def listing_digest(workspace: Workspace) -> str | None:
    """What the sources say, as one text; None before the first scan."""
    path = _path(workspace)
    if not path.is_file():
        return None
    kept = (pq.read_metadata(path).metadata or {}).get(_DIGEST)
    if kept is not None:
        return kept.decode()
    digest = hashlib.blake2b(digest_size=16)
    listing = read_listing(workspace)
    assert listing is not None
    for row in listing.to_pylist():
        _feed(digest, row | {"columns": ""})
    return digest.hexdigest()


def columns_of(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Root, path_bytes and columns (a dictionary) of each row that has some, in order; a batch at a time in memory."""
    path = _path(workspace)
    if "columns" not in _names(path):
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, columns=["root", "path_bytes", "columns"]):
            for row in batch.to_pylist():
                if row["columns"]:
                    yield row | {"columns": json.loads(row["columns"])}


def _attempt(workspace: Workspace) -> int:
    """0, and one more each time when videos of the present table could not be asked for."""
    file, videos = _path(workspace), workspace.artefact("videos")
    if not file.is_file() or videos is None:
        return 0
    before = int((pq.read_metadata(file).metadata or {}).get(_ATTEMPT, b"0"))
    return before + (UNREACHABLE in (videos.info.get("failures") or {}))


def _path(workspace: Workspace) -> Path:
    return workspace.path / "listing.parquet"


def _names(path: Path) -> list[str]:
    return list(pq.read_schema(path).names)


def _row(root: int, item: Item) -> dict[str, Any]:
    columns = json.dumps(dict(item.columns), ensure_ascii=False, sort_keys=True) if item.columns else ""
    return {
        "root": root,
        "path_bytes": item.path_bytes,
        "size_bytes": item.size_bytes,
        "mtime_ns": item.mtime_ns,
        "code": item.code,
        "problem": item.problem,
        "shown": item.shown,
        "title": item.title,
        "columns": columns,
    }


def _feed(digest: Any, row: dict[str, Any]) -> None:
    digest.update(repr((row["root"], row["path_bytes"], row["size_bytes"], row["mtime_ns"])).encode())
    said = (row["code"], row["shown"], row["title"], row["columns"])
    if said not in (("", "", None, ""), ("unreadable", "", None, "")):  # a folder's files say nothing of themselves
        digest.update(repr(said).encode())


def _nothing(workspace: Workspace, n_skipped: int) -> InputError:
    places = ", ".join(spec.path for spec in workspace.sources if not spec.removed) or "sources that were removed"
    others = f" ({n_skipped} files of other kinds were passed over)" if n_skipped else ""
    return InputError(
        f"No media files in {places}{others}.",
        hint="Choose the folder that holds the videos (mp4, mkv, webm, mov, avi, ...), or a list that names some.",
        code="no_media",
    )
