"""Importers of assignments and features made elsewhere, by order or by clip id; then a run on them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import importers, pipeline
from curation.errors import InputError, SettingError
from curation.importers import clips as clips_module
from curation.importers import features as features_module
from curation.importers import import_assignments, import_features
from curation.progress import Progress
from curation.records import CLIPS
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace

NAMES = ["audio:a0", "audio:a1", "visual:v0", "visual:v1"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "ws", n_clips=12, upto="clips")


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "bare")


def clips_of(workspace: Workspace) -> list[dict[str, Any]]:
    return workspace.table("clips").to_pylist()


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


# -- assignments -------------------------------------------------------------------------------------------------------


def planted(n: int = 400, kinds: int = 4, seed: int = 0) -> np.ndarray:
    """(n, 4): two sound and two picture clusterings; the first half corresponds, the second half does not."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(kinds, size=n)
    other = np.where(np.arange(n) < n // 2, kind, rng.integers(kinds, size=n))
    return np.stack([kind, (kind + 1) % kinds, other, (other + 2) % kinds], 1)


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def test_assignments_make_clips_and_clusterings(empty: Workspace, tmp_path: Path) -> None:
    array = planted(50).astype(np.int16)
    array[3, 1] = -1
    report = import_assignments(empty, saved(tmp_path / "a.npy", array), NAMES)
    assert (report["clusterings"], report["rows"], report["clips"], report["clips_made"]) == (4, 50, 50, True)
    clips = empty.table("clips")
    assert clips.schema.remove_metadata() == CLIPS
    assert clips["clip_id"].to_pylist() == [str(i) for i in range(50)]
    assert clips["row"].to_pylist() == list(range(50))
    assert set(clips["status"].to_pylist()) == {"ok"}
    assert len(set(clips["source"].to_pylist())) == 50
    assert clips["start_s"].null_count == 50
    for i, name in enumerate(["a0", "a1", "v0", "v1"]):
        found = empty.array(f"clusterings/{name}", "assignments")
        assert found.dtype == np.int32
        assert (found == array[:, i]).all()
        info = empty.require(f"clusterings/{name}", "cluster").info
        assert (info["origin"], info["n_clusters"], info["modality"]) == ("imported", 4, "audio" if i < 2 else "visual")
        sizes = empty.array(f"clusterings/{name}", "sizes")
        assert sizes.sum() == info["clips"] == 50 - (i == 1)
        assert json.loads((empty.artefact_path(f"clusterings/{name}") / "params.json").read_text()) == info


def test_a_table_of_clips_gives_ids_files_and_times(empty: Workspace, tmp_path: Path) -> None:
    table = "clip_id,path,start_s,end_s,title,mood\n007,a/x.mp4,1.5,11.5,A,fine\n008,a/x.mp4,20,30,A,bad\n009,,,,,\n"
    clips_file = write(tmp_path / "clips.csv", table)
    import_assignments(empty, saved(tmp_path / "a.npy", planted(3)), NAMES, clips_file)
    clips = clips_of(empty)
    assert [clip["clip_id"] for clip in clips] == ["007", "008", "009"]
    assert [clip["source"] for clip in clips] == ["a/x.mp4", "a/x.mp4", "009"]
    assert [(clip["start_s"], clip["end_s"], clip["title"]) for clip in clips] == [
        (1.5, 11.5, "A"),
        (20.0, 30.0, "A"),
        (None, None, ""),
    ]
    assert empty.require("clips", "segment").info["hours"] == pytest.approx(20 / 3600)


@pytest.mark.parametrize(
    "ids, said", [(["a", "b", "c", "a", "b", "b"], "'b': 3 times"), (["a", None, "c", " ", "e", ""], "'': 3 times")]
)
def test_ids_that_do_not_tell_clips_apart_are_refused(
    empty: Workspace, tmp_path: Path, ids: list[str | None], said: str
) -> None:
    pq.write_table(pa.table({"clip_id": pa.array(ids, pa.string())}), tmp_path / "c.parquet", row_group_size=2)
    with pytest.raises(InputError, match=said):
        import_assignments(empty, saved(tmp_path / "a.npy", planted(6)), NAMES, tmp_path / "c.parquet")
    assert empty.artefact("clips") is None


def test_clips_made_in_pieces_are_those_made_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_s = np.array([0.0, 10, np.nan, 5, 7.5, 0, 1])
    columns = {"path": [f"{i // 2}.mp4" for i in range(7)], "start_s": start_s, "end_s": start_s + 10}
    pq.write_table(pa.table(columns), tmp_path / "c.parquet", row_group_size=2)
    found = []
    for size in (3, 100):
        monkeypatch.setattr(clips_module, "_CHUNK", size)
        ws = Workspace.create(tmp_path / f"w{size}")
        import_assignments(ws, saved(tmp_path / "a.npy", planted(7)), NAMES, tmp_path / "c.parquet")
        found.append((clips_of(ws), ws.require("clips", "segment").info["hours"], ws.n_rows("clips")))
        assert ws.require("clips", "segment").info["untimed"] == 1
    (pieces, hours, n), whole = found
    for rows in (pieces, whole[0]):
        rows[2]["start_s"], rows[2]["end_s"] = None, None  # NaN is not equal to itself
    assert pieces == whole[0] and n == whole[2] == 7 and hours == pytest.approx(whole[1]) == pytest.approx(60 / 3600)


def test_assignments_are_matched_by_clip_id(workspace: Workspace, tmp_path: Path) -> None:
    ids = [clip["clip_id"] for clip in clips_of(workspace)]
    array = planted(12)
    order = np.random.default_rng(1).permutation(12)[:10]
    file = saved(tmp_path / "a.npy", np.concatenate([array[order], array[:1]]))
    clips_file = tmp_path / "ids.parquet"
    pq.write_table(pa.table({"clip_id": [*[ids[i] for i in order], "stranger"]}), clips_file)
    report = import_assignments(workspace, file, NAMES, clips_file)
    assert (report["matched_by"], report["unmatched_rows"], report["clips_without_row"]) == ("clip id", 1, 2)
    expected = np.full((12, 4), -1)
    expected[order] = array[order]
    for i, name in enumerate(["a0", "a1", "v0", "v1"]):
        assert (workspace.array(f"clusterings/{name}", "assignments") == expected[:, i]).all()


def test_importing_assignments_again_does_nothing_twice(empty: Workspace, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.npy", planted(20))
    import_assignments(empty, file, NAMES)
    marker = empty.artefact_path("clusterings/a0") / "artefact.json"
    before = marker.stat().st_mtime_ns
    assert import_assignments(empty, file, NAMES)["clips_made"] is False
    assert marker.stat().st_mtime_ns == before
    import_assignments(empty, saved(tmp_path / "b.npy", planted(20, seed=1)), NAMES)
    assert marker.stat().st_mtime_ns != before
    assert (empty.array("clusterings/a0", "assignments") == planted(20, seed=1)[:, 0]).all()


@pytest.mark.parametrize(
    ("array", "names", "said"),
    [
        (planted(11), NAMES, r"11 rows, the workspace 12 clips"),
        (planted(12), NAMES[:3], r"4 columns, 3 names"),
        (planted(12).astype(float), NAMES, "holds float64"),
        (planted(12).astype(np.uint64), NAMES, "holds uint64"),
        (planted(12)[:, 0], NAMES, r"shape \(12,\)"),
        (planted(12) - 2, NAMES, "a0 holds -2"),
        (planted(12) + 2**31, NAMES, "at most 100000 clusters"),
        (planted(12) * 0 - 1, NAMES, "no value at all"),
    ],
)
def test_assignments_that_cannot_be_used(
    workspace: Workspace, tmp_path: Path, array: np.ndarray, names: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        import_assignments(workspace, saved(tmp_path / "a.npy", array), names)
    assert workspace.keys("clusterings") == []


def test_a_refused_import_makes_no_clips(empty: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        import_assignments(empty, saved(tmp_path / "a.npy", planted(12) - 2), NAMES)
    clips_file = write(tmp_path / "c.csv", "clip_id\n1\n2\n")
    with pytest.raises(InputError, match=r"12 rows, .*c.csv has 2"):
        import_assignments(empty, saved(tmp_path / "b.npy", planted(12)), NAMES, clips_file)
    for text, said in (
        ("clip_id\na\na\n", "'a': 2 times"),
        ("clip_id,title\n,x\nb,y\n", "is empty"),
        ("x\n1\n2\n", "none of the"),
    ):
        with pytest.raises(InputError, match=said):
            import_assignments(empty, saved(tmp_path / "d.npy", planted(2)), NAMES, write(tmp_path / "c.csv", text))
    with pytest.raises(InputError, match="ends before it starts"):
        import_assignments(empty, tmp_path / "d.npy", NAMES, write(tmp_path / "c.csv", "start_s,end_s\n5,4\n0,1\n"))
    assert empty.artefact("clips") is None


@pytest.mark.parametrize(
    "names", [["sound:a", *NAMES[1:]], ["audio:", *NAMES[1:]], ["audio:a/b", *NAMES[1:]], [NAMES[1], *NAMES[1:]]]
)
def test_names_that_clusterings_cannot_have(workspace: Workspace, tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(SettingError):
        import_assignments(workspace, saved(tmp_path / "a.npy", planted(12)), names)


def test_clusterings_and_features_of_a_stage_are_not_replaced(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=12, upto="cluster")
    with pytest.raises(InputError, match="of its own"):
        import_assignments(workspace, saved(tmp_path / "a.npy", planted(12)), ["audio:sound.mfcc", *NAMES[1:]])
    with pytest.raises(InputError, match="of its own"):
        import_features(workspace, "sound", saved(tmp_path / "f.npy", np.zeros((12, 2))), "audio")


def test_empty_clusters_are_said(empty: Workspace, tmp_path: Path) -> None:
    report = import_assignments(empty, saved(tmp_path / "a.npy", np.array([[0], [5], [5]])), ["audio:a"])
    assert report["notices"] == ["a: 4 of 6 clusters are empty."]
    assert empty.array("clusterings/a", "sizes").tolist() == [1, 0, 0, 0, 0, 2]


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("/nonexistent/pickle ran"), "x"))


def test_pickles_are_never_opened(empty: Workspace, tmp_path: Path) -> None:
    (tmp_path / "shard-000001.pkl").write_bytes(pickle.dumps([_Runs()]))
    np.save(tmp_path / "objects.npy", np.array([_Runs()], dtype=object), allow_pickle=True)
    for call in (
        lambda: import_assignments(empty, tmp_path / "shard-000001.pkl", NAMES),
        lambda: import_features(empty, "f", tmp_path / "shard-000001.pkl", "audio"),
    ):
        with pytest.raises(InputError, match=r"is a pickle, which can run any program.*numpy\.save") as caught:
            call()
        assert caught.value.code == "pickle"
    for call in (
        lambda: import_assignments(empty, tmp_path / "objects.npy", NAMES),
        lambda: import_features(empty, "f", tmp_path / "objects.npy", "audio"),
    ):
        with pytest.raises(InputError, match="cannot be read"):
            call()
    np.savez(tmp_path / "several.npz", a=np.zeros(2))
    with pytest.raises(InputError, match="several arrays"):
        import_features(empty, "f", tmp_path / "several.npz", "audio")


# -- features ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"), [("f2", "f2"), ("f4", "f4"), ("f8", "f4"), (">f4", "f4"), ("i4", "f4"), ("u1", "f4")]
)
def test_features_keep_their_numbers(empty: Workspace, tmp_path: Path, given: str, kept: str) -> None:
    array = np.random.default_rng(0).integers(0, 100, (30, 5)).astype(given)
    report = import_features(empty, "clap", saved(tmp_path / "f.npy", array), "audio")
    assert report["layers"] == {"features": 5}
    assert empty.require("features/clap", "features").info == {
        "origin": "imported",
        "clips_fingerprint": empty.fingerprint("clips"),
        "modality": "audio",
        "layers": {"features": 5},
        "clips": 30,
        "valid": 30,
        "failures": {},
    }
    part = np.load(empty.feature_parts("clap", "features")[0])
    assert part.dtype == np.dtype(kept)
    assert (empty.features("clap", "features") == array).all()
    assert empty.array("features/clap", "valid").all()


def test_parts_have_a_bounded_number_of_rows(empty: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "ROWS_PER_PART", 8)
    array = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    file = np.asfortranarray(array)
    import_features(empty, "f", saved(tmp_path / "f.npy", file), "visual")
    assert [len(np.load(part)) for part in empty.feature_parts("f", "features")] == [8, 8, 8, 6]
    assert (empty.features("f", "features") == array).all()
    inside = {path.name for path in empty.artefact_path("features/f").iterdir()}
    assert inside == {"features", "valid.npy", "failures.parquet", "artefact.json"}


def test_rows_that_are_not_finite_are_not_valid(empty: Workspace, tmp_path: Path) -> None:
    one, two = np.ones((6, 2), np.float32), np.ones((6, 3))
    one[1, 0], two[4, 2], two[5, 0] = np.nan, np.inf, 1e300
    files = {"low": saved(tmp_path / "1.npy", one), "high": saved(tmp_path / "2.npy", two)}
    report = import_features(empty, "f", files, "audio")
    assert report["layers"] == {"low": 2, "high": 3}
    assert (report["valid"], report["failures"]) == (3, {"not_finite": 3})
    assert empty.array("features/f", "valid").tolist() == [True, False, True, True, False, False]
    assert (empty.features("f", "low", np.array([1, 4])) == 0).all()
    assert (empty.features("f", "high", np.array([0, 2])) == 1).all()
    failures = pq.read_table(empty.artefact_path("features/f") / "failures.parquet").to_pylist()
    assert [(failure["row"], failure["code"]) for failure in failures] == [
        (1, "not_finite"),
        (4, "not_finite"),
        (5, "not_finite"),
    ]
    with pytest.raises(InputError, match="not finite"):
        import_features(empty, "g", saved(tmp_path / "3.npy", one * np.nan), "audio")


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float16(), 3), pa.large_list(pa.float64()), pa.list_(pa.int32())]
)
def test_parquet_list_columns_are_layers(
    workspace: Workspace, tmp_path: Path, kind: pa.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "ROWS_PER_PART", 5)
    ids = [clip["clip_id"] for clip in clips_of(workspace)][::-1]
    rows = np.arange(36).reshape(12, 3)
    lists: list[Any] = rows.tolist()
    lists[0] = None
    number = np.float16 if pa.types.is_float16(kind.value_type) else int
    column = pa.array([None if row is None else [number(value) for value in row] for row in lists], kind)
    pq.write_table(pa.table({"clip_id": ids, "deep": column, "note": ids}), tmp_path / "f.parquet")
    report = import_features(workspace, "pe", tmp_path / "f.parquet", "visual")
    assert report["matched_by"] == "clip id"
    assert report["layers"] == {"deep": 3}
    assert (workspace.features("pe", "deep")[:11] == rows[::-1][:11]).all()
    assert workspace.array("features/pe", "valid").tolist() == [True] * 11 + [False]


