"""Audits on disk: drawing, answering by several at once, what a kill leaves, results, exports, bad input."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import audit
from curation.audit_draw import draw_audit, extend
from curation.audit_report import decision, find, report_lines
from curation.cli import main
from curation.errors import InputError, WorkspaceError
from curation.workspace import Workspace
from tests.auditmaker import add_media, add_run, answer_all
from tests.conftest import ROOT
from tests.workspacemaker import make_workspace


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """400 clips, 80 of them chosen by `main`, 80 by `other`; their media files are there (empty)."""
    workspace = make_workspace(tmp_path_factory.mktemp("audit") / "ws", n_clips=400)
    truth = np.array(workspace.table("columns/truth_match")["truth_match"].to_pylist())
    rng = np.random.default_rng(1)
    add_run(workspace, "main", truth * 1.5 + rng.normal(size=400))
    add_run(workspace, "other", truth * 0.3 + rng.normal(size=400))
    add_media(workspace)
    return workspace


@pytest.fixture
def ws(template: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it with the same media."""
    shutil.copytree(template.path, tmp_path / "ws")
    return Workspace.open(tmp_path / "ws")


def truth_of(workspace: Workspace) -> dict[str, bool]:
    table = workspace.table("columns/truth_match")
    return dict(zip(table["clip_id"].to_pylist(), table["truth_match"].to_pylist()))


