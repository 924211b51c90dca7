"""Curated lists as selections: every form of list, what is not found is kept, and the rest works on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation import truth
from curation.errors import ConcordError, InputError, MissingArtefactError, SettingError
from curation.export import export
from curation.importers import import_list
from curation.importers.list_files import read_list
from curation.information import mutual_information
from curation.records import CLIPS
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace


def youtube_id(i: int) -> str:
    return f"abcDEF-_{i:03d}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws", n_clips=60, upto="cluster")


@pytest.fixture
def videos(tmp_path: Path) -> Workspace:
    """Six videos with YouTube names, three clips each, at 10 i + 100 k seconds."""
    workspace = make_workspace(tmp_path / "videos", n_clips=18, upto="clips")
    clips = workspace.table("clips").to_pylist()
    for i, clip in enumerate(clips):
        video, k = divmod(i, 3)
        start_s = 10.0 * video + 100 * k
        clip |= {"path": f"a/{youtube_id(video)}.webm", "start_s": start_s, "end_s": start_s + 10}
        clip |= {"video_id": f"v{video}", "source": f"v{video}"}
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    return workspace


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def picks(workspace: Workspace, name: str) -> pd.DataFrame:
    return pd.read_parquet(workspace.artefact_path(f"selections/{name}") / "picks.parquet")


def unmatched(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    return pq.read_table(workspace.artefact_path(f"selections/{name}") / "unmatched.parquet").to_pylist()


# -- a list as a selection ---------------------------------------------------------------------------------------------


def test_a_list_of_ids_is_a_selection_with_its_information(workspace: Workspace, tmp_path: Path) -> None:
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    rows = [41, 3, 17, 5, 59, 0]
    report = import_list(workspace, write(tmp_path / "l.txt", "\n".join(ids[r] for r in rows)), "theirs")
    assert (report["selection"], report["clips"], report["candidates"], report["matched_by"]) == (
        "theirs", 6, 60, "clip id",
    )  # fmt: skip
    found = picks(workspace, "theirs")
    assert found["row"].tolist() == rows, "the list's order is the order of picking"
    assert found["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found["gain"].isna().all()
    info = workspace.require("selections/theirs", "select").info
    names = list(info["modalities"])
    codes = np.stack([workspace.array(f"clusterings/{name}", "assignments") for name in names], 1)
    expected = mutual_information(codes, list(info["modalities"].values()), subset=rows)
    assert info["objective"] == pytest.approx(expected.mean)
    assert [pair["mutual_information"] for pair in info["report"]["pairs"]] == pytest.approx(expected.values.tolist())
    curve = pd.read_parquet(workspace.artefact_path("selections/theirs") / "curve.parquet")
    assert curve["size"].tolist() == [1, 2, 3, 4, 5, 6]
    assert curve["objective"].iloc[-1] == pytest.approx(expected.mean)
    assert np.isfinite(curve["random"]).all()
    assert curve["permuted"].isna().all()
    assert info["report"]["objective_random"] == pytest.approx(curve["random"].iloc[-1])
    assert (info["method"], info["origin"], info["report"]["objective_permuted"]) == ("list", "imported", None)
    assert np.isnan(workspace.array("selections/theirs", "scores")).all()
    assert info["clusterings"] == {name: workspace.fingerprint(f"clusterings/{name}") for name in names}


def test_an_export_of_a_list_is_the_list_and_comes_back(workspace: Workspace, tmp_path: Path) -> None:
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    import_list(
        workspace, write(tmp_path / "l.csv", "clip_id,score\n" + "".join(f"{ids[r]},{r / 8}\n" for r in (9, 2))), "a"
    )
    assert workspace.array("selections/a", "scores")[[9, 2]].tolist() == [9 / 8, 2 / 8]
    for i, (format, suffix) in enumerate(
        (("csv", ".csv"), ("jsonl", ".jsonl"), ("parquet", ".parquet"), ("acav-csv", ".csv"))
    ):
        file = tmp_path / f"out{i}{suffix}"
        export(workspace, format, file, selection="a")
        report = import_list(workspace, file, f"back {i}")
        assert report["unmatched_rows"] == 0, format
        assert picks(workspace, f"back {i}")["row"].tolist() == [9, 2], format
    assert truth.judge(workspace, "a", "truth_match").n_chosen == 2


def test_what_is_not_found_is_kept_with_its_reason(videos: Workspace, tmp_path: Path) -> None:
    first = f"{youtube_id(2)},20.2\n"
    text = first + f"{youtube_id(2)},120.6\nstranger000,5\n{youtube_id(9)},1\n{youtube_id(0)},\n" + first
    report = import_list(videos, write(tmp_path / "l.csv", text), "l")
    assert picks(videos, "l")["row"].tolist() == [6]
    assert report["unmatched_reasons"] == {"not_found": 4, "repeated": 1}
    assert (report["matched_rows"], report["unmatched_rows"], report["repeated_rows"]) == (2, 4, 1)
    assert [(row["row"], row["id"], row["start_s"], row["code"]) for row in unmatched(videos, "l")] == [
        (2, youtube_id(2), 120.6, "not_found"),
        (3, "stranger000", 5.0, "not_found"),
        (4, youtube_id(9), 1.0, "not_found"),
        (5, youtube_id(0), None, "not_found"),
        (6, youtube_id(2), 20.2, "repeated"),
    ]
    assert all(row["message"] for row in unmatched(videos, "l"))
    info = videos.require("selections/l", "select").info
    assert (info["objective"], info["unmatched"]) == (None, 5)
    assert any("no clusterings of both" in notice for notice in info["report"]["notices"])
    assert pq.read_metadata(videos.artefact_path("selections/l") / "curve.parquet").num_rows == 0


FORMS = {
    "acav-csv": ("l.csv", lambda y, s: f'shard-000009,{y}_{int(s):03d}.mp4,{y},"[{s}, {s + 10}]"'),
    "id,start": ("l.csv", lambda y, s: f"{y},{s}"),
    "id,start,end": ("l.csv", lambda y, s: f"{y},{s},{s + 10}"),
    "id,start txt": ("l.txt", lambda y, s: f"{y},{s}"),
    "id,start tsv": ("l.tsv", lambda y, s: f"{y}\t{s}"),
    "url": ("l.csv", lambda y, s: f"https://www.youtube.com/watch?v={y}&t=3s,{s}"),
    "short url": ("l.csv", lambda y, s: f"https://youtu.be/{y}?si=x,{s}"),
    "other url": ("l.csv", lambda y, s: f"http://m.youtube.com/watch?app=desktop&v={y},{s}"),
    "embed": ("l.csv", lambda y, s: f"https://www.youtube-nocookie.com/embed/{y},{s}"),
    "file": ("l.csv", lambda y, s: f"{y}.webm,{s}"),
    "path": ("l.csv", lambda y, s: f"a/{y}.webm,{s}"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_list(videos: Workspace, tmp_path: Path, form: str) -> None:
    name, line = FORMS[form]
    wanted = [(4, 240.4), (0, 99.6), (1, 10.0), (2, 55.0)]
    report = import_list(videos, write(tmp_path / name, "".join(line(youtube_id(v), s) + "\n" for v, s in wanted)), "l")
    assert picks(videos, "l")["row"].tolist() == [14, 1, 3]
    assert report["unmatched_reasons"] == {"not_found": 1}, "no clip begins there"
    header = write(
        tmp_path / "h.csv", "URL,start\n" + "".join(f"https://youtu.be/{youtube_id(v)},{s}\n" for v, s in wanted)
    )
    import_list(videos, header, "h")
    assert picks(videos, "h")["row"].tolist() == [14, 1, 3]


def test_the_reference_s_files_without_times(videos: Workspace, tmp_path: Path) -> None:
    clips = videos.table("clips").to_pylist()
    for i, clip in enumerate(clips):
        clip |= {"path": f"{youtube_id(i)}_{i:03d}.mp4", "start_s": None, "end_s": None}
    videos.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s3", {})
    text = "".join(f'shard-000001,{youtube_id(i)}_{i:03d}.mp4,-1,"[-1.0, -1.0]"\n' for i in (5, 2, 44))
    report = import_list(videos, write(tmp_path / "output.csv", text), "l")
    assert picks(videos, "l")["row"].tolist() == [5, 2]
    assert (report["format"], report["unmatched_reasons"]) == ("acav-csv", {"not_found": 1})
    assert videos.require("selections/l", "select").info["hours"] is None


def test_a_file_alone_means_all_of_its_clips_and_other_ends_are_said(videos: Workspace, tmp_path: Path) -> None:
    report = import_list(videos, write(tmp_path / "l.txt", f"{youtube_id(3)}\n{youtube_id(1)}\n"), "l")
    assert picks(videos, "l")["row"].tolist() == [9, 10, 11, 3, 4, 5]
    assert "4 clips more than rows" in report["notices"][0]
    report = import_list(videos, write(tmp_path / "e.csv", f"{youtube_id(3)},30,45\n{youtube_id(3)},130,140\n"), "e")
    assert "1 clips end elsewhere" in report["notices"][0]


def test_clips_without_a_cluster_are_picked_and_said(workspace: Workspace, tmp_path: Path) -> None:
    name = workspace.keys("clusterings")[0]
    path = workspace.artefact_path(name) / "assignments.npy"
    values = np.load(path)
    values[3] = -1
    np.save(path, values)
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    report = import_list(workspace, write(tmp_path / "l.txt", f"{ids[3]}\n{ids[4]}\n"), "l")
    assert (report["clips"], report["candidates"]) == (2, 59)
    assert any("1 listed clips have no cluster" in notice for notice in report["notices"])


def test_importing_again_writes_nothing_and_a_change_replaces(workspace: Workspace, tmp_path: Path) -> None:
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    file = write(tmp_path / "l.txt", f"{ids[3]}\n")
    import_list(workspace, file, "l")
    marker = workspace.artefact_path("selections/l") / "artefact.json"
    before = marker.stat().st_mtime_ns
    import_list(workspace, file, "l")
    assert marker.stat().st_mtime_ns == before
    import_list(workspace, write(file, f"{ids[4]}\n"), "l")
    assert picks(workspace, "l")["row"].tolist() == [4]
    assert workspace.current_selection == "l"


# -- what cannot be used -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "", "is empty"),
        ("l.csv", "\n \n", "is empty"),
        ("l.csv", "clip_id\n", "has no rows"),
        ("l.csv", "a,b,c,d,e\n", "no known form"),
        ("l.csv", "a,b\n", "no known form"),
        ("l.csv", "abc,1\nabc,x\n", "not a number everywhere"),
        ("l.csv", "abc,1\nabc,inf\n", "infinite value in row 2"),
        ("l.csv", "abc,1\nabc\n", "cannot be read"),
        ("l.csv", 's,f,y,"[1, 2]"\ns,f,y,nothing\n', "Row 2 has no segment"),
        ("l.csv", "title,start\nx,1\n", "no known form|no column"),
        ("l.jsonl", '{"title": "x"}\n', "no column that is known"),
        ("l.txt", "clip_id\nabc\n", "has a header"),
        ("l.txt", "nothing of ours\n", "No row of"),
        ("l.txt", "x" * 70_000, "longer than 65536"),
        ("l.txt", "a\n" + "x" * 70_000, "at most 65536"),
        ("l.pkl", "x", "pickle"),
        ("l.doc", "x", "not a list that can be read"),
    ],
)
def test_lists_that_cannot_be_used(workspace: Workspace, tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        import_list(workspace, write(tmp_path / name, text), "l")
    assert workspace.artefact("selections/l") is None


def test_names_and_bytes_that_cannot_be_used(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=6, upto="select")
    own = workspace.keys("selections")[0].partition("/")[2]
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    file = write(tmp_path / "l.txt", ids[0])
    with pytest.raises(InputError, match="of its own"):
        import_list(workspace, file, own)
    with pytest.raises(SettingError):
        import_list(workspace, file, "../x")
    with pytest.raises(InputError, match="There is no file"):
        import_list(workspace, tmp_path / "none.csv", "l")
    for place, data in (("head", b"\xff\xfe\n"), ("later", b"a\n" * 9 + b"\xff\xfe\n")):
        (tmp_path / f"{place}.txt").write_bytes(data)
        with pytest.raises(InputError, match=r"UTF-?8"):
            import_list(workspace, tmp_path / f"{place}.txt", "l")
    with pytest.raises(MissingArtefactError):
        import_list(Workspace.create(tmp_path / "bare"), file, "l")


def test_one_name_of_several_files_is_ambiguous(videos: Workspace, tmp_path: Path) -> None:
    clips = videos.table("clips").to_pylist()
    for i, clip in enumerate(clips):
        clip |= {"path": f"{i}/same.mp4" if i < 2 else f"{i}/other{i}.mp4"}
    videos.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s3", {})
    report = import_list(videos, write(tmp_path / "l.txt", "other4.mp4\nsame.mp4\n"), "l")
    assert picks(videos, "l")["row"].tolist() == [4]
    assert (report["ambiguous_rows"], report["ambiguous_examples"]) == (1, ["same.mp4"])
    assert unmatched(videos, "l")[0]["code"] == "ambiguous"
    with pytest.raises(InputError, match="names several files"):
        import_list(videos, write(tmp_path / "m.txt", "same.mp4\n"), "m")


@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".csv.gz"]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_list_or_refused(tmp_path: Path, data: bytes, suffix: str) -> None:
    file = tmp_path / f"any{suffix}"
    file.write_bytes(data)
    try:
        found = read_list(file)
    except ConcordError as error:
        assert error.message
    else:
        assert len(found.labels) == len(found.start_s) == len(found.end_s) > 0


cells = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["1", "-1", "nan", "1e400", "", '"', "[1, 2]"]
)


@given(st.lists(st.lists(cells, min_size=1, max_size=4), max_size=6), st.sampled_from([",", "\t"]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_list_or_refused(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    file = tmp_path / ("any.csv" if delimiter == "," else "any.tsv")
    file.write_text("\n".join(delimiter.join(row) for row in rows), "utf-8")
    try:
        found = read_list(file)
    except ConcordError as error:
        assert error.message
    else:
        assert not np.isinf(found.start_s).any()
