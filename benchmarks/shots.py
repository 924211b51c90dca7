"""Shots: both detectors on made cuts, their cost beside plain decoding, and what they find in videos people recorded.

    python benchmarks/shots.py CLIPS --truth truth.csv [--videos FOLDER] [--sheets FOLDER]

CLIPS is a folder of short videos; truth.csv says for each (`clip`) where it is cut (`cuts_s`, seconds, separated by
spaces) and whether the change is gradual (`cross_fade`); only hard cuts are counted. Thresholds are tuned on every
second clip (in the order of the file) and reported on the others. A cut is found when a detected one lies within
0.2 s of it, each detected one counting once.

FOLDER of `--videos` has no truth: each cut found there is listed, and drawn into `--sheets` (three frames before, three
after), for a person to judge. Writes benchmarks/results/shots.md; the judgement is kept in
benchmarks/results/shots_judged.csv (file, cut_s, is_cut, what) and joined to what is found.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from end_to_end import machine  # noqa: E402

from curation.errors import MediaError  # noqa: E402
from curation.media.container import open_media  # noqa: E402
from curation.media.pictures import png_bytes  # noqa: E402
from curation.media.reader import read_frames  # noqa: E402
from curation.media.shots import THRESHOLDS, ShotDetector, shot_cuts  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
JUDGED = RESULTS / "shots_judged.csv"
NEAR_S = 0.2
GRIDS = {"structure": (1.5, 2, 2.5, 3, 3.5, 4, 5, 6), "scdet": (5, 6, 7, 8, 9, 10, 12, 14)}
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    lines = ["# Shots", "", f"`python benchmarks/{Path(__file__).name}` on {machine()}.", ""]
    lines += made_cuts(options.clips, options.truth)
    if options.videos:
        files = [p for p in sorted(options.videos.iterdir()) if p.suffix not in (".csv", ".md")]
        lines += recorded(files, options.sheets) + cost(files)
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / "shots.md").write_text(text)


def made_cuts(folder: Path, truth: Path) -> list[str]:
    """Precision, recall and F1 at every threshold, on the half that tunes and on the other."""
    with truth.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["cross_fade"] == "0"]
    clips = [(folder / row["clip"], np.array([float(t) for t in row["cuts_s"].split()])) for row in rows]
    sides = [{_side(row["visual_class"] + name) for name in row["images"].split()} for row in rows]
    apart = [[clip for clip, of in zip(clips, sides) if of == {side}] for side in (0, 1)]
    lines = [
        f"## Made hard cuts ({sum(len(true) for _, true in clips)} in {len(clips)} clips)",
        "",
        "Tuned on every second clip, reported on the others. Pictures recur across clips, so the last two columns "
        f"split by picture: {len(apart[0])} clips show pictures of one half alone, {len(apart[1])} of the other.",
        "",
        "| detector | threshold | tuning half F1 | precision | recall | F1 | F1, pictures of one half | of the other |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for detector, grid in GRIDS.items():
        found = {path: shot_cuts(path, detector=detector, threshold=grid[0]) for path, _ in clips}
        for threshold in grid:
            halves = [agreement(found, part, threshold) for part in (clips[0::2], clips[1::2], *apart)]
            own = " (own)" if threshold == THRESHOLDS[detector] else ""
            figures = [halves[0][2], *halves[1], halves[2][2], halves[3][2]]
            lines.append(f"| {detector} | {threshold}{own} | " + " | ".join(f"{x:.3f}" for x in figures) + " |")
    return [*lines, ""]


def _side(picture: str) -> int:
    """Half of the pictures that one is in, by its name's checksum."""
    return zlib.crc32(picture.encode()) & 1


