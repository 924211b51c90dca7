"""How fast clips are chosen: batch-greedy beside its floor, other methods, and the one-hot tensors. Writes a table.

    python benchmarks/selection_speed.py [PART ...] [--clips 1e6 1e7] [--repeat 3] [--cuda] [--out FILE.md]

Parts: `grid` (clips x centroids x pairs x batch sizes), `methods` (random and ratio), `one-hot` (small N, against a
plain implementation with B x P x C x C tensors and the same draws), `large` (1e8 clips, memory-mapped). Every row runs
in a process of its own, so that its peak memory is its own. The *floor* does the very draws, row reads and look-ups of
the run, with the same kernels on as many threads, and selects nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import uint64

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.kernels import batch_greedy as kernel
from curation.kernels import pool as pools
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Rows, column_range, make_layout
from curation.kernels.draws import GOLDEN_INT, hashed, mix_int, stream_key
from curation.kernels.greedy_plan import Plan
from curation.kernels.pairing import pair_indices

LAYERS = 10
PARTS = ("grid", "methods", "one-hot", "large")
MAPPED_CELLS = 500_000_000  # assignments from here on lie in a file, memory-mapped
BATCHES = ((100, 25), (10_000, 2_500), (100_000, 25_000))
GRID_CLIPS = (100_000, 1_000_000, 10_000_000)


@compiled()
def _fill(codes: np.ndarray, low: int, clusters: int, seed: int) -> None:
    """Made assignments of the rows low, low + 1, ...: the layers of a clip name its kind in three cases of ten."""
    key, wide = hashed(uint64(seed), 0), uint64(clusters)
    for i in range(codes.shape[0]):
        row = hashed(key, low + i)
        for d in range(codes.shape[1]):
            h = hashed(row, d)
            named = row if (h & uint64(1023)) < uint64(307) else h
            codes[i, d] = ((named >> uint64(32)) * wide) >> uint64(32)


def made_codes(n: int, clusters: int, seed: int, folder: str) -> np.ndarray:
    """Assignments (n, LAYERS), int8 or int16; large ones written to `folder` and mapped from there."""
    dtype = np.int8 if clusters <= 128 else np.int16
    if n * LAYERS < MAPPED_CELLS:
        codes = np.empty((n, LAYERS), dtype)
        _fill(codes, 0, clusters, seed)
        return codes
    path = Path(folder) / f"{seed}.npy"
    mapped = np.lib.format.open_memmap(path, "w+", dtype, (n, LAYERS))
    for low in range(0, n, 1_000_000):
        part = np.empty((min(1_000_000, n - low), LAYERS), dtype)
        _fill(part, low, clusters, seed)
        mapped[low : low + len(part)] = part
    mapped.flush()
    del mapped
    mapped = np.load(path, mmap_mode="r")
    column_range(mapped)  # the pass that `select` makes to check its input; it maps the pages in
    return mapped


def made_plan(case: dict[str, Any], seed: int, folder: str, n: int | None = None) -> Plan:
    """5 audio and 5 visual clusterings, and the run that the case names."""
    n, clusters = n or case["clips"], case["clusters"]
    is_audio = np.arange(LAYERS) < LAYERS // 2
    pairs = pair_indices(is_audio, "bipartite" if case["pairs"] == 25 else "combination")
    return Plan(
        rows=Rows(made_codes(n, clusters, seed, folder), np.zeros(0, np.int32), is_audio),
        layout=make_layout(pairs, np.full(LAYERS, clusters)),
        weights=np.full(len(pairs), 1 / len(pairs)),
        budget=max(1, round(n * case["share"])),
        batch_size=min(case["batch"], n),
        selection_size=case["take"],
        seed=seed,
        keep_scores=case["scores"],
    )


@compiled()
def _floor_draw(pool: Any, batch: Any, key: np.uint64, t: int, size: int, b: int) -> None:
    pools.draw(pool, hashed(key, t), size, b, batch.place, batch.clip)


@compiled()
def _floor_return(pool: Any, place: np.ndarray, picked: np.ndarray) -> None:
    """All but the picks of the run goes back, so that the next draws are those of the run."""
    taken = pool.taken
    for j in range(len(place)):
        pools.clear_bit(taken, place[j])
    pools.set_bits(taken, picked)


@compiled()
def _floor(
    rows: Any, layout: Any, tables: Any, pool: Any, batch: Any, order: np.ndarray, s: int, key: np.uint64,
    n_batches: int, ahead: bool,
) -> None:  # fmt: skip
    """Draws, row reads and look-ups on one thread; nothing is chosen."""
    b = len(batch.clip)
    for t in range(n_batches):
        pools.draw(pool, hashed(key, t), rows.codes.shape[0], b, batch.place, batch.clip)
        if ahead:
            pools.draw_ahead(pool, rows.codes, hashed(key, t + 1), 0, b)
        kernel.score_clips(rows, layout, tables, batch.clip, batch.room.codes, batch.gains)
        _floor_return(pool, batch.place, order[t * s : min(len(order), (t + 1) * s)])


def floor(plan: Plan, engine: kernel.BatchGreedy, ahead: bool = False) -> Callable[[], None]:
    """The floor of a finished run: as many batches, on its final tables and its threads.

    `ahead`: it fetches rows early, as runs over large assignments do.
    """
    pool = pools.make_pool(len(plan.rows.codes), plan.excluded, False, plan.seed)
    batch, b, s, team = kernel.make_batch(plan), plan.batch_size, plan.selection_size, engine._team
    order, n_batches = engine.result()[0], engine.n_scored // b
    key = np.uint64(stream_key(plan.seed, 1))
    rooms = [kernel.make_room(plan) for _ in range(team.workers)]
    given = plan.rows, plan.layout, engine.tables

    def score(worker: int, low: int, high: int) -> None:
        kernel.score_clips(*given, batch.clip[low:high], rooms[worker].codes, batch.gains[low:high])

    def shared() -> None:
        for t in range(n_batches):
            _floor_draw(pool, batch, key, t, len(plan.rows.codes), b)
            team.share(b, score)
            _floor_return(pool, batch.place, order[t * s : (t + 1) * s])

    if team.workers > 1:
        return shared
    return lambda: _floor(*given, pool, batch, order, s, key, n_batches, ahead)


def run_engine(plan: Plan) -> kernel.BatchGreedy:
    """One whole run."""
    engine = kernel.BatchGreedy(plan)
    while engine.step(1 << 12):
        pass
    return engine


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the clock and of all processors, and what came out."""
    clock, used = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - clock, time.process_time() - used, found


