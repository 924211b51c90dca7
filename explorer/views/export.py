"""Names, sizes and offers of the export page: numbers and paths in, texts and free names out. No Streamlit."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.views import overview, words

FOLDER = "exports"
DOWNLOAD_MAX_BYTES = 20_000_000
UNFINISHED = ".unfinished"
_LISTED_MAX = 50
_COUNTED_MAX = 2000  # files of a folder whose sizes are added up
_UNFINISHED_NAME = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.unfinished")
KINDS = {
    "acav-csv": "list", "csv": "list", "parquet": "list", "jsonl": "list", "files": "list", "webdataset": "clips",
    "videofolder": "clips", "fiftyone": "dataset", "bundle": "reproduce", "report": "read",
}  # fmt: skip
PREVIEWED = {"webdataset": 3, "videofolder": 3, "fiftyone": 2}
"""Clips in the preview of a format; ten in that of a list."""
CUTS = {
    "auto": "auto: copied where a keyframe is near",
    "copy": "copy: as they are, from the keyframe before",
    "exact": "exact: encoded again to the frame",
}


@dataclass(frozen=True)
class ExportedFile:
    """A file or folder in the workspace's folder of exports; `size_bytes` None: too many files to add up."""

    name: str
    size_bytes: int | None
    modified: float
    is_folder: bool = False

    @property
    def is_small(self) -> bool:
        """A file small enough to be handed to the browser."""
        return not self.is_folder and self.size_bytes is not None and self.size_bytes < DOWNLOAD_MAX_BYTES


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


def cost_line(rows: int, size_bytes: int, seconds: float | None, free_bytes: int | None) -> str:
    """`80 in all, about 5.7 MB · about 12 s to cut · 31 GB free there`."""
    parts = [f"{rows:,} in all, about {overview.size(size_bytes)}"]
    if seconds is not None:
        parts.append(f"about {overview.duration(max(1.0, seconds))} to cut")
    if free_bytes is not None:
        parts.append(f"{overview.size(free_bytes)} free there")
    return " · ".join(parts)


def result_lines(facts: Mapping[str, Any]) -> list[str]:
    """What became of an export, from the facts of its job, plain text: a line of numbers, then what is missing."""
    parts = [words.count(int(facts.get("clips", facts.get("rows", 0))))]
    if facts.get("bytes"):
        parts.append(overview.size(int(facts["bytes"])))
    cuts = facts.get("cuts") or {}
    named = {"copy": "copied", "exact": "encoded"}
    parts += [f"{count:,} {named.get(name, name)}" for name, count in sorted(cuts.items())]
    lines = [f"{Path(str(facts.get('out', ''))).name}: {' · '.join(parts)}"]
    failed = facts.get("failed") or {}
    if failed:
        codes = ", ".join(f"{count:,} {code}" for code, count in sorted(failed.items()))
        lines.append(f"{words.count(sum(failed.values()))} missing ({codes}): report.csv says why, clip by clip.")
    return lines + [str(notice) for notice in facts.get("notices") or []][:5]


def exported_files(folder: Path) -> list[ExportedFile]:
    """The newest files and folders of a folder of exports, at most 50."""
    found = []
    try:
        for path in folder.iterdir():
            info = path.lstat()
            if path.name.startswith(".") or stat.S_ISLNK(info.st_mode):
                continue
            if stat.S_ISDIR(info.st_mode):
                found.append((path, info.st_mtime, True))
            elif stat.S_ISREG(info.st_mode):
                found.append((path, info.st_mtime, False))
    except OSError:
        return []
    newest = sorted(found, key=lambda item: (-item[1], item[0].name))[:_LISTED_MAX]
    return [
        ExportedFile(path.name, _folder_size(path) if is_folder else path.lstat().st_size, modified, is_folder)
        for path, modified, is_folder in newest
    ]


def unfinished(folder: Path) -> dict[str, list[Path]]:
    """What cancelled or failed exports left: the name that was meant, and its hidden folders."""
    found: dict[str, list[Path]] = {}
    try:
        for path in sorted(folder.iterdir()):
            match = _UNFINISHED_NAME.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                found.setdefault(match["name"], []).append(path)
    except OSError:
        return {}
    return dict(list(found.items())[:_LISTED_MAX])


def argv_of(workspace: Path, format: str, out: str, source: Sequence[str], cut: Mapping[str, Any] | None) -> list[str]:
    """The command that does the export; of the cutting only what differs from the defaults."""
    argv = ["export", str(workspace), "--format", format, "--out", out, *source]
    defaults = {"cut": "auto", "tolerance": 0.1, "shard-clips": 1000, "shard-mb": 1000}
    for name, default in defaults.items():
        value = (cut or {}).get(name, default)
        if value != default:
            argv += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return argv


def _folder_size(folder: Path) -> int | None:
    total = 0
    for k, path in enumerate(folder.rglob("*")):
        if k >= _COUNTED_MAX:
            return None
        try:
            info = path.lstat()
        except OSError:
            continue
        total += info.st_size if stat.S_ISREG(info.st_mode) else 0
    return total
