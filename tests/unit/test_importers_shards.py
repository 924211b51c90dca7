"""Shards of the reference into a workspace: both spellings, resumed after kills, bad ones a row with a reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import pipeline
from curation.errors import InputError
from curation.importers import features as features_module
from curation.importers import import_shards, shard_import, shards
from curation.importers.shard_store import ShardStore
from curation.importers.shards import read_shard
from curation.progress import Progress
from curation.records import CLIPS
from curation.workspace import Workspace
from tests.unit.shardmaker import (
    PICTURE_DIMS,
    SOUND_DIMS,
    cluster_row,
    feature_row,
    filename,
    vector,
    write_shards,
    youtube_id,
)
from tests.workspacemaker import make_workspace


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "bare")


def put(path: Path, value: Any, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def check_features(workspace: Workspace, clips: list[int]) -> None:
    """Every clip's numbers, in the order of the workspace."""
    for name, dims, sound in (("VGGish", SOUND_DIMS, True), ("SLOWFAST_8x8_R50", PICTURE_DIMS, False)):
        for layer, dim in enumerate(dims):
            expected = np.stack([vector(i, layer, dim, sound) for i in clips])
            assert (workspace.features(name, f"layer_{layer}") == expected).all()


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("readme", [False, True])
def test_feature_shards_make_clips_and_features(empty: Workspace, tmp_path: Path, readme: bool, protocol: int) -> None:
    report = import_shards(empty, write_shards(tmp_path / "in", readme=readme, protocol=protocol))
    assert (report["shards"], report["failed_shards"], report["rows"], report["clips"]) == (3, 0, 12, 12)
    assert report["features"]["VGGish"] == {
        "modality": "audio",
        "layers": {"layer_0": 4, "layer_1": 3},
        "valid": 12,
        "failures": {},
    }
    assert report["features"]["SLOWFAST_8x8_R50"]["modality"] == "visual"
    check_features(empty, list(range(12)))
    clips = empty.table("clips").to_pylist()
    assert [clip["path"] for clip in clips] == [filename(i) for i in range(12)]
    assert [clip["clip_id"] for clip in clips] == [filename(i)[:-4] for i in range(12)]
    assert [clip["source"] for clip in clips] == [youtube_id(i) for i in range(12)]
    assert [(clip["start_s"], clip["end_s"]) for clip in clips] == [(10 * i + 0.25, 10 * i + 10.25) for i in range(12)]
    inside = {path.name for path in empty.artefact_path("features/VGGish").iterdir()}
    assert inside == {"layer_0", "layer_1", "valid.npy", "failures.parquet", "shards.parquet", "artefact.json"}
    assert not list(empty.path.rglob("*.parts")), "what was gathered is gone"


@pytest.mark.parametrize("readme", [False, True])
def test_cluster_shards_make_clusterings_and_a_run_selects(empty: Workspace, tmp_path: Path, readme: bool) -> None:
    report = import_shards(empty, write_shards(tmp_path / "in", 5, 20, rows=cluster_row, readme=readme))
    assert report["features"] == {}
    assert report["clusterings"]["VGGish.layer_1"] == {"modality": "audio", "n_clusters": 3}
    found = empty.array("clusterings/SLOWFAST_8x8_R50.layer_1", "assignments")
    assert found.tolist() == [(i + 1) % 3 for i in range(100)]
    reports = pipeline.run(empty, Progress())
    assert list(reports) == ["select"], "assignments and no features"
    assert reports["select"].facts["candidates"] == 100


def test_feature_and_cluster_shards_meet_by_file_name(empty: Workspace, tmp_path: Path) -> None:
    import_shards(empty, write_shards(tmp_path / "f"))
    clusters = write_shards(tmp_path / "c", 2, rows=cluster_row)
    put(clusters / "shard-000009.pkl", [cluster_row(77, "shard-000009", 1)])
    report = import_shards(empty, clusters)
    assert (report["matched_by"], report["unmatched_rows"], report["clips_without_row"]) == ("clip id", 1, 4)
    assert report["unmatched_examples"] == [filename(77)[:-4]]
    assert empty.array("clusterings/VGGish.layer_0", "assignments")[8:].tolist() == [-1] * 4