def peak_gib() -> float:
    """Largest resident set of this process so far, GiB; mapped pages count."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def batch_greedy_case(case: dict[str, Any], folder: str) -> dict[str, Any]:
    """Runs and floors in turn."""
    small = made_plan(case, 0, folder, n=max(2000, 10 * case["batch"]))
    floor(small, run_engine(small))()  # compiles
    row: dict[str, Any] = {name: [] for name in ("seconds", "floor_seconds", "cpu", "floor_cpu", "ahead_cpu")}
    before = peak_gib()
    for seed in range(case["repeat"]):
        plan = made_plan(case, seed, folder)
        seconds, cpu, engine = timed(lambda plan=plan: run_engine(plan))
        row["peak_gib"] = peak_gib()
        floor_seconds, floor_cpu, _ = timed(floor(plan, engine))
        ahead_cpu = timed(floor(plan, engine, engine._ahead))[1] if engine._ahead else floor_cpu
        for name, value in zip(row, (seconds, floor_seconds, cpu, floor_cpu, ahead_cpu), strict=False):
            row[name].append(value)
        row["scored"], row["threads"] = engine.n_scored, engine._team.workers
        row["codes_gib"] = plan.rows.codes.nbytes / 2**30
        row["times_codes"] = (row["peak_gib"] - before) / row["codes_gib"]
        del plan, engine  # else the next seed's would lie beside them
    return row


def method_case(case: dict[str, Any], folder: str) -> dict[str, Any]:
    """Another method through its interface."""
    from curation.methods.base import Request
    from curation.methods.registry import METHODS

    none = np.zeros(0, np.int32)
    row: dict[str, Any] = {"seconds": [], "cpu": [], "threads": numba.get_num_threads()}
    for seed in range(-1, case["repeat"]):
        plan = made_plan(case, max(seed, 0), folder, n=20_000 if seed < 0 else None)
        before = peak_gib()
        request = Request(plan, tuple(map(str, range(LAYERS))), none, none)
        options = {option.name: option.default for option in METHODS[case["method"]].options}
        request = replace(request, options=options)
        seconds, cpu, _ = timed(lambda request=request: METHODS[case["method"]].run(request))
        if seed >= 0:
            row["seconds"].append(seconds)
            row["cpu"].append(cpu)
    codes_gib = plan.rows.codes.nbytes / 2**30
    return row | {"peak_gib": peak_gib(), "codes_gib": codes_gib, "times_codes": (peak_gib() - before) / codes_gib + 1}


def one_hot_case(case: dict[str, Any], folder: str) -> dict[str, Any]:
    """The same run by whole contingency tables."""
    plan = made_plan(case, 0, folder)
    runs = [timed(lambda: run_engine(plan)) for _ in range(8)][1:]
    seconds, cpu = [run[0] for run in runs], [run[1] for run in runs]
    _, one_hot_s, order = timed(lambda: one_hot(plan))
    same = order == runs[0][2].result()[0].tolist()
    return {"seconds": seconds, "cpu": cpu, "one_hot_seconds": one_hot_s, "same_picks": same, "peak_gib": peak_gib()}


def one_hot(plan: Plan) -> list[int]:
    """Batch-greedy that builds, for each clip of a batch, all tables as they were with it: B x P x C x C."""
    layout, codes, b, s = plan.layout, plan.rows.codes, plan.batch_size, plan.selection_size
    eye, key = np.eye(int(layout.stride[0])), stream_key(plan.seed, 1)
    counts = np.zeros((len(layout.first), len(eye), len(eye)))
    pool = pools.make_pool(len(codes), plan.excluded, False, plan.seed)
    place, clip, order = np.empty(b, np.int64), np.empty(b, np.int64), list[int]()
    for t in range(-(-plan.budget // s)):
        pools.draw(pool, np.uint64(mix_int(key + (t + 1) * GOLDEN_INT)), len(codes), b, place, clip)
        first, second = eye[codes[clip][:, layout.first]], eye[codes[clip][:, layout.second]]
        after = counts[None] + first[..., :, None] * second[..., None, :]
        score = (_x(after).sum((2, 3)) - _x(after.sum(3)).sum(2) - _x(after.sum(2)).sum(2)).mean(1)
        best = np.argsort(-np.round(score, 9), kind="stable")[: min(s, plan.budget - len(order))]
        counts = counts + (after[best] - counts[None]).sum(0)
        order += clip[best].tolist()
        pools.put_back(pool, np.zeros(0, np.uint8), place, clip, b, best)
    return order


def _x(t: np.ndarray) -> np.ndarray:
    return t * np.log(np.maximum(t, 1))


def cuda_case(case: dict[str, Any], folder: str) -> dict[str, Any]:
    """The torch engine on a GPU, assignments resident."""
    from curation.kernels.batch_greedy_torch import BatchGreedyTorch

    row: dict[str, Any] = {"seconds": [], "threads": "GPU"}
    for seed in range(-1, case["repeat"]):
        plan = made_plan(case, max(seed, 0), folder, n=max(2000, 10 * case["batch"]) if seed < 0 else None)
        engine = BatchGreedyTorch(plan, "cuda")

        def work(engine: Any = engine) -> None:
            while engine.step(1 << 8):
                pass
            engine.objective()  # waits for the device

        seconds, _, _ = timed(work)
        if seed >= 0:
            row["seconds"].append(seconds)
    codes_gib = plan.rows.codes.nbytes / 2**30
    return row | {
        "scored": engine.n_scored,
        "peak_gib": peak_gib(),
        "codes_gib": codes_gib,
        "times_codes": float("nan"),
    }


KINDS = {"batch-greedy": batch_greedy_case, "one-hot": one_hot_case, "cuda": cuda_case}


def cases(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows that were asked for."""
    rows: list[dict[str, Any]] = []
    base = {"method": "batch-greedy", "clusters": 32, "pairs": 25, "batch": 100, "take": 25, "share": 0.2,
            "scores": False, "repeat": given.repeat}  # fmt: skip
    sizes = given.clips or GRID_CLIPS
    methods = ("batch-greedy", "cuda") if given.cuda else ("batch-greedy",)
    if "grid" in given.parts:
        for n in sizes:
            rows += [base | {"clips": n, "clusters": c, "pairs": p} for c in (32, 128, 500) for p in (25, 45)]
            rows.append(base | {"clips": n, "scores": True})
            rows += [base | {"clips": n, "batch": b, "take": s, "method": name}
                     for b, s in BATCHES[1:] if 10 * b <= n for name in methods]  # fmt: skip
    if "methods" in given.parts:
        rows += [base | {"clips": n, "method": name} for n in sizes for name in ("random", "ratio")]
    if "one-hot" in given.parts:
        rows.append(base | {"method": "one-hot", "clips": 10_000, "pairs": 45})
    if "large" in given.parts:
        rows += [base | {"clips": 10**8, "batch": b, "take": s, "repeat": 1, "method": name} for b, s in BATCHES
                 for name in methods if name != "cuda" or b > 100]  # fmt: skip
        rows += [base | {"clips": 10**8, "method": name, "repeat": 1} for name in ("random", "ratio")]
    return rows


