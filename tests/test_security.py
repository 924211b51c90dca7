"""SECURITY.md is true: each test it names is there; and the source holds to the rules that no single test can show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("curation/**/*.py"), *ROOT.glob("explorer/**/*.py"), *ROOT.glob("pages/*.py")])
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "SECURITY.md").read_text("utf-8"))))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Dotted name of everything a module calls."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_every_threat_names_a_test() -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8").split("## What is defended")[1].split("## What is not")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(lines) > 10
    assert [line for line in lines if "`tests/" not in line and "`.ci/run`" not in line] == []


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_each_named_test_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_or_runs_text(path: Path) -> None:
    for name, call in calls(path):
        assert name not in ("eval", "exec", "pickle.load", "pickle.loads", "joblib.load", "dill.load"), (path, name)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            assert given.get("weights_only") == "True", path
        if name in ("np.load", "numpy.load"):
            assert given.get("allow_pickle", "False") == "False", path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_starts_a_shell(path: Path) -> None:
    for name, call in calls(path):
        assert name not in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), (path, name)
        assert not any(keyword.arg == "shell" for keyword in call.keywords), (path, name)


def test_no_page_draws_html_from_data() -> None:
    drawn = {ast.unparse(call.args[0]) for path in SOURCES for name, call in calls(path) if name == "st.html"}
    # These escape what they are given: tests/unit/test_bars.py, test_curves.py.
    ours = {one for one in drawn if one.startswith(("bars.", "curves."))}
    assert drawn - ours == {"ROOT / 'assets' / 'style.css'"}
    for path in SOURCES:
        for name, call in calls(path):
            assert not any(keyword.arg == "unsafe_allow_html" for keyword in call.keywords), (path, name)
