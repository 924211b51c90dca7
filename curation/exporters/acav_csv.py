"""acav-csv: the `output.csv` of the ACAV100M reference: SHARD_NAME,FILENAME,YOUTUBE_ID,"[start, end]", no header."""

from __future__ import annotations

import csv
import io
import re
from pathlib import PurePosixPath
from typing import IO

from curation.exporters.base import Exporter, RowStream

ROWS_PER_SHARD = 1024
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


class AcavCsvExporter(Exporter):
    """Lines for the reference's downloaders and loaders, in picking order.

    SHARD_NAME: `shard-` and the clip's part number (row // 1024) in six digits. FILENAME: `<stem>_<start>.mp4`, the
    start in whole seconds with at least three digits. YOUTUBE_ID: the stem when it is 11 characters of A-Z a-z 0-9 _ -,
    else -1. Segment: a Python list of two floats, in seconds. A clip whose times are unknown has its own file name, -1
    and `[-1.0, -1.0]`. Programs read this file, so no name is changed for spreadsheets (`csv` does that).
    """

    name = "acav-csv"
    title = "ACAV100M output.csv"
    suffix = ".csv"
    description = "The list the ACAV100M reference writes and its tools read: shard, file, YouTube id, [start, end]."

    def write(self, rows: RowStream, handle: IO[bytes]) -> None:
        for batch in rows.batches:
            text = io.StringIO(newline="")
            writer = csv.writer(text, lineterminator="\n")
            columns = (batch[name].to_pylist() for name in ("row", "path", "clip_id", "start_s", "end_s"))
            writer.writerows(_line(*values) for values in zip(*columns))
            handle.write(text.getvalue().encode("utf-8"))


def _line(
    row: int, path: str | None, clip_id: str, start_s: float | None, end_s: float | None
) -> tuple[str, str, str, str]:
    shard = f"shard-{row // ROWS_PER_SHARD:06d}"
    file = PurePosixPath(path) if path else PurePosixPath(f"{clip_id}.mp4")
    if start_s is None or end_s is None:
        return shard, file.name, "-1", "[-1.0, -1.0]"
    youtube_id = file.stem if _YOUTUBE_ID.fullmatch(file.stem) else "-1"
    return shard, f"{file.stem}_{int(start_s):03d}.mp4", youtube_id, str([float(start_s), float(end_s)])
