"""What several benchmarks share: methods by name, digits as assignments, lines of Markdown."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import toydata  # noqa: E402

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


@dataclass(frozen=True)
class Trial:
    """One set of clips: assignments (N, D), modalities, layer names, truth, features."""

    codes: np.ndarray
    modalities: list[str]
    layers: list[str]
    matched: np.ndarray
    features: list[np.ndarray] | None = None
    groups: np.ndarray | None = None


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
