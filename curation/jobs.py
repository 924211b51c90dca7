"""Long work as processes: a record on disk that any tab can read, a heartbeat, cancel by a file, a bounded log.

The launcher writes the first record (`queued`), then the child alone. `lost` is never written: a reader derives it
when the heartbeat stopped or the process is another.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.atomic import write_bytes, write_json
from curation.errors import ConcordError, InputError
from curation.locks import process_is_alive, process_start_time
from curation.workspace import Workspace

FINAL_STATES = ("done", "failed", "cancelled", "lost")
HEARTBEAT_S = 2.0
LOST_AFTER_S = 30.0
KEPT_JOBS = 100
LOG_BYTES_SHOWN = 20_000
REASON_MAX = 400  # characters
PROJECT_ROOT = Path(__file__).resolve().parent.parent


def launch(workspace: Workspace, argv: Sequence[str], *, title: str) -> str:
    """Start `python -m curation ARGV` in the background for a workspace; returns the job's id.

    The job goes on when the page or the server ends.
    """
    job_id = new_job(workspace, argv, title=title)
    folder = _folder(workspace, job_id)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]),
        "CONCORD_CONFINED": "1",  # links in media folders must not lead out of the allowed folders
    }
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "curation", *argv, "--job", job_id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    # The child must be waited for, or it stays a zombie under a long-lived server.
    threading.Thread(target=process.wait, daemon=True).start()
    return job_id


def new_job(workspace: Workspace, argv: Sequence[str], *, title: str) -> str:
    """Write the first record of a job and return its id; the oldest finished jobs beyond a hundred are forgotten."""
    job_id = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    record = {
        "id": job_id,
        "title": title,
        "command": "python -m curation " + shlex.join(argv),
        "state": "queued",
        "created": time.time(),
        "updated": time.time(),
        "host": socket.gethostname(),
    }
    write_json(_folder(workspace, job_id) / "job.json", record)
    _forget_old(workspace)
    return job_id


def read_job(workspace: Workspace, job_id: str) -> dict[str, Any] | None:
    """A job's record with its true state, or None when there is no such job."""
    try:
        record = json.loads((_folder(workspace, job_id) / "job.json").read_text("utf-8"))
    except (OSError, ValueError, InputError):
        return None
    if not isinstance(record, dict) or "state" not in record:
        return None
    if record["state"] not in FINAL_STATES and _is_lost(record):
        record["state"] = "lost"
        record["message"] = "The process ended without a word. Run it again: finished work is kept."
    return record


def list_jobs(workspace: Workspace, limit: int = 20) -> list[dict[str, Any]]:
    """The newest jobs first."""
    base = workspace.path / "jobs"
    ids = sorted((p.name for p in base.iterdir() if p.is_dir()), reverse=True) if base.is_dir() else []
    return [record for job_id in ids[:limit] if (record := read_job(workspace, job_id))]


def newest(workspace: Workspace) -> str:
    """Id of the newest job, "" without one: what an idle page looks at, so it reads names alone."""
    try:
        return max((entry.name for entry in os.scandir(workspace.path / "jobs")), default="")
    except OSError:
        return ""


def running_jobs(workspace: Workspace) -> list[dict[str, Any]]:
    """Jobs that are queued or running now."""
    return [record for record in list_jobs(workspace, 10 * KEPT_JOBS) if record["state"] not in FINAL_STATES]


def read_series(workspace: Workspace, job_id: str) -> list[dict[str, float]]:
    """The live curve of a job, at most 500 points."""
    try:
        return json.loads((_folder(workspace, job_id) / "series.json").read_text("utf-8"))
    except (OSError, ValueError):
        return []


def read_log(workspace: Workspace, job_id: str) -> str:
    """The end of a job's log."""
    path = _folder(workspace, job_id) / "log.txt"
    if not path.is_file():
        return ""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - LOG_BYTES_SHOWN))
        return handle.read().decode("utf-8", "replace")


