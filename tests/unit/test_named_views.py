"""Named views: kept, replaced, renamed and deleted by appending; bounded; damaged lines cost themselves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import named_views
from curation.errors import InputError
from curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws")


def names(workspace: Workspace) -> list[str]:
    return [view.name for view in named_views.views(workspace)]


def test_the_last_word_counts_and_nothing_is_lost(workspace: Workspace) -> None:
    assert named_views.views(workspace) == []
    named_views.keep(workspace, "dogs", "clips", {"cell": "1,2"})
    named_views.keep(workspace, " cats  here ", "clips", {"cell": "3,4"})
    named_views.keep(workspace, "dogs", "map", {"color": "x=1&y"})
    assert names(workspace) == ["dogs", "cats here"]
    assert named_views.views(workspace)[0].params == {"color": "x=1&y"}
    named_views.rename(workspace, "dogs", "hounds")
    named_views.delete(workspace, "cats here")
    (view,) = named_views.views(workspace)
    assert (view.name, view.page, view.params) == ("hounds", "map", {"color": "x=1&y"})
    assert len((workspace.path / named_views.FILE).read_text().splitlines()) == 6, "undoing appends"


def test_wrong_names_are_refused(workspace: Workspace) -> None:
    for name in ("", "  ", "x" * 61, "\x07"):
        with pytest.raises(InputError, match="1 to 60 characters"):
            named_views.keep(workspace, name, "clips", {})
    named_views.keep(workspace, "a", "clips", {})
    named_views.keep(workspace, "b", "clips", {})
    with pytest.raises(InputError, match="called 'b' already"):
        named_views.rename(workspace, "a", "b")
    with pytest.raises(InputError, match="no view called 'c'"):
        named_views.delete(workspace, "c")
    with pytest.raises(InputError, match="too long"):
        named_views.keep(workspace, "long", "clips", {"sql": "x" * 9000})


def test_there_is_a_bound(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_views, "VIEWS_MAX", 2)
    for name in ("a", "b", "a"):
        named_views.keep(workspace, name, "clips", {})
    with pytest.raises(InputError, match="kept already"):
        named_views.keep(workspace, "c", "clips", {})


def test_what_is_no_view_is_left_out(workspace: Workspace) -> None:
    named_views.keep(workspace, "<b>right</b> שמאל", "clips", {"text": "\u202e"})
    with (workspace.path / named_views.FILE).open("a") as handle:
        handle.write('{"name": 3}\n[]\n{"name": "x", "page": 7}\n{"name": "y", "page": "map", "params": [1]}\n{"na')
    assert names(workspace) == ["<b>right</b> שמאל"]
