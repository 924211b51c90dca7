"""Clips cut and gathered in parts: a task in; finished parts with their records out, kept over a kill.

A part is a shard or a folder. What became of each of its clips, and of those passed over on the way, stands in
`.parts/part-000000.json`, written when the part is whole: a second run goes on behind the last of them. At the end the
records become `report.csv`.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.atomic import read_json, replacing, write_json
from curation.errors import InputError, WorkspaceError
from curation.exporters.base import Task
from curation.exporters.csv import safe_text
from curation.exporters.rows import MEDIA

STATE = ".parts"
RECORDS_MAX = 16_384  # of clips and failures that wait in memory: a part is put away then, full or not
CHUNK = 64  # clips that are cut ahead of where they are written
REPORT = "report.csv"
REPORT_COLUMNS = (
    "clip_id", "row", "status", "code", "message", "file", "cut", "cut_start_s", "cut_end_s", "size_bytes",
)  # fmt: skip
_DISK = ("disk_full", "read_only")  # of our own disk: the export stops, its clips are not at fault


@dataclass(frozen=True)
class CutClip:
    """One clip of the export: its place from 0, its row's values, and its file or why there is none."""

    at: int
    row: dict[str, Any]
    file: Path | None
    facts: dict[str, Any]
    code: str = ""
    message: str = ""

    @property
    def key(self) -> str:
        """`000000012-clipid`: unique, sorts in the export's order, letters and digits only."""
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in self.row["clip_id"])
        return f"{self.at:09d}-{safe[:64]}"

    def sidecar(self) -> dict[str, Any]:
        """What is known of the clip, for JSON: the row's columns and how it was cut."""
        kept = ("cut", "cut_start_s", "cut_end_s", "width", "height", "has_video", "has_audio")
        return self.row | {name: self.facts[name] for name in kept if name in self.facts}


class Part(ABC):
    """One shard or folder in the making."""

    @abstractmethod
    def add(self, clip: CutClip) -> tuple[str, int]:
        """Take a clip's file; returns where it lies in the export and the bytes it takes."""

    @abstractmethod
    def close(self) -> None:
        """All of it is on the disk."""


class PartMaker(ABC):
    """Opens parts by their number; what an earlier run left of an unfinished one is removed first."""

    @abstractmethod
    def begin(self, number: int) -> Part: ...


def write_parts(task: Task, maker: PartMaker, max_clips: int, max_bytes: int) -> dict[str, Any]:
    """Cut all clips of a task into parts; returns facts. A clip that cannot be cut is a line of the report.

    Raises `Cancelled` between two clips (finished parts stay), `InputError` when not one clip could be cut.
    """
    state = task.place / STATE
    state.mkdir(parents=True, exist_ok=True)
    number = shard = start = 0  # files of records, parts (records of failures alone have none), clips
    for finished in _finished(state):
        number, start = number + 1, start + len(finished)
        shard += any(record["status"] == "ok" for record in finished)
    task.advance(start, finished_before=True)
    records = list[dict[str, Any]]()
    part: Part | None = None
    n_bytes = n_clips = 0
    for clip in cut_clips(task, start):
        need = clip.file.stat().st_size if clip.file is not None else 0
        is_full = need and (n_clips >= max_clips or (n_clips and n_bytes + need > max_bytes))
        if is_full or len(records) >= RECORDS_MAX:
            if part is not None:
                part.close()
                shard += 1
            write_json(state / f"part-{number:06d}.json", records)
            number, records, part, n_bytes, n_clips = number + 1, [], None, 0, 0
        if clip.file is None:
            records.append(_record(clip, ""))
        else:
            part = maker.begin(shard) if part is None else part
            place, taken = part.add(clip)
            clip.file.unlink()
            n_bytes, n_clips = n_bytes + taken, n_clips + 1
            records.append(_record(clip, place))
        task.advance()
    if part is not None:
        part.close()
    if records:
        write_json(state / f"part-{number:06d}.json", records)
    return _finish(task, state)


def read_parts(task: Task) -> Iterator[dict[str, Any]]:
    """The records of all finished parts, in the export's order."""
    for part in _finished(task.place / STATE):
        yield from part


