"""jsonl: one JSON object a line and a clip, UTF-8; null = no value."""

from __future__ import annotations

import json
from typing import IO

from curation.exporters.base import Exporter, RowStream


class JsonlExporter(Exporter):
    """Objects of the columns in their order. Name bytes that are not UTF-8 are written \\xNN, as in the tables."""

    name = "jsonl"
    title = "JSON lines"
    suffix = ".jsonl"
    description = "One JSON object a line, for scripts and data loaders."

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        for batch in rows.batches:
            lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in batch.to_pylist()]
            handle.write("".join(lines).encode("utf-8"))