@pytest.mark.parametrize("kind", ["cut files", "whole videos"])
def test_shards_join_a_workspace_with_media(tmp_path: Path, kind: str) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=12, upto="clips")
    clips = workspace.table("clips").to_pylist()
    for i, clip in enumerate(clips):
        if kind == "cut files":
            clip |= {"path": f"x/{filename(i)}", "start_s": 0.0, "end_s": 10.0}
        else:
            clip |= {"path": f"x/{youtube_id(i)}.webm", "start_s": 10.0 * i + 0.5, "end_s": 10.0 * i + 10.5}
    workspace.commit_table("clips", pa.Table.from_pylist(clips[::-1], CLIPS), "s2", {})
    report = import_shards(workspace, write_shards(tmp_path / "in"))
    assert report["matched_by"] == ("stem" if kind == "cut files" else "YouTube id")
    assert (report["unmatched_rows"], report["clips_without_row"], report["clips_made"]) == (0, 0, False)
    check_features(workspace, list(range(12))[::-1])


def test_importing_again_writes_nothing(empty: Workspace, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "in")
    first = import_shards(empty, folder)
    marker = empty.artefact_path("features/VGGish") / "artefact.json"
    before = marker.stat().st_mtime_ns
    again = import_shards(empty, folder)
    assert marker.stat().st_mtime_ns == before
    assert (again["features"], again["clips_made"], first["clips_made"]) == (first["features"], False, True)


# -- bad shards --------------------------------------------------------------------------------------------------------


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (Path("ran"), "x"))


