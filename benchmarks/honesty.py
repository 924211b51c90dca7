"""Does the engine know what it does not know? Estimated shares and false shares against planted ones, title themes,
and precision against breadth.

Two truths: *planted*, the share of pairs that no shuffle touched, and *same kind*, those whose picture and sound show
the same digit, by accident too. A class that is shuffled within itself (planted 0.9 of the class-level protocol) is
still of the same kind: no method can tell it.

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
from tables import METHODS, Table, mean_and_sd, mnist_trial  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from curation.selection import Selection, select  # noqa: E402

SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
PREFIXES = (0.1, 0.3, 0.5)
TOLERANCE = 0.005  # of an interval that holds a truth
BUDGETS = (0.02, 0.05, 0.2, 0.4)
WITHOUT_FEATURES = [name for name in METHODS if not name.startswith("pca")]


def scored(codes: np.ndarray, modalities: list[str], seed: int) -> Selection:
    return select(codes, modalities, budget=0.2, method="concord", seed=seed, controls=False, device="cpu",
                  options={"breadth": 0.0})  # fmt: skip


def errors(found: Selection, matched: np.ndarray) -> dict[str, float]:
    """Estimate minus truth: share, false share among the best 10, 30, 50 % and whether its interval holds the truth;
    largest and mean error of ten reliability bins.
    """
    order = np.argsort(-found.scores, kind="stable")
    out = {"share": found.report["corresponding_share"] - matched.mean()}
    for part in PREFIXES:
        k = round(part * len(order))
        wrong, last = 1 - matched[order[:k]].mean(), order[k - 1]
        out[f"{part:g}"] = float(found.columns["false_share"][last] - wrong)
        low, high = (float(found.columns[f"false_share_{end}"][last]) for end in ("low", "high"))
        out[f"{part:g} inside"] = low - TOLERANCE <= wrong <= high + TOLERANCE
        out[f"{part:g} wide"] = high - low
    local = 1 - found.columns["local_false_share"].astype(float)
    off = [abs(float(local[b].mean() - matched[b].mean())) for b in np.array_split(order, 10)]
    return out | {"worst bin": max(off), "mean bin": float(np.mean(off))}


def planted(table: Table, title: str, trials: Any, seeds: list[int]) -> dict[str, list[Any]]:
    """One table of shares; `trials(share, seed)` gives codes, modalities, the planted truth and pairs of one kind.
    Returned: what the summary counts.
    """
    table.head(title, ["planted", "same kind", "estimated share (each seed)", "mean interval", "holds planted",
                       "holds same kind", "doubt", "false share error at 10 %", "30 %", "50 %",
                       "interval holds it (10, 30, 50 %)", "ten bins: worst", "mean",
                       "called a probability"])  # fmt: skip
    total: dict[str, list[Any]] = defaultdict(list)
    for share in SHARES:
        rows: dict[str, list[Any]] = defaultdict(list)
        for seed in seeds:
            codes, modalities, matched, same = trials(share, seed)
            found = scored(codes, modalities, seed)
            report = found.report
            low, high = report["corresponding_share_low"], report["corresponding_share_high"]
            values = errors(found, matched) | {
                "estimate": report["corresponding_share"], "low": low, "high": high, "same": same.mean(),
                "holds": low - TOLERANCE <= matched.mean() <= high + TOLERANCE,
                "holds same": low - TOLERANCE <= same.mean() <= high + TOLERANCE,
                "doubt": report["corresponding_share_doubt"], "called": report["score_is_probability"],
            }  # fmt: skip
            for name, value in values.items():
                rows[name].append(value)
                total[name].append(value)
        table.row([f"{matched.mean():.2f}", f"{np.mean(rows['same']):.2f}",
                   f"{np.mean(rows['estimate']):.3f} ({', '.join(f'{e:.2f}' for e in rows['estimate'])})",
                   f"{np.mean(rows['low']):.2f} to {np.mean(rows['high']):.2f}", of(rows["holds"]),
                   of(rows["holds same"]), f"{np.mean(rows['doubt']):.2f}",
                   *(mean_and_sd(rows[f"{p:g}"]) for p in PREFIXES),
                   ", ".join(of(rows[f"{p:g} inside"]) for p in PREFIXES), f"{np.mean(rows['worst bin']):.3f}",
                   f"{np.mean(rows['mean bin']):.3f}", of(rows["called"])])  # fmt: skip
    return total


def of(values: list[bool]) -> str:
    return f"{int(np.sum(values))}/{len(values)}"


def goals(table: Table, totals: dict[str, dict[str, list[Any]]]) -> None:
    """How often each goal is met, over shares and seeds."""
    table.head("Goals, trials of all shares and seeds that meet them",
               ["clips", "share within 0.10 of planted", "interval holds planted", "same kind", "either",
                "false share within 0.05 at 10 %", "30 %", "50 %", "its interval holds the truth",
                "called a probability", "of these worst bin within 0.05"])  # fmt: skip
    for name, total in totals.items():
        within = [[abs(e) <= 0.05 for e in total[f"{p:g}"]] for p in PREFIXES]
        either = [a or b for a, b in zip(total["holds"], total["holds same"], strict=True)]
        inside = [held for p in PREFIXES for held in total[f"{p:g} inside"]]
        called = [worst <= 0.05 for worst, yes in zip(total["worst bin"], total["called"], strict=True) if yes]
        table.row([name, of([abs(e) <= 0.1 for e in total["share"]]), of(total["holds"]), of(total["holds same"]),
                   of(either), *(of(w) for w in within), of(inside), of(total["called"]), of(called)])  # fmt: skip


def part_digits(table: Table, seeds: list[int]) -> None:
    images, sounds = toydata.mnist_fsdd()
    totals = {}
    for protocol in ("sample", "half", "class"):

        def trial(share: float, seed: int, protocol: str = protocol) -> tuple[Any, ...]:
            made = mnist_trial(images, sounds, protocol, share, 32, seed)
            # The same draws again, for the digits that each pair shows
            rng = np.random.default_rng([seed, toydata.PROTOCOLS.index(protocol), round(100 * share)])
            pairs = toydata.correspondences(images, sounds, rng)
            pairs = toydata.mismatch(pairs, images.label, sounds.label, protocol, share, rng)
            return made.codes, made.modalities, made.matched, pairs.same_class

        title = f"mnist-fsdd, 1,500 pairs, {protocol}-level mismatch"
        totals[f"{protocol}-level"] = planted(table, title, trial, seeds)
    goals(table, totals)


def part_made(table: Table, seeds: list[int]) -> None:
    def trial(share: float, seed: int) -> tuple[Any, ...]:
        made = toydata.made_kinds(100_000, share, np.random.default_rng([seed, 7]), zipf=0.5)
        return made.codes, made.modalities, made.matched, made.matched

    title = "made, 100,000 clips of 32 kinds (same kind not counted)"
    goals(table, {"made": planted(table, title, trial, seeds)})


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
