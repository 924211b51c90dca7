"""One file and a list of time spans in, one `DecodedClip` (small pictures, mono sound) for each span out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from curation.errors import MediaError, SettingError
from curation.media.container import MediaFile, open_media
from curation.media.luma import block_means, luma
from curation.media.pictures import Shrinker
from curation.media.reader import (
    LAG_S,
    AudioEvent,
    SoundFormat,
    VideoEvent,
    nothing_decoded,
    read_span,
)

MAX_CLIP_S = 600.0
# Raised when the same file and span give other numbers: features of another one are not taken for the same.
DECODING_VERSION = 2
# Reading through a gap of this length costs about as much as seeking to the keyframe behind it.
SEEK_GAP_S = 12.0


@dataclass(frozen=True)
class DecodedClip:
    """Picture and sound of one time span of a file, small enough to keep many in memory.

    frames: uint8 (T, H, W, 3) RGB, rotation applied, pixels square, evenly spaced in time; T = 0 when there is no
        picture. Where the file's own rate is lower, a frame is repeated for as long as it was shown.
    frame_times_s: float64 (T,), seconds from the clip's start. Fewer than planned where the picture starts late or
        ends early.
    frame_rate_hz: rate of the kept frames, not the file's.
    audio: float32 (S,), mono, -1..1; S = 0 when there is no sound. Sample 0 is the clip's start; gaps are zeros.
    sample_rate_hz: samples per second of `audio`.
    duration_s: length of what was decoded, the longer one of picture and sound.
    """

    frames: np.ndarray
    frame_times_s: np.ndarray
    frame_rate_hz: float
    audio: np.ndarray
    sample_rate_hz: int
    duration_s: float

    # Several extractors look at these: made once.
    @cached_property
    def luma(self) -> np.ndarray:
        """uint8 (T, H, W)."""
        return luma(self.frames)

    @cached_property
    def block_means(self) -> np.ndarray:
        """float32 (T, rows, columns): mean luma of about square blocks, at most 16 along the short side."""
        return block_means(self.luma)


def decode_clips(
    path: str | Path,
    segments: Sequence[tuple[float, float]],
    *,
    frame_rate_hz: float = 8.0,
    max_frames: int = 80,
    frame_size: int = 112,
    sample_rate_hz: int = 16000,
    want_video: bool = True,
    want_audio: bool = True,
) -> Iterator[DecodedClip | MediaError]:
    """Decode time spans of one file, in one pass where they are close and with seeks where they are far apart.

    segments: (start_s, end_s) from the file's start, sorted by start, each longer than 0 and at most 600 s; they may
        overlap. Exactly one item is yielded for each, in order: a clip, or the `MediaError` that says why there is
        none (codes of `open_media`, undecodable, no_data).
    frame_rate_hz, max_frames: the frames shown at (k + 0.5) / frame_rate_hz seconds of the *file*, k = 0, 1, ..., so
        that clips that overlap share frames. Where these are none, or more than `max_frames` by at least half a frame:
        the frames at the middle of 1, or of `max_frames`, equal parts of the clip.
    frame_size: short side in pixels, never enlarged; the long side follows the shape, at most 4 times as long.

    Memory is bounded by the clips that overlap; a clip takes n frames and 2 bytes a sample whatever the file's
    header says. Raises SettingError for segments or settings out of range, before the file is opened.
    """
    plans = [
        ClipPlan(s, e, frame_rate_hz, max_frames, sample_rate_hz)
        for s, e in _checked(segments, frame_rate_hz, max_frames, frame_size)
    ]
    done = 0
    try:
        with open_media(path, want_video=want_video, want_audio=want_audio) as media:
            for group in _groups(plans):
                for item in _decode_group(media, group, frame_size, sample_rate_hz):
                    done += 1
                    yield item
    except MediaError as error:
        for _ in range(done, len(plans)):
            yield error


def _checked(
    segments: Sequence[tuple[float, float]], rate: float, max_frames: int, size: int
) -> list[tuple[float, float]]:
    spans = [(float(start), float(end)) for start, end in segments]
    if not (0 < rate <= 240 and 1 <= max_frames <= 100_000 and 1 <= size <= 4096):
        raise SettingError(
            f"Frame rate {rate}, {max_frames} frames or size {size} is out of range.",
            hint="Allowed: rate above 0 and at most 240, 1 to 100000 frames, size 1 to 4096.",
        )
    last = 0.0
    for start, end in spans:
        if not (0 <= start < end < math.inf and end - start <= MAX_CLIP_S and start >= last):
            raise SettingError(
                f"The segment {start} to {end} s cannot be decoded.",
                hint=f"Segments start at 0 or later, last at most {MAX_CLIP_S:.0f} s, and are sorted.",
            )
        last = start
    return spans


def _groups(plans: list[ClipPlan]) -> Iterator[list[ClipPlan]]:
    """Neighbouring plans that one pass serves."""
    group: list[ClipPlan] = []
    end_s = 0.0
    for plan in plans:
        if group and plan.start_s - end_s > SEEK_GAP_S:
            yield group
            group = []
        group.append(plan)
        end_s = max(end_s, plan.end_s)
    if group:
        yield group


def grid_from(time_s: float, rate_hz: float) -> int:
    """The first k whose place on the file's grid of frames, (k + 0.5) / rate_hz seconds, is not before `time_s`."""
    return max(0, math.ceil(time_s * rate_hz - 0.5 - 1e-6))


