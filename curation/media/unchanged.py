"""Files that were replaced while a run was under way: outcomes of decoding in, the same out, but the error `changed`
where the file is no longer the one that was scanned. What was measured of another file must not get this one's name;
the next scan sees the new file.

A store that does not answer any more ends the run: clips must not be given up because a network was away for a while.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from curation import remote
from curation.errors import MediaError
from curation.media.location import locate
from curation.media.sandbox import Outcome
from curation.urls import is_url


def only_unchanged(
    outcomes: Iterable[Outcome], scanned: Callable[[Outcome], tuple[int, int] | None]
) -> Iterator[Outcome]:
    """The outcomes, those of files that changed as errors. `scanned`: size (bytes) and time (ns) of the file that an
    outcome's payload names by `path`, when it was scanned; None where that is not known. Raises `InputError`
    (unreachable) where a store does not answer; what is finished stays, and the next run goes on from there.
    """
    for outcome in outcomes:
        if outcome.error is not None and outcome.error.code == remote.UNREACHABLE:
            raise remote.input_error(outcome.error)
        known = scanned(outcome)
        problem = "" if known is None else problem_of(str(outcome.payload["path"]), *known)
        if problem:
            error = MediaError(problem, hint="Run again: it is scanned anew.", code="changed")
            yield dataclasses.replace(outcome, value=None, error=error)
        else:
            yield outcome


def problem_of(path: str, size_bytes: int, mtime_ns: int) -> str:
    """Why the medium at `path` is not the one with this size and time, as a sentence; empty where it is.

    Of a member of a tar the time is the tar's. Raises `InputError` (unreachable).
    """
    location = locate(path)
    try:
        now_bytes, now_ns = _facts(location.file)
    except (OSError, ValueError, MediaError) as error:
        if isinstance(error, MediaError) and error.code == remote.UNREACHABLE:
            raise remote.input_error(error) from None
        return "The file is gone or may not be looked at any more; it was there when the media were scanned."
    whole = location.size is None
    if now_ns == mtime_ns and (not whole or now_bytes == size_bytes):
        return ""
    return f"The {'file' if whole else 'tar that holds it'} was changed or replaced since the media were scanned."


def _facts(file: str) -> tuple[int, int]:
    if is_url(file):
        found = remote.facts(file)
        return found.size_bytes, found.mtime_ns
    info = Path(file).stat()
    return info.st_size, info.st_mtime_ns
