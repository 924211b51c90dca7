"""A folder in, of a disk or of a store, a sorted list of the files that may be media out, and of the places that could
not be looked at.
"""

# Names are bytes here, which pathlib does not take.
# ruff: noqa: PTH114, PTH116, PTH118, PTH122, PTH208

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from curation import remote
from curation.errors import InputError
from curation.media.roots import AllowedRoots
from curation.urls import is_url, normal

# Suffixes that are never media. Everything else is a candidate: files without a suffix or with an unknown one are
# probed like the rest, and the probe decides. (.ts is not here: it is also MPEG's transport stream.)
_NOT_MEDIA = """
txt csv tsv json jsonl md rst html htm xml yaml yml toml ini cfg conf log py pyc pyi ipynb js map css sh bat
c cc cpp h hpp java rs go rb php sql tex bib pdf doc docx odt rtf xls xlsx ods ppt pptx odp epub
npy npz pkl pickle pt pth ckpt safetensors onnx h5 hdf5 parquet arrow feather avro db sqlite lmdb mat bin
zip tar gz tgz bz2 xz zst 7z rar iso whl jar deb rpm exe dll so dylib o a lock sha256 md5
jpg jpeg png gif bmp tif tiff webp svg ico heic heif avif psd raw cr2 nef arw
srt vtt ass ssa sub idx lrc nfo m3u m3u8 pls torrent part crdownload tmp bak swp ds_store url lnk
"""
NOT_MEDIA = frozenset(_NOT_MEDIA.split())


@dataclass(frozen=True)
class Entry:
    """A candidate. `path_bytes` is relative to the root, as the file system has it, with "/" between parts.

    `problem` is empty, or a sentence that says why the file or folder could not be looked at.
    """

    path_bytes: bytes
    size_bytes: int
    mtime_ns: int
    problem: str = ""

    @property
    def path(self) -> str:
        """`path_bytes` as a str that the os functions take back unchanged (surrogate escapes)."""
        return os.fsdecode(self.path_bytes)


@dataclass
class Found:
    """What a walk found: entries sorted by `path_bytes`; n_skipped files of other kinds; truncated at max_files."""

    entries: list[Entry] = field(default_factory=list)
    n_skipped: int = 0
    truncated: bool = False

    @property
    def problems(self) -> list[Entry]:
        """The entries that could not be looked at."""
        return [entry for entry in self.entries if entry.problem]


def find_media(
    root: str | Path,
    *,
    extensions: Collection[str] | None = None,
    max_files: int | None = None,
    allowed: AllowedRoots | None = None,
) -> Found:
    """List the files below `root` that may be media.

    extensions: take only these suffixes (without dots, any case); by default all but the known other kinds, and no
    hidden files. Links are followed, each folder is visited once (loops end); with `allowed`, links that lead out
    of the allowed folders are not. Folders that cannot be read are entries with a `problem`, and so are such links.
    With `max_files` the walk stops early; which files are found then still does not depend on the disk's order.
    Raises InputError when `root` is no folder or cannot be read; of a store also NotAllowedError.
    """
    if is_url(root):
        return _in_store(str(root), extensions, max_files, allowed)
    if not Path(root).is_dir():
        raise InputError(f"{os.fspath(root)!r} is not a folder.", hint="Choose a folder that holds videos.")
    walk = _Walk(os.fsencode(root), _suffixes(extensions), max_files, allowed)
    walk.run()
    return walk.found


def _suffixes(extensions: Collection[str] | None) -> frozenset[str] | None:
    return None if extensions is None else frozenset(e.lower().lstrip(".") for e in extensions)


def _in_store(
    root: str, extensions: Collection[str] | None, max_files: int | None, allowed: AllowedRoots | None
) -> Found:
    """As `find_media`, of a folder of a store: the same entries as the same files on a disk have."""
    if allowed is not None:
        allowed.check_place(root)
    wanted, found = _suffixes(extensions), Found()
    for one in remote.objects_below(root, max_files):
        path = one.key.encode("utf-8", "surrogateescape")
        if path.startswith(b".") or b"/." in path:
            continue
        if not is_candidate(path, wanted):
            found.n_skipped += 1
        elif max_files is not None and len(found.entries) >= max_files:
            found.truncated = True
            break
        else:
            found.entries.append(Entry(path, one.size_bytes, one.mtime_ns, _nameable(f"{root}/{one.key}")))
    return found


def _nameable(url: str) -> str:
    """Empty, or why an object cannot be asked for."""
    try:
        normal(url)
    except InputError as error:
        return error.message
    return ""


def is_candidate(path: bytes, wanted: frozenset[str] | None) -> bool:
    """Whether a file's name speaks for a medium: one of the suffixes, or none of those that are never media."""
    suffix = os.path.splitext(path)[1].lstrip(b".").lower().decode("ascii", "replace")
    return suffix in wanted if wanted is not None else suffix not in NOT_MEDIA


class _Walk:
    """Depth first in byte order of names, with a stack of its own: no depth of folders can overflow it."""

    def __init__(
        self, root: bytes, wanted: frozenset[str] | None, max_files: int | None, allowed: AllowedRoots | None
    ) -> None:
        self.root, self.wanted, self.allowed = root, wanted, allowed
        self.limit = float("inf") if max_files is None else max_files
        self.found = Found()
        self.visited: set[tuple[int, int]] = set()

    def run(self) -> None:
        stack = [b""]
        while stack and not self.found.truncated:
            stack += reversed(self._folder(stack.pop()))
        self.found.entries.sort(key=lambda entry: entry.path_bytes)

    def _folder(self, relative: bytes) -> list[bytes]:
        """Take the files of one folder, return its subfolders."""
        full = os.path.join(self.root, relative) if relative else self.root
        try:
            info = os.stat(full)
            if (info.st_dev, info.st_ino) in self.visited:
                return []
            self.visited.add((info.st_dev, info.st_ino))
            names = sorted(os.listdir(full))
        except OSError as error:
            if not relative:
                raise InputError(
                    f"{os.fsdecode(full)!r} cannot be read: {error.strerror}.",
                    hint="Check the folder's permissions.",
                ) from error
            self._add(Entry(relative, 0, 0, f"The folder cannot be read: {error.strerror}."))
            return []
        folders = []
        for name in names:
            if name.startswith(b"."):
                continue
            path = os.path.join(relative, name) if relative else name
            if self._is_folder_or_take(path):
                folders.append(path)
            if self.found.truncated:
                break
        return folders

    def _is_folder_or_take(self, path: bytes) -> bool:
        full = os.path.join(self.root, path)
        try:
            info = os.stat(full)
        except OSError as error:
            if self._is_candidate(path):
                self._add(Entry(path, 0, 0, f"The file cannot be looked at: {error.strerror}."))
            else:
                self.found.n_skipped += 1
            return False
        if self.allowed is not None and os.path.islink(full) and not self.allowed.allows(os.fsdecode(full)):
            if stat.S_ISDIR(info.st_mode) or self._is_candidate(path):
                self._add(Entry(path, 0, 0, "The link leads out of the folders that may be read."))
            return False
        if stat.S_ISDIR(info.st_mode):
            return True
        if stat.S_ISREG(info.st_mode) and self._is_candidate(path):
            self._add(Entry(path, info.st_size, info.st_mtime_ns))
        else:
            self.found.n_skipped += 1
        return False

    def _is_candidate(self, path: bytes) -> bool:
        return is_candidate(path, self.wanted)

    def _add(self, entry: Entry) -> None:
        if len(self.found.entries) >= self.limit:
            self.found.truncated = True
        else:
            self.found.entries.append(entry)
