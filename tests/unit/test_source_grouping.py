"""What counts as one source: files, titles, a column that came with the media; wrong columns and answers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from curation import importers, pipeline
from curation.columns import matching, values
from curation.errors import InputError, SettingError
from curation.progress import Progress
from curation.sources.grouping import source_columns
from curation.stage import StageContext, run_stage
from curation.stages.segment import SegmentStage
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Twelve videos of one clip each in three folders; four channels, and one video without."""
    made = make_workspace(tmp_path / "ws", n_clips=12, upto="clips")
    ids = made.table("videos", ["video_id"])["video_id"].to_pylist()[:12]
    channels = [None if i == 5 else f"channel {i % 4}" for i in range(12)]
    listed = {"video_id": ids, "channel": channels, "views": list(range(12)), "label_x": ["x"] * 12}
    made.commit_table("listed", pa.table(listed), "v", {"columns": ["channel", "views", "label_x"]})
    return made


def cut(workspace: Workspace, source: str) -> list[dict[str, object]]:
    workspace.configure({"segment.source": source})
    run_stage(SegmentStage(), StageContext(workspace, workspace.config, Progress()))
    return workspace.table("clips").to_pylist()


def test_a_file_its_title_or_a_column_is_the_source(workspace: Workspace) -> None:
    clips = cut(workspace, "video")
    assert all(clip["source"] == clip["video_id"] for clip in clips)
    ids = [clip["clip_id"] for clip in clips]
    clips = cut(workspace, "title")
    assert {clip["source"] for clip in clips} == {"folder 0", "folder 1", "folder 2"}
    clips = cut(workspace, "column:channel")
    without = [clip for clip in clips if not str(clip["source"]).startswith("channel")]
    assert [clip["source"] == clip["video_id"] for clip in without] == [True]
    assert len({clip["source"] for clip in clips}) == 5
    assert cut(workspace, "column:views")[1]["source"] == "1"
    assert [clip["clip_id"] for clip in clips] == ids  # what is measured of a clip stays its own


def test_the_default_keeps_the_fingerprint_of_earlier_versions(workspace: Workspace) -> None:
    stage, config = SegmentStage(), workspace.config
    settings = config.affecting("segment")
    assert settings.pop("source") == "video"
    inputs = [workspace.require(key, "scan").fingerprint for key in ("videos", "filtered")]
    assert stage.targets(workspace, config)[0].fingerprint == stage.fingerprint(settings, inputs)
    other = workspace.configure({"segment.source": "title"})
    assert stage.targets(workspace, other)[0].fingerprint != stage.fingerprint(settings, inputs)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("column:chanel", "'chanel', which did not come"),
        ("column:label_x", "an answer"),
        ("column:truth_x", "an answer"),
    ],
)
def test_a_wrong_column_is_named_with_those_that_exist(workspace: Workspace, source: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        cut(workspace, source)
    assert "channel, views. Otherwise: video, title" in caught.value.hint
    state = {status.stage: status for status in pipeline.status(workspace)}["segment"]
    assert state.state == "blocked" and said in state.reason
    assert source_columns(workspace) == ["channel", "views"]


def test_what_is_no_source_and_no_columns(workspace: Workspace) -> None:
    with pytest.raises(SettingError, match=r"segment\.source cannot be 'channel'"):
        workspace.configure({"segment.source": "channel"})
    workspace.remove("listed")
    with pytest.raises(SettingError) as caught:
        cut(workspace, "column:channel")
    assert caught.value.hint == "No columns came with the media. Otherwise: video, title."


def test_conditions_read_it_and_a_start_never_finds_a_source_of_many_files(
    workspace: Workspace, tmp_path: Path
) -> None:
    cut(workspace, "title")
    assert matching(workspace, "source = 'folder 1'", "select.where").sum() == 4
    assert set(values(workspace, "source", "select.share_cap")) == {"folder 0", "folder 1", "folder 2"}
    table = tmp_path / "films.csv"
    table.write_text("source,start_s,year\nfolder 1,0,1999\n")
    report = importers.import_columns(workspace, table, "source", {"year": "year"})
    assert (report["matched_by"], report["clips"] - report["clips_without_row"]) == ("source", 4)
    with pytest.raises(InputError, match="names a clip"):
        importers.import_columns(workspace, table, "source", {"year": "year"}, start="start_s")
