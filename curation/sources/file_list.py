"""A list of media files: txt with one path a line, or csv, tsv, parquet with a column `path` and others to keep.

In a txt list paths are bytes as the file system has them; where the list holds NUL bytes they separate the paths, not
line ends (`find -print0`), so that any name can be listed.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import InputError
from curation.media.roots import AllowedRoots
from curation.sources.base import Item, Source, look_at, require_file
from curation.sources.columns import plain_text, tidy
from curation.sourcespec import SourceSpec

PATH_COLUMNS = ("path", "file", "file_path", "filepath", "filename")
SUFFIXES = (".txt", ".lst", ".csv", ".tsv", ".parquet")
MAX_LINE_BYTES = 1 << 16
BATCH_ROWS = 4096

# Number of the line or row, the path in it, its other columns; or None for the path, and what is wrong with the line
Row = tuple[int, bytes | None, dict[str, Any] | str]


class FileListSource(Source):
    """The files that a list names, in its order."""

    kind = "list"

    def check(self) -> None:
        file = require_file(self.spec.path, "list")
        if file.suffix.lower() not in SUFFIXES:
            raise InputError(f"{file.name} is not a list that can be read.", hint=f"Kinds: {', '.join(SUFFIXES)}.")

    def columns(self) -> list[str]:
        """Names of the columns beside the one of paths, as the list spells them; none in a txt. Raises `InputError`."""
        self.check()
        file = Path(self.spec.path)
        kind = file.suffix.lower()
        try:
            if kind == ".parquet":
                names = list(pq.read_schema(file).names)
            elif kind in (".csv", ".tsv"):
                with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
                    header = next(_patient(csv.reader(handle, delimiter="," if kind == ".csv" else "\t")), [])
                names = [plain_text(name) for name in header] if isinstance(header, list) else []
            else:
                return []
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read as a list ({error}).", hint="Is it complete?") from error
        at = _path_column(names, file.name)
        return [name for i, name in enumerate(names) if i != at and name]

    def items(self, allowed: AllowedRoots | None) -> Iterator[Item]:
        self.check()
        if allowed is not None:
            allowed.check(self.spec.path)
        there = {name.lower(): name for name in self.columns()}
        for name in filter(None, (self.spec.title, *self.spec.columns)):
            if name.lower() not in there:
                raise InputError(
                    f"{Path(self.spec.path).name} has no column {name!r}.",
                    hint=f"Its columns: {', '.join(there.values())[:300] or 'none'}.",
                )
        seen: set[bytes] = set()
        for number, path, columns in self._rows():
            place = os.fsencode(f"{Path(self.spec.path).name}:{number}")
            if path is None:
                yield Item(place, code="broken_line", problem=f"Line {number} of the list: {columns}", title="")
                continue
            assert isinstance(columns, dict)
            path = self._relative(path)
            if path in seen:
                yield Item(place, code="repeated", problem=f"Line {number} names a file a second time.", title="")
                continue
            seen.add(path)
            title, kept = _title(columns, self.spec)
            if b"://" in path[:12]:
                problem = f"Line {number} of the list is an address, not a file: fetch it first."
                yield Item(path, code="not_local", problem=problem, title=title, columns=kept)
            else:
                yield look_at(self.spec.root, path, allowed, title=title, columns=kept)

    def _rows(self) -> Iterator[Row]:
        file = Path(self.spec.path)
        kind = file.suffix.lower()
        try:
            if kind == ".parquet":
                yield from _of_parquet(file)
            elif kind in (".csv", ".tsv"):
                yield from _of_csv(file, "," if kind == ".csv" else "\t")
            else:
                yield from _of_text(file)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{file} cannot be read as a list ({error}).", hint="Is it complete?") from error

    def _relative(self, path: bytes) -> bytes:
        """`path` relative to the root where it lies below it."""
        root = os.fsencode(self.spec.root).rstrip(b"/") + b"/"
        path = path.removeprefix(root).lstrip(b"/") if path.startswith(root) else path
        while path.startswith(b"./"):
            path = path[2:].lstrip(b"/")
        return path


def _of_text(file: Path) -> Iterator[Row]:
    with file.open("rb") as handle:
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


def _of_csv(file: Path, delimiter: str) -> Iterator[Row]:
    # Bytes that are not UTF-8 pass through and come out again in the path
    with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
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


def _of_parquet(file: Path) -> Iterator[Row]:
    with pq.ParquetFile(file) as table:
        names = list(table.schema_arrow.names)
        at = names[_path_column(names, file.name)]
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