def test_a_plan_is_stratified_shuffled_and_the_same_for_the_same_seed(ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"])
    assert len(plan.items) == 132 and len(plan.first_items) == 120 and plan.candidates == 400
    assert len({plan.items[i].clip_id for i in plan.first_items}) == 120
    origins = [plan.items[i].origin for i in plan.first_items]
    assert {name: 25 < origins.count(name) < 55 for name in ("chosen", "rejected", "random")} == dict.fromkeys(
        ("chosen", "rejected", "random"), True
    )
    assert len(set(origins[:20])) == 3, "shuffled"
    assert len(plan.strata) == 8 and sum(s.drawn for s in plan.strata) == 120
    assert {band.clips for band in plan.bands[0]} == {80} and all(b.estimated is not None for b in plan.bands[0])
    again = draw_audit(ws, ["main"], name="again")
    assert again.items == plan.items and audit.read_plan(ws, "again") == again
    assert draw_audit(ws, ["main"], seed=1).items != plan.items
    assert audit.names(ws) == ["audit-1", "again", "audit-2"]


def test_an_always_right_auditor_finds_the_truth(ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"])
    truth = truth_of(ws)
    answer_all(ws, plan.name, truth, "anna")
    found = find(plan, audit.answers(ws, plan.name))
    assert [group.name for group in found.groups] == ["chosen", "rejected", "random"]
    picked = pq.read_table(ws.artefact_path("selections/main") / "picks.parquet")["clip_id"].to_pylist()
    real = np.mean([truth[clip] for clip in picked]), np.mean(list(truth.values()))
    assert found.groups[0].strict.low <= real[0] <= found.groups[0].strict.high
    assert found.groups[2].strict.low <= real[1] <= found.groups[2].strict.high
    assert found.groups[0].clips == 80 and found.groups[2].clips == 400
    assert found.agreed[0].found.kappa == pytest.approx(1) and found.agreed[0].found.n == 12
    assert all(abs(one.band.estimated - one.strict.value) < 0.5 for one in found.bands["main"])
    lines = "\n".join(report_lines(found))
    assert "120 of 120 clips heard by anna" in lines and "Stop here: chosen and random differ" in lines


def test_plausible_counts_both_ways_and_cannot_tell_for_none(ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"], repeats=0)
    for item in range(120):
        audit.record(ws, plan.name, item, ("seen", "plausible", "overlaid", "unclear")[item % 4], "anna")
    found = find(plan, audit.answers(ws, plan.name))
    assert found.heard == 120 and found.unclear == 30 and sum(g.unclear for g in found.groups[:2]) == 30
    everything = found.groups[2]
    assert everything.strict.n == everything.lenient.n == 90
    assert everything.strict.value == pytest.approx(1 / 3, abs=0.12)
    assert everything.lenient.value == pytest.approx(2 / 3, abs=0.12)


def test_two_runs_share_an_audit_and_may_need_more(ws: Workspace) -> None:
    plan = draw_audit(ws, ["main", "other"], clips=60, repeats=0)
    assert {s.chosen_by for s in plan.strata} == {(True, True), (True, False), (False, True), (False, False)}
    unrelated = {clip: i % 3 == 0 for i, clip in enumerate(sorted(truth_of(ws)))}
    answer_all(ws, plan.name, unrelated, "anna")
    found = find(plan, audit.answers(ws, plan.name))
    assert [group.name for group in found.groups] == ["main", "other", "chosen by neither", "random"]
    assert not found.comparison.contrast.counts[0], "what neither chose does not tell them apart"
    assert found.comparison.contrast.more != 0 and "may be chance" in decision(found)

    more = extend(ws, plan.name, 30)
    assert len(more.items) == 90 and more.items[:60] == plan.items
    added = [more.strata[item.stratum].chosen_by for item in more.items[60:]]
    assert set(added) == {(True, False), (False, True)}
    assert not {i.clip_id for i in more.items[60:]} & {i.clip_id for i in plan.items}
    assert find(more, audit.answers(ws, plan.name)).comparison.left == found.comparison.left - 30
    with pytest.raises(InputError, match="cannot be added"):
        extend(ws, plan.name, 0)
    while find(audit.read_plan(ws, plan.name), []).comparison.left:
        extend(ws, plan.name, 500)
    with pytest.raises(InputError, match="Every clip"):
        extend(ws, plan.name, 5)
    add_run(ws, "other", np.arange(400.0), fingerprint="new")
    with pytest.raises(InputError, match="made again"):
        extend(ws, plan.name, 5)


def test_two_undos_at_once_take_back_two_answers(ws: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    name = draw_audit(ws, ["main"], clips=10).name
    for item in range(3):
        audit.record(ws, name, item, "seen", "anna")
    both, read = threading.Barrier(2), audit.lines.read

    def read_together(path: Path) -> list[dict[str, object]]:
        found = list(read(path))
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.3)  # whoever is alone behind a lock waits in vain
        return found

    monkeypatch.setattr(audit.lines, "read", read_together)
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda _: audit.undo(ws, name, "anna"), range(2)))
    assert sorted(taken) == [1, 2]


def test_answers_are_appended_and_the_last_one_wins(ws: Workspace) -> None:
    name = draw_audit(ws, ["main"], clips=10).name
    audit.record(ws, name, 0, "seen", "anna")
    audit.record(ws, name, 0, "overlaid", "anna")
    audit.record(ws, name, 1, "seen", "anna")
    audit.record(ws, name, 0, "unclear", "ben")
    kept = [(a.item, a.answer, a.auditor) for a in audit.answers(ws, name)]
    assert kept == [(0, "overlaid", "anna"), (1, "seen", "anna"), (0, "unclear", "ben")]
    plan = audit.read_plan(ws, name)
    assert audit.open_items(plan, audit.answers(ws, name), "anna")[0] == 2, "a reload goes on here"
    assert audit.undo(ws, name, "anna") == 1 and audit.open_items(plan, audit.answers(ws, name), "anna")[0] == 1
    assert audit.undo(ws, name, "anna") == 0 and audit.undo(ws, name, "anna") is None
    lines = (ws.path / "audits" / name / "answers.jsonl").read_text().splitlines()
    assert len(lines) == 6 and json.loads(lines[-1])["answer"] is None


def test_a_line_cut_short_costs_itself_alone(ws: Workspace) -> None:
    name = draw_audit(ws, ["main"], clips=10).name
    audit.record(ws, name, 0, "seen", "anna")
    with (ws.path / "audits" / name / "answers.jsonl").open("ab") as handle:
        handle.write(b'{"item": 1, "answer": "se')
    audit.record(ws, name, 2, "plausible", "anna")
    assert [a.item for a in audit.answers(ws, name)] == [0, 2]


def test_two_auditors_at_once_lose_nothing(ws: Workspace) -> None:
    name = draw_audit(ws, ["main"], clips=20, repeats=0).name
    script = (
        "import sys\nfrom curation import audit\nfrom curation.workspace import Workspace\n"
        "ws = Workspace.open(sys.argv[1])\n"
        "for i in range(20): audit.record(ws, sys.argv[2], i, 'seen', sys.argv[3])\n"
    )

    def listen(who: str) -> int:
        return subprocess.run([sys.executable, "-c", script, str(ws.path), name, who], cwd=ROOT, timeout=60).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(listen, ["anna", "ben"])) == [0, 0]
    found = find(audit.read_plan(ws, name), audit.answers(ws, name))
    assert len(audit.answers(ws, name)) == 40 and set(found.auditors) == {"anna", "ben"}
    (between,) = found.agreed
    assert {between.first, between.second} == {"anna", "ben"} and between.found.n == 20


