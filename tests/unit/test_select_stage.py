"""The select stage: what settings as text mean, the extra score columns, the selection to resemble."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import MissingArtefactError, SettingError
from curation.methods.base import Outcome
from curation.methods.registry import METHODS
from curation.pipeline import stage_named
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.stages.select import _listed_pairs
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from tests.workspacemaker import make_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("select") / "ws", n_clips=200, upto="cluster")


def _run(workspace: Workspace, **settings: str) -> Path:
    changes = {f"select.{key}": value for key, value in ({"budget": "50", "name": "one"} | settings).items()}
    config = workspace.config.replace(changes)
    run_stage(stage_named("select"), StageContext(workspace, config, Progress()))
    return workspace.artefact_path(f"selections/{config.select.name}")


def _rows(folder: Path) -> list[int]:
    return pq.read_table(folder / "picks.parquet")["row"].to_pylist()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "matched-random"])
def test_every_method_runs_from_settings(workspace: Workspace, method: str) -> None:
    options = {"contrastive": "steps=5", "mixture": "rounds=3,marginals=own"}.get(method, "")
    folder = _run(workspace, method=method, options=options, name=f"by {method}")
    assert len(_rows(folder)) == 50
    assert workspace.require(f"selections/by {method}", "select").info["method"] == method


def test_matched_random_resembles_a_selection(workspace: Workspace) -> None:
    like = _rows(_run(workspace, method="ratio", name="like this"))
    control = _rows(_run(workspace, method="matched-random", like="like this", name="control"))
    name = next(key for key in workspace.keys("clusterings") if "picture" in key or "visual" in key)
    codes = np.asarray(workspace.array(name, "assignments"))
    assert len(control) == len(like) == 50 and set(control) != set(like)
    assert np.abs(np.bincount(codes[control], minlength=50) - np.bincount(codes[like], minlength=50)).sum() <= 25
    with pytest.raises(MissingArtefactError, match=r"Selections: .*like this"):
        _run(workspace, method="matched-random", like="nobody", name="x")


def test_pairs_and_bounds_are_read(workspace: Workspace) -> None:
    names = [key.partition("/")[2] for key in workspace.keys("clusterings")]
    kinds = {n: workspace.require(f"clusterings/{n}", "cluster").info["modality"] for n in names}
    sound, picture = (next(n for n in names if kinds[n] == kind) for kind in ("audio", "visual"))
    folder = _run(workspace, method="ratio", pairs=f"{sound}:{picture}", cluster_cap=f"{picture}=20", name="bounded")
    info = workspace.require("selections/bounded", "select").info
    assert [(p["first"], p["second"]) for p in info["report"]["pairs"]] == [(sound, picture)]
    codes = np.asarray(workspace.array(f"clusterings/{picture}", "assignments"))[_rows(folder)]
    assert np.bincount(codes).max() <= 20
    with pytest.raises(SettingError, match="Allowed"):
        _run(workspace, method="ratio", cluster_cap="nothing=0.5", name="y")
    assert _listed_pairs("a:b=2,c:d=0.5") == [("a", "b", 2.0), ("c", "d", 0.5)]


def _join(workspace: Workspace, name: str, values: object) -> None:
    ids = workspace.table("clips", ["clip_id"])["clip_id"]
    workspace.commit_table(f"columns/{name}", pa.table({"clip_id": ids, name: values}), str(values), {})


def test_scope_and_clips_that_must_be_in_or_out(workspace: Workspace) -> None:
    rows = _rows(_run(workspace, method="ratio", where="row < 150", include="row IN (3, 7)", exclude="row % 2 = 0",
                      name="scoped"))  # fmt: skip
    assert rows[:2] == [3, 7] and len(rows) == 50
    assert all(row < 150 and row % 2 for row in rows)
    assert workspace.require("selections/scoped", "select").info["candidates"] == 150


def test_a_share_of_a_columns_value_is_capped_and_its_cost_said(workspace: Workspace) -> None:
    speech = np.arange(200) % 4 != 0
    _join(workspace, "speech_like", speech)
    rows = _rows(_run(workspace, method="batch-greedy", share_cap="speech_like:true=0.4", costs="true", name="capped"))
    assert speech[rows].mean() <= 0.4
    report = workspace.require("selections/capped", "select").info["report"]
    assert set(report["constraint_cost"]) >= {"share_cap"}
    with pytest.raises(SettingError, match="speech_like"):
        _run(workspace, share_cap="speech:true=0.4", name="x")
    _join(workspace, "speech_like", ~speech)
    target = stage_named("select").targets(workspace, workspace.config.replace(
        {"select.budget": "50", "select.name": "capped", "select.method": "batch-greedy", "select.costs": "true",
         "select.share_cap": "speech_like:true=0.4"}
    ))  # fmt: skip
    assert workspace.fingerprint("selections/capped") != target[0].fingerprint


@pytest.mark.parametrize("setting", ["where", "include", "exclude"])
def test_answers_cannot_be_named(workspace: Workspace, setting: str) -> None:
    with pytest.raises(SettingError, match=rf"select\.{setting} names truth_match, an answer") as caught:
        _run(workspace, **{setting: "row IN (SELECT row FROM clips WHERE truth_match)"}, name="cheat")
    _run(workspace, method="random", name="fine", **{setting: "path <> 'label_x truth'"} if setting == "where" else {})
    assert "truth_match" not in caught.value.hint
    with pytest.raises(SettingError, match="cannot be used"):
        _run(workspace, share_floor="truth_match:true=0.9", name="cheat")


def test_one_of_each_duplicate_group(workspace: Workspace) -> None:
    clips = workspace.table("clips", ["row", "clip_id"])
    group = np.where(np.arange(200) < 100, np.arange(200) // 10, -1)
    info = {CLIPS_FINGERPRINT: workspace.require("clips", "segment").fingerprint}
    workspace.commit_table("health", clips.append_column("duplicate", pa.array(group)), "h", info)
    try:
        rows = np.array(_rows(_run(workspace, method="ratio", budget="60", name="singles")))
        assert np.bincount(group[rows][group[rows] >= 0]).max() == 1
        every = np.array(_rows(_run(workspace, method="ratio", budget="60", duplicates="all", name="copies")))
        assert np.bincount(group[every][group[every] >= 0]).max() > 1
    finally:
        workspace.remove("health")


def test_concord_averages_over_the_replicates(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=200, upto="features")
    workspace.configure({"cluster.replicates": "3", "cluster.n_clusters": "4"})
    run_stage(stage_named("cluster"), StageContext(workspace, workspace.config, Progress()))
    key = workspace.keys("clusterings")[0]
    runs = np.asarray(workspace.array(key, "replicates"))
    assert runs.shape == (2, 200) and runs.dtype == np.int8 and runs.min() == 0 and runs.max() == 3
    _run(workspace, method="concord", name="averaged")
    info = workspace.require("selections/averaged", "select").info
    assert "spread" in info["score_columns"] and 0 <= info["report"]["stability"] <= 1
    changed = _run(workspace, method="concord", breadth="0", name="purest")
    assert workspace.require("selections/purest", "select").info["options"]["breadth"] == 0
    assert len(_rows(changed)) == 50


def test_settings_of_another_method_make_nothing_stale(workspace: Workspace) -> None:
    _run(workspace, method="ratio", name="steady")
    config = workspace.config.replace({"select.method": "ratio", "select.name": "steady", "select.budget": "50",
                                       "select.breadth": "0.1"})  # fmt: skip
    (target,) = stage_named("select").targets(workspace, config)
    assert workspace.fingerprint("selections/steady") == target.fingerprint


def test_more_columns_of_a_method_are_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    method = METHODS["random"]
    run = method.run

    def with_columns(request: object) -> Outcome:
        found = run(request)  # type: ignore[arg-type]
        return Outcome(found.order, found.gain, found.scores, {"pair_evidence": np.arange(len(found.scores)) * 1.0})

    monkeypatch.setattr(method, "run", with_columns)
    folder = _run(workspace, method="random", name="columns")
    kept = np.load(folder / "score_pair_evidence.npy")
    assert kept.shape == (200,) and np.nanmax(kept) > 100
    assert workspace.require("selections/columns", "select").info["score_columns"] == ["pair_evidence"]
