"""A small workspace with media behind it: short real videos, some of them missing or broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from curation.workspace import Workspace
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace

CLIP_S = 1.0


def make_media_workspace(path: Path, *, n_clips: int = 10, missing: int = 0, broken: int = 0) -> Workspace:
    """Clips of one second, the first of two; the files of the first ones are missing, of the next ones broken."""
    workspace = make_workspace(path, n_clips=n_clips)
    media = path.parent / "media"
    made = make_video(path.parent / "one.mp4", seconds=2.0, size=(64, 48), fps=10)
    clips = workspace.table("clips")
    for row, name in enumerate(clips["path"].to_pylist()):
        place = media / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if row >= missing + broken:
            shutil.copyfile(made, place)
        elif row >= missing:
            place.write_bytes(b"no video at all")
    ends = pa.array([CLIP_S] * n_clips)
    clips = clips.set_column(clips.schema.get_field_index("end_s"), "end_s", ends)
    workspace.commit_table("clips", clips, "s", {"clips": n_clips, "hours": n_clips * CLIP_S / 3600})
    return workspace
