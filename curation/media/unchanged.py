"""Files that were replaced while a run was under way: outcomes of decoding in, the same out, but the error `changed`
where the file is no longer the one that was scanned. What was measured of another file must not get this one's name;
the next scan sees the new file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from curation.errors import MediaError
from curation.media.location import locate
from curation.media.sandbox import Outcome


def only_unchanged(
    outcomes: Iterable[Outcome], scanned: Callable[[Outcome], tuple[int, int] | None]
) -> Iterator[Outcome]:
    """The outcomes, those of files that changed as errors. `scanned`: size (bytes) and time (ns) of the file that an
    outcome's payload names by `path`, when it was scanned; None where that is not known.
    """
    for outcome in outcomes:
        known = scanned(outcome)
        problem = "" if known is None else problem_of(str(outcome.payload["path"]), *known)
        if problem:
            error = MediaError(problem, hint="Run again: it is scanned anew.", code="changed")
            yield dataclasses.replace(outcome, value=None, error=error)
        else:
            yield outcome


def problem_of(path: str, size_bytes: int, mtime_ns: int) -> str:
    """Why the medium at `path` is not the one with this size and time, as a sentence; empty where it is.

    Of a member of a tar the time is the tar's.
    """
    location = locate(path)
    try:
        now = Path(location.file).stat()
    except (OSError, ValueError):
        return "The file is gone or may not be looked at any more; it was there when the media were scanned."
    whole = location.size is None
    if now.st_mtime_ns == mtime_ns and (not whole or now.st_size == size_bytes):
        return ""
    return f"The {'file' if whole else 'tar that holds it'} was changed or replaced since the media were scanned."
