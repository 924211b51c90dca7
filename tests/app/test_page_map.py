"""The map page on no, empty, partial and full workspaces; a mark in one map and what it lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.workspace import Workspace
from explorer import map_panel
from tests.app.conftest import OpenPage, texts
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


def test_without_a_workspace(open_page: OpenPage) -> None:
    assert "No workspace is open" in texts(open_page("map"))


@pytest.mark.parametrize(
    ("upto", "why"), [("videos", "No video of this workspace"), ("clips", "The maps were not made yet")]
)
def test_before_there_are_maps(open_page: OpenPage, tmp_path: Path, upto: str, why: str) -> None:
    assert why in texts(open_page("map", make_workspace(tmp_path / "w", upto=upto)))


def test_an_empty_workspace(open_page: OpenPage, tmp_path: Path) -> None:
    assert "No video of this workspace" in texts(open_page("map", Workspace.create(tmp_path / "w")))


@pytest.mark.parametrize("upto", ["features", "cluster", "select"])
def test_two_maps_side_by_side(open_page: OpenPage, tmp_path: Path, upto: str) -> None:
    text = texts(open_page("map", make_workspace(tmp_path / "w", upto=upto)))
    assert "Sound map" in text and "Picture map" in text and "all 60 clips" in text


@pytest.mark.parametrize("color", ["k:sound.mfcc", "selected", "rank", "truth", "nonsense"])
def test_every_colour(open_page: OpenPage, tmp_path: Path, color: str) -> None:
    open_page("map", make_workspace(tmp_path / "w"), color=color)


def test_a_mark_lists_its_clips(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("map", ws)
    page.session_state["map.marked"] = (str(ws.path), "audio", np.arange(10))
    text = texts(page.run())
    assert not page.exception
    assert "**10 clips marked** in the sound map" in text
    assert "picture clusters" in text and "selected (all 20 %)" in text
    page.button(key="map.clear").click().run()
    assert "Draw around points" in texts(page)


def test_rows_of_what_the_browser_sent(open_page: OpenPage) -> None:
    points = [{"customdata": ["5"]}, {"customdata": "3"}, {"customdata": ["x"]}, {}, "bad", {"customdata": ["5"]}]
    assert map_panel.marked_rows(points).tolist() == [3, 5]