def test_bad_shards_are_rows_with_a_reason(empty: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_shards(tmp_path / "in", 2)
    put(folder / "shard-000002.pkl", [{"filename": "x.mp4", "y": _Runs()}])
    (folder / "shard-000003.pkl").write_bytes((folder / "shard-000000.pkl").read_bytes()[:-700])
    (folder / "shard-000004.pkl").write_bytes(b"")
    put(folder / "shard-000005.pkl", {"no": "list"})
    put(folder / "shard-000006.pkl", [])
    (folder / "shard-000007.pkl").mkdir()
    put(folder / "shard-000000_cache.pkl", [])
    report = import_shards(empty, folder)
    assert not (tmp_path / "ran").exists()
    assert (report["shards"], report["failed_shards"], report["rows"]) == (8, 6, 8)
    table = pq.read_table(empty.artefact_path("features/VGGish") / "shards.parquet").to_pylist()
    codes = ["", "", "forbidden", "damaged", "damaged", "not_a_shard", "not_a_shard", "unreadable"]
    assert [row["code"] for row in table] == codes
    assert all(row["message"] for row in table[2:])
    assert "only lists, dictionaries" in report["failed_examples"][0]
    check_features(empty, list(range(8)))


def test_only_bad_shards_are_an_error(empty: Workspace, tmp_path: Path) -> None:
    put(tmp_path / "in" / "shard-000000.pkl", [_Runs()])
    with pytest.raises(InputError, match=r"None of the 1 shards .* can be used") as caught:
        import_shards(empty, tmp_path / "in")
    assert caught.value.code == "forbidden"
    assert empty.artefact("clips") is None
    for place, said in ((tmp_path, r"holds no shard-NNNNNN\.pkl"), (tmp_path / "none", "cannot be read")):
        with pytest.raises(InputError, match=said):
            import_shards(empty, place)


def test_bad_rows_cost_themselves(empty: Workspace, tmp_path: Path) -> None:
    rows = [feature_row(i, "s", 9, True) for i in range(9)]
    rows[1]["audio_features"][0]["feat_array"]["layer_0"] = np.zeros((2, 2), np.float32)
    rows[2]["audio_features"][0]["feat_array"]["layer_0"] = np.zeros(7, np.float32)
    rows[3]["audio_features"][0]["feat_array"]["layer_0"] = "text"
    rows[4]["audio_features"] = []
    rows[5]["audio_features"] = ["nothing"]
    rows[6]["audio_features"][0]["feat_array"]["layer_0"][1] = np.nan
    rows[7]["filename"] = None
    rows[8]["audio_features"][0]["feat_array"]["layer_0"] = vector(8, 0, 4, True)[None, :, None]
    put(tmp_path / "in" / "shard-000000.pkl", [*rows, "no row", rows[0]])
    report = import_shards(empty, tmp_path / "in")
    assert report["problems"] == {"shape": 2, "dim": 1, "entry": 1, "no_filename": 2}
    assert any("has 7 numbers, not 4" in sentence for sentence in report["examples"])
    assert (report["rows"], report["clips"], report["repeated_rows"]) == (9, 8, 1)
    assert empty.array("features/VGGish", "valid").tolist() == [True, *[False] * 6, True]
    assert empty.array("features/SLOWFAST_8x8_R50", "valid").all()
    assert (empty.features("VGGish", "layer_0")[7] == vector(8, 0, 4, True)).all()


def test_clusters_that_are_none(empty: Workspace, tmp_path: Path) -> None:
    rows = [cluster_row(i, "s", 8) for i in range(8)]
    for i, bad in enumerate([-2, 100_000, 0.5, "1", None, np.array([1, 2])]):
        rows[i]["audio_assignments"][0]["array"]["layer_0"] = bad
    rows[6]["audio_assignments"][0]["array"]["layer_0"] = np.array([2])
    put(tmp_path / "in" / "shard-000000.pkl", rows)
    report = import_shards(empty, tmp_path / "in")
    assert report["problems"] == {"cluster": 6}
    assert empty.array("clusterings/VGGish.layer_0", "assignments").tolist() == [-1] * 6 + [2, 1]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": 1}', '[{"filename": 3, "segment": "x"}]', "\udcff"])
def test_bad_segments_leave_the_times_unknown(empty: Workspace, tmp_path: Path, text: str) -> None:
    folder = write_shards(tmp_path / "in", 1)
    (folder / "shard-000000.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    report = import_shards(empty, folder)
    assert report["rows"] == 4
    assert empty.table("clips")["start_s"].null_count == 4


def test_segments_elsewhere_and_unknown_ones(empty: Workspace, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "in", 1)
    times = json.loads((folder / "shard-000000.json").read_text("utf-8"))
    times[0] |= {"id": "-1", "segment": [-1.0, -1.0]}
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "shard-000000.json").write_text(json.dumps(times[:3]), "utf-8")
    (folder / "shard-000000.json").unlink()
    report = import_shards(empty, folder, segments=tmp_path / "meta")
    assert report["problems"] == {"no_segment": 2}
    clips = empty.table("clips").to_pylist()
    assert [clip["start_s"] for clip in clips] == [None, 10.25, 20.25, None]
    assert clips[0]["source"] == filename(0)


def test_one_array_named_by_every_clip_does_not_unfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "CELLS_MAX", 10_000)
    one = np.zeros(1000, np.float32)
    rows = [
        {"filename": f"{i}.mp4", "audio_features": [{"extractor_name": "a", "array": {"l": one}}]} for i in range(100)
    ]
    with pytest.raises(InputError, match="unfolds to more than 10000 numbers"):
        read_shard(put(tmp_path / "shard-000000.pkl", rows))


def test_names_are_made_safe_and_kept_apart(empty: Workspace, tmp_path: Path) -> None:
    def entry(dataset: str) -> dict[str, Any]:
        return {"extractor_name": "../a b", "dataset": dataset, "array": {"x/y": np.ones(2)}}

    row = {"filename": "a.mp4", "audio_features": [entry("one"), entry("two")], "video_features": [entry("one")]}
    put(tmp_path / "in" / "shard-000000.pkl", [row])
    report = import_shards(empty, tmp_path / "in", prefix="p.")
    assert set(report["features"]) == {"p.a-b", "p.a-b-two", "p.a-b-visual"}
    assert report["features"]["p.a-b"]["layers"] == {"x-y": 2}


