"""Benchmark data: labelled images and sounds or invented kinds in, feature layers, pairs and their truth out.

`mnist_fsdd` reads the images and sounds of a folder and makes 5 + 5 simple layers of features, kept as one npz in the
cache folder; `mismatch` pairs them, with a whole modality shuffled together; `made_kinds` and `planted_titles` invent
cluster assignments directly.
"""

from __future__ import annotations

import csv
import hashlib
import os
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.fft import dct
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
SOUND_RATE_HZ = 8000
FEATURE_VERSION = 3  # raised when a layer's numbers change
PROTOCOLS = ("class", "sample", "half")


@dataclass(frozen=True)
class Library:
    """Things that can be paired. `features`: layer name -> float32 (n, dim); `label` int (n,)."""

    features: dict[str, np.ndarray]
    label: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Clips as pairs of an image and a sound. All (N,): `image`, `sound` rows of the libraries, `matched` bool (both
    are from the matched part), `same_class` bool, `source` int.
    """

    image: np.ndarray
    sound: np.ndarray
    matched: np.ndarray
    same_class: np.ndarray
    source: np.ndarray


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
    with (folder / "truth" / "items.csv").open(newline="") as file:
        items = list(csv.DictReader(file))
    kinds = {kind: [row for row in items if row["file"].startswith(kind)] for kind in ("images", "audio")}
    kept = cache_folder() / f"mnist-fsdd-{FEATURE_VERSION}-{_digest([row['file'] for row in items])}.npz"
    if not kept.exists():
        with threadpool_limits(1):
            pixels = np.stack([_read_image(folder / row["file"]) for row in kinds["images"]])
            sounds = [_read_sound(folder / row["file"]) for row in kinds["audio"]]
            layers = {f"image.{k}": v for k, v in image_layers(pixels).items()}
            layers |= {f"sound.{k}": v for k, v in sound_layers(sounds).items()}
        temporary = kept.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **layers)
        temporary.replace(kept)
    with np.load(kept) as stored:
        layers = {name: stored[name] for name in stored.files}
    return tuple(  # type: ignore[return-value]
        Library(
            {k: v for k, v in layers.items() if k.startswith(prefix)},
            np.array([int(row["label"]) for row in kinds[kind]]),
        )
        for prefix, kind in (("image.", "images"), ("sound.", "audio"))
    )


def _digest(names: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(names).encode(), digest_size=4).hexdigest()


def _read_image(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255


def _read_sound(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        if file.getframerate() != SOUND_RATE_HZ or file.getsampwidth() != 2 or file.getnchannels() != 1:
            raise ValueError(f"{path} is not 16-bit mono at {SOUND_RATE_HZ} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768


def image_layers(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """float32 (n, H, W), 0 to 1, to five layers: principal components, oriented gradients, profiles of rows and
    columns, random convolutions, blurred thumbnails.
    """
    n = len(pixels)
    flat = pixels.reshape(n, -1)
    centred = flat - flat.mean(0)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    x = torch.from_numpy(pixels)[:, None]
    gen = torch.Generator().manual_seed(0)
    filters = torch.randn(32, 1, 5, 5, generator=gen)
    filters -= filters.mean((1, 2, 3), keepdim=True)
    with torch.inference_mode():
        conv = torch.nn.functional.relu(torch.nn.functional.conv2d(x, filters))
        conv = torch.nn.functional.adaptive_avg_pool2d(conv, 3).flatten(1).numpy()
        thumb = torch.nn.functional.adaptive_avg_pool2d(x, 7).flatten(1).numpy()
    profiles = np.concatenate([pixels.mean(1), pixels.mean(2)], axis=1)
    return {
        "pca": np.ascontiguousarray(centred @ components[:32].T),
        "hog": _oriented_gradients(pixels, 4, 8),
        "profiles": profiles,
        "conv": conv,
        "thumb": thumb,
    }


def _oriented_gradients(pixels: np.ndarray, grid: int, angles: int) -> np.ndarray:
    gy, gx = np.gradient(pixels, axis=(1, 2))
    size = np.hypot(gx, gy)
    angle = np.minimum((np.arctan2(gy, gx) % np.pi) / np.pi * angles, angles - 1).astype(int)
    out = np.zeros((len(pixels), grid, grid, angles), np.float32)
    rows = np.array_split(np.arange(pixels.shape[1]), grid)
    for i, band in enumerate(rows):
        for j, strip in enumerate(rows):
            cell = np.ix_(np.arange(len(pixels)), band, strip)
            for a in range(angles):
                out[:, i, j, a] = (size[cell] * (angle[cell] == a)).sum((1, 2))
    out = out.reshape(len(pixels), -1)
    return np.sqrt(out / np.maximum(out.sum(1, keepdims=True), 1e-6))


def sound_layers(sounds: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Mono float32 sounds to five layers: mean and deviation of log-mel energies, of MFCC, MFCC in eight parts of the
    sound, log-mel energies in a grid of time and frequency, outlines of loudness, brightness and zero crossings.
    """
    rows: dict[str, list[np.ndarray]] = {k: [] for k in ("logmel", "mfcc", "course", "grid", "outline")}
    bank = _mel_bank(32, 256, SOUND_RATE_HZ)
    for sound in sounds:
        frames = _frames(sound / max(float(np.abs(sound).max()), 1e-4))
        power = np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]), 256)) ** 2
        energy = power.sum(1)
        loud = np.flatnonzero(energy > 1e-3 * energy.max())
        power, frames = power[loud[0] : loud[-1] + 1], frames[loud[0] : loud[-1] + 1]
        mel = np.log10(power @ bank + 1e-4)
        cepstra = dct(mel, norm="ortho", axis=1)[:, 1:14]
        rows["logmel"].append(np.concatenate([mel.mean(0), mel.std(0)]))
        rows["mfcc"].append(np.concatenate([cepstra.mean(0), cepstra.std(0)]))
        rows["course"].append(_in_parts(cepstra, 8).ravel())
        rows["grid"].append((_in_parts(mel, 6) - mel.mean()).reshape(6, 8, 4).mean(2).ravel())
        centre = (power @ np.arange(power.shape[1])) / power.sum(1) / power.shape[1]
        crossings = (np.diff(np.sign(frames), axis=1) != 0).mean(1)
        track = np.stack([np.log10(power.sum(1) + 1e-4), 4 * centre, 4 * crossings], axis=1)
        rows["outline"].append(np.append(_in_parts(track, 12).ravel(), len(mel) / 50))
    return {name: np.stack(values).astype(np.float32) for name, values in rows.items()}


