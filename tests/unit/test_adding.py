"""Clips that come later: they join the clusters that are there, and how far they drift is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation import pipeline
from curation.atomic import write_array
from curation.clustering import nearest_clusters
from curation.kernels import drift as kernel
from curation.kernels.drift import Drift, drift
from curation.progress import Progress
from curation.records import CLIPS, clip_keys, empty_row
from curation.stage import Report, StageContext, run_stage
from curation.stages.cluster import drift_notices, refit_reasons
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

DIM = 5
KINDS = 4
KEY = "clusterings/sound.a"
SETTINGS = {"cluster.n_clusters": "4", "cluster.replicates": 3}


def vectors(names: list[str], shift: float = 0.0) -> dict[str, np.ndarray]:
    """A feature vector for each clip, the same for the same name, of one of four kinds."""
    centres = np.random.default_rng(1).normal(size=(KINDS, DIM)) * 4
    found = {}
    for name in names:
        rng = np.random.default_rng([ord(c) for c in name])
        found[name] = (centres[rng.integers(KINDS)] + rng.normal(size=DIM) * (1 + shift)).astype(np.float16)
    return found


def put(workspace: Workspace, clips: Mapping[str, np.ndarray], *, extractor: str = "v1", name: str = "sound") -> None:
    """Make these the clips of the workspace, in this order, with features of two layers; NaN means not valid."""
    made_of = fingerprint_of(list(clips))
    rows = [empty_row(CLIPS) | {"row": i, "clip_id": one, "source": one[:3]} for i, one in enumerate(clips)]
    if workspace.fingerprint("clips") != made_of:
        workspace.commit_table("clips", pa.Table.from_pylist(rows, CLIPS), made_of)
    values = np.stack(list(clips.values()))
    valid = np.isfinite(values).all(axis=1)
    values[~valid] = 0
    fingerprint = fingerprint_of([made_of, extractor, values.tobytes().hex()])
    folder = workspace.partial_folder(f"features/{name}", fingerprint)
    write_array(folder / "a" / "part-000000.npy", values[:50])
    if len(values) > 50:
        write_array(folder / "a" / "part-000001.npy", values[50:])
    write_array(folder / "b" / "part-000000.npy", -values[:, :3])
    write_array(folder / "valid.npy", valid)
    info = {CLIPS_FINGERPRINT: made_of, "extractor": extractor, "modality": "audio", "layers": {"a": DIM, "b": 3}}
    workspace.commit_folder(f"features/{name}", folder, fingerprint, info)


def run(workspace: Workspace) -> Report:
    return run_stage(pipeline.stage_named("cluster"), StageContext(workspace, workspace.config, Progress()))


def state(workspace: Workspace) -> str:
    """Of the cluster stage alone: what it would make against what is there."""
    stage = pipeline.stage_named("cluster")
    targets = stage.targets(workspace, workspace.config)
    return "done" if all(workspace.fingerprint(t.key) == t.fingerprint for t in targets) else "stale"


def arrays(workspace: Workspace, key: str = KEY) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in workspace.artefact_path(key).glob("*.npy")}


def facts(workspace: Workspace, key: str = KEY) -> dict[str, Any]:
    found = workspace.artefact(key)
    assert found is not None
    return found.info


def of_clips(workspace: Workspace, name: str) -> dict[str, Any]:
    """One array by clip id."""
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    values = np.asarray(workspace.array(KEY, name))
    return dict(zip(ids, values.T.tolist() if values.ndim == 2 else values.tolist(), strict=True))


OLD = [f"{i // 2:03d} {i}" for i in range(0, 120, 2)]  # 60 clips of 60 sources
NEW = [f"{i // 2:03d} {i}" for i in range(1, 12, 2)]  # 6 clips of sources that were there


@pytest.fixture
def fitted(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "ws")
    workspace.configure(SETTINGS)
    put(workspace, vectors(OLD))
    run(workspace)
    return workspace


def fresh(path: Path, clips: Mapping[str, np.ndarray], **settings: Any) -> Workspace:
    workspace = Workspace.create(path)
    workspace.configure(SETTINGS | settings)
    put(workspace, clips)
    run(workspace)
    return workspace


def test_new_clips_join_and_old_ones_keep_their_clusters(fitted: Workspace) -> None:
    before = {name: of_clips(fitted, name) for name in ("assignments", "distances", "replicates")}
    centroids, fit = arrays(fitted)["centroids.npy"], facts(fitted)["fit"]
    assert fit == fitted.fingerprint(KEY) and state(fitted) == "done"
    everything = sorted(OLD[3:] + NEW)
    put(fitted, vectors(everything))
    assert state(fitted) == "stale"
    report = run(fitted)
    assert state(fitted) == "done"
    for name, values in before.items():
        now = of_clips(fitted, name)
        assert len(now) == len(everything) and {one: now[one] for one in OLD[3:]} == {
            one: values[one] for one in OLD[3:]
        }
    assert arrays(fitted)["centroids.npy"] == centroids
    info = facts(fitted)
    assert info["fit"] == fit != fitted.fingerprint(KEY)
    assert [info[k] for k in ("fitted_on", "added", "gone", "joined", "clips")] == [60, 6, 3, 6, 63]
    assert np.asarray(fitted.array(KEY, "sizes")).sum() == 63
    added = of_clips(fitted, "added")
    assert {one for one in everything if added[one]} == set(NEW)
    assert report.facts["kept"] == 2 and report.facts["joined"] == 6
    assert report.notices[0] == "6 new clips joined the clusters of the 60 that were fitted."
    assert 0 < info["drift"]["distance_ratio"] < 2 and info["drift"]["sources"] == 6


def test_a_new_clip_is_in_the_nearest_cluster_in_the_replicates_too(fitted: Workspace) -> None:
    old = np.stack(list(vectors(OLD).values())).astype(np.float64)
    put(fitted, vectors(OLD + NEW))
    run(fitted)
    z = (np.stack(list(vectors(NEW).values())).astype(np.float64) - old.mean(0)) / old.std(0)
    one, others = np.asarray(fitted.array(KEY, "centroids")), np.asarray(fitted.array(KEY, "replicate_centroids"))
    far = np.linalg.norm(z[:, None] - one[None], axis=2)
    assert fitted.array(KEY, "assignments")[60:].tolist() == far.argmin(1).tolist()
    assert fitted.array(KEY, "distances")[60:] == pytest.approx(far.min(1), rel=1e-5)
    for r, centroids in enumerate(others):
        nearest = np.linalg.norm(z[:, None] - centroids[None], axis=2).argmin(1)
        assert fitted.array(KEY, "replicates")[r, 60:].tolist() == nearest.tolist()
    # The same holds for every clip that was fitted: joining asks what k-means asked last.
    again, _ = nearest_clusters(old, one, {"mean": old.mean(0), "scale": old.std(0)})
    assert again.tolist() == fitted.array(KEY, "assignments")[:60].tolist()


def test_twice_changes_nothing_and_the_way_there_does_not_matter(fitted: Workspace, tmp_path: Path) -> None:
    first = arrays(fitted)
    put(fitted, vectors(OLD + NEW))
    run(fitted)
    done, fingerprint = arrays(fitted), fitted.fingerprint(KEY)
    assert run(fitted).facts == {"skipped": True} and arrays(fitted) == done
    steps = fresh(tmp_path / "steps", vectors(OLD))
    for clips in (OLD[5:] + NEW[:2], [*OLD, NEW[0], *NEW[3:]], OLD + NEW):
        put(steps, vectors(clips))
        run(steps)
    assert steps.fingerprint(KEY) == fingerprint and arrays(steps) == done
    put(fitted, vectors(OLD))  # what was fitted, nothing more: that fit itself
    run(fitted)
    assert arrays(fitted) == first and fitted.fingerprint(KEY) == facts(fitted)["fit"]


def test_a_refit_is_what_a_run_from_scratch_gives(fitted: Workspace, tmp_path: Path) -> None:
    put(fitted, vectors(OLD + NEW))
    run(fitted)
    fitted.configure({"cluster.fit": "refit"})
    assert state(fitted) == "stale"
    run(fitted)
    scratch = fresh(tmp_path / "scratch", vectors(OLD + NEW))
    assert arrays(fitted) == arrays(scratch) and fitted.fingerprint(KEY) == scratch.fingerprint(KEY)
    assert facts(fitted)["added"] == 0 and facts(fitted)["drift"] is None
    fitted.configure({"cluster.fit": "keep"})
    assert state(fitted) == "done"


@pytest.mark.parametrize(
    ("changes", "extractor"),
    [({"cluster.seed": 3}, "v1"), ({"cluster.n_clusters": "5"}, "v1"), ({"cluster.standardize": False}, "v1"),
     ({"cluster.replicates": 2}, "v1"), ({}, "v2")],
)  # fmt: skip
def test_other_settings_fit_anew(fitted: Workspace, tmp_path: Path, changes: dict[str, Any], extractor: str) -> None:
    put(fitted, vectors(OLD + NEW), extractor=extractor)
    fitted.configure(changes)
    run(fitted)
    assert facts(fitted)["fitted_on"] == 66 and facts(fitted)["fit"] == fitted.fingerprint(KEY)
    assert arrays(fitted) == arrays(fresh(tmp_path / "scratch", vectors(OLD + NEW), **changes))


@pytest.mark.parametrize("why", ["most of the clips", "have changed"])
def test_what_is_another_data_set_is_fitted_anew(fitted: Workspace, tmp_path: Path, why: str) -> None:
    clips = vectors(OLD[:20] + NEW) if why == "most of the clips" else {
        name: values + np.float16(1) for name, values in vectors(OLD + NEW).items()
    }  # fmt: skip
    put(fitted, clips)
    report = run(fitted)
    assert any(notice.startswith("sound.a was clustered anew") and why in notice for notice in report.notices)
    scratch = fresh(tmp_path / "scratch", clips)
    assert arrays(fitted) == arrays(scratch) and fitted.fingerprint(KEY) == scratch.fingerprint(KEY)
    assert state(fitted) == "done" and run(fitted).facts == {"skipped": True}


def test_projected_features_and_no_replicates(tmp_path: Path) -> None:
    for replicates in (1, 3):
        settings = {"cluster.pca_dim": 2, "cluster.replicates": replicates}
        workspace = fresh(tmp_path / str(replicates), vectors(OLD), **settings)
        put(workspace, vectors(OLD + NEW))
        run(workspace)
        replicate_rows = np.asarray(workspace.array(KEY, "replicates"))
        assert replicate_rows.shape == (replicates - 1, 66) and (replicate_rows >= 0).all()
        assert facts(workspace)["added"] == 6 and workspace.array(KEY, "centroids").shape[1] == 2


def test_a_clip_without_features_joins_when_it_has_some(tmp_path: Path) -> None:
    clips = vectors(OLD)
    whole = clips[OLD[7]].copy()
    clips[OLD[7]][:] = np.nan
    workspace = fresh(tmp_path / "ws", clips)
    assert of_clips(workspace, "assignments")[OLD[7]] == -1
    put(workspace, clips | {OLD[7]: whole})
    run(workspace)
    assert of_clips(workspace, "assignments")[OLD[7]] >= 0
    assert facts(workspace)["fitted_on"] == 59 and facts(workspace)["added"] == 1
    put(workspace, clips)
    run(workspace)
    assert of_clips(workspace, "assignments")[OLD[7]] == -1 and facts(workspace)["added"] == 0


def test_another_extractor_leaves_the_others_clusters_alone(fitted: Workspace) -> None:
    before = arrays(fitted)
    put(fitted, vectors(OLD), name="noise")
    report = run(fitted)
    assert report.facts == {"clusterings": 2} and arrays(fitted) == before
    assert fitted.keys("clusterings") == [f"clusterings/{n}" for n in ("noise.a", "noise.b", "sound.a", "sound.b")]


def test_killed_between_two_layers_it_goes_on(
    fitted: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = fresh(tmp_path / "unbroken", vectors(OLD))
    for workspace in (fitted, unbroken):
        put(workspace, vectors(OLD + NEW))
    run(unbroken)
    commit = Workspace.commit_folder

    def dying(self: Workspace, key: str, *rest: Any) -> None:
        if key.endswith(".b"):
            raise KeyboardInterrupt
        commit(self, key, *rest)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Workspace, "commit_folder", dying)
        run(fitted)
    assert state(fitted) == "stale"
    assert run(fitted).facts["clusterings"] == 1
    for key in (KEY, "clusterings/sound.b"):
        assert arrays(fitted, key) == arrays(unbroken, key)


def test_clips_of_another_kind_propose_a_refit(fitted: Workspace) -> None:
    strange = {f"x{i:02d}": values + np.float16(9) for i, values in enumerate(vectors(NEW * 3).values())}
    strange |= {f"y{i:02d}": np.full(DIM, 30 + i, np.float16) for i in range(12)}
    put(fitted, vectors(OLD) | strange)
    report = run(fitted)
    info = facts(fitted)
    assert "farther" in info["refit"] and info["drift"]["distance_ratio"] > 2
    assert report.facts["drift"] >= info["drift"]["distance_ratio"]
    assert any("times as far from their centroids" in notice for notice in report.notices)
    assert report.notices[-1] == "To cluster all clips anew: --set cluster.fit=refit"


# -- the kernel --------------------------------------------------------------------------------------------------------


def made(n: int, later: int, *, farther: float = 1.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Distances, labels, which came later, sources (two clips each), and the sizes at the fit."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(5, size=n + later)
    is_later = np.arange(n + later) >= n
    distances = rng.gamma(9, 0.1, n + later) * np.where(is_later, farther, 1.0)
    return distances, labels, is_later, np.arange(n + later) // 2, np.bincount(labels[:n], minlength=5)


def test_a_fitted_clip_counts_by_the_mean_of_the_others() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(40, 3)), np.arange(40) % 4
    fitted = np.arange(40) < 32
    means = np.stack([x[fitted & (labels == c)].mean(0) for c in range(4)])
    distances = np.linalg.norm(x - means[labels], axis=1)
    alone = []
    for i in np.flatnonzero(fitted):
        others = fitted & (labels == labels[i]) & (np.arange(40) != i)
        alone.append(np.linalg.norm(x[i] - x[others].mean(0)))
    found = drift(distances, labels, ~fitted, np.arange(40), np.full(4, 8), 0)
    assert found is not None
    assert found.distance_ratio == pytest.approx(distances[~fitted].mean() / np.mean(alone))
    assert found.shares_distance == 0 and (found.clips, found.sources) == (8, 8)


def test_chance_holds_what_is_alike_and_not_what_is_farther() -> None:
    inside = 0
    for seed in range(20):
        found = drift(*made(300, 40, seed=seed), seed)
        assert found is not None
        low, high = found.distance_ratio_chance
        inside += low <= found.distance_ratio <= high
        assert 0 < found.shares_distance_chance[0] < found.shares_distance_chance[1] < 1
    assert inside >= 18
    far = drift(*made(300, 40, farther=1.4), 0)
    assert far is not None and far.distance_ratio > far.distance_ratio_chance[1] > 1
    assert far == drift(*made(300, 40, farther=1.4), 0)


def test_clips_of_one_source_count_as_one_draw() -> None:
    distances, labels, later, _, sizes = made(300, 30)
    together = np.r_[np.arange(300) // 30, np.full(30, 99)]
    apart = drift(distances, labels, later, np.arange(330), sizes, 0)
    grouped = drift(distances + 0.3 * (together % 2), labels, later, together, sizes, 0)
    assert apart is not None and grouped is not None and grouped.sources == 1
    assert grouped.distance_ratio_chance[1] > apart.distance_ratio_chance[1]


def test_nothing_to_compare_and_clusters_of_one() -> None:
    distances, labels, _, sources, sizes = made(20, 4)
    for nothing in (np.zeros(24, bool), np.ones(24, bool)):
        assert drift(distances, labels, nothing, sources, sizes, 0) is None
    found = drift(np.r_[np.zeros(5), np.ones(4)], np.r_[np.arange(5), np.zeros(4, int)], np.arange(9) >= 5,
                  np.arange(9), np.ones(5, int), 0)  # fmt: skip
    assert found is not None and np.isnan(found.distance_ratio) and found.shares_distance == pytest.approx(0.8)
    assert "farther" not in refit_reasons(found, 4, 0, 5)


def test_of_many_clips_a_sample_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "LATER_MAX", 60)
    monkeypatch.setattr(kernel, "FITTED_MAX", 400)
    values = made(5000, 600, farther=1.5)
    kept = kernel._sampled(values[2], values[3], np.random.default_rng(0))
    assert values[2][kept].sum() == 60 and (~values[2][kept]).sum() == 400
    assert (np.bincount(values[3][kept])[np.unique(values[3][kept])] == 2).all(), "whole sources"
    found = drift(*values, 0)
    assert found is not None and (found.clips, found.sources) == (600, 300)
    assert (
        found.distance_ratio == pytest.approx(1.5, rel=0.15) and found.distance_ratio > found.distance_ratio_chance[1]
    )


def test_when_a_refit_is_proposed_and_how_it_is_said() -> None:
    def of(ratio: float, shares: float) -> Drift:
        return Drift(30, 10, ratio, (0.9, 1.1), shares, (0.2, 0.3))

    assert refit_reasons(of(1.3, 0.25), 30, 0, 300) == ["farther"]
    assert refit_reasons(of(1.12, 0.45), 30, 0, 300) == ["other_shares"]
    assert refit_reasons(of(1.3, 0.45), 3, 0, 300) == [], "too few to move a centroid"
    assert refit_reasons(of(1.0, 0.2), 100, 60, 300) == ["changed"]
    assert refit_reasons(None, 0, 10, 300) == []
    said = {
        "joined": 30, "fitted_on": 300, "added": 30, "gone": 0, "refit": ["farther", "other_shares"],
        "drift": {"distance_ratio": 1.3, "distance_ratio_chance": [0.9, 1.1], "shares_distance": 0.45,
                  "shares_distance_chance": [0.2, 0.3]},
    }  # fmt: skip
    notices = drift_notices({"sound.a": said})
    assert notices[1] == (
        "The clips added since drift from the clusters in sound.a (1.30 times as far from their centroids as the "
        "fitted ones, by chance up to 1.10; 45% of them in other clusters, by chance up to 30%)."
    )


def test_keys_are_of_the_ids_alone() -> None:
    keys = clip_keys(["a", "b", "a"])
    assert keys.dtype == np.uint64 and keys[0] == keys[2] != keys[1] and len(clip_keys([])) == 0
