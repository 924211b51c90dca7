"""One writer at a time: a lock file that names its owner, kept fresh, taken over when the owner is gone."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from curation.atomic import disk_error
from curation.errors import LockedError

HEARTBEAT_S = 5.0
STALE_AFTER_S = 60.0


@contextlib.contextmanager
def writer_lock(path: Path, *, purpose: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold `path` as the only writer while the block runs.

    Raises `LockedError`, naming the other writer, when it is still held after `wait_s` seconds.
    """
    owner = _describe_self(purpose)
    deadline = time.monotonic() + wait_s
    while not _try_take(path, owner):
        holder = read_owner(path)
        if holder is not None and not owner_is_gone(path, holder):
            if time.monotonic() >= deadline:
                raise LockedError(
                    f"Another process is writing here: {holder.get('purpose', '?')} "
                    f"(process {holder.get('pid', '?')} on {holder.get('host', '?')}).",
                    hint="Wait for it to end, or cancel it, then run this again.",
                )
            time.sleep(0.05)
            continue
        _remove_stale(path, holder)
    stop = threading.Event()
    beat = threading.Thread(target=_keep_fresh, args=(path, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join(timeout=2 * HEARTBEAT_S)
        if (holder := read_owner(path)) and holder.get("token") == owner["token"]:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def read_owner(path: Path) -> dict[str, Any] | None:
    """The owner written in a lock file, `{}` when it cannot be read, None when there is no lock."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def owner_is_gone(path: Path, owner: dict[str, Any]) -> bool:
    """True when the owner's process has ended (same host), or its heartbeat stopped (another host)."""
    if owner.get("host") == socket.gethostname() and isinstance(owner.get("pid"), int):
        return not process_is_alive(owner["pid"], owner.get("process_started"))
    try:
        return time.time() - path.stat().st_mtime > STALE_AFTER_S
    except FileNotFoundError:
        return True


def process_is_alive(pid: int, started: float | None) -> bool:
    """True when `pid` runs and, if `started` is given (seconds since the epoch), is that very process."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return started is None or abs(process.create_time() - started) < 1.0
    except psutil.Error:
        return False


def process_start_time(pid: int | None = None) -> float:
    """When the process (this one by default) started, seconds since the epoch."""
    return float(psutil.Process(pid).create_time())


def _describe_self(purpose: str) -> dict[str, Any]:
    return {
        "purpose": purpose,
        "pid": os.getpid(),
        "process_started": process_start_time(),
        "host": socket.gethostname(),
        "token": secrets.token_hex(8),
    }


def _try_take(path: Path, owner: dict[str, Any]) -> bool:
    # The full text is linked into place, so no reader ever sees a lock without its owner.
    draft = path.with_name(f".{path.name}.{owner['token']}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(owner), "utf-8")
        os.link(draft, path)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _remove_stale(path: Path, holder: dict[str, Any] | None) -> None:
    # Rename first: of two processes that both saw a stale lock only one can rename it away.
    grave = path.with_name(f".{path.name}.{secrets.token_hex(6)}.stale")
    with contextlib.suppress(FileNotFoundError):
        path.rename(grave)
        if (taken := read_owner(grave)) is not None and taken != (holder or {}):
            with contextlib.suppress(OSError):
                os.link(grave, path)  # it was a fresh lock of somebody quicker: give it back
        grave.unlink(missing_ok=True)


def _keep_fresh(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
