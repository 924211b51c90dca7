"""What people said, as lines of JSON that are only ever appended: records go in, whole lines come out.

Last line wins and undo appends, so nothing that was said is lost; a line that a kill cut short costs that line alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.atomic import disk_error


def append(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Append one line a record and wait until they are on disk. The caller holds the lock of the file's writers.

    Raises `WorkspaceError` for a full or read-only disk.
    """
    text = "".join(json.dumps(dict(record), ensure_ascii=False) + "\n" for record in records)
    if not text:
        return
    try:
        with path.open("a+b") as handle:
            size = handle.seek(0, os.SEEK_END)
            if size:  # a kill in the middle of a line costs that line, not the next one
                handle.seek(-1, os.SEEK_END)
                text = text if handle.read(1) == b"\n" else "\n" + text
            handle.write(text.encode("utf-8", "replace"))
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise disk_error(error, path) from error


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file in the order in which they were written; nothing for a file that is not there.

    What is not a JSON object is left out: a line that a kill cut short.
    """
    if not path.is_file():
        return
    with path.open("rb") as handle:
        for line in handle:
            try:
                found = json.loads(line.decode("utf-8", "replace"))
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found
