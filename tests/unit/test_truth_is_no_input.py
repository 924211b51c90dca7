"""Truth and labels are never inputs of a stage: no code on the way to a selection reads them, no result changes."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import diversity, retrieval
from curation.evaluation.trial import WorkspaceTask
from curation.pipeline import STAGES, stage_named
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.workspace import Workspace
from tests.conftest import ROOT
from tests.workspacemaker import make_workspace

# Everything between a video file and a selection. What imports, judges, exports or shows may know of truth.
MAKERS = sorted(
    path
    for pattern in (
        "stages/*.py", "kernels/**/*.py", "extractors/**/*.py", "media/**/*.py", "clustering.py", "selection.py",
        "methods/**/*.py", "information.py", "constraints.py", "controls.py", "checks.py", "stage.py", "pipeline.py",
        "health/**/*.py", "sources/**/*.py", "early.py", "checkpoint.py",
    )
    for path in (ROOT / "curation").glob(pattern)
)  # fmt: skip
FORBIDDEN = ("truth", "label_audio", "label_visual", "columns/", "is_match")


def mentions(source: str) -> list[str]:
    """Forbidden words in the names, texts and imports of a module; docstrings and comments may say what they like."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    words = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words.append(node.value)
        elif isinstance(node, ast.Name):
            words.append(node.id)
        elif isinstance(node, (ast.Attribute, ast.FunctionDef, ast.arg, ast.keyword, ast.alias)):
            words.append(
                str(node.attr if isinstance(node, ast.Attribute) else getattr(node, "name", getattr(node, "arg", "")))
            )
        if isinstance(node, ast.ImportFrom):
            words.append(node.module or "")
    return sorted({f"{word}" for word in words for bad in FORBIDDEN if bad in word.lower()})


@pytest.mark.parametrize("path", MAKERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_maker_names_truth_or_labels(path: Path) -> None:
    assert mentions(path.read_text("utf-8")) == []


def test_the_scan_sees_what_it_looks_for() -> None:
    reads = 'def f(ws):\n    """Reads truth."""\n    # truth\n    return ws.table("columns/truth_match")\n'
    assert mentions(reads) == ["columns/truth_match"]
    assert mentions("from curation.truth import judge") == ["curation.truth"]
    assert mentions("x.truth_match") == ["truth_match"]
    assert mentions("f(truth=1)") == ["truth"]
    assert len(MAKERS) > 20


@pytest.fixture
def plain(tmp_path: Path) -> Workspace:
    """A workspace up to its features, with no column of any kind."""
    workspace = make_workspace(tmp_path / "plain", n_clips=200, upto="features")
    workspace.remove("columns/truth_match")
    for modality in ("audio", "visual"):
        workspace.remove(f"projections/{modality}")
    return workspace


def made(workspace: Workspace) -> dict[str, str]:
    """Fingerprints of everything that the stages after the features make, and the picks."""
    workspace.configure({"select.budget": "50"})
    for name in ("cluster", "select", "project"):
        run_stage(stage_named(name), StageContext(workspace, workspace.config, Progress()))
    keys = [key for head in ("clusterings", "selections", "projections") for key in workspace.keys(head)]
    found = {key: workspace.fingerprint(key) or "" for key in keys}
    (selection,) = workspace.keys("selections")
    picks = pq.read_table(workspace.artefact_path(selection) / "picks.parquet")
    return found | {"picks": str(picks.to_pydict())}


def test_truth_and_labels_change_no_result(plain: Workspace, tmp_path: Path) -> None:
    shutil.copytree(plain.path, tmp_path / "judged")
    judged = Workspace.open(tmp_path / "judged")
    ids = judged.table("clips", ["clip_id"])["clip_id"]
    rng = np.random.default_rng(5)
    for name, values in {
        "truth_match": rng.random(200) < 0.5,
        "label_audio": rng.choice(["dog", "rain"], 200),
        "label_visual": rng.choice(["dog", "rain"], 200),
    }.items():
        judged.commit_table(f"columns/{name}", pa.table({"clip_id": ids, name: values}), name, {"origin": "imported"})
    assert made(judged) == made(plain)


@pytest.mark.parametrize("path", MAKERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_maker_knows_of_evaluations(path: Path) -> None:
    """What judges methods sees answers: its code and its results are nothing that a stage may read."""
    tree = ast.parse(path.read_text("utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    judges = ("curation.evaluation", "curation.retrieval", "curation.diversity", "curation.truth")
    assert not [module for module in modules if module.startswith(judges)]
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not [text for text in texts if "evaluations/" in text]


def test_evaluations_change_no_result(plain: Workspace, tmp_path: Path) -> None:
    shutil.copytree(plain.path, tmp_path / "judged")
    judged = Workspace.open(tmp_path / "judged")
    made(judged)
    ids = judged.table("clips", ["clip_id"])["clip_id"]
    answers = pa.table({"clip_id": ids, "truth_match": np.arange(200) % 2 == 0})
    judged.commit_table("columns/truth_match", answers, "t", {"origin": "imported"})
    settings = retrieval.Settings(("ratio",), (0,), (1.0,))
    retrieval.run(judged, WorkspaceTask(judged), settings, "truth_match")
    diversity.table(judged, None, diversity.Settings(draws=2, resamples=10, redone=1))
    assert made(judged) == made(plain)


def test_truth_makes_nothing_stale(plain: Workspace) -> None:
    made(plain)
    ids = plain.table("clips", ["clip_id"])["clip_id"]
    answers = pa.table({"clip_id": ids, "truth_match": np.zeros(200, bool)})
    plain.commit_table("columns/truth_match", answers, "t", {"origin": "imported"})
    for stage in STAGES:
        if stage.name in ("cluster", "select", "project"):
            targets = stage.targets(plain, plain.config)
            assert all(plain.fingerprint(target.key) == target.fingerprint for target in targets)
