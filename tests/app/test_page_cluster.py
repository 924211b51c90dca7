"""The cluster page on no, empty, partial and full workspaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import jobs
from curation.workspace import Workspace
from explorer import data
from tests.app.conftest import OpenPage, check_page, texts
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


def test_without_a_workspace(open_page: OpenPage) -> None:
    assert "No workspace is open" in texts(open_page("cluster"))


@pytest.mark.parametrize(("upto", "why"), [("videos", "No video of this workspace"), ("clips", "not measured yet")])
def test_before_there_are_features(open_page: OpenPage, tmp_path: Path, upto: str, why: str) -> None:
    assert why in texts(open_page("cluster", make_workspace(tmp_path / "w", upto=upto)))


def test_an_empty_workspace(open_page: OpenPage, tmp_path: Path) -> None:
    assert "No video of this workspace" in texts(open_page("cluster", Workspace.create(tmp_path / "w")))


def test_features_without_clusters_offer_to_make_them(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = make_workspace(tmp_path / "w", upto="features")
    started: list[list[str]] = []
    monkeypatch.setattr(jobs, "launch", lambda workspace, argv, *, title: started.append(list(argv)) or "x")
    page = open_page("cluster", ws)
    assert "No clusters were made yet" in texts(page)
    page.text_input(key="set.n_clusters").input("5")
    check_page(page.button(key="run.cluster").click().run())
    assert started == [["cluster", str(ws.path)]]
    assert Workspace.open(ws.path).config.cluster.n_clusters == "5"


def test_clusters_are_listed_largest_first_with_their_share(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("cluster", ws, on="picture.motion")
    text = texts(page)
    sizes = data.sizes(ws, "picture.motion")
    assert f"**{sizes.max()} clips**" in text and "4 clusters, largest first" in text
    order = [text.index(f":green-badge[picture {k}]") for k in (-sizes).argsort(kind="stable")]
    assert order == sorted(order)
    assert "% selected" in text


@pytest.mark.parametrize("pick", ["random", "typical", "far", "nonsense"])
def test_which_stills(open_page: OpenPage, tmp_path: Path, pick: str) -> None:
    open_page("cluster", make_workspace(tmp_path / "w", upto="cluster"), pick=pick, seed="7", on="gone", page="99")


def test_an_opened_clip(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    assert "truth_match" in texts(open_page("cluster", ws, clip=data.clip_at(ws, 3).clip_id))
    open_page("cluster", ws, clip="no-such-clip")
