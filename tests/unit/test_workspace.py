"""The workspace: whole artefacts or none, newer formats refused, replacements that survive a kill."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.atomic import write_array
from curation.errors import InputError, MissingArtefactError, SettingError, WorkspaceError
from curation.workspace import MARKER, Workspace, check_name, fingerprint_of, open_workspace
from tests.workspacemaker import make_workspace


def test_create_open_and_keep_settings(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "ws", name="mine", roots=[str(tmp_path)])
    made.configure({"select.budget": "0.3", "cluster.seed": 5})
    made.configure({"cluster.seed": 0})
    opened = open_workspace(tmp_path / "ws")
    assert (opened.name, opened.roots, opened.settings) == ("mine", [str(tmp_path)], {"select.budget": "0.3"})
    assert opened.config.select.budget == "0.3"


def test_a_wrong_setting_changes_nothing(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    before = (tmp_path / "ws/workspace.json").read_bytes()
    with pytest.raises(SettingError):
        workspace.configure({"select.budget": "much"})
    assert (tmp_path / "ws/workspace.json").read_bytes() == before


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(WorkspaceError, match="other files"):
        Workspace.create(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_newer_workspace_is_refused_and_left_alone(tmp_path: Path) -> None:
    Workspace.create(tmp_path / "ws")
    file = tmp_path / "ws/workspace.json"
    description = json.loads(file.read_text()) | {"format_version": 99}
    file.write_text(json.dumps(description))
    with pytest.raises(WorkspaceError, match="newer version") as caught:
        Workspace.open(tmp_path / "ws")
    assert caught.value.code == "newer_format"
    assert json.loads(file.read_text()) == description


def test_nothing_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="init"):
        Workspace.open(tmp_path / "none")
    workspace = Workspace.create(tmp_path / "ws")
    with pytest.raises(MissingArtefactError, match="cluster"):
        workspace.require("clusterings/a", "cluster")


def test_tables_carry_their_fingerprint(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    workspace.commit_table("videos", pa.table({"video_id": ["a"]}), "abc", {"files": 1})
    found = workspace.require("videos", "scan")
    assert (found.fingerprint, found.info["files"]) == ("abc", 1)
    # The manifest is a note, the file itself is the truth.
    (workspace.path / "manifest.json").unlink()
    assert workspace.fingerprint("videos") == "abc"


def test_half_made_folders_are_not_seen_and_parts_survive(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    folder = workspace.partial_folder("features/sound", "f" * 64)
    write_array(folder / "part.npy", np.arange(3))
    assert workspace.keys("features") == []
    again = workspace.partial_folder("features/sound", "f" * 64)
    assert again == folder and (again / "part.npy").is_file()
    workspace.commit_folder("features/sound", folder, "f" * 64, {"modality": "audio"})
    assert workspace.keys("features") == ["features/sound"]
    assert not folder.exists()


def test_a_kill_in_the_middle_of_a_replacement_keeps_the_old_one(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    path = workspace.artefact_path("clusterings/sound.mfcc")
    path.rename(path.parent / ".sound.mfcc.old")  # the state between the two renames
    assert workspace.artefact("clusterings/sound.mfcc") is None
    workspace.recover()
    assert workspace.fingerprint("clusterings/sound.mfcc") == "c"


def test_what_a_killed_writer_left_is_not_in_what_is_put_in_place(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    folder = workspace.partial_folder("features/sound", "f")
    write_array(folder / "logmel/part-000000.npy", np.zeros(3))
    (folder / "logmel/.part-000000.npy.77-abcd.partial").write_bytes(b"half")
    (workspace.path / ".clips.parquet.77-abcd.partial").write_bytes(b"half")
    workspace.commit_folder("features/sound", folder, "f")
    workspace.commit_table("clips", pa.table({"row": [0]}), "c")
    assert workspace.artefact_path("features/sound").is_dir()
    assert not list(workspace.path.rglob("*.partial"))


def test_replacing_keeps_exactly_one(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    folder = workspace.partial_folder("clusterings/sound.mfcc", "new")
    write_array(folder / "assignments.npy", np.zeros(3, np.int32))
    workspace.commit_folder("clusterings/sound.mfcc", folder, "new", {})
    assert workspace.fingerprint("clusterings/sound.mfcc") == "new"
    assert sorted(p.name for p in (workspace.path / "clusterings/sound.mfcc").iterdir()) == [
        MARKER,
        "assignments.npy",
    ]
    assert [p.name for p in (workspace.path / "clusterings").glob(".sound.mfcc*")] == []


def test_features_of_some_rows_across_parts(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    folder = workspace.partial_folder("features/sound", "f")
    values = np.arange(50, dtype=np.float16).reshape(25, 2)
    for i, start in enumerate(range(0, 25, 10)):
        write_array(folder / "mel" / f"part-{i:06d}.npy", values[start : start + 10])
    workspace.commit_folder("features/sound", folder, "f", {})
    rows = np.array([24, 0, 10, 9, 24])
    assert workspace.features("sound", "mel", rows).tolist() == values[rows].tolist()
    assert workspace.features("sound", "mel").shape == (25, 2)


def test_queries_see_the_tables_and_nothing_else(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="clips")
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    assert workspace.query("SELECT count(*) AS n FROM clips WHERE start_s >= ?", [0]).to_pylist() == [{"n": 60}]
    for sql in (
        f"SELECT * FROM read_csv('{secret}')",
        f"COPY clips TO '{tmp_path}/out.csv'",
        "SET enable_external_access = true",
        "SELECT nonsense FROM clips",
    ):
        with pytest.raises(InputError):
            workspace.query(sql)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("text", ["[]", "{", '{"name": "gone"}', '{"name": ["x"]}'])
def test_a_damaged_note_of_the_current_selection_means_the_newest(tmp_path: Path, text: str) -> None:
    workspace = make_workspace(tmp_path / "ws")
    (workspace.path / "selections/current.json").write_text(text)
    assert workspace.current_selection == "main"
    workspace.current_selection = "main"
    assert json.loads((workspace.path / "selections/current.json").read_text()) == {"name": "main"}


@pytest.mark.parametrize("path", [None, 3, "a\0b", "~nobody-of-this-name/x", "x" * 5000])
def test_what_is_no_path_is_said_in_a_sentence(path: object) -> None:
    with pytest.raises(WorkspaceError):
        Workspace.open(path)


def test_a_damaged_marker_is_named(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    (workspace.artefact_path("clusterings/sound.mfcc") / MARKER).write_text("{}")
    with pytest.raises(WorkspaceError, match="damaged"):
        workspace.artefact("clusterings/sound.mfcc")


def test_an_unknown_setting_in_the_file_names_the_file(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    file = workspace.path / "workspace.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"settings": {"foo.bar": 1}}))
    with pytest.raises(SettingError, match=r"workspace\.json"):
        _ = Workspace.open(workspace.path).config


@pytest.mark.parametrize("key", ["features/", "features/..", "features/a/b", "other/a", "features/.hidden", "nope"])
def test_keys_never_leave_the_workspace(tmp_path: Path, key: str) -> None:
    with pytest.raises(WorkspaceError):
        Workspace.create(tmp_path / "ws").artefact_path(key)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "x" * 100, "a\nb", "<b>"])
def test_names_of_people_are_safe_as_folders(name: str) -> None:
    with pytest.raises(SettingError):
        check_name(name, "selection")


def test_fingerprints_depend_on_values_not_on_order() -> None:
    assert fingerprint_of({"a": 1, "b": [2, 3]}) == fingerprint_of({"b": [2, 3], "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})


def test_a_table_put_in_anothers_place_is_seen_at_once(tmp_path: Path) -> None:
    """What was read of a file is kept only as long as that very file is there."""
    workspace = Workspace.create(tmp_path / "w")
    for fingerprint, rows in (("a", 3), ("b", 3), ("c", 5)):
        workspace.commit_table("columns/x", pa.table({"clip_id": ["i"] * rows}), fingerprint, {"rows": rows})
        artefact = Workspace.open(workspace.path).artefact("columns/x")
        assert artefact is not None and (artefact.fingerprint, artefact.info["rows"]) == (fingerprint, rows)
        assert workspace.n_rows("columns/x") == rows
    workspace.remove("columns/x")
    assert workspace.artefact("columns/x") is None
