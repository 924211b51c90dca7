"""The exporter contracts: a stream of Arrow record batches in; bytes in an open file, or a folder of parts, out.

Every exporter gets the same columns in the same order (`row_schema`) and never holds more than a batch of rows, so the
number of rows has no bound. Whole-or-nothing writing, refusing to overwrite and counting belong to `curation.export`.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

import pyarrow as pa

from curation.errors import SettingError
from curation.progress import Progress
from curation.workspace import Workspace

CutMode = Literal["auto", "copy", "exact"]
CUT_MODES: tuple[CutMode, ...] = ("auto", "copy", "exact")


@dataclass(frozen=True)
class RowStream:
    """Rows to export: their schema, and the batches that hold them (each of exactly that schema), read once."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class CutSettings:
    """How clips are cut and shared out. Raises `SettingError` for values out of range.

    `cut`: "copy" takes the compressed streams as they are, from the keyframe before the start; "exact" encodes again
    (H.264, AAC); "auto" copies where the keyframe lies at most `tolerance_s` before the start, and else encodes.
    A shard holds at most `shard_clips` clips and about `shard_mb` megabytes. `workers`: clips cut at once.
    """

    cut: CutMode = "auto"
    tolerance_s: float = 0.1
    shard_clips: int = 1000
    shard_mb: int = 1000
    workers: int = 2

    def __post_init__(self) -> None:
        if self.cut not in CUT_MODES:
            raise SettingError(f"Clips cannot be cut by {self.cut!r}.", hint=f"Allowed: {', '.join(CUT_MODES)}.")
        bounds = {"tolerance_s": (0, 60), "shard_clips": (1, 100_000), "shard_mb": (1, 100_000), "workers": (1, 64)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise SettingError(
                    f"{name.replace('_', '-')} is {getattr(self, name)}.", hint=f"Allowed: {low} to {high:,}."
                )


@dataclass(frozen=True)
class Task:
    """A folder to fill. `place` may hold parts of an earlier run with the same settings: those are kept.

    `rows(columns)` streams the rows in order; each of `columns` (of videos.parquet) comes as `video_<column>`, and with
    "media" the file as the operating system names it, null where it is not known.
    """

    workspace: Workspace
    selection: str | None
    reviewed: bool
    n_rows: int
    schema: pa.Schema
    place: Path
    name: str
    settings: CutSettings
    rows: Callable[..., Iterator[pa.RecordBatch]]
    progress: Progress | None = None
    notices: list[str] = field(default_factory=list)

    def advance(self, n: int = 1, *, finished_before: bool = False) -> None:
        """Count clips as done; raises `Cancelled` when somebody asked for it."""
        if self.progress is not None:
            self.progress.advance(n, finished_before=finished_before)
            self.progress.check_cancelled()

    def note(self, message: str) -> None:
        """Say what is being done now."""
        if self.progress is not None:
            self.progress.note(message)


class Format(ABC):
    """What commands and pages say of a format. `suffix` begins with a dot, or is empty for a folder.

    `cuts`: media are read and written. `needs_selection`: it tells of a selection, not of rows.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]
    description: ClassVar[str]
    cuts: ClassVar[bool] = False
    needs_selection: ClassVar[bool] = False


class Exporter(Format):
    """One file with one piece of text or a few bytes a clip."""

    columns: ClassVar[tuple[str, ...]] = ()  # further ones of the videos, see `Task.rows`

    @abstractmethod
    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        """Write all rows to `handle`, batch by batch; leaves it open."""

    def preview(self, rows: RowStream) -> str:
        """The text that `write` gives for these (few) rows."""
        buffer = io.BytesIO()
        self.write(rows, buffer)
        return buffer.getvalue().decode("utf-8", "backslashreplace")


class FolderExporter(Format):
    """A folder of files; what is finished of it survives a kill."""

    @abstractmethod
    def fill(self, task: Task) -> dict[str, Any]:
        """Write everything into `task.place`; returns facts for the record of the job."""

    @abstractmethod
    def preview(self, task: Task) -> str:
        """The first rows (`task.rows` gives few) as text, as they will be written; nothing is."""


class PageExporter(Format):
    """One document about a selection."""

    @abstractmethod
    def write(self, task: Task, handle: IO[bytes]) -> dict[str, Any]:
        """Write the document to `handle`; returns facts for the record of the job."""

    @abstractmethod
    def preview(self, task: Task) -> str:
        """What it will hold, as text."""


def row_schema(clusterings: Sequence[str], *, reviewed: bool = False) -> pa.Schema:
    """Columns of an export, one `cluster_<name>` for each clustering.

    clip_id; row: place in clips.parquet; file: absolute path ("" when unknown); path: below the media root; video_id;
    start_s, end_s: null when the data came without; source; title; cluster_*: null without a value; rank: 1 = picked
    first; score: higher = earlier; gain: nats. rank, score and gain are null where they do not exist. With `reviewed`
    also review: what people decided, null where they did not.
    """
    return pa.schema(
        [
            ("clip_id", pa.string()),
            ("row", pa.int64()),
            ("file", pa.string()),
            ("path", pa.string()),
            ("video_id", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("source", pa.string()),
            ("title", pa.string()),
            *[(f"cluster_{name}", pa.int32()) for name in clusterings],
            ("rank", pa.int64()),
            ("score", pa.float64()),
            ("gain", pa.float64()),
            *([("review", pa.string())] if reviewed else []),
        ]
    )
