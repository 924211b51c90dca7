"""The exporter contract: a stream of Arrow record batches in, bytes written to an open file out.

Every exporter gets the same columns in the same order (`row_schema`) and never holds more than a batch of rows, so the
number of rows has no bound. Whole-or-nothing writing, refusing to overwrite and counting belong to `curation.export`.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, ClassVar

import pyarrow as pa


@dataclass(frozen=True)
class RowStream:
    """Rows to export: their schema, and the batches that hold them (each of exactly that schema), read once."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


class Exporter(ABC):
    """One file format. `name` is what commands and pages say, `suffix` begins with a dot."""

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str]
    description: ClassVar[str]

    @abstractmethod
    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        """Write all rows to `handle`, batch by batch; leaves it open."""

    def preview(self, rows: RowStream) -> str:
        """The text that `write` gives for these (few) rows."""
        buffer = io.BytesIO()
        self.write(rows, buffer)
        return buffer.getvalue().decode("utf-8")


def row_schema(clusterings: Sequence[str]) -> pa.Schema:
    """Columns of an export, one `cluster_<name>` for each clustering.

    clip_id; row: place in clips.parquet; file: absolute path ("" when unknown); path: below the media root; video_id;
    start_s, end_s: null when the data came without; source; title; cluster_*: null without a value; rank: 1 = picked
    first; score: higher = earlier; gain: nats. rank, score and gain are null where they do not exist.
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
        ]
    )
