"""How fast batch-greedy runs: beside its floor at large N, beside one-hot tensors at small N. Prints two tables.

    python benchmarks/selection_speed.py [--clips 1000000] [--clusters 32] [--pairing bipartite] [--repeat 3]

The floor does the same draws, row reads and look-ups and selects nothing. The one-hot reference builds, for each
batch, the B x P x C x C tensors of the published implementation's kind and must pick the same clips.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from curation.kernels import batch_greedy as kernel
from curation.kernels.compiled import compiled
from curation.kernels.contingency import Rows, make_layout
from curation.kernels.draws import GOLDEN_INT, hashed, mix_int, stream_key
from curation.kernels.greedy_plan import Plan, make_pool
from curation.kernels.pairing import pair_indices

LAYERS = 10


def made_plan(n: int, clusters: int, pairing: str, batch: int, take: int, share: float, seed: int) -> Plan:
    """5 audio and 5 visual clusterings of clips whose layers agree in three cases of ten."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, clusters, n, dtype=np.int16)
    codes = np.empty((n, LAYERS), np.int8 if clusters <= 128 else np.int16)
    for d in range(LAYERS):
        other = rng.integers(0, clusters, n, dtype=np.int16)
        codes[:, d] = np.where(rng.random(n, dtype=np.float32) < 0.3, kind, other)
    is_audio = np.arange(LAYERS) < LAYERS // 2
    pairs = pair_indices(is_audio, pairing)
    return Plan(
        rows=Rows(codes, np.zeros(0, np.int32), is_audio),
        layout=make_layout(pairs, np.full(LAYERS, clusters)),
        weights=np.full(len(pairs), 1 / len(pairs)),
        budget=max(1, round(n * share)),
        batch_size=min(batch, n),
        selection_size=take,
        seed=seed,
    )


@compiled()
def _floor(rows: Any, layout: Any, tables: Any, pool: Any, batch: int, batches: int, key: np.uint64) -> int:
    """Draws, row reads and look-ups of `batches` batches; nothing is picked."""
    place, clip = np.empty(batch, np.int64), np.empty(batch, np.int64)
    gains = np.empty(batch, np.int64)
    codes = np.empty((rows.codes.shape[1], kernel._BLOCK + 8), np.uint64)
    total = np.int64(0)
    for t in range(batches):
        kernel._draw(pool, hashed(key, t), rows.codes.shape[0], batch, place, clip)
        kernel._score(rows, layout, tables, clip, batch, codes, gains)
        for j in range(batch):
            kernel._clear_bit(pool.taken, place[j])
            total ^= gains[j]
    return total


def floor_seconds(plan: Plan, engine: kernel.BatchGreedy) -> float:
    """Seconds of the floor for as many batches as the finished run had, on its final tables."""
    pool, batches = make_pool(plan), engine.n_scored // plan.batch_size
    key = np.uint64(plan.seed + 1)
    _floor(plan.rows, plan.layout, engine.tables, pool, plan.batch_size, 1, key)
    started = time.perf_counter()
    _floor(plan.rows, plan.layout, engine.tables, pool, plan.batch_size, batches, key)
    return time.perf_counter() - started


def run_seconds(plan: Plan) -> tuple[float, kernel.BatchGreedy]:
    """One whole run."""
    started = time.perf_counter()
    engine = kernel.BatchGreedy(plan)
    while engine.step(1 << 16):
        pass
    return time.perf_counter() - started, engine


