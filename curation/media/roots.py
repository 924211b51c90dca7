"""Which folders this process may read for a person: a path in, the same path without links out, or a refusal.

Folders of a store are named by their address; what is asked of them is compared in its one spelling.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from curation import urls
from curation.errors import InputError, NotAllowedError

VARIABLE = "CONCORD_ROOTS"
PROJECT = Path(__file__).resolve().parents[2]


class AllowedRoots:
    """Folders below which everything may be read, links resolved first; `urls` are those of stores, by default none.

    Without `folders`: those of the environment variable CONCORD_ROOTS (separated like PATH, addresses among them:
    `s3://bucket/films:/data`), or else the user's home and the folder that contains the project, unless that is the
    whole file system.
    """

    def __init__(self, folders: Iterable[str | Path] | None = None) -> None:
        given = list(folders) if folders is not None else _configured()
        places = [urls.place_of(os.fspath(f)) for f in given]
        self.urls: tuple[str, ...] = tuple(dict.fromkeys(one for one in places if urls.is_url(one)))
        folders = (Path(one).expanduser().resolve() for one in places if not urls.is_url(one))
        self.folders: tuple[Path, ...] = tuple(dict.fromkeys(folders))

    def check(self, path: str | Path) -> Path:
        """The absolute path with all links resolved (it need not exist). Raises NotAllowedError when it
        lies outside."""
        try:
            resolved = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise NotAllowedError(f"{_shown(path)} is not a path that can be followed: {error}.") from error
        if not any(resolved.is_relative_to(folder) for folder in self.folders):
            allowed = ", ".join(map(_shown, self.folders)) or "none"
            raise NotAllowedError(
                f"{_shown(path)} lies outside the folders that may be read: {allowed}.",
                hint=f"To allow more, set the environment variable {VARIABLE} to the folders, "
                f"separated by '{os.pathsep}', and start again.",
            )
        return resolved

    @property
    def places(self) -> tuple[Path | str, ...]:
        """Folders and addresses."""
        return (*self.folders, *self.urls)

    def check_place(self, place: str | Path) -> str:
        """As `check`, of a path or of an address, which comes back in its one spelling. Raises NotAllowedError."""
        if not urls.is_url(place):
            return str(self.check(place))
        try:
            url = urls.normal(str(place))
        except InputError as error:
            raise NotAllowedError(error.message, hint=error.hint) from None
        if not any(urls.lies_below(url, prefix) for prefix in self.urls):
            raise NotAllowedError(
                f"{_shown(url)} lies outside the places that may be read: {', '.join(self.urls) or 'no store'}.",
                hint=f"To allow more, set the environment variable {VARIABLE} to the folders and addresses, "
                f"separated by '{os.pathsep}', and start again.",
            )
        return url

    def allows(self, path: str | Path) -> bool:
        """Would `check_place` accept it?"""
        try:
            self.check_place(path)
        except NotAllowedError:
            return False
        return True


def _configured() -> list[str | Path]:
    value = os.environ.get(VARIABLE, "")
    if value.strip():
        return list(urls.split_places(value))
    folders: list[str | Path] = [Path.home()]
    if PROJECT.parent != Path(PROJECT.anchor):
        folders.append(PROJECT.parent)
    return folders


def _shown(path: str | Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\n", "\\n")