def agreement(found: dict[Path, Any], clips: list[Any], threshold: float) -> tuple[float, float, float]:
    """(precision, recall, F1) of the cuts with at least this score."""
    right = claimed = wanted = 0
    for path, true in clips:
        cuts_s = found[path]["cuts_s"][found[path]["scores"] >= threshold]
        right += matched(cuts_s, true)
        claimed, wanted = claimed + len(cuts_s), wanted + len(true)
    precision, recall = right / max(claimed, 1), right / max(wanted, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def matched(cuts_s: np.ndarray, true: np.ndarray) -> int:
    """How many true cuts have a detected one near that no other has taken."""
    free = list(cuts_s)
    for t in true:
        near = min(free, key=lambda cut: abs(cut - t), default=None)
        if near is not None and abs(near - t) < NEAR_S:
            free.remove(near)
    return len(cuts_s) - len(free)


def recorded(files: list[Path], sheets: Path | None) -> list[str]:
    """What both detectors find without truth, beside what a judge who looked said of each cut."""
    judged = read_judged()
    seconds, found = 0.0, []
    for path in files:
        for detector in GRIDS:
            try:
                shots = shot_cuts(path, detector=detector)
            except MediaError:
                continue
            seconds += shots["duration_s"] / len(GRIDS)
            found += [(detector, path, cut, judgement(judged, path.name, cut)) for cut in shots["cuts_s"].tolist()]
    if sheets is not None:
        draw(sorted({(path, cut) for _, path, cut, _ in found}), sheets)
    lines = [
        f"## Videos that people recorded ({len(files)} files, {seconds / 60:.1f} minutes)",
        "",
        "No truth exists: one judge looked at the frames around every cut that either detector found. Cuts that both "
        "miss are not counted. These videos were looked at while the threshold was chosen.",
        "",
        "| detector | cuts found | cuts | no cuts | not judged | false cuts a minute |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for detector in GRIDS:
        kinds = [row["is_cut"] if row else "?" for name, _, _, row in found if name == detector]
        true, false, unknown = (kinds.count(kind) for kind in ("1", "0", "?"))
        lines.append(f"| {detector} | {len(kinds)} | {true} | {false} | {unknown} | {false / seconds * 60:.2f} |")
    for detector, other in (("structure", "scdet"), ("scdet", "structure")):
        own = [(path.name, cut, row) for name, path, cut, row in found if name == detector and row]
        others = {(path.name, cut) for name, path, cut, _ in found if name == other}
        wrong = [f"{name} {cut:.2f} s ({row['what']})" for name, cut, row in own if row["is_cut"] == "0"]
        alone = [f"{name} {cut:.2f} s ({row['what']})" for name, cut, row in own
                 if row["is_cut"] == "1" and (name, cut) not in others]  # fmt: skip
        lines += ["", f"False ones of `{detector}`: {'; '.join(wrong) or 'none'}."]
        lines += ["", f"Cuts that `{detector}` alone found: {'; '.join(alone) or 'none'}."]
    return [*lines, ""]


def read_judged() -> list[dict[str, str]]:
    if not JUDGED.is_file():
        return []
    with JUDGED.open(newline="") as file:
        return list(csv.DictReader(file))


def judgement(judged: list[dict[str, str]], name: str, cut_s: float) -> dict[str, str] | None:
    """The judged cut of this file at this time (which is written with two decimals)."""
    return next((row for row in judged if row["file"] == name and abs(float(row["cut_s"]) - cut_s) < 0.011), None)


def draw(cuts: list[tuple[Path, float]], folder: Path) -> None:
    """One PNG a file: a row a cut, three frames before it and three from it on."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted({path for path, _ in cuts}):
        with open_media(path, want_audio=False) as media:
            frames = [(e.time_s, e.frame.reformat(width=120, height=80, format="rgb24").to_ndarray())
                      for e in read_frames(media, 0.0, 200.0)]  # fmt: skip
        rows = []
        for cut in [c for p, c in cuts if p == path]:
            at = int(np.argmin([abs(t - cut) for t, _ in frames]))
            shown = [frames[k][1] if 0 <= k < len(frames) else np.zeros((80, 120, 3), np.uint8)
                     for k in range(at - 3, at + 3)]  # fmt: skip
            rows.append(np.concatenate([*shown[:3], np.full((80, 6, 3), 255, np.uint8), *shown[3:]], axis=1))
        (folder / f"{path.stem}.png").write_bytes(png_bytes(np.concatenate(rows)))


def cost(files: list[Path]) -> list[str]:
    """CPU time of decoding the picture alone, and with each detector, in turns."""
    lines = [
        "## Cost",
        "",
        f"CPU time beside decoding the picture alone (best of {ROUNDS}, in turns, one thread).",
        "",
        "| file | size | frames | decoding, us a frame | structure | scdet |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    with_size = []
    for path in files:
        with open_media(path, want_audio=False) as media:
            with_size.append((media.video.codec_context.height, media.video.codec_context.width, path))
    for height in (224, 360, 720, 1080):
        height_px, width_px, path = min(with_size, key=lambda row: (abs(row[0] - height), row[2].name))
        times: dict[str, list[float]] = {"": [], "structure": [], "scdet": []}
        for _ in range(ROUNDS):
            for name, taken in times.items():
                started = time.process_time()
                n_frames = sum(1 for _ in through(path, ShotDetector(name).push if name else None))
                taken.append(time.process_time() - started)
        best = {name: min(taken) for name, taken in times.items()}
        lines.append(
            f"| {path.name[:8]} | {width_px}x{height_px} | {n_frames} | {best[''] / n_frames * 1e6:.0f} | "
            f"{best['structure'] / best['']:.2f} | {best['scdet'] / best['']:.2f} |"
        )
    return [*lines, ""]


def through(path: Path, push: Callable[..., None] | None) -> Iterator[None]:
    """Decodes up to 20 s of a file."""
    with open_media(path, want_audio=False) as media:
        for event in read_frames(media, 0.0, 20.0):
            if push is not None:
                push(event.frame, event.time_s, event.hold_s)
            yield None


if __name__ == "__main__":
    main()
