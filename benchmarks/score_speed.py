"""How long the methods that score every clip take on large data, how much memory, and what a fit on a sample loses.

    python benchmarks/score_speed.py [--clips 10000000 100000000] [--methods ratio ascent mixture concord]
        [--loss 10000000] [--folder FOLDER] [--out FILE]

Made assignments, 5 + 5 clusterings of 32 clusters, 25 pairs, int8, in a file that is mapped; budget 20 %. Half of the
clips correspond: their clusterings show one kind, in three cases of ten. Every run has a process of its own and is
warmed up on the first clips, so compiling does not count; peak memory is that of the process, mapped pages included.
Processor seconds say how much work it was, whoever else uses the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from tables import Table  # noqa: E402
from toydata import machine  # noqa: E402

from curation.selection import select  # noqa: E402

CLUSTERS, HALF = 32, 5
MODALITIES = ["audio"] * HALF + ["visual"] * HALF
METHODS = ("ratio", "ascent", "mixture", "concord")
_CLEAR, _BLOCK, _WARM = 0.3, 1 << 20, 500_000
BUDGET = 0.2


def made_file(folder: Path, n: int) -> Path:
    """Assignments int8 (n, 10) as `.npy`; clip i corresponds where bit 0 of byte i of the file beside it is set."""
    path = folder / f"codes-{n}.npy"
    if path.exists():
        return path
    codes = np.lib.format.open_memmap(path, "w+", np.int8, (n, 2 * HALF))
    truth = np.lib.format.open_memmap(truth_file(path), "w+", np.uint8, (n,))
    for k, low in enumerate(range(0, n, _BLOCK)):
        rng, m = np.random.default_rng([n, k]), min(_BLOCK, n - low)
        picture = rng.integers(0, CLUSTERS, m, np.int8)
        matched = rng.random(m, np.float32) < 0.5
        sound = np.where(matched, picture, rng.integers(0, CLUSTERS, m, np.int8))
        for d in range(2 * HALF):
            clear = rng.random(m, np.float32) < _CLEAR
            codes[low : low + m, d] = np.where(clear, sound if d < HALF else picture,
                                               rng.integers(0, CLUSTERS, m, np.int8))  # fmt: skip
        truth[low : low + m] = matched
    return path


def truth_file(path: Path) -> Path:
    """Where the truth of a file of assignments lies."""
    return path.with_name(f"truth-{path.name}")


def one_run(path: Path, method: str, options: dict[str, Any], keep: Path | None, per_source: int) -> dict[str, Any]:
    """One selection in this process: seconds by part, peak memory, precision, F. `keep`: chosen rows, as bits;
    `per_source`: clips of a source, 0 = sources unknown.
    """
    codes = np.load(path, mmap_mode="r")
    groups = np.arange(len(codes), dtype=np.int32) // per_source if per_source else None
    select(codes[:_WARM], MODALITIES, budget=BUDGET, method=method, options=options | {"sample": _WARM // 2}
           if method != "ratio" else options, controls=False,
           groups=None if groups is None else groups[:_WARM])  # fmt: skip
    began = time.process_time()
    found = select(codes, MODALITIES, budget=BUDGET, method=method, options=options, controls=False,
                   groups=groups)  # fmt: skip
    processor_s = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    truth = np.load(truth_file(path), mmap_mode="r")
    if keep is not None:
        chosen = np.zeros(len(codes), bool)
        chosen[found.order] = True
        np.save(keep, np.packbits(chosen))
    return {
        **found.report["timings_s"],
        "peak_mib": peak / 1024,
        "processor_s": processor_s,
        "precision": float(truth[np.sort(found.order)].mean()),
        "objective": found.objective,
        "selected": len(found.order),
    }


def in_own_process(path: Path, method: str, options: dict[str, Any], keep: Path | None = None,
                   per_source: int = 0) -> dict[str, Any]:  # fmt: skip
    """`one_run` in a new process."""
    command = [sys.executable, __file__, "--one", str(path), method, json.dumps(options), str(keep or ""),
               str(per_source)]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def part_speed(table: Table, folder: Path, sizes: list[int], methods: list[str]) -> None:
    """Seconds and memory by size and method."""
    for n in sizes:
        path = made_file(folder, n)
        table.head(f"{n:,} clips: {n * 2 * HALF / 2**20:,.0f} MiB of assignments",
                   ["method", "checks, s", "method, s", "F of the choice, s", "together, s", "processor, s",
                    "peak, MiB", "precision", "F, nats"])  # fmt: skip
        for method in methods:
            r = in_own_process(path, method, {})
            table.row([method, f"{r['check']:.1f}", f"{r['choose']:.1f}", f"{r['curve']:.1f}",
                       f"{r['check'] + r['choose'] + r['curve']:.1f}", f"{r['processor_s']:.1f}",
                       f"{r['peak_mib']:,.0f}", f"{r['precision']:.4f}", f"{r['objective']:.4f}"])  # fmt: skip


def part_loss(table: Table, folder: Path, n: int, methods: list[str]) -> None:
    """A fit on 5 million clips, and on fewer, beside the fit on all."""
    path = made_file(folder, n)
    table.head(f"{n:,} clips: what a fit on a sample loses", ["method", "fitted on", "method, s", "peak, MiB",
               "precision", "F, nats", "chosen as by the full fit"])  # fmt: skip
    for method in (m for m in methods if m != "ratio"):
        kept = [folder / f"chosen-{k}.npy" for k in range(2)]
        for k, sample in enumerate((n, 5_000_000, 500_000)):
            r = in_own_process(path, method, {"sample": sample}, kept[min(k, 1)])
            same = np.bitwise_count(np.load(kept[0]) & np.load(kept[min(k, 1)])).sum() / r["selected"]
            table.row([method, f"{sample:,}", f"{r['choose']:.1f}", f"{r['peak_mib']:,.0f}", f"{r['precision']:.4f}",
                       f"{r['objective']:.4f}", f"{same:.4f}"])  # fmt: skip
        for file in kept:
            file.unlink()


def part_sources(table: Table, folder: Path, n: int, methods: list[str]) -> None:
    """What it costs to leave a clip's own source out, where samples take sources whole and where they cannot."""
    path = made_file(folder, n)
    table.head(f"{n:,} clips: sources left out", ["method", "clips of a source", "method, s", "processor, s",
               "peak, MiB", "precision"])  # fmt: skip
    for method in methods:
        for per_source in (0, 8, 20_000):
            r = in_own_process(path, method, {}, per_source=per_source)
            table.row([method, f"{per_source:,}" if per_source else "unknown", f"{r['choose']:.1f}",
                       f"{r['processor_s']:.1f}", f"{r['peak_mib']:,.0f}", f"{r['precision']:.4f}"])  # fmt: skip


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        path, method, options, keep, per_source = sys.argv[2:]
        kept = Path(keep) if keep else None
        print(json.dumps(one_run(Path(path), method, json.loads(options), kept, int(per_source))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, nargs="*", default=[10_000_000, 100_000_000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--loss", type=int, default=10_000_000, help="clips of the other two tables; 0 = none")
    parser.add_argument("--folder", type=Path, help="where the files are made, 12 bytes a clip; else a temporary one")
    parser.add_argument("--out", type=Path, help="keep the tables here, as Markdown")
    args = parser.parse_args()
    table = Table()
    table.add(machine())
    with contextlib.ExitStack() as stack:
        folder = args.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        part_speed(table, folder, args.clips, args.methods)
        if args.loss:
            part_loss(table, folder, args.loss, args.methods)
            part_sources(table, folder, args.loss, args.methods)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("# Speed of the methods that score every clip\n\n" + "\n".join(table.lines) + "\n")


if __name__ == "__main__":
    main()