def test_clips_without_a_row_are_listed(workspace: Workspace, tmp_path: Path) -> None:
    ids = [clip["clip_id"] for clip in clips_of(workspace)]
    clips_file = write(tmp_path / "c.jsonl", "".join(json.dumps({"clip_id": i}) + "\n" for i in [ids[2], ids[0]]))
    array = np.array([[2.0], [1.0]], np.float32)
    report = import_features(workspace, "f", saved(tmp_path / "f.npy", array), "audio", clips_file)
    assert (report["clips_without_row"], report["valid"], report["failures"]) == (10, 2, {"no_row": 10})
    assert workspace.features("f", "features")[:3, 0].tolist() == [1.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((11, 2)), r"11 rows, the workspace 12 clips"),
        (np.zeros(12), r"shape \(12,\); features"),
        (np.zeros((12, 0)), r"\(12, 0\)"),
        (np.zeros((12, 2), "U3"), "holds <U3"),
        (np.zeros((12, 2), complex), "complex"),
    ],
)
def test_features_that_cannot_be_used(workspace: Workspace, tmp_path: Path, array: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        import_features(workspace, "f", saved(tmp_path / "f.npy", array), "audio")
    assert workspace.keys("features") == []


def test_feature_files_that_cannot_be_used(workspace: Workspace, tmp_path: Path) -> None:
    one, two = saved(tmp_path / "1.npy", np.zeros((12, 2))), saved(tmp_path / "2.npy", np.zeros((10, 2)))
    with pytest.raises(InputError, match="a 12, b 10"):
        import_features(workspace, "f", {"a": one, "b": two}, "audio")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "plain.parquet")
    with pytest.raises(InputError, match="no column of lists"):
        import_features(workspace, "f", tmp_path / "plain.parquet", "audio")
    pq.write_table(pa.table({"x": [[1.0]] * 11 + [[1.0, 2.0]]}), tmp_path / "ragged.parquet")
    with pytest.raises(InputError, match=r"different lengths \(1, 2\)"):
        import_features(workspace, "f", tmp_path / "ragged.parquet", "audio")
    with pytest.raises(InputError, match="There is no file"):
        import_features(workspace, "f", tmp_path / "none.npy", "audio")
    write(tmp_path / "cut.npy", "no array")
    with pytest.raises(InputError, match="cannot be read"):
        import_features(workspace, "f", tmp_path / "cut.npy", "audio")
    for name, layers, modality in (
        ("a/b", one, "audio"),
        ("f", {"parts": one}, "audio"),
        ("f", {"../x": one}, "audio"),
        ("f", one, "text"),
    ):
        with pytest.raises(SettingError):
            import_features(workspace, name, layers, modality)
    assert workspace.keys("features") == []


