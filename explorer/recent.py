"""The list of workspaces opened lately (CONCORD_HOME/recent.json): paths in, rows for the first page out."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation import jobs
from curation.atomic import write_json
from curation.errors import ConcordError
from curation.home import check_allowed, concord_home
from curation.workspace import Workspace

KEPT = 20
WALKED_FILES_MAX = 20_000
WALK_S = 0.5


@dataclass(frozen=True)
class RecentWorkspace:
    """One row of the table: sizes and times are None where they are not known."""

    path: str
    name: str
    clips: int
    hours: float | None
    last_run: float | None
    size_bytes: int
    size_is_complete: bool


def remember(workspace: Workspace) -> None:
    """Put a workspace first in the list. A list that cannot be written costs nothing but the memory."""
    path = str(workspace.path)
    entries = [entry for entry in _entries() if entry["path"] != path]
    entries = [{"path": path, "opened": time.time()}, *entries][:KEPT]
    with contextlib.suppress(ConcordError, OSError):
        write_json(_file(), entries)


def forget(path: str) -> None:
    """Take a workspace out of the list; its folder stays."""
    with contextlib.suppress(ConcordError, OSError):
        write_json(_file(), [entry for entry in _entries() if entry["path"] != path])


def paths() -> list[str]:
    """Paths of recent workspaces that are still there and may be opened, the last opened first."""
    found = []
    for entry in _entries():
        try:
            if (check_allowed(entry["path"]) / "workspace.json").is_file():
                found.append(entry["path"])
        except (ConcordError, OSError):
            continue
    return found


def rows(limit: int = 10) -> list[RecentWorkspace]:
    """Facts of recent workspaces for the table; what cannot be opened is left out."""
    found = []
    for path in paths()[:limit]:
        with contextlib.suppress(ConcordError, OSError, pa.ArrowException):
            found.append(describe(Workspace.open(path)))
    return found


def describe(workspace: Workspace) -> RecentWorkspace:
    """Facts of one workspace. The walk over its files stops after 20,000 files or half a second."""
    clips = workspace.artefact("clips")
    last = jobs.list_jobs(workspace, limit=1)
    size_bytes, complete = folder_size(workspace.path)
    return RecentWorkspace(
        path=str(workspace.path),
        name=workspace.name,
        clips=workspace.n_rows("clips") if clips else 0,
        hours=clips.info.get("hours") if clips else None,
        last_run=float(last[0].get("ended") or last[0]["created"]) if last else None,
        size_bytes=size_bytes,
        size_is_complete=complete,
    )


def folder_size(folder: Path) -> tuple[int, bool]:
    """Bytes of the files under a folder (links not followed), and whether all of them were counted."""
    total, seen, deadline = 0, 0, time.monotonic() + WALK_S
    waiting = [str(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > WALKED_FILES_MAX or time.monotonic() > deadline:
                return total, False
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total, True


def _entries() -> list[dict[str, Any]]:
    try:
        found = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return (
        [entry for entry in found if isinstance(entry, dict) and isinstance(entry.get("path"), str)][:KEPT]
        if (isinstance(found, list))
        else []
    )


def _file() -> Path:
    return concord_home() / "recent.json"
