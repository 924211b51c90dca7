"""Words on pages: proposed names marked and accepted on Cluster; the words box on Clips, or what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation import names, text_side
from curation.atomic import write_array
from curation.errors import InputError
from curation.proposals import propose
from curation.workspace import Workspace
from tests.app.conftest import OpenPage, check_page, texts
from tests.wordsmaker import DIM, JOINT, add_text_side, cluster_text_side, own_model
from tests.workspacemaker import make_workspace

AXES = np.eye(DIM, dtype=np.float32)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(text_side.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(text_side, "embed", lambda _ws, _layer, given: AXES[: len(given)])
    ws = make_workspace(tmp_path / "w", upto="cluster")
    add_text_side(ws)
    own_model(ws, tmp_path / "models")
    cluster_text_side(ws)
    return ws


def test_proposed_names_are_marked_and_one_is_accepted(ws: Workspace, tmp_path: Path, open_page: OpenPage) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("<b>rain</b>\na *dog*\nwind\nbell\n", "utf-8")
    assert "proposed" not in texts(open_page("cluster", ws, on=JOINT))
    propose(ws, JOINT, vocabulary=listed)
    page = open_page("cluster", ws, on=JOINT)
    text = texts(page)
    assert (
        r"proposed: *&lt;b\>rain&lt;/b\>*" in text
        and r"proposed: *a \*dog\**" in text
        and r"words.txt \(4 words\)" in text
    )
    assert "<b>" not in text and names.names(ws, JOINT) == {}
    check_page(page.button(key=f"names.accept.{JOINT}.1").click().run())
    assert names.names(ws, JOINT)[1].name == "a *dog*"
    text = texts(page)
    assert r"[sound 1 a \*dog\*]" in text and r"proposed: *a \*dog\**" not in text and "proposed: *wind*" in text
    page.session_state[f"cluster.name.{JOINT}.2"] = True
    check_page(page.run())
    choices = [b for b in page.button if (b.key or "").startswith(f"names.choice.{JOINT}.2")]
    assert len(choices) == 3 and choices[0].label == "*wind*"
    check_page(choices[1].click().run())
    assert names.names(ws, JOINT)[2].name == choices[1].label.strip("*").replace("\\", "").replace("&lt;", "<")
    page = open_page("cluster", ws, on=JOINT, view="table")
    assert page.dataframe[-1].value["proposed"].dropna().tolist() == ["<b>rain</b>", "bell"]


def test_names_are_proposed_by_a_job(ws: Workspace, open_page: OpenPage, launched: list[list[str]]) -> None:
    page = open_page("cluster", ws, on="sound.logmel")
    check_page(page.button(key="names.propose").click().run())
    assert launched == [["names", str(ws.path), "--propose", "--on", "sound.logmel", "--by", JOINT]]
    page = open_page("cluster", ws, on="picture.colour")
    assert "names.propose" not in [b.key for b in page.button], "no model of pictures reads words here"


def test_clips_are_found_by_words_and_the_link_opens_again(ws: Workspace, open_page: OpenPage) -> None:
    page = open_page("clips", ws)
    page.text_input(key="alike.text").input("a dog & 100 %")
    check_page(next(b for b in page.button if b.label == "Find by words").click().run())
    assert page.query_params["like"] == "words:a dog & 100 %" and page.query_params["by"] == JOINT
    assert any("nearest to the words" in b.label for b in page.button)
    again = open_page("clips", ws, like="words:a dog & 100 %", by=JOINT)
    assert any("nearest to the words “a dog & 100 %”" in b.label.replace("&amp;", "&") for b in again.button)
    assert again.selectbox(key="choose.sort").value == "alike"


def test_words_that_cannot_be_read_are_said_once(
    ws: Workspace, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def embed(_ws: Workspace, _layer: text_side.TextLayer, given: list[str]) -> np.ndarray:
        asked.append(given)
        raise InputError("The model is broken.")

    monkeypatch.setattr(text_side, "embed", embed)
    page = open_page("clips", ws, like="words:a dog", by=JOINT)
    assert "The model is broken." in texts(page) and len(asked) == 1
    check_page(page.run())
    assert len(asked) == 1 and "like" not in page.query_params
    for by in ("sound.logmel", "", JOINT.replace("joint", "block1"), "nothing"):
        open_page("clips", ws, like="words:a dog", by=by)
    assert len(asked) == 1


def test_what_words_need_is_said_where_they_are_missing(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster")
    page = open_page("clips", ws)
    assert "Words need features of a model that also reads text" in texts(page)
    assert "Find by words" not in [b.label for b in page.button]


def test_damaged_proposals_do_not_break_the_page(ws: Workspace, open_page: OpenPage) -> None:
    folder = ws.partial_folder(f"evaluations/proposals-{JOINT}", "x")
    write_array(folder / "vectors.npy", AXES)
    ws.commit_folder(f"evaluations/proposals-{JOINT}", folder, "x", {"by": JOINT})
    open_page("cluster", ws, on=JOINT)
