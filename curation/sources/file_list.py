"""A list of media: txt with one path or address a line, or csv, tsv, parquet with a column `path` and others to keep.

In a txt list paths are bytes as the file system has them; where the list holds NUL bytes they separate the paths, not
line ends (`find -print0`), so that any name can be listed. The list itself may lie in a store, and paths that are not
absolute then mean what lies beside it.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import InputError, MediaError
from curation.media.location import open_bytes
from curation.media.roots import AllowedRoots
from curation.records import real_path
from curation.remote import input_error
from curation.sources.base import Item, Source, look_at, require_file
from curation.sources.columns import plain_text, tidy
from curation.sourcespec import SourceSpec
from curation.urls import SCHEMES, is_url, place_of, scheme_of

PATH_COLUMNS = ("path", "file", "file_path", "filepath", "filename")
SUFFIXES = (".txt", ".lst", ".csv", ".tsv", ".parquet")
MAX_LINE_BYTES = 1 << 16
BATCH_ROWS = 4096
AT_ONCE, REQUESTS_AT_ONCE = 512, 16  # lines that are held, and of them those that a store is asked for at a time
_SECRET = re.compile(rb"(?i)[?&][^=&]*(signature|sig|token|credential|secret|password|key)[^=&]*=|//[^/]*@")

# Number of the line or row, the path in it, its other columns; or None for the path, and what is wrong with the line
Row = tuple[int, bytes | None, dict[str, Any] | str]


class FileListSource(Source):
    """The files that a list names, in its order."""

    kind = "list"

    def check(self) -> None:
        file = Path(self.spec.path)
        require_file(self.spec.path, "list")
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(f"{file.name} is not a list that can be read.", hint=f"Kinds: {', '.join(SUFFIXES)}.")

    def columns(self) -> list[str]:
        """Names of the columns beside the one of paths, as the list spells them; none in a txt. Raises `InputError`."""
        self.check()
        file = Path(self.spec.path)
        kind = file.suffix.lower()
        try:
            if kind == ".parquet":
                with open_bytes(self.spec.path) as handle:
                    names = list(pq.read_schema(handle).names)
            elif kind in (".csv", ".tsv"):
                with _text(self.spec.path) as text:
                    header = next(_patient(csv.reader(text, delimiter="," if kind == ".csv" else "\t")), [])
                names = [plain_text(name) for name in header] if isinstance(header, list) else []
            else:
                return []
        except MediaError as error:
            raise input_error(error) from None
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read as a list ({error}).", hint="Is it complete?") from error
        at = _path_column(names, file.name)
        return [name for i, name in enumerate(names) if i != at and name]

    def items(self, allowed: AllowedRoots | None) -> Iterator[Item]:
        self.check()
        if allowed is not None:
            allowed.check_place(self.spec.path)
        there = {name.lower(): name for name in self.columns()}
        for name in filter(None, (self.spec.title, *self.spec.columns)):
            if name.lower() not in there:
                raise InputError(
                    f"{Path(self.spec.path).name} has no column {name!r}.",
                    hint=f"Its columns: {', '.join(there.values())[:300] or 'none'}.",
                )
        named = self._named()
        while batch := list(islice(named, AT_ONCE)):
            yield from self._looked_at(batch, allowed)

    def _looked_at(self, named: list[Item], allowed: AllowedRoots | None) -> Iterator[Item]:
        """The items of a few lines with size and time; a store is asked for many at once, a disk for one by one."""

        def look(item: Item) -> Item:
            if item.code:
                return item
            return look_at(self.spec.root, item.path_bytes, allowed, title=item.title, columns=item.columns)

        if not any(is_url(real_path(self.spec.root, item.path_bytes)) for item in named if not item.code):
            yield from map(look, named)
            return
        with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="concord-list") as pool:
            yield from pool.map(look, named)

    def _named(self) -> Iterator[Item]:
        """An item for each line, not looked at yet."""
        seen: set[bytes] = set()
        for number, path, columns in self._rows():
            place = os.fsencode(f"{Path(self.spec.path).name}:{number}")
            if path is None:
                yield Item(place, code="broken_line", problem=f"Line {number} of the list: {columns}", title="")
                continue
            assert isinstance(columns, dict)
            title, kept = _title(columns, self.spec)
            try:
                path = self._relative(path)
            except InputError as error:  # the address is not kept: it may hold a password
                problem = f"Line {number} of the list: {error.message}"
                yield Item(place, code=error.code, problem=problem, title=title, columns=kept)
                continue
            if path in seen:
                yield Item(place, code="repeated", problem=f"Line {number} names a file a second time.", title="")
                continue
            seen.add(path)
            if scheme_of(os.fsdecode(path)) in ("", *SCHEMES):
                yield Item(path, title=title, columns=kept)
            else:
                problem = f"Line {number} of the list is an address, not a file: fetch it first."
                path = place if _SECRET.search(path) else path
                yield Item(path, code="not_local", problem=problem, title=title, columns=kept)

    def _rows(self) -> Iterator[Row]:
        file = Path(self.spec.path)
        kind = file.suffix.lower()
        try:
            if kind == ".parquet":
                yield from _of_parquet(self.spec.path)
            elif kind in (".csv", ".tsv"):
                yield from _of_csv(self.spec.path, "," if kind == ".csv" else "\t")
            else:
                yield from _of_text(self.spec.path)
        except MediaError as error:
            raise input_error(error) from None
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read as a list ({error}).", hint="Is it complete?") from error

    def _relative(self, path: bytes) -> bytes:
        """`path` relative to the root where it lies below it. Raises `InputError` for an address that is none."""
        text = os.fsdecode(path)
        if scheme_of(text) in ("file", *SCHEMES):
            path = os.fsencode(place_of(text.strip()))
        root = os.fsencode(self.spec.root).rstrip(b"/") + b"/"
        path = path.removeprefix(root).lstrip(b"/") if path.startswith(root) else path
        while path.startswith(b"./"):
            path = path[2:].lstrip(b"/")
        return path


def _text(path: str) -> io.TextIOWrapper:
    """A csv for reading. Bytes that are not UTF-8 pass through and come out again in the path."""
    return io.TextIOWrapper(open_bytes(path), newline="", encoding="utf-8-sig", errors="surrogateescape")


def _of_text(path: str) -> Iterator[Row]:
    with open_bytes(path) as handle:
        head = handle.read(MAX_LINE_BYTES)
        handle.seek(0)
        lines = _split(handle, b"\0") if b"\0" in head else _split(handle, b"\n")
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            line = line.removesuffix(b"\r")
            if len(line) > MAX_LINE_BYTES:
                yield number, None, "it is too long for a path."
            elif line.strip():
                yield number, line, {}


def _split(handle: Any, end: bytes) -> Iterator[bytes]:
    """Pieces between `end`s; of a piece that is too long only a beginning is kept, so that memory has a bound."""
    rest = b""
    while block := handle.read(1 << 20):
        *whole, rest = (rest + block).split(end)
        yield from whole
        rest = rest[: MAX_LINE_BYTES + 1]
    if rest:
        yield rest


def _of_csv(path: str, delimiter: str) -> Iterator[Row]:
    file = Path(path)
    with _text(path) as handle:
        reader = csv.reader(handle, delimiter=delimiter)
        header = next(_patient(reader), None)
        if not isinstance(header, list):
            raise InputError(f"{file.name} has no header.", hint="Its first line names the columns, `path` among them.")
        header = [name.strip() for name in header]
        at = _path_column(header, file.name)
        for cells in _patient(reader):
            number = reader.line_num
            if isinstance(cells, str):
                yield number, None, cells
            elif not any(cells):
                continue
            elif len(cells) <= at or not cells[at].strip() or any(cells[len(header) :]):
                yield number, None, f"it has {len(cells)} cells, the header {len(header)}, or it names no path."
            else:
                columns = {name: cell for k, (name, cell) in enumerate(zip(header, cells)) if k != at}
                yield number, os.fsencode(cells[at]), columns


def _patient(reader: Any) -> Iterator[list[str] | str]:
    """Rows of a csv reader; a text that says what is wrong in place of a row that cannot be read."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"{error}."


