"""What audits need beyond a made workspace: runs with a score for every clip, media files, an auditor who is right."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import audit
from curation.atomic import write_array
from curation.records import PICKS, real_path
from curation.workspace import CLIPS_FINGERPRINT, Workspace


def add_run(
    workspace: Workspace, name: str, scores: np.ndarray, *, share: float = 0.2, where: str = "", fingerprint: str = ""
) -> None:
    """A selection of the `share` of clips with the highest scores, and a false share estimated by decoys for each."""
    n = workspace.n_rows("clips")
    rows = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")[: round(share * n)]
    ids = workspace.table("clips", ["clip_id"])["clip_id"].to_pylist()
    folder = workspace.partial_folder(f"selections/{name}", name)
    gain = np.linspace(0.5, 0.1, len(rows))
    picks = pa.table([np.arange(1, len(rows) + 1), rows, [ids[row] for row in rows], gain], schema=PICKS)
    pq.write_table(picks, folder / "picks.parquet")
    curve = {key: np.array([0.1, 0.2]) for key in ("objective", "random", "permuted")}
    pq.write_table(pa.table({"size": np.array([1, max(2, len(rows))]), **curve}), folder / "curve.parquet")
    write_array(folder / "scores.npy", np.asarray(scores, float))
    write_array(folder / "score_local_false_share.npy", 1 / (1 + np.exp(1.5 * scores)))
    facts = {
        CLIPS_FINGERPRINT: "s", "method": "concord", "budget": str(share), "seed": 0, "clips": len(rows),
        "candidates": n, "without_value": 0, "hours": len(rows) / 360, "objective": 0.2, "where": where,
        "clusterings": {}, "modalities": {}, "score_columns": ["local_false_share"],
        "report": {"notices": [], "device": "cpu"},
    }  # fmt: skip
    workspace.commit_folder(f"selections/{name}", folder, fingerprint or name, facts)


def add_media(workspace: Workspace, files: list[Path] | None = None) -> None:
    """A media file for every readable video: copies of `files` in turn, or empty ones that only are there."""
    root = workspace.roots[0]
    readable = [v for v in workspace.table("videos").to_pylist() if v["status"] == "ok"]
    for i, video in enumerate(readable):
        path = Path(real_path(root, video["path_bytes"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        if files:
            shutil.copy(files[i % len(files)], path)
        else:
            path.touch()


def answer_all(workspace: Workspace, name: str, truth: Mapping[str, bool], auditor: str) -> None:
    """Answers of somebody who hears what is true: seen, or laid over."""
    for i, item in enumerate(audit.read_plan(workspace, name).items):
        audit.record(workspace, name, i, "seen" if truth[item.clip_id] else "overlaid", auditor)
