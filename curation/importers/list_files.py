"""A curated list in a file -> what its rows call their clips: acav-csv, `id,start`, `id,start,end`, ids, or a table."""

from __future__ import annotations

import os
import re
from csv import Error as CsvError
from csv import reader
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from curation.errors import InputError
from curation.importers.matching import END_COLUMNS, KEY_COLUMNS, START_COLUMNS, Keys, find_column, numbers_of
from curation.importers.readers import CELL_MAX, as_text, is_table, read_table, refuse_pickle, table_columns

SCORE_COLUMNS = ("score",)
_SUFFIXES = (".csv", ".tsv", ".txt")
_HEAD_BYTES = 1 << 20
_NO_DELIMITER = "\x1f"
_NUMBER = re.compile(r"\s*-?\d+(\.\d*)?([eE][+-]?\d+)?\s*")
_SEGMENT = r"^\s*\[\s*(?P<start>-?[0-9.eE+-]+)\s*,\s*(?P<end>-?[0-9.eE+-]+)\s*\]\s*$"
_ACAV = ("shard", "filename", "youtube_id", "segment")


@dataclass(frozen=True)
class ListRows:
    """The rows of a list, in its order.

    `format` as it was read. `labels` text (n,): what a row calls its clip. `start_s`, `end_s` float64 (n,), NaN where
    not said; `score` float64 (n,) or None. `keys`: the ways in which the rows may name clips; `otherwise`: those
    that are tried when no row fits any of these.
    """

    format: str
    labels: pa.Array
    start_s: np.ndarray
    end_s: np.ndarray
    score: np.ndarray | None
    keys: list[Keys]
    otherwise: list[Keys] = field(default_factory=list)


def read_list(file: str | os.PathLike[str], key: str = "", start: str = "") -> ListRows:
    """Read a list; its format is told by its first row.

    Without a header: `SHARD_NAME,FILENAME,YOUTUBE_ID,"[start, end]"`, `id,start`, `id,start,end`, or one id a row (csv,
    tsv, txt). With one, or as jsonl or parquet: the column that names clips and those of starts, ends and scores are
    found by their usual names, or are `key` and `start`.

    Raises `InputError`: empty, not UTF-8, no such column, rows of different lengths, no known form.
    """
    path = Path(file).expanduser()
    refuse_pickle(path)
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if not path.is_file():
        raise InputError(f"There is no file {path}.", hint="Check the path.")
    if plain.suffix.lower() in _SUFFIXES:
        cells = _first_row(path, plain.suffix.lower())
        known = {*KEY_COLUMNS, *START_COLUMNS, key.lower()} - {""}
        if not any(cell.strip().lower() in known for cell in cells):
            return _without_header(path, plain.suffix.lower(), cells)
        if plain.suffix.lower() == ".txt":
            raise InputError(f"{path} has a header.", hint="Name it .csv or .tsv.")
    elif not is_table(path):
        raise InputError(f"{path} is not a list that can be read.", hint="Kinds: csv, tsv, txt, jsonl, parquet.")
    return _with_header(path, key, start)


def _with_header(path: Path, key: str, start: str) -> ListRows:
    columns = table_columns(path)
    key = key or find_column(columns, KEY_COLUMNS) or ""
    if not key:
        raise InputError(
            f"{path} has no column that is known to name clips.",
            hint=f"Its columns: {', '.join(columns)}. Known: {', '.join(KEY_COLUMNS)}.",
        )
    names = {"start": start or find_column(columns, START_COLUMNS), "end": find_column(columns, END_COLUMNS),
             "score": find_column(columns, SCORE_COLUMNS)}  # fmt: skip
    table = read_table(path, [key, *(name for name in names.values() if name)])
    labels = _filled(as_text(table[key]), path)
    found = {part: numbers_of(as_text(table[name]), name) for part, name in names.items() if name}
    nothing = np.full(len(labels), np.nan)
    start_s, end_s = found.get("start", nothing), found.get("end", nothing)
    alone = Keys(labels)
    timed = Keys(labels, start_s)
    by_id = key.strip().lower() == "clip_id" and not start
    keys, otherwise = ([alone], []) if by_id or "start" not in found else ([timed], [alone])
    return ListRows("table", labels, start_s, end_s, found.get("score"), keys, otherwise)


