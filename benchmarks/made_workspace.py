"""Makes a workspace of any size without media: a recipe for timing the explorer and the engine.

    python benchmarks/made_workspace.py WORKSPACE --clips 1000000 [--clusters 32] [--layers 3] [--features] [--seed 0]

Clips have a kind (Zipf-like sizes); 60 % have the sound of their own kind, the others another's. Each of `--layers`
sound and picture layers sees the kind with a tenth of the clips mislabelled, so layers of one modality agree but are
not the same. Three clips a video, `clips / 300` titles. With `--features` also 64-dimensional float16 features and
the maps of their first two directions. Everything is written in pieces of at most 1,048,576 clips and is the same for
the same seed. Run the selection after it: `python -m curation select WORKSPACE`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from curation.atomic import write_json  # noqa: E402
from curation.records import CLIPS  # noqa: E402
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of  # noqa: E402

PIECE = 1 << 20
PART = 65_536
DIM = 64
MATCHED = 0.6
MISLABELLED = 0.1
CLIPS_A_VIDEO = 3
VIDEOS_A_TITLE = 100
SIDES = {"audio": "sound", "visual": "picture"}
_BASE32 = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--clusters", type=int, default=32)
    parser.add_argument("--layers", type=int, default=3, help="of each modality")
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    make(options.workspace, options.clips, options.clusters, options.layers, options.features, options.seed)
    size = sum(file.stat().st_size for file in options.workspace.rglob("*") if file.is_file())
    print(f"{options.clips:,} clips in {time.monotonic() - started:.1f} s, {size / 1e9:.2f} GB on disk")


def make(path: Path, n: int, clusters: int, layers: int, features: bool, seed: int) -> Workspace:
    """A made workspace of `n` clips at `path`, which must be new or empty."""
    workspace = Workspace.create(path, name=f"made {n:,}")
    mark = fingerprint_of(["made", n, clusters, layers, seed])
    _write_clips(workspace, n, mark, seed)
    _write_truth(workspace, n, clusters, seed)
    _write_clusterings(workspace, n, clusters, layers, mark, seed)
    if features:
        for modality in SIDES:
            _write_features(workspace, modality, n, clusters, mark, seed)
    return workspace


def pieces(n: int) -> Iterator[tuple[int, int]]:
    """First and last row of each piece."""
    for start in range(0, n, PIECE):
        yield start, min(n, start + PIECE)


def kinds(start: int, stop: int, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Kinds of the sound and of the picture of a piece's clips, int32 (stop - start,) each."""
    rng = np.random.default_rng([seed, start])
    weights = 1 / np.arange(3, clusters + 3)
    picture = rng.choice(clusters, stop - start, p=weights / weights.sum()).astype(np.int32)
    other = rng.choice(clusters, stop - start, p=weights / weights.sum()).astype(np.int32)
    return np.where(rng.random(stop - start) < MATCHED, picture, other), picture, rng


def _write_clips(workspace: Workspace, n: int, mark: str, seed: int) -> None:
    batches = (batch for piece in pieces(n) for batch in _clips(*piece, seed).cast(CLIPS).combine_chunks().to_batches())
    info = {"clips": n, "hours": n / 360, "origin": "imported"}
    workspace.commit_table("clips", pa.RecordBatchReader.from_batches(CLIPS, batches), mark, info)


