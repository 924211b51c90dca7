"""The page of clips on no, empty, partial and full workspaces: filters, orders, the opened clip and why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.workspace import Workspace
from explorer import data
from tests.app.conftest import OpenPage, check_page, texts
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


def test_without_a_workspace(open_page: OpenPage) -> None:
    assert "No workspace is open" in texts(open_page("clips"))


def test_an_empty_workspace(open_page: OpenPage, tmp_path: Path) -> None:
    assert "No video of this workspace" in texts(open_page("clips", Workspace.create(tmp_path / "w")))


@pytest.mark.parametrize("upto", ["clips", "features", "cluster"])
def test_clips_without_a_selection(open_page: OpenPage, tmp_path: Path, upto: str) -> None:
    text = texts(open_page("clips", make_workspace(tmp_path / "w", upto=upto)))
    assert "**60 clips** · 10 min" in text and "selected" not in text


def test_the_first_pick_and_why(open_page: OpenPage, tmp_path: Path) -> None:
    text = texts(open_page("clips", make_workspace(tmp_path / "w")))
    assert "12 selected (20 %)" in text
    assert "**Picked 1st** of 12" in text and "in 9 pairs of clusterings · mean PMI" in text
    assert "Known answer: sound and picture belong together" in text


@pytest.mark.parametrize(
    "filters",
    [{"sel": "yes"}, {"sel": "no"}, {"truth": "false"}, {"text": "video0003"}, {"text": "folder 1/"},
     {"in_a": "sound.mfcc", "k_a": "0,2"}, {"k_v": "1"}, {"a": "sound.logmel", "v": "picture.colour", "cell": "0,1"}],
)  # fmt: skip
def test_each_filter_counts_what_it_leaves(open_page: OpenPage, tmp_path: Path, filters: dict[str, str]) -> None:
    ws = make_workspace(tmp_path / "w")
    expected = int(_mask(ws, filters).sum())
    page = open_page("clips", ws, **filters)
    text = texts(page)
    if expected:
        assert f"**{expected} clip" in text and "of all 60 clips" in text
    else:
        assert "No clip meets all of these conditions" in text
    check_page(page.button(key="filter.0").click().run())
    assert "**60 clips**" in texts(page)


def _mask(ws: Workspace, filters: dict[str, str]) -> np.ndarray:
    selected, truth = data.selected_mask(ws, "main"), data.column(ws, "truth_match")
    assert truth is not None
    if "sel" in filters:
        return selected if filters["sel"] == "yes" else ~selected
    if "truth" in filters:
        return ~truth.astype(bool)
    if "text" in filters:
        return ws.table("clips")["path"].to_pandas().str.contains(filters["text"], regex=False).to_numpy()
    if "cell" in filters:
        return (data.assignments(ws, "sound.logmel") == 0) & (data.assignments(ws, "picture.colour") == 1)
    if "k_a" in filters:
        return np.isin(data.assignments(ws, "sound.mfcc"), [0, 2])
    return data.assignments(ws, "picture.colour") == 1


@pytest.mark.parametrize("sort", ["row", "rank", "path", "random", "least", "nonsense"])
def test_every_order(open_page: OpenPage, tmp_path: Path, sort: str) -> None:
    open_page("clips", make_workspace(tmp_path / "w"), sort=sort, seed="3")


def test_pages_of_sixty(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("clips", make_workspace(tmp_path / "w", n_clips=130), sort="row", page="2")
    assert "page 2 of 3" in texts(page)
    check_page(page.button(key="page.on").click().run())
    assert page.query_params["page"] == "3"


def test_a_clip_that_was_not_picked(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    row = int(np.flatnonzero(~data.selected_mask(ws, "main"))[0])
    text = texts(open_page("clips", ws, clip=data.clip_at(ws, row).clip_id))
    assert "**Not picked** of 12 clips: it was never compared before the budget was full" in text


def test_an_opened_clip_outside_the_filter_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    row = int(np.flatnonzero(~data.selected_mask(ws, "main"))[0])
    text = texts(open_page("clips", ws, clip=data.clip_at(ws, row).clip_id, sel="yes"))
    assert "not among the 12 clips that meet the conditions" in text


def test_an_address_with_names_that_do_not_exist(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page(
        "clips", ws, clip="gone", in_a="gone", k_a="x", cell="9,9", a="sound.mfcc", v="gone", run="gone", page="x",
        without="gone", truth="maybe", rows="marked",
    )  # fmt: skip
    text = texts(page)
    assert "**60 clips**" in text and "The clip in the address is not in this workspace" in text
    assert "The selection in the address is not in this workspace" in text
    assert "not in this workspace: sound clusters, a cell, a selection, known answers, a mark on the map." in text
    left = set(page.query_params) - {"ws", "run"}
    assert not left, "what is not there does not stay in the address"
    assert page.query_params["run"] == ["main"] or page.query_params["run"] == "main"


@pytest.mark.parametrize("k", ["²", "9" * 5000, "-1", "99", "1_0"])
def test_odd_cluster_numbers_are_left_out(open_page: OpenPage, tmp_path: Path, k: str) -> None:
    page = open_page("clips", make_workspace(tmp_path / "w"), k_a=k, page=k)
    assert "**60 clips**" in texts(page) and "k_a" not in page.query_params


def test_text_that_nothing_holds(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("clips", make_workspace(tmp_path / "w"), text="<script>\"'‮")
    assert "No clip meets all of these conditions" in texts(page)
