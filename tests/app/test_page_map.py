"""The map page on no, empty, partial and full workspaces; a mark in one map and what it lists."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import review
from curation.atomic import write_array
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from explorer import map_panel, marks
from explorer.components.map import MapEvent, _event
from explorer.views import maps as views
from tests.app.conftest import OpenPage, check_page, texts
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


@pytest.mark.parametrize(
    "color", ["k:sound.mfcc", "selected", "score", "none", "c:truth_match", "c:gone", "k:gone", "nonsense"]
)
def test_every_colour(open_page: OpenPage, tmp_path: Path, color: str) -> None:
    open_page("map", make_workspace(tmp_path / "w"), color=color)


def test_columns_of_texts_numbers_and_gaps(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    ids = ws.table("clips", ["clip_id"])["clip_id"].to_pylist()
    columns = {
        "label": [["<b>dog</b>", None, "cat\n"][i % 3] for i in range(60)],
        "level": [i / 7 for i in range(60)],
        "yes": [[True, False, None][i % 3] for i in range(60)],
        "nothing": pa.array([None] * 60, pa.string()),
    }
    for name, values in columns.items():
        ws.commit_table(f"columns/{name}", pa.table({"clip_id": ids, name: values}), name, {"origin": "imported"})
        open_page("map", ws, color=f"c:{name}")


def test_a_mark_in_the_address_lists_its_clips(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    token = marks.save(ws, np.arange(10))
    page = open_page("map", ws, rows=token, side="audio")
    text = texts(page)
    assert "**10 clips marked** in the sound map" in text
    assert "picture clusters" in text and "selected (all 20 %)" in text
    page.button(key="map.clear").click().run()
    assert "Draw around clips" in texts(page) and "rows" not in page.query_params


def test_a_marked_set_is_answered_at_once_and_taken_back(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    ids = ws.table("clips", ["clip_id"])["clip_id"].to_pylist()
    review.record(ws, [{"clip_id": ids[3], "decision": "keep"}, {"clip_id": ids[40], "decision": "keep"}], "ann")
    page = open_page("map", ws, rows=marks.save(ws, np.arange(10)), side="visual", reviewer="bo")
    check_page(page.button(key="map.all.drop").click().run())
    text = texts(page)
    assert "Drop all: 10 clips, said by bo?" in text and "before: 1 kept, 9 without an answer" in text
    assert "the clips marked in the picture map" in text and review.reviewers(ws) == {"ann": 2}
    check_page(page.button(key="map.all.sure").click().run())
    assert review.decided_rows(ws)["drop"].tolist() == list(range(10)) and "10 clips: dropped" in texts(page)
    check_page(page.button(key="review.all.undo").click().run())
    assert review.decided_rows(ws)["drop"].tolist() == [] and review.decided_rows(ws)["keep"].tolist() == [3, 40]


def test_two_sessions_answer_overlapping_marks(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    first = open_page("map", ws, rows=marks.save(ws, np.arange(10)))
    second = open_page("map", ws, rows=marks.save(ws, np.arange(5, 15)))
    for page, decision in ((first, "keep"), (second, "drop")):
        page.button(key=f"map.all.{decision}").click().run()
    check_page(first.button(key="map.all.sure").click().run())
    check_page(second.button(key="map.all.sure").click().run())
    check_page(first.button(key="review.all.undo").click().run())
    found = review.decided_rows(ws)
    assert found["drop"].tolist() == list(range(5, 15)), "what the other session said later is not taken back"
    assert found["keep"].tolist() == []


def test_a_question_is_about_the_clips_it_was_asked_of(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("map", ws, rows=marks.save(ws, np.arange(10)))
    page.button(key="map.all.keep").click().run()
    page.query_params["rows"] = marks.save(ws, np.arange(20, 30))
    check_page(page.run())
    assert "said by" not in texts(page), "as many others are marked now: it is asked again"
    page.button(key="map.all.keep").click().run()
    clips = ws.table("clips")
    ws.commit_table("clips", clips, "another", {"clips": 60, "hours": 1.0})
    check_page(page.button(key="map.all.sure").click().run())
    assert review.reviewers(ws) == {}, "the table of clips is another one"


def test_more_clips_than_one_answer_may_hold(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review, "ANSWERS_MAX", 9)
    ws = make_workspace(tmp_path / "w")
    page = open_page("map", ws, rows=marks.save(ws, np.arange(10)))
    assert "10 clips are more than are answered at once (9)" in texts(page)
    assert not [button for button in page.button if (button.key or "").startswith("map.all.")]


@pytest.mark.parametrize("rows", ["marked", "0" * 20, "../../x"])
def test_a_mark_that_is_gone_says_so(open_page: OpenPage, tmp_path: Path, rows: str) -> None:
    page = open_page("map", make_workspace(tmp_path / "w"), rows=rows)
    assert "not kept any more" in texts(page) and "rows" not in page.query_params


@pytest.mark.parametrize("window", ["", "1,2,3", "a,b,c,d", "1,1,0,0", "nan,0,1,1", "0,0,1e400,1", "-1,-1,1,1"])
def test_any_window_in_the_address(open_page: OpenPage, tmp_path: Path, window: str) -> None:
    open_page("map", make_workspace(tmp_path / "w"), wa=window, wv=window)


def test_the_second_layout_is_offered_then_chosen(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("map", ws, lay="umap")
    assert page.button(key="map.umap").label.startswith("Make the UMAP (about") and "lay" not in page.query_params
    for modality in ("audio", "visual"):
        folder = ws.partial_folder(f"projections/{modality}.umap", "u")
        write_array(folder / "xy.npy", np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32))
        info = {CLIPS_FINGERPRINT: ws.fingerprint("clips"), "method": "umap", "clips": 60, "fitted": 50}
        ws.commit_folder(f"projections/{modality}.umap", folder, "u", info)
    text = texts(open_page("map", ws, lay="umap"))
    assert "fitted on 50 drawn by hash · UMAP" in text


def test_what_a_browser_sends_becomes_an_event_or_nothing() -> None:
    found = _event("outline", {"points": [[0, 0], [1, 0], [1, 1]], "how": "add"})
    assert found is not None and found.outline is not None and found.outline.shape == (3, 2) and found.how == "add"
    assert _event("view", {"window": [0, 0, 1, 2]}) == MapEvent(window=(0.0, 0.0, 1.0, 2.0))
    assert _event("point", {"row": 7}) == MapEvent(row=7) and _event("clear", {}) == MapEvent(cleared=True)
    bad = [
        ("outline", {"points": [[0, 0], [1, 1]]}), ("outline", {"points": [[0, 0]] * 500}),
        ("outline", {"points": "x"}),
        ("outline", {"points": [[0, None]] * 3}), ("view", {"window": [1, 0, 0, 1]}), ("view", {"window": [0, 1]}),
        ("view", {}), ("point", {"row": "x"}), ("point", 5), ("clear", None),
    ]  # fmt: skip
    assert [_event(name, sent) for name, sent in bad] == [None] * len(bad)


def test_every_colour_number_has_a_colour() -> None:
    rng = np.random.default_rng(0)
    labels, xy = rng.integers(12, size=200), rng.normal(size=(200, 2)).astype(np.float32)
    for coloring in (
        views.plain(200), views.groups(labels, [str(i) for i in range(12)]), views.scale(rng.random(200)),
        views.share(labels > 5, None, ("no", "yes")), views.hues(labels, xy, 12),
    ):  # fmt: skip
        for dark in (False, True):
            found = map_panel.colors_of(coloring, "audio", dark)
            assert len(found) == coloring.colors > int(coloring.code.max())
            assert all(re.fullmatch("#[0-9A-Fa-f]{6}", color) for color in found)
