"""The reference's metadata tsv: `address or YouTube id <TAB> {json}` a line, matched to files by the id in their names.

Taken of the json: LatestDAFeature.{Title, Description, YouTubeCategory, VideoLength} and MediaVersionList[0].Duration.
A line without a file is an item with the code `missing`, a file without a line one with the code `no_metadata`, so that
the filters tell of every line what they would do.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import InputError, MediaError
from curation.media.location import open_bytes
from curation.media.roots import AllowedRoots
from curation.media.walk import Entry, find_media
from curation.remote import input_error
from curation.sources.base import Item, Source, require_file, require_folder
from curation.sources.columns import plain_text, tidy

MAX_LINE_BYTES = 1 << 20
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_URL_ID = re.compile(r"(?:[?&]v=|youtu\.be/|/embed/|/shorts/|/live/|/v/)([A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])")
_CLOCK = re.compile(r"(?:(\d{1,5}):)?(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)")


@dataclass(frozen=True)
class Line:
    """One line of the tsv. `duration_s` is None where it says nothing that can be read."""

    youtube_id: str
    url: str
    title: str
    description: str
    category: str
    duration_s: float | None

    def columns(self) -> dict[str, Any]:
        """What is kept beside the title."""
        return tidy(
            {
                "youtube_id": self.youtube_id,
                "url": self.url,
                "description": self.description,
                "category": self.category,
                "metadata_duration_s": self.duration_s,
            }
        )


class MetadataSource(Source):
    """The lines of a tsv with their media files below a folder.

    `files_max`: for a look, the walk stops after so many files; `is_cut_short` says whether it did, and a line without
    a file among them has the code `not_looked_for`.
    """

    kind = "metadata"
    files_max: int | None = None
    is_cut_short = False

    def check(self) -> None:
        require_file(self.spec.path, "metadata file")
        require_folder(
            self.spec.media,
            f"The folder {self.spec.media} with the media of {Path(self.spec.path).name} does not exist.",
            "Give the folder that holds the videos; their names contain the YouTube ids.",
        )

    def items(self, allowed: AllowedRoots | None) -> Iterator[Item]:
        self.check()
        if allowed is not None:
            allowed.check_place(self.spec.path)
            allowed.check_place(self.spec.media)
        found = find_media(self.spec.media, max_files=self.files_max, allowed=allowed)
        self.n_skipped, self.is_cut_short = found.n_skipped, found.truncated
        unmatched = {entry.path_bytes: entry for entry in found.entries if not entry.problem}
        by_id = _by_id(list(unmatched.values()))
        seen: set[str] = set()
        name = Path(self.spec.path).name
        for number, line in self._lines():
            place = os.fsencode(f"{name}:{number}")
            if isinstance(line, str):
                yield Item(place, code="broken_line", problem=f"Line {number}: {line}", title="")
            elif line.youtube_id in seen:
                problem = f"Line {number}: {line.youtube_id} stands there a second time."
                yield Item(place, code="repeated", problem=problem, title="")
            else:
                seen.add(line.youtube_id)
                files = [e for e in by_id.get(line.youtube_id, []) if unmatched.pop(e.path_bytes, None)]
                yield from _items(line, files, self.files_max if self.is_cut_short else None)
        for entry in [*unmatched.values(), *found.problems]:
            if entry.problem:
                yield Item(entry.path_bytes, code="unreadable", problem=entry.problem)
            else:
                problem = f"No line of {name} has an id that stands in the file's name."
                yield Item(entry.path_bytes, entry.size_bytes, entry.mtime_ns, "no_metadata", problem)

    def _lines(self) -> Iterator[tuple[int, Line | str]]:
        """Number and content of each line that is not blank, or a text that says what is wrong with it."""
        try:
            with open_bytes(self.spec.path) as handle:
                number = 0
                while raw := handle.readline(MAX_LINE_BYTES):
                    number += 1
                    if len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
                        while raw and not raw.endswith(b"\n"):
                            raw = handle.readline(MAX_LINE_BYTES)
                        yield number, f"it is longer than {MAX_LINE_BYTES} bytes."
                    elif raw.strip():
                        yield number, read_line(raw)
        except OSError as error:
            raise InputError(f"{self.spec.path} cannot be read ({error.strerror}).") from error
        except MediaError as error:
            raise input_error(error) from None


def read_line(raw: bytes) -> Line | str:
    """One line of the tsv, or what is wrong with it."""
    first, tab, rest = raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "backslashreplace").partition("\t")
    if not tab:
        return "there is no tab between address and json."
    youtube_id = youtube_id_of(first.strip())
    if youtube_id is None:
        return f"{first.strip()[:80]!r} holds no YouTube id."
    try:
        content = json.loads(rest)
    except (ValueError, RecursionError) as error:
        return f"its json cannot be read ({str(error)[:80]})."
    if not isinstance(content, dict) or not isinstance(content.get("LatestDAFeature"), dict):
        return "its json has no LatestDAFeature."
    feature = content["LatestDAFeature"]
    versions = content.get("MediaVersionList")
    version = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
    duration_s = seconds_of(version.get("Duration"))
    return Line(
        youtube_id,
        first.strip(),
        _text(feature.get("Title")),
        _text(feature.get("Description")),
        _text(feature.get("YouTubeCategory")),
        seconds_of(feature.get("VideoLength")) if duration_s is None else duration_s,
    )


def youtube_id_of(text: str) -> str | None:
    """The 11 characters of a YouTube address or of a bare id."""
    if _ID.fullmatch(text):
        return text
    found = _URL_ID.search(text)
    return found[1] if found else None


def seconds_of(value: Any) -> float | None:
    """A duration: a number of seconds, such a number as text, or h:mm:ss. None for anything else."""
    if isinstance(value, str):
        clock = _CLOCK.fullmatch(value.strip())
        if clock:
            return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 and math.isfinite(value) else None


def ids_in(name: str) -> list[str]:
    """What may be a YouTube id in a file's name, surest first: its stem, in brackets, at an end, between marks."""
    stem = name.rpartition(".")[0] or name
    bracketed = re.findall(r"\[([A-Za-z0-9_-]{11})\]", stem)
    at_ends = [stem[:11]] if _edge(stem[11:12]) else []
    at_ends += [stem[-11:]] if _edge(stem[-12:-11]) else []
    inside = [stem[k : k + 11] for k in range(1, len(stem) - 11) if _edge(stem[k - 1]) and _edge(stem[k + 11 : k + 12])]
    candidates = [*bracketed, *at_ends, *inside] if len(stem) != 11 else [stem]
    return list(dict.fromkeys(c for c in candidates if _ID.fullmatch(c)))


