"""Columns of clips as pages read them: lengths to the last bit, and names that are like others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.importers.columns import import_columns
from curation.importers.growth import import_clips
from curation.workspace import Workspace
from explorer import clip_columns

LENGTHS_S = (7.5, 10.0, 15.0, 30.0, 30.5, 60.0)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    lines = [f"c{i},{2.0},{2 + length_s}" for i, length_s in enumerate(LENGTHS_S)]
    (tmp_path / "clips.csv").write_text("\n".join(["clip_id,start_s,end_s", *lines, "untimed,,"]))
    workspace = Workspace.create(tmp_path / "ws")
    import_clips(workspace, tmp_path / "clips.csv")
    return workspace


def test_lengths_are_what_the_clips_are_long(ws: Workspace) -> None:
    found = clip_columns.numbers(ws, "duration_s")
    assert found[:-1].tolist() == list(LENGTHS_S) and np.isnan(found[-1]), "`15 s at most` means those of 15 s too"
    assert clip_columns.matching(ws, "duration_s <= 15").tolist() == [True, True, True, False, False, False, False]


def test_a_column_that_was_brought_in_as_duration_is_the_one_that_is_shown(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "more.csv").write_text("clip_id,duration_s\nc0,100\nc1,200\n")
    import_columns(ws, tmp_path / "more.csv")
    assert clip_columns.columns_of(ws)["duration_s"].table == "joined"
    assert clip_columns.numbers(ws, "duration_s")[:2].tolist() == [100.0, 200.0]
    assert np.flatnonzero(clip_columns.matching(ws, "duration_s > 150")).tolist() == [1]


def test_columns_whose_names_end_like_a_key_are_columns_all_the_same(ws: Workspace) -> None:
    names = {"narrow": pa.bool_(), "arrow": pa.string(), "row": pa.int64(), "youtube_id": pa.string()}
    schema = pa.schema([("video_id", pa.string()), *names.items()])
    ws.commit_table("listed", schema.empty_table(), "listed")
    assert {"narrow", "arrow"} <= set(clip_columns.columns_of(ws))
    assert not {"row", "youtube_id", "video_id"} & set(clip_columns.columns_of(ws)), "those name rows"