def test_exports_carry_what_is_needed_to_count_again(ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"])
    answer_all(ws, plan.name, truth_of(ws), "anna, first")
    rows = list(csv.DictReader(io.StringIO(audit.export_text(ws, plan.name, "csv"))))
    lines = [json.loads(line) for line in audit.export_text(ws, plan.name, "jsonl").splitlines()]
    assert len(rows) == len(lines) == 132 and rows[0]["auditor"] == "anna, first"
    assert {"clip_id", "answer", "auditor", "time", "stratum", "weight"} <= set(rows[0])
    assert sum(line["weight"] for line in lines if not line["repeat"]) == pytest.approx(400)
    assert [row["clip_id"] for row in rows] == [line["clip_id"] for line in lines]
    with pytest.raises(InputError, match="csv, jsonl"):
        audit.export_text(ws, plan.name, "xls")


def test_clips_without_media_are_known(tmp_path: Path) -> None:
    ws = make_workspace(tmp_path / "ws")
    add_media(ws)
    plan = draw_audit(ws, ["main"], clips=30, repeats=0)
    lost = plan.items[3].clip_id
    Path(audit.media_paths(ws, [lost])[lost]).unlink()
    there = audit.media_there(ws, [item.clip_id for item in plan.items])
    assert [clip for clip, is_there in there.items() if not is_there] == [lost]
    assert audit.media_there(ws, ["no such clip"]) == {"no such clip": False}


def test_bad_input_is_said(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only 400 candidates"):
        draw_audit(ws, ["main"], clips=500)
    for wrong in ({"clips": 0}, {"clips": 10**6}, {"repeats": 1.5}):
        with pytest.raises(InputError, match="cannot be drawn"):
            draw_audit(ws, ["main"], **wrong)
    for runs in ([], ["main", "main"], ["nothing"]):
        with pytest.raises(InputError):
            draw_audit(ws, runs)
    add_run(ws, "all", np.arange(400.0), share=1.0)
    with pytest.raises(InputError, match="every candidate"):
        draw_audit(ws, ["all"], clips=10)
    silent = make_workspace(tmp_path / "silent" / "ws")
    with pytest.raises(InputError, match="cannot be listened to"):
        draw_audit(silent, ["main"], clips=10)
    name = draw_audit(ws, ["main"], clips=10).name
    with pytest.raises(InputError, match=r"no audit '\.\./x'"):
        audit.read_plan(ws, "../x")
    with pytest.raises(InputError, match="already"):
        draw_audit(ws, ["main"], clips=10, name=name)
    for item, answer, who in ((99, "seen", "a"), (0, "yes", "a"), (0, "seen", " ")):
        with pytest.raises(InputError):
            audit.record(ws, name, item, answer, who)
    (ws.path / "audits" / name / "plan.json").write_text('{"made": 1}')
    with pytest.raises(WorkspaceError, match="damaged"):
        audit.read_plan(ws, name)


def test_small_and_uneven_data_still_draw(ws: Workspace) -> None:
    add_run(ws, "few", np.where(np.arange(400) < 3, 1.0, np.nan), share=3 / 400)
    plan = draw_audit(ws, ["few"], clips=40)
    assert sum(s.drawn for s in plan.strata if s.chosen_by == (True,)) == 3
    everything = draw_audit(ws, ["main"], clips=400, repeats=0)
    assert len({item.clip_id for item in everything.items}) == 400
    assert draw_audit(ws, ["main"], clips=1, repeats=1.0).items[1].repeat_of == 0


def test_no_answers_say_nothing(ws: Workspace) -> None:
    plan = draw_audit(ws, ["main"])
    found = find(plan, [])
    assert found.heard == 0 and all(np.isnan(group.strict.value) for group in found.groups)
    assert decision(found).startswith("Nothing can be said yet")


def test_the_same_from_the_command_line(ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(ws.path)
    assert main(["audit", path, "report"]) == 2 and "no audit yet" in capsys.readouterr().err
    assert main(["audit", path, "draw", "--selection", "main", "--selection", "other", "--clips", "40"]) == 0
    assert "audit-1: 40 clips of 400 candidates, 4 of them twice" in capsys.readouterr().out
    answer_all(ws, "audit-1", truth_of(ws), "anna")
    assert main(["audit", path, "more", "--clips", "5"]) == 0
    assert main(["audit", path, "report", "--auditor", "anna"]) == 0
    assert "40 of 45 clips heard by anna" in capsys.readouterr().out
    out = tmp_path / "answers.jsonl"
    assert main(["audit", path, "export", "--format", "jsonl", "--out", str(out)]) == 0
    assert "44 answers" in capsys.readouterr().out and len(out.read_text().splitlines()) == 44
    assert main(["audit", path, "export", "--out", str(out)]) == 2
    assert main(["audit", path, "more"]) == 2


def test_a_condition_of_the_run_bounds_the_candidates(ws: Workspace) -> None:
    add_run(ws, "scoped", np.arange(400.0), share=0.1, where="path LIKE 'folder 2/%'")
    plan = draw_audit(ws, ["scoped"], clips=20)
    inside = pa.compute.starts_with(ws.table("clips", ["path"])["path"].combine_chunks(), "folder 2/")
    picked = ws.table("clips", ["row"])["row"].to_numpy() >= 360
    assert plan.candidates == int((inside.to_numpy(zero_copy_only=False) | picked).sum())
