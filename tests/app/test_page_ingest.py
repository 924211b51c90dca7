"""The Ingest page: a folder, its previews, settings that are kept or refused, the funnel with its reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import jobs
from curation.workspace import Workspace
from tests.app.conftest import MakeWorkspace, OpenPage, check_page, texts

NAMES = ["a b.mp4", "<img src=x onerror=alert(1)>.mp4", "**bold** `code`.mkv", "\u202egpj.mp4", "no suffix"]


@pytest.fixture
def media(concord_home: Path) -> Path:
    """A folder of files with awkward names; none is a real video, and none is decoded by the page itself."""
    folder = concord_home / "videos"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(b"not a video")
    (folder / "notes.txt").write_text("text")
    return folder


def test_without_a_folder_it_asks_for_one(open_page: OpenPage, media: Path) -> None:
    app = open_page("ingest")
    app.text_input(key="ingest.folder").set_value(str(media))
    app.button(key="ingest.look").click().run()
    check_page(app)
    assert "5 media files · 1 file of other kinds passed over" in texts(app)


def test_run_makes_a_workspace_with_the_settings(
    open_page: OpenPage, media: Path, launched: list[list[str]], concord_home: Path
) -> None:
    app = open_page("ingest", folder=media)
    assert app.text_input(key="ingest.name").value == "videos"
    app.number_input(key=f"ingest.{media}.segment.clip_s").set_value(4.0)
    app.selectbox(key=f"ingest.{media}.filter.streams").set_value("any")
    app.button(key="ingest.run").click().run()
    check_page(app)
    workspace = Workspace.open(concord_home / "workspaces" / "videos")
    assert workspace.roots == [str(media)]
    assert workspace.settings == {"segment.clip_s": 4.0, "filter.streams": "any"}
    assert launched == [["run", str(workspace.path)]]
    assert app.query_params == {"ws": str(workspace.path)}
    assert "--set filter.streams=any --set segment.clip_s=4.0" in texts(app)
    assert app.button(key="ingest.run").disabled


def test_a_second_workspace_of_the_same_name_gets_a_number(
    open_page: OpenPage, media: Path, launched: list[list[str]], concord_home: Path
) -> None:
    Workspace.create(concord_home / "workspaces" / "videos")
    open_page("ingest", folder=media).button(key="ingest.clips_only").click().run()
    assert launched == [["run", str(concord_home / "workspaces" / "videos-2"), "--until", "segment"]]


def test_a_refused_setting_is_explained_and_nothing_runs(
    open_page: OpenPage, workspace_at: MakeWorkspace, media: Path, launched: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    workspace = workspace_at("empty")
    workspace.configure(roots=[str(media)])
    from curation.errors import SettingError

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise SettingError("segment.clip_s cannot be 4000.", hint="Allowed: a number from 0.5 to 600.")

    monkeypatch.setattr(Workspace, "configure", refuse)
    app = open_page("ingest", workspace)
    app.button(key="ingest.run").click().run()
    check_page(app)
    assert "cannot be 4000" in app.error[0].value and "Allowed" in app.error[0].value
    assert launched == []


def test_the_funnel_names_every_dropped_file(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    app = open_page("ingest", workspace_at("select"))
    assert "60 clips · 10 min" in texts(app)
    lost = app.dataframe[0].value
    assert lost["file"].tolist() == ["broken <b>.mp4"]
    assert lost["code"].tolist() == ["unopenable"]
    assert "1 cannot be opened" in texts(app)


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_that_is_gone_or_empty(
    open_page: OpenPage, workspace_at: MakeWorkspace, concord_home: Path, make: bool
) -> None:
    workspace, folder = workspace_at("empty"), concord_home / "gone"
    workspace.configure(roots=[str(folder)])
    if make:
        folder.mkdir()
    app = open_page("ingest", workspace)
    assert ("No media files here" if make else "is not a folder") in texts(app).replace("\\", "")
    assert app.button(key="ingest.use")


def test_a_folder_in_the_address_is_checked(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))
    app = open_page("ingest", folder="/etc")
    assert "outside the folders" in texts(app).replace("\\", "")
    assert app.text_input(key="ingest.folder")


def test_a_large_folder_offers_a_sample_first(
    open_page: OpenPage, media: Path, launched: list[list[str]], monkeypatch: pytest.MonkeyPatch, concord_home: Path
) -> None:
    from explorer.views import ingest

    monkeypatch.setattr(ingest, "SAMPLE_FILES", 3)
    app = open_page("ingest", folder=media)
    assert app.checkbox(key="ingest.sample").value is True
    app.button(key="ingest.run").click().run()
    assert Workspace.open(concord_home / "workspaces" / "videos").settings == {"scan.sample": 3}


def test_another_draw_is_in_the_address(open_page: OpenPage, media: Path) -> None:
    for i in range(30):
        (media / f"more{i}.mp4").write_bytes(b"x")
    app = open_page("ingest", folder=media)
    app.button(key="ingest.other_clips").click().run()
    check_page(app)
    assert app.query_params["seed"] == "1"


def test_while_a_job_runs_no_second_is_started(open_page: OpenPage, workspace_at: MakeWorkspace, media: Path) -> None:
    workspace = workspace_at("empty")
    workspace.configure(roots=[str(media)])
    jobs.new_job(workspace, ["run"], title="run")
    assert open_page("ingest", workspace).button(key="ingest.run").disabled
