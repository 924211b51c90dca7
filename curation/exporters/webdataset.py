"""webdataset: tars of the cut clips, `<key>.mp4` beside `<key>.json`, readable by webdataset and plain tar."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from curation.atomic import write_json
from curation.exporters.base import FolderExporter, Task
from curation.exporters.parts import CutClip, Part, PartMaker, dataset_facts, write_parts

PREVIEWED = 3


class WebDatasetExporter(FolderExporter):
    """A folder of `shard-000000.tar`, ... with at most so many clips and about so many bytes each, in the export's
    order; `dataset.json` tells what it is, `report.csv` what became of every clip."""

    name = "webdataset"
    title = "WebDataset tars"
    suffix = ""
    description = "The clips cut, in tar shards with a JSON beside each, for training loaders."
    cuts = True

    def fill(self, task: Task) -> dict[str, Any]:
        settings = task.settings
        facts = write_parts(task, _Shards(task.place), settings.shard_clips, settings.shard_mb * 1_000_000)
        facts["shards"] = len(list(task.place.glob("shard-*.tar")))
        write_json(task.place / "dataset.json", dataset_facts(task, facts))
        return facts

    def preview(self, task: Task) -> str:
        return sidecar_preview(task, lambda clip: f"shard-000000.tar: {clip.key}.mp4, {clip.key}.json")


def sidecar_preview(task: Task, name: Any) -> str:
    """The first clips' names and JSON, as they will be written."""
    lines, at = [], 0
    for batch in task.rows(()):
        for row in batch.to_pylist():
            if at < PREVIEWED:
                clip = CutClip(at, row, None, {})
                lines += [name(clip), json.dumps(clip.sidecar(), ensure_ascii=False, indent=1)]
            at += 1
    return "\n".join(lines)


class _Shards(PartMaker):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, number: int) -> Part:
        for left in self._folder.glob(".shard-*.partial"):
            left.unlink(missing_ok=True)
        return _Shard(self._folder / f"shard-{number:06d}.tar")


class _Shard(Part):
    """One tar, under a hidden name until it is whole. Owner, mode and time are the same everywhere: same clips, same
    bytes."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._partial = place.with_name(f".{place.name}.partial")
        self._tar = tarfile.open(self._partial, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115  (closed by `close`)

    def add(self, clip: CutClip) -> tuple[str, int]:
        assert clip.file is not None
        text = json.dumps(clip.sidecar(), ensure_ascii=False, allow_nan=False).encode("utf-8")
        size = clip.file.stat().st_size
        with clip.file.open("rb") as media:
            self._put(f"{clip.key}.mp4", size, media)
        self._put(f"{clip.key}.json", len(text), io.BytesIO(text))
        return f"{self._place.name}/{clip.key}.mp4", size + len(text) + 2048

    def close(self) -> None:
        self._tar.close()
        self._partial.replace(self._place)

    def _put(self, name: str, size: int, data: Any) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o644
        self._tar.addfile(info, data)
