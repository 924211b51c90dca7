"""Parts done by shards, or on a Ray cluster whose workers are killed, end in the same bytes as a run here."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import psutil
import pytest

from curation import pipeline
from curation.errors import InputError, LockedError, SettingError
from curation.locks import writer_lock
from curation.progress import Progress
from curation.sharding import Shard, check_merged, run_shard
from curation.stage import StageContext, run_stage, shard_lock, stage_lock
from curation.stages import features, scan, segment
from curation.workspace import Workspace
from tests.mediamaker import make_video

SHARED = ("scan", "segment", "features")


def tables(workspace: Workspace) -> dict[str, bytes]:
    files = [*workspace.path.rglob("*.parquet"), *workspace.path.rglob("*.npy")]
    assert not [file for file in files if any(part.startswith(".") for part in file.relative_to(workspace.path).parts)]
    return {str(file.relative_to(workspace.path)): file.read_bytes() for file in files}


def context(workspace: Workspace) -> StageContext:
    return StageContext(workspace, workspace.config, Progress())


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for i in range(7):
        make_video(folder / f"{i}.mp4", seconds=1.5, size=(64, 48), seed=i, hz=200 + 70 * i)
    (folder / "broken.mp4").write_bytes(b"nothing")
    return folder


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "FILES_PER_PART", 3)
    monkeypatch.setattr(segment, "VIDEOS_PER_PART", 2)
    monkeypatch.setattr(features, "ROWS_PER_PART", 2)


def test_shards_then_merge_are_a_run(media: Path, tmp_path: Path, small_parts: None) -> None:
    plain = Workspace.create(tmp_path / "plain", roots=[str(media)])
    pipeline.run(plain, Progress(), only=("scan", "filter", "segment", "features"))
    shared = Workspace.create(tmp_path / "shared", roots=[str(media)])
    for name in ("scan", "filter", "segment", "features"):
        stage = pipeline.stage_named(name)
        if name not in SHARED:
            run_stage(stage, context(shared))
            continue
        for number in (2, 3):
            run_shard(stage, context(shared), Shard(number, 3))
        with pytest.raises(InputError, match=rf"of \d+ parts of {name} are not done"):
            check_merged(stage, context(shared))
        report = run_shard(stage, context(shared), Shard(1, 3))
        assert 0 < report.facts["parts"] < report.facts["of_parts"]
        check_merged(stage, context(shared))
        run_stage(stage, context(shared))
        assert run_shard(stage, context(shared), Shard(1, 3)).facts == {"skipped": True}
    assert tables(plain) == tables(shared)


def test_a_shard_and_a_whole_run_keep_out_of_each_others_way(media: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws", roots=[str(media)])
    stage = pipeline.stage_named("scan")
    with (
        writer_lock(shard_lock(workspace, "scan", "1/2"), purpose="scan 1/2"),
        pytest.raises(LockedError, match="A shard is being done: scan 1/2"),
    ):
        run_stage(stage, context(workspace))
    with writer_lock(stage_lock(workspace, "scan"), purpose="scan"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("curation.sharding.WAIT_S", 0.0)
        with pytest.raises(LockedError, match="Another process"):
            run_shard(stage, context(workspace), Shard(1, 2))
    with writer_lock(shard_lock(workspace, "scan", "1/2"), purpose="scan 1/2"), pytest.raises(LockedError):
        run_shard(stage, context(workspace), Shard(1, 2))


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "a/b", "1/2/3", "-1/2", "1/0"])
def test_what_is_no_shard_is_said(text: str) -> None:
    with pytest.raises(SettingError, match="no shard"):
        Shard.parse(text)


def test_every_part_belongs_to_one_shard(media: Path) -> None:
    from curation.stage import Part

    parts = [Part(i, 1) for i in range(20)]
    taken = [part.index for n in range(1, 4) for part in parts if Shard.parse(f"{n}/3").takes(part)]
    assert sorted(taken) == list(range(20))


def test_a_stage_of_one_piece_is_not_shared_out(media: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws", roots=[str(media)])
    with pytest.raises(SettingError, match="scan, segment, features, cluster"):
        run_shard(pipeline.stage_named("select"), context(workspace), Shard(1, 2))


def test_no_actor_waits_for_a_place_that_the_cluster_does_not_have() -> None:
    from curation.distributed.ray_engine import actor_count

    two_gpus = {"CPU": 16.0, "GPU": 2.0, "memory": 1e9}
    assert actor_count(two_gpus, wanted=0, parts=40, gpu=False) == 16
    assert actor_count(two_gpus, wanted=0, parts=40, gpu=True) == 2, "each of them takes a whole GPU"
    assert actor_count(two_gpus, wanted=64, parts=40, gpu=False) == 16, "a part given to one more would never be done"
    assert actor_count(two_gpus, wanted=3, parts=40, gpu=False) == 3
    assert actor_count({}, wanted=0, parts=0, gpu=False) == 1


@pytest.mark.slow
def test_a_cluster_whose_workers_are_killed_ends_in_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the optional extra `ray` is not installed")
    from curation.distributed.ray_engine import RayEngine

    media = tmp_path / "media"
    media.mkdir()
    for i in range(70):  # two parts of 64 videos
        make_video(media / f"{i:03d}.mp4", seconds=0.6, size=(48, 32), seed=i, hz=200 + i)
    only = ("scan", "filter", "segment", "features")
    plain = Workspace.create(tmp_path / "plain", roots=[str(media)])
    pipeline.run(plain, Progress(), only=only)
    shared = Workspace.create(tmp_path / "shared", roots=[str(media)])
    killed: list[int] = []

    def kill_some() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end and len(killed) < 2:
            for process in psutil.process_iter(["name", "cmdline"]):
                with contextlib.suppress(psutil.Error):
                    if "PartRunner.run" in " ".join(process.info["cmdline"] or []) and process.pid not in killed:
                        time.sleep(0.3)
                        process.kill()
                        killed.append(process.pid)
                        break
            time.sleep(0.05)

    threading.Thread(target=kill_some, daemon=True).start()
    with RayEngine("local", actors=2) as engine:
        pipeline.run(shared, Progress(), only=only, do=engine.do)
    assert killed, "no worker was met while it did a part"
    assert tables(plain) == tables(shared)
