"""The bounded folder: least recently used files go first, one maker at a time, failures are remembered for a while."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curation.atomic import replacing
from curation.errors import MediaError
from explorer import media_cache
from explorer.media_cache import BoundedFolder


def write(path: Path) -> None:
    path.write_bytes(b"x" * 100)


def name(i: int, suffix: str = "jpg") -> str:
    return f"{i:032x}.{suffix}"


def test_a_file_is_made_once_and_found_again(tmp_path: Path) -> None:
    made = []

    def slowly(path: Path) -> None:
        made.append(path.name)
        time.sleep(0.05)
        write(path)

    folder = BoundedFolder(tmp_path / "new" / "folder", 10_000)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: folder.get("a.jpg", slowly), range(8)))
    assert set(paths) == {tmp_path / "new" / "folder" / "a.jpg"}
    assert made == ["a.jpg"]
    assert folder.find("b.jpg") is None


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    folder = BoundedFolder(tmp_path, 1000)
    for i in range(10):
        path = folder.get(name(i), write)
        os.utime(path, (1000 + i, 1000 + i))
    folder.find(name(0))  # used again, so it is young
    folder.get(name(10), write)
    left = sorted(int(path.stem, 16) for path in tmp_path.iterdir())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert 0 in left and 10 in left and 1 not in left


def test_what_another_process_left_counts_too(tmp_path: Path) -> None:
    for i in range(50):
        old = tmp_path / (name(i, "json") if i % 2 else f".{name(i)}.{i}-abcd1234.partial")
        write(old)
        os.utime(old, (1000 + i, 1000 + i))
    BoundedFolder(tmp_path, 1000).get(name(99), write)
    assert len(list(tmp_path.iterdir())) <= 10 and (tmp_path / name(99)).exists()


def test_a_sweep_touches_only_what_a_cache_made(tmp_path: Path) -> None:
    kept = ["holiday.jpg", "0" * 32, "0" * 31 + "G.jpg", name(1, "txt"), name(2) + ".bak"]
    for one in kept:
        write(tmp_path / one)
        os.utime(tmp_path / one, (1, 1))
    (tmp_path / "outside").mkdir()
    write(tmp_path / "outside" / name(3))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / name(4)).symlink_to(tmp_path / kept[0])
    for place in (tmp_path, folder):
        BoundedFolder(place, 50).get(name(9), write)
    assert all((tmp_path / one).exists() for one in [*kept, f"outside/{name(3)}"])
    assert (folder / name(4)).is_symlink()


def test_a_link_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = BoundedFolder(tmp_path / "folder", 10_000)
    folder.folder.mkdir()
    (folder.folder / name(1)).symlink_to(secret)
    assert folder.find(name(1)) is None

    def make(path: Path) -> None:
        with replacing(path) as temporary:
            write(temporary)

    assert folder.get(name(1), make).read_bytes() == b"x" * 100
    assert secret.read_text() == "secret" and not (folder.folder / name(1)).is_symlink()


def test_a_failure_is_remembered_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail(_path: Path) -> None:
        calls.append(1)
        raise MediaError("It is broken.", code="undecodable")

    folder = BoundedFolder(tmp_path, 1000)
    for _ in range(3):
        with pytest.raises(MediaError, match="broken"):
            folder.get("a", fail)
    assert len(calls) == 1
    monkeypatch.setattr(media_cache, "FAILURE_KEPT_S", 0.0)
    assert folder.get("a", write).exists()


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    def full(_path: Path) -> None:
        raise MediaError("The disk is full.", code="write_failed")

    folder = BoundedFolder(tmp_path, 1000)
    with pytest.raises(MediaError):
        folder.get("a", full)
    assert folder.get("a", write).exists()


def test_those_who_wait_get_the_error_too(tmp_path: Path) -> None:
    started, gate = threading.Event(), threading.Event()

    def fail(_path: Path) -> None:
        started.set()
        gate.wait(5)
        raise MediaError("It is broken.", code="undecodable")

    folder = BoundedFolder(tmp_path, 1000)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(folder.get, "a", fail)
        started.wait(5)
        second = pool.submit(folder.get, "a", fail)
        time.sleep(0.02)
        gate.set()
        for waiting in (first, second):
            with pytest.raises(MediaError):
                waiting.result(timeout=5)
