"""The exporter contract, held by every format: streamed, complete, in order, readable by the library it is for."""

from __future__ import annotations

import ast
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import SettingError
from curation.exporters import registry
from curation.exporters.base import Exporter, RowStream, row_schema
from curation.exporters.csv import plain_text, safe_text
from curation.exporters.rows import MEDIA

SCHEMA = row_schema(["sound.logmel", "picture.colour"])
AWKWARD = [
    "=cmd()",
    "a,b",
    'say "hi"',
    "two\nlines",
    "tab\tinside",
    "ümläut 🎬",
    "back\\xffslash",
    "\tlead",
    "@sum",
    " spaced ",
]
EXPORTERS = registry.exporters()


def made_rows(n: int) -> list[dict[str, Any]]:
    return [
        {
            "clip_id": f"clip{i:04d}",
            "row": i * 300,
            "file": f"/media/{AWKWARD[i % len(AWKWARD)]}/v{i}.mp4",
            "path": f"{AWKWARD[i % len(AWKWARD)]}/v{i}.mp4",
            "video_id": f"v{i}",
            "start_s": None if i == 3 else i / 3,
            "end_s": None if i == 3 else i / 3 + 10,
            "source": AWKWARD[(i + 1) % len(AWKWARD)],
            "title": "",
            "cluster_sound.logmel": i % 4,
            "cluster_picture.colour": None if i % 5 == 0 else i % 3,
            "rank": i + 1,
            "score": None if i == 2 else 1 / (i + 1),
            "gain": -0.25 if i == 4 else None,
        }
        for i in range(n)
    ]


def stream(rows: list[dict[str, Any]], batch: int = 7, exporter: Exporter | None = None) -> RowStream:
    """The rows as an exporter gets them: with the columns of the videos that it asks for."""
    columns = exporter.columns if exporter is not None else ()
    schema = pa.schema([*SCHEMA, *((name, pa.binary()) for name in columns)])
    rows = [row | dict.fromkeys(columns, (row["file"] or "").encode()) for row in rows]
    pieces = (pa.RecordBatch.from_pylist(rows[i : i + batch], schema) for i in range(0, len(rows), batch))
    return RowStream(schema, pieces)


def written(exporter: Exporter, rows: RowStream) -> bytes:
    handle = io.BytesIO()
    exporter.write(rows, handle)
    assert not handle.closed, "the handle belongs to the caller"
    return handle.getvalue()


def read_csv(data: bytes) -> list[str]:
    return [row["clip_id"] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]


def read_acav(data: bytes) -> list[str]:
    return [row[1] for row in csv.reader(io.StringIO(data.decode(), newline=""))]


READERS: dict[str, Callable[[bytes], list[str]]] = {
    "csv": read_csv,
    "acav-csv": read_acav,
    "parquet": lambda data: pq.read_table(io.BytesIO(data))["clip_id"].to_pylist(),
    "files": lambda data: [name.rpartition("/")[2] for name in data.decode().split("\n")[:-1]],
    "jsonl": lambda data: [json.loads(line)["clip_id"] for line in data.decode().split("\n")[:-1]],
}


@pytest.fixture(params=EXPORTERS, ids=lambda exporter: exporter.name)
def exporter(request: pytest.FixtureRequest) -> Exporter:
    return request.param


def test_it_says_what_it_is(exporter: Exporter) -> None:
    assert exporter.suffix.startswith(".")
    assert all((exporter.name, exporter.title, exporter.description.endswith(".")))
    assert registry.get(exporter.name) is exporter


def test_every_row_is_there_once_and_in_order(exporter: Exporter) -> None:
    found = READERS[exporter.name](written(exporter, stream(made_rows(100), exporter=exporter)))
    if exporter.name == "files":
        lines = [i for i in range(100) if "\n" not in AWKWARD[i % len(AWKWARD)]]
        assert found == [f"v{i}.mp4" for i in lines], "a name with the end of a line has no line of its own"
    elif exporter.name == "acav-csv":
        assert [name.partition("_")[0].removesuffix(".mp4") for name in found] == [f"v{i}" for i in range(100)]
    else:
        assert found == [f"clip{i:04d}" for i in range(100)]


def test_the_bytes_do_not_depend_on_the_batches(exporter: Exporter) -> None:
    if exporter.name == "parquet":
        tables = [pq.read_table(io.BytesIO(written(exporter, stream(made_rows(50), n, exporter)))) for n in (1, 50)]
        assert tables[0].equals(tables[1])
    else:
        one, all_at_once = (written(exporter, stream(made_rows(50), n, exporter)) for n in (1, 50))
        assert one == all_at_once


def test_it_takes_one_batch_at_a_time(exporter: Exporter) -> None:
    handle = io.BytesIO()
    written_before: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for i in range(40):
            written_before.append(handle.tell())
            rows = [row | {"title": f"{i}{j}" * 30, "file": f"/{i}/{j}.mp4"} for j, row in enumerate(made_rows(200))]
            yield from stream(rows, 200, exporter).batches

    exporter.write(RowStream(stream([], 1, exporter).schema, batches()), handle)
    assert written_before[-1] > handle.tell() / 2, "earlier batches are on disk before the last is asked for"


def test_no_rows_give_a_readable_empty_file(exporter: Exporter) -> None:
    assert READERS[exporter.name](written(exporter, stream([], exporter=exporter))) == []


