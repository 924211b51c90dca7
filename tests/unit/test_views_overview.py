"""Texts about jobs, stages, sizes and times; names and sizes of exports."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.views import export, overview

NOW = 1_000_000.0


# -- jobs and stages ---------------------------------------------------------------------------------------------------


def test_a_running_job_in_words() -> None:
    record = {
        "title": "run <all>", "state": "running", "stage": "features", "done": 734, "total": 1204, "unit": "clips",
        "rate_per_s": 84.2, "remaining_s": 200.0, "message": "decoding <b>.mp4",
    }  # fmt: skip
    line = overview.job_line(record, NOW)
    assert line.progress == "features \\(4 of 9\\) · 734 of 1,204 clips · 84 clips/s · 3 min left"
    assert line.share == pytest.approx(734 / 1204)
    assert line.title == "Run &lt;all\\>" and line.message == "decoding <b>.mp4"
    assert not line.is_final


@pytest.mark.parametrize("state", ["done", "failed", "cancelled", "lost"])
def test_an_ended_job_in_words(state: str) -> None:
    error = {"message": "The disk is full.", "hint": "Free some space."}
    record = {"title": "run", "state": state, "ended": NOW - 240, "error": error, "message": "m", "created": NOW}
    line = overview.job_line(record, NOW)
    assert line.is_final and line.share is None and line.progress == "4 minutes ago"
    assert line.message == {"done": "", "lost": "m"}.get(state, "The disk is full.")
    assert line.hint == ("Free some space." if state in ("failed", "cancelled") else "")


@pytest.mark.parametrize(
    "record", [{}, {"state": "queued"}, {"state": "running", "stage": "x", "total": 0}, {"state": "odd"}]
)
def test_an_incomplete_record_is_shown_all_the_same(record: dict[str, object]) -> None:
    assert overview.job_line(record, NOW).title


def test_a_job_that_went_well_is_news_for_a_while() -> None:
    assert overview.worth_showing({"state": "done", "ended": NOW - 10, "created": 0}, NOW)
    assert not overview.worth_showing({"state": "done", "ended": NOW - 3600, "created": 0}, NOW)
    assert overview.worth_showing({"state": "failed", "ended": 0, "created": 0}, NOW)


def test_stages_and_their_figures() -> None:
    facts = {
        "videos": {"rows": 1204}, "clips": {"rows": 3377, "hours": 9.38}, "layers": 10,
        "clusterings": 10, "selections": [{"clips": 675}], "maps": 2, "healthy": 3012,
    }  # fmt: skip
    statuses = [
        SimpleNamespace(stage="scan", state="done", reason=""),
        SimpleNamespace(stage="segment", state="done", reason=""),
        SimpleNamespace(stage="cluster", state="stale", reason="count changed"),
        SimpleNamespace(stage="select", state="blocked", reason="no clusters"),
        SimpleNamespace(stage="features", state="imported", reason="elsewhere"),
        SimpleNamespace(stage="health", state="done", reason=""),
        SimpleNamespace(stage="filter", state="imported", reason="elsewhere"),
    ]
    lines = overview.stage_lines(statuses, overview.stage_counts(facts))
    figures = ["1,204", "3,377 · 9.4 h", "10 layers", "675 clips", "10 layers", "3,012 healthy", "–"]
    assert [line.figure for line in lines] == figures
    assert [line.state for line in lines] == [
        "done",
        "done",
        "out of date",
        "not made yet",
        "brought in",
        "done",
        "not brought in",
    ]
    assert lines[2].reason == "count changed" and lines[3].reason == ""
    assert overview.next_step(lines) == "clusters, selection"
    assert overview.stage_counts({"layers": 0, "selections": [], "clusterings": 0, "maps": 0}) == {}


def test_labels_of_selections() -> None:
    info = {"method": "batch-greedy", "budget": "0.2", "clips": 675, "candidates": 3377}
    assert overview.selection_labels(
        {"batch-greedy-0.2-c1c034": info, "batch-greedy-500-c1c034": info | {"budget": "500"}, "none": {}}
    ) == {
        "batch-greedy-0.2-c1c034": "batch-greedy 20 % · 675 clips",
        "batch-greedy-500-c1c034": "batch-greedy · 675 clips",
        "none": "none · 0 clips",
    }
    twice = {"batch-greedy-0.2-c1c034": info, "batch-greedy-0.2-77abcd": info | {"stale": True}}
    assert list(overview.selection_labels(twice).values()) == [
        "batch-greedy 20 % · 675 clips · c034", "batch-greedy 20 % · 675 clips · abcd · out of date"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "just now"), (60, "1 minute ago"), (240, "4 minutes ago"), (7200, "2 hours ago"), (90_000, "1 day ago")],
)
def test_ago(seconds: float, text: str) -> None:
    assert overview.ago(NOW - seconds, NOW) == text


@pytest.mark.parametrize(
    "seconds, text", [(0.2, "1 s"), (8, "8 s"), (180, "3 min"), (4800, "80 min"), (9000, "2 h 30 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert overview.duration(seconds) == text


@pytest.mark.parametrize(
    "n, text",
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (3.4e6, "3.4 MB"), (250e9, "250 GB"), (5e15, "5,000 TB")],
)
def test_size(n: float, text: str) -> None:
    assert overview.size(n) == text


# -- exports -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "workspace, what, name",
    [
        ("web videos", "main", "web-videos-main.csv"),
        ("../../etc", "a/b", "etc-a-b.csv"),
        ("<b>", ".", "b.csv"),
        ("", "", "clips.csv"),
    ],
)
def test_default_names_are_plain(workspace: str, what: str, name: str) -> None:
    assert export.default_name(workspace, what, ".csv") == name


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    assert export.free_path(path) == path
    path.touch()
    (tmp_path / "clips-2.csv").symlink_to("nowhere")
    assert export.free_path(path) == tmp_path / "clips-3.csv"


def test_what_an_export_costs_in_words() -> None:
    assert export.cost_line(12, 1500, None, None) == "12 in all, about 1.5 kB"
    assert export.cost_line(80, 5_700_000, 0.2, 31e9) == (
        "80 in all, about 5.7 MB · about 1 s to cut · 31.0 GB free there"
    )


def test_what_became_of_an_export_in_words() -> None:
    facts = {"out": "/x/set", "clips": 78, "bytes": 1500, "cuts": {"copy": 70, "exact": 8}, "failed": {"missing": 2}}
    assert export.result_lines(facts | {"notices": ["One."]}) == [
        "set: 78 clips · 1.5 kB · 70 copied · 8 encoded",
        "2 clips missing (2 missing): report.csv says why, clip by clip.",
        "One.",
    ]
    assert export.result_lines({"out": "a.csv", "rows": 1}) == ["a.csv: 1 clip"]


def test_the_command_of_an_export_says_only_what_differs() -> None:
    argv = export.argv_of(Path("/w"), "webdataset", "/o", ["--selection", "a"], {"cut": "copy", "shard-clips": 1000})
    assert argv == ["export", "/w", "--format", "webdataset", "--out", "/o", "--selection", "a", "--cut", "copy"]


def test_exported_files_are_listed_newest_first(tmp_path: Path) -> None:
    import os

    assert export.exported_files(tmp_path / "none") == []
    for i, name in enumerate(["a.csv", "b.csv", ".hidden"]):
        (tmp_path / name).write_bytes(b"x" * (i + 1))
        os.utime(tmp_path / name, (i, i))
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").write_bytes(b"12345")
    (tmp_path / ".set.0123456789abcdef.unfinished").mkdir()
    found = export.exported_files(tmp_path)
    assert [(file.name, file.size_bytes) for file in found] == [("folder", 5), ("b.csv", 2), ("a.csv", 1)]
    assert not found[0].is_small
    assert list(export.unfinished(tmp_path)) == ["set"] and export.unfinished(tmp_path / "none") == {}
    assert export.ExportedFile("a", 19_999_999, 0).is_small and not export.ExportedFile("a", 20_000_000, 0).is_small
