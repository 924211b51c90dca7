"""Lines that are only appended: what a kill cuts short costs that line alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation import lines
from curation.errors import WorkspaceError


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "names.jsonl"
    assert list(lines.read(path)) == []
    lines.append(path, [{"name": "barking"}, {"name": "é\n\u2028 <b>"}])
    lines.append(path, [{"name": None}])
    assert [one["name"] for one in lines.read(path)] == ["barking", "é\n\u2028 <b>", None]
    assert path.read_bytes().count(b"\n") == 3


def test_a_line_cut_short_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "names.jsonl"
    lines.append(path, [{"n": 1}, {"n": 2}])
    path.write_bytes(path.read_bytes()[:-4])
    lines.append(path, [{"n": 3}])
    assert [one["n"] for one in lines.read(path)] == [1, 3]


def test_what_is_no_record_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "names.jsonl"
    path.write_bytes(b'[1]\n\n"a"\n{"n": 1}\n\xff\xfe\n')
    assert [one["n"] for one in lines.read(path)] == [1]


def test_nothing_to_say_makes_no_file(tmp_path: Path) -> None:
    lines.append(tmp_path / "names.jsonl", [])
    assert not (tmp_path / "names.jsonl").exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "names.jsonl").symlink_to("/proc/version")
    with pytest.raises((WorkspaceError, OSError)):
        lines.append(tmp_path / "names.jsonl", [{"n": 1}])
