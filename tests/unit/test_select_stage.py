"""The select stage: what settings as text mean, the extra score columns, the selection to resemble."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation.errors import MissingArtefactError, SettingError
from curation.methods.base import Outcome
from curation.methods.registry import METHODS
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.stages.select import _listed_pairs
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workspace(tmp_path_factory.mktemp("select") / "ws", n_clips=200, upto="cluster")


def _run(workspace: Workspace, **settings: str) -> Path:
    from curation.pipeline import stage_named

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