def cut_clips(task: Task, start: int) -> Iterator[CutClip]:
    """The clips of a task from place `start` on, in order, cut by processes that may die; files are the caller's."""
    from curation.media.sandbox import Sandbox

    folder = task.place / STATE / "cut"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    at = 0
    try:
        with Sandbox(workers=task.settings.workers, time_limit_s=60.0) as sandbox:
            for batch in task.rows((MEDIA,)):
                for first in range(max(0, start - at) // CHUNK * CHUNK, batch.num_rows, CHUNK):
                    piece = batch.slice(first, CHUNK)
                    skipped = max(0, start - at - first)
                    yield from _cut_chunk(task, sandbox, piece.slice(skipped), at + first + skipped, folder)
                at += batch.num_rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def dataset_facts(task: Task, facts: dict[str, Any]) -> dict[str, Any]:
    """What `dataset.json` says: where the clips come from, how they were cut, what is missing."""
    settings = task.settings
    return {
        "made_by": "Concord",
        "name": task.name,
        "workspace": task.workspace.name,
        "selection": task.selection,
        "reviewed": task.reviewed,
        "clips_fingerprint": task.workspace.fingerprint("clips"),
        "columns": task.schema.names,
        "cut": {"mode": settings.cut, "tolerance_s": settings.tolerance_s},
        **facts,
    }


# -- inside ------------------------------------------------------------------------------------------------------------


def _cut_chunk(task: Task, sandbox: Any, piece: pa.RecordBatch, first: int, folder: Path) -> Iterator[CutClip]:
    rows = piece.select(task.schema.names).to_pylist()
    media = piece[MEDIA].to_pylist()
    payloads, clips = [], dict[int, CutClip]()
    for k, (row, path) in enumerate(zip(rows, media)):
        if path is None:
            clips[k] = CutClip(first + k, row, None, {}, "no_media", "The workspace knows no media file of this clip.")
        elif row["start_s"] is None or row["end_s"] is None:
            clips[k] = CutClip(first + k, row, None, {}, "untimed", "The clip came without a start and an end.")
        else:
            length_s = row["end_s"] - row["start_s"]
            payloads.append(
                {
                    "path": os.fsdecode(path),
                    "start_s": row["start_s"],
                    "end_s": row["end_s"],
                    "out": str(folder / f"{first + k:09d}.mp4"),
                    "mode": task.settings.cut,
                    "tolerance_s": task.settings.tolerance_s,
                    "_at": k,
                    "_time_limit_s": 60.0 + 20.0 * max(0.0, length_s),
                }
            )
    for outcome in sandbox.imap("cut", payloads):
        k = outcome.payload["_at"]
        if task.progress is not None:
            task.progress.check_cancelled()
        if outcome.error is not None:
            if outcome.error.code in _DISK:
                raise WorkspaceError(outcome.error.message, hint=outcome.error.hint, code=outcome.error.code)
            clips[k] = CutClip(first + k, rows[k], None, {}, outcome.error.code, outcome.error.message)
        else:
            clips[k] = CutClip(first + k, rows[k], Path(outcome.payload["out"]), dict(outcome.value or {}))
    for k in range(len(rows)):
        yield clips[k]


def _record(clip: CutClip, place: str) -> dict[str, Any]:
    facts, failed = clip.facts, clip.file is None
    return {
        "clip_id": clip.row["clip_id"],
        "row": clip.row["row"],
        "status": "failed" if failed else "ok",
        "code": clip.code,
        "message": clip.message,
        "file": place,
        **{name: facts.get(name) for name in ("cut", "cut_start_s", "cut_end_s", "size_bytes")},
    }


def _finished(state: Path) -> Iterator[list[dict[str, Any]]]:
    """Records of the finished parts, one part at a time, up to the first that is missing."""
    number = 0
    while (path := state / f"part-{number:06d}.json").is_file():
        yield read_json(path)
        number += 1


def _finish(task: Task, state: Path) -> dict[str, Any]:
    written, codes, cuts, n_bytes, seconds = 0, Counter[str](), Counter[str](), 0, 0.0
    example = ""
    with replacing(task.place / REPORT) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(REPORT_COLUMNS)
        for record in read_parts(task):
            cells = ["" if record[name] is None else record[name] for name in REPORT_COLUMNS]
            writer.writerow([safe_text(cell) if isinstance(cell, str) else cell for cell in cells])
            if record["status"] == "ok":
                written += 1
                cuts[record["cut"]] += 1
                n_bytes += record["size_bytes"] or 0
                seconds += record["cut_end_s"] - record["cut_start_s"]
            else:
                codes[record["code"]] += 1
                example = example or record["message"]
    if not written:
        raise InputError(
            f"Not one of {sum(codes.values()):,} clips could be cut ({json.dumps(dict(codes))}). The first: {example}",
            hint="Are the media where they were when they were scanned? Nothing was written.",
            code="nothing_cut",
        )
    return {
        "clips": written,
        "failed": dict(codes),
        "cuts": dict(cuts),
        "hours": seconds / 3600,
        "media_bytes": n_bytes,
    }
