"""Correspondence retrieval: does a method return the pairs that belong together? Precision, average precision, F.

    python benchmarks/retrieval.py [--seeds 1 2 3 4 5] [--clusters 32] [--part methods grid chance esc] [--out FILE]

Each protocol mismatches a part of the pairs, shuffling whole sounds together; a method is asked for as many clips as
are matched. Parts: `methods`, every method at half matched; `grid`, shares matched 0.1 to 0.9, classes of 1:20 and a
layer of noise, batch-greedy against concord; `chance`, independent modalities; `esc`, recorded clips with intervals
resampled by source.

Most settings were chosen on seeds 1 to 3; the pool rule and the thresholds of shares were changed after a look at 1 to
5. So only seeds from 6 on are unseen, and they redo clusterings and pairs of the same recordings, not the recordings.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import toydata  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from curation.selection import Selection, select  # noqa: E402

CHOSEN_ON = (1, 2, 3, 4, 5)
METHODS: dict[str, dict[str, Any]] = {
    "random": {"method": "random"},
    "batch-greedy (redraw)": {"method": "batch-greedy"},
    "batch-greedy (queue)": {"method": "batch-greedy", "refill": "queue"},
    "greedy": {"method": "greedy"},
    "ratio": {"method": "ratio"},
    "ascent": {"method": "ascent"},
    "mixture, shared": {"method": "mixture"},
    "mixture, own": {"method": "mixture", "options": {"marginals": "own"}},
    "pca-cosine": {"method": "pca-cosine"},
    "concord": {"method": "concord"},
    "concord, purest": {"method": "concord", "options": {"breadth": 0.0}},
    "concord, evidence only": {"method": "concord", "options": {"breadth": 0.0, "content_prior": "off"}},
}
GRID = ("batch-greedy (queue)", "concord", "concord, purest", "concord, evidence only")


@dataclass(frozen=True)
class Trial:
    """One set of clips: assignments (N, D), modalities, layer names, truth, features."""

    codes: np.ndarray
    modalities: list[str]
    layers: list[str]
    matched: np.ndarray
    features: list[np.ndarray] | None = None
    groups: np.ndarray | None = None


def run(trial: Trial, name: str, seed: int) -> Selection:
    """As many clips as are matched, by one of METHODS."""
    settings = dict(METHODS[name])
    if settings["method"].startswith("pca"):
        settings["features"] = trial.features
    if settings["method"] in ("concord", "ratio", "mixture"):
        settings["groups"] = trial.groups
    return select(trial.codes, trial.modalities, budget=int(trial.matched.sum()), layers=trial.layers, seed=seed,
                  controls=False, device="cpu", **settings)  # fmt: skip


def average_precision(found: Selection, matched: np.ndarray) -> float:
    """Mean precision at each matched clip: chosen ones in their order, then the others by score."""
    scores = np.where(np.isnan(found.scores), -np.inf, found.scores).astype(np.float64)
    if not np.isnan(found.gain).all():  # picks in an order of their own
        scores[found.order] = np.inf
    rank = np.lexsort((np.argsort(np.argsort(np.random.default_rng(0).random(len(scores)))), -scores))
    hit = matched[rank]
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    return float(precision[hit].mean())


def mnist_trial(images: toydata.Library, sounds: toydata.Library, protocol: str, share: float, clusters: int, seed: int,
                *, uneven: bool = False, noise: bool = False, replicates: int = 1) -> Trial:  # fmt: skip
    """Digits: a seed makes clusterings, pairs and mismatch anew."""
    rng = np.random.default_rng([seed, toydata.PROTOCOLS.index(protocol), round(100 * share)])
    rows = toydata.uneven_rows(images, 20, rng) if uneven else None
    pairs = toydata.mismatch(toydata.correspondences(images, sounds, rng, rows), images.label, sounds.label, protocol,
                             share, rng)  # fmt: skip
    columns, names = [], []
    for k in range(replicates):
        for library, where, label in ((sounds, pairs.sound, "sound"), (images, pairs.image, "image")):
            name = f"mnist-fsdd-{label}"
            columns.append(toydata.clustered(library.features, clusters, seed + 1000 * k, name)[where])
            names += [f"{layer}@{k}" if replicates > 1 else layer for layer in sorted(library.features)]
    codes = np.concatenate(columns, axis=1)
    if noise:  # one sound layer that says nothing
        codes[:, 0] = rng.integers(0, clusters, len(codes))
    layers = [sounds.features[n.partition("@")[0]][pairs.sound] if n.startswith("sound") else
              images.features[n.partition("@")[0]][pairs.image] for n in names]  # fmt: skip
    return Trial(codes, ["audio" if n.startswith("sound") else "visual" for n in names], names, pairs.matched, layers)


def mean_and_sd(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.3f}"


class Table:
    """Lines of Markdown, printed as they come and kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)

    def row(self, cells: list[str]) -> None:
        self.add("| " + " | ".join(cells) + " |")

    def head(self, title: str, cells: list[str]) -> None:
        self.add(f"\n### {title}\n")
        self.row(cells)
        self.row(["---"] * len(cells))