def _edge(character: str) -> bool:
    return not (character.isalnum() and character.isascii())


def _by_id(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Files by every id that their names may hold, those first in which it stands surest."""
    found: dict[str, list[tuple[int, bytes, Entry]]] = {}
    for entry in entries:
        name = entry.path_bytes.rpartition(b"/")[2].decode("utf-8", "replace")
        for rank, youtube_id in enumerate(ids_in(name)):
            found.setdefault(youtube_id, []).append((rank, entry.path_bytes, entry))
    return {key: [entry for *_, entry in sorted(rows, key=lambda row: row[:2])] for key, rows in found.items()}


def _items(line: Line, files: list[Entry], only_of: int | None) -> Iterator[Item]:
    """The files of a line, or why it has none; `only_of`: the walk ended after so many files."""
    columns = line.columns()
    for entry in files:
        yield Item(entry.path_bytes, entry.size_bytes, entry.mtime_ns, title=line.title, columns=columns)
    if not files:
        code, problem = "missing", f"No file with {line.youtube_id} in its name is in the folder."
        if only_of is not None:
            code = "not_looked_for"
            problem = (
                f"No file with {line.youtube_id} in its name is among the first {only_of:,} files of the folder; "
                "a run looks at all of them."
            )
        yield Item(line.youtube_id.encode(), code=code, problem=problem, title=line.title, columns=columns)


def _text(value: Any) -> str:
    return plain_text(" ".join(value.split()))[:10_000] if isinstance(value, str) else ""