def _without_header(path: Path, suffix: str, first: list[str]) -> ListRows:
    delimiter = _delimiter(suffix, first)
    if delimiter == _NO_DELIMITER:
        first = [delimiter.join(first)]
    if len(first) == 4 and re.match(_SEGMENT, first[3]):
        return _acav(_read(path, delimiter, list(_ACAV)))
    if len(first) == 1:
        labels = _filled(as_text(_read(path, delimiter, ["id"])["id"]), path)
        nothing = np.full(len(labels), np.nan)
        return ListRows("ids", labels, nothing, nothing, None, [Keys(labels)])
    if len(first) in (2, 3) and all(_NUMBER.fullmatch(cell) for cell in first[1:]):
        names = ["id", "start", "end"][: len(first)]
        table = _read(path, delimiter, names)
        labels = _filled(as_text(table["id"]), path)
        start_s = numbers_of(as_text(table["start"]), "The second column (start)")
        nothing = np.full(len(labels), np.nan)
        end_s = numbers_of(as_text(table["end"]), "The third column (end)") if len(first) == 3 else nothing
        return ListRows(",".join(names), labels, start_s, end_s, None, [Keys(labels, start_s)])
    shown = delimiter.join(first)[:200]
    raise InputError(
        f"The first row of {path.name} is no known form of a list: {shown!r}.",
        hint='Known: SHARD,FILE,YOUTUBE_ID,"[start, end]"; id,start; id,start,end; one id a row; or a header with '
        "clip_id, path, filename, url or youtube_id (and start_s).",
    )


def _acav(table: pa.Table) -> ListRows:
    segment = pc.extract_regex(table["segment"].combine_chunks(), _SEGMENT)
    if segment.null_count:
        row = int(np.flatnonzero(pc.is_null(segment).to_numpy(zero_copy_only=False))[0]) + 1
        raise InputError(f"Row {row} has no segment [start, end] in its fourth column.")
    start_s, end_s = (numbers_of(pc.struct_field(segment, part), "A segment") for part in ("start", "end"))
    start_s, end_s = (np.where(values >= 0, values, np.nan) for values in (start_s, end_s))  # -1 stands for unknown
    files = as_text(table["filename"]).combine_chunks()
    stems = pc.replace_substring_regex(files, r"(?s)(.)\.[^.]*$", r"\1")
    whole = pc.replace_substring_regex(stems, r"(?s)(.)_\d{1,7}$", r"\1")
    ids = as_text(table["youtube_id"]).combine_chunks()
    ids = pc.if_else(pc.equal(ids, "-1"), pa.scalar(None, pa.string()), ids)
    # Files that are clips; whole videos with a start in them; the video's id with a start. Else ids of clips.
    keys = [Keys(files), Keys(whole, start_s), Keys(ids, start_s)]
    return ListRows("acav-csv", files, start_s, end_s, None, keys, [Keys(stems)])


def _read(path: Path, delimiter: str, names: list[str]) -> pa.Table:
    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=names),
            parse_options=csv.ParseOptions(
                delimiter=delimiter, quote_char=False if delimiter == _NO_DELIMITER else '"', newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, OSError) as error:
        reason = str(error)[:300]
        raise InputError(f"{path.name} cannot be read ({reason}).", hint="Is it UTF-8, all rows alike?") from error
    return table


def _first_row(path: Path, suffix: str) -> list[str]:
    """The cells of the first line that is not empty."""
    try:
        with pa.input_stream(str(path), compression="detect") as handle:
            head = handle.read(_HEAD_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    line = next((line for line in head.splitlines() if line.strip()), b"")
    if not line:
        raise InputError(f"{path} is empty.", hint="A list needs at least one row.")
    if len(line) > CELL_MAX:
        raise InputError(f"The first row of {path} is longer than {CELL_MAX} bytes.", hint="Is it a list?")
    try:
        text = line.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 ({error.reason}).", hint="Save it in UTF-8.") from error
    return [cell.strip().strip('"') for cell in _cells(text, "\t" if suffix == ".tsv" else ",")]


def _cells(text: str, delimiter: str) -> list[str]:
    """Cells of a line, also where quotes hold the delimiter."""
    try:
        return next(reader([text], delimiter=delimiter))
    except (CsvError, StopIteration):
        return [text]


def _delimiter(suffix: str, first: list[str]) -> str:
    if suffix == ".tsv":
        return "\t"
    if suffix == ".txt" and not (len(first) > 1 and all(_NUMBER.fullmatch(cell) for cell in first[1:])):
        return _NO_DELIMITER  # one name a line, commas and all
    return ","


def _filled(labels: pa.ChunkedArray, path: Path) -> pa.Array:
    if not len(labels):
        raise InputError(f"{path} has no rows.", hint="A list needs at least one row.")
    return labels.combine_chunks()
