"""The user's own folder of Concord (`CONCORD_HOME`, by default ~/concord): where workspaces, recents and caches lie.

Also the one place that says which folders the browser's side may open: the allowed roots, and always the home itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from curation.errors import InputError, NotAllowedError
from curation.media.roots import AllowedRoots
from curation.media.walk import Found, find_media
from curation.urls import is_url, local_path, place_of
from curation.workspace import Workspace


def concord_home() -> Path:
    """The folder given by `CONCORD_HOME`, or ~/concord; absolute, links resolved. It need not exist yet."""
    return Path(os.environ.get("CONCORD_HOME") or "~/concord").expanduser().resolve()


def workspaces_folder() -> Path:
    """Where workspaces made in the browser lie."""
    return concord_home() / "workspaces"


def cache_folder(name: str) -> Path:
    """A folder for things that can be made again; it need not exist yet."""
    return concord_home() / "cache" / name


def check_allowed(path: str | os.PathLike[str]) -> Path:
    """`path` absolute and with links resolved. Raises `NotAllowedError` outside the allowed roots and the home."""
    try:
        resolved = local_path(path).expanduser().resolve()
    except InputError as error:
        raise NotAllowedError(error.message, hint=error.hint, code=error.code) from error
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, an unknown user, a NUL character
        raise NotAllowedError("This path cannot be followed.", hint="Give a plain absolute path.") from error
    home = concord_home()
    if resolved == home or home in resolved.parents:
        return resolved
    return AllowedRoots().check(resolved)


def check_allowed_place(text: str) -> str:
    """As `check_allowed`, of a path or of an address; `file://` becomes a path. Raises also `InputError` (bad_url)."""
    place = place_of(text.strip())
    return AllowedRoots().check_place(place) if is_url(place) else str(check_allowed(place))


def open_allowed(path: str | os.PathLike[str]) -> Workspace:
    """The workspace at `path`. Raises `NotAllowedError` outside the allowed roots, `WorkspaceError` without one."""
    return Workspace.open(check_allowed(path))


def media_in(folder: str | os.PathLike[str], max_files: int) -> Found:
    """The media files below an allowed folder, the first `max_files` of them.

    Raises `NotAllowedError`, and `InputError` when it is no folder or cannot be read.
    """
    return find_media(check_allowed(folder), max_files=max_files)


def browsable_roots() -> list[Path]:
    """The folders from which a person may start to browse, those that are there."""
    return [folder for folder in dict.fromkeys((*AllowedRoots().folders, concord_home())) if folder.is_dir()]


def subfolders(folder: str | os.PathLike[str], limit: int = 500) -> list[str]:
    """Names of the folders in an allowed folder, sorted, without hidden ones, at most `limit`.

    Raises `NotAllowedError`; a folder that cannot be read has none.
    """
    names = []
    try:
        with os.scandir(check_allowed(folder)) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and _is_folder(entry):
                    names.append(entry.name)
    except OSError:
        return []
    return sorted(names, key=str.casefold)[:limit]


def files_in(folder: str | os.PathLike[str], suffixes: tuple[str, ...], limit: int = 500) -> list[str]:
    """Names of the files in an allowed folder with one of these endings, sorted, at most `limit`; as `subfolders`."""
    names = []
    try:
        with os.scandir(check_allowed(folder)) as entries:
            for entry in entries:
                if entry.name.lower().endswith(suffixes) and not entry.name.startswith(".") and not _is_folder(entry):
                    names.append(entry.name)
    except OSError:
        return []
    return sorted(names, key=str.casefold)[:limit]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
