"""A dropped file is measured once, kept as a vector, and finds the clip that was cut of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation import pipeline
from curation.errors import MediaError
from curation.progress import Progress
from curation.workspace import Workspace
from explorer import alike
from tests.mediamaker import make_video


def test_a_dropped_file_finds_its_clip_and_the_link_opens_again(tmp_path: Path, concord_home: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for i in range(3):
        make_video(media / f"{i}.mp4", seconds=1.5, seed=i, hz=150.0 + 270 * i, size=(64, 48))
    ws = Workspace.create(tmp_path / "ws", roots=[str(media)])
    ws.configure({"segment.mode": "windows", "segment.clip_s": "1", "features.measures": ""})
    assert alike.asked(ws, "file:" + "0" * 24, "audio") is None, "nothing is alike before neighbours are made"
    pipeline.run(ws, Progress(), only=["scan", "filter", "segment", "features", "neighbours"])
    like = alike.keep_file(ws, "audio", "../../name.MP4", (media / "2.mp4").read_bytes())
    kept = list((concord_home / "cache" / "alike").iterdir())
    assert len(kept) == 1 and kept[0].suffix == ".npy", "the vector is kept, the file is not"
    found = alike.asked(ws, like, "audio")
    assert found is not None and found.words == "nearest in sound to the dropped file"
    rows, similarity = alike.nearest(ws, found)
    assert ws.table("clips", ["path"])["path"][int(rows[0])].as_py() == "2.mp4" and similarity[0] > 0.98
    assert np.nanargmin(alike.similarity_key(ws, found)) == rows[0]
    assert alike.asked(ws, like, "visual") is None and alike.asked(ws, "file:../x", "audio") is None
    with pytest.raises(MediaError):
        alike.keep_file(ws, "audio", "x.txt", b"no sound" * 50)
    assert len(list((concord_home / "cache" / "alike").iterdir())) == 1
    ws.configure({"neighbours.dim": "2"})
    pipeline.run(ws, Progress(), only=["neighbours"])
    assert alike.asked(ws, like, "audio") is None, "the vector is none of the vectors that are compared now"
