"""videofolder: cut clips as files with `metadata.jsonl`, as `datasets.load_dataset("videofolder", ...)` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from curation.atomic import replacing, write_json
from curation.exporters.base import FolderExporter, Task
from curation.exporters.parts import CutClip, Part, PartMaker, dataset_facts, read_parts, write_parts
from curation.exporters.webdataset import sidecar_preview

SPLIT = "train"
FILES_A_FOLDER = 1000
_LINES = "metadata-lines"


class VideoFolderExporter(FolderExporter):
    """`train/000000/<key>.mp4` and `train/metadata.jsonl`, whose `file_name` is the path below `train`.

    All clips are one split, `train`: a split of clips of the same source into train and test would leak.
    """

    name = "videofolder"
    title = "Hugging Face videofolder"
    suffix = ""
    description = "The clips cut as files with metadata, loaded by datasets.load_dataset('videofolder', data_dir=...)."
    cuts = True

    def fill(self, task: Task) -> dict[str, Any]:
        folder = task.place / SPLIT
        held = task.place / ".parts" / _LINES
        held.mkdir(parents=True, exist_ok=True)
        most = min(task.settings.shard_clips, FILES_A_FOLDER)
        facts = write_parts(task, _Folders(folder, held), most, 1 << 62)
        numbers = dict.fromkeys(r["file"].split("/")[1] for r in read_parts(task) if r["status"] == "ok")
        with replacing(folder / "metadata.jsonl") as temporary, temporary.open("wb") as handle:
            for number in numbers:
                with (held / f"{number}.jsonl").open("rb") as lines:
                    shutil.copyfileobj(lines, handle)
        write_json(task.place / "dataset.json", dataset_facts(task, facts))
        return facts

    def preview(self, task: Task) -> str:
        return sidecar_preview(task, lambda clip: f"{SPLIT}/000000/{clip.key}.mp4 and a line of metadata.jsonl:")


class _Folders(PartMaker):
    def __init__(self, folder: Path, held: Path) -> None:
        self._folder, self._held = folder, held

    def begin(self, number: int) -> Part:
        place = self._folder / f"{number:06d}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return _Folder(place, self._held / f"{number:06d}.jsonl")


class _Folder(Part):
    """One folder of clips, and its lines of metadata."""

    def __init__(self, place: Path, lines: Path) -> None:
        self._place = place
        self._lines = lines.open("w", encoding="utf-8", newline="\n")

    def add(self, clip: CutClip) -> tuple[str, int]:
        assert clip.file is not None
        name = f"{self._place.name}/{clip.key}.mp4"
        size = clip.file.stat().st_size
        shutil.copyfile(clip.file, self._place / f"{clip.key}.mp4")
        line = {"file_name": name, **clip.sidecar()}
        self._lines.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        return f"{SPLIT}/{name}", size

    def close(self) -> None:
        self._lines.close()
