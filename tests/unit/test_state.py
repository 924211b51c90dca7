"""What a link carries, the recent list, the home folder; and the cached readers behind the pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from curation.atomic import read_json, write_json
from curation.errors import MissingArtefactError, NotAllowedError
from curation.home import browsable_roots, check_allowed, concord_home, media_in, open_allowed, subfolders
from curation.workspace import CLIPS_FINGERPRINT, MARKER, Workspace
from explorer import data, recent, state
from tests.workspacemaker import make_workspace


def run(body: Callable[[], None], **params: str) -> AppTest:
    """Run a function as a page."""
    app = AppTest.from_function(body, default_timeout=30)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].stack_trace
    return app


@pytest.fixture
def workspace(concord_home: Path) -> Workspace:
    return make_workspace(concord_home / "workspaces" / "one")


# -- the address -------------------------------------------------------------------------------------------------------


def test_parameters_are_written_and_removed() -> None:
    def page() -> None:
        import streamlit as st

        from explorer import state

        st.text(f"{state.param('a')}|{state.param('missing', 'default')}")
        state.set_params(a=None, b=3, c="<&>")
        state.set_params(c="<&>")

    app = run(page, a="one")
    assert app.text[0].value == "one|default"
    assert app.query_params == {"b": "3", "c": "<&>"}


@pytest.mark.parametrize(
    "text, number",
    [("12", 12), ("-1", -1), ("0", 0), ("²", None), ("9" * 5000, None), ("1_0", None), ("٣", None), ("", None),
     ("-", None), ("1.5", None), (" 1", None)],
)  # fmt: skip
def test_whole_numbers_of_the_address(text: str, number: int | None) -> None:
    assert state.whole_number(text) == number


def test_links_keep_workspace_and_run_unless_told() -> None:
    def page() -> None:
        import streamlit as st

        from explorer import state

        st.json(state.link_params(clip="x", left=None))
        st.json(state.link_params(run=None, ws="other"))

    app = run(page, ws="/w", run="main", other="1")
    assert json.loads(app.json[0].value) == {"ws": "/w", "run": "main", "clip": "x"}
    assert json.loads(app.json[1].value) == {"ws": "other"}


def test_the_workspace_of_the_address_is_opened_and_remembered(workspace: Workspace) -> None:
    def page() -> None:
        import streamlit as st

        from explorer import state

        found = state.current_workspace()
        st.text(found.name if found else str(state.workspace_error()))
        st.text(str(state.current_selection(found)) if found else "")

    app = run(page, ws=str(workspace.path), run="no such run")
    assert [text.value for text in app.text] == ["made", "main"]
    assert recent.paths() == [str(workspace.path)]
    app.query_params.clear()
    app.run()
    assert app.text[0].value == "made" and app.query_params["ws"] == str(workspace.path)
    shutil.rmtree(workspace.path)
    app.run()
    assert "There is no workspace" in app.text[0].value


# -- home and recent ---------------------------------------------------------------------------------------------------


def test_the_home_is_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONCORD_HOME", str(tmp_path / "here"))
    assert concord_home() == tmp_path / "here"
    monkeypatch.setenv("CONCORD_HOME", "")
    assert concord_home() == Path.home().resolve() / "concord"


def test_only_allowed_folders_are_opened(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    (allowed / "b" / "c").mkdir(parents=True)
    (allowed / ".hidden").mkdir()
    (allowed / "out").symlink_to("/etc")
    monkeypatch.setenv("CONCORD_ROOTS", str(allowed))
    assert open_allowed(workspace.path).path == workspace.path, "the home is always allowed"
    assert subfolders(allowed) == ["b", "out"]
    assert browsable_roots() == [allowed, concord_home()]
    for path in ("/etc", allowed / "out", allowed / "..", "a\0b", "~nobody-of-this-name/x"):
        with pytest.raises(NotAllowedError):
            check_allowed(path)
    with pytest.raises(NotAllowedError):
        media_in(allowed / "out", 10)
    with pytest.raises(NotAllowedError):
        subfolders("/etc")


def test_recent_workspaces_are_the_last_opened_that_are_still_there(concord_home: Path) -> None:
    made = [Workspace.create(concord_home / "workspaces" / f"w{i}") for i in range(recent.KEPT + 3)]
    for workspace in made:
        recent.remember(workspace)
    recent.remember(made[5])
    shutil.rmtree(made[-1].path)
    expected = [made[5], *[w for w in made[-2:2:-1] if w is not made[5]]]
    assert recent.paths() == [str(w.path) for w in expected][: recent.KEPT - 1]
    recent.forget(str(made[5].path))
    assert str(made[5].path) not in recent.paths()


@pytest.mark.parametrize("text", ["", "{", "[1, null, {}]", '{"a": 1}', '[{"path": 5}]'])
def test_a_damaged_recent_list_is_an_empty_one(concord_home: Path, text: str) -> None:
    concord_home.mkdir(parents=True, exist_ok=True)
    (concord_home / "recent.json").write_text(text)
    assert recent.paths() == []
    assert recent.rows() == []


def test_a_row_of_the_recent_list(workspace: Workspace) -> None:
    recent.remember(workspace)
    row = recent.rows()[0]
    assert (row.name, row.clips, row.last_run) == ("made", 60, None)
    assert row.hours == pytest.approx(60 / 360)
    assert row.size_bytes > 1000 and row.size_is_complete


def test_the_walk_for_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    for i in range(20):
        (tmp_path / f"{i}").write_bytes(b"x" * 10)
    assert recent.folder_size(tmp_path) == (200 + (tmp_path / "loop").lstat().st_size, True)
    monkeypatch.setattr(recent, "WALKED_FILES_MAX", 5)
    assert recent.folder_size(tmp_path)[1] is False


# -- readers -----------------------------------------------------------------------------------------------------------


def test_tables_and_arrays_of_a_workspace(workspace: Workspace) -> None:
    clips = data.clips_at(workspace, np.arange(60))
    assert len(clips) == data.n_clips(workspace) == 60
    assert data.row_of(workspace, clips[7].clip_id) == 7 and data.row_of(workspace, "nobody") is None
    modalities = [info["modality"] for info in data.clusterings(workspace).values()]
    assert modalities == ["audio"] * 3 + ["visual"] * 3
    name = next(iter(data.clusterings(workspace)))
    assert isinstance(data.assignments(workspace, name), np.memmap) and len(data.distances(workspace, name)) == 60
    assert data.sizes(workspace, name).sum() == 60
    picks, mask = data.picks(workspace, "main"), data.selected_mask(workspace, "main")
    assert mask.sum() == len(picks) == 12 and mask[picks["row"]].all()
    assert list(data.curve(workspace, "main").columns) == ["size", "objective", "random", "permuted"]
    assert len(data.scores(workspace, "main")) == 60
    assert data.columns(workspace) == ["truth_match"] and data.column(workspace, "truth_match").dtype == bool
    assert data.column(workspace, "nothing") is None
    assert data.projection(workspace, "audio").shape == (60, 2)
    assert "path_bytes" not in data.table(workspace, "videos").columns
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = True


def test_a_new_result_is_read_at_once(workspace: Workspace) -> None:
    before = data.picks(workspace, "main")
    folder = workspace.partial_folder("selections/main", "new")
    shutil.copytree(workspace.path / "selections" / "main", folder, dirs_exist_ok=True)
    (folder / MARKER).unlink()
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(folder / "picks.parquet").slice(0, 3), folder / "picks.parquet")
    workspace.commit_folder("selections/main", folder, "new", {"clips": 3})
    assert len(before) == 12 and len(data.picks(workspace, "main")) == 3
    assert data.selected_mask(workspace, "main").sum() == 3


@pytest.mark.parametrize("first, n", [(0, 40), (20, 40), (0, 60)], ids=["fewer", "moved", "as many"])
def test_what_was_made_of_other_clips_is_left_out(workspace: Workspace, first: int, n: int) -> None:
    before = data.picks(workspace, "main")
    table = workspace.table("clips").slice(first, n)
    table = table.set_column(0, "row", pa.array(np.arange(n), table.schema.field("row").type))
    workspace.commit_table("clips", table, "other")
    assert data.clusterings(workspace) == {} and data.projection(workspace, "audio") is None
    assert len(data.column(workspace, "truth_match")) == n
    info = data.selections(workspace)["main"]
    assert info["stale"] and info["why"] == data.OTHER_CLIPS
    picks = data.picks(workspace, "main")
    ids = [clip.clip_id for clip in data.clips_at(workspace, np.arange(n))]
    assert picks["clip_id"].tolist() == [one for one in before["clip_id"] if one in set(ids)]
    assert [ids[row] for row in picks["row"]] == picks["clip_id"].tolist()
    assert data.selected_mask(workspace, "main").sum() == len(picks)
    assert np.isnan(data.scores(workspace, "main")).all() and len(data.scores(workspace, "main")) == n


def test_without_a_word_on_its_clips_an_artefact_is_judged_by_its_length(workspace: Workspace) -> None:
    for key in ("clusterings/sound.mfcc", "selections/main"):
        file = workspace.artefact_path(key) / MARKER
        marker = read_json(file)
        del marker["info"][CLIPS_FINGERPRINT]
        write_json(file, marker)
    workspace.commit_table("clips", workspace.table("clips"), "as many")
    assert list(data.clusterings(workspace)) == ["sound.mfcc"] and list(data.selections(workspace)) == ["main"]
    workspace.commit_table("clips", workspace.table("clips").slice(0, 40), "fewer")
    assert data.clusterings(workspace) == {} and data.selections(workspace) == {}


def test_a_selection_of_clusters_that_changed_is_stale(workspace: Workspace) -> None:
    assert data.selections(workspace)["main"]["stale"] is False
    folder = workspace.partial_folder("clusterings/sound.mfcc", "again")
    shutil.copytree(workspace.path / "clusterings" / "sound.mfcc", folder, dirs_exist_ok=True)
    (folder / MARKER).unlink()
    workspace.commit_folder(
        "clusterings/sound.mfcc", folder, "again", workspace.artefact("clusterings/sound.mfcc").info
    )
    assert data.selections(workspace)["main"]["stale"] is True


def test_an_empty_workspace_has_nothing(concord_home: Path) -> None:
    workspace = Workspace.create(concord_home / "workspaces" / "empty")
    assert data.n_clips(workspace) == 0 and data.row_of(workspace, "nobody") is None
    assert data.clusterings(workspace) == data.selections(workspace) == {}
    assert data.table(workspace, "videos") is None and data.columns(workspace) == []
    with pytest.raises(MissingArtefactError):
        data.picks(workspace, "main")
