"""The contingency page on no, empty, partial and full workspaces, and what its address reproduces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation import names, review
from curation.atomic import read_json, write_json
from curation.workspace import MARKER, Workspace
from explorer import marks
from tests.app.conftest import OpenPage, check_page, texts
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


def test_without_a_workspace(open_page: OpenPage) -> None:
    assert "No workspace is open" in texts(open_page("contingency"))


@pytest.mark.parametrize("upto", ["videos", "clips", "features"])
def test_before_there_are_clusters(open_page: OpenPage, tmp_path: Path, upto: str) -> None:
    page = open_page("contingency", make_workspace(tmp_path / "w", upto=upto))
    assert "not grouped into clusters yet" in texts(page)
    assert page.button(key="empty.cluster")


def test_an_empty_workspace(open_page: OpenPage, tmp_path: Path) -> None:
    assert "not grouped" in texts(open_page("contingency", Workspace.create(tmp_path / "w")))


def test_clusters_without_a_selection_show_the_candidates(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("contingency", make_workspace(tmp_path / "w", upto="cluster"))
    text = texts(page)
    assert "MI " in text and "permuted sounds" in text and "60 clips (candidates)" in text
    assert "random" not in text.split("permuted sounds")[1].split("\n")[0]
    assert "The cell that carries the most dependence" in text


def test_the_address_reproduces_pair_measure_and_cell(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("contingency", ws, a="sound.mfcc", v="picture.motion", show="pmi", of="selected", cell="1,2")
    assert page.selectbox(key="choose.a").value == "sound.mfcc"
    assert page.selectbox(key="choose.v").value == "picture.motion"
    text = texts(page)
    assert ":orange-badge[sound 1] × :green-badge[picture 2]" in text
    assert "12 clips (selected)" in text and "same size" in text
    assert "shuffled within the selection" in text and "beyond" not in text and "permuted" not in text


def test_a_selection_stands_beside_the_same_method_on_permuted_sounds(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    file = ws.artefact_path("selections/main") / MARKER
    marker = read_json(file)
    pair = {"first": "sound.mfcc", "second": "picture.motion", "permuted": 0.25}
    marker["info"]["report"]["pairs"] = [pair]
    write_json(file, marker)
    text = texts(open_page("contingency", ws, a="sound.mfcc", v="picture.motion", of="selected"))
    assert "permuted sounds (same method) 0.25" in text and "beyond permuted sounds (same method)" in text
    text = texts(open_page("contingency", ws, a="sound.logmel", v="picture.motion", of="selected"))
    assert "shuffled within the selection" in text


def test_a_choice_goes_into_the_address_and_drops_the_cell(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("contingency", make_workspace(tmp_path / "w"), cell="0,0", a="sound.logmel")
    check_page(page.selectbox(key="choose.a").select("sound.shape").run())
    assert page.query_params["a"] == "sound.shape"
    assert "cell" not in page.query_params


@pytest.mark.parametrize("show", ["count", "expected", "pmi", "residual", "share"])
@pytest.mark.parametrize("order", ["match", "blocks", "size", "number", "name"])
def test_every_measure_in_every_order(open_page: OpenPage, tmp_path: Path, show: str, order: str) -> None:
    open_page("contingency", make_workspace(tmp_path / "w"), show=show, order=order, box="0,0,1,2")


@pytest.mark.parametrize("of", ["candidates", "selected", "difference"])
@pytest.mark.parametrize("over", ["every", "depth", "nonsense"])
def test_the_mean_over_a_pairing(open_page: OpenPage, tmp_path: Path, of: str, over: str) -> None:
    page = open_page("contingency", make_workspace(tmp_path / "w"), of=of, over=over, show="pmi", cell="1,1")
    text = texts(page)
    pairs = {"every": "9 pairs", "depth": "3 pairs"}.get(over) if of != "difference" else None
    assert (f"Mean MI of {pairs}" in text and f"(mean of {pairs})" in text) if pairs else "Mean MI" not in text
    assert ("beyond permuted sounds" in text) == (of == "candidates" or of == "difference")


def test_names_of_clusters_and_what_row_and_column_are_like(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    names.record(ws, "sound.mfcc", 1, name="<b>bark</b>", author="ann")
    text = texts(open_page("contingency", ws, a="sound.mfcc", v="picture.motion", cell="1,2", order="name"))
    assert "sound 1 &lt;b>bark" in text or "1 &lt;b" in text
    assert "sounds like" in text and "looks like" in text
    text = texts(open_page("contingency", ws, a="sound.mfcc", v="picture.motion", box="0,0,1,1"))
    assert "sounds like" not in text and "looks like" not in text
    text = texts(open_page("contingency", ws, a="sound.mfcc", v="picture.motion", box="0,0,0,3"))
    assert "sounds like" in text and "looks like" not in text


def test_a_box_opens_its_clips_as_a_mark(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("contingency", ws, box="0,0,3,3", order="number")
    page.button(key="pair.open").click().run()
    (kept,) = (ws.path / "marks").glob("*.npy")
    assert marks.rows(ws, kept.stem).tolist() == list(range(60))


@pytest.mark.parametrize(("place", "of"), [("cell", "candidates"), ("cell", "selected"), ("box", "candidates")])
def test_a_cell_or_box_is_answered_at_once(open_page: OpenPage, tmp_path: Path, place: str, of: str) -> None:
    ws = make_workspace(tmp_path / "w")
    names.record(ws, "sound.mfcc", 1, name="<b>bark</b>", author="ann")
    a, b = (np.asarray(ws.array(f"clusterings/{name}", "assignments")) for name in ("sound.mfcc", "picture.motion"))
    chosen = np.zeros(60, bool)
    chosen[review.machine_rows(ws, "main")] = True
    column = int(np.bincount(b[(a == 1) & chosen]).argmax())
    wanted = (a == 1) & (b == column) & (chosen | (of == "candidates")) if place == "cell" else a <= 1
    where = {"cell": f"1,{column}"} if place == "cell" else {"box": "0,0,1,3"}
    page = open_page("contingency", ws, a="sound.mfcc", v="picture.motion", order="number", of=of, **where)
    check_page(page.button(key="pair.all.maybe").click().run())
    text = texts(page)
    assert f"Maybe all: {wanted.sum()} clip" in text and "none of them has an answer yet" in text
    whose = "selected by main" if of == "selected" else "all candidates"
    meant = f"sound 1 &lt;b>bark&lt;/b> × picture {column}, {whose}" if place == "cell" else "2 sound clusters × 4 pic"
    assert meant in text.replace("\\", "")
    check_page(page.button(key="pair.all.sure").click().run())
    assert review.decided_rows(ws)["maybe"].tolist() == np.flatnonzero(wanted).tolist()
    check_page(page.button(key="review.all.undo").click().run())
    assert review.reviewers(ws) == {}


def test_difference_measures_both(open_page: OpenPage, tmp_path: Path) -> None:
    text = texts(open_page("contingency", make_workspace(tmp_path / "w"), of="difference"))
    assert "(candidates)" in text and "(selected)" in text


@pytest.mark.parametrize("cell", ["99,0", "a,b", "1", "-5,2", "1,2,3", "0,-1", "²,1", "999999999999,1", "9" * 5000])
def test_an_address_with_a_cell_that_does_not_exist(open_page: OpenPage, tmp_path: Path, cell: str) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("contingency", ws, cell=cell, a="gone", v="<b>", show="no", box="9,9,1,1")
    assert "What the address names is not in this table. The cell that carries the most dependence" in texts(page)
    assert "The address names clusters that are not here" in texts(page)
    assert not {"cell", "box", "a", "v", "show"} & set(page.query_params)


def test_a_dragged_box_sums_its_cells(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("contingency", make_workspace(tmp_path / "w"), box="0,0,3,3")
    assert "4 sound clusters × 4 picture clusters" in texts(page)
    assert "**60 clips**, expected 60.0" in texts(page)


def test_one_cluster_each(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", n_clips=4, n_kinds=2, upto="cluster")
    assert "MI " in texts(open_page("contingency", ws))
