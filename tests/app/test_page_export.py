"""The Export page: the choices, the rows as they will be written, the job, the files that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import review
from curation.atomic import read_json, write_json
from curation.exporters import registry
from curation.jobs import new_job
from explorer import export_parts
from tests.app.conftest import MakeWorkspace, OpenPage, check_page, texts


def test_the_selection_is_exported_as_a_job(
    open_page: OpenPage, workspace_at: MakeWorkspace, launched: list[list[str]]
) -> None:
    workspace = workspace_at("select")
    app = open_page("export", workspace)
    assert "The first 10 rows as they will be written · 12 in all" in texts(app)
    app.button(key="export.run").click().run()
    check_page(app)
    out = workspace.path / "exports" / "made-main.csv"
    assert launched == [
        ["export", str(workspace.path), "--format", "acav-csv", "--out", str(out), "--selection", "main"]
    ]
    assert out.parent.is_dir() and not out.exists()


def test_every_format_shows_its_first_rows(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    app = open_page("export", workspace, format="parquet")  # a link opens the same view
    assert app.selectbox(key="choose.format").value == "parquet"
    for format in registry.names():
        app.selectbox(key="choose.format").set_value(format).run()
        check_page(app)
        assert app.query_params["format"] == format
        if format not in ("bundle", "report"):
            assert any("video0" in code.value for code in app.code)
        assert "in all, about" in texts(app) and not app.button(key="export.run").disabled


def test_all_clips_can_be_exported_without_a_selection(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    app = open_page("export", workspace_at("clips"))
    assert "60 in all" in texts(app)


def test_a_file_is_never_overwritten(
    open_page: OpenPage, workspace_at: MakeWorkspace, launched: list[list[str]]
) -> None:
    workspace = workspace_at("select")
    taken = workspace.path / "exports" / "made-main.csv"
    taken.parent.mkdir()
    taken.write_text("mine")
    app = open_page("export", workspace)
    where = next(field for field in app.main.text_input if field.label == "Where")
    where.set_value(str(taken)).run()
    app.button(key="export.run").click().run()
    assert launched[0][5].endswith("made-main-2.csv")
    assert "Writes made-main-2.csv" in texts(app).replace("\\", "") or taken.read_text() == "mine"
    assert app.dataframe[0].value["file"].tolist() == ["made-main.csv"]


def test_a_place_outside_the_allowed_folders_is_refused(
    open_page: OpenPage, workspace_at: MakeWorkspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path / "allowed"))
    app = open_page("export", workspace_at("select"))
    where = next(field for field in app.main.text_input if field.label == "Where")
    where.set_value("/etc/clips.csv").run()
    check_page(app)
    assert "outside the folders" in texts(app).replace("\\", "")
    assert app.button(key="export.run").disabled


def test_the_filter_of_the_address_is_exported(
    open_page: OpenPage, workspace_at: MakeWorkspace, launched: list[list[str]]
) -> None:
    workspace = workspace_at("select")
    app = open_page("export", workspace, what="filter", text="folder 1", format="csv")
    box = next(box for box in app.main.selectbox if box.label == "What")
    assert box.value == export_parts.FILTERED and "20 in all" in texts(app)
    app.button(key="export.run").click().run()
    check_page(app)
    rows = Path(launched[0][launched[0].index("--rows") + 1])
    assert rows.parent == workspace.path / "marks" and rows.is_file()
    assert launched[0][-4:-2] == ["--selection", "main"]


def test_the_review_is_offered_when_there_is_one(
    open_page: OpenPage, workspace_at: MakeWorkspace, launched: list[list[str]]
) -> None:
    workspace = workspace_at("select")
    assert "reviewed" not in str(open_page("export", workspace).main.selectbox[0].options)
    clip = workspace.table("clips", ["clip_id"])["clip_id"][0].as_py()
    picked = set(review.machine_rows(workspace, "main").tolist())
    review.record(workspace, [{"clip_id": clip, "decision": "drop" if 0 in picked else "keep"}], "me")
    app = open_page("export", workspace, what="reviewed", format="csv")
    assert f"{11 if 0 in picked else 13} in all" in texts(app)
    app.button(key="export.run").click().run()
    assert launched[0][-3:] == ["--selection", "main", "--reviewed"]


def test_the_cut_is_in_the_address_and_in_the_command(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    app = open_page(
        "export", workspace_at("select"), format="webdataset", cut="exact", shard_clips=50, shard_mb="wrong"
    )
    assert app.selectbox(key="choose.cut").value == "exact"
    assert any("--cut exact --shard-clips 50" in code.value and "shard-mb" not in code.value for code in app.code)
    app.number_input(key="export.shard_mb").set_value(77).run()
    check_page(app)
    assert app.query_params["shard_mb"] == "77" and any("--shard-mb 77" in code.value for code in app.code)


@pytest.mark.parametrize("params", [{"what": "nothing"}, {"what": "reviewed"}, {"what": "filter"}, {"format": "xlsx"},
                                    {"cut": "blunt", "format": "webdataset"}])  # fmt: skip
def test_what_the_address_cannot_mean_is_left_out(
    open_page: OpenPage, workspace_at: MakeWorkspace, params: dict[str, str]
) -> None:
    app = open_page("export", workspace_at("select"), **params)
    assert app.main.selectbox[0].value == "main" and not app.error


def test_a_report_without_a_selection_says_what_it_needs(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    app = open_page("export", workspace_at("clips"), format="report")
    assert "tells of a selection" in texts(app).replace("\\", "") and app.button(key="export.run").disabled


def test_what_became_of_the_export_stays_on_the_page(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    job = new_job(workspace, ["export"], title="export")
    file = workspace.path / "jobs" / job / "job.json"
    facts = {"out": "/x/set", "clips": 10, "failed": {"missing": 2}, "notices": ["<b>One</b>"]}
    write_json(file, read_json(file) | {"state": "done", "ended": 1.0, "result": {"export": facts}})
    text = texts(open_page("export", workspace))
    assert "2 clips missing (2 missing): report.csv says why" in text and "<b>One</b>" in text


def test_what_is_not_finished_can_be_discarded(open_page: OpenPage, workspace_at: MakeWorkspace) -> None:
    workspace = workspace_at("select")
    left = workspace.path / "exports" / ".my set.0123456789abcdef.unfinished"
    left.mkdir(parents=True)
    app = open_page("export", workspace)
    assert "Not finished" in texts(app)
    app.button(key="export.discard.my set").click().run()
    check_page(app)
    assert not left.exists()
