"""What each kind of source names: every file once, usable or with a code, and the columns that came with it."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import sourcespec
from curation.errors import InputError, NotAllowedError
from curation.media.roots import AllowedRoots
from curation.sources.base import Item
from curation.sources.columns import as_table, tidy
from curation.sources.metadata_tsv import ids_in, read_line, seconds_of, youtube_id_of
from curation.sources.registry import SOURCES, source_of
from curation.sourcespec import SourceSpec

ODD = [b"plain.mp4", b" spaces .mp4", "emoji \U0001f3ac é.mp4".encode(), b"bad\xff\xfe.mp4", b'#hash,comma"quote.mp4']


def items(spec: SourceSpec, allowed: AllowedRoots | None = None) -> list[Item]:
    return list(source_of(spec).items(allowed))


def touch(folder: Path, *names: bytes) -> None:
    for name in names:
        Path(folder, os.fsdecode(name)).write_bytes(b"x")


# -- lists -------------------------------------------------------------------------------------------------------------


def test_every_kind_has_a_reader() -> None:
    assert tuple(SOURCES) == sourcespec.KINDS


def test_a_text_list_takes_any_name_relative_or_absolute(tmp_path: Path) -> None:
    touch(tmp_path, *ODD)
    lines = [ODD[0], b"./" + ODD[1], os.fsencode(tmp_path) + b"/" + ODD[2], b"", ODD[3] + b"\r", ODD[4]]
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    found = items(sourcespec.file_list(tmp_path / "list.txt"))
    assert [item.path_bytes for item in found] == ODD and not any(item.code for item in found)
    assert all(item.size_bytes == 1 and item.mtime_ns > 0 for item in found)


def test_names_with_newlines_come_by_nul(tmp_path: Path) -> None:
    touch(tmp_path, b"two\nlines.mp4", b"b.mp4")
    (tmp_path / "list.txt").write_bytes(b"two\nlines.mp4\0b.mp4\0")
    assert [i.path_bytes for i in items(sourcespec.file_list(tmp_path / "list.txt"))] == [b"two\nlines.mp4", b"b.mp4"]


def test_bad_lines_are_items_with_a_code(tmp_path: Path) -> None:
    touch(tmp_path, b"good.mp4")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    lines = [b"good.mp4", b"gone.mp4", b"good.mp4/x.mp4", b"folder", b"pipe.mp4", b"./good.mp4", b"loop.mp4"]
    lines += [b"https://example.org/a.mp4", b"n" * 300 + b".mp4", b"y" * 70_000, b"last gone.mp4"]
    (tmp_path / "list.txt").write_bytes(b"\n".join(lines))
    found = items(sourcespec.file_list(tmp_path / "list.txt"))
    assert [item.code for item in found] == [
        "", "missing", "missing", "not_a_file", "not_a_file", "repeated", "unreadable",
        "not_local", "unreadable", "broken_line", "missing",
    ]  # fmt: skip
    assert len({item.path_bytes for item in found}) == len(lines) and all(i.problem for i in found[1:])
    assert "Line 6" in found[5].problem


def write_csv(file: Path, rows: list[list[Any]], delimiter: str = ",") -> Path:
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        csv.writer(handle, delimiter=delimiter).writerows(rows)
    return file


@pytest.mark.parametrize("suffix, delimiter", [(".csv", ","), (".tsv", "\t")])
def test_a_table_keeps_its_columns_and_titles(suffix: str, delimiter: str, tmp_path: Path) -> None:
    names = [*ODD, b"two\nlines.mp4"]
    touch(tmp_path, *names)
    rows = [
        ["year", "Path", "Title", "status"],
        *([k, os.fsdecode(n), f"Film {k}", "fine"] for k, n in enumerate(names)),
    ]
    found = items(sourcespec.file_list(write_csv(tmp_path / f"list{suffix}", rows, delimiter)))
    assert [item.path_bytes for item in found] == names and not any(item.code for item in found)
    assert [item.title for item in found] == [f"Film {k}" for k in range(6)]
    assert found[3].columns == {"year": "3", "listed_status": "fine"}


def test_broken_rows_of_a_table_do_not_hide_the_others(tmp_path: Path) -> None:
    touch(tmp_path, b"a.mp4", b"b.mp4")
    long = "z" * 200_000
    (tmp_path / "list.csv").write_text(f"path,n\na.mp4,1\n,2\nb.mp4,3,4,5\n{long},1\n\nb.mp4,6\n")
    found = items(sourcespec.file_list(tmp_path / "list.csv"))
    assert [item.code for item in found] == ["", "broken_line", "broken_line", "broken_line", ""]
    assert found[-1].columns == {"n": "6"}


def test_a_parquet_list(tmp_path: Path) -> None:
    touch(tmp_path, *ODD)
    table = pa.table(
        {
            "file": pa.array([*ODD, None], pa.binary()),
            "score": [0.5, float("nan"), 1, 2, 3, 4],
            "tags": [["a", "b"]] * 6,
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    found = items(sourcespec.file_list(tmp_path / "list.parquet"))
    assert [item.path_bytes for item in found[:5]] == ODD and found[5].code == "broken_line"
    assert found[0].columns == {"score": 0.5, "tags": '["a", "b"]'} and found[1].columns == {"tags": '["a", "b"]'}


@pytest.mark.parametrize(
    "name, content",
    [("l.parquet", b"no parquet"), ("l.csv", b""), ("l.csv", b"name,n\na,1\n"), ("l.doc", b"a"), ("gone.txt", None)],
)
def test_a_list_that_is_none_is_an_error(name: str, content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        items(sourcespec.file_list(tmp_path / name))


def test_confined_lists_and_tars_name_nothing_outside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    touch(outside, b"secret.mp4")
    touch(inside, b"fine.mp4")
    (inside / "link.mp4").symlink_to(outside / "secret.mp4")
    (inside / "list.txt").write_text(
        f"fine.mp4\n{outside}/secret.mp4\n../out/secret.mp4\nlink.mp4\n{outside}/gone.mp4\n"
    )
    (outside / "list.txt").write_text("secret.mp4\n")
    spec, allowed = sourcespec.file_list(inside / "list.txt"), AllowedRoots([inside])
    assert [item.code for item in items(spec, allowed)] == ["", *["not_allowed"] * 4]
    assert [item.code for item in items(spec)] == ["", "", "", "", "missing"]
    (outside / "a.tsv").write_text("")
    elsewhere = [sourcespec.file_list(outside / "list.txt"), sourcespec.tars(outside)]
    elsewhere += [sourcespec.metadata(outside / "a.tsv", inside), sourcespec.metadata(inside / "list.txt", outside)]
    for spec in elsewhere:
        with pytest.raises(NotAllowedError):
            items(spec, allowed)


# -- the reference's tsv -----------------------------------------------------------------------------------------------


def tsv_line(first: str, title: str = "T", length: Any = None, **feature: Any) -> str:
    content = {"LatestDAFeature": {"Title": title, **feature}, "MediaVersionList": [{"Duration": length}]}
    return f"{first}\t{json.dumps(content)}"


def test_lines_find_their_files_and_files_their_lines(tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / "deep").mkdir(parents=True)
    named = [b"aaaaaaaaaa1.mp4", b"deep/A film [bbbbbbbbbb-].mkv", b"cccccccccc3_012.mp4", b"cccccccccc3_040.mp4"]
    touch(media, *named, b"stray.mp4")
    lines = [
        tsv_line(
            "https://www.youtube.com/watch?v=aaaaaaaaaa1", "First", 61.5, Description="D", YouTubeCategory="Music"
        ),
        tsv_line("bbbbbbbbbb-", "Second", VideoLength="1:02:03"),
        "no tab at all",
        tsv_line("https://youtu.be/cccccccccc3?t=4", "Third", "45"),
        "bbbbbbbbbb2\t{broken",
        tsv_line("ddddddddddd", "Fourth"),
        tsv_line("aaaaaaaaaa1", "First again"),
        "eeeeeeeeeee\t[1, 2]",
        tsv_line("https://example.org/nothing"),
        "fffffffffff\t" + "[" * 100_000,
    ]
    (tmp_path / "m.tsv").write_text("\n".join(lines))
    found = items(sourcespec.metadata(tmp_path / "m.tsv", media))
    assert [(item.path_bytes, item.code) for item in found] == [
        (named[0], ""),
        (named[1], ""),
        (b"m.tsv:3", "broken_line"),
        (named[2], ""),
        (named[3], ""),
        (b"m.tsv:5", "broken_line"),
        (b"ddddddddddd", "missing"),
        (b"m.tsv:7", "repeated"),
        (b"m.tsv:8", "broken_line"),
        (b"m.tsv:9", "broken_line"),
        (b"m.tsv:10", "broken_line"),
        (b"stray.mp4", "no_metadata"),
    ]
    assert found[0].title == "First" and found[0].columns == {
        "youtube_id": "aaaaaaaaaa1", "url": "https://www.youtube.com/watch?v=aaaaaaaaaa1", "description": "D",
        "category": "Music", "metadata_duration_s": 61.5,
    }  # fmt: skip
    assert found[1].columns["metadata_duration_s"] == 3723 and found[3].columns["metadata_duration_s"] == 45


def test_a_line_without_end_is_one_broken_line(tmp_path: Path) -> None:
    (tmp_path / "m.tsv").write_bytes(b"a" * 3_000_000 + b"\n" + tsv_line("aaaaaaaaaa1").encode())
    found = items(sourcespec.metadata(tmp_path / "m.tsv", tmp_path))
    assert [(item.path_bytes, item.code) for item in found] == [
        (b"m.tsv:1", "broken_line"),
        (b"aaaaaaaaaa1", "missing"),
    ]


@pytest.mark.parametrize(
    "name, first",
    [
        ("dQw4w9WgXcQ.mp4", "dQw4w9WgXcQ"),
        ("Never gonna [dQw4w9WgXcQ].webm", "dQw4w9WgXcQ"),
        ("Never gonna-dQw4w9WgXcQ.webm", "dQw4w9WgXcQ"),
        ("qpxektwhzra_292.mp4", "qpxektwhzra"),
        ("-Qw4w9WgXc_.mp4", "-Qw4w9WgXc_"),
    ],
)
def test_ids_in_names(name: str, first: str) -> None:
    assert first in ids_in(name)[:2]


def test_words_are_not_taken_for_ids_inside_longer_words() -> None:
    assert ids_in("abcdefghijklmnop.mp4") == [] and ids_in("short.mp4") == []
    assert youtube_id_of("https://www.youtube.com/watch?list=x&v=dQw4w9WgXcQ&t=3") == "dQw4w9WgXcQ"
    assert youtube_id_of("https://www.youtube.com/watch?v=dQw4w9WgXcQtoolong") is None


@pytest.mark.parametrize("value", [None, True, "abc", -1, float("nan"), float("inf"), [3], "1e400"])
def test_what_is_no_duration(value: Any) -> None:
    assert seconds_of(value) is None


def test_half_characters_and_other_types_in_a_line_do_no_harm() -> None:
    line = read_line(
        b'aaaaaaaaaa1\t{"LatestDAFeature": {"Title": "\\ud800x", "Description": 7}, "MediaVersionList": {}}'
    )
    assert not isinstance(line, str) and (line.title, line.description, line.duration_s) == ("\\ud800x", "", None)


# -- tars --------------------------------------------------------------------------------------------------------------


def write_tar(file: Path, members: list[tuple[str, bytes]], mode: Any = "w") -> Path:
    with tarfile.open(file, mode) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def test_samples_become_items_with_their_sidecars(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "s-000.tar",
        [
            ("a/000.mp4", b"first"),
            ("a/000.json", b'{"title": "One", "fps": 25, "path": "x", "deep": {"k": 1}, "half": "\\ud800"}'),
            ("a/000.txt", "a caption é".encode()),
            ("a/000.cls", b"7"),
            ("a/000.jpg", b"thumbnail"),
            ("a/001.json", b"{broken"),
            ("a/001.mp4", b""),
            ("a/001.wav", b"second sound"),
            ("b/000.mp4", b"third"),
        ],
    )
    found = items(sourcespec.tars(tmp_path))
    assert [item.shown for item in found] == [
        f"s-000.tar/{n}" for n in ("a/000.mp4", "a/001.mp4", "a/001.wav", "b/000.mp4")
    ]
    assert found[0].columns == {
        "shard": "s-000.tar", "sample_key": "a/000", "fps": 25, "listed_path": "x", "deep": '{"k": 1}',
        "half": "\\ud800", "txt": "a caption é", "cls": "7",
    }  # fmt: skip
    assert found[0].title == "One" and found[3].title == "" and [item.size_bytes for item in found] == [5, 0, 12, 5]
    assert "sidecar_problem" in found[1].columns and found[1].columns == found[2].columns
    assert found[3].columns == {"shard": "s-000.tar", "sample_key": "b/000"}
    source = source_of(sourcespec.tars(tmp_path / "s-000.tar"))
    assert [item.path_bytes for item in source.items(None)] == [item.path_bytes for item in found]
    assert source.n_skipped == 1 and source.spec.root == str(tmp_path)


def test_damaged_tars_give_what_they_hold_and_say_the_rest(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "a.tar", [(f"{k}.mp4", bytes([k]) * 5000) for k in range(4)]).read_bytes()
    (tmp_path / "b.tar").write_bytes(whole[:14_000])  # inside the third member
    (tmp_path / "c.tar").write_bytes(b"this is no tar at all" * 100)
    (tmp_path / "d.tar").write_bytes(b"")
    (tmp_path / "e.tar").write_bytes(whole[:5632] + b"garbage!" * 64 + whole[6144:])  # the second header
    write_tar(tmp_path / "f.tar.gz", [("0.mp4", b"x")], "w:gz")
    (tmp_path / "g.gz").write_bytes(b"something else")
    codes: dict[str, list[str]] = {}
    for item in items(sourcespec.tars(tmp_path)):
        codes.setdefault(item.path_bytes.decode().split("/")[0], []).append(item.code)
    assert codes.pop("a.tar") == [""] * 4
    assert sorted(codes.pop("b.tar")) == ["", "", "truncated_tar", "truncated_tar"]
    assert codes.pop("c.tar") == ["not_a_tar"] and codes.pop("d.tar") == ["not_a_tar"]
    assert sorted(codes.pop("e.tar")) == ["", "truncated_tar"]
    assert codes == {"f.tar.gz": ["compressed_tar"]}


def test_hostile_members_stay_inside_their_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name, kind in (
            ("../../etc/x.mp4", tarfile.REGTYPE),
            ("l.mp4", tarfile.SYMTYPE),
            ("d.mp4", tarfile.DIRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo("bad\udcff.mp4"))
        tar.addfile(tarfile.TarInfo(".hidden.mp4"))
    found = items(sourcespec.tars(tmp_path))
    assert [item.path_bytes.rpartition(b"/")[2] for item in found] == [b"x.mp4", b"bad\xff.mp4"]
    assert all(item.path_bytes.startswith(b"t.tar/@") and b".." not in item.path_bytes for item in found)


# -- columns -----------------------------------------------------------------------------------------------------------


def test_types_of_columns_follow_all_values() -> None:
    rows: list[dict[str, Any]] = [
        {"n": "12", "zip": "0012", "x": "1.5", "b": "true", "mixed": 1, "only": 5, "Case": "a"},
        {"n": "-3", "zip": "7", "x": "2", "b": "False", "mixed": "text", "case": "b"},
        {},
    ]
    table, more = as_table(["a", "b", "c"], rows)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "video_id": "string", "n": "int64", "zip": "string", "x": "double", "b": "bool", "mixed": "string",
        "only": "int64", "Case": "string",
    }  # fmt: skip
    assert table["n"].to_pylist() == [12, -3, None] and table["Case"].to_pylist() == ["a", "b", None] and more == 0


def test_names_that_tables_have_and_more_columns_than_allowed() -> None:
    assert tidy({"video_id": 1, "a\nb": 2, "A\nB": 3, "none": None, "": 4, "big": 2**70}) == {
        "listed_video_id": 1, "a_b": 2, "listed_A_B": 3, "unnamed": 4, "big": str(2**70),
    }  # fmt: skip
    table, more = as_table(["v"], [{f"c{k:03d}": k for k in range(250)}])
    assert table.num_columns == 201 and more == 50
