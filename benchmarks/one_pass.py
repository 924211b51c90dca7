"""From files to measured clips, beside plain decoding: scan, segment, features and health of folders of videos.

    python benchmarks/one_pass.py FOLDER [FOLDER ...] [--files N] [--workers N] [--parts] [--name NAME]

Floor: PyAV decodes picture and sound of the same files without converting anything, one file a process, as many
processes. Ratios of wall time, and of processor time (of all processes, which other work on the machine does not
change). `--parts` adds what each step of the one pass costs, one file after another in one process.
Prints tables and writes them, with machine and versions, to benchmarks/results/NAME.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from end_to_end import RESULTS, ROOT, decode, machine, workers

sys.path.insert(0, str(ROOT))

from curation import pipeline
from curation.config import Config
from curation.extractors.run import survey_file
from curation.media.container import open_media
from curation.media.layout import Layout
from curation.media.probe import probe
from curation.media.reader import SoundFormat, VideoEvent, read_span
from curation.media.shots import THRESHOLDS, ShotDetector
from curation.media.survey import ClipFormat, Reel
from curation.progress import Progress
from curation.workspace import Workspace

STAGES = ("scan", "filter", "segment", "features", "health")
DEFAULTS = Config().features
EXTRACTORS = [name for name in f"{DEFAULTS.extractors},{DEFAULTS.measures}".split(",") if name]
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=0, help="only the first N files of each folder")
    parser.add_argument("--workers", type=int, default=workers())
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--name", default="one_pass", help="name of the results file")
    options = parser.parse_args()
    lines = ["# From files to measured clips, beside plain decoding", "", machine(), ""]
    lines += [
        "| videos | clips | plain decoding, s (processor) | scan | segment | features | health "
        "| all, s (processor) | clips/s | wall, times | processor, times |",
        "|" + " --- |" * 11,
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folders = [sample(folder, options.files, Path(temporary)) for folder in options.folders]
        lines += [row_of(folder, options.workers) for folder in folders]
        if options.parts:
            lines += ["", "Processor time of each step, one file after another, in units of plain decoding.", ""]
            lines += ["| videos | decode | and audio | and shots | and pictures | and features |", "|" + " --- |" * 6]
            lines += [parts_of(folder) for folder in folders]
    text = "\n".join(lines) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.md").write_text(text, "utf-8")


def media_of(folder: Path) -> list[Path]:
    """The files that are neither tables nor texts."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".csv", ".md", ".txt"))


def sample(folder: Path, count: int, place: Path) -> Path:
    """A folder with links to the first `count` files; the folder itself for 0."""
    if not count:
        return folder
    small = place / folder.name
    small.mkdir()
    for path in media_of(folder)[:count]:
        (small / path.name).symlink_to(path.resolve())
    return small


def processor_s() -> float:
    """Of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, busy = time.perf_counter(), processor_s()
    work()
    return time.perf_counter() - wall, processor_s() - busy


def row_of(folder: Path, n_workers: int) -> str:
    """One row of the table: one run of the stages, as a user's is; the floor before and after it, the quicker one
    counts."""
    floors = [plain(folder, n_workers)]
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Workspace.create(Path(temporary) / "ws", roots=[str(folder)])
        workspace.configure({"resources.workers": str(n_workers)})
        stages: dict[str, float] = {}
        all_s, all_busy = timed(
            lambda: pipeline.run(
                workspace, Progress(), only=STAGES, on_stage=lambda name, report, took: stages.update({name: took})
            )
        )
        clips = workspace.n_rows("clips")
    floors.append(plain(folder, n_workers))
    floor_s, floor_busy = (min(floor[i] for floor in floors) for i in (0, 1))
    columns = " | ".join(f"{stages[name]:.1f}" for name in ("scan", "segment", "features", "health"))
    return (
        f"| {folder.name}, {len(media_of(folder))} | {clips} | {floor_s:.1f} ({floor_busy:.1f}) | {columns} "
        f"| {all_s:.1f} ({all_busy:.1f}) | {clips / all_s:.1f} | {all_s / floor_s:.2f} | {all_busy / floor_busy:.2f} |"
    )


def plain(folder: Path, n_workers: int) -> tuple[float, float]:
    """Wall and processor seconds of plain decoding."""
    files = media_of(folder)
    with ProcessPoolExecutor(n_workers) as pool:
        list(pool.map(abs, range(n_workers)))  # starting the processes is not part of the floor
        started = time.perf_counter()
        busy = sum(pool.map(busy_decode, files))
        return time.perf_counter() - started, busy


def busy_decode(path: Path) -> float:
    """Processor seconds that `end_to_end.decode` takes."""
    return processor_time(decode, path)


def parts_of(folder: Path) -> str:
    """Another row: processor time of growing pieces of the one pass."""
    steps: list[Callable[[Path], object]] = [decode, with_sound, with_shots, with_pictures, with_features]
    totals = [0.0] * len(steps)
    for path in media_of(folder)[:8]:
        took = [[processor_time(step, path) for step in steps] for _ in range(REPEATS)]
        totals = [total + min(column) for total, column in zip(totals, zip(*took))]
    return f"| {folder.name} | " + " | ".join(f"{total / totals[0]:.2f}" for total in totals) + " |"


def processor_time(step: Callable[[Path], object], path: Path) -> float:
    """Processor seconds of this process."""
    before = time.process_time()
    step(path)
    return time.process_time() - before


def with_sound(path: Path, *, shots: bool = False, pictures: bool = False) -> None:
    """What the one pass does without features, or a part of it."""
    with open_media(path) as media:
        detector, reel = ShotDetector(), Reel(media, ClipFormat()) if pictures else None
        for event in read_span(media, 0.0, float("inf"), SoundFormat()):
            if isinstance(event, VideoEvent):
                if shots:
                    detector.push(event.frame, event.time_s, event.hold_s)
                if reel is not None:
                    reel.see(event)


def with_shots(path: Path) -> None:
    with_sound(path, shots=True)


def with_pictures(path: Path) -> None:
    with_sound(path, shots=True, pictures=True)


def with_features(path: Path) -> None:
    layout = Layout(threshold=THRESHOLDS["structure"])
    survey_file(
        {
            "path": str(path),
            "duration_s": probe(path)["duration_s"],
            "detector": "structure",
            "layout": dataclasses.asdict(layout),
            "extractors": EXTRACTORS,
        }
    )


if __name__ == "__main__":
    main()
