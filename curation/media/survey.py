"""One file in; its shots, the spans of its clips, and the clips themselves out, of one pass over picture and sound.

`curation.media.decode.decode_clips` gives the same pictures for the same spans. It seeks, so its sound may begin at
another phase of the resampler (differences below 0.005) and, where a file's times are whole milliseconds, up to 1 ms
earlier or later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.errors import MediaError
from curation.media.container import MediaFile, display_name, open_media
from curation.media.decode import ClipPlan, DecodedClip
from curation.media.layout import Layout, Span, lay_out
from curation.media.pictures import Shrinker, SmallPicture
from curation.media.reader import AudioEvent, SoundFormat, VideoEvent, nothing_decoded, read_span
from curation.media.shots import ShotDetector, Shots

# Beyond this it is quicker to decode the few clips again than to keep pictures and sound of everything else.
MAX_SURVEY_S = 180.0
# Of pictures and sound together: what a file that is longer than its header says, or very wide, may take.
MAX_REEL_BYTES = 128 << 20


@dataclass(frozen=True)
class ClipFormat:
    """What clips are brought to; as for `decode_clips`."""

    frame_rate_hz: float = 8.0
    max_frames: int = 80
    frame_size: int = 112
    sample_rate_hz: int = 16000

    def fits(self, clip_s: float) -> bool:
        """True when clips of this length lie on the file's own grid of frames wherever they begin."""
        return 1.0 <= clip_s * self.frame_rate_hz <= self.max_frames


@dataclass(frozen=True)
class Survey:
    """What one pass found. `clips` yields a clip, or the error that says why there is none, for each span in order; it
    is None where they did not fit in memory."""

    shots: Shots
    spans: list[Span]
    clips: Iterator[DecodedClip | MediaError] | None


def survey(path: str | Path, duration_s: float, detector: str, layout: Layout, clip_format: ClipFormat) -> Survey:
    """Search a file for shots and cut its clips out of the same pass.

    duration_s: what its header says; where less can be decoded, that counts. detector: as for `ShotDetector`; threshold
    and annealing are those of `layout`.
    Raises MediaError (no_video, undecodable, no_data, and those of `open_media`) and SettingError.
    """
    with open_media(path) as media:
        if media.video is None:
            raise MediaError(f"{display_name(path)} has no picture, so it has no shots.", code="no_video")
        finder = ShotDetector(detector, threshold=layout.threshold, anneal=layout.anneal, note=media.note)
        reel = Reel(media, clip_format)
        for event in read_span(media, 0.0, float("inf"), SoundFormat(clip_format.sample_rate_hz)):
            if isinstance(event, VideoEvent):
                finder.push(event.frame, event.time_s, event.hold_s)
                reel.see(event)
            else:
                reel.hear(event)
        shots = finder.finish()
        if shots.n_frames == 0:
            raise nothing_decoded(media, 0.0, 1e6)
        reel.close()
    spans = lay_out(usable_s(duration_s, shots), shots, layout)
    return Survey(shots, spans, None if reel.is_full else reel.cut(spans))


def usable_s(duration_s: float, shots: Shots) -> float:
    """What can be decoded counts where a header promised more than there is."""
    return min(duration_s, shots.duration_s) if shots.duration_s > 0 else duration_s


@dataclass(frozen=True)
class _Shown:
    """A small picture and when the file shows it."""

    picture: SmallPicture
    since_s: float
    until_s: float


class Reel:
    """Small pictures and sound of a whole file, as they pass: what any clip on the file's grid can be cut from.

    Holds at most `max_bytes`; beyond that it lets go of everything and is full.
    """

    def __init__(self, media: MediaFile, clip_format: ClipFormat, max_bytes: int = MAX_REEL_BYTES) -> None:
        self._media, self._format, self._max_bytes = media, clip_format, max_bytes
        self._shrinker = Shrinker(media.video, clip_format.frame_size)
        self._shown: list[_Shown] = []
        self._sound: list[AudioEvent] = []
        self._last: VideoEvent | None = None
        self._end: _Shown | None = None
        self.n_bytes = self._next = 0
        self.is_full = False

    def see(self, event: VideoEvent) -> None:
        """Take the next frame in time."""
        if not self.is_full:
            self._show(event.time_s)
            self._last = event

    def hear(self, event: AudioEvent) -> None:
        """Take the next samples."""
        if not self.is_full:
            self._sound.append(event)
            self._take(event.samples.nbytes)

    def close(self) -> None:
        """No more frames: the last one counts for as long as the file says."""
        if self._last is not None and not self.is_full:
            until_s = self._last.time_s + self._last.hold_s
            self._show(until_s)
            self._end = _Shown(self._shrinker.shrink(self._last.frame), self._last.time_s, until_s)
        self._last = None

    def cut(self, spans: Sequence[Span]) -> Iterator[DecodedClip | MediaError]:
        """A clip of each span, or the error that says why there is none. Only after `close`, and if not full."""
        rate_hz, sample_rate_hz = self._format.frame_rate_hz, self._format.sample_rate_hz
        for start_s, end_s in spans:
            plan = ClipPlan(start_s, end_s, rate_hz, self._format.max_frames, sample_rate_hz)
            for shown in self._shown:
                if shown.since_s < end_s and shown.until_s > start_s:
                    plan.keep(self._shrinker.rgb(shown.picture), shown.since_s, shown.until_s)
            if self._end is not None:
                plan.keep_last(self._end_picture, self._end.since_s, self._end.until_s - self._end.since_s)
            for event in self._sound:
                plan.hear(event)
            yield plan.finish(self._media)

    def _end_picture(self) -> np.ndarray:
        assert self._end is not None
        return self._shrinker.rgb(self._end.picture)

    def _show(self, until_s: float) -> None:
        """Keep the last frame if the file's grid has a time at which it is shown."""
        if self._last is None:
            return
        self._next = max(self._next, math.floor(self._last.time_s * self._format.frame_rate_hz) - 1)
        while (self._next + 0.5) / self._format.frame_rate_hz < self._last.time_s:
            self._next += 1
        if (self._next + 0.5) / self._format.frame_rate_hz < until_s:
            picture = self._shrinker.shrink(self._last.frame)
            self._shown.append(_Shown(picture, self._last.time_s, until_s))
            self._take(picture.n_bytes)

    def _take(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        if self.n_bytes > self._max_bytes:
            self.is_full = True
            self._shown, self._sound, self._last = [], [], None