def test_an_error_in_the_rows_is_passed_on(exporter: Exporter) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from stream(made_rows(3), exporter=exporter).batches
        raise SettingError("stop here")

    with pytest.raises(SettingError, match="stop here"):
        written(exporter, RowStream(stream([], exporter=exporter).schema, broken()))


def test_the_preview_is_text_with_the_first_rows(exporter: Exporter) -> None:
    text = exporter.preview(stream(made_rows(2), exporter=exporter))
    assert "v0" in text
    assert "v1" in text


def test_jsonl_and_parquet_hold_every_value_exactly() -> None:
    rows = made_rows(30)
    lines = written(registry.get("jsonl"), stream(rows)).decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == rows
    assert pq.read_table(io.BytesIO(written(registry.get("parquet"), stream(rows)))).to_pylist() == rows


def test_csv_reads_back_in_pandas_with_all_numbers_and_gaps() -> None:
    rows = made_rows(30)
    data = written(registry.get("csv"), stream(rows))
    found = pd.read_csv(io.BytesIO(data), dtype={"cluster_picture.colour": "Int64"}, float_precision="round_trip")
    assert list(found.columns) == SCHEMA.names
    for name in ("row", "start_s", "end_s", "rank", "score", "gain", "cluster_sound.logmel", "cluster_picture.colour"):
        expected = [row[name] for row in rows]
        assert [None if pd.isna(value) else value for value in found[name]] == expected
    assert found["path"][1] == "a,b/v1.mp4"
    assert found["path"][2] == 'say "hi"/v2.mp4'
    assert found["path"][3] == "two\nlines/v3.mp4"


def test_csv_runs_nothing_in_a_spreadsheet() -> None:
    rows = [row | {"source": text, "title": f"fine {text}"} for row, text in zip(made_rows(6), "=+-@\t\r")]
    found = list(csv.DictReader(io.StringIO(written(registry.get("csv"), stream(rows)).decode(), newline="")))
    assert [row["source"] for row in found] == ["'=", "'+", "'-", "'@", "'\t", "'\r"]
    assert [row["title"][:5] for row in found] == ["fine "] * 6
    assert found[0]["path"] == "'=cmd()/v0.mp4"
    assert found[0]["file"] == "/media/=cmd()/v0.mp4"
    assert found[4]["gain"] == "-0.25", "a number is no formula"


@pytest.mark.parametrize(
    "text", ["=1+1", "'=1", "''@x", "'", "'plain", "plain", "", "\n=x", "＝x", "a=b", "-", "+'", "''"]
)
def test_csv_gives_every_name_back(text: str) -> None:
    rows = [row | {"source": text} for row in made_rows(1)]
    found = list(csv.DictReader(io.StringIO(written(registry.get("csv"), stream(rows)).decode(), newline="")))
    assert plain_text(found[0]["source"]) == text
    assert found[0]["source"] == safe_text(text)
    assert not found[0]["source"].startswith(tuple("=+-@\t\r\n＝＋－＠"))


def test_files_names_each_video_once_and_tars_for_their_members(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    tar.write_bytes(b"x" * 2048)
    media = [b"/m/a.mp4", None, b"/m/b\xff.mp4", b"/m/a.mp4", f"{tar}/@000000000000512+10/c.mp4".encode()]
    schema = pa.schema([*SCHEMA, (MEDIA, pa.binary())])
    rows = [row | {MEDIA: path} for row, path in zip(made_rows(5), media)]
    pieces = (pa.RecordBatch.from_pylist([row], schema) for row in rows)
    data = written(registry.get("files"), RowStream(schema, pieces))
    assert data.split(b"\n") == [b"/m/a.mp4", b"/m/b\xff.mp4", bytes(tar), b""]


def test_acav_csv_is_the_references_list() -> None:
    rows = [
        {"path": "talks/qpxektwhzra.webm", "row": 9 * 1024 + 5, "start_s": 292.3329999997, "end_s": 302.3329999997},
        {"path": "a.b.mp4", "row": 1023, "start_s": 7.9, "end_s": 17.9},
        {"path": "-_bCdEfGh12.mkv", "row": 0, "start_s": 0.0, "end_s": 10.0},
        {"path": "eleven char.mp4", "row": 1024, "start_s": 1234.5, "end_s": 1244.5},
        {"path": "untimed.mp4", "row": 2, "start_s": None, "end_s": None},
        {"path": "", "row": 3, "start_s": 1.0, "end_s": 2.0},
    ]
    whole = [dict.fromkeys(SCHEMA.names) | {"clip_id": f"c{i}"} | row for i, row in enumerate(rows)]
    data = written(registry.get("acav-csv"), stream(whole)).decode()
    assert data.split("\n")[0] == 'shard-000009,qpxektwhzra_292.mp4,qpxektwhzra,"[292.3329999997, 302.3329999997]"'
    found = [[*line[:3], ast.literal_eval(line[3])] for line in csv.reader(io.StringIO(data, newline=""))]
    assert found[1:] == [
        ["shard-000000", "a.b_007.mp4", "-1", [7.9, 17.9]],
        ["shard-000000", "-_bCdEfGh12_000.mp4", "-_bCdEfGh12", [0.0, 10.0]],
        ["shard-000001", "eleven char_1234.mp4", "-1", [1234.5, 1244.5]],
        ["shard-000000", "untimed.mp4", "-1", [-1.0, -1.0]],
        ["shard-000000", "c5_001.mp4", "-1", [1.0, 2.0]],
    ]


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingError, match="acav-csv, csv, parquet, jsonl"):
        registry.get("xlsx")
