"""A video in, the times of its hard cuts out: FFmpeg's `scdet`, run inside PyAV on the decoder's own frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from curation.errors import MediaError
from curation.media.container import MediaFile, display_name, open_media
from curation.media.reader import nothing_decoded, read_frames

MAX_CUTS = 200_000


def shot_cuts(path: str | Path, *, threshold: float = 10.0, max_seconds: float | None = None) -> dict[str, Any]:
    """Cuts of one video, as the command-line filter `scdet=threshold=...` finds them.

    threshold: scdet's score in percent, 0 to 100, above which a frame starts a new shot. scdet compares the luma of
    neighbouring frames at full size; nothing is scaled or skipped before it, because that changes its scores.
    max_seconds: stop after this much of the video.

    Returns cuts_s float64 (C,), seconds from the file's start, of the first frame of each new shot; scores float64
    (C,); duration_s, the end of what was decoded; n_frames. Raises MediaError (no_video, undecodable, no_data, and
    those of `open_media`).
    """
    with open_media(path, want_audio=False) as media:
        if media.video is None:
            raise MediaError(f"{display_name(path)} has no picture, so it has no shots.", code="no_video")
        return _cuts(media, threshold, float("inf") if max_seconds is None else max_seconds)


def _cuts(media: MediaFile, threshold: float, max_seconds: float) -> dict[str, Any]:
    detector = _Detector(media, threshold)
    times_s: list[float] = []
    scores: list[float] = []
    end_s, n_frames = 0.0, 0
    for event in read_frames(media, 0.0, max_seconds):
        if event.time_s >= max_seconds:
            break
        score = detector.score(event.frame)
        n_frames += 1
        end_s = max(end_s, event.time_s + event.hold_s)
        if score is not None and len(times_s) < MAX_CUTS:
            times_s.append(event.time_s)
            scores.append(score)
    if n_frames == 0:
        raise nothing_decoded(media, 0.0, min(max_seconds, 1e6))
    return {
        "cuts_s": np.asarray(times_s, np.float64),
        "scores": np.asarray(scores, np.float64),
        "duration_s": min(end_s, max_seconds),
        "n_frames": n_frames,
    }


class _Detector:
    """scdet over one stream; begins anew where the pictures change their size or format."""

    def __init__(self, media: MediaFile, threshold: float) -> None:
        self.media, self.threshold = media, threshold
        self._graph: Any = None
        self._shape: tuple[Any, ...] = ()

    def score(self, frame: Any) -> float | None:
        """Score of a frame that starts a new shot, else None."""
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:
            self._graph, self._shape = self._made(frame), shape
        try:
            self._graph.push(frame)
            marks = self._graph.pull().metadata
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
            self.media.note(error)
            self._shape = ()
            return None
        return float(marks["lavfi.scd.score"]) if "lavfi.scd.time" in marks else None

    def _made(self, frame: Any) -> Any:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format.name,
            time_base=self.media.video.time_base,
        )
        detect = graph.add("scdet", f"threshold={self.threshold:.6f}")
        sink = graph.add("buffersink")
        source.link_to(detect)
        detect.link_to(sink)
        graph.configure()
        return graph
