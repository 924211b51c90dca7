"""The Export page: the choices, the rows as they will be written, the job, the files that are there."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("format", ["acav-csv", "csv", "parquet", "jsonl"])
def test_every_format_shows_its_first_rows(open_page: OpenPage, workspace_at: MakeWorkspace, format: str) -> None:
    workspace = workspace_at("select")
    app = open_page("export", workspace)
    app.selectbox(key="choose.format").set_value(format).run()
    check_page(app)
    assert app.query_params.get("format", "acav-csv") == format
    app = open_page("export", workspace, format=format)  # a link opens the same view
    assert app.selectbox(key="choose.format").value == format
    assert any("video0" in code.value for code in app.code)


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
