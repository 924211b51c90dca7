"""Workspaces with imported clips and a list, without times, media, features or clusters: every page opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import importers
from curation.workspace import Workspace
from tests.app.conftest import MakeWorkspace, OpenPage, texts


def listed(workspace: Workspace, folder: Path) -> Workspace:
    """With a list of every third clip as its selection."""
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    (folder / "list.csv").write_text("\n".join(["id", *ids[::3]]) + "\n")
    importers.import_list(workspace, folder / "list.csv", "elsewhere")
    return workspace


@pytest.fixture
def bare(concord_home: Path, tmp_path: Path) -> Workspace:
    workspace = Workspace.create(concord_home / "workspaces" / "bare")
    (tmp_path / "clips.csv").write_text("clip_id\n" + "".join(f"c{i}\n" for i in range(30)))
    importers.import_clips(workspace, tmp_path / "clips.csv")
    return listed(workspace, tmp_path)


@pytest.mark.parametrize("page", ["home", "ingest", "cluster", "selection", "contingency", "map", "clips", "export"])
def test_every_page_opens(open_page: OpenPage, bare: Workspace, page: str) -> None:
    app = open_page(page, bare, run="elsewhere")
    assert "nan" not in texts(app).split() and "None" not in texts(app).split()


def test_a_list_says_what_it_has_no_control_for(
    open_page: OpenPage, workspace_at: MakeWorkspace, tmp_path: Path
) -> None:
    app = open_page("selection", listed(workspace_at("select"), tmp_path), run="elsewhere")
    assert "a list made elsewhere has no control with permuted sounds" in texts(app)
    labels = {metric.label: metric.value for metric in app.metric}
    assert "Beyond permuted" not in labels and labels["Beyond random"].endswith("nats")
