"""import_columns: tables matched to clips by id, path, file name or stem; values typed; what does not match is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import InputError, MissingArtefactError, SettingError
from curation.importers import import_columns
from curation.records import CLIPS
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws", n_clips=12, upto="clips")


def clips_of(workspace: Workspace) -> list[dict[str, Any]]:
    return workspace.table("clips").to_pylist()


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def values(workspace: Workspace, name: str) -> list[Any]:
    table = workspace.table(f"columns/{name}")
    assert table["clip_id"].to_pylist() == workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    return table[name].to_pylist()


@pytest.mark.parametrize("kind", ["clip id", "path", "absolute", "dotted", "file name", "stem"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz"])
def test_each_kind_of_key_in_each_kind_of_file(workspace: Workspace, tmp_path: Path, kind: str, suffix: str) -> None:
    clips = clips_of(workspace)
    keys = {
        "clip id": lambda c: c["clip_id"],
        "path": lambda c: c["path"],
        "absolute": lambda c: f"{workspace.roots[0]}/{c['path']}",
        "dotted": lambda c: f"./{c['path']}",
        "file name": lambda c: Path(c["path"]).name,
        "stem": lambda c: Path(c["path"]).stem,
    }[kind]
    frame = pd.DataFrame({"which": [keys(c) for c in clips], "n": range(12)}).sample(frac=1, random_state=0)
    file = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(file)
    elif suffix == ".jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, sep="\t" if suffix == ".tsv" else ",", index=False)
    report = import_columns(workspace, file, "which", {"n": "number"})
    assert values(workspace, "number") == list(range(12))
    assert report["matched_by"] == ("path" if kind in ("absolute", "dotted") else kind)
    assert (report["matched_rows"], report["unmatched_rows"], report["clips_without_value"]) == (12, 0, 0)
    info = workspace.require("columns/number", "import").info
    assert (info["origin"], info["column"], info["with_value"]) == ("imported", "n", 12)


@pytest.mark.parametrize(
    ("cells", "expected", "said"),
    [
        (["1", "0", "", "true"], [True, False, None, True], "true/false"),
        (["TRUE", "False", "nan", "0.0"], [True, False, None, False], "true/false"),
        (["1", "0", "2", "NA"], [1, 0, 2, None], "whole numbers"),
        (["1", "0.5", "-3e2", "None"], [1.0, 0.5, -300.0, None], "numbers"),
        (["dog", "1", "", "n/a"], ["dog", "1", None, None], "text"),
        (["", "", "", ""], [None] * 4, "whole numbers"),
    ],
)
def test_values_are_typed_by_what_they_hold(
    workspace: Workspace, tmp_path: Path, cells: list[str], expected: list[Any], said: str
) -> None:
    paths = [clip["path"] for clip in clips_of(workspace)[:4]]
    file = write(tmp_path / "t.csv", "file,v\n" + "".join(f"{p},{c}\n" for p, c in zip(paths, cells)))
    report = import_columns(workspace, file, "file", {"v": "v"})
    found = values(workspace, "v")
    assert found[:4] == expected
    assert found[4:] == [None] * 8
    assert report["columns"] == {"v": said}
    assert report["clips_without_value"] == 8 + expected.count(None)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (pa.array([1, 0, None, 1]), pa.bool_()),
        (pa.array([1.0, float("nan"), 0.0, 1.0]), pa.bool_()),
        (pa.array([2**60 + 1, 0, 1, 2]), pa.int64()),
        (pa.array([0.5, None, 1.0, 2.0], pa.float32()), pa.float64()),
        (pa.array([True, False, None, True]), pa.bool_()),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), pa.string()),
    ],
)
def test_parquet_columns_keep_their_values(workspace: Workspace, tmp_path: Path, array: pa.Array, kind: Any) -> None:
    ids = [clip["clip_id"] for clip in clips_of(workspace)[:4]]
    pq.write_table(pa.table({"id": ids, "v": array}), tmp_path / "t.parquet")
    import_columns(workspace, tmp_path / "t.parquet", "id", {"v": "v"})
    assert workspace.table("columns/v").schema.field("v").type == kind
    plain = [None if value != value else value for value in array.to_pylist()]
    assert values(workspace, "v")[:4] == plain


def test_several_columns_and_what_did_not_match_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    paths = [clip["path"] for clip in clips_of(workspace)]
    lines = [f"{path},1,dog" for path in paths[:5]] + [
        "other.mp4,0,cat",
        ",0,cat",
        f"{paths[5]},,",
        f"{paths[0]},1,dog",
    ]
    file = write(tmp_path / "t.csv", "file,match,kind\n" + "\n".join(lines) + "\n")
    report = import_columns(workspace, file, "file", {"match": "truth_match", "kind": "label_visual"})
    assert values(workspace, "truth_match") == [True] * 5 + [None] * 7
    assert values(workspace, "label_visual") == ["dog"] * 5 + [None] * 7
    assert report["rows"] == 9
    assert (report["matched_rows"], report["unmatched_rows"]) == (7, 2)
    assert report["unmatched_examples"] == ["other.mp4", ""]
    assert report["clips_without_value"] == 7
    assert report["with_value"] == {"truth_match": 5, "label_visual": 5}


def test_a_file_with_several_clips_gives_all_of_them_its_value(workspace: Workspace, tmp_path: Path) -> None:
    clips = clips_of(workspace)
    clips[1] |= {"path": clips[0]["path"], "video_id": clips[0]["video_id"], "start_s": 20.0, "end_s": 30.0}
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    file = write(tmp_path / "t.csv", f"name,v\n{Path(clips[0]['path']).stem},7\n")
    assert import_columns(workspace, file, "name", {"v": "v"})["with_value"] == {"v": 2}
    assert values(workspace, "v")[:3] == [7, 7, None]


def test_one_name_of_two_files_is_left_out_and_said(workspace: Workspace, tmp_path: Path) -> None:
    clips = clips_of(workspace)
    clips[0] |= {"path": "a/same.mp4"}
    clips[1] |= {"path": "b/same.mp4"}
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    rows = "same.mp4,9\n" + "".join(f"{Path(clip['path']).name},5\n" for clip in clips[2:])
    report = import_columns(workspace, write(tmp_path / "t.csv", "f,v\n" + rows), "f", {"v": "v"})
    assert values(workspace, "v") == [None, None] + [5] * 10
    assert "'same.mp4'" in report["notices"][0]
    assert report["unmatched_rows"] == 1
    rows = rows.replace("same.mp4,9", "a/same.mp4,9")
    with_path = import_columns(workspace, write(tmp_path / "p.csv", "f,v\na/same.mp4,9\n"), "f", {"v": "w"})
    assert with_path["matched_by"] == "path"
    assert values(workspace, "w")[:2] == [9, None]


def test_two_values_for_one_key_stop_the_import(workspace: Workspace, tmp_path: Path) -> None:
    paths = [clip["path"] for clip in clips_of(workspace)]
    file = write(tmp_path / "t.csv", f"f,good,bad\n{paths[0]},1,1\n{paths[0]},1,0\n{paths[1]},1,1\n")
    with pytest.raises(InputError, match=r"1 keys have two different values of bad: 'folder 0/video0000.mp4'\."):
        import_columns(workspace, file, "f", {"good": "good", "bad": "bad"})
    assert workspace.keys("columns") == ["columns/truth_match"], "nothing of it is written"


def test_importing_again_replaces_the_column(workspace: Workspace, tmp_path: Path) -> None:
    path = clips_of(workspace)[0]["path"]
    import_columns(workspace, write(tmp_path / "a.csv", f"f,v\n{path},1\n"), "f", {"v": "v"})
    import_columns(workspace, write(tmp_path / "b.csv", f"f,v\n{path},0\n"), "f", {"v": "v"})
    assert values(workspace, "v")[0] is False


@pytest.mark.parametrize(
    ("name", "text", "key", "column", "said"),
    [
        ("t.csv", "f,v\nx,1\n", "g", "v", r"no column 'g'.*columns: f, v"),
        ("t.csv", "f,v\nx,1\n", "f", "w", "no column 'w'"),
        ("t.csv", "f,v\nx,1\ny,2\n", "f", "v", r"No row of .* names a clip.*'x', 'y'.*folder 0/video0000"),
        ("t.csv", "f,v\n", "f", "v", "No row of"),
        ("t.csv", "", "f", "v", "cannot be read"),
        ("t.csv", "f,v\nx,1,2\n", "f", "v", "cannot be read"),
        ("t.parquet", "no parquet", "f", "v", "cannot be read"),
        ("t.jsonl", "{", "f", "v", "cannot be read"),
        ("t.jsonl", '{"f": "x", "v": [1]}\n', "f", "v", "cannot be joined"),
        ("t.xlsx", "f,v", "f", "v", r"not a table.*\.csv"),
        ("t.pkl", "f,v", "f", "v", "pickle"),
    ],
)
def test_tables_that_cannot_be_used(
    workspace: Workspace, tmp_path: Path, name: str, text: str, key: str, column: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        import_columns(workspace, write(tmp_path / name, text), key, {column: "v"})


def test_a_table_that_is_not_utf8_or_not_there(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"f,v\n\xff\xfe,1\n")
    with pytest.raises(InputError, match="UTF-8"):
        import_columns(workspace, tmp_path / "t.csv", "f", {"v": "v"})
    with pytest.raises(InputError, match="There is no file"):
        import_columns(workspace, tmp_path / "nothing.csv", "f", {"v": "v"})


@pytest.mark.parametrize("name", ["clip_id", "path", "rank", "cluster_x", "../x", "a b", ".hidden", ""])
def test_names_that_columns_cannot_have(workspace: Workspace, tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError):
        import_columns(workspace, write(tmp_path / "t.csv", "f,v\nx,1\n"), "f", {"v": name})


def test_columns_need_clips(tmp_path: Path) -> None:
    empty = Workspace.create(tmp_path / "bare")
    with pytest.raises(MissingArtefactError, match="no clips yet"):
        import_columns(empty, write(tmp_path / "t.csv", "f,v\nx,1\n"), "f", {"v": "v"})