def in_own_process(case: dict[str, Any]) -> dict[str, Any]:
    """One row, measured by a fresh Python."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, __file__, "--case", json.dumps(case), "--folder", folder],
                              capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def line(case: dict[str, Any], row: dict[str, Any]) -> str:
    """One row of the table."""
    seconds = row["seconds"]
    middle = statistics.median(seconds)
    ratio = cpu_ratio = ahead_ratio = rate = ""
    if "floor_seconds" in row:
        ratio = _ratio(seconds, row["floor_seconds"])
        cpu_ratio, ahead_ratio = _ratio(row["cpu"], row["floor_cpu"]), _ratio(row["cpu"], row["ahead_cpu"])
    if "scored" in row:
        rate = f"{row['scored'] / statistics.median(row.get('cpu', seconds)) / 1e6:.1f}"
    cells = [case["method"] + (", scores kept" if case["scores"] else ""), f"{case['clips']:.0e}", case["clusters"],
             case["pairs"], f"{case['batch']} / {case['take']}", row.get("threads", 1), f"{middle:.4g}",
             f"{min(seconds):.4g} to {max(seconds):.4g}", _middle(row, "cpu"), rate, ratio, cpu_ratio,
             ahead_ratio, f"{row['peak_gib']:.2f}",
             f"{row['times_codes']:.2f}" if row.get("codes_gib", 0) > 0.08 else ""]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _middle(row: dict[str, Any], name: str) -> str:
    return f"{statistics.median(row[name]):.4g}" if name in row else ""


def _ratio(one: list[float], two: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(one, two, strict=True)):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--clips", type=lambda text: int(float(text)), nargs="+", help="sizes of grid and methods")
    parser.add_argument("--repeat", type=int, default=3, help="runs of a row, each with its own seed")
    parser.add_argument("--cuda", action="store_true", help="also the torch engine on a GPU, if there is one")
    parser.add_argument("--out", type=Path, help="keep the table here, as Markdown")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", default=".", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        case = json.loads(given.case)
        print(json.dumps(KINDS.get(case["method"], method_case)(case, given.folder)))
        return
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {sorted(unknown)[0]}; allowed: {', '.join(PARTS)}")
    lines = heading(given)
    print("\n".join(lines))
    for case in cases(given):
        row = in_own_process(case)
        lines.append(line(case, row))
        print(lines[-1], flush=True)
        if "one_hot_seconds" in row:
            times = row["one_hot_seconds"] / statistics.median(row["cpu"])
            same = "equal" if row["same_picks"] else "DIFFER"
            lines.append(f"| its one-hot tensors: {times:.0f} times the processor time, picks {same} | | | | | | | | "
                         f"{row['one_hot_seconds']:.4g} | | | | | | |")  # fmt: skip
            print(lines[-1], flush=True)
        if given.out:
            given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def heading(given: argparse.Namespace) -> list[str]:
    """What ran where, and the head of the table."""
    gpu = "not asked for"
    if given.cuda:
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU was available"
        given.cuda = torch.cuda.is_available()
    return [
        "# Speed of selection",
        "",
        f"{_processor()}, {numba.get_num_threads()} cores, load at the start {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}; GPU: {gpu}. "
        f"Seeds 0 to {given.repeat - 1} (0 at 1e8 clips); 10 clusterings, budget 20 %.",
        "",
        "Time: median and range, seconds by the clock; processor: median seconds of all threads. Rate: million clips "
        "scored a second of processor time. Ratio: to the floor in the same process, by the clock, by processor time "
        "(where other work runs, this one counts), and by processor time to a floor that also fetches the rows of the "
        "next batch early, as runs over more than 16 MiB of assignments do. Peak: resident memory of the process, "
        "Python and compiled code in it; growth: what the run added to it, over the size of the assignments, which "
        "are in it (only where these are large).",
        "",
        "| method | clips | centroids | pairs | b / s | threads | time | range | processor | rate | ratio, clock | "
        "ratio, processor | ratio, early rows | peak GiB | growth |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return next(item.split(":")[1].strip() for item in text.splitlines() if item.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


if __name__ == "__main__":
    main()
