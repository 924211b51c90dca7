"""The Ingest page: a folder, its previews, settings that are kept or refused, the funnel with its reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from curation import jobs, sourcespec
from curation.records import FILTERED
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
    assert ("No media files here" if make else "does not exist") in texts(app).replace("\\", "")
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


# -- other kinds of sources --------------------------------------------------------------------------------------------


def metadata_line(youtube_id: str, title: str, seconds: float, category: str = "Music") -> str:
    feature = {"Title": title, "Description": "", "YouTubeCategory": category}
    return f"{youtube_id}\t" + json.dumps({"LatestDAFeature": feature, "MediaVersionList": [{"Duration": seconds}]})


@pytest.fixture
def listed(media: Path) -> dict[str, Path]:
    """A list with columns, and metadata of three videos, one of them not there."""
    (media / "list.csv").write_text("path,film,channel,truth_x\na b.mp4,Film A,one,1\ngone.mp4,Film B,two,0\n")
    for youtube_id in ("abcdefghij0", "abcdefghij1"):
        (media / f"{youtube_id}.mp4").write_bytes(b"not a video")
    lines = [
        metadata_line("abcdefghij0", "A dog barks in the yard", 120),
        metadata_line("abcdefghij1", "Minecraft gameplay", 120, "Gaming"),
        metadata_line("abcdefghij2", "A short one", 12),
    ]
    (media / "metadata.tsv").write_text("\n".join(lines) + "\n")
    return {"list": media / "list.csv", "metadata": media / "metadata.tsv"}


def test_a_list_is_looked_into_and_its_columns_are_chosen(
    open_page: OpenPage, listed: dict[str, Path], launched: list[list[str]], concord_home: Path
) -> None:
    app = open_page("ingest")
    app.segmented_control(key="ingest.kind").set_value("list").run()
    app.text_input(key="ingest.file.list").set_value(str(listed["list"]))
    app.button(key="ingest.look.list").click().run()
    check_page(app)
    assert "1 media file · 1 not there" in texts(app)
    app.selectbox(key="ingest.titles").set_value("film").run()
    app.multiselect(key="ingest.keep.film").set_value(["channel"]).run()
    check_page(app)
    choice = app.selectbox(key=f"ingest.{listed['list']}.segment.source")
    assert choice.options == ["each file", "title, or folder", "channel"]
    assert "--list-title film --list-columns channel" in texts(app)
    choice.set_value("column:channel")
    app.button(key="ingest.run").click().run()
    check_page(app)
    workspace = Workspace.open(concord_home / "workspaces" / "list")
    assert workspace.sources == [sourcespec.file_list(listed["list"], title="film", columns=["channel"])]
    assert workspace.settings == {"segment.source": "column:channel"}
    assert launched == [["run", str(workspace.path)]]


def test_what_the_filters_of_metadata_would_drop_is_counted_before_a_run(
    open_page: OpenPage, listed: dict[str, Path], media: Path, launched: list[list[str]], concord_home: Path
) -> None:
    app = open_page("ingest", source="metadata", file=listed["metadata"], media=media)
    assert "1 of 3 videos would go on" in texts(app)
    would = next(frame.value for frame in app.dataframe if "would drop" in frame.value)
    assert dict(zip(would["filter"], would["would drop"])) == {
        "of a dropped category": 1,
        "too short by its metadata": 1,
    }
    prefix = f"ingest.{listed['metadata']}"
    app.number_input(key=f"{prefix}.filter.metadata_min_duration_s").set_value(10.0).run()
    assert "2 of 3 videos would go on" in texts(app)
    app.text_input(key=f"{prefix}.filter.languages").set_value("english").run()
    check_page(app)
    assert "two-letter codes" in app.error[0].value.replace("\\", "")
    app.text_input(key=f"{prefix}.filter.languages").set_value("en").run()
    app.button(key="ingest.run").click().run()
    workspace = Workspace.open(concord_home / "workspaces" / "metadata")
    assert workspace.settings == {"filter.metadata_min_duration_s": 10.0, "filter.languages": "en"}


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [("list", "no.csv", "no column `path`"), ("list", "notes.txt", "not there"), ("tars", "a.mp4", "is not a tar"),
     ("list", "none.csv", "There is no list")],
)  # fmt: skip
def test_sources_that_cannot_be_read_are_said_in_words(
    open_page: OpenPage, media: Path, kind: str, name: str, said: str
) -> None:
    (media / "no.csv").write_text("a,b\n1,2\n")
    (media / "a.mp4").write_bytes(b"x")
    app = open_page("ingest", source=kind, file=media / name)
    assert said in texts(app).replace("\\", "")


def test_sources_are_added_and_removed(
    open_page: OpenPage, workspace_at: MakeWorkspace, listed: dict[str, Path], media: Path, launched: list[list[str]]
) -> None:
    workspace = workspace_at("empty")
    workspace.configure(roots=[str(media)])
    app = open_page("ingest", workspace, source="list", file=listed["list"])
    assert f"--list {listed['list']}" in texts(app)
    app.button(key="ingest.add").click().run()
    check_page(app)
    assert [spec.kind for spec in Workspace.open(workspace.path).sources] == ["folder", "list"]
    assert "source" not in app.query_params and app.query_params["look"] == "1"
    app.button(key="ingest.remove.0").click().run()
    check_page(app)
    sources = Workspace.open(workspace.path).sources
    assert [(spec.kind, spec.removed) for spec in sources] == [("folder", True), ("list", False)]
    assert launched == []


def test_reasons_are_listed_one_by_one(open_page: OpenPage, workspace_at: MakeWorkspace, media: Path) -> None:
    workspace = workspace_at("clips")
    ids = workspace.table("videos", ["video_id"])["video_id"].to_pylist()
    codes = ["keyword_gaming", "language", "language", *[""] * (len(ids) - 3)]
    rows = [{"video_id": video, "status": "dropped" if code else "ok", "code": code, "message": code, "language": ""}
            for video, code in zip(ids, codes)]  # fmt: skip
    workspace.commit_table("filtered", pa.Table.from_pylist(rows, FILTERED), "f2", {})
    app = open_page("ingest", workspace, lost="after filters", code="language")
    assert app.dataframe[0].value["code"].tolist() == ["language", "language"]
    app = open_page("ingest", workspace, lost="after filters")
    assert len(app.dataframe[0].value) == 3
