"""Videos are added to a workspace, on the command line: only they are worked on, and what was chosen stays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from curation import pipeline
from curation.records import clip_keys
from curation.workspace import Workspace
from explorer import data
from tests.flow.test_command_line import curation
from tests.mediamaker import make_video


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adding") / "media"
    folder.mkdir()
    for i in range(8):
        make_video(folder / f"b{i}.mp4", seconds=0.8, seed=i, hz=150.0 * (1 + i % 3), size=(64, 48))
    return folder


def test_added_videos_join_the_clusters_and_old_selections_stay(media: Path, tmp_path: Path) -> None:
    place = tmp_path / "ws"
    settings = ["select.budget=3", "cluster.n_clusters=2", "resources.workers=1"]
    settings.append("cluster.layers=sound.logmel,sound.mfcc,picture.motion")
    curation("run", place, "--media", media, *(part for one in settings for part in ("--set", one)))
    workspace = Workspace.open(place)
    old_name = workspace.current_selection
    assert old_name is not None
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    clusters = dict(zip(ids, np.asarray(workspace.array("clusterings/sound.logmel", "assignments")).tolist()))
    picked = data.picks(workspace, old_name)["clip_id"].tolist()
    exported = tmp_path / "before.csv"
    curation("export", place, "--format", "csv", "--out", exported)

    make_video(media / "a0.mp4", seconds=0.8, seed=70, hz=450.0, size=(64, 48))  # first of all: every row moves
    out = curation("run", place).stdout
    assert "kept 3, joined 1" in out
    assert "1 new clips joined the clusters of the 8 that were fitted" in out
    workspace = Workspace.open(place)
    assert {stage.state for stage in pipeline.status(workspace)} == {"done"}
    now = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    assert now[1:] == ids and len(now) == 9
    assert workspace.array("clusterings/sound.logmel", "assignments")[1:].tolist() == [clusters[one] for one in ids]
    assert np.array_equal(workspace.array("features/sound", "clip_keys"), clip_keys(now))

    assert workspace.current_selection != old_name
    found = data.selections(workspace)
    assert found[old_name]["why"] == data.OTHER_CLIPS and found[workspace.current_selection]["why"] == ""
    here = data.picks(workspace, old_name)
    assert here["clip_id"].tolist() == picked and [now[row] for row in here["row"]] == picked
    again = curation("export", place, "--format", "csv", "--selection", old_name, "--out", tmp_path / "after.csv")
    assert "made again" not in again.stdout + again.stderr
    rows = [list(csv.DictReader(file.open(newline=""))) for file in (exported, tmp_path / "after.csv")]
    assert [row["clip_id"] for row in rows[0]] == [row["clip_id"] for row in rows[1]] == picked
    assert [row["cluster_sound.logmel"] for row in rows[0]] == [row["cluster_sound.logmel"] for row in rows[1]]
    assert curation("run", place).stdout.count("already done") == len(pipeline.STAGES)
