"""The Evaluate page below the audit: methods on known answers and the clips behind them; breadth and skew of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation import diversity, retrieval
from curation.evaluation.labelled import read_labelled
from curation.evaluation.trial import PairTask, WorkspaceTask
from curation.retrieval import Settings
from curation.workspace import Workspace
from tests.app.conftest import OpenPage, check_page, texts
from tests.auditmaker import add_run
from tests.labelledmaker import make_pictures, make_sounds
from tests.workspacemaker import make_workspace

QUICK = Settings(("batch-greedy", "matched-random"), (0, 1), (1.0,))


@pytest.fixture
def ws(concord_home: Path) -> Workspace:
    """60 clips with answers, the run `main`."""
    return make_workspace(concord_home / "workspaces" / "made")


def test_methods_are_tried_in_a_job(open_page: OpenPage, ws: Workspace, launched: list[list[str]]) -> None:
    app = open_page("evaluate", ws)
    assert app.main.button[0].label.startswith("Check "), "the audit comes first"
    assert "judged by its answers" in texts(app)
    app.multiselect(key="retrieval.methods").set_value(["ratio"]).run()
    app.number_input(key="retrieval.seeds").set_value(2).run()
    app.button(key="retrieval.start").click().run()
    check_page(app)
    assert launched == [["retrieval", str(ws.path), "--methods", "ratio", "--seeds", "0", "1"]]


def test_without_answers_it_says_how_to_bring_some(open_page: OpenPage, ws: Workspace) -> None:
    ws.remove("columns/truth_match")
    app = open_page("evaluate", ws)
    assert "Join a table that says of each clip" in texts(app) and f"import {ws.path} --truth FILE" in texts(app)
    assert not [button for button in app.main.button if button.key == "retrieval.start"]


def test_runs_side_by_side_with_what_each_got_wrong(open_page: OpenPage, ws: Workspace) -> None:
    rng = np.random.default_rng(0)
    add_run(ws, "listed", rng.normal(size=60))
    app = open_page("evaluate", ws, method="listed")
    right = np.array(ws.table("columns/truth_match")["truth_match"].to_pylist())
    picks = pq.read_table(ws.artefact_path("selections/listed") / "picks.parquet")["row"].to_numpy()
    assert f"listed: {int((~right[picks]).sum())} clips chosen, but wrong" in texts(app)
    app = open_page("evaluate", ws, method="listed", group="missed")
    assert f"listed: {int(right.sum() - right[picks].sum())} clips right, but not chosen" in texts(app)


def test_a_result_and_the_clips_behind_it(open_page: OpenPage, ws: Workspace) -> None:
    retrieval.run(ws, WorkspaceTask(ws), QUICK, "truth_match")
    app = open_page("evaluate", ws, method="random")
    text = texts(app)
    assert "60 clips with known answers of 60" in text and "each redoing the clusters" in text
    assert len(app.get("plotly_chart")) == 1 and "random, seed 0" in text and "chosen, but wrong" in text
    app = open_page("evaluate", ws, method="random", group="missed", of_seed="1")
    assert "right, but not chosen" in texts(app) and "random, seed 1" in texts(app)
    frame = app.dataframe[0].value
    assert list(frame["Method"])[-1] == "random" and "points" in frame.columns[2]
    check_page(open_page("evaluate", ws, method="nothing", group="nothing", of="nothing", of_seed="9", part="nothing"))


def test_a_result_of_other_clips_shows_no_clips(open_page: OpenPage, ws: Workspace) -> None:
    retrieval.run(ws, WorkspaceTask(ws), QUICK, "truth_match")
    clips = ws.table("clips").replace_schema_metadata(None)
    ws.commit_table("clips", clips, "other", {"clips": 60})
    app = open_page("evaluate", ws, method="random")
    assert "tried on another list of clips" in texts(app)


def test_pairs_are_shown_and_heard(
    open_page: OpenPage, concord_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = tmp_path / "sets"
    make_pictures(sets / "pictures", 6)
    make_sounds(sets / "sounds", 6)
    workspace = Workspace.create(concord_home / "workspaces" / "pairs")
    pictures, sounds = read_labelled(sets / "pictures", "visual"), read_labelled(sets / "sounds", "audio")
    retrieval.run(workspace, PairTask(pictures, sounds, tmp_path / "cache", clusters=4), QUICK, "toys-class")
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))
    app = open_page("evaluate", workspace, method="random")
    assert "24 pairs of 4 classes" in texts(app) and " · heard " in texts(app) and app.get("audio")
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    app = open_page("evaluate", workspace, method="random")
    assert not app.get("audio") and app.error


def test_breadth_is_measured_in_a_job(open_page: OpenPage, ws: Workspace, launched: list[list[str]]) -> None:
    app = open_page("evaluate", ws, part="breadth")
    app.button(key="diversity.start").click().run()
    check_page(app)
    assert launched == [["diversity", str(ws.path), "--selection", "main"]]


def test_breadth_and_the_clips_behind_it(open_page: OpenPage, ws: Workspace) -> None:
    diversity.table(ws, "main")
    app = open_page("evaluate", ws, part="breadth")
    text = texts(app)
    assert "How broad?" in text and "How skewed?" in text and "means made anew" in text
    assert len(app.get("plotly_chart")) == 2 and "The clips behind the numbers" in text
    assert "effective sources" in list(app.dataframe[0].value.iloc[:, 0])
