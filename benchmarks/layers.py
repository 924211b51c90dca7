"""What each built-in layer is worth on clips whose right sounds are known: alone, and beside all others.

    python benchmarks/layers.py [--seeds 6 7 8 9 10] [--clusters 32] [--methods concord batch-greedy] [--out FILE]

The 1,200 clips of esc-av, half of them with another kind's sound; half are chosen, so chance is 0.50. *Alone*: the
layer with all layers of the other modality. *Adds*: precision with all layers less that without this one. Means over
seeds that redo k-means and choice; 95 % intervals by resampling recordings, the same ones on both sides.
The layers were made while looking at these clips: small differences are in-sample.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import toydata  # noqa: E402

import curation  # noqa: E402
from curation.kernels.retrieval import by_source, resampled_precision  # noqa: E402

DRAWS = 2000


class Chosen:
    """Precision of what a method chooses from some layers; every question is answered once."""

    def __init__(self, method: str, seeds: list[int], n_clusters: int) -> None:
        self.method, self.seeds, self.n_clusters = method, seeds, n_clusters
        self.data = toydata.esc_av()
        self.layers = sorted(self.data.features, key=lambda layer: (not layer.startswith("sound"), layer))
        self._counts: dict[tuple[str, ...], np.ndarray] = {}

    def counts(self, layers: list[str]) -> np.ndarray:
        """Right and all chosen clips of each recording, a row a seed."""
        key = tuple(layers)
        if key not in self._counts:
            columns = [self.layers.index(layer) for layer in layers]
            modalities = ["audio" if layer.startswith("sound") else "visual" for layer in layers]
            source, right = self.data.sound_source, self.data.matched
            found = []
            for seed in self.seeds:
                codes = toydata.clustered(self.data.features, self.n_clusters, seed, "esc-av")[:, columns]
                order = curation.select(
                    codes, modalities, budget=0.5, method=self.method, seed=seed, groups=source, controls=False
                ).order
                found.append(
                    by_source(np.asarray(order), right, np.ones(len(right), bool), source, int(source.max()) + 1)
                )
            self._counts[key] = np.stack(found)
        return self._counts[key]

    def precision(self, layers: list[str]) -> np.ndarray:
        """Mean over seeds, once for each resampling of the recordings (DRAWS,)."""
        return resampled_precision(self.counts(layers), DRAWS, 0)


def words(drawn: np.ndarray, sign: str = "") -> str:
    """Middle and 95 % interval."""
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    return f"{middle:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def table(method: str, seeds: list[int], n_clusters: int) -> list[str]:
    """Lines of Markdown."""
    chosen = Chosen(method, seeds, n_clusters)
    everything = chosen.precision(chosen.layers)
    lines = [f"## {method}", "", "| layer | alone | adds to all others |", "| --- | --- | --- |"]
    for layer in chosen.layers:
        own = layer.startswith("sound")
        across = [other for other in chosen.layers if other.startswith("sound") != own]
        alone = chosen.precision([layer, *across] if own else [*across, layer])
        without = chosen.precision([other for other in chosen.layers if other != layer])
        lines.append(f"| {layer} | {words(alone)} | {words(everything - without, '+')} |")
        print(lines[-1], flush=True)
    return [*lines, f"| all {len(chosen.layers)} | {words(everything)} | |", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[6, 7, 8, 9, 10])
    parser.add_argument("--clusters", type=int, default=32)
    parser.add_argument("--methods", nargs="+", default=["concord", "batch-greedy"])
    parser.add_argument("--out", type=Path, help="keep the tables here, as Markdown")
    options = parser.parse_args()
    lines = ["# What each built-in layer is worth", "", toydata.machine(), ""]
    lines += [
        f"esc-av, half chosen, {options.clusters} clusters a layer, seeds {', '.join(map(str, options.seeds))}.",
        "",
    ]
    for method in options.methods:
        lines += table(method, options.seeds, options.clusters)
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
