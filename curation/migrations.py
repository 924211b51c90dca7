"""Formats of a workspace: one as any earlier version wrote it in, the present one out, with nothing lost.

Formats, and the step that leads from each to the next:

1. Media come from `roots`, folders alone; `listing.parquet` knows only those. -> 2: `sources` of several kinds, the
   listing says of each file why it cannot be used, what it is called, and what else is known.
2. Tables of videos have the columns of the version that wrote them. -> 3: every one has all of the present columns,
   with nothing in those that were not known. Sources and rows may name addresses of a store, which a program that reads
   up to 2 would take for paths.

Artefacts (`artefact.json`, arrays, selections, evaluations), what people said (`*.jsonl`, audits) and fingerprints are
the same in all formats, and no step touches them: what a stage computes otherwise today is stale by its version.

A step is one function of the description and one of the folder. It may be cut short at any point and done again. The
file `workspace.json` as it was stays beside the new one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import read_json, replacing, write_json
from curation.errors import WorkspaceError
from curation.locks import writer_lock
from curation.records import FILTERED, SEGMENTED, VIDEOS, empty_row

FORMAT_VERSION = 3
FILE = "workspace.json"
# Who writes the tables that a step completes
_WRITERS = ("scan", "filter", "segment")
_ROWS = 8_192
_LISTING = pa.schema([("code", pa.string()), ("shown", pa.string()), ("title", pa.string()), ("columns", pa.string())])


@dataclass(frozen=True)
class Step:
    """How a format becomes the next one: its description, and the files of its folder."""

    description: Callable[[dict[str, Any]], dict[str, Any]]
    files: Callable[[Path], None]


def format_of(description: Any, file: Path) -> int:
    """The format of a workspace.json. Raises `WorkspaceError` where it describes none, or a newer one."""
    version = description.get("format_version") if isinstance(description, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise WorkspaceError(f"{file} does not describe a workspace.", hint="Restore it from a copy.")
    if version > FORMAT_VERSION:
        raise WorkspaceError(
            f"{file.parent} was made by a newer version of Concord "
            f"(format {version}, this one reads up to {FORMAT_VERSION}).",
            hint="Update Concord to open it; nothing was changed.",
            code="newer_format",
        )
    return version


def described(description: dict[str, Any], file: Path) -> dict[str, Any]:
    """A description of any format as one of the present format; nothing on the disk changes. Raises as `format_of`."""
    for version in range(format_of(description, file), FORMAT_VERSION):
        description = STEPS[version].description(description) | {"format_version": version + 1}
    return description


def brought_up(folder: Path) -> dict[str, Any]:
    """The description of the workspace in `folder`, in the present format; what lies there becomes that format too.

    Where it may not be written, or somebody writes there right now, it stays what it is until it is opened again: all
    of it can be read as it lies. Raises as `format_of`.
    """
    file = folder / FILE
    description = read_json(file)
    if format_of(description, file) < FORMAT_VERSION and os.access(folder, os.W_OK):
        # Not done is no harm: a full disk, a lock, a table that is damaged and will be named when it is asked for
        with contextlib.suppress(WorkspaceError, OSError, pa.ArrowException):
            bring_up(folder)
            description = read_json(file)
    return described(description, file)


def bring_up(folder: Path) -> None:
    """Rewrite what lies in `folder` in the present format, where it is not; asked for before a workspace is changed.

    Raises `LockedError` while somebody writes there, `WorkspaceError`, OSError, and Arrow's for a damaged table.
    """
    if format_of(read_json(folder / FILE), folder / FILE) == FORMAT_VERSION:
        return
    locks = folder / "locks"
    with contextlib.ExitStack() as held:
        held.enter_context(writer_lock(locks / "workspace.lock", purpose="migration", wait_s=5))
        for stage in _WRITERS:
            held.enter_context(writer_lock(locks / f"{stage}.lock", purpose="migration"))
        description = read_json(folder / FILE)  # as it is now: somebody else may have been quicker
        first = format_of(description, folder / FILE)
        for version in range(first, FORMAT_VERSION):
            STEPS[version].files(folder)
        if first < FORMAT_VERSION:
            write_json(folder / f"workspace.format-{first}.json", description)
            write_json(folder / FILE, described(description, folder / FILE))


# -- 1 -> 2 ------------------------------------------------------------------------------------------------------------


def _sources_of_roots(description: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in description.items() if key != "roots"}
    return kept | {"sources": [{"kind": "folder", "path": str(root)} for root in description.get("roots", [])]}


def _listing_of_folders(folder: Path) -> None:
    """A file of a folder that could not be looked at had a sentence alone: its code is `unreadable`."""
    file = folder / "listing.parquet"
    if file.is_file() and "code" not in pq.read_schema(file).names:
        _complete(file, _LISTING, _code_of_problem, {"title": None})


def _code_of_problem(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    codes = ["unreadable" if problem else "" for problem in batch.column("problem").to_pylist()]
    return {"code": pa.array(codes, pa.string())}


# -- 2 -> 3 ------------------------------------------------------------------------------------------------------------


def _same(description: dict[str, Any]) -> dict[str, Any]:
    return description


def _all_columns(folder: Path) -> None:
    for name, schema in (("videos", VIDEOS), ("filtered", FILTERED), ("segmented", SEGMENTED)):
        file = folder / f"{name}.parquet"
        if file.is_file():
            _complete(file, schema)


# -- tables ------------------------------------------------------------------------------------------------------------


def _complete(
    file: Path,
    schema: pa.Schema,
    made: Callable[[pa.RecordBatch], dict[str, pa.Array]] = lambda batch: {},
    neutral: dict[str, Any] | None = None,
) -> None:
    """Give a table the columns of `schema` that it lacks, with `made` or neutral values; all else in it stays, its
    fingerprint and other notes included. A batch at a time in memory."""
    values = empty_row(schema) | (neutral or {})
    with pq.ParquetFile(file) as source:
        there = source.schema_arrow
        lacking = [field for field in schema if field.name not in there.names]
        if not lacking:
            return
        order = [name for name in schema.names if name in there.names or name in {field.name for field in lacking}]
        order += [name for name in there.names if name not in order]
        fields = {field.name: field for field in (*lacking, *there)}
        final = pa.schema([fields[name] for name in order], metadata=there.metadata)
        with replacing(file) as temporary, pq.ParquetWriter(temporary, final, compression="zstd") as writer:
            for batch in source.iter_batches(_ROWS):
                found = dict(zip(batch.schema.names, batch.columns)) | made(batch)
                for field in lacking:
                    if field.name not in found:
                        value = pa.scalar(values[field.name], field.type)
                        found[field.name] = pa.repeat(value, len(batch))
                writer.write_batch(pa.record_batch([found[name] for name in order], final))


STEPS = {1: Step(_sources_of_roots, _listing_of_folders), 2: Step(_same, _all_columns)}
