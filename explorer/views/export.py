"""Names, sizes and offers of the export page: numbers and paths in, texts and free names out. No Streamlit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = "exports"
DOWNLOAD_MAX_BYTES = 20_000_000
_PARQUET_SHARE = 0.35  # a compressed Parquet file beside the same rows as CSV text
_LISTED_MAX = 50


@dataclass(frozen=True)
class ExportedFile:
    """A file in the workspace's folder of exports."""

    name: str
    size_bytes: int
    modified: float

    @property
    def is_small(self) -> bool:
        """Small enough to be handed to the browser."""
        return self.size_bytes < DOWNLOAD_MAX_BYTES


def default_name(workspace: str, what: str, suffix: str) -> str:
    """`web-videos-batch-greedy-0.2.csv`: a file name without anything a file system or shell minds."""
    stem = re.sub(r"[^\w.+-]+", "-", f"{workspace}-{what}").strip("-.")
    return f"{stem[:100] or 'clips'}{suffix}"


def free_path(path: Path) -> Path:
    """`path`, or with `-2`, `-3`, ... before its suffix when that is there already."""
    number, candidate = 1, path
    while candidate.exists() or candidate.is_symlink():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


def size_estimate(preview: str, n_preview: int, n_rows: int, format: str) -> int:
    """Bytes of the whole file, from the text of its first rows."""
    if n_preview <= 0:
        return 0
    share = _PARQUET_SHARE if format == "parquet" else 1.0
    return round(len(preview.encode("utf-8", "replace")) / n_preview * n_rows * share)


def exported_files(folder: Path) -> list[ExportedFile]:
    """The newest files of a folder of exports, at most 50."""
    found = []
    try:
        for path in folder.iterdir():
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                info = path.stat()
                found.append(ExportedFile(path.name, info.st_size, info.st_mtime))
    except OSError:
        return []
    return sorted(found, key=lambda file: (-file.modified, file.name))[:_LISTED_MAX]
