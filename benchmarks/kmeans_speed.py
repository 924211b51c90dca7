"""How fast k-means is: beside faiss.Kmeans, scikit-learn's MiniBatchKMeans and the bare matrix product. Writes a table.

    python benchmarks/kmeans_speed.py [--small] [--dims 128 1024 2304] [--clusters 32 500 4000] [--rounds 3]
                                      [--work 2.5e11] [--values 1.3e8] [--threads 1] [--out FILE.md]

All start from the same centroids (rows of the data) and see all points in every round: nothing is sampled. A case has
as many points as make a round of `--work` multiplications and additions, at most `--values` numbers. Every contender
runs in a process of its own, one after another, over all cases. Seconds are those of the processor and, unless
`--threads` says otherwise, of one thread: what else the machine does moves them little, where it moves the clock (and
threads that spin while they wait) beyond use. `--small` takes less than a minute of an idle machine.

*product*: points times centroids and nothing else, in NumPy's OpenBLAS, in blocks of 8,192. *concord*: Lloyd's rounds
as the cluster stage does them. *faiss*: `faiss.Kmeans`. *mini-batch*: scikit-learn's, as many passes as the others have
rounds, in batches of 1,024. All of these are told the kind of processor (OPENBLAS_CORETYPE=SKYLAKEX where it has
AVX-512, whatever the environment says), so that they do equal work with equal means; *faiss, untold* chooses by itself.
Inertia is of all points after training, over concord's.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CONTENDERS = ("product", "concord", "faiss", "faiss, untold", "mini-batch")
SMALL = ["--dims", "128", "1024", "--clusters", "32", "500", "--work", "2e10", "--values", "8e6", "--rounds", "2"]
KINDS = 300
ROWS_A_PART = 1024


def cases(given: argparse.Namespace) -> list[dict[str, int]]:
    """Points, dim and clusters of every row."""
    found = []
    for dim in given.dims:
        for k in given.clusters:
            points = int(min(given.values / dim, given.work / (2 * dim * k)))
            found.append({"dim": dim, "clusters": k, "points": max(points, 2 * k) // ROWS_A_PART * ROWS_A_PART})
    return found


def make_points(folder: Path, dim: int, n: int) -> None:
    """Points around KINDS centres of unequal weight, float32 (n, dim)."""
    import numpy as np

    rng = np.random.default_rng(dim)
    centres = rng.standard_normal((KINDS, dim), np.float32)
    weights = 1 / np.arange(3, KINDS + 3)
    out = np.lib.format.open_memmap(folder / f"{dim}.npy", "w+", np.float32, (n, dim))
    for start in range(0, n, 8192):
        part = out[start : start + 8192]
        part[:] = centres[rng.choice(KINDS, len(part), p=weights / weights.sum())]
        part += rng.standard_normal(part.shape, np.float32)
    out.flush()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the processor, of all threads together, and what came out."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def product(x: Any, start: Any, rounds: int, threads: int) -> dict[str, float]:
    """Seconds of one matrix product of all points with all centroids."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from threadpoolctl import threadpool_limits

    rooms = [np.empty((8192, len(start)), np.float32) for _ in range(threads)]

    def share(worker: int) -> None:
        for low in range(8192 * worker, len(x), 8192 * threads):
            part = x[low : low + 8192]
            np.dot(part, start.T, out=rooms[worker][: len(part)])

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        seconds = min(timed(lambda: list(pool.map(share, range(threads))))[0] for _ in range(rounds))
    return {"round_s": seconds, "assign_s": seconds}


def concord(x: Any, start: Any, rounds: int, threads: int) -> dict[str, float]:
    """Lloyd's rounds, assigning in memory, and assigning scaled rows from parts of 1,024 (float16, cached)."""
    import numpy as np

    from curation.clustering import assign_rows
    from curation.feature_rows import FeatureRows
    from curation.kernels import kmeans

    assigner = kmeans.Assigner(threads=threads)
    kmeans.assign(x[:8192], start, assigner)
    kmeans.train(x[:4096], 4, seed=0, n_iter=1, assigner=assigner)  # compiles
    ends: list[float] = []
    begun = time.process_time()
    centroids, _ = kmeans.train(
        x, len(start), seed=0, n_iter=rounds, assigner=assigner, begun=kmeans.Rounds(0, start, 0),
        on_round=lambda _: ends.append(time.process_time()),
    )  # fmt: skip
    assign_s, (_, squared) = timed(lambda: kmeans.assign(x, centroids, assigner))
    scaling = {"mean": np.zeros(x.shape[1]), "scale": np.ones(x.shape[1])}
    assign_rows(x[:512], np.arange(512), [centroids], [scaling], device="cpu")  # compiles
    with tempfile.TemporaryDirectory() as folder:
        for part, low in enumerate(range(0, len(x), ROWS_A_PART)):
            np.save(Path(folder) / f"part-{part:06d}.npy", x[low : low + ROWS_A_PART].astype(np.float16))
        rows = FeatureRows(sorted(Path(folder).glob("*.npy")))
        streamed_s, _ = timed(
            lambda: assign_rows(rows, np.arange(len(x)), [centroids], [scaling], device="cpu", threads=threads)
        )
    return {"round_s": (ends[-1] - begun) / len(ends), "assign_s": assign_s, "streamed_s": streamed_s,
            "inertia": float(squared.sum()), "rounds": len(ends)}  # fmt: skip