def test_a_stage_s_own_are_not_replaced(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=4, upto="cluster")
    row = {"filename": "video0000.mp4", "audio_features": [{"extractor_name": "sound", "array": np.ones(3)}]}
    put(tmp_path / "in" / "shard-000000.pkl", [row])
    with pytest.raises(InputError, match="of its own"):
        import_shards(workspace, tmp_path / "in")
    assert import_shards(workspace, tmp_path / "in", prefix="their-")["features"]["their-sound"]["valid"] == 1


def test_layers_that_begin_late_or_pause(empty: Workspace, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "in", 3)
    for number, missing in ((0, "audio_features"), (1, "video_features")):
        file = folder / f"shard-{number:06d}.pkl"
        rows = pickle.loads(file.read_bytes())
        for row in rows:
            row[missing] = []
        put(file, rows)
    report = import_shards(empty, folder)
    assert report["features"]["VGGish"]["valid"] == 8
    assert empty.array("features/VGGish", "valid").tolist() == [False] * 4 + [True] * 8
    assert empty.array("features/SLOWFAST_8x8_R50", "valid").tolist() == [True] * 4 + [False] * 4 + [True] * 4


# -- kills -------------------------------------------------------------------------------------------------------------


def content(workspace: Workspace) -> dict[str, bytes]:
    """Every file of what was made, without the moment at which it was."""
    kept = {}
    for path in sorted(workspace.path.rglob("*")):
        name = str(path.relative_to(workspace.path))
        if path.is_file() and not name.startswith(("locks", "workspace.json", "manifest.json")):
            data = path.read_bytes()
            kept[name] = json.dumps({**json.loads(data), "made": 0}).encode() if path.name == "artefact.json" else data
    return kept


@pytest.mark.parametrize("at", [1, 2, 5, 8, 10, 13])
def test_a_killed_import_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    folder = write_shards(tmp_path / "in", 4)
    whole = Workspace.create(tmp_path / "whole")
    import_shards(whole, folder)
    steps: list[str] = []

    def counted(name: str, real: Any) -> Any:
        def step(*values: Any, **more: Any) -> Any:
            steps.append(name)
            if len(steps) == at:
                raise KeyboardInterrupt
            return real(*values, **more)

        return step

    monkeypatch.setattr(shard_import, "read_shard", counted("read", read_shard))
    monkeypatch.setattr(ShardStore, "_note", counted("note", ShardStore._note))
    monkeypatch.setattr(features_module, "write_array", counted("write", features_module.write_array))
    killed = Workspace.create(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        import_shards(killed, folder)
    assert killed.keys("features") == ([] if at < 13 else ["features/VGGish"])
    done = steps[: at - 1].count("note")
    steps.extend(["killed"] * 1000)
    import_shards(killed, folder)
    assert steps[at:].count("read") == 4 - done, "what was gathered is not read again"
    assert content(killed) == content(whole)


def test_a_line_and_rows_that_a_kill_cut_are_written_over(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "in", 3)
    files = sorted(folder.glob("*.pkl"))
    store = ShardStore(tmp_path / "store")
    store.append(read_shard(files[0]))
    store.append(read_shard(files[1]))
    key = next(iter(store.dims))
    before = np.array(store.array(key))
    for path in (tmp_path / "store").iterdir():
        path.write_bytes(path.read_bytes() + b"half a row")
    again = ShardStore(tmp_path / "store")
    assert again.done == {"shard-000000", "shard-000001"}
    again.append(read_shard(files[2]))
    assert (again.array(key)[:8] == before).all()
    assert np.isfinite(again.array(key)[8:]).all()
    assert ShardStore(tmp_path / "store").n_rows == 12
