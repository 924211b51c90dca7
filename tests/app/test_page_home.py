"""The first page: three ways to begin, the state of a workspace, the demo."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import jobs
from curation.atomic import read_json, write_json
from curation.workspace import Workspace
from tests.app.conftest import MakeWorkspace, OpenPage, check_page, texts


def test_the_demo_is_one_click(open_page: OpenPage, launched: list[list[str]], concord_home: Path) -> None:
    app = open_page("home")
    app.button(key="home.demo").click().run()
    check_page(app)
    path = str(concord_home / "workspaces" / "demo")
    assert launched == [["demo", path]]
    assert app.query_params["ws"] == path
    assert app.query_params["demo"] == jobs.list_jobs(Workspace.open(path))[0]["id"]
    assert "Demo" in texts(app)
    app.button(key="home.demo").click().run()  # a second click shows the same job
    assert len(launched) == 1


def test_a_finished_demo_opens_the_contingency_page(
    open_page: OpenPage, launched: list[list[str]], workspace_at: MakeWorkspace
) -> None:
    workspace = workspace_at("select")
    job_id = jobs.new_job(workspace, ["demo", str(workspace.path)], title="Demo")
    file = workspace.path / "jobs" / job_id / "job.json"
    write_json(file, read_json(file) | {"state": "done", "ended": 1.0})
    app = open_page("home", workspace, demo=job_id)
    assert app.title[0].value == "Contingency"
    assert "demo" not in app.query_params


def test_a_folder_leads_to_ingest(open_page: OpenPage, concord_home: Path) -> None:
    media = concord_home / "my <b>videos</b>"
    media.mkdir(parents=True)
    app = open_page("home")
    app.text_input(key="home.folder").set_value(str(media)).run()
    app.button(key="home.look").click().run()
    check_page(app)
    assert app.title[0].value == "Ingest"
    assert app.query_params["folder"] == str(media)


@pytest.mark.parametrize("text, message", [("/proc/self", "outside the folders"), ("", "Enter a folder first")])
def test_a_folder_that_may_not_be_read(
    open_page: OpenPage, text: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))
    app = open_page("home")
    app.text_input(key="home.folder").set_value(text)
    app.button(key="home.look").click().run()
    check_page(app)
    assert message in texts(app).replace("\\", "")


def test_an_existing_workspace_is_opened_by_its_folder(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    app = open_page("home")
    app.text_input(key="home.workspace").set_value(str(workspace.path))
    app.button(key="home.open").click().run()
    check_page(app)
    assert app.query_params["ws"] == str(workspace.path)
    assert "12 clips" in texts(app)
    assert len(app.dataframe) == 1


def test_run_what_is_missing(open_page: OpenPage, launched: list[list[str]], workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("clips")
    app = open_page("home", workspace)
    assert "not made yet" in texts(app)
    app.button(key="home.run").click().run()
    check_page(app)
    assert launched == [["run", str(workspace.path)]]
    assert app.button(key="home.run").disabled


def test_an_empty_workspace_asks_for_videos(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    app = open_page("home", workspace_at("empty"))
    app.button(key="home.choose").click().run()
    check_page(app)
    assert app.title[0].value == "Ingest"


def test_changed_settings_make_a_stage_out_of_date(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    assert "out of date" in texts(open_page("home", workspace_at("select")))
