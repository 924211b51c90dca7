"""Fixtures for tests of pages: workspaces in every state, and a page opened in them without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from curation import jobs
from curation.workspace import Workspace
from tests.workspacemaker import make_workspace

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "explorer" / "main.py"
TIMEOUT_S = 60  # the first page of a process imports the engine

MakeWorkspace = Callable[..., Workspace]
OpenPage = Callable[..., AppTest]


@pytest.fixture
def workspace_at(concord_home: Path) -> MakeWorkspace:
    """`workspace_at("select")`: a made workspace run up to a stage ("empty": nothing in it), in the test's own home."""

    def make(upto: str = "select", **options: int) -> Workspace:
        path = concord_home / "workspaces" / f"made-{upto}"
        return Workspace.create(path) if upto == "empty" else make_workspace(path, upto=upto, **options)

    return make


@pytest.fixture
def open_page(concord_home: Path) -> OpenPage:
    """`open_page("ingest", workspace, seed=3)`: the page as AppTest, run once, checked for an exception and a title."""

    def show(name: str, workspace: Workspace | None = None, **params: object) -> AppTest:
        app = AppTest.from_file(str(MAIN), default_timeout=TIMEOUT_S)
        app.run()
        if workspace is not None:
            app.query_params["ws"] = str(workspace.path)
        for key, value in params.items():
            app.query_params[key] = str(value)
        app.switch_page(f"../pages/{name}.py").run()
        check_page(app)
        return app

    return show


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Jobs are recorded, not started; the list holds their commands."""
    found: list[list[str]] = []

    def launch(workspace: Workspace, argv: list[str], *, title: str) -> str:
        found.append(list(argv))
        return jobs.new_job(workspace, argv, title=title)

    monkeypatch.setattr(jobs, "launch", launch)
    return found


def check_page(app: AppTest) -> None:
    """A page that did not render fails: it needs a title, and no exception."""
    assert not app.exception, app.exception[0].stack_trace
    assert len(app.title) == 1 and app.title[0].value


def texts(app: AppTest) -> str:
    """All the text of a page, one after another."""
    kinds = (
        "title",
        "header",
        "subheader",
        "markdown",
        "caption",
        "text",
        "error",
        "warning",
        "info",
        "success",
        "code",
    )
    found = [str(element.value) for kind in kinds for element in getattr(app, kind)]
    found += [f"{metric.label} {metric.value}" for metric in app.metric]
    return "\n".join(found)