def by_method(table: Table, title: str, make: Callable[[int], Trial], names: list[str], seeds: list[int]) -> None:
    """One table of methods: precision on all seeds and on the unseen ones, average precision, F, seconds."""
    table.head(title, ["method", "precision", "seeds from 6 on", "average precision", "F, nats", "s"])
    trials = {seed: make(seed) for seed in seeds}
    unseen = [seed for seed in seeds if seed not in CHOSEN_ON]
    for name in names:
        precision, ap, objective, took = {}, [], [], []
        for seed, trial in trials.items():
            began = time.perf_counter()
            found = run(trial, name, seed)
            took.append(time.perf_counter() - began)
            precision[seed] = float(trial.matched[found.order].mean())
            ap.append(average_precision(found, trial.matched))
            objective.append(found.objective)
        table.row([name, mean_and_sd(list(precision.values())),
                   f"{np.mean([precision[s] for s in unseen]):.3f}" if unseen else "-",
                   f"{np.mean(ap):.3f}", f"{np.mean(objective):.3f}", f"{np.median(took):.2f}"])  # fmt: skip


def part_methods(table: Table, seeds: list[int], clusters: list[int]) -> None:
    images, sounds = toydata.mnist_fsdd()
    for k in clusters:
        for protocol in toydata.PROTOCOLS:

            def make(seed: int, k: int = k, protocol: str = protocol) -> Trial:
                return mnist_trial(images, sounds, protocol, 0.5, k, seed)

            by_method(table, f"mnist-fsdd, {k} centroids, {protocol}-level mismatch, half matched", make,
                      list(METHODS), seeds)  # fmt: skip
    for protocol in ("class", "sample"):

        def several(seed: int, protocol: str = protocol) -> Trial:
            return mnist_trial(images, sounds, protocol, 0.5, clusters[0], seed, replicates=3)

        by_method(table, f"three k-means seeds as replicates, {clusters[0]} centroids, {protocol}-level", several,
                  list(GRID), seeds)  # fmt: skip


def part_grid(table: Table, seeds: list[int], clusters: list[int]) -> None:
    images, sounds = toydata.mnist_fsdd()
    k = clusters[0]
    table.head(f"mnist-fsdd grid, {k} centroids: precision, mean of seeds (worst concord - batch-greedy of a seed)",
               ["protocol", "matched", "set", *GRID, "worst"])  # fmt: skip
    cells = [(p, s, "even") for p in toydata.PROTOCOLS for s in (0.1, 0.3, 0.5, 0.7, 0.9)]
    cells += [(p, 0.5, kind) for p in toydata.PROTOCOLS for kind in ("classes 1:20", "noise layer")]
    for protocol, share, kind in cells:
        values: dict[str, list[float]] = {name: [] for name in GRID}
        for seed in seeds:
            trial = mnist_trial(images, sounds, protocol, share, k, seed, uneven=kind == "classes 1:20",
                                noise=kind == "noise layer")  # fmt: skip
            for name in GRID:
                values[name].append(float(trial.matched[run(trial, name, seed).order].mean()))
        worst = min(np.subtract(values["concord"], values["batch-greedy (queue)"]))
        table.row([protocol, f"{share:g}", kind, *(f"{np.mean(values[n]):.3f}" for n in GRID), f"{worst:+.3f}"])


