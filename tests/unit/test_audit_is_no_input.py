"""Answers of an audit never help to make what they judge: no code on the way to a selection knows of them."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from curation import audit
from curation.audit_draw import draw_audit
from curation.pipeline import stage_named
from curation.workspace import FOLDERS, Workspace
from tests.auditmaker import add_media, add_run, answer_all
from tests.conftest import ROOT
from tests.unit.test_truth_is_no_input import MAKERS
from tests.workspacemaker import make_workspace

OWN = ROOT / "curation" / "kernels" / "auditing.py"


@pytest.mark.parametrize("path", [path for path in MAKERS if path != OWN], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_maker_knows_of_audits(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {f"{node.module}.{name.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
             for name in node.names}  # fmt: skip
    names |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not [name for name in names if "audit" in name]
    assert not [text for text in texts if "audits" in text or "answers.jsonl" in text]


def test_audits_are_no_artefacts() -> None:
    assert audit.FOLDER not in FOLDERS


def test_answers_change_no_fingerprint(tmp_path: Path) -> None:
    """Equal fingerprints: what is made is the same, and nothing made is stale."""
    plain = make_workspace(tmp_path / "plain", n_clips=200, upto="cluster")
    before = wanted(plain)
    add_media(plain)
    add_run(plain, "first", np.arange(200.0))
    plan = draw_audit(plain, ["first"], clips=100)
    answer_all(plain, plan.name, {item.clip_id: item.origin == "chosen" for item in plan.items}, "anna")
    assert wanted(plain) == before and len(before) > 8


def wanted(workspace: Workspace) -> dict[str, str]:
    """Fingerprint of everything that the stages after the features would make now."""
    stages = [stage_named(name) for name in ("cluster", "select", "project")]
    return {target.key: target.fingerprint for stage in stages for target in stage.targets(workspace, workspace.config)}
