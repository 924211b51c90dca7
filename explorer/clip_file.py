"""clips.parquet, read a few rows at a time: row numbers or clip ids go in, clips and row numbers come out.

A page shows a few dozen clips of up to a hundred million, so the table is never in memory: the row groups that hold the
wanted rows are read, and what was read is remembered for the next run of the page, up to a bound.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = ("clip_id", "video_id", "path", "start_s", "end_s", "source", "title")
REMEMBERED = 20_000
GROUPS_AT_ONCE = 64
PIECES_BYTES = 96 << 20
"""Of row groups as they were read: a list in random order takes each of its clips from another one. Those of a million
clips fit (0.7 MB for 8,192 clips, measured)."""
_REPEATED = ("video_id", "path", "source", "title")  # clips of one video share them: read as dictionaries


class Clip(NamedTuple):
    """A clip as the pages show it. Clips that were brought in may have no times (NaN) and no file (empty)."""

    row: int
    clip_id: str
    video_id: str
    path: str
    start_s: float
    end_s: float
    source: str
    title: str

    @classmethod
    def of(
        cls,
        row: int,
        clip_id: str,
        video_id: str | None,
        path: str | None,
        start_s: float | None,
        end_s: float | None,
        source: str | None,
        title: str | None,
    ) -> Clip:
        """As its row of the table says, where any column but its id may be empty."""
        start_s, end_s = (math.nan if time is None else float(time) for time in (start_s, end_s))
        return cls(row, clip_id, video_id or "", path or "", start_s, end_s, source or "", title or "")

    @property
    def length_s(self) -> float:
        """Seconds, NaN where not known."""
        return self.end_s - self.start_s


class ClipFile:
    """One version of the table, shared by all sessions."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._metadata = pq.read_metadata(file)
        sizes = [self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self._known: dict[int, Clip] = {}
        self._row_of: dict[str, int] = {}
        self._pieces: OrderedDict[int, pa.Table] = OrderedDict()
        self._held_bytes = 0
        self._lock = Lock()

    @property
    def n_clips(self) -> int:
        """Rows of the table."""
        return int(self._starts[-1])

    def clips(self, rows: np.ndarray) -> list[Clip]:
        """Some clips, in the order of `rows`, int (m,). Raises IndexError for a row that is not there."""
        wanted = [int(row) for row in rows]
        with self._lock:
            if len(self._known) + len(wanted) > REMEMBERED:
                self._known.clear()
                self._row_of.clear()
            self._learn(np.array(sorted({row for row in wanted if row not in self._known}), np.int64))
            return [self._known[row] for row in wanted]

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
        for group in np.unique(groups).tolist():
            here = rows[groups == group]
            found = self._piece(file, group).take(pa.array(here - self._starts[group]))
            for row, values in zip(here.tolist(), zip(*(found[name].to_pylist() for name in COLUMNS))):
                clip = Clip.of(row, *values)
                self._known[row] = clip
                self._row_of[clip.clip_id] = row

    def _piece(self, file: pq.ParquetFile, group: int) -> pa.Table:
        if group not in self._pieces:
            # A small piece is read sooner by one thread than it is shared out, most of all beside a busy browser
            self._pieces[group] = file.read_row_group(group, list(COLUMNS), use_threads=False)
            self._held_bytes += self._pieces[group].nbytes
            while self._held_bytes > PIECES_BYTES and len(self._pieces) > 1:
                self._held_bytes -= self._pieces.popitem(last=False)[1].nbytes
        self._pieces.move_to_end(group)
        return self._pieces[group]

    def _open(self) -> pq.ParquetFile:
        """A reader of its own for each call: readers are not shared by threads, the parsed footer is."""
        return pq.ParquetFile(self._file, metadata=self._metadata, memory_map=True, read_dictionary=list(_REPEATED))
