"""Jobs: the record on disk, lost jobs derived by the reader, cancel by a file, bounds."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pytest

from curation import jobs
from curation.commands.base import job
from curation.errors import Cancelled, InputError
from curation.progress import Progress
from curation.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "ws")


def test_a_job_says_how_it_ended(workspace: Workspace) -> None:
    job_id = jobs.new_job(workspace, ["run", "a b"], title="run")
    assert jobs.read_job(workspace, job_id)["state"] == "queued"
    with jobs.JobRecord(workspace, job_id) as record:
        progress = Progress(record)
        progress.start("scan", 4, "files")
        progress.advance(3)
        progress.series({"size": 1.0})
        progress.flush()
        seen = jobs.read_job(workspace, job_id)
        assert (seen["state"], seen["stage"], seen["done"], seen["total"]) == ("running", "scan", 3, 4)
        record.result({"clips": 7})
    seen = jobs.read_job(workspace, job_id)
    assert seen["state"] == "done" and seen["result"] == {"clips": 7}
    assert seen["command"] == "python -m curation run 'a b'"
    assert jobs.read_series(workspace, job_id) == [{"size": 1.0}]


def test_an_error_is_kept_in_words(workspace: Workspace) -> None:
    job_id = jobs.new_job(workspace, ["run"], title="run")
    with pytest.raises(InputError), jobs.JobRecord(workspace, job_id):
        raise InputError("No media.", hint="Choose another folder.", code="no_media")
    seen = jobs.read_job(workspace, job_id)
    assert seen["state"] == "failed"
    assert seen["error"] == {"code": "no_media", "message": "No media.", "hint": "Choose another folder."}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyError("clusters"), "KeyError: 'clusters'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (ValueError("two\nlines \x1b[31m"), "ValueError: two lines \\x1b[31m"),
        (RuntimeError("long " * 1000), "RuntimeError: long long"),
    ],
)
def test_what_nobody_expected_keeps_its_reason(workspace: Workspace, error: Exception, says: str) -> None:
    options = argparse.Namespace(job=None, argv=["run"])
    with pytest.raises(InputError), job(workspace, options, "Run"):
        raise error
    (record,) = jobs.list_jobs(workspace)
    assert record["state"] == "failed" and record["error"]["code"] == "internal"
    assert says in record["error"]["message"] and len(record["error"]["message"]) < 600
    with pytest.raises(type(error)), jobs.JobRecord(workspace, jobs.new_job(workspace, ["run"], title="Run")):
        raise error
    other = next(one for one in jobs.list_jobs(workspace) if one["id"] != record["id"])
    assert says in other["error"]["message"] and len(other["error"]["message"]) < 600


def test_cancel_reaches_the_work(workspace: Workspace) -> None:
    job_id = jobs.new_job(workspace, ["run"], title="run")
    with pytest.raises(Cancelled), jobs.JobRecord(workspace, job_id) as record:
        jobs.cancel(workspace, job_id)
        Progress(record).check_cancelled()
    assert jobs.read_job(workspace, job_id)["state"] == "cancelled"


def test_a_job_whose_process_is_gone_is_lost(workspace: Workspace) -> None:
    job_id = jobs.new_job(workspace, ["run"], title="run")
    file = workspace.path / "jobs" / job_id / "job.json"
    record = json.loads(file.read_text()) | {"state": "running", "pid": 2**22 + 7, "process_started": 1.0}
    file.write_text(json.dumps(record))
    assert jobs.read_job(workspace, job_id)["state"] == "lost"
    assert json.loads(file.read_text())["state"] == "running", "lost is derived, never written"


def test_a_damaged_record_is_no_job(workspace: Workspace) -> None:
    job_id = jobs.new_job(workspace, ["run"], title="run")
    for text in ("[]", "{", "{}"):
        (workspace.path / "jobs" / job_id / "job.json").write_text(text)
        assert jobs.read_job(workspace, job_id) is None
        assert jobs.list_jobs(workspace) == []


def test_only_ids_of_jobs_are_read(workspace: Workspace) -> None:
    assert jobs.read_job(workspace, "../../etc") is None
    with pytest.raises(InputError):
        jobs.cancel(workspace, "nope")


def test_old_finished_jobs_are_forgotten(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT_JOBS", 3)
    for i in range(6):
        monkeypatch.setattr(time, "strftime", lambda _f, i=i: f"20260101-00000{i}")
        with jobs.JobRecord(workspace, jobs.new_job(workspace, ["run"], title="run")):
            pass
    assert len(jobs.list_jobs(workspace)) <= 4


def test_launch_runs_the_command_line_and_outlives_the_caller(workspace: Workspace) -> None:
    job_id = jobs.launch(workspace, ["scan", str(workspace.path)], title="scan")
    deadline = time.monotonic() + 60
    while (seen := jobs.read_job(workspace, job_id))["state"] not in jobs.FINAL_STATES and time.monotonic() < deadline:
        time.sleep(0.1)
    assert seen["state"] == "failed"
    assert "no media folder" in seen["error"]["message"], jobs.read_log(workspace, job_id)
