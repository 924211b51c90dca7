"""What a workspace's media come from: entries of workspace.json in, `SourceSpec`s out and back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curation import urls
from curation.errors import InputError, WorkspaceError

KINDS = ("folder", "list", "metadata", "tars")


@dataclass(frozen=True)
class SourceSpec:
    """One source of media. Paths are absolute, or addresses of a store (`curation.urls`).

    folder: `path` is a folder tree. list: `path` is a txt, csv, tsv or parquet file that names media files; names that
    are not absolute lie below `media`. metadata: `path` is the reference's tsv, `media` the folder of the files it
    describes. tars: `path` is a WebDataset tar, or a folder of them.

    Of a list with columns: `title` names the one that holds the videos' titles ("": `title`), `columns` those that are
    kept beside it (none: all). A source that is `removed` keeps its number, because rows of tables name sources by it.
    """

    kind: str
    path: str
    media: str = ""
    title: str = ""
    columns: tuple[str, ...] = ()
    removed: bool = False

    @property
    def root(self) -> str:
        """The folder that the `path` of this source's rows in videos.parquet is relative to."""
        if self.kind == "tars" and Path(self.path).suffix == ".tar":
            return _parent(self.path)
        return self.media or self.path

    def as_json(self) -> dict[str, Any]:
        """The entry of workspace.json."""
        said = {"media": self.media, "title": self.title, "columns": list(self.columns), "removed": self.removed}
        return {"kind": self.kind, "path": self.path} | {name: value for name, value in said.items() if value}

    def is_of(self, other: SourceSpec) -> bool:
        """True for the same media, whatever is kept of what is said about them."""
        return (self.kind, self.path, self.media) == (other.kind, other.path, other.media)


def folder(path: str | os.PathLike[str]) -> SourceSpec:
    """A folder tree of media files."""
    return SourceSpec("folder", _absolute(path))


def file_list(
    path: str | os.PathLike[str],
    media: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    columns: Sequence[str] = (),
) -> SourceSpec:
    """A list of files; names in it that are not absolute are looked for below `media` (the list's own folder)."""
    place = _absolute(path)
    return SourceSpec("list", place, _parent(place) if media is None else _absolute(media), title, tuple(columns))


def metadata(path: str | os.PathLike[str], media: str | os.PathLike[str]) -> SourceSpec:
    """The reference's metadata.tsv and the folder that holds the files it describes."""
    return SourceSpec("metadata", _absolute(path), _absolute(media))


def tars(path: str | os.PathLike[str]) -> SourceSpec:
    """A WebDataset tar, or a folder that holds such tars."""
    return SourceSpec("tars", _absolute(path))


def with_source(sources: Sequence[SourceSpec], spec: SourceSpec) -> list[SourceSpec]:
    """`sources` and one more, at the end; where it is among them already, in its place (what is kept may differ)."""
    if not any(one.is_of(spec) for one in sources):
        return [*sources, spec]
    return [spec if one.is_of(spec) else one for one in sources]


def without_source(sources: Sequence[SourceSpec], number: int) -> list[SourceSpec]:
    """`sources`, the one with this number marked as removed."""
    return [replace(one, removed=True) if i == number else one for i, one in enumerate(sources)]


def read_sources(description: Mapping[str, Any]) -> list[SourceSpec]:
    """The sources in a workspace.json. Raises `WorkspaceError`."""
    found = []
    for entry in description.get("sources", []):
        if not isinstance(entry, dict) or entry.get("kind") not in KINDS or not isinstance(entry.get("path"), str):
            raise WorkspaceError(
                f"workspace.json names a source that is not known: {str(entry)[:200]}.",
                hint=f"Known kinds: {', '.join(KINDS)}.",
            )
        said = {name: str(entry.get(name, "")) for name in ("media", "title")}
        columns = tuple(map(str, entry.get("columns", ())))
        found.append(
            SourceSpec(entry["kind"], entry["path"], **said, columns=columns, removed=bool(entry.get("removed")))
        )
    return found


def _parent(place: str) -> str:
    return urls.parent(place) if urls.is_url(place) else str(Path(place).parent)


def _absolute(path: str | os.PathLike[str]) -> str:
    path = urls.place_of(os.fspath(path))
    if urls.is_url(path):
        return path
    try:
        return str(Path(path).expanduser().resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{os.fspath(path)[:200]!r} is not a path that can be followed ({error}).") from error
