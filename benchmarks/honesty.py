"""Does the engine know what it does not know? Estimated shares and false shares against planted ones, title themes,
and precision against breadth.

    python benchmarks/honesty.py [--seeds 1 2 3 4 5] [--part digits made titles breadth] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import toydata  # noqa: E402
from retrieval import METHODS, Table, mean_and_sd, mnist_trial  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from curation.selection import Selection, select  # noqa: E402

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
PREFIXES = (0.1, 0.3, 0.5)
BUDGETS = (0.02, 0.05, 0.2, 0.4)
WITHOUT_FEATURES = [name for name in METHODS if not name.startswith("pca")]


def scored(codes: np.ndarray, modalities: list[str], seed: int) -> Selection:
    return select(codes, modalities, budget=0.2, method="concord", seed=seed, controls=False, device="cpu",
                  options={"breadth": 0.0})  # fmt: skip


def errors(found: Selection, matched: np.ndarray) -> dict[str, float]:
    """Estimate minus truth: share, false share among the best 10, 30, 50 %; largest error of ten reliability bins."""
    order = np.argsort(-found.scores, kind="stable")
    out = {"share": found.report["corresponding_share"] - matched.mean()}
    for part in PREFIXES:
        k = round(part * len(order))
        out[f"{part:g}"] = float(found.columns["false_share"][order[k - 1]] - (1 - matched[order[:k]].mean()))
    local = 1 - found.columns["local_false_share"].astype(float)
    bins = np.array_split(order, 10)
    out["reliability"] = max(abs(float(local[b].mean() - matched[b].mean())) for b in bins)
    return out


def planted(table: Table, title: str, trials: Any, seeds: list[int]) -> None:
    """One table of shares; `trials(share, seed)` gives codes, modalities and truth."""
    table.head(title, ["planted", "estimated share (each seed)", "mean interval", "inside", "false share error at 10 %",
                       "30 %", "50 %", "worst of ten bins"])  # fmt: skip
    for share in SHARES:
        rows, estimates, widths, inside = defaultdict(list), [], [], 0
        for seed in seeds:
            codes, modalities, matched = trials(share, seed)
            found = scored(codes, modalities, seed)
            for name, value in errors(found, matched).items():
                rows[name].append(value)
            report = found.report
            estimates.append(report["corresponding_share"])
            low, high = report["corresponding_share_low"], report["corresponding_share_high"]
            widths.append((low, high))
            inside += low - 0.005 <= matched.mean() <= high + 0.005
        low, high = np.mean(widths, axis=0)
        table.row([f"{matched.mean():.2f}", f"{np.mean(estimates):.3f} ({', '.join(f'{e:.2f}' for e in estimates)})",
                   f"{low:.2f} to {high:.2f}", f"{inside}/{len(seeds)}",
                   *(mean_and_sd(rows[f"{p:g}"]) for p in PREFIXES),
                   f"{np.mean(rows['reliability']):.3f}"])  # fmt: skip


def part_digits(table: Table, seeds: list[int]) -> None:
    images, sounds = toydata.mnist_fsdd()
    for protocol in ("sample", "half", "class"):

        def trial(share: float, seed: int, protocol: str = protocol) -> tuple[np.ndarray, list[str], np.ndarray]:
            made = mnist_trial(images, sounds, protocol, share, 32, seed)
            return made.codes, made.modalities, made.matched

        planted(table, f"mnist-fsdd, 1,500 pairs, {protocol}-level mismatch", trial, seeds)


def part_made(table: Table, seeds: list[int]) -> None:
    def trial(share: float, seed: int) -> tuple[np.ndarray, list[str], np.ndarray]:
        made = toydata.made_kinds(100_000, share, np.random.default_rng([seed, 7]), zipf=0.5)
        return made.codes, made.modalities, made.matched

    planted(table, "made, 100,000 clips of 32 kinds", trial, seeds)


def part_titles(table: Table, seeds: list[int]) -> None:
    table.head("12 titles with a theme and a palette each, 6,000 clips: share of true events among the best 20 %",
               ["method", "title given", "true events"])  # fmt: skip
    cases = [("batch-greedy (queue)", False), ("ratio", False), ("ratio", True), ("concord", False), ("concord", True)]
    for name, known in cases:
        values = []
        for seed in seeds:
            made = toydata.planted_titles(6000, np.random.default_rng([seed, 3]))
            found = select(made.codes, made.modalities, budget=0.2, seed=seed, controls=False, device="cpu",
                           groups=made.source if known else None, **METHODS[name])  # fmt: skip
            values.append(float(made.matched[found.order].mean()))
        table.row([name, "yes" if known else "no", mean_and_sd(values)])


def effective(clusters: np.ndarray, order: np.ndarray) -> float:
    """exp of the entropy of the cluster sizes, mean over clusterings (N, m)."""
    values = []
    for d in range(clusters.shape[1]):
        p = np.bincount(clusters[order, d]) / len(order)
        values.append(float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum())))
    return float(np.mean(values))


def part_breadth(table: Table, seeds: list[int]) -> None:
    for budget in BUDGETS:
        title = f"32 Zipf kinds, 20,000 clips, half matched, budget {100 * budget:g} %"
        table.head(title, ["method", "precision", "effective clusters (held out)", "of batch-greedy", "kinds missing"])
        names = [*WITHOUT_FEATURES, "concord, broader"]
        settings = METHODS | {"concord, broader": {"method": "concord", "options": {"breadth": 0.75}}}
        values: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for seed in seeds:
            made = toydata.made_kinds(20_000, 0.5, np.random.default_rng([seed, 5]))
            for name in names:
                order = select(made.codes, made.modalities, budget=budget, seed=seed, controls=False, device="cpu",
                               **settings[name]).order  # fmt: skip
                values[name].append((float(made.matched[order].mean()), effective(made.held_out, order),
                                     32 - len(np.unique(made.kind[order]))))  # fmt: skip
        base = np.mean([v[1] for v in values["batch-greedy (queue)"]])
        for name in names:
            precision, breadth, missing = zip(*values[name], strict=True)
            table.row([name, mean_and_sd(list(precision)), f"{np.mean(breadth):.1f}", f"{np.mean(breadth) / base:.2f}",
                       f"{np.mean(missing):.1f}"])  # fmt: skip


PARTS = {"digits": part_digits, "made": part_made, "titles": part_titles, "breadth": part_breadth}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="keep the tables here, as Markdown")
    args = parser.parse_args()
    table = Table()
    table.add(f"{toydata.machine()}; seeds {', '.join(map(str, args.seeds))}; one thread")
    with threadpool_limits(1):
        for part in args.part:
            PARTS[part](table, args.seeds)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("# Honesty\n\n" + "\n".join(table.lines) + "\n")


if __name__ == "__main__":
    main()