def test_a_killed_import_goes_on(empty: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "ROWS_PER_PART", 4)
    file = saved(tmp_path / "f.npy", np.arange(40, dtype=np.float32).reshape(20, 2))
    finished: list[str] = []
    real = features_module.write_array

    def dies(path: Path, array: np.ndarray) -> None:
        finished.append(path.name)
        if len(finished) == 6:
            raise KeyboardInterrupt
        real(path, array)

    monkeypatch.setattr(features_module, "write_array", dies)
    with pytest.raises(KeyboardInterrupt):
        import_features(empty, "f", file, "audio")
    assert empty.keys("features") == []
    before = list(finished)
    import_features(empty, "f", file, "audio")
    again = [name for name in finished[6:] if name in before and name != before[-1]]
    assert again == ["part-000002.npy"], "only the part under way is written again"
    assert (empty.features("f", "features") == np.load(file)).all()


# -- and then a run ----------------------------------------------------------------------------------------------------


def test_a_run_on_imported_assignments_selects(empty: Workspace, tmp_path: Path) -> None:
    importers.import_assignments(empty, saved(tmp_path / "a.npy", planted(400)), NAMES)
    empty.configure({"select.budget": "0.4", "select.batch_size": "50", "select.selection_size": "10"})
    reports = pipeline.run(empty, Progress())
    assert list(reports) == ["select"]
    states = {item.stage: item.state for item in pipeline.status(empty)}
    assert states == {
        "scan": "imported",
        "filter": "imported",
        "segment": "imported",
        "features": "imported",
        "health": "imported",
        "cluster": "imported",
        "select": "done",
        "neighbours": "imported",
        "project": "imported",
    }
    picked = pq.read_table(empty.artefact_path(empty.keys("selections")[0]) / "picks.parquet")
    assert picked.num_rows == 160
    assert (picked["row"].to_numpy() < 200).mean() > 0.6, "the half that corresponds is preferred"
    assert pipeline.run(empty, Progress())["select"].facts == {"skipped": True}


