"""From a folder to a selection: wall time by stage, peak memory of all processes, beside plain decoding.

    python benchmarks/end_to_end.py FOLDER [--truth truth.csv --key clip --column is_match] [--set STAGE.SETTING=VALUE]

Floor: PyAV decodes picture and sound of the same files without converting anything, one file a process, as many
processes.
Prints a table and writes it, with machine and versions, to benchmarks/results/end_to_end-NAME.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import av
import psutil

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--key", default="clip")
    parser.add_argument("--column", default="is_match")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--name", default="", help="name of the results file; the folder's by default")
    options = parser.parse_args()

    lines = [
        f"# End to end: {options.folder.name}",
        "",
        f"`{' '.join(['python benchmarks/end_to_end.py', options.folder.name, *sys.argv[2:]])}`",
        "",
    ]
    lines += [machine(), ""]
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Path(temporary) / "ws"
        settings = [part for item in options.set for part in ("--set", item)]
        seconds, peak_mb, said = measured(["run", workspace, "--media", options.folder, *settings])
        floor_s, n_files = plain_decoding(options.folder)
        lines += ["| what | value |", "| --- | --- |"]
        lines += [f"| `run`, wall | {seconds:.1f} s |", f"| peak memory, all processes | {peak_mb:.0f} MB |"]
        for line in said.splitlines():
            if line[:1].isalpha() and " s  " in line:  # "features     16.3 s  clips 54, ..."
                name, _, rest = line.partition(" ")
                took, _, facts = rest.strip().partition("  ")
                lines.append(f"| {name} | {took}: {facts} |")
                if name == "features":
                    features_s, clips = float(took.split()[0]), int(facts.split(" ")[1].rstrip(",").replace(",", ""))
        lines.append(f"| plain decoding of {n_files} files, {workers()} processes | {floor_s:.1f} s |")
        lines.append(
            f"| features, of plain decoding | {features_s / floor_s:.2f} times, {clips / features_s:.1f} clips/s |"
        )
        if options.truth:
            call(["import", workspace, "--truth", options.truth, "--key", options.key, "--column", options.column,
                  "--name", "truth_match"])  # fmt: skip
            lines += ["", "```", call(["precision", workspace]).strip(), "```"]
    text = "\n".join(lines) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"end_to_end-{options.name or options.folder.name}.md").write_text(text, "utf-8")


def machine() -> str:
    """One line on the machine and the versions that matter."""
    names = ("av", "torch", "faiss-gpu", "numba", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    memory = psutil.virtual_memory().total / 2**30
    return f"{workers()} cores ({platform.machine()}), {memory:.0f} GiB, Python {platform.python_version()}, {versions}"


def workers() -> int:
    return len(os.sched_getaffinity(0))


def call(arguments: list[object]) -> str:
    command = [sys.executable, "-m", "curation", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def measured(arguments: list[object]) -> tuple[float, float, str]:
    """Wall seconds, peak resident MB summed over the process and its children (ten looks a second), and its output."""
    command = [sys.executable, "-m", "curation", *map(str, arguments)]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.1):
            try:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                peak = max(peak, sum(member.memory_info().rss for member in family) / 2**20)
            except psutil.Error:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    seconds = time.perf_counter() - started
    ended.set()
    watcher.join()
    if process.returncode:
        raise SystemExit(out)
    return seconds, peak, out


def plain_decoding(folder: Path) -> tuple[float, int]:
    """Seconds to decode every file below `folder`, and how many there are."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".csv", ".md", ".txt"))
    with ProcessPoolExecutor(workers()) as pool:
        list(pool.map(decode, files[: workers()]))  # imports are not part of the floor
        started = time.perf_counter()
        list(pool.map(decode, files, chunksize=4))
        return time.perf_counter() - started, len(files)


def decode(path: Path) -> int:
    """Decode picture and sound of one file; returns frames."""
    count = 0
    try:
        with av.open(str(path)) as container:
            streams = [*container.streams.video[:1], *container.streams.audio[:1]]
            for stream in streams:
                stream.thread_count = 1
            for packet in container.demux(streams):
                count += sum(1 for _ in packet.decode())
    except (av.FFmpegError, AttributeError, OSError):
        return count
    return count


if __name__ == "__main__":
    main()
