"""Decoded frames in, the times of a video's hard cuts out, and signatures of what it shows.

`scdet`: FFmpeg's filter, on the decoder's own frames at full size; its cuts are exactly those of the command line.
`structure`: scdet's score times how much the *structure* of the picture changed: 1 minus the best correlation of the
32x32 lumas around the frame, over shifts of up to 3 of 32 points and over the two frames on either side. A pan moves
what it shows, a flash returns to it and a light that goes on keeps it, so all three stay correlated, while a cut
between two equally bright pictures does not.

`ShotDetector` takes frames from whoever decodes; `shot_cuts` is the one that decodes for it alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.lib.stride_tricks import sliding_window_view

from curation.errors import MediaError, SettingError
from curation.media.container import MediaFile, display_name, open_media
from curation.media.reader import nothing_decoded, read_frames
from curation.media.signature import SIDE, SignatureTrack, Small

MAX_CUTS = 200_000
THRESHOLDS = {"structure": 3.5, "scdet": 10.0}  # each detector's own
MAX_THRESHOLD = 100.0
# structure. A frame whose scdet score is lower is never a cut: no picture is scaled for it.
LEAST_SCORE = 2.5
MAX_SHIFT = 3
FLAT = 2.0  # grey levels of standard deviation: a picture below it has no structure
# scdet. FFmpeg writes scores with three decimals.
DECIMALS_ERROR = 6e-4


@dataclass(frozen=True)
class Shots:
    """What was found in one video.

    cuts_s: float64 (C,), seconds from the file's start, of the first frame of each new shot. scores: float64 (C,), all
    at least the threshold. signatures: uint8 (K, 24), one every `step_s` seconds. duration_s: end of the last frame.
    """

    cuts_s: np.ndarray
    scores: np.ndarray
    signatures: np.ndarray
    step_s: float
    duration_s: float
    n_frames: int


class ShotDetector:
    """Finds the cuts of one video in one pass: `push` every frame in order, then `finish`.

    detector: `structure` or `scdet`. threshold: 0 takes the detector's own. anneal: above 1, `scores` of `scdet` are
    settled against every threshold of `anneals`, so that applying one to them is the same as running scdet with it.
    note: told of errors of the filter, whose frames are then no cuts.

    Frames may change their size or format in mid-stream; it begins anew there. Holds at most four frames, 200,000 cuts
    and 4,096 signatures. Raises SettingError for a detector that does not exist.
    """

    def __init__(
        self,
        detector: str = "structure",
        *,
        threshold: float = 0.0,
        anneal: float = 1.0,
        note: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        if detector not in THRESHOLDS:
            raise SettingError(f"There is no shot detector {detector!r}.", hint=f"Known: {', '.join(THRESHOLDS)}.")
        self.threshold = threshold or THRESHOLDS[detector]
        self._structural = detector == "structure"
        self._scdet = _Scdet(0.0 if self._structural else self.threshold, anneals(self.threshold, anneal), note)
        self._scaler = VideoReformatter()  # one for all frames: setting up a scaler costs more than using it
        self._around: deque[tuple[Small, float, float]] = deque(maxlen=4)
        self._track = SignatureTrack()
        self._cuts_s: list[float] = []
        self._scores: list[float] = []
        self._end_s, self.n_frames = 0.0, 0

    def push(self, frame: Any, time_s: float, hold_s: float = 0.0) -> None:
        """Take the next av.VideoFrame, shown from `time_s` (seconds from the file's start) on for `hold_s`."""
        score, is_cut = self._scdet.score(frame)
        small = Small(frame, self._scaler)
        self._track.push(small, time_s)
        self.n_frames += 1
        self._end_s = max(self._end_s, time_s + hold_s)
        if self._structural:
            self._around.append((small, time_s, score))
            self._decide(len(self._around) - 2)  # the frame that now has one behind it
        elif is_cut:
            self._keep(time_s, score)

    def finish(self) -> Shots:
        """What was found; no frames may be pushed after it."""
        if self._structural:
            self._decide(len(self._around) - 1)  # the last frame has none behind it
        return Shots(
            np.asarray(self._cuts_s, np.float64),
            np.asarray(self._scores, np.float64),
            self._track.finish(),
            self._track.step_s,
            self._end_s,
            self.n_frames,
        )

    def _decide(self, at: int) -> None:
        """Is frame `at` of those around the first of a new shot?"""
        if at < 1 or self._around[at][2] < LEAST_SCORE:
            return
        _, time_s, score = self._around[at]
        allowed = 1.0 - self.threshold / score
        best = -1.0
        lumas = [small.luma for small, _, _ in self._around]
        for earlier in lumas[max(at - 2, 0) : at][::-1]:
            for later in lumas[at : at + 2]:
                best = max(best, likeness(earlier, later))
                if best > allowed:
                    return
        self._keep(time_s, score * (1.0 - best))

    def _keep(self, time_s: float, score: float) -> None:
        if len(self._cuts_s) < MAX_CUTS:
            self._cuts_s.append(time_s)
            self._scores.append(score)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Best correlation, -1 to 1, of two uint8 (32, 32) lumas over shifts of up to 3 points each way.

    Two flat pictures have no structure to compare: 0. A flat one beside one that is not is damped towards 0.
    Sums are whole numbers below 2**53, so the result does not depend on their order.
    """
    side = SIDE - 2 * MAX_SHIFT
    inner = b[MAX_SHIFT:-MAX_SHIFT, MAX_SHIFT:-MAX_SHIFT].astype(np.float64).ravel()
    shifted = sliding_window_view(a, (side, side)).reshape(-1, side * side).astype(np.float64)
    n, total = inner.size, inner.sum()
    totals = shifted.sum(axis=1)
    spread = (n * (inner @ inner) - total * total) / n**2
    spreads = (n * np.einsum("ij,ij->i", shifted, shifted) - totals * totals) / n**2
    if spread < FLAT**2 and spreads.max() < FLAT**2:
        return 0.0
    shared = (n * (shifted @ inner) - totals * total) / n**2
    return float((shared / np.sqrt((spread + FLAT**2) * (spreads + FLAT**2))).max())


def anneals(threshold: float, factor: float) -> Iterator[float]:
    """`threshold`, and for a factor above 1 each one `factor` times higher up to 100, the last one 100 itself."""
    yield threshold
    while factor > 1 and threshold < MAX_THRESHOLD:
        threshold = min(factor * threshold, MAX_THRESHOLD)
        yield threshold


def shot_cuts(
    path: str | Path,
    *,
    detector: str = "structure",
    threshold: float = 0.0,
    anneal: float = 1.0,
    max_seconds: float | None = None,
) -> dict[str, Any]:
    """Cuts and signatures of one video; the settings are those of `ShotDetector`.

    max_seconds: stop after this much of the video.

    Returns the fields of `Shots` as a dict. Raises MediaError (no_video, undecodable, no_data, and those of
    `open_media`) and SettingError.
    """
    with open_media(path, want_audio=False) as media:
        if media.video is None:
            raise MediaError(f"{display_name(path)} has no picture, so it has no shots.", code="no_video")
        found = ShotDetector(detector, threshold=threshold, anneal=anneal, note=media.note)
        return _searched(media, found, float("inf") if max_seconds is None else max_seconds)


def _searched(media: MediaFile, detector: ShotDetector, max_seconds: float) -> dict[str, Any]:
    for event in read_frames(media, 0.0, max_seconds):
        if event.time_s >= max_seconds:
            break
        detector.push(event.frame, event.time_s, event.hold_s)
    shots = detector.finish()
    if shots.n_frames == 0:
        raise nothing_decoded(media, 0.0, min(max_seconds, 1e6))
    return {**vars(shots), "duration_s": min(shots.duration_s, max_seconds)}


class _Scdet:
    """FFmpeg's scdet over one stream: the score of each frame, and whether it is a cut."""

    def __init__(self, threshold: float, others: Iterator[float], note: Callable[[Exception], None]) -> None:
        self._threshold, self._note = threshold, note
        self._others = [other for other in others if other > threshold > 0]
        self._graph: Any = None
        self._shape: tuple[Any, ...] = ()
        self._last: deque[Any] = deque(maxlen=2)  # frames before this one, only where scores are settled

    def score(self, frame: Any) -> tuple[float, bool]:
        """(score in percent, is it at least the threshold); (0, False) where the filter fails."""
        shape = (frame.width, frame.height, frame.format.name)
        try:
            if shape != self._shape:
                self._graph, self._shape = _graph(frame, self._threshold), shape
                self._last.clear()
            marks = _through(self._graph, frame)
            score = self._settled(frame, float(marks["lavfi.scd.score"]))
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError, KeyError) as error:
            self._note(error)
            self._shape = ()
            return 0.0, False
        is_cut = "lavfi.scd.time" in marks
        return (max(score, self._threshold) if is_cut else score), is_cut

    def _settled(self, frame: Any, score: float) -> float:
        """A score so near a higher threshold that its three decimals do not tell the side: scdet itself says.

        It needs this frame and the two before it: its score is the lesser of this change and of how much it differs
        from the change before.
        """
        if not self._others:
            return score
        for other in self._others:
            if abs(score - other) < DECIMALS_ERROR:
                again = _graph(frame, other)
                for earlier in self._last:
                    _through(again, earlier)
                is_cut = "lavfi.scd.time" in _through(again, frame)
                score = max(score, other) if is_cut else min(score, float(np.nextafter(other, 0.0)))
        self._last.append(frame)
        return score


def _through(graph: Any, frame: Any) -> dict[str, str]:
    graph.push(frame)
    return graph.pull().metadata


def _graph(frame: Any, threshold: float) -> Any:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        time_base=frame.time_base or Fraction(1, 90_000),
    )
    detect = graph.add("scdet", f"threshold={float(threshold)!r}")
    sink = graph.add("buffersink")
    source.link_to(detect)
    detect.link_to(sink)
    graph.configure()
    return graph
