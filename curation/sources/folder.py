"""A folder tree of media files: every file that may be media, and every place that could not be looked at."""

from __future__ import annotations

from collections.abc import Iterator

from curation.media.roots import AllowedRoots
from curation.media.walk import find_media
from curation.sources.base import Item, Source, require_folder


class FolderSource(Source):
    """All below one folder."""

    kind = "folder"

    def check(self) -> None:
        require_folder(
            self.spec.path,
            f"The media folder {self.spec.path} does not exist.",
            "Give the path of a folder that holds videos.",
        )

    def items(self, allowed: AllowedRoots | None) -> Iterator[Item]:
        found = find_media(self.spec.path, allowed=allowed)
        self.n_skipped = found.n_skipped
        for entry in found.entries:
            code = "unreadable" if entry.problem else ""
            yield Item(entry.path_bytes, entry.size_bytes, entry.mtime_ns, code, entry.problem)