class OneHot(kernel.BatchGreedy):
    """The same draws, scored with whole contingency tables: B x P x C x C."""

    def step(self, n_batches: int) -> bool:
        plan, layout, key = self.plan, self.plan.layout, np.uint64(stream_key(self.plan.seed, 1))
        clusters, codes = int(layout.stride[0]), plan.rows.codes
        place, clip = np.empty(plan.batch_size, np.int64), np.empty(plan.batch_size, np.int64)
        eye, n_pairs = np.eye(clusters), len(layout.first)
        counts = np.zeros((n_pairs, clusters, clusters))
        order: list[int] = []
        for t in range(n_batches):
            kernel._draw(self.pool, np.uint64(reference_hash(int(key), t)), len(codes), plan.batch_size, place, clip)
            a, b = eye[codes[clip][:, layout.first]], eye[codes[clip][:, layout.second]]
            after = counts[None] + a[..., :, None] * b[..., None, :]
            score = (_x(after).sum((2, 3)) - _x(after.sum(3)).sum(2) - _x(after.sum(2)).sum(2)).mean(1)
            best = np.argsort(-np.round(score, 9), kind="stable")[: plan.selection_size]
            counts = counts + (after[best] - counts[None]).sum(0)
            order += clip[best].tolist()
            for j in np.setdiff1d(np.arange(plan.batch_size), best):
                kernel._clear_bit(self.pool.taken, place[j])
        self.one_hot_order = order
        return False


def _x(t: np.ndarray) -> np.ndarray:
    return t * np.log(np.maximum(t, 1))


def reference_hash(key: int, j: int) -> int:
    """`draws.hashed` on Python integers."""
    return mix_int(key + (j + 1) * GOLDEN_INT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--clusters", type=int, default=32)
    parser.add_argument("--pairing", choices=("bipartite", "combination"), default="bipartite")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, help="keep the results here, as JSON")
    given = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, "
          f"numba {numba.__version__}, one thread, seeds 0 to {given.repeat - 1}")  # fmt: skip
    results = [_against_floor(given, batch, take) for batch, take in ((100, 25), (1000, 250), (20, 4))]
    results.append(_against_one_hot(given.clusters, given.pairing))
    if given.out:
        given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _against_floor(given: argparse.Namespace, batch: int, take: int) -> dict[str, Any]:
    seconds, floors, scored = [], [], 0
    run_seconds(made_plan(20_000, given.clusters, given.pairing, batch, take, 0.2, 0))  # compiles
    for seed in range(given.repeat):
        plan = made_plan(given.clips, given.clusters, given.pairing, batch, take, given.share, seed)
        took, engine = run_seconds(plan)
        seconds.append(took)
        floors.append(floor_seconds(plan, engine))
        scored = engine.n_scored
    rate = [scored / s / 1e6 for s in seconds]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {
        "clips": given.clips, "clusters": given.clusters, "pairing": given.pairing, "batch": batch, "take": take,
        "seconds": seconds, "floor_seconds": floors, "million_scored_per_s": rate, "peak_mib": peak_mib,
    }  # fmt: skip
    median, floor = statistics.median(seconds), statistics.median(floors)
    print(f"N={given.clips} C={given.clusters} b={batch} s={take}: {median:.3f} s "
          f"({min(seconds):.3f} to {max(seconds):.3f}), {statistics.median(rate):.1f} M scored/s, "
          f"floor {floor:.3f} s, ratio {median / floor:.2f}, "
          f"peak {peak_mib:.0f} MiB")  # fmt: skip
    return row


def _against_one_hot(clusters: int, pairing: str, n: int = 2000, batches: int = 4) -> dict[str, Any]:
    plan = made_plan(n, clusters, pairing, 100, 25, 25 * batches / n, 0)
    took, engine = min((run_seconds(plan) for _ in range(5)), key=lambda pair: pair[0])
    slow = OneHot(plan)
    started = time.perf_counter()
    slow.step(batches)
    slow_s = time.perf_counter() - started
    same = slow.one_hot_order == engine.result()[0].tolist()
    print(f"N={n} C={clusters}, {batches} batches of 100: {took * 1e3:.3f} ms, one-hot tensors {slow_s * 1e3:.0f} ms, "
          f"{slow_s / took:.0f} times; picks {'equal' if same else 'DIFFER'}")  # fmt: skip
    return {"one_hot_clips": n, "seconds": took, "one_hot_seconds": slow_s, "same_picks": same}


if __name__ == "__main__":
    main()
