"""clips.parquet, read a few rows at a time: row numbers or clip ids go in, frames and row numbers come out.

A page shows a few dozen clips of up to a hundred million, so the table is never in memory: the row groups that hold the
wanted rows are read, and what was read is remembered for the next run of the page, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = ("row", "clip_id", "video_id", "path", "start_s", "end_s", "source", "title")
REMEMBERED = 20_000
GROUPS_AT_ONCE = 64


class ClipFile:
    """One version of the table, shared by all sessions."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._metadata = pq.read_metadata(file)
        sizes = [self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self._known: dict[int, tuple[object, ...]] = {}
        self._row_of: dict[str, int] = {}
        self._lock = Lock()

    @property
    def n_clips(self) -> int:
        """Rows of the table."""
        return int(self._starts[-1])

    def frame(self, rows: np.ndarray) -> pd.DataFrame:
        """The columns `COLUMNS` of some clips, in the order of `rows`, int (m,); index 0 .. m - 1."""
        wanted = [int(row) for row in rows]
        with self._lock:
            if len(self._known) + len(wanted) > REMEMBERED:
                self._known.clear()
                self._row_of.clear()
            self._learn(np.array(sorted({row for row in wanted if row not in self._known}), np.int64))
            found = [self._known[row] for row in wanted]
        # Clips that were brought in may have no times: NaN, not None
        return pd.DataFrame(found, columns=list(COLUMNS)).astype({"start_s": float, "end_s": float})

    def row_of(self, clip_id: str) -> int | None:
        """The row of a clip: remembered where it was shown, otherwise looked for; None when it is not there."""
        known = self._row_of.get(clip_id)
        if known is not None:
            return known
        for start, ids in self._groups("clip_id"):
            at = pc.index(ids, clip_id).as_py()
            if at >= 0:
                return start + int(at)
        return None

    def rows_of(self, clip_ids: Sequence[str]) -> np.ndarray:
        """Rows of those clips that are there, ascending, int64 (m,)."""
        wanted = pa.array(sorted(set(clip_ids)), pa.string())
        hits = [start + np.flatnonzero(pc.is_in(ids, wanted)) for start, ids in self._groups("clip_id")]
        return np.concatenate([np.zeros(0, np.int64), *hits])

    def ids_at(self, rows: np.ndarray) -> list[str]:
        """Ids of the clips at `rows`, int (m,) ascending; a piece of the table is in memory at a time."""
        found: list[str] = []
        for start, ids in self._groups("clip_id"):
            first, last = np.searchsorted(rows, [start, start + len(ids)])
            if last > first:
                found += ids.take(pa.array(rows[first:last] - start)).to_pylist()
        return found

    def column(self, name: str) -> pa.ChunkedArray:
        """One whole column; for numbers, and for what is reduced at once."""
        return self._open().read([name], use_threads=True)[name]

    def _groups(self, name: str) -> Iterator[tuple[int, pa.ChunkedArray]]:
        file = self._open()
        for first in range(0, self._metadata.num_row_groups, GROUPS_AT_ONCE):
            groups = range(first, min(self._metadata.num_row_groups, first + GROUPS_AT_ONCE))
            yield int(self._starts[first]), file.read_row_groups(groups, [name])[name]

    def _learn(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        if rows[0] < 0 or rows[-1] >= self.n_clips:
            raise IndexError(f"There is no clip {int(rows[0] if rows[0] < 0 else rows[-1])}.")
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        file = self._open()
        for group in np.unique(groups):
            here = rows[groups == group]
            piece = file.read_row_group(int(group), list(COLUMNS)).take(pa.array(here - self._starts[group]))
            values = zip(*(piece[name].to_pylist() for name in COLUMNS))
            for row, record in zip(here.tolist(), values):
                self._known[row] = record
                self._row_of[str(record[1])] = row

    def _open(self) -> pq.ParquetFile:
        """A reader of its own for each call: readers are not shared by threads, the parsed footer is."""
        return pq.ParquetFile(self._file, metadata=self._metadata, memory_map=True)
