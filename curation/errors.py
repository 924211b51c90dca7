"""One exception tree. Every error says, in words for the person reading it, what happened and what to do next."""

from __future__ import annotations


class ConcordError(Exception):
    """Base of all errors that are meant to be read by a person.

    `code` is a short stable word for tables and tests, `message` a sentence, `hint` the next step (may be empty).
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class SettingError(ConcordError):
    """A setting is unknown, of the wrong type or out of range. Raised before any work starts."""

    code = "setting"


class InputError(ConcordError):
    """Data given by the user (arrays, tables, folders) cannot be used as asked."""

    code = "input"


class MediaError(ConcordError):
    """One media file cannot be opened, decoded or cut. Costs that file alone; `code` says which kind."""

    code = "media"


class WorkspaceError(ConcordError):
    """The workspace folder is missing, newer than this program, damaged or not writable."""

    code = "workspace"


class LockedError(WorkspaceError):
    """Another process is writing the same artefact."""

    code = "locked"


class NotAllowedError(ConcordError):
    """A path lies outside the folders that this process may read."""

    code = "not_allowed"


class MissingPackageError(ConcordError):
    """An optional package is needed; the message says what to install."""

    code = "missing_package"


class MissingArtefactError(WorkspaceError):
    """A stage needs what another stage has not made yet."""

    code = "missing_artefact"


class Cancelled(ConcordError):
    """The user cancelled. Finished parts stay; the next run goes on from them."""

    code = "cancelled"

    def __init__(self, message: str = "Cancelled. Finished work is kept; run again to go on.") -> None:
        super().__init__(message)
