"""Which folders this process may read for a person: a path in, the same path without links out, or a refusal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from curation.errors import NotAllowedError

VARIABLE = "CONCORD_ROOTS"
PROJECT = Path(__file__).resolve().parents[2]


class AllowedRoots:
    """Folders below which everything may be read, links resolved first.

    Without `folders`: those of the environment variable CONCORD_ROOTS (separated like PATH), or else the user's home
    and the folder that contains the project, unless that is the whole file system.
    """

    def __init__(self, folders: Iterable[str | Path] | None = None) -> None:
        given = list(folders) if folders is not None else _configured()
        self.folders: tuple[Path, ...] = tuple(dict.fromkeys(Path(f).expanduser().resolve() for f in given))

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

    def allows(self, path: str | Path) -> bool:
        """Would `check` accept it?"""
        try:
            self.check(path)
        except NotAllowedError:
            return False
        return True


def _configured() -> list[Path]:
    value = os.environ.get(VARIABLE, "")
    if value.strip():
        return [Path(part) for part in value.split(os.pathsep) if part.strip()]
    folders = [Path.home()]
    if PROJECT.parent != Path(PROJECT.anchor):
        folders.append(PROJECT.parent)
    return folders


def _shown(path: str | Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\n", "\\n")