def _of_parquet(path_of_list: str) -> Iterator[Row]:
    with open_bytes(path_of_list) as handle, pq.ParquetFile(handle) as table:
        names = list(table.schema_arrow.names)
        at = names[_path_column(names, Path(path_of_list).name)]
        number = 0
        for batch in table.iter_batches(BATCH_ROWS):
            for row in batch.to_pylist():
                number += 1
                path = row.pop(at)
                if isinstance(path, str):
                    path = path.encode("utf-8", "surrogateescape")
                if isinstance(path, bytes) and path:
                    yield number, path, row
                else:
                    yield number, None, "it names no path."


def _path_column(names: list[str], file: str) -> int:
    lower = [name.lower() for name in names]
    for wanted in PATH_COLUMNS:
        if wanted in lower:
            return lower.index(wanted)
    raise InputError(
        f"{file} has no column `path`.", hint=f"Its columns: {', '.join(names)[:300] or 'none'}. Name one of them path."
    )


def _title(columns: dict[str, Any], spec: SourceSpec) -> tuple[str | None, dict[str, Any]]:
    """The column of titles (None without one: the folder's name then stands for it), and the others that are kept."""
    of_titles, wanted = (spec.title or "title").lower(), {name.lower() for name in spec.columns}
    titles = [value for name, value in columns.items() if name.lower() == of_titles and value not in (None, "")]
    kept = {
        name: value
        for name, value in columns.items()
        if name.lower() != of_titles and (not wanted or name.lower() in wanted)
    }
    return (plain_text(str(titles[0]))[:1000] if titles else None), tidy(kept)
