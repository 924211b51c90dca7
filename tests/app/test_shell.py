"""The frame around the pages: sidebar, links, jobs, empty states, what a wrong address says."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from curation import jobs
from curation.atomic import read_json, write_json
from curation.workspace import MARKER, Workspace
from explorer.navigation import PAGE_LIST
from tests.app.conftest import MakeWorkspace, OpenPage, check_page, texts

OWN_PAGES = ("home", "ingest", "export")


@pytest.mark.parametrize("name", [info.name for info in PAGE_LIST])
@pytest.mark.parametrize("upto", ["none", "empty", "clips", "select"])
def test_every_page_renders_in_every_state(
    name: str, upto: str, open_page: OpenPage, workspace_at: MakeWorkspace
) -> None:
    assert next(info for info in PAGE_LIST if info.name == name).file.is_file()
    app = open_page(name, None if upto == "none" else workspace_at(upto))
    if upto == "none" and name not in OWN_PAGES[:2]:
        assert "No workspace is open." in texts(app)
        assert [button.label for button in app.main.button] == ["Open one"]


def test_links_to_all_pages_carry_the_workspace(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    app = open_page("home", workspace)
    links = [link.proto for link in app.sidebar.get("page_link")]
    assert [link.label for link in links] == [info.title for info in PAGE_LIST]
    assert all("ws=" in link.query_string for link in links)


def test_the_session_keeps_the_workspace_when_the_address_does_not(
    open_page: OpenPage, workspace_at: MakeWorkspace
) -> None:
    workspace = workspace_at("clips")
    app = open_page("home", workspace)
    app.query_params.clear()
    app.switch_page("../pages/ingest.py").run()
    check_page(app)
    assert app.query_params["ws"] == str(workspace.path)


def test_a_wrong_address_is_explained(open_page: OpenPage, concord_home: Path) -> None:
    app = open_page("home", ws=concord_home / "nothing")
    assert "There is no workspace at" in texts(app)


def test_a_workspace_outside_the_allowed_folders_is_refused(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path / "allowed"))
    secret = Workspace.create(tmp_path / "secret", name="secret plans")
    link = tmp_path / "allowed" / "link"
    link.parent.mkdir()
    link.symlink_to(secret.path)
    for path in (secret.path, link):
        app = open_page("export", ws=path)
        assert "outside the folders" in texts(app) and "secret plans" not in texts(app)


def test_a_newer_workspace_is_explained_and_left_alone(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("empty")
    file = workspace.path / "workspace.json"
    write_json(file, read_json(file) | {"format_version": 99})
    app = open_page("home", workspace)
    assert "newer version" in texts(app) and "Update Concord" in texts(app)
    assert read_json(file)["format_version"] == 99


def test_the_picker_opens_another_workspace(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    first, second = workspace_at("clips"), workspace_at("select")
    open_page("home", first)
    app = open_page("export", second)
    picker = app.sidebar.selectbox(key="sidebar.workspace")
    assert picker.value == str(second.path) and len(picker.options) == 2
    picker.set_value(str(first.path)).run()
    check_page(app)
    assert app.query_params["ws"] == str(first.path)
    assert "run" not in app.query_params


def test_the_run_that_is_shown_is_in_the_address(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    older = workspace.path / "selections" / "older one"
    shutil.copytree(workspace.path / "selections" / "main", older)
    write_json(older / MARKER, read_json(older / MARKER) | {"made": 1.0})
    app = open_page("export", workspace)
    picker = run_picker(app)
    assert picker.value == "main", "the newest one is shown"
    picker.set_value(older.name).run()
    check_page(app)
    assert app.query_params["run"] == older.name
    assert app.main.selectbox[0].value == older.name
    assert run_picker(open_page("export", workspace, run=older.name)).value == older.name


def run_picker(app: AppTest) -> Selectbox:
    return next(box for box in app.sidebar.selectbox if box.label == "Selection shown")


def test_a_late_answer_to_an_old_list_does_not_bring_an_old_run_back(
    open_page: OpenPage, workspace_at: MakeWorkspace
) -> None:
    workspace = workspace_at("select")
    folder = workspace.path / "selections"
    for name, made in (("older", 1.0), ("newer", time.time() + 60)):
        shutil.copytree(folder / "main", folder / f".{name}")
        write_json(folder / f".{name}" / MARKER, read_json(folder / f".{name}" / MARKER) | {"made": made})
    (folder / ".older").rename(folder / "older")
    app = open_page("export", workspace)
    picker = run_picker(app)
    assert picker.value == "main"
    (folder / ".newer").rename(folder / "newer")
    del app.query_params["run"]  # as it is while a run of this session is under way
    picker.set_value("older").run()  # the browser's answer was on its way when the new run ended
    check_page(app)
    assert run_picker(app).value == "newer"


def running_job(workspace: Workspace, **facts: object) -> str:
    job_id = jobs.new_job(workspace, ["run", str(workspace.path)], title="run <b>all</b>")
    file = workspace.path / "jobs" / job_id / "job.json"
    write_json(file, read_json(file) | {"updated": time.time()} | facts)
    return job_id


def test_a_running_job_is_shown_from_disk_and_cancelled(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("clips")
    facts = {"stage": "features", "done": 30, "total": 60, "unit": "clips", "rate_per_s": 5.0, "remaining_s": 6.0}
    job_id = running_job(workspace, host="another machine", state="running", **facts)
    for _ in range(2):  # a second tab, a reload
        app = open_page("export", workspace)
        text = texts(app)
        assert "features (4 of 9) · 30 of 60 clips · 5.0 clips/s · 6 s left" in text.replace("\\", "")
    assert r"\<b\>all" in text or "&lt;b" in text
    app.button(key=f"cancel.{job_id}").click().run()
    assert (workspace.path / "jobs" / job_id / "cancel").is_file()
    assert app.button(key=f"cancel.{job_id}").disabled


def test_a_failed_job_says_what_to_do_and_can_be_hidden(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("clips")
    error = {"code": "disk_full", "message": "The disk is full.", "hint": "Free some space and run again."}
    job_id = running_job(workspace, state="failed", ended=time.time() - 7200, error=error)
    app = open_page("ingest", workspace)
    assert "The disk is full." in texts(app) and "Free some space" in texts(app)
    app.button(key=f"hide.{job_id}").click().run()
    assert "The disk is full." not in texts(app)


def test_a_job_whose_process_died_is_called_lost(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("clips")
    running_job(workspace, state="running", pid=2**22 + 1, process_started="never")
    assert "ended without a word" in texts(open_page("export", workspace))


def test_the_log_is_read_only_when_asked_for(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("clips")
    job_id = running_job(workspace, state="done", ended=time.time())
    (workspace.path / "jobs" / job_id / "log.txt").write_text("a line of the log")
    app = open_page("export", workspace)
    assert "a line of the log" not in texts(app)
