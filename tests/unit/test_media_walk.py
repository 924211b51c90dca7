"""find_media lists what may be media, in one order, through odd folders; AllowedRoots keeps to its roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curation.errors import InputError, NotAllowedError
from curation.media.roots import VARIABLE, AllowedRoots
from curation.media.walk import find_media


def touch(path: Path, size: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def test_media_and_unknown_kinds_are_listed_in_byte_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/z.MKV", "a/noextension", "a.webm", "c.ts", "d.strange"):
        touch(tmp_path / name, 5)
    for name in ("notes.txt", "a/rows.csv", ".hidden.mp4", ".git/x.mp4", "cover.jpg", "model.PT"):
        touch(tmp_path / name)
    found = find_media(tmp_path)
    assert [e.path for e in found.entries] == ["a.webm", "a/noextension", "a/z.MKV", "b.mp4", "c.ts", "d.strange"]
    assert found.n_skipped == 4 and not found.truncated and found.problems == []
    assert found.entries[0].size_bytes == 5
    assert found.entries[0].mtime_ns == (tmp_path / "a.webm").stat().st_mtime_ns


def test_chosen_extensions(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MKV", "c.webm", "d"):
        touch(tmp_path / name)
    assert [e.path for e in find_media(tmp_path, extensions=["mkv", ".mp4"]).entries] == ["a.mp4", "b.MKV"]


def test_odd_names_survive(tmp_path: Path) -> None:
    names = [b"new\nline.mp4", "café 日本 \U0001f3ac.mp4".encode(), b"bad\xff\xfe.mp4", b" lead.mp4", b"-rf.mp4"]
    for name in names:
        touch(tmp_path / os.fsdecode(name))
    found = find_media(tmp_path)
    assert [e.path_bytes for e in found.entries] == sorted(names)
    for entry in found.entries:
        assert (tmp_path / entry.path).stat().st_size == 1


def test_link_loops_and_dead_links(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "one.mp4")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    (tmp_path / "dead.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "again").symlink_to(tmp_path / "a")
    found = find_media(tmp_path)
    assert [e.path for e in found.entries if not e.problem] == ["a/one.mp4"]
    assert {e.path for e in found.problems} == {"self.mp4", "dead.mp4"}


def test_special_files_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path / "one.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    found = find_media(tmp_path)
    assert [e.path for e in found.entries] == ["one.mp4"] and found.n_skipped == 1


def test_unreadable_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a" / "one.mp4")
    touch(tmp_path / "locked" / "two.mp4")
    real = os.listdir

    def listdir(path: bytes) -> list[bytes]:
        if path.endswith(b"locked"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "listdir", listdir)  # permissions do not stop root, who may run the tests
    found = find_media(tmp_path)
    assert [e.path for e in found.entries if not e.problem] == ["a/one.mp4"]
    assert [e.path for e in found.problems] == ["locked"] and "Permission denied" in found.problems[0].problem


def test_deep_trees_and_the_bound(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(300):
        deep = deep / "d"
    touch(deep / "deep.mp4")
    for k in range(20):
        touch(tmp_path / f"{k:02d}.mp4")
    found = find_media(tmp_path)
    assert len(found.entries) == 21
    bounded = find_media(tmp_path, max_files=5)
    assert bounded.truncated and [e.path for e in bounded.entries] == [f"{k:02d}.mp4" for k in range(5)]


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "file.mp4")
    for path in (tmp_path / "gone", tmp_path / "file.mp4"):
        with pytest.raises(InputError):
            find_media(path)


def test_links_out_of_the_allowed_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "out" / "secret.mp4")
    touch(tmp_path / "in" / "one.mp4")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "file.mp4").symlink_to(tmp_path / "out" / "secret.mp4")
    (tmp_path / "in" / "fine.mp4").symlink_to(tmp_path / "in" / "one.mp4")
    found = find_media(tmp_path / "in", allowed=AllowedRoots([tmp_path / "in"]))
    assert [e.path for e in found.entries if not e.problem] == ["fine.mp4", "one.mp4"]
    assert [e.path for e in found.problems] == ["file.mp4", "folder"]


def test_roots_resolve_links_and_dots(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "in-not").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    roots = AllowedRoots([tmp_path / "in"])
    assert roots.check(tmp_path / "in" / "deep" / ".." / "new") == (tmp_path / "in" / "new").resolve()
    for bad in ("in/link/x", "in/../out", "in-not", "out", "in/link"):
        assert not roots.allows(tmp_path / bad)
        with pytest.raises(NotAllowedError) as caught:
            roots.check(tmp_path / bad)
        assert str((tmp_path / "in").resolve()) in caught.value.message and VARIABLE in caught.value.hint
    assert not roots.allows("/etc/passwd") and not roots.allows("bad\0name")


def test_roots_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv(VARIABLE, os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    roots = AllowedRoots()
    assert roots.allows(tmp_path / "a" / "x") and roots.allows(tmp_path / "b") and not roots.allows(tmp_path)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    assert AllowedRoots().allows(tmp_path / "a" / "x") and not AllowedRoots().allows("/etc")
    assert AllowedRoots().allows(Path(__file__))
