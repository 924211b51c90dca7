"""Small shards as the ACAV100M reference writes them, in both spellings, for tests."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

SOUND_DIMS = (4, 3)
PICTURE_DIMS = (5, 2)


def youtube_id(i: int) -> str:
    return f"abcdefgh{i:03d}"


def filename(i: int) -> str:
    return f"{youtube_id(i)}_{10 * i:03d}.mp4"


def vector(i: int, layer: int, dim: int, sound: bool) -> np.ndarray:
    """What clip i holds in a layer: told from every other."""
    return (np.arange(dim) + 100 * i + 10 * layer + (0.5 if sound else 0)).astype(np.float32)


def feature_row(i: int, shard: str, size: int, readme: bool = False) -> dict[str, Any]:
    array, picture = ("feat_array", "visual_features") if readme else ("array", "video_features")

    def entry(name: str, dataset: str, dims: tuple[int, ...], sound: bool) -> dict[str, Any]:
        layers = {f"layer_{k}": vector(i, k, dim, sound) for k, dim in enumerate(dims)}
        return {"model_key": f"layer_{name}", "extractor_name": name, "dataset": dataset, array: layers}

    row: dict[str, Any] = {
        picture: [entry("SLOWFAST_8x8_R50", "kinetics-400", PICTURE_DIMS, False)],
        "audio_features": [entry("VGGish", "YouTube-8M", SOUND_DIMS, True)],
        "filename": filename(i),
    }
    if readme:
        return {**row, "id": youtube_id(i), "segment": [10 * i + 0.25, 10 * i + 10.25]}
    return {**row, "shard_name": shard, "shard_size": size}


def cluster_row(i: int, shard: str, size: int, readme: bool = False) -> dict[str, Any]:
    picture = "visual_assignments" if readme else "video_assignments"

    def entry(name: str, n_layers: int) -> dict[str, Any]:
        layers = {f"layer_{k}": np.int64((i + k) % 3) for k in range(n_layers)}
        return {"model_key": f"layer_{name}", "extractor_name": name, "dataset": "x", "array": layers}

    return {
        "filename": filename(i),
        "shard_name": shard,
        "shard_size": size,
        picture: [entry("SLOWFAST_8x8_R50", 2)],
        "audio_assignments": [entry("VGGish", 2)],
    }


def write_shards(
    folder: Path, n_shards: int = 3, size: int = 4, *, rows: Any = feature_row, readme: bool = False, protocol: int = 4
) -> Path:
    """`n_shards` shards of `size` clips, numbered on; the .json files beside them (not with the README's spelling)."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_shards):
        name = f"shard-{number:06d}"
        clips = range(number * size, (number + 1) * size)
        data = [rows(i, name, size, readme) for i in clips]
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(data, protocol))
        if not readme:
            segments = [
                {"filename": filename(i), "id": youtube_id(i), "segment": [10 * i + 0.25, 10 * i + 10.25]}
                for i in clips
            ]
            (folder / f"{name}.json").write_text(json.dumps(segments), "utf-8")
    return folder
