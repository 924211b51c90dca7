"""What a source would give, before anything runs: a `SourceSpec` in, its media, what is said of them and why some
cannot be used out; and, for media with metadata, how many videos each filter would drop.

Looks at the first media of a source only, opens none of them, and reads nothing outside the allowed folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from curation.config import FilterConfig
from curation.home import concord_home
from curation.media.roots import AllowedRoots
from curation.media.walk import find_media
from curation.records import real_path, shown_path
from curation.sources import language, rules
from curation.sources.base import Item, Source
from curation.sources.file_list import FileListSource
from curation.sources.metadata_tsv import MetadataSource
from curation.sources.registry import source_of
from curation.sourcespec import SourceSpec

ITEMS_MAX = 20_000
FILES_MAX = 100_000  # of a folder whose files are matched to metadata: some seconds of walking
JUDGED_MAX = 5_000  # telling a language takes about a millisecond
EXAMPLES = 200
SAID = ("description", "category", "metadata_duration_s")


@dataclass(frozen=True)
class Preview:
    """The first media of a source.

    `paths`: the files that can be opened, as the operating system wants them. `problems`: the others by code.
    `examples`: the first rows, file, title, why it cannot be used, and what else is said of it. `columns`: names of
    what is said. `is_whole`: False where there are more. `said`: title, description, category, seconds of every medium.
    `files_looked_at`: None, or of media with metadata how many files of their folder, where it has more; lines without
    a file among them have the code `not_looked_for`.
    """

    paths: list[str]
    problems: dict[str, int]
    n_skipped: int
    columns: list[str]
    examples: list[dict[str, Any]]
    is_whole: bool
    said: list[tuple[Any, ...]] = field(default_factory=list, repr=False)
    files_looked_at: int | None = None

    @property
    def n(self) -> int:
        """Media that were looked at."""
        return len(self.paths) + sum(self.problems.values())


def look_into(spec: SourceSpec, most: int = ITEMS_MAX) -> Preview:
    """The first `most` media of a source. Raises `InputError` where it cannot be read, `NotAllowedError`."""
    source = source_of(spec)
    allowed = _allowed()
    if spec.kind != "folder":
        allowed.check_place(spec.path)
    source.check()
    # A folder of millions is not walked to its end for a look
    if isinstance(source, MetadataSource):
        source.files_max = FILES_MAX
    items = _of_folder(source, most, allowed) if spec.kind == "folder" else source.items(allowed)
    paths, problems = [], Counter[str]()
    columns: dict[str, None] = {}
    examples: list[dict[str, Any]] = []
    said = []
    for item in islice(items, most):
        columns |= dict.fromkeys(item.columns)
        if item.code:
            problems[item.code] += 1
        else:
            paths.append(real_path(spec.root, item.path_bytes))
        if len(examples) < EXAMPLES:
            examples.append(_row(item))
        if "youtube_id" in item.columns and spec.kind == "metadata":
            said.append((item.title, *(item.columns.get(name) for name in SAID)))
    is_whole = next(items, None) is None
    cut_short = FILES_MAX if isinstance(source, MetadataSource) and source.is_cut_short else None
    return Preview(
        paths, dict(problems.most_common()), source.n_skipped, list(columns), examples, is_whole, said, cut_short
    )  # fmt: skip


def _allowed() -> AllowedRoots:
    return AllowedRoots([*AllowedRoots().places, concord_home()])


def _of_folder(source: Source, most: int, allowed: AllowedRoots) -> Iterator[Item]:
    found = find_media(source.spec.path, max_files=most + 1, allowed=allowed)
    source.n_skipped = found.n_skipped
    for entry in found.entries:
        yield Item(entry.path_bytes, code="unreadable" if entry.problem else "", problem=entry.problem)


def columns_of_list(spec: SourceSpec) -> list[str]:
    """Columns of a list of files beside the paths. Raises `InputError`, `NotAllowedError`."""
    _allowed().check_place(spec.path)
    return FileListSource(spec).columns()


@dataclass(frozen=True)
class Dropped:
    """What the metadata filters would do: videos looked at, dropped by code, and the first of each."""

    looked_at: int
    counts: dict[str, int]
    examples: list[dict[str, str]]

    @property
    def kept(self) -> int:
        return self.looked_at - sum(self.counts.values())


def judge(preview: Preview, settings: FilterConfig) -> Dropped:
    """What the metadata filters of these settings drop of the first 5,000 media that have metadata."""
    verdict_of = rules.MetadataRules(settings, detect=_language).judge
    counts: Counter[str] = Counter()
    examples: list[dict[str, str]] = []
    for title, description, category, duration_s in preview.said[:JUDGED_MAX]:
        verdict = verdict_of(title, description, category, duration_s)
        if verdict.code:
            counts[verdict.code] += 1
            if len(examples) < EXAMPLES:
                examples.append({"title": title, "code": verdict.code, "message": verdict.message})
    return Dropped(min(len(preview.said), JUDGED_MAX), dict(counts.most_common()), examples)


@lru_cache(maxsize=4 * JUDGED_MAX)
def _language(text: str) -> str:
    """As `language.detect`; each text is told once, while a person tries settings."""
    return language.detect(text)


def _row(item: Item) -> dict[str, Any]:
    name = item.shown or shown_path(item.path_bytes)
    return {"file": name, "title": item.title or "", "code": item.code, "message": item.problem, **item.columns}


def shown(path: str) -> str:
    """A path as any text field can show it: bytes that are no UTF-8 as \\xNN."""
    return shown_path(os.fsencode(path))
