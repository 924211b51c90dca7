"""The funnel of Ingest and its reasons, over a workspace's tables; lines and commands about sources."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from curation import sourcespec
from curation.records import FILTERED, SEGMENTED, VIDEOS, empty_row
from curation.workspace import Workspace
from explorer.views import ingest

CODES = ["", "", "", "", "unopenable", "timeout"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Six files of metadata, two of which cannot be read."""
    spec = sourcespec.metadata(tmp_path / "metadata.tsv", tmp_path)
    made = Workspace.create(tmp_path / "ws", sources=[spec])
    rows = [
        empty_row(VIDEOS)
        | {"video_id": f"v{i}", "path": f"v{i}.mp4", "root": 0, "status": "failed" if code else "ok", "code": code,
           "message": code, "title": f"Film {i}"}
        for i, code in enumerate(CODES)
    ]  # fmt: skip
    made.commit_table("videos", pa.Table.from_pylist(rows, VIDEOS), "v", {})
    return made


def judge(workspace: Workspace) -> None:
    codes = ["", "", "", "language", "language", "timeout"]
    rows = [{"video_id": f"v{i}", "status": "dropped" if code else "ok", "code": code, "message": code, "language": ""}
            for i, code in enumerate(codes)]  # fmt: skip
    workspace.commit_table("filtered", pa.Table.from_pylist(rows, FILTERED), "f", {})


def cut(workspace: Workspace) -> None:
    rows = [
        empty_row(SEGMENTED) | {"video_id": f"v{i}", "n_clips": n, "code": "" if n else "timeout", "message": "slow"}
        for i, n in enumerate((3, 1, 0))
    ]
    workspace.commit_table("segmented", pa.Table.from_pylist(rows, SEGMENTED), "s", {})


def test_every_file_is_counted_once(workspace: Workspace) -> None:
    judge(workspace)
    cut(workspace)
    steps = ingest.funnel(workspace)
    assert [(step.name, step.left, step.n_lost) for step in steps] == [
        ("found", 6, 0), ("readable", 4, 2), ("after filters", 3, 1), ("cut into clips", 2, 1),
    ]  # fmt: skip
    assert steps[0].left == steps[-1].left + sum(step.n_lost for step in steps)
    assert steps[1].lost == (("timeout", 1), ("unopenable", 1))
    rows = ingest.lost_rows(workspace, "after filters").to_dict("records")
    assert rows == [{"file": "v3.mp4", "code": "language", "message": "language"}]
    assert ingest.lost_rows(workspace, "readable", "timeout")["file"].tolist() == ["v5.mp4"]
    assert ingest.videos_of_sources(workspace) == {0: 4}


def test_metadata_filters_count_lines_without_a_readable_file_too(workspace: Workspace) -> None:
    assert ingest.by_metadata(workspace) is None
    judge(workspace)
    step = ingest.by_metadata(workspace)
    assert step is not None and (step.left, step.lost) == (4, (("language", 2),))
    assert ingest.lost_rows(workspace, step.name, "language")["file"].tolist() == ["Film 3", "Film 4"]


def test_the_funnel_grows_with_the_stages(workspace: Workspace, tmp_path: Path) -> None:
    assert len(ingest.funnel(workspace)) == 2
    judge(workspace)
    assert len(ingest.funnel(workspace)) == 3
    empty = Workspace.create(tmp_path / "empty")
    assert ingest.funnel(empty) == [] and ingest.videos_of_sources(empty) == {}


def test_at_most_two_hundred_rows_are_shown(workspace: Workspace) -> None:
    rows = [
        empty_row(VIDEOS) | {"video_id": f"{i}", "path": f"{i}", "status": "failed", "code": "x"} for i in range(250)
    ]
    workspace.commit_table("videos", pa.Table.from_pylist(rows, VIDEOS), "v2", {})
    assert len(ingest.lost_rows(workspace, "readable")) == 200
    assert ingest.funnel(workspace)[1].n_lost == 250


def test_lines_about_sources() -> None:
    assert ingest.found_line(1204, False, 37, {}) == "1,204 media files · 37 files of other kinds passed over"
    assert ingest.found_line(20_000, True, 0, {"unreadable": 2}) == (
        "more than 20,000 media files · 2 cannot be looked at"
    )
    cut_short = ingest.found_line(3, False, 0, {"not_looked_for": 2}, 100_000)
    assert cut_short.startswith("3 media files · 2 not looked for yet · only the first 100,000 files of the folder")
    untimed = ingest.clips_line({"clips": 3377, "hours": 9.38, "untimed": 1})
    assert untimed == "3,377 clips · 9.4 h without 1 clip of unknown length"
    assert ingest.clips_line({"clips": 3377, "hours": 9.38, "videos": 1180}) == "3,377 clips · 9.4 h of 1,180 videos"
    assert ingest.clips_line({"clips": 1}) == "1 clip" and ingest.clips_line({}) == ""


def test_commands_of_sources() -> None:
    spec = sourcespec.file_list("/m/my list.csv", "/m", title="film", columns=["a", "b"])
    assert ingest.source_command("WS", spec) == (
        "python -m curation run WS --list '/m/my list.csv' --list-media /m --list-title film --list-columns a,b"
    )
    assert ingest.source_command("WS", sourcespec.metadata("/a.tsv", "/m")).endswith("--metadata /a.tsv /m")
    assert ingest.source_command("WS", sourcespec.tars("/t")).endswith("run WS --tars /t")


def test_the_sample_is_a_draw_with_a_seed() -> None:
    paths = [str(i) for i in range(100)]
    first = ingest.draw_sample(paths, 20, 0)
    assert first == ingest.draw_sample(paths, 20, 0) != ingest.draw_sample(paths, 20, 1)
    assert len(set(first)) == 20 and set(first) <= set(paths)
    assert len(ingest.draw_sample(paths[:3], 20, 0)) == 3 and ingest.draw_sample([], 20, 0) == []
