"""k-means of more clips than are trained on: the same bytes however the parts are done, kills, and memory."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation import clustering, layer_fit, pipeline
from curation.atomic import write_array
from curation.errors import InputError
from curation.kernels import kmeans
from curation.kernels.draws import STREAM_KMEANS, stream_key
from curation.kernels.kmeans_sample import lowest_hashes
from curation.progress import Progress
from curation.records import clip_keys
from curation.sharding import Shard, check_merged, run_shard
from curation.stage import Report, StageContext, run_stage
from curation.workspace import Workspace

STAGE = pipeline.stage_named("cluster")
N, DIMS = 1500, {"a": 6, "b": 11}
SETTINGS = {"cluster.n_clusters": "7", "cluster.replicates": 3, "cluster.sample": 400}


def made(path: Path, names: list[str] | None = None, /, **settings: Any) -> Workspace:
    """A workspace with features of two layers in parts of 128 rows, each clip's by its name alone."""
    names = names or [f"clip {i}" for i in range(N)]
    workspace = Workspace.create(path)
    workspace.configure(SETTINGS | settings)
    folder = workspace.partial_folder("features/sound", str(len(names)))
    keys = clip_keys(names)
    valid = keys % np.uint64(50) != 0
    for layer, dim in DIMS.items():
        values = np.stack([np.random.default_rng(int(key)).normal(size=dim) for key in keys])
        values = (values + 4 * (keys % np.uint64(5))[:, None]).astype(np.float16) * valid[:, None]
        for part, start in enumerate(range(0, len(names), 128)):
            write_array(folder / layer / f"part-{part:06d}.npy", values[start : start + 128])
    write_array(folder / "valid.npy", valid)
    write_array(folder / "clip_keys.npy", keys)
    info = {"extractor": "v1", "modality": "audio", "layers": DIMS, "valid": int(valid.sum())}
    workspace.commit_folder("features/sound", folder, str(len(names)), info)
    return workspace


def run(workspace: Workspace) -> Report:
    return run_stage(STAGE, context(workspace))


def context(workspace: Workspace) -> StageContext:
    return StageContext(workspace, workspace.config, Progress())


def results(workspace: Workspace) -> dict[str, bytes]:
    files = sorted((workspace.path / "clusterings").rglob("*"))
    assert not [file for file in files if any(part.startswith(".") for part in file.relative_to(workspace.path).parts)]
    return {str(file.relative_to(workspace.path)): file.read_bytes() for file in files if file.suffix == ".npy"}


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_fit, "ROWS_PER_PART", 512)
    monkeypatch.setattr(kmeans, "BLOCK_ROWS", 200)


def test_trained_on_the_clips_of_the_lowest_hashes_and_all_are_assigned(tmp_path: Path) -> None:
    workspace = made(tmp_path / "ws")
    report = run(workspace)
    valid = np.asarray(workspace.array("features/sound", "valid"))
    n = int(valid.sum())
    assert report.notices[0].startswith(f"sound.a: Trained on 400 of {n:,} clips, drawn by a hash of their ids")
    assert "57 a cluster: set cluster.sample for more" in report.notices[0]
    keys = np.asarray(workspace.array("features/sound", "clip_keys"))
    rows = lowest_hashes(keys, valid, 400, stream_key(0, STREAM_KMEANS, 4))
    wanted = clustering.fit(workspace.features("sound", "a", rows), 7)
    for key in ("mean", "scale", "centroids"):
        found = workspace.array("clusterings/sound.a", key)
        assert (found == {**wanted.transform, "centroids": wanted.centroids}[key]).all()
    labels, distances = (workspace.array("clusterings/sound.a", key) for key in ("assignments", "distances"))
    nearest, far = clustering.nearest_clusters(workspace.features("sound", "a"), wanted.centroids, wanted.transform)
    assert (
        (labels[valid] == nearest[valid]).all() and (labels[~valid] == -1).all() and np.isnan(distances[~valid]).all()
    )
    assert np.asarray(distances)[valid] == pytest.approx(far[valid], rel=1e-5)
    info = workspace.artefact("clusterings/sound.a").info  # type: ignore[union-attr]
    assert (info["trained_on"], info["fitted_on"], info["clips"]) == (400, n, n)
    assert info["inertia"] == pytest.approx((far[valid].astype(float) ** 2).sum(), rel=1e-5)
    assert workspace.array("clusterings/sound.a", "sizes").sum() == n


def test_where_all_clips_fit_nothing_is_drawn_and_the_setting_changes_nothing(tmp_path: Path) -> None:
    plain = made(tmp_path / "plain", **{"cluster.sample": 0})
    run(plain)
    x = plain.features("sound", "a", np.flatnonzero(plain.array("features/sound", "valid")))
    wanted = clustering.cluster(x, 7)
    assert plain.array("clusterings/sound.a", "centroids").tobytes() == wanted.centroids.tobytes()
    labels = np.asarray(plain.array("clusterings/sound.a", "assignments"))
    assert labels[labels >= 0].tolist() == wanted.assignments.tolist()
    large = made(tmp_path / "large", **{"cluster.sample": 10**6})
    assert run(large).notices == [] and results(large) == results(plain)