def _frames(sound: np.ndarray, size: int = 200, hop: int = 80) -> np.ndarray:
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def _in_parts(track: np.ndarray, parts: int) -> np.ndarray:
    """Mean of each of `parts` equal spans of (T, C), (parts, C); a short track repeats frames."""
    edges = np.linspace(0, len(track), parts + 1)
    return np.stack([track[int(lo) : max(int(lo) + 1, int(hi))].mean(0) for lo, hi in zip(edges[:-1], edges[1:])])


def _mel_bank(n: int, n_fft: int, rate_hz: int) -> np.ndarray:
    """Triangular filters (n_fft // 2 + 1, n) evenly spaced on the mel scale from 80 Hz to half the rate."""

    def mel(f: float) -> float:
        return float(2595 * np.log10(1 + f / 700))

    points = 700 * (10 ** (np.linspace(mel(80), mel(rate_hz / 2), n + 2) / 2595) - 1)
    f = np.arange(n_fft // 2 + 1) * rate_hz / n_fft
    rise = (f[:, None] - points[:-2]) / (points[1:-1] - points[:-2])
    fall = (points[2:] - f[:, None]) / (points[2:] - points[1:-1])
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


def correspondences(images: Library, sounds: Library, rng: np.random.Generator,
                    rows: np.ndarray | None = None) -> Pairs:  # fmt: skip
    """Every image (or those of `rows`) with a sound of its class, each used once; all matched, each its own source."""
    image = rng.permutation(len(images.label)) if rows is None else rows
    sound = np.full(len(image), -1)
    for c in np.unique(images.label):
        mine = np.flatnonzero(images.label[image] == c)
        theirs = rng.permutation(np.flatnonzero(sounds.label == c))
        n = min(len(mine), len(theirs))
        sound[mine[:n]] = theirs[:n]
    image, sound = image[sound >= 0], sound[sound >= 0]
    n = len(image)
    return Pairs(image, sound, np.ones(n, bool), np.ones(n, bool), np.arange(n))


def mismatch(pairs: Pairs, label: np.ndarray, sound_label: np.ndarray, protocol: str, share: float,
             rng: np.random.Generator) -> Pairs:  # fmt: skip
    """Shuffle the sounds, whole clips together, of all but about `share` of the clips: of whole classes ("class"), of
    single clips ("sample"), or of whole classes for one half of the mismatch and single clips for the other ("half").

    `label` of images and `sound_label` of sounds, by row of the libraries. About a tenth of single mismatched clips
    still get a sound of their class.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol={protocol!r}; allowed: {', '.join(PROTOCOLS)}")
    n = len(pairs.image)
    kind = label[pairs.image]
    classes = rng.permutation(np.unique(kind))
    wrong = np.zeros(n, bool)
    by_class = {"class": 1 - share, "sample": 0.0, "half": (1 - share) / 2}[protocol]
    for c in classes:  # whole classes, as long as they bring the share nearer
        size = (kind == c).mean()
        if wrong.mean() + size / 2 <= by_class + 1e-9:
            wrong |= kind == c
    if protocol != "class":
        left = np.flatnonzero(~wrong)
        more = max(0, round(n * (1 - share)) - int(wrong.sum()))
        wrong[rng.permutation(left)[:more]] = True
    where = np.flatnonzero(wrong)
    sound = pairs.sound.copy()
    sound[where] = sound[rng.permutation(where)]
    return Pairs(pairs.image, sound, ~wrong, label[pairs.image] == sound_label[sound], pairs.source)


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
