"""Joining by URL, YouTube id or file and start; several feature files at once; assignments from tables; odd input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation import pipeline
from curation.errors import ConcordError, InputError, SettingError
from curation.importers import (
    import_arrays,
    import_assignments,
    import_columns,
    import_features,
    import_list,
    parse_feature_file,
)
from curation.importers.matching import Keys, match_rows
from curation.importers.readers import load_npy, read_table, table_columns
from curation.progress import Progress
from curation.records import CLIPS
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace


def youtube_id(i: int) -> str:
    return f"abcDEF-_{i:03d}"


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "bare")


@pytest.fixture
def videos(tmp_path: Path) -> Workspace:
    """Four videos with YouTube names, three clips each, at 0, 20 and 40.25 seconds."""
    workspace = make_workspace(tmp_path / "ws", n_clips=12, upto="clips")
    clips = workspace.table("clips").to_pylist()
    for i, clip in enumerate(clips):
        video, k = divmod(i, 3)
        start_s = (0.0, 20.0, 40.25)[k]
        clip |= {"path": f"a/{youtube_id(video)}.webm", "start_s": start_s, "end_s": start_s + 10}
        clip |= {"video_id": f"v{video}", "source": f"v{video}"}
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    return workspace


# -- columns by name and start -----------------------------------------------------------------------------------------


def test_columns_by_url_and_start(videos: Workspace, tmp_path: Path) -> None:
    lines = [
        f"https://www.youtube.com/watch?v={youtube_id(1)},20.4,dog,1",
        f"https://youtu.be/{youtube_id(1)},0,cat,0",
        f"youtube.com/shorts/{youtube_id(2)}?x=1,39.76,cow,1",
        f"{youtube_id(3)},19.4,too early,1",
        "https://example.org/else.mp4,0,else,1",
        f"{youtube_id(0)},,no start,1",
    ]
    file = write(tmp_path / "t.csv", "url,start,kind,match\n" + "\n".join(lines) + "\n")
    report = import_columns(videos, file, "", {"kind": "label_audio", "match": "truth_match"})
    found = videos.table("columns/label_audio")["label_audio"].to_pylist()
    assert found == [None, None, None, "cat", "dog", None, None, None, "cow", None, None, None]
    assert videos.table("columns/truth_match").schema.field("truth_match").type == pa.bool_()
    assert report["matched_by"] == "YouTube id"
    assert (report["rows"], report["matched_rows"], report["unmatched_rows"]) == (6, 3, 3)
    assert report["unmatched_examples"] == [youtube_id(3), "https://example.org/else.mp4", youtube_id(0)]
    assert (report["clips_without_row"], len(report["clips_without_row_examples"])) == (9, 5)
    info = videos.require("columns/label_audio", "import").info
    assert (info["key"], info["start"]) == ("url", "start")


@pytest.mark.parametrize("key", ["path", "file", "stem", "video id"])
def test_columns_by_file_and_start(videos: Workspace, tmp_path: Path, key: str) -> None:
    name = {"path": "a/{}.webm", "file": "{}.webm", "stem": "{}", "video id": "v{}"}[key]
    rows = [(video, k) for video in range(4) for k in range(3)]
    said = [name.format(video if key == "video id" else youtube_id(video)) for video, _ in rows]
    text = "".join(f"{n}\t{(0, 20, 40.5)[k]}\t{10 * video + k}\n" for n, (video, k) in zip(said, rows))
    report = import_columns(videos, write(tmp_path / "t.tsv", "what\tat\tv\n" + text), "what", {"v": "v"}, "at")
    assert videos.table("columns/v")["v"].to_pylist() == [10 * video + k for video, k in rows]
    assert report["matched_rows"] == 12


def test_the_nearest_start_counts_and_two_rows_of_one_clip_must_agree(videos: Workspace, tmp_path: Path) -> None:
    clips = videos.table("clips").to_pylist()
    clips[1]["start_s"] = 0.6  # dense windows
    videos.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s3", {})
    same = f"{youtube_id(0)},0.2,1\n{youtube_id(0)},0.4,2\n{youtube_id(0)},0.5,2\n"
    report = import_columns(videos, write(tmp_path / "t.csv", "id,start_s,v\n" + same), "", {"v": "v"})
    assert videos.table("columns/v")["v"].to_pylist()[:3] == [1, 2, None]
    assert (report["repeated_rows"], report["repeated_examples"]) == (1, [youtube_id(0)])
    with pytest.raises(InputError, match="two different values"):
        import_columns(videos, write(tmp_path / "u.csv", "id,start_s,v\n" + same + f"{youtube_id(0)},0.5,3\n"), "")


def test_every_column_at_once(videos: Workspace, tmp_path: Path) -> None:
    ids = videos.table("clips", ["clip_id"])["clip_id"].to_pylist()
    text = "clip_id,start_s,loud,truth_x,title,a b,rank\n" + "".join(f"{i},7,0.5,1,t,u,1\n" for i in ids)
    report = import_columns(videos, write(tmp_path / "t.csv", text))
    assert report["columns"] == {"loud": "numbers", "truth_x": "true/false"}
    assert "'a b', 'rank'" in report["notices"][0]
    with pytest.raises(InputError, match="no column that is known to name clips"):
        import_columns(videos, write(tmp_path / "u.csv", "what,v\nx,1\n"))
    with pytest.raises(SettingError, match="same name"):
        import_columns(videos, tmp_path / "t.csv", "clip_id", {"loud": "x", "truth_x": "x"})


def test_pieces_of_a_video_by_the_second_in_their_names(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=3, upto="clips")
    clips = workspace.table("clips").to_pylist()
    for clip, second in zip(clips, (0, 292, 300)):
        clip |= {"path": f"{youtube_id(1)}_{second:03d}.mp4", "start_s": 0.0, "end_s": 10.0}
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s2", {})
    keys = Keys(pa.array([youtube_id(1)] * 4), np.array([292.333, 300.9, 301.2, 0.4]))
    match = match_rows(workspace, [keys], "x")
    assert match.row_of_clip.tolist() == [3, 0, 1]
    assert match.matched.tolist() == [True, True, False, True]


starts = st.one_of(st.just(float("nan")), st.floats(-5, 60), st.sampled_from([0.0, 20.5, 19.5, 1e300, 40.75]))


@given(st.lists(st.tuples(st.integers(-1, 4), starts), min_size=1, max_size=20), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_match_is_what_a_plain_search_finds(videos: Workspace, rows: list[tuple[int, float]], timed: bool) -> None:
    names = [f"a/{youtube_id(video)}.webm" if video >= 0 else None for video, _ in rows]
    keys = Keys(pa.array(names, pa.string()), np.array([start for _, start in rows]) if timed else None)
    clips = videos.table("clips").to_pylist()

    def meant(name: str | None, start: float) -> list[int]:
        same = [i for i, clip in enumerate(clips) if clip["path"] == name]
        if not timed:
            return same
        away = {i: abs(round(1000 * clips[i]["start_s"]) - round(1000 * start)) for i in same if 0 <= start < 1e6}
        near = [i for i in away if away[i] <= 500]
        return [min(near, key=lambda i: away[i])] if near else []

    expected = [meant(name, start) for name, (_, start) in zip(names, rows)]
    if not any(expected):
        with pytest.raises(InputError, match="No row of"):
            match_rows(videos, [keys], "x")
        return
    match = match_rows(videos, [keys], "x")
    assert match.matched.tolist() == [bool(found) for found in expected]
    first = [next((r for r, found in enumerate(expected) if i in found), -1) for i in range(12)]
    assert match.row_of_clip.tolist() == first
    seen: set[int] = set()
    for found, repeated in zip(expected, match.repeated.tolist()):
        assert repeated == (bool(found) and set(found) <= seen)
        seen |= set(found)


# -- features and assignments ------------------------------------------------------------------------------------------


def test_features_join_clips_by_file_and_start(videos: Workspace, tmp_path: Path) -> None:
    rows = [(3, 40.0), (0, 0.0), (1, 20.3), (1, 5.0)]
    array = np.array([[11.0], [0.0], [4.0], [99.0]], np.float32)
    for i, line in enumerate(("{}.webm", "a/{}.webm", "{}", "https://youtu.be/{}")):
        head = "url" if i == 3 else "file"
        text = f"{head},start\n" + "".join(f"{line.format(youtube_id(v))},{s}\n" for v, s in rows)
        report = import_features(
            videos, f"f{i}", saved(tmp_path / "f.npy", array), "audio", write(tmp_path / "c.csv", text)
        )
        assert (report["unmatched_rows"], report["clips_without_row"], report["valid"]) == (1, 9, 3)
        assert report["unmatched_examples"] == [line.format(youtube_id(1))]
        found = videos.features(f"f{i}", "features")[:, 0]
        assert (found[[11, 0, 4]] == [11, 0, 4]).all()
    text = "file,start\n" + f"{youtube_id(0)}.webm,0\n" * 4
    with pytest.raises(InputError, match=r"3 rows of .* name a clip that an earlier row names"):
        import_features(videos, "g", tmp_path / "f.npy", "audio", write(tmp_path / "c.csv", text))
    with pytest.raises(InputError, match="No row of"):
        import_features(videos, "g", tmp_path / "f.npy", "audio", write(tmp_path / "c.csv", "path\nq\nr\ns\nt\n"))


def test_parquet_features_with_files_and_starts_of_their_own(videos: Workspace, tmp_path: Path) -> None:
    columns = {
        "filename": [f"{youtube_id(v)}.webm" for v in (2, 0)],
        "start_s": [20.2, 40.0],
        "deep": pa.array([[7.0, 1.0], [2.0, 1.0]], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    report = import_features(videos, "f", tmp_path / "f.parquet", "visual")
    assert (report["matched_by"], report["valid"]) == ("file name", 2)
    assert videos.features("f", "deep")[[7, 2], 0].tolist() == [7, 2]


def test_ten_files_and_a_table_in_one_call_then_a_run(empty: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=200)
    items = []
    for i in range(10):
        array = (rng.normal(size=(4, 5)) * 4)[kind] + rng.normal(size=(200, 5)) * 0.2
        modality, name = ("audio", "vggish") if i < 5 else ("visual", "slowfast")
        items.append(f"{modality}:{name}/layer{i % 5}={saved(tmp_path / f'{i}.npy', array)}")
    text = "path,start_s,end_s\n" + "".join(f"{i // 2}.mp4,{i % 2 * 10},{i % 2 * 10 + 10}\n" for i in range(200))
    files = [parse_feature_file(item) for item in items]
    reports = import_arrays(empty, files, write(tmp_path / "clips.csv", text))
    assert [report["features"] for report in reports] == ["vggish", "slowfast"]
    assert [list(report["layers"]) for report in reports] == [[f"layer{i}" for i in range(5)]] * 2
    assert [report["matched_by"] for report in reports] == ["order", "order"]
    assert [report["clips_made"] for report in reports] == [True, False]
    empty.configure({"cluster.n_clusters": "4"})
    assert list(pipeline.run(empty, Progress(), only=["cluster"])) == ["cluster"]
    assert len(empty.keys("clusterings")) == 10


@pytest.mark.parametrize(
    "text", ["clap", "clap=", "=x.npy", "audio:=x.npy", "sound:clap=x.npy", "audio:clap/=x.npy", "clap=x.npy"]
)
def test_feature_files_of_another_form(text: str) -> None:
    with pytest.raises(SettingError, match="is not of the form modality:NAME=FILE"):
        parse_feature_file(text)


def test_feature_files_are_looked_at_before_any_work(empty: Workspace, tmp_path: Path) -> None:
    good, short = saved(tmp_path / "a.npy", np.ones((5, 2))), saved(tmp_path / "b.npy", np.ones((4, 2)))
    assert parse_feature_file(f"clap={good}", "visual").modality == "visual"
    for items, said in (
        ([f"audio:x={good}", f"visual:y={short}"], "a.npy 5, b.npy 4"),
        ([f"audio:x={good}", f"visual:x={good}"], "both modalities"),
        ([f"audio:x={good}", f"audio:x={good}"], "without layers of their own"),
        ([f"audio:x={good}", f"audio:y={tmp_path / 'no.npy'}"], "There is no file"),
        ([f"audio:x={good}", f"audio:y={write(tmp_path / 'p.pkl', '')}"], "pickle"),
        ([f"audio:x={good}", f"audio:../y={good}"], "not of the form|cannot be"),
    ):
        with pytest.raises(ConcordError, match=said):
            import_arrays(empty, [parse_feature_file(item) for item in items])
    assert empty.artefact("clips") is None


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_assignments_from_columns_of_a_table(videos: Workspace, tmp_path: Path, suffix: str) -> None:
    rows = [(3, 40.0, 2), (0, 0.1, 0), (1, 20.0, None), (2, 20.0, 1)]
    columns = {
        "url": [f"https://youtu.be/{youtube_id(v)}" for v, _, _ in rows],
        "start": [s for _, s, _ in rows],
        "c": pa.array([c for _, _, c in rows], pa.int32()),
        "d": pa.array([float(i) for i in range(4)]),
        "other": ["x"] * 4,
    }
    file, table = tmp_path / f"t{suffix}", pa.table(columns)
    if suffix == ".parquet":
        pq.write_table(table, file)
    elif suffix == ".csv":
        table.to_pandas().to_csv(file, index=False)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()), "utf-8")
    report = import_assignments(videos, file, ["audio:a=c", "visual:d"])
    assert (report["matched_by"], report["clips_without_row"]) == ("YouTube id", 8)
    expected = np.full(12, -1)
    expected[[11, 0, 7]] = [2, 0, 1]
    assert videos.array("clusterings/a", "assignments").tolist() == expected.tolist()
    assert videos.array("clusterings/d", "assignments")[[11, 0, 4, 7]].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "No column"),
        (["audio:nothing"], "no column 'nothing'"),
        (["audio:half"], "not a whole number everywhere"),
        (["audio:text"], "not a whole number everywhere"),
        (["audio:infinite"], "not a whole number everywhere"),
        (["audio:none"], "no value at all"),
        (["audio:large"], "at most 100000 clusters"),
        (["audio:x="], "is not of the form"),
        (["audio:x=good", "visual:x=good"], "same name"),
    ],
)
def test_columns_that_are_no_assignments(empty: Workspace, tmp_path: Path, names: list[str], said: str) -> None:
    file = write(tmp_path / "t.csv", "good,half,text,infinite,none,large\n1,0.5,a,inf,,100000\n0,1,b,1,,1\n")
    with pytest.raises(ConcordError, match=said):
        import_assignments(empty, file, names)
    with pytest.raises(InputError, match="has no rows"):
        import_assignments(empty, write(tmp_path / "u.csv", "good\n"), ["audio:good"])
    with pytest.raises(InputError, match="has no rows"):
        import_assignments(empty, saved(tmp_path / "u.npy", np.zeros((0, 1), int)), ["audio:good"])
    assert empty.artefact("clips") is None


def test_assignments_and_no_features_take_lists_and_columns(empty: Workspace, tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(3, size=(40, 2))
    import_assignments(empty, saved(tmp_path / "a.npy", codes), ["audio:a", "visual:v"])
    assert import_list(empty, write(tmp_path / "l.txt", "3\n17\n"), "l")["objective"] is not None
    import_columns(empty, write(tmp_path / "c.csv", "clip_id,v\n3,1\n"))
    assert list(pipeline.run(empty, Progress())) == ["select"]
    assert len(empty.keys("selections")) == 2


# -- odd input ---------------------------------------------------------------------------------------------------------


def test_columns_of_one_name_and_cells_that_are_large(videos: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 columns 'v'"):
        import_columns(videos, write(tmp_path / "t.csv", "clip_id,v,v\nx,1,2\n"), "clip_id", {"v": "v"})
    with pytest.raises(InputError, match="at most 65536"):
        import_columns(videos, write(tmp_path / "u.csv", "clip_id,v\nx," + "y" * 70_000 + "\n"), "clip_id", {"v": "v"})
    bad = pa.array([b"\xff\xfe"]).view(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"clip_id": ["x"], "v": bad}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="cannot be read as text"):
        import_columns(videos, tmp_path / "t.parquet", "clip_id", {"v": "v"})
    with pytest.raises(InputError, match="cannot be read"):
        table_columns(write(tmp_path / "deep.jsonl", "[" * 1_000_000))
    with pytest.raises(InputError, match="cannot be read"):
        table_columns(write(tmp_path / "deeper.jsonl", '{"a":' * 100_000))


@given(st.binary(max_size=300), st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".npy"]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_table_or_refused(tmp_path: Path, data: bytes, suffix: str) -> None:
    file = tmp_path / f"any{suffix}"
    file.write_bytes(b"\x93NUMPY\x01\x00" + data if suffix == ".npy" and len(data) % 2 else data)
    try:
        if suffix == ".npy":
            load_npy(file, n_dims=2, what="features")
        else:
            read_table(file, table_columns(file))
    except ConcordError as error:
        assert error.message


dtypes = st.sampled_from(["f2", "f4", "f8", "i1", "u8", "i8", "?", "c8", "U3", "S3", "M8[s]"])


@given(dtypes, st.lists(st.integers(0, 4), max_size=3), st.integers(0, 5), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_array_is_features_or_refused(tmp_path: Path, dtype: str, shape: list[int], n: int, nan: bool) -> None:
    workspace = Workspace.create(tmp_path / f"ws{np.random.default_rng().integers(1 << 60)}")
    array: Any = np.zeros(shape, dtype)
    if nan and array.dtype.kind == "f" and array.size:
        array.flat[0] = np.nan
    file = saved(tmp_path / "a.npy", array)
    for load in (
        lambda: import_features(workspace, "f", file, "audio"),
        lambda: import_assignments(workspace, file, ["audio:a"] * 1),
    ):
        try:
            load()
        except ConcordError as error:
            assert error.message
    if workspace.keys("features"):
        assert workspace.n_rows("clips") == shape[0]
