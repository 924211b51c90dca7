"""One JSON object a line: whatever the lines are, columns or a sentence with the line's number come back."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from curation.errors import InputError
from curation.importers import jsonl
from curation.importers.readers import read_table, table_columns


def write(path: Path, lines: list[object]) -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.jsonl.gz"])
def test_columns_of_all_lines_with_their_gaps(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name, [{"id": "a", "x": 1}, {"id": "b"}, {"y": [1.5], "x": 2.5, "id": "0012"}])
    assert table_columns(file) == ["id", "x", "y"]
    assert read_table(file, ["x", "id"]).to_pydict() == {"x": [1.0, None, 2.5], "id": ["a", "b", "0012"]}


def test_types_that_come_later_widen_those_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "_ROWS_AT_ONCE", 2)
    file = write(tmp_path / "a.jsonl", [{"x": None}, {}, {"x": 1}, {"x": 2}, {"x": 0.5}])
    assert read_table(file, ["x"])["x"].to_pylist() == [None, None, 1.0, 2.0, 0.5]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1}\n[1]\n', "line 2 is no JSON object"),
        (b'\n{"a": 1}\n{"a": ', "line 3 is no JSON"),
        (b'{"a": "\xff"}\n', "line 1 is no JSON"),
        (b"[" * 100_000, "line 1 is no JSON"),
        (b'{"a": 1}\n{"a": "x"}\n', "cannot be read"),
        (b'{"a": 1' + b"0" * 40 + b"}\n", "cannot be read"),
        (b'{"a": "\\ud800"}\n', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_table(file, ["a"])


def test_a_line_without_an_end_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LINE_BYTES_MAX", 1 << 20)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"a": "' + b"x" * (2 << 20))
    with pytest.raises(InputError, match="line 1 is longer than 1 MiB"):
        table_columns(file)


def test_a_damaged_gzip_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl.gz", [{"a": i} for i in range(1000)])
    data = file.read_bytes()
    for damaged in (data[:-20], data[:40] + b"\0" * 10 + data[50:], b"plain"):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be read as a table"):
            table_columns(file)


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert table_columns(tmp_path / "a.jsonl") == []
