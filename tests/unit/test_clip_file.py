"""clips.parquet a few rows at a time: the same answers as the whole table, whatever its row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.records import CLIPS
from explorer import clip_file
from explorer.clip_file import COLUMNS, ClipFile


@pytest.fixture
def table(tmp_path: Path) -> tuple[ClipFile, pd.DataFrame]:
    rows = [
        {
            "row": i, "clip_id": f"id{i * 7 % 100}", "video_id": f"v{i // 3}", "path": f"a/{i // 3}.mp4",
            "start_s": 10.0 * (i % 3), "end_s": 10.0 * (i % 3) + 10,
            "source": f"v{i // 3}", "title": "", "status": "ok",
            "code": "", "message": "",
        }
        for i in range(100)
    ]  # fmt: skip
    whole = pa.Table.from_pylist(rows, CLIPS)
    pq.write_table(whole, tmp_path / "clips.parquet", row_group_size=7)
    return ClipFile(tmp_path / "clips.parquet"), whole.select(list(COLUMNS)).to_pandas()


def test_rows_come_in_the_order_asked_for(table: tuple[ClipFile, pd.DataFrame]) -> None:
    file, whole = table
    for rows in ([99, 0, 6, 7, 7, 50], [], [3], [3, 99]):
        found = file.clips(np.array(rows, np.int64))
        assert [clip.row for clip in found] == rows
        assert [clip[1:] for clip in found] == list(whole.iloc[rows].itertuples(index=False, name=None))


def test_what_is_remembered_is_bounded(table: tuple[ClipFile, pd.DataFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    file, whole = table
    monkeypatch.setattr(clip_file, "REMEMBERED", 10)
    monkeypatch.setattr(clip_file, "PIECES_BYTES", 1500)
    for start in range(0, 95, 5):
        rows = np.arange(start, start + 5)
        assert [clip.clip_id for clip in file.clips(rows)] == whole["clip_id"].iloc[rows].tolist()
        assert len(file._known) <= 10
        assert 1 <= len(file._pieces) < 5 and file._held_bytes == sum(piece.nbytes for piece in file._pieces.values())


def test_ids_are_found_shown_or_not(table: tuple[ClipFile, pd.DataFrame]) -> None:
    file, whole = table
    file.clips(np.array([5]))
    for row in (5, 42, 99):
        assert file.row_of(whole["clip_id"].iloc[row]) == row
    assert file.row_of("nobody") is None
    assert file.rows_of([*whole["clip_id"].iloc[[80, 3]], "nobody"]).tolist() == [3, 80]
    assert file.rows_of([]).tolist() == []


def test_a_row_that_is_not_there_is_an_error(table: tuple[ClipFile, pd.DataFrame]) -> None:
    with pytest.raises(IndexError, match="no clip 100"):
        table[0].clips(np.array([1, 100]))
    with pytest.raises(IndexError, match="no clip -1"):
        table[0].clips(np.array([-1]))
