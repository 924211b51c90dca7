"""Benchmark data: labelled images and sounds or invented kinds in, feature layers, pairs and their truth out.

`mnist_fsdd` gives the images and sounds of a folder with 5 + 5 simple layers of features (`curation.evaluation`);
`mismatch` pairs them, with a whole modality shuffled together; `made_kinds` and `planted_titles` invent
cluster assignments directly.
"""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # a benchmark may be run from anywhere
    sys.path.insert(0, str(ROOT))

from curation.evaluation import pairs  # noqa: E402
from curation.evaluation.labelled import layers_of, read_labelled  # noqa: E402
from curation.evaluation.pairs import Pairs, mismatch  # noqa: E402, F401

FEATURE_VERSION = 4  # raised when a layer's numbers change
PROTOCOLS = pairs.PROTOCOLS[:3]


@dataclass(frozen=True)
class Library:
    """Things that can be paired. `features`: layer name -> float32 (n, dim); `label` int (n,)."""

    features: dict[str, np.ndarray]
    label: np.ndarray


def data_folder() -> Path:
    """The test data beside the project; CONCORD_TEST_DATA names another place."""
    return Path(os.environ.get("CONCORD_TEST_DATA", ROOT.parent / "shared" / "data"))


def cache_folder() -> Path:
    """Where features are kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "concord-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mnist_fsdd(folder: Path | None = None) -> tuple[Library, Library]:
    """Images and sounds of the ten digits, 1,500 each, with five layers of features each."""
    folder = folder or data_folder() / "mnist-fsdd"
    found = []
    with threadpool_limits(1):
        for name, modality in (("images", "visual"), ("audio", "audio")):
            one = read_labelled(folder / name, modality, folder / "truth" / "items.csv")
            layers, _, _ = layers_of(one, cache_folder() / "labelled")
            found.append(Library(layers, np.array([int(label) for label in one.classes])))
    return found[0], found[1]


def _digest(names: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(names).encode(), digest_size=4).hexdigest()


def correspondences(images: Library, sounds: Library, rng: np.random.Generator,
                    rows: np.ndarray | None = None) -> Pairs:  # fmt: skip
    """`curation.evaluation.pairs.correspondences` of two libraries."""
    return pairs.correspondences(images.label, sounds.label, rng, rows)


def uneven_rows(images: Library, largest: float, rng: np.random.Generator) -> np.ndarray:
    """Rows of images with class sizes from 1 to `largest` in a geometric series, the largest as large as there are."""
    classes = rng.permutation(np.unique(images.label))
    sizes = np.geomspace(1, 1 / largest, len(classes))
    rows = []
    for c, size in zip(classes, sizes, strict=True):
        mine = rng.permutation(np.flatnonzero(images.label == c))
        rows.append(mine[: max(2, round(len(mine) * size))])
    return rng.permutation(np.concatenate(rows))


@dataclass(frozen=True)
class Made:
    """Invented assignments int32 (N, D), the first half of the columns sound; `matched` bool (N,): sound and picture
    belong together; `kind` int (N,): what the picture shows; `source` int (N,); `held_out` int32 (N, 4): clusterings
    that take no part in a choice, sound first.
    """

    codes: np.ndarray
    matched: np.ndarray
    kind: np.ndarray
    source: np.ndarray
    held_out: np.ndarray

    @property
    def modalities(self) -> list[str]:
        half = self.codes.shape[1] // 2
        return ["audio"] * half + ["visual"] * half


def _seen(kind: np.ndarray, n_clusters: int, clear: float, share: np.ndarray, layers: int,
          rng: np.random.Generator) -> np.ndarray:  # fmt: skip
    """`layers` clusterings that show the kind with probability `clear`, and otherwise a random cluster."""
    out = np.empty((len(kind), layers), np.int32)
    for d in range(layers):
        other = rng.choice(n_clusters, len(kind), p=share)
        out[:, d] = np.where(rng.random(len(kind)) < clear, kind, other)
    return out


def made_kinds(n: int, share: float, rng: np.random.Generator, *, kinds: int = 32, zipf: float = 1.0,
               clear: float = 0.6, layers: int = 5) -> Made:  # fmt: skip
    """Clips of `kinds` kinds with frequencies 1 / rank^zipf, of which `share` have the sound of their kind."""
    p = np.arange(1, kinds + 1, dtype=float) ** -zipf
    p /= p.sum()
    picture = rng.choice(kinds, n, p=p)
    matched = rng.permutation(n) < round(n * share)
    sound = picture.copy()
    where = np.flatnonzero(~matched)
    sound[where] = sound[rng.permutation(where)]
    seen = [_seen(k, kinds, clear, p, layers + 2, rng) for k in (sound, picture)]
    codes = np.concatenate([s[:, :layers] for s in seen], axis=1)
    held_out = np.concatenate([s[:, layers:] for s in seen], axis=1)
    return Made(codes, matched, picture, np.arange(n), held_out)


def planted_titles(n: int, rng: np.random.Generator, *, titles: int = 12, kinds: int = 8, events: float = 0.3,
                   theme: float = 0.2, clear: float = 0.6, layers: int = 5) -> Made:  # fmt: skip
    """Clips of films: `events` of them hold an event, with its sound, that also occurs in other films; in `theme` the
    film's own music runs under a picture in the film's own palette; the rest go together by chance. `matched`: events.
    """
    n_clusters = 2 * titles + kinds
    title = rng.integers(0, titles, n)
    draw = rng.random(n)
    event, themed = draw < events, (draw >= events) & (draw < events + theme)
    picture, sound = rng.integers(0, n_clusters, n), rng.integers(0, n_clusters, n)
    kind = rng.integers(0, kinds, n)
    picture[event], sound[event] = kind[event], kind[event]
    picture[themed], sound[themed] = kinds + title[themed], kinds + titles + title[themed]
    even = np.full(n_clusters, 1 / n_clusters)
    seen = [_seen(k, n_clusters, clear, even, layers + 2, rng) for k in (sound, picture)]
    codes = np.concatenate([s[:, :layers] for s in seen], axis=1)
    return Made(codes, event, picture, title, np.concatenate([s[:, layers:] for s in seen], axis=1))


@dataclass(frozen=True)
class Recorded:
    """Clips of files. `features`: layer name -> float32 (N, dim); `matched` bool (N,); `sound_source`, `image_source`
    int (N,): clips with an equal number share a recording, or pictures, directly or through others.
    """

    features: dict[str, np.ndarray]
    matched: np.ndarray
    sound_source: np.ndarray
    image_source: np.ndarray


def esc_av(folder: Path | None = None) -> Recorded:
    """The 1,200 clips with the layers of the extractors `sound` and `picture`; decoding takes minutes, once."""
    from curation.extractors.run import extract_file

    folder = folder or data_folder() / "esc-av"
    with (folder / "truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    with (folder / "clips.csv").open(newline="") as file:
        duration = {row["clip"]: float(row["duration"]) for row in csv.DictReader(file)}
    kept = cache_folder() / f"esc-av-{FEATURE_VERSION}-{_digest([row['clip'] for row in truth])}.npz"
    if not kept.exists():
        found: dict[str, list[np.ndarray]] = {}
        for row in truth:
            result = extract_file({
                "path": str(folder / "clips" / row["clip"]),
                "segments": [[0.0, duration[row["clip"]]]],
                "extractors": ["sound", "picture"],
            })  # fmt: skip
            if result["errors"]:
                raise ValueError(f"{row['clip']}: {result['errors'][0]}")
            for name, values in result.items():
                if "/" in name and not name.startswith("valid/"):
                    found.setdefault(name.replace("/", "."), []).append(values)
        temporary = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **{name: np.concatenate(values).astype(np.float32) for name, values in found.items()})
        temporary.replace(kept)
    with np.load(kept) as stored:
        features = {name: stored[name] for name in stored.files}
    return Recorded(
        features,
        np.array([row["is_match"] == "1" for row in truth]),
        _joined([[row["audio_class"] + name for name in row["sounds"].split()] for row in truth]),
        _joined([[row["visual_class"] + name for name in row["images"].split()] for row in truth]),
    )


def _joined(parts: Sequence[Sequence[str]]) -> np.ndarray:
    """Number of the connected set of each clip: clips with a part in common are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = {name: k for k, name in enumerate(sorted({name for own in parts for name in own}))}
    edges = [(i, len(parts) + names[name]) for i, own in enumerate(parts) for name in own]
    rows, columns = np.array(edges).T
    size = len(parts) + len(names)
    graph = coo_array((np.ones(len(edges), np.int8), (rows, columns)), shape=(size, size))
    return connected_components(graph, directed=False)[1][: len(parts)]


def clustered(features: dict[str, np.ndarray], n_clusters: int, seed: int, name: str) -> np.ndarray:
    """Clusterings of all layers, sound first, int32 (n, D); kept in the cache folder under `name`."""
    from curation.clustering import cluster

    layers = sorted(features, key=lambda layer: (not layer.startswith("sound"), layer))
    kept = cache_folder() / f"{name}-{FEATURE_VERSION}-{_digest(layers)}-k{n_clusters}-s{seed}.npy"
    if not kept.exists():
        codes = np.stack([cluster(features[k], n_clusters, seed=seed).assignments for k in layers], axis=1)
        temporary = kept.with_suffix(f".{os.getpid()}.npy")
        np.save(temporary, codes)
        temporary.replace(kept)
    return np.load(kept)


def machine() -> str:
    """One line: processor, cores, versions."""
    import platform

    import numba
    import scipy

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return (
        f"{model or platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}, Numba {numba.__version__}"
    )
