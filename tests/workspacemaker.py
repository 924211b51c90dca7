"""Small workspaces for tests, written through the public Workspace class: no media, planted structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import write_array, write_json
from curation.records import CLIPS, FILTERED, PICKS, SEGMENTED, VIDEOS, clip_id, empty_row, video_id
from curation.workspace import CLIPS_FINGERPRINT, Workspace

AUDIO_LAYERS = ("logmel", "mfcc", "shape")
VISUAL_LAYERS = ("colour", "gradient", "motion")


def make_workspace(
    path: Path,
    *,
    n_clips: int = 60,
    n_kinds: int = 4,
    mismatched: float = 0.4,
    upto: str = "select",
    seed: int = 0,
) -> Workspace:
    """A workspace with clips of `n_kinds` kinds, a share of which has another kind's sound (column `truth_match`).

    `upto`: "videos", "clips", "features", "cluster" or "select": how far it was run.
    """
    rng = np.random.default_rng(seed)
    workspace = Workspace.create(path, name="made", roots=[path.parent / "media"])
    names = [f"folder {i % 3}/video{i:04d}.mp4" for i in range(n_clips)]
    videos = [
        empty_row(VIDEOS)
        | {
            "video_id": video_id(0, name.encode()),
            "path": name,
            "path_bytes": name.encode(),
            "root": 0,
            "title": name.rpartition("/")[0],
            "content_id": f"{i:032x}",
            "status": "ok",
            "size_bytes": 1000 + i,
            "mtime_ns": 1,
            "container": "mp4",
            "duration_s": 10.0,
            "has_video": True,
            "has_audio": True,
            "n_video_streams": 1,
            "n_audio_streams": 1,
            "video_codec": "h264",
            "width": 160,
            "height": 120,
            "rate_num": 12,
            "rate_den": 1,
            "rotation_deg": 0,
            "audio_codec": "aac",
            "sample_rate_hz": 16000,
            "channels": 1,
        }
        for i, name in enumerate(names)
    ]
    videos.sort(key=lambda video: video["path_bytes"])
    broken = empty_row(VIDEOS) | {
        "video_id": "broken",
        "path": "broken <b>.mp4",
        "path_bytes": b"broken <b>.mp4",
        "root": 0,
        "status": "failed",
        "code": "unopenable",
        "message": "Invalid data found when processing input.",
        "size_bytes": 3,
        "mtime_ns": 1,
    }
    workspace.commit_table(
        "videos",
        pa.Table.from_pylist([*videos, broken], VIDEOS),
        "v",
        {"files": n_clips + 1, "readable": n_clips},
    )
    if upto == "videos":
        return workspace
    kept = [{"video_id": v["video_id"], "status": "ok", "code": "", "message": ""} for v in videos]
    dropped = {"video_id": "broken", "status": "dropped", "code": "unopenable", "message": "Invalid data."}
    workspace.commit_table(
        "filtered",
        pa.Table.from_pylist([*kept, dropped], FILTERED),
        "f",
        {"videos": n_clips + 1, "kept": n_clips},
    )
    segmented = [
        {"video_id": v["video_id"], "status": "ok", "code": "", "message": "", "n_clips": 1, "cuts_s": None}
        for v in videos
    ]
    workspace.commit_table("segmented", pa.Table.from_pylist(segmented, SEGMENTED), "s", {})
    clips = [
        {
            "row": row,
            "clip_id": clip_id(v["content_id"], 0.0, 10.0),
            "video_id": v["video_id"],
            "path": v["path"],
            "start_s": 0.0,
            "end_s": 10.0,
            "source": v["video_id"],
            "title": v["title"],
            "status": "ok",
            "code": "",
            "message": "",
        }
        for row, v in enumerate(videos)
    ]
    workspace.commit_table("clips", pa.Table.from_pylist(clips, CLIPS), "s", {"clips": n_clips, "hours": n_clips / 360})
    picture_kind = rng.integers(n_kinds, size=n_clips)
    match = rng.random(n_clips) >= mismatched
    sound_kind = np.where(match, picture_kind, (picture_kind + rng.integers(1, n_kinds, size=n_clips)) % n_kinds)
    ids = [clip["clip_id"] for clip in clips]
    workspace.commit_table(
        "columns/truth_match", pa.table({"clip_id": ids, "truth_match": match}), "t", {"origin": "imported"}
    )
    if upto == "clips":
        return workspace
    for extractor, modality, layers, kind in (
        ("sound", "audio", AUDIO_LAYERS, sound_kind),
        ("picture", "visual", VISUAL_LAYERS, picture_kind),
    ):
        folder = workspace.partial_folder(f"features/{extractor}", f"feat-{extractor}")
        centres = rng.normal(size=(len(layers), n_kinds, 8)) * 3
        for i, layer in enumerate(layers):
            values = centres[i][kind] + rng.normal(size=(n_clips, 8)) * 0.3
            write_array(folder / layer / "part-000000.npy", values.astype(np.float16))
        write_array(folder / "valid.npy", np.ones(n_clips, bool))
        info = {
            CLIPS_FINGERPRINT: "s",
            "modality": modality,
            "layers": dict.fromkeys(layers, 8),
            "clips": n_clips,
            "valid": n_clips,
            "failures": {},
        }
        workspace.commit_folder(f"features/{extractor}", folder, f"feat-{extractor}", info)
        xy = np.stack([centres[0][kind][:, 0], centres[0][kind][:, 1]], 1) + rng.normal(size=(n_clips, 2)) * 0.3
        folder = workspace.partial_folder(f"projections/{modality}", "p")
        write_array(folder / "xy.npy", xy.astype(np.float32))
        info = {CLIPS_FINGERPRINT: "s", "method": "pca", "clips": n_clips}
        workspace.commit_folder(f"projections/{modality}", folder, "p", info)
    if upto == "features":
        return workspace
    for extractor, modality, layers, kind in (
        ("sound", "audio", AUDIO_LAYERS, sound_kind),
        ("picture", "visual", VISUAL_LAYERS, picture_kind),
    ):
        for layer in layers:
            assignments = rng.permutation(n_kinds)[kind].astype(np.int32)
            folder = workspace.partial_folder(f"clusterings/{extractor}.{layer}", "c")
            sizes = np.bincount(assignments, minlength=n_kinds).astype(np.int64)
            arrays = {
                "assignments": assignments,
                "distances": rng.random(n_clips).astype(np.float32),
                "centroids": rng.normal(size=(n_kinds, 8)).astype(np.float32),
                "sizes": sizes,
            }
            for name, array in arrays.items():
                write_array(folder / f"{name}.npy", array)
            facts = {
                CLIPS_FINGERPRINT: "s",
                "modality": modality,
                "extractor": extractor,
                "layer": layer,
                "dim": 8,
                "n_clusters": n_kinds,
                "asked": "auto",
                "clips": n_clips,
                "inertia": 12.5,
                "seed": 0,
                "report": {"notices": []},
            }
            write_json(folder / "params.json", facts)
            workspace.commit_folder(f"clusterings/{extractor}.{layer}", folder, "c", facts)
    if upto == "cluster":
        return workspace
    rows = np.concatenate([np.flatnonzero(match), np.flatnonzero(~match)])[: max(2, n_clips // 5)]
    folder = workspace.partial_folder("selections/main", "sel")
    gain = np.linspace(0.5, 0.1, len(rows))
    picks = pa.table([np.arange(1, len(rows) + 1), rows, [ids[r] for r in rows], gain], schema=PICKS)
    pq.write_table(picks, folder / "picks.parquet")
    size = np.linspace(2, len(rows), 6).astype(np.int64)
    curve = {
        "size": size,
        "objective": np.linspace(0.5, 1.2, 6),
        "random": np.linspace(0.3, 0.5, 6),
        "permuted": np.linspace(0.4, 0.7, 6),
    }
    pq.write_table(pa.table(curve), folder / "curve.parquet")
    scores = np.full(n_clips, np.nan)
    scores[rows] = gain
    write_array(folder / "scores.npy", scores)
    modalities = {f"sound.{name}": "audio" for name in AUDIO_LAYERS} | {
        f"picture.{name}": "visual" for name in VISUAL_LAYERS
    }
    facts = {
        CLIPS_FINGERPRINT: "s",
        "method": "batch-greedy",
        "budget": "0.2",
        "pairing": "bipartite",
        "seed": 0,
        "batch_size": 100,
        "selection_size": 25,
        "refill": "redraw",
        "clips": len(rows),
        "candidates": n_clips,
        "without_value": 0,
        "hours": len(rows) / 360,
        "objective": 1.2,
        "clusterings": dict.fromkeys(modalities, "c"),
        "modalities": modalities,
        "report": {"objective_random": 0.5, "objective_permuted": 0.7, "device": "cpu", "notices": []},
    }
    write_json(folder / "params.json", facts)
    workspace.commit_folder("selections/main", folder, "sel", facts)
    return workspace