def faiss_kmeans(x: Any, start: Any, rounds: int, threads: int) -> dict[str, float]:
    """faiss.Kmeans on all points."""
    import faiss

    faiss.omp_set_num_threads(threads)
    n, (k, dim) = len(x), start.shape
    found = faiss.Kmeans(dim, k, niter=rounds, min_points_per_centroid=1, max_points_per_centroid=n, seed=1)
    train_s, _ = timed(lambda: found.train(x, init_centroids=start))
    assign_s, _ = timed(lambda: found.index.search(x, 1))
    return {"round_s": train_s / rounds, "assign_s": assign_s, "inertia": _inertia(x, found.centroids)}


def mini_batch(x: Any, start: Any, rounds: int, threads: int) -> dict[str, float]:
    """scikit-learn's MiniBatchKMeans, as many passes as rounds."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    found = MiniBatchKMeans(len(start), init=start, n_init=1, max_iter=rounds, compute_labels=False, tol=0.0,
                            max_no_improvement=None, random_state=0)  # fmt: skip
    with threadpool_limits(threads):
        train_s, _ = timed(lambda: found.fit(x))
        assign_s, _ = timed(lambda: found.predict(x))
    return {"round_s": train_s / rounds, "assign_s": assign_s, "inertia": _inertia(x, found.cluster_centers_)}


def _inertia(x: Any, centroids: Any) -> float:
    import numpy as np

    from curation.kernels import kmeans

    return float(kmeans.assign(x, np.asarray(centroids, np.float32), kmeans.Assigner())[1].sum())


RUNS = {"product": product, "concord": concord, "faiss": faiss_kmeans, "faiss, untold": faiss_kmeans,
        "mini-batch": mini_batch}  # fmt: skip


def contend(name: str, given: argparse.Namespace, folder: Path) -> None:
    """All cases of one contender, a line of JSON each."""
    import numpy as np

    if name.startswith("faiss"):
        import torch  # noqa: F401  before faiss: both bring an OpenMP library

    for case in cases(given):
        x = np.ascontiguousarray(np.load(folder / f"{case['dim']}.npy", mmap_mode="r")[: case["points"]])
        start = x[np.sort(np.random.default_rng(0).choice(len(x), case["clusters"], replace=False))].copy()
        print(json.dumps(case | RUNS[name](x, start, given.rounds, given.threads)), flush=True)


def is_wide() -> bool:
    """Whether the processor has what `OPENBLAS_CORETYPE=SKYLAKEX` needs."""
    from llvmlite.binding import get_host_cpu_features

    return all(get_host_cpu_features().get(f"avx512{name}") for name in ("f", "bw", "dq", "vl", "cd"))


def measured(given: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of every contender, each from a fresh process."""
    found = {}
    for name in CONTENDERS:
        environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
        environment |= {"OMP_NUM_THREADS": str(given.threads)}
        if name != "faiss, untold" and is_wide():
            environment["OPENBLAS_CORETYPE"] = "SKYLAKEX"
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--contender", name, "--folder", str(folder)],
                              capture_output=True, text=True, env=environment)  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr}")
        found[name] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return found


def table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Markdown, a row for each contender and case."""
    lines = ["| dim | clusters | points | | training, k points/s a round | of product | assigning, k points/s | "
             "of product | from parts, k points/s | inertia |",
             "|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for i, case in enumerate(found["product"]):
        for name, rows in found.items():
            row, own = rows[i], found["concord"][i]
            rate = {key: case["points"] / row[f"{key}_s"] / 1e3 for key in ("round", "assign", "streamed")
                    if f"{key}_s" in row}  # fmt: skip
            shares = {key: case["round_s"] / row[f"{key}_s"] for key in ("round", "assign")}
            flops = 2 * case["dim"] * case["clusters"] * rate["round"] * 1e3 / 1e9
            label = f"{name} ({flops:.0f} GFLOP/s)" if name == "product" else name
            cells = [case["dim"], case["clusters"], f"{case['points']:,}", label, f"{rate['round']:,.0f}",
                     f"{shares['round']:.2f}", f"{rate['assign']:,.0f}", f"{shares['assign']:.2f}",
                     f"{rate['streamed']:,.0f}" if "streamed" in rate else "",
                     f"{row['inertia'] / own['inertia']:.4f}" if "inertia" in row else ""]  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--dims", type=int, nargs="+", default=[128, 1024, 2304])
    parser.add_argument("--clusters", type=int, nargs="+", default=[32, 500, 4000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=float, default=2.5e11, help="multiplications and additions of a round, at most")
    parser.add_argument("--values", type=float, default=1.3e8, help="numbers of all points of a case, at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.small:
        given = parser.parse_args([*SMALL, *(a for a in sys.argv[1:] if a != "--small")])
    if given.contender:
        contend(given.contender, given, given.folder)
        return
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        for dim in given.dims:
            make_points(Path(name), dim, max(case["points"] for case in cases(given) if case["dim"] == dim))
        lines = table(measured(given, Path(name)))
    seconds, command = time.perf_counter() - started, " ".join(["python benchmarks/kmeans_speed.py", *sys.argv[1:]])
    head = [f"{datetime.date.today()}, {processor()}, {given.threads} threads, {seconds:.0f} s: `{command}`", "",
            f"{given.rounds} rounds from the same centroids, all points in each. Seconds are those of the processor; "
            "inertia is over concord's.", ""]  # fmt: skip
    text = "\n".join([*head, *lines]) + "\n"
    print(text)
    if given.out:
        given.out.write_text("# k-means beside faiss, scikit-learn and the matrix product\n\n" + text, "utf-8")


def processor() -> str:
    """Its name, cores, and versions of what is compared."""
    from importlib.metadata import packages_distributions, version

    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    faiss = packages_distributions()["faiss"][0]
    packages = ", ".join(f"{name} {version(name)}" for name in (faiss, "scikit-learn", "numpy"))
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {packages}"


if __name__ == "__main__":
    main()