def part_chance(table: Table, seeds: list[int], clusters: list[int]) -> None:
    """Independent modalities: half the clips are called matched, by lot."""
    images, sounds = toydata.mnist_fsdd()

    def make(seed: int) -> Trial:
        trial = mnist_trial(images, sounds, "sample", 0.0, clusters[0], seed)
        lot = np.random.default_rng([seed, 99]).permutation(len(trial.matched)) < len(trial.matched) // 2
        return Trial(trial.codes, trial.modalities, trial.layers, lot, trial.features)

    noise = 0.5 / np.sqrt(1500) / np.sqrt(len(seeds))
    by_method(table, f"independent modalities: 0.50 is right, ± {2 * noise:.3f} is noise", make, list(METHODS), seeds)


def part_esc(table: Table, seeds: list[int], clusters: list[int]) -> None:
    data = toydata.esc_av()
    layers = sorted(data.features, key=lambda layer: (not layer.startswith("sound"), layer))
    modalities = ["audio" if layer.startswith("sound") else "visual" for layer in layers]
    for k in clusters:
        for text, groups in (("sources unknown", None), ("recordings known as sources", data.sound_source)):
            found: dict[str, list[np.ndarray]] = {}

            def make(seed: int, k: int = k, groups: np.ndarray | None = groups) -> Trial:
                return Trial(toydata.clustered(data.features, k, seed, "esc-av"), modalities, layers, data.matched,
                             [data.features[n] for n in layers], groups)  # fmt: skip

            by_method(table, f"esc-av, {k} centroids, {text}", make, list(METHODS), seeds)
            for name in ("batch-greedy (queue)", "concord"):
                found[name] = [run(make(seed), name, seed).order for seed in seeds]
            for what, source in (("recordings", data.sound_source), ("pictures", data.image_source)):
                mean, low, high = difference(found["concord"], found["batch-greedy (queue)"], data.matched, source)
                table.add(f"\nconcord - batch-greedy (queue): {100 * mean:+.1f} points, 95 % interval {100 * low:+.1f} "
                          f"to {100 * high:+.1f}, {len(np.unique(source))} sources ({what}) resampled")  # fmt: skip


def difference(ours: list[np.ndarray], theirs: list[np.ndarray], matched: np.ndarray,
               source: np.ndarray) -> tuple[float, float, float]:  # fmt: skip
    """Difference of mean precision over seeds, and its interval when sources are resampled, the same for both."""
    n_sources = int(source.max()) + 1
    rng = np.random.default_rng(0)
    draws = np.vstack([np.ones(n_sources), rng.multinomial(n_sources, np.full(n_sources, 1 / n_sources), 2000)])

    def precision(order: np.ndarray) -> np.ndarray:
        size = draws @ np.bincount(source[order], minlength=n_sources)
        return draws @ np.bincount(source[order], matched[order], n_sources) / size

    gap = np.mean([precision(a) - precision(b) for a, b in zip(ours, theirs, strict=True)], axis=0)
    low, high = np.quantile(gap[1:], [0.025, 0.975])
    return float(gap[0]), float(low), float(high)


PARTS = {"methods": part_methods, "grid": part_grid, "chance": part_chance, "esc": part_esc}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--clusters", type=int, nargs="+", default=[32])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="keep the tables here, as Markdown")
    args = parser.parse_args()
    table = Table()
    table.add(f"{toydata.machine()}; seeds {', '.join(map(str, args.seeds))}; one thread")
    with threadpool_limits(1):
        for part in args.part:
            PARTS[part](table, args.seeds, args.clusters)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("# Retrieval\n\n" + "\n".join(table.lines) + "\n")


if __name__ == "__main__":
    main()