def _clips(start: int, stop: int, seed: int) -> pa.Table:
    m = stop - start
    row = np.arange(start, stop, dtype=np.int64)
    video, place = row // CLIPS_A_VIDEO, row % CLIPS_A_VIDEO
    number = pc.utf8_lpad(pc.cast(pa.array(video), pa.string()), 9, "0")
    title = pc.binary_join_element_wise(
        "title ", pc.utf8_lpad(pc.cast(pa.array(video // VIDEOS_A_TITLE), pa.string()), 7, "0"), ""
    )
    empty = pa.array([""] * m)
    columns = {
        "row": row,
        "clip_id": _ids(m, np.random.default_rng([seed, 1, start])),
        "video_id": pc.binary_join_element_wise("v", number, ""),
        "path": pc.binary_join_element_wise(title, "/video ", number, ".mp4", ""),
        "start_s": place * 20.0,
        "end_s": place * 20.0 + 10.0,
        "source": pc.binary_join_element_wise("v", number, ""),
        "title": title,
        "status": pa.array(["ok"]).take(pa.array(np.zeros(m, np.int64))),
        "code": empty,
        "message": empty,
    }
    return pa.table(columns)


def _ids(m: int, rng: np.random.Generator) -> pa.Array:
    """26 random base-32 characters each."""
    letters = _BASE32[rng.integers(32, size=m * 26, dtype=np.uint8)]
    offsets = np.arange(m + 1, dtype=np.int32) * 26
    return pa.StringArray.from_buffers(m, pa.py_buffer(offsets), pa.py_buffer(letters))


def _write_truth(workspace: Workspace, n: int, clusters: int, seed: int) -> None:
    if n > 10_000_000:  # one table in memory: left out where it would not fit
        return
    same = [np.equal(*kinds(start, stop, clusters, seed)[:2]) for start, stop in pieces(n)]
    ids = workspace.table("clips", ["clip_id"])["clip_id"]
    table = pa.table({"clip_id": ids, "truth_match": np.concatenate(same)})
    workspace.commit_table("columns/truth_match", table, "made", {"origin": "imported"})


def _write_clusterings(workspace: Workspace, n: int, clusters: int, layers: int, mark: str, seed: int) -> None:
    names = [(modality, f"{side}.layer{i}") for modality, side in SIDES.items() for i in range(layers)]
    folders = {name: workspace.partial_folder(f"clusterings/{name}", mark) for _, name in names}
    arrays = {
        (name, what): np.lib.format.open_memmap(folders[name] / f"{what}.npy", "w+", dtype, (n,))
        for _, name in names
        for what, dtype in (("assignments", np.int32), ("distances", np.float32))
    }
    sizes = {name: np.zeros(clusters, np.int64) for _, name in names}
    for start, stop in pieces(n):
        sound, picture, rng = kinds(start, stop, clusters, seed)
        for modality, name in names:
            kind = sound if modality == "audio" else picture
            noise = rng.integers(clusters, size=stop - start, dtype=np.int32)
            labels = np.where(rng.random(stop - start) < MISLABELLED, noise, kind)
            arrays[name, "assignments"][start:stop] = labels
            arrays[name, "distances"][start:stop] = rng.random(stop - start, np.float32)
            sizes[name] += np.bincount(labels, minlength=clusters)
    for modality, name in names:
        for what in ("assignments", "distances"):
            arrays.pop((name, what)).flush()
        np.save(folders[name] / "sizes.npy", sizes[name])
        extractor, _, layer = name.partition(".")
        facts = {
            CLIPS_FINGERPRINT: mark, "modality": modality, "extractor": extractor, "layer": layer, "dim": DIM,
            "n_clusters": clusters, "asked": str(clusters), "clips": n, "seed": seed,
            "origin": "imported", "report": {"notices": []},
        }  # fmt: skip
        write_json(folders[name] / "params.json", facts)
        workspace.commit_folder(f"clusterings/{name}", folders[name], fingerprint_of([mark, name]), facts)


def _write_features(workspace: Workspace, modality: str, n: int, clusters: int, mark: str, seed: int) -> None:
    side = SIDES[modality]
    folder = workspace.partial_folder(f"features/{side}", mark)
    (folder / "layer0").mkdir(exist_ok=True)
    centres = np.random.default_rng([seed, len(side)]).normal(size=(clusters, DIM)).astype(np.float32) * 2
    plane = workspace.partial_folder(f"projections/{modality}", mark)
    xy = np.lib.format.open_memmap(plane / "xy.npy", "w+", np.float32, (n, 2))
    axes = np.linalg.svd(centres - centres.mean(0), full_matrices=False)[2][:2]
    for i, start in enumerate(range(0, n, PART)):
        stop = min(n, start + PART)
        piece = start // PIECE * PIECE
        sound, picture, _ = kinds(piece, min(n, piece + PIECE), clusters, seed)
        kind = (sound if modality == "audio" else picture)[start - piece : stop - piece]
        rng = np.random.default_rng([seed, 2, start, len(side)])
        values = centres[kind] + rng.standard_normal((stop - start, DIM), np.float32)
        np.save(folder / "layer0" / f"part-{i:06d}.npy", values.astype(np.float16))
        xy[start:stop] = values @ axes.T
    xy.flush()
    np.save(folder / "valid.npy", np.ones(n, bool))
    info = {
        CLIPS_FINGERPRINT: mark, "modality": modality, "layers": {"layer0": DIM}, "clips": n, "valid": n,
        "failures": {}, "origin": "imported",
    }  # fmt: skip
    workspace.commit_folder(f"features/{side}", folder, fingerprint_of([mark, side]), info)
    facts = {CLIPS_FINGERPRINT: mark, "method": "pca", "clips": n}
    workspace.commit_folder(f"projections/{modality}", plane, fingerprint_of([mark, side, "map"]), facts)


if __name__ == "__main__":
    main()
