"""Reading a span: what is left out in haste is never what would have been shown."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from curation.media.container import open_media
from curation.media.reader import read_frames, read_span

TICK = Fraction(1, 1000)


def write_numbered(path: Path, times_ms: np.ndarray, bframes: int) -> None:
    """An H.264 file of one keyframe whose pictures, shown at `times_ms`, are as bright as their number."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, width=64, height=48, pix_fmt="yuv420p")
        stream.codec_context.time_base = TICK
        stream.codec_context.options = {
            "bf": str(bframes),
            "b-adapt": "0",
            "g": "1000",
            "crf": "1",
            "sc_threshold": "0",
        }
        for number, time_ms in enumerate(times_ms):
            picture = np.full((48, 64, 3), 2 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = int(time_ms), TICK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def shown(path: Path, start_s: float, *, hasty: bool, threads: int = 1) -> tuple[list[tuple[float, int]], int]:
    """Times and numbers of the pictures from the one that is shown at the start on, and how many were decoded."""
    with open_media(path, threads=threads) as media:
        events = [
            (event.time_s, round(float(event.frame.to_ndarray(format="rgb24").mean()) / 2))
            for event in read_span(media, start_s, start_s + 1.0, hasty=hasty)
        ]
    first = max((i for i, event in enumerate(events) if event[0] <= start_s + 1e-6), default=0)
    return events[first:], len(events)


@pytest.mark.parametrize("bframes", [0, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_haste_leaves_out_only_what_is_not_shown(tmp_path: Path, bframes: int, threads: int) -> None:
    steps = np.random.default_rng(0).choice([20, 40, 40, 40, 700], 110)  # some pictures stand for long
    times_ms = np.cumsum(steps) - steps[0]
    path = tmp_path / "numbered.mp4"
    write_numbered(path, times_ms, bframes)
    spared = 0
    for start_s in (0.0, 2.3, 5.0, *(times_ms[[40, 61, 62, 63, 90]] / 1000)):
        plain, n_plain = shown(path, float(start_s), hasty=False, threads=threads)
        hasty, n_hasty = shown(path, float(start_s), hasty=True, threads=threads)
        assert hasty == plain
        spared += n_plain - n_hasty
    assert (spared > 50) == (bframes > 0)


def test_frames_are_read_without_haste(tmp_path: Path) -> None:
    write_numbered(tmp_path / "numbered.mp4", np.arange(0, 4000, 40), 3)
    with open_media(tmp_path / "numbered.mp4") as media:
        assert sum(1 for event in read_frames(media, 3.0, 4.0) if event.time_s < 3.0) == 75
