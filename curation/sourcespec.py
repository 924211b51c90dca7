"""What a workspace's media come from: entries of workspace.json in, `SourceSpec`s out and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import InputError, WorkspaceError

KINDS = ("folder", "list", "metadata", "tars")


@dataclass(frozen=True)
class SourceSpec:
    """One source of media. Paths are absolute.

    folder: `path` is a folder tree. list: `path` is a txt, csv, tsv or parquet file that names media files; names that
    are not absolute lie below `media`. metadata: `path` is the reference's tsv, `media` the folder of the files it
    describes. tars: `path` is a WebDataset tar, or a folder of them.
    """

    kind: str
    path: str
    media: str = ""

    @property
    def root(self) -> str:
        """The folder that the `path` of this source's rows in videos.parquet is relative to."""
        if self.kind == "tars" and Path(self.path).suffix == ".tar":
            return str(Path(self.path).parent)
        return self.media or self.path

    def as_json(self) -> dict[str, str]:
        """The entry of workspace.json."""
        return {"kind": self.kind, "path": self.path} | ({"media": self.media} if self.media else {})


def folder(path: str | os.PathLike[str]) -> SourceSpec:
    """A folder tree of media files."""
    return SourceSpec("folder", _absolute(path))


def file_list(path: str | os.PathLike[str], media: str | os.PathLike[str] | None = None) -> SourceSpec:
    """A list of files; names in it that are not absolute are looked for below `media` (the list's own folder)."""
    return SourceSpec("list", _absolute(path), _absolute(Path(path).parent if media is None else media))


def metadata(path: str | os.PathLike[str], media: str | os.PathLike[str]) -> SourceSpec:
    """The reference's metadata.tsv and the folder that holds the files it describes."""
    return SourceSpec("metadata", _absolute(path), _absolute(media))


def tars(path: str | os.PathLike[str]) -> SourceSpec:
    """A WebDataset tar, or a folder that holds such tars."""
    return SourceSpec("tars", _absolute(path))


def read_sources(description: Mapping[str, Any]) -> list[SourceSpec]:
    """The sources in a workspace.json of any format: 1 had `roots`, folders alone. Raises `WorkspaceError`."""
    if description.get("format_version") == 1:
        return [SourceSpec("folder", str(root)) for root in description.get("roots", [])]
    found = []
    for entry in description.get("sources", []):
        if not isinstance(entry, dict) or entry.get("kind") not in KINDS or not isinstance(entry.get("path"), str):
            raise WorkspaceError(
                f"workspace.json names a source that is not known: {str(entry)[:200]}.",
                hint=f"Known kinds: {', '.join(KINDS)}.",
            )
        found.append(SourceSpec(entry["kind"], entry["path"], str(entry.get("media", ""))))
    return found


def _absolute(path: str | os.PathLike[str]) -> str:
    try:
        return str(Path(path).expanduser().resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{os.fspath(path)[:200]!r} is not a path that can be followed ({error}).") from error