def cancel(workspace: Workspace, job_id: str) -> None:
    """Ask a job to stop. It does so between two items; finished work is kept."""
    if read_job(workspace, job_id) is None:
        raise InputError(
            f"There is no job {job_id!r} in {workspace.name}.",
            hint="See: python -m curation status WORKSPACE",
        )
    write_bytes(_folder(workspace, job_id) / "cancel", b"")


class JobRecord:
    """The child's side of a job: a progress sink that writes the record, and the final word.

    Use as a context manager around the work.
    """

    def __init__(self, workspace: Workspace, job_id: str) -> None:
        self._folder = _folder(workspace, job_id)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._last_write = 0.0
        self._series: list[dict[str, float]] = []
        self._record: dict[str, Any] = json.loads((self._folder / "job.json").read_text("utf-8"))
        self.id = job_id

    def __enter__(self) -> JobRecord:
        self._record |= {
            "state": "running",
            "pid": os.getpid(),
            "process_started": process_start_time(),
            "host": socket.gethostname(),
            "started": time.time(),
        }
        self._write()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._stop.set()
        with self._lock:
            self._record["state"] = "done"
            if error is not None:
                cancelled = isinstance(error, KeyboardInterrupt) or getattr(error, "code", "") == "cancelled"
                self._record["state"] = "cancelled" if cancelled else "failed"
                self._record["error"] = _describe_error(error)
            self._record["ended"] = time.time()
        with contextlib.suppress(ConcordError, OSError):  # a full disk must not hide the error that filled it
            self._write()

    def update(self, state: Mapping[str, Any], *, force: bool) -> None:
        """Progress sink: keep the newest state, write it at most twice a second."""
        with self._lock:
            self._record |= {key: value for key, value in state.items() if key != "series"}
            self._series = state.get("series") or []
        if force or time.monotonic() - self._last_write > 0.5:
            self._write()

    def result(self, facts: Mapping[str, Any]) -> None:
        """Keep facts that the pages show when the job is done."""
        with self._lock:
            self._record["result"] = dict(facts)

    def cancelled(self) -> bool:
        return (self._folder / "cancel").exists()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with contextlib.suppress(ConcordError, OSError):
                self._write()

    def _write(self) -> None:
        with self._lock:
            self._last_write = time.monotonic()
            self._record["updated"] = time.time()
            write_json(self._folder / "job.json", self._record)
            if self._series:
                write_json(self._folder / "series.json", self._series)


def reason_of(error: BaseException) -> str:
    """Kind and text of an error that nobody expected, as one printable line of bounded length."""
    line = " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    return plain if len(plain) <= REASON_MAX else f"{plain[: REASON_MAX - 1]}…"


def _describe_error(error: BaseException) -> dict[str, str]:
    if isinstance(error, ConcordError):
        return {"code": error.code, "message": error.message, "hint": error.hint}
    return {
        "code": "internal",
        "message": reason_of(error),
        "hint": "The log has the details.",
    }


def _is_lost(record: Mapping[str, Any]) -> bool:
    quiet_s = time.time() - float(record.get("updated", 0))
    if record["state"] == "queued" or record.get("host") != socket.gethostname():
        return quiet_s > LOST_AFTER_S
    pid = record.get("pid")
    return isinstance(pid, int) and not process_is_alive(pid, record.get("process_started"))


def _folder(workspace: Workspace, job_id: str) -> Path:
    if not re.fullmatch(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}", job_id):
        raise InputError(f"{job_id!r} is not the id of a job.")
    return workspace.path / "jobs" / job_id


def _forget_old(workspace: Workspace) -> None:
    base = workspace.path / "jobs"
    for old in sorted(p.name for p in base.iterdir() if p.is_dir())[:-KEPT_JOBS]:
        record = read_job(workspace, old)
        if record is None or record["state"] in FINAL_STATES:
            shutil.rmtree(base / old, ignore_errors=True)