class ClipPlan:
    """One clip in the making: the times at which a frame is wanted, and room for the sound."""

    def __init__(self, start_s: float, end_s: float, rate: float, max_frames: int, sample_rate: int) -> None:
        self.start_s, self.end_s, self.sample_rate = start_s, end_s, sample_rate
        length = end_s - start_s
        first, behind = grid_from(start_s, rate), grid_from(end_s, rate)
        if first < behind and length * rate < max_frames + 0.5:
            self.step_s = 1.0 / rate
            self.grid_s = (np.arange(first, min(behind, first + max_frames)) + 0.5) / rate
        else:
            n_frames = min(max_frames, max(1, round(length * rate)))
            self.step_s = length / n_frames
            self.grid_s = start_s + (np.arange(n_frames) + 0.5) * self.step_s
        self.pictures: list[np.ndarray] = []
        self.times_s: list[float] = []
        self._next = 0
        self._first = round(start_s * sample_rate)
        self._size = max(1, round(length * sample_rate))
        self._sound: np.ndarray | None = None
        self.n_samples = 0

    def wants(self, until_s: float) -> bool:
        """Is a frame wanted before `until_s` that was not kept yet?"""
        return self._next < self.grid_s.size and self.grid_s[self._next] < until_s

    def keep(self, picture: np.ndarray, since_s: float, until_s: float) -> None:
        """Keep `picture` for every wanted time in [since_s, until_s); times before `since_s` had no picture."""
        while self.wants(until_s):
            if self.grid_s[self._next] >= since_s:
                self.pictures.append(picture)
                self.times_s.append(float(self.grid_s[self._next] - self.start_s))
            self._next += 1

    def keep_last(self, picture: Callable[[], np.ndarray], time_s: float, hold_s: float) -> None:
        """The file's last frame, shown from `time_s` on: it counts for one wanted time at least."""
        if not self.pictures and self.start_s - hold_s <= time_s < self.end_s:
            self.pictures.append(picture())
            self.times_s.append(min(max(time_s - self.start_s, 0.0), self.end_s - self.start_s))

    def hear(self, event: AudioEvent) -> None:
        """Copy the part of the samples that lies in this clip."""
        low, high = event.first - self._first, event.first - self._first + event.samples.shape[1]
        a, b = max(low, 0), min(high, self._size)
        if a >= b:
            return
        if self._sound is None:
            self._sound = np.zeros(self._size, np.int16)
        self._sound[a:b] = event.samples[0, a - low : b - low]
        self.n_samples = max(self.n_samples, b)

    def finish(self, media: MediaFile) -> DecodedClip | MediaError:
        """The clip, or the error when there is nothing in it."""
        if not self.pictures and not self.n_samples:
            return nothing_decoded(media, self.start_s, self.end_s)
        audio = np.zeros(0, np.float32)
        if self._sound is not None:
            audio = self._sound[: self.n_samples].astype(np.float32) / np.float32(32768)
        frames = np.stack(self.pictures) if self.pictures else np.zeros((0, 0, 0, 3), np.uint8)
        seen_s = self.times_s[-1] + self.step_s / 2 if self.times_s else 0.0
        return DecodedClip(
            frames,
            np.asarray(self.times_s, np.float64),
            1.0 / self.step_s,
            audio,
            self.sample_rate,
            max(seen_s, audio.size / self.sample_rate),
        )


def _decode_group(
    media: MediaFile, group: list[ClipPlan], size: int, sample_rate: int
) -> Iterator[DecodedClip | MediaError]:
    """One pass over neighbouring clips; each is yielded as soon as both streams have passed its end."""
    waiting = deque(group)
    end_s = max(plan.end_s for plan in group)
    viewer = _Viewer(media, waiting, size)
    heard_s = -math.inf
    for event in read_span(media, group[0].start_s, end_s, SoundFormat(sample_rate)):
        if isinstance(event, VideoEvent):
            viewer.see(event)
        else:
            heard_s = (event.first + event.samples.shape[1]) / sample_rate
            for plan in waiting:
                if plan.start_s >= heard_s:
                    break
                plan.hear(event)
        low, high = min(viewer.seen_s, heard_s), max(viewer.seen_s, heard_s)
        while waiting and waiting[0].end_s <= max(_both(media, low, high), high - LAG_S):
            yield waiting.popleft().finish(media)
    viewer.close()
    while waiting:
        yield waiting.popleft().finish(media)


def _both(media: MediaFile, low: float, high: float) -> float:
    """How far the streams that exist have come."""
    return low if media.video is not None and media.audio is not None else high


class _Viewer:
    """Holds the last frame until the next one tells how long it was shown, and converts it only if it is wanted."""

    def __init__(self, media: MediaFile, plans: deque[ClipPlan], size: int) -> None:
        self.plans = plans
        self.shrinker = Shrinker(media.video, size) if media.video is not None else None
        self.last: VideoEvent | None = None
        self.seen_s = -math.inf

    def see(self, event: VideoEvent) -> None:
        """Take the next frame in time."""
        self._show(event.time_s)
        self.last, self.seen_s = event, event.time_s

    def close(self) -> None:
        """No more frames: the last one counts for as long as the file says, and for at least one wanted time."""
        if self.last is None:
            return
        self._show(self.last.time_s + self.last.hold_s)
        last = self.last
        for plan in self.plans:
            plan.keep_last(lambda: self._picture(last), last.time_s, last.hold_s)

    def _show(self, until_s: float) -> None:
        if self.last is None:
            return
        picture = None
        for plan in self.plans:
            if plan.start_s >= until_s:
                break
            if plan.wants(until_s):
                picture = self._picture(self.last) if picture is None else picture
                plan.keep(picture, self.last.time_s, until_s)

    def _picture(self, event: VideoEvent) -> np.ndarray:
        assert self.shrinker is not None
        return self.shrinker.picture(event.frame)
