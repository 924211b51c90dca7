"""The contract of a source: a `SourceSpec` in, every medium that it names out, one `Item` each, usable or not."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from curation import remote, urls
from curation.errors import ConcordError, InputError, MediaError
from curation.media.roots import AllowedRoots
from curation.records import real_path, shown_path
from curation.sourcespec import SourceSpec


@dataclass(frozen=True)
class Item:
    """One medium that a source names. `path_bytes` is relative to the source's root, absolute, or an address.

    `code` and `problem` are empty, or say why it cannot be used. `shown` replaces the path where people read it,
    `title` the name of its folder. `columns` is what the source says of it beside that.
    """

    path_bytes: bytes
    size_bytes: int = 0
    mtime_ns: int = 0
    code: str = ""
    problem: str = ""
    shown: str = ""
    title: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


class Source(ABC):
    """Reads one source. Once `items` is at its end, `n_skipped` files of other kinds were passed over."""

    kind: ClassVar[str]

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec
        self.n_skipped = 0

    @abstractmethod
    def check(self) -> None:
        """Raise `InputError` where the source itself cannot be read."""

    @abstractmethod
    def items(self, allowed: AllowedRoots | None) -> Iterator[Item]:
        """Every medium the source names, each `path_bytes` once, in an order that does not depend on the disk.

        With `allowed`, nothing outside those folders is looked at: such media are items with the code `not_allowed`.
        Raises `InputError` where the source itself cannot be read, `NotAllowedError` where it may not be.
        """


def require_file(path: str, what: str) -> None:
    """Raise `InputError` where a path or an address is no regular file that can be read."""
    if urls.is_url(path):
        try:
            remote.facts(path)
        except MediaError as error:
            raise InputError(f"The {what}: {error.message}", hint=error.hint, code=error.code) from None
        return
    file = Path(path)
    if not file.is_file():
        raise InputError(f"There is no {what} {path}.", hint="Check the path; it may have been moved.")
    if not os.access(file, os.R_OK):
        raise InputError(f"The {what} {path} may not be read.", hint="Check its permissions.")


def require_folder(path: str, problem: str, hint: str) -> None:
    """Raise `InputError` where a path or an address is no folder: `problem`, of a store what it says."""
    if urls.is_url(path):
        remote.check_folder(path)
    elif not Path(path).is_dir():
        raise InputError(problem, hint=hint)


def look_at(root: str, path: bytes, allowed: AllowedRoots | None, **facts: Any) -> Item:
    """The item of one named file: with its size and time, or with the reason why it cannot be used."""

    def cannot(code: str, problem: str) -> Item:
        return Item(path, code=code, problem=problem, **facts)

    full = real_path(root, path)
    name = shown_path(path).rpartition("/")[2]
    if urls.is_url(full):
        try:
            if allowed is not None and not allowed.allows(full):
                return cannot("not_allowed", f"{name} lies outside the places that may be read.")
            found = remote.facts(full)
        except ConcordError as error:
            return cannot(error.code, error.message)
        return Item(path, found.size_bytes, found.mtime_ns, **facts)
    try:
        if allowed is not None and not allowed.allows(full):
            return cannot("not_allowed", f"{name} lies outside the folders that may be read.")
        info = Path(full).stat()
    except (FileNotFoundError, NotADirectoryError):
        return cannot("missing", f"There is no file {name} at the place that is named.")
    except PermissionError:
        return cannot("no_permission", f"{name} may not be read.")
    except (OSError, ValueError) as error:
        return cannot("unreadable", f"{name[:100]} cannot be looked at: {error}."[:300])
    if not stat.S_ISREG(info.st_mode):
        return cannot("not_a_file", f"{name} is not a regular file.")
    return Item(path, info.st_size, info.st_mtime_ns, **facts)
