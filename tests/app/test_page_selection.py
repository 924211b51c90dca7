"""The selection page on no, empty, partial and full workspaces; running, sliding the budget, comparing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from curation import jobs
from curation.atomic import read_json, write_json
from curation.workspace import CLIPS_FINGERPRINT, MARKER, Workspace
from tests.app.conftest import OpenPage, check_page, texts
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_ROOTS", str(tmp_path))


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of the jobs that the page started; none runs."""
    found: list[list[str]] = []

    def record(workspace: Workspace, argv: list[str], *, title: str) -> str:
        found.append(list(argv))
        return "20260101-000000-abcdef"

    monkeypatch.setattr(jobs, "launch", record)
    return found


def test_without_a_workspace(open_page: OpenPage) -> None:
    assert "No workspace is open" in texts(open_page("selection"))


@pytest.mark.parametrize("upto", ["videos", "clips", "features"])
def test_before_there_are_clusters(open_page: OpenPage, tmp_path: Path, upto: str) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w", upto=upto))
    assert "not grouped into clusters yet" in texts(page)


def test_before_the_first_run(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w", upto="cluster"))
    assert "No subset was selected yet" in texts(page)
    assert "12 clips · 2 min · 20 % of 60 candidates" in texts(page)


def test_a_finished_run_stands_beside_its_controls(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w"))
    metrics = {metric.label: metric.value for metric in page.metric}
    assert metrics["Clips"] == "12"
    assert metrics["Mutual information"] == "1.20 nats"
    assert metrics["Beyond permuted"] == "+0.50 nats"
    assert metrics["Correspond"] == "100.0 %"
    assert "permuted sounds 0.70 · random 0.50 (same size)" in texts(page)
    assert "12 clips with a known answer · 95 % interval 76–100 %" in texts(page)


def test_sliding_the_budget_shows_the_first_picks(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w"))
    check_page(page.slider(key="run.top").set_value(6).run())
    assert page.query_params["n"] == "6"
    assert next(metric.value for metric in page.metric if metric.label == "Clips") == "6"
    check_page(page.button(key="run.keep").click().run())
    assert page.number_input(key="set.budget.clips").value == 6


def test_run_keeps_the_settings_and_starts_select(
    open_page: OpenPage, tmp_path: Path, launched: list[list[str]]
) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("selection", ws)
    page.number_input(key="set.budget.share").set_value(50.0)
    page.selectbox(key="set.method").select("random")
    check_page(page.button(key="run.select").click().run())
    assert launched == [["select", str(ws.path)]]
    config = Workspace.open(ws.path).config.select
    assert (config.budget, config.method) == ("0.5", "random")


def test_changed_cluster_counts_run_everything_that_is_stale(
    open_page: OpenPage, tmp_path: Path, launched: list[list[str]]
) -> None:
    ws = make_workspace(tmp_path / "w")
    page = open_page("selection", ws)
    check_page(page.text_input(key="set.n_clusters").input("6").run())
    assert "clusters are made again first" in texts(page)
    check_page(page.button(key="run.select").click().run())
    assert launched == [["run", str(ws.path)]]
    assert Workspace.open(ws.path).config.cluster.n_clusters == "6"


def test_a_setting_that_is_not_allowed_starts_nothing(
    open_page: OpenPage, tmp_path: Path, launched: list[list[str]]
) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w"))
    page.number_input(key="set.selection_size").set_value(500)
    check_page(page.button(key="run.select").click().run())
    assert not launched
    assert page.error and "cannot give more clips than it has" in texts(page)


def test_budget_units_say_the_same_amount(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w"))
    check_page(page.selectbox(key="set.unit").select("clips").run())
    assert page.number_input(key="set.budget.clips").value == 12
    check_page(page.selectbox(key="set.unit").select("hours").run())
    assert page.number_input(key="set.budget.hours").value == pytest.approx(12 / 360)


def test_a_run_made_of_other_clusters_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    folder = ws.artefact_path("clusterings/sound.mfcc")
    artefact: Any = ws.artefact("clusterings/sound.mfcc")
    write_json(folder / MARKER, {"key": artefact.key, "fingerprint": "other", "info": artefact.info, "made": 0})
    page = open_page("selection", ws)
    assert page.warning and "1 clustering changed since this run" in page.warning[0].value


def test_two_runs_compared(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    second = ws.artefact_path("selections/second")
    shutil.copytree(ws.artefact_path("selections/main"), second)
    page = open_page("selection", ws, run="main", **{"with": "second"})
    assert "12 clips in both (100 % of those in either; by chance 2 clips)" in texts(page)


def test_the_live_curve_of_a_running_job(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster")
    job_id = jobs.new_job(ws, ["select", str(ws.path)], title="selection")
    with jobs.JobRecord(ws, job_id) as record:
        record.update({"stage": "select", "series": [{"size": 25, "objective": 0.4, "permuted": 0.2}]}, force=True)
        page = open_page("selection", ws)
        assert "Selecting now" in texts(page) and "25 clips picked · 0.40 nats so far" in texts(page)
        assert page.button(key="run.select").disabled


@pytest.mark.parametrize("n", ["0", "-3", "x", "99999", "²", "9" * 5000])
def test_an_address_with_a_budget_that_cannot_be(open_page: OpenPage, tmp_path: Path, n: str) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w"), n=n, run="gone", **{"with": "<b>"})
    assert not {"n", "with"} & set(page.query_params)


def test_a_run_made_of_other_clips_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    ws.commit_table("clips", ws.table("clips"), "again")
    for key in ws.keys("clusterings"):  # made again of the new list; the selection was not
        file = ws.artefact_path(key) / MARKER
        marker = read_json(file)
        marker["info"][CLIPS_FINGERPRINT] = "again"
        write_json(file, marker)
    page = open_page("selection", ws)
    assert page.warning and "made of another list of clips" in page.warning[0].value
    for name in ("clips", "contingency", "map", "cluster", "export", "home"):
        open_page(name, ws)
