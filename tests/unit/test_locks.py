"""One writer at a time; an owner that is gone does not block anybody."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from curation.errors import LockedError
from curation.locks import process_is_alive, process_start_time, writer_lock


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    first, second = (writer_lock(tmp_path / "a.lock", purpose=name) for name in ("features", "other"))
    with first, pytest.raises(LockedError, match="features"), second:
        raise AssertionError("two writers at once")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    code = (
        "import os, sys; sys.path.insert(0, os.getcwd())\n"
        "from pathlib import Path\nfrom curation.locks import writer_lock\n"
        f"with writer_lock(Path({str(lock)!r}), purpose='killed'): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
    assert json.loads(lock.read_text())["purpose"] == "killed"
    with writer_lock(lock, purpose="next"):
        assert json.loads(lock.read_text())["purpose"] == "next"


def test_a_reused_process_number_is_not_the_owner() -> None:
    import os

    assert process_is_alive(os.getpid(), process_start_time())
    assert not process_is_alive(os.getpid(), process_start_time() - 1000)
    assert not process_is_alive(2**22 + 12345, None)


def test_many_threads_one_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with writer_lock(tmp_path / "a.lock", purpose="t", wait_s=20):
            with guard:
                inside += 1
                most = max(most, inside)
            with guard:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1


def test_an_unreadable_lock_of_nobody_is_removed_when_old(tmp_path: Path) -> None:
    import os

    lock = tmp_path / "a.lock"
    lock.write_text("")
    os.utime(lock, (0, 0))
    with writer_lock(lock, purpose="next"):
        assert "next" in lock.read_text()