def test_the_same_bytes_for_any_number_of_workers_and_shards(tmp_path: Path) -> None:
    alone = made(tmp_path / "alone", **{"resources.workers": 1})
    run(alone)
    for workers in (2, 5):
        other = made(tmp_path / str(workers), **{"resources.workers": workers})
        run(other)
        assert results(other) == results(alone)
    shared = made(tmp_path / "shared")
    run_shard(STAGE, context(shared), Shard(3, 3))  # needs models that are other shards' parts: it makes them
    with pytest.raises(InputError, match="of 8 parts of cluster are not done"):
        check_merged(STAGE, context(shared))
    failed: list[BaseException] = []

    def share(number: int) -> None:
        try:
            run_shard(STAGE, context(shared), Shard(number, 3))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=share, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    check_merged(STAGE, context(shared))
    run(shared)
    assert results(shared) == results(alone)


class Killed(BaseException):
    """Stands for a kill: nothing in the program may catch it."""


def dying(work: Callable[..., Any], at: int, calls: list[int]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            raise Killed
        return work(*args, **kwargs)

    return counted


def test_killed_while_assigning_it_repeats_nothing_that_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, broken = made(tmp_path / "unbroken"), made(tmp_path / "broken")
    run(unbroken)
    calls: list[int] = []
    fits: list[int] = []
    monkeypatch.setattr(layer_fit, "fit", dying(layer_fit.fit, -1, fits))
    monkeypatch.setattr(layer_fit, "assign_rows", dying(layer_fit.assign_rows, 4, calls))
    with pytest.raises(Killed):
        run(broken)
    assert broken.keys("clusterings") == []
    run(broken)
    assert len(calls) == 7, "two layers of three stretches, and the one that was cut short"
    assert len(fits) == 6, "two layers, three runs each"
    assert results(broken) == results(unbroken)


def test_killed_while_training_it_goes_on_at_the_last_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken, broken = made(tmp_path / "unbroken"), made(tmp_path / "broken")
    rounds: list[int] = []
    monkeypatch.setattr(kmeans, "_update", dying(kmeans._update, -1, rounds))
    run(unbroken)
    wanted = len(rounds)
    monkeypatch.setattr(layer_fit.Checkpoint, "due", lambda _self: True)
    update, points = kmeans._update, (3, 14, 2, 30)
    for point in points:
        monkeypatch.setattr(kmeans, "_update", dying(update, point, []))
        with pytest.raises(Killed):
            run(broken)
    rounds.clear()
    monkeypatch.setattr(kmeans, "_update", update)
    run(broken)
    assert results(broken) == results(unbroken)
    assert len(rounds) < wanted - sum(points) + 12 * len(points), "what was trained before is not trained again"


def test_more_clips_join_or_are_drawn_by_their_own_ids(tmp_path: Path) -> None:
    names = [f"clip {i}" for i in range(N + 300)]
    few, more = made(tmp_path / "few", names[:N]), made(tmp_path / "more", names[::-1])
    drawn = []
    for workspace in (few, more):
        keys, valid = (np.asarray(workspace.array("features/sound", name)) for name in ("clip_keys", "valid"))
        drawn.append(set(keys[lowest_hashes(keys, valid, 400, stream_key(0, STREAM_KMEANS, 4))].tolist()))
    assert 300 < len(drawn[0] & drawn[1]) < 400
    assert drawn[1] - drawn[0] <= set(clip_keys(names[N:]).tolist())


def test_bad_values_outside_the_sample_are_said(tmp_path: Path) -> None:
    workspace = made(tmp_path / "ws")
    keys, valid = (np.asarray(workspace.array("features/sound", name)) for name in ("clip_keys", "valid"))
    sample = lowest_hashes(keys, valid, 400, stream_key(0, STREAM_KMEANS, 4))
    row = int(np.setdiff1d(np.flatnonzero(valid), sample)[700])
    part = workspace.feature_parts("sound", "a")[row // 128]
    values = np.load(part)
    values[row % 128, 2] = np.inf
    np.save(part, values)
    with pytest.raises(InputError, match=f"1 of .* rows hold NaN or infinite.* row {row}"):
        run(workspace)


def test_the_features_are_never_in_memory_whole(tmp_path: Path) -> None:
    program = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from curation import pipeline
    from curation.atomic import write_array
    from curation.progress import Progress
    from curation.stage import StageContext, run_stage
    from curation.workspace import Workspace

    def clustered(path, parts):
        workspace = Workspace.create(path)
        workspace.configure({"cluster.n_clusters": "8", "cluster.replicates": 2, "cluster.n_iter": 2,
                             "cluster.sample": 20_000})
        x = np.random.default_rng(0).normal(size=(16_384, 256)).astype(np.float16)
        folder = workspace.partial_folder("features/sound", "f")
        (folder / "a").mkdir()
        for part in range(parts):
            np.save(folder / "a" / f"part-{part:06d}.npy", np.roll(x, part, axis=1))
        write_array(folder / "valid.npy", np.ones(parts * len(x), bool))
        write_array(folder / "clip_keys.npy", np.arange(parts * len(x), dtype=np.uint64))
        del x
        info = {"extractor": "v1", "modality": "audio", "layers": {"a": 256}}
        workspace.commit_folder("features/sound", folder, "f", info)
        run_stage(pipeline.stage_named("cluster"), StageContext(workspace, workspace.config, Progress()))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    place = Path(sys.argv[1])
    print(clustered(place / "small", 3), clustered(place / "large", 24))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    small_mb, large_mb = map(float, done.stdout.split())
    layer_mb = 24 * 16_384 * 256 * 2 / 2**20
    assert layer_mb > 190 and large_mb - small_mb < layer_mb / 3, (small_mb, large_mb)
