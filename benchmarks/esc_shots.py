"""Recorded clips cut at their shots, each with one photograph and one recording: files in, labelled shots out."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.toydata import cache_folder, data_folder
from curation.extractors.run import extract_file
from curation.pretraining.dataset import TinyClips, TinyFormat
from curation.pretraining.decoding import Span, decode
from curation.progress import Progress

VERSION = 1
MARGIN_S = {"0": 0.03, "1": 0.1}  # kept from a cut, and from a cross-fade
FORMAT = TinyFormat(frames=2, size_px=40, sound_frames=96)


@dataclass(frozen=True)
class Shots:
    """N shots. `picture_class`, `sound_class` int (N,) into `classes`; `photograph`, `recording`: names; `right` bool
    (N,): the recording is of the photograph's class.
    """

    spans: list[Span]
    classes: tuple[str, ...]
    picture_class: np.ndarray
    sound_class: np.ndarray
    photograph: list[str]
    recording: list[str]
    right: np.ndarray

    def tiny(self, progress: Progress) -> TinyClips:
        """Decoded once."""
        return decode(self.spans, FORMAT, cache_folder() / "tiny", progress, what="shots")

    def features(self, progress: Progress) -> dict[str, np.ndarray]:
        """Layers of the extractors `sound` and `picture`, float32 (N, d); measured once, a part at a time."""
        kept = cache_folder() / f"esc-shots-{VERSION}.npz"
        if not kept.exists():
            self._measure(kept, progress)
        with np.load(kept) as stored:
            return {name: stored[name] for name in stored.files}

    def _measure(self, kept: Path, progress: Progress) -> None:
        files = sorted({span.path for span in self.spans})
        progress.start("features", len(files), "files")
        rows = {path: [i for i, span in enumerate(self.spans) if span.path == path] for path in files}
        parts = kept.with_suffix("")
        parts.mkdir(exist_ok=True)
        for first in range(0, len(files), 100):
            part = parts / f"{first:05d}.npz"
            if not part.exists():
                np.savez(part, **self._measured([rows[path] for path in files[first : first + 100]]))
            progress.advance(100)
        found = [dict(np.load(part)) for part in sorted(parts.glob("[0-9]*.npz"))]
        order = np.concatenate([part.pop("rows") for part in found])
        layers = {name: np.concatenate([part[name] for part in found])[np.argsort(order)] for name in found[0]}
        temporary = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **layers)
        temporary.replace(kept)

    def _measured(self, groups: list[list[int]]) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {}
        for group in groups:
            result = extract_file({
                "path": self.spans[group[0]].path,
                "segments": [[self.spans[i].start_s, self.spans[i].end_s] for i in group],
                "extractors": ["sound", "picture"],
            })  # fmt: skip
            for name, values in result.items():
                if "/" in name and not name.startswith("valid/"):
                    found.setdefault(name.replace("/", "."), []).append(values)
        layers = {name: np.concatenate(values).astype(np.float32) for name, values in found.items()}
        return layers | {"rows": np.array([i for group in groups for i in group])}


def shots(folder: Path | None = None) -> Shots:
    """The shots of all clips, by the known cuts."""
    folder = folder or data_folder() / "esc-av"
    with (folder / "truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    with (folder / "clips.csv").open(newline="") as file:
        length = {row["clip"]: float(row["duration"]) for row in csv.DictReader(file)}
    classes = tuple(sorted({row["visual_class"] for row in truth}))
    spans, seen, heard, photograph, recording, right = [], [], [], [], [], []
    for row in truth:
        cuts = [0.0, *map(float, row["cuts_s"].split()), length[row["clip"]]]
        margin = MARGIN_S[row["cross_fade"]]
        for start, end, image in zip(cuts[:-1], cuts[1:], row["images"].split(), strict=True):
            spans.append(Span(str(folder / "clips" / row["clip"]), max(0.0, start + margin), end - margin))
            seen.append(classes.index(row["visual_class"]))
            heard.append(classes.index(row["audio_class"]))
            photograph.append(f"{row['visual_class']} {image}")
            recording.append(f"{row['audio_class']} {row['sounds']}")
            right.append(row["is_match"] == "1")
    return Shots(spans, classes, np.array(seen), np.array(heard), photograph, recording, np.array(right))
