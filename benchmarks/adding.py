"""What a few more files cost: a run of a folder of made videos, then the same command with 1 % more of them.

    python benchmarks/adding.py [--files 300] [--added 3] [--seconds 4] [--from FOLDER] [--set STAGE.SETTING=VALUE]

Four runs of `python -m curation run`: of all files; again with nothing new (what starting costs); with the files that
were added; and again with ten times as many more. The last two tell what a file costs by itself from what starting the
decoding processes costs, however few files there are. Wall time, and processor time of all processes, which other work
on the machine disturbs less. With `--from` the videos are those of a folder (as `made_videos.py` makes them), each
several times, without decoding, from a later keyframe on: of the length and the size that recorded ones have.
Prints a table and writes it, with machine and versions, to benchmarks/results/adding.md.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.end_to_end import RESULTS, machine  # noqa: E402
from tests.mediamaker import make_video  # noqa: E402

_STAGE = re.compile(r"^([a-z]+) +([\d.]+) s  (.*)$")


@dataclass(frozen=True)
class Run:
    """One command: wall and processor seconds, seconds by stage, and what it said."""

    wall_s: float
    cpu_s: float
    stages_s: dict[str, float]
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--added", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a video")
    parser.add_argument("--from", dest="source", type=Path, default=None, help="a folder of videos to take")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--name", default="adding", help="name of the results file")
    options = parser.parse_args()
    settings = [part for item in options.set for part in ("--set", item)]
    with tempfile.TemporaryDirectory() as temporary:
        media, workspace = Path(temporary) / "media", Path(temporary) / "ws"
        media.mkdir()
        make(media, range(12), options)
        curation(["run", Path(temporary) / "first", "--media", media, *settings])  # kernels are compiled once a machine
        make(media, range(options.files), options)
        runs = {"all files": curation(["run", workspace, "--media", media, *settings])}
        runs["nothing new"] = curation(["run", workspace])
        make(media, range(options.files, options.files + options.added), options)
        runs["files added"] = curation(["run", workspace])
        make(media, range(options.files + options.added, options.files + 11 * options.added), options)
        runs["ten times as many added"] = curation(["run", workspace])
    text = report(runs, options)
    print(text)
    (RESULTS / f"{options.name}.md").write_text(text, "utf-8")


def make(folder: Path, numbers: Sequence[int], options: argparse.Namespace) -> None:
    """Videos of 160x120, 12 pictures a second, of eight kinds of sound; or others of a folder's."""
    sources = sorted(options.source.glob("*.mp4")) if options.source else []
    for i in numbers:
        place = folder / f"{(i * 7919) % 1000:03d} video {i}.mp4"  # the added ones lie among the others
        if sources:
            begin_later(sources[i % len(sources)], place, i // len(sources))
        else:
            make_video(place, seconds=options.seconds, seed=i, hz=110.0 * (1 + i % 8), scenes=1 + i % 3)


def begin_later(source: Path, place: Path, keyframe: int) -> None:
    """A video without decoding, from its `keyframe`th keyframe on, counted around where it has fewer."""
    with av.open(str(source)) as whole:
        picture = whole.streams.video[0]
        times = [packet.pts * packet.time_base for packet in whole.demux(picture) if packet.is_keyframe and packet.pts]
        start = ([0, *times[:-1]])[keyframe % max(1, len(times))]
    with av.open(str(source)) as whole, av.open(str(place), "w") as part:
        streams = {stream.index: part.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.dts is None or packet.pts * packet.time_base < start:
                continue
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = streams[packet.stream.index]
            part.mux(packet)


def curation(arguments: Sequence[object]) -> Run:
    command = [sys.executable, "-m", "curation", *map(str, arguments)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # What Python compiles is kept, as it is for a user: PYTHONDONTWRITEBYTECODE costs each command half a second
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    stages = {match[1]: float(match[2]) for line in done.stdout.splitlines() if (match := _STAGE.match(line))}
    return Run(wall_s, cpu_s, stages, done.stdout)


def report(runs: dict[str, Run], options: argparse.Namespace) -> str:
    full, idle = runs["all files"], runs["nothing new"]
    lines = [f"# Adding {options.added} files to {options.files}", ""]
    lines += [f"`{' '.join(['python benchmarks/adding.py', *sys.argv[1:]])}`", "", machine(), ""]
    lines += ["Seconds; a stage's are wall seconds. Beyond starting: less the run that found nothing new.", ""]
    lines += [f"| what | {' | '.join(runs)} |", "| --- |" + " --- |" * len(runs)]
    rows = {"wall": [run.wall_s for run in runs.values()], "processor": [run.cpu_s for run in runs.values()]}
    for name in full.stages_s:
        rows[name] = [run.stages_s.get(name, 0.0) for run in runs.values()]
    lines += [f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |" for name, values in rows.items()]
    for what, of in (("wall", lambda run: run.wall_s), ("processor", lambda run: run.cpu_s)):
        shares = " | ".join(f"{of(run) / of(full):.1%}" for run in runs.values())
        beyond = " | ".join(f"{(of(run) - of(idle)) / (of(full) - of(idle)):.1%}" for run in runs.values())
        lines += [f"| share of all, {what} | {shares} |", f"| beyond starting, {what} | {beyond} |"]
    one, ten = runs["files added"], runs["ten times as many added"]
    for what, of in (("wall", lambda run: run.wall_s), ("processor", lambda run: run.cpu_s)):
        alone = (of(ten) - of(one)) / 9
        lines.append(
            f"| the {options.added} files themselves, {what} | of all {alone / of(full):.1%} | | {alone:.2f} s | |"
        )
    lines += ["", "After adding:", "", "```", runs["files added"].said.strip(), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
