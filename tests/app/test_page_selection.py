"""The selection page on no, empty, partial and full workspaces; running, sliding the budget, comparing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
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
    assert "This is the only run." in texts(page)


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
    assert "Mark one to show it" in texts(page) and "only run" not in texts(page)


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


def add_health(ws: Workspace) -> None:
    """Every third clip is not healthy (static), every second speech-like."""
    row = np.arange(60)
    columns = [{"name": "speech_like", "definition": "Sounds like speech.", "error": "rough: not measured"}]
    table = {
        "row": row,
        "clip_id": ws.table("clips")["clip_id"],
        "healthy": row % 3 != 0,
        "problems": pa.array([["static"] if i % 3 == 0 else [] for i in row], pa.list_(pa.string())),
        "static": row % 3 == 0,
        "speech_like": row % 2 == 0,
    }
    ws.commit_table("health", pa.table(table), "h", {CLIPS_FINGERPRINT: "s", "columns": columns})


def test_the_funnel_and_its_switches_become_settings(
    open_page: OpenPage, tmp_path: Path, launched: list[list[str]]
) -> None:
    ws = make_workspace(tmp_path / "w", upto="cluster")
    add_health(ws)
    page = open_page("selection", ws)
    assert "**60** of 61" in texts(page) and "(−20 · 3 min" in texts(page)
    page.text_input(key="set.where").input("row < 30")
    check_page(page.toggle(key="set.healthy").set_value(True).run())
    assert "−20 · 3 min" in texts(page) and "(−20" not in texts(page)
    assert "−20 · 3 min · MI" in texts(page)  # in scope: 20 of the 40 healthy ones are in rows 30 to 59
    assert "4 clips · 40 s · 20 % of 20 candidates" in texts(page)
    check_page(page.button(key="run.select").click().run())
    assert launched and Workspace.open(ws.path).config.select.where == "healthy AND (row < 30)"
    again = open_page("selection", ws)
    assert again.toggle(key="set.healthy").value and again.text_input(key="set.where").value == "row < 30"
    again.toggle(key="set.use_scope").set_value(False)
    again.toggle(key="set.duplicates").set_value(False)
    check_page(again.toggle(key="set.healthy").set_value(False).run())
    check_page(again.button(key="run.select").click().run())
    config = Workspace.open(ws.path).config.select
    assert (config.where, config.duplicates) == ("", "all")


def test_the_clips_that_a_step_loses(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    add_health(ws)
    assert "**20 clips**" in texts(open_page("clips", ws, lost="healthy"))
    scoped = {"scope": "(row < 30)", "off": "healthy"}
    assert "**30 clips**" in texts(open_page("clips", ws, lost="scope", **scoped))
    page = open_page("clips", ws, lost="scope", scope="no such column = 1")
    assert "a step of the funnel" in texts(page) and "lost" not in page.query_params


def test_without_health_and_with_a_scope_that_cannot_be_read(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("selection", make_workspace(tmp_path / "w"))
    assert "not measured yet" in texts(page)
    check_page(page.text_input(key="set.where").input("nothing = 3; DROP TABLE clips").run())
    assert "Scope cannot be read" in texts(page)
    check_page(page.text_input(key="set.where").input("truth_match").run())
    assert "Scope names truth_match" in texts(page)


def test_before_and_after_of_kinds_and_sources(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w")
    add_health(ws)
    page = open_page("selection", ws)
    rows = ws.table("columns/truth_match")["truth_match"].to_numpy(zero_copy_only=False).nonzero()[0][:12]
    speech, static = (100 * np.mean(rows % m == 0) for m in (2, 3))
    assert f"speech-like 50 → {speech:.0f} % · static 33 → {static:.0f} %" in texts(page)
    assert "12 sources, at most 1 clip of one · candidates 60 sources, at most 1 clip" in texts(page)


def test_the_top_of_a_run_that_is_no_prefix_and_the_button_that_makes_it_one(
    open_page: OpenPage, tmp_path: Path, launched: list[list[str]]
) -> None:
    ws = make_workspace(tmp_path / "w")
    folder = ws.artefact_path("selections/main")
    told = read_json(folder / MARKER)
    report = {
        "is_prefix": False, "content_moved": 0.12, "stability": 0.9, "constraint_cost": {"max_per_group": 0.031},
        "timings_s": {"choose": 2.0}, "n_rows": 60, "n_selected": 12, "device": {"used": "cpu", "why": ""},
    }  # fmt: skip
    told["info"] |= {"method": "concord", "options": {"breadth": 0.25}, "report": told["info"]["report"] | report}
    write_json(folder / MARKER, told)
    page = open_page("selection", ws, n=5)
    said = texts(page)
    assert page.slider(key="run.top").label == "Top n of this run, clips" and page.slider(key="run.top").value == 5
    assert "moved 12 % of the choice" in said and "90 % of these clips" in said
    assert "most clips of one source +0.031" in said
    assert "CPU · about 2 s to choose" in said
    page.selectbox(key="set.method").select("random")
    check_page(page.button(key="run.at").click().run())
    assert launched == [["select", str(ws.path)]]
    config = Workspace.open(ws.path).config.select
    assert (config.budget, config.method, config.breadth) == ("5", "concord", 0.25)


def test_one_clip_and_one_cluster(open_page: OpenPage, tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "w", n_clips=2, n_kinds=2)
    open_page("selection", ws)
    open_page("selection", ws, n=1)
    open_page("selection", make_workspace(tmp_path / "v", n_clips=1, n_kinds=2, mismatched=0, upto="cluster"))
