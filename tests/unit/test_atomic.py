"""Whole files or none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation import atomic
from curation.errors import WorkspaceError


def test_an_error_while_writing_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    atomic.write_json(file, {"kept": 1})
    with pytest.raises(RuntimeError), atomic.replacing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert atomic.read_json(file) == {"kept": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="disk is full") as caught, atomic.replacing(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.code == "disk_full"
    assert "finished work is kept" in caught.value.hint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_an_array_on_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda _path, mode: open("/dev/full", mode))  # noqa: SIM115, PTH123
    for array in (np.zeros(3), np.zeros((50_000, 4), np.float32), np.asfortranarray(np.zeros((300, 400)))):
        with pytest.raises(WorkspaceError) as caught:
            atomic.write_array(tmp_path / "a.npy", array)
        assert caught.value.code == "disk_full"


def test_a_mapped_array_takes_its_room_at_once(tmp_path: Path) -> None:
    with atomic.replacing(tmp_path / "a.npy") as temporary:
        array = atomic.new_array(temporary, np.float16, (1000, 100))
        assert temporary.stat().st_blocks * 512 >= 200_000
        array[7] = 1.0
        array.flush()
    back = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert back.shape == (1000, 100) and back[7].all() and not back[8:].any()


def test_a_mapped_array_needs_no_room_taken_where_that_cannot_be(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(number: int) -> Any:
        def fallocate(*_arguments: int) -> None:
            raise OSError(number, os.strerror(number))

        return fallocate

    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.EOPNOTSUPP))
    assert atomic.new_array(tmp_path / "a.npy", np.int64, (3,)).tolist() == [0, 0, 0]
    monkeypatch.setattr(os, "posix_fallocate", refuse(errno.ENOSPC))
    with pytest.raises(WorkspaceError, match="disk is full"), atomic.replacing(tmp_path / "b.npy") as temporary:
        atomic.new_array(temporary, np.int64, (3,))
    assert not (tmp_path / "b.npy").exists()


def test_a_read_only_folder_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="cannot be written"), atomic.replacing(tmp_path / "x"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_arrays_come_back_and_objects_are_refused(tmp_path: Path) -> None:
    atomic.write_array(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert np.load(tmp_path / "a.npy", allow_pickle=False).tolist() == [[0, 1, 2], [3, 4, 5]]
    for array in (np.zeros((0, 4)), np.float16(1.5), np.arange(6).reshape(2, 3).T, np.ones(9, np.uint8)[::2]):
        atomic.write_array(tmp_path / "c.npy", np.asarray(array))
        assert np.array_equal(np.load(tmp_path / "c.npy", allow_pickle=False), array)
    with pytest.raises(ValueError, match="Object arrays"):
        atomic.write_array(tmp_path / "b.npy", np.array([{}], dtype=object))
    assert not (tmp_path / "b.npy").exists()


def test_json_that_is_cut_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(WorkspaceError, match=r"a\.json"):
        atomic.read_json(tmp_path / "a.json")


def test_json_takes_numpy_values_and_odd_names(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.float32(0.5), "p": Path("a"), "odd": "\udce9"})
    assert atomic.read_json(tmp_path / "a.json")["n"] == 3