def test_a_run_on_imported_features_clusters_and_selects(empty: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    kinds = planted(300)[:, [0, 2]]
    for name, modality, kind in (("vggish", "audio", kinds[:, 0]), ("slowfast", "visual", kinds[:, 1])):
        array = (rng.normal(size=(4, 6)) * 4)[kind] + rng.normal(size=(300, 6)) * 0.2
        array[7] = np.nan
        import_features(empty, name, saved(tmp_path / f"{name}.npy", array.astype(np.float16)), modality)
    empty.configure({"select.budget": "60", "cluster.n_clusters": "4"})
    reports = pipeline.run(empty, Progress())
    assert list(reports) == ["cluster", "select", "neighbours", "project"]
    assert empty.keys("clusterings") == ["clusterings/slowfast.features", "clusterings/vggish.features"]
    assert empty.array("clusterings/vggish.features", "assignments")[7] == -1
    assert reports["select"].facts["candidates"] == 299
    assert {item.state for item in pipeline.status(empty)} == {"imported", "done"}


def test_imported_features_and_assignments_stand_side_by_side(empty: Workspace, tmp_path: Path) -> None:
    import_assignments(empty, saved(tmp_path / "a.npy", planted(60)[:, 2:]), ["visual:v0", "visual:v1"])
    import_features(empty, "clap", saved(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(60, 4))), "audio")
    reports = pipeline.run(empty, Progress())
    assert list(reports) == ["cluster", "select", "neighbours", "project"]
    assert empty.require("clusterings/v0", "cluster").info["origin"] == "imported"
    assert reports["select"].facts["clips"] == 12
