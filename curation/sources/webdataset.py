"""A set of WebDataset tars: their media members, read in place; the json, txt and cls files beside them as columns.

Files of a sample stand one after another and share everything before the first dot of their name (the key).
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from curation import remote
from curation.errors import InputError, MediaError
from curation.media.location import member_path, open_bytes
from curation.media.roots import AllowedRoots
from curation.media.walk import NOT_MEDIA, Entry, find_media
from curation.records import real_path, shown_path
from curation.sources.base import Item, Source, require_file, require_folder
from curation.sources.columns import plain_text, tidy
from curation.urls import is_url

MAX_SIDECAR_BYTES = 1 << 20
MAX_MEDIA_OF_SAMPLE = 1000
COMPRESSED = (b".tgz", b".tar.gz", b".tar.bz2", b".tar.xz", b".tar.zst")
SIDECARS = ("json", "txt", "cls")


class WebDatasetSource(Source):
    """The media members of one tar, or of all tars below a folder."""

    kind = "tars"

    def check(self) -> None:
        if is_url(self.spec.path):
            if self.spec.path.endswith(".tar"):
                require_file(self.spec.path, "tar")
            else:
                require_folder(self.spec.path, "", "")
            return
        if not Path(self.spec.path).exists():
            raise InputError(f"There is no tar and no folder {self.spec.path}.", hint="Check the path.")
        if not Path(self.spec.path).is_dir() and Path(self.spec.path).suffix != ".tar":
            raise InputError(f"{self.spec.path} is not a tar.", hint="Give a .tar file or a folder that holds some.")

    def items(self, allowed: AllowedRoots | None) -> Iterator[Item]:
        self.check()
        if allowed is not None:
            allowed.check_place(self.spec.path)
        for entry in self._tars(allowed):
            if entry.problem:
                yield Item(entry.path_bytes, code="unreadable", problem=entry.problem)
            elif entry.path_bytes.lower().endswith(COMPRESSED):
                problem = "It is compressed, so its members cannot be read in place: unpack it to a plain tar first."
                yield Item(entry.path_bytes, code="compressed_tar", problem=problem)
            else:
                yield from self._members(entry)

    def _tars(self, allowed: AllowedRoots | None) -> Iterator[Entry]:
        path = Path(self.spec.path)
        if is_url(self.spec.path) and path.suffix == ".tar":
            facts = remote.facts(self.spec.path)
            yield Entry(os.fsencode(path.name), facts.size_bytes, facts.mtime_ns)
            return
        if not is_url(self.spec.path) and not path.is_dir():
            info = path.stat()
            yield Entry(os.fsencode(path.name), info.st_size, info.st_mtime_ns)
            return
        found = find_media(self.spec.path, extensions=("tar", "tgz", "gz", "bz2", "xz", "zst"), allowed=allowed)
        self.n_skipped += found.n_skipped
        for entry in found.entries:
            if entry.problem or entry.path_bytes.lower().endswith((b".tar", *COMPRESSED)):
                yield entry
            else:
                self.n_skipped += 1

    def _members(self, entry: Entry) -> Iterator[Item]:
        """The items of one tar, and one more where it is damaged."""
        n_members = 0
        sample = _Sample(entry)
        try:
            with open_bytes(real_path(self.spec.root, entry.path_bytes)) as file:
                for member in _headers(file):
                    n_members += 1
                    if not member.isreg() or Path(member.name).name.startswith("."):
                        continue
                    if not sample.takes(member):
                        yield from sample.items()
                        sample = _Sample(entry)
                    self.n_skipped += not sample.add(member, file)
        except MediaError as error:
            yield Item(entry.path_bytes, code=error.code, problem=error.message)
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            damage = "is cut off or damaged" if n_members else "is not a tar"
            problem = f"It {damage} after {n_members} members ({str(error)[:120]})."
            yield Item(entry.path_bytes, code="truncated_tar" if n_members else "not_a_tar", problem=problem)
        yield from sample.items()


def _headers(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The members' headers, one at a time; none is kept. Raises tarfile.TarError."""
    with tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as tar:
        while (member := tar.next()) is not None:
            yield member
            tar.members = []  # type: ignore[attr-defined]  # which would hold all headers
        # tarfile takes a header that it cannot read for the end
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("a header that cannot be read")


class _Sample:
    """The files of one key while they are read."""

    def __init__(self, tar: Entry) -> None:
        self._tar = tar
        self._key: str | None = None
        self._media: list[tarfile.TarInfo] = []
        self._columns: dict[str, Any] = {}

    def takes(self, member: tarfile.TarInfo) -> bool:
        """Does `member` belong to the sample that is being read?"""
        return self._key in (None, _key(member)[0]) and len(self._media) < MAX_MEDIA_OF_SAMPLE

    def add(self, member: tarfile.TarInfo, file: BinaryIO) -> bool:
        """Take one member; False for one of another kind."""
        self._key, extension = _key(member)
        if extension in SIDECARS and member.size <= MAX_SIDECAR_BYTES and not member.issparse():
            self._columns |= _sidecar(extension, _content(file, member))
            return True
        if extension.rpartition(".")[2] in NOT_MEDIA:
            return False
        self._media.append(member)
        return True

    def items(self) -> Iterator[Item]:
        """The media of the sample."""
        title = plain_text(str(self._columns.pop("title", None) or ""))[:1000]
        shown_tar = shown_path(self._tar.path_bytes)
        columns = tidy({"shard": shown_tar, "sample_key": self._key, **self._columns})
        for member in self._media:
            name = _bytes(member.name)
            path = member_path(self._tar.path_bytes, member.offset_data, member.size, name)
            shown = f"{shown_tar}/{shown_path(name)}"
            code, problem = "", ""
            if member.issparse():
                code, problem = "sparse", "It is stored with holes, so it cannot be read in place."
            elif member.offset_data + member.size > self._tar.size_bytes:
                code, problem = "truncated_tar", "The tar that holds it ends before it does."
            yield Item(
                path,
                member.size,
                self._tar.mtime_ns,
                code,
                problem,
                shown,
                title,
                columns,
            )


def _key(member: tarfile.TarInfo) -> tuple[str, str]:
    """Key and extension of a member: `a/b.c.mp4` has the key `a/b` and the extension `c.mp4`."""
    folder, slash, name = member.name.rpartition("/")
    stem, _, extension = name.partition(".")
    return folder + slash + stem, extension.lower()


def _bytes(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace")


def _content(file: BinaryIO, member: tarfile.TarInfo) -> bytes:
    at = file.tell()
    file.seek(member.offset_data)
    content = file.read(member.size)
    file.seek(at)
    return content


def _sidecar(extension: str, content: bytes) -> dict[str, Any]:
    """What a file beside a medium says: the fields of a json object, the text, the class. A broken json says so."""
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    if extension != "json":
        return {extension: text}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {"sidecar_problem": "the json beside it cannot be read"}
    return found if isinstance(found, dict) else {"json": found}
