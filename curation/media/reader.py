"""An open file and a time span in; decoded frames and resampled sound with their times out, in one tolerant pass.

The one place that knows about seeking, missing timestamps, gaps in the sound and streams that end early. All times
are seconds from the file's start (`MediaFile.origin_s`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import av
import av.error
import numpy as np

from curation.errors import MediaError
from curation.media.container import MediaFile, TolerantDecoder, display_name, frame_rate, packets, tick_s

# A stream this far behind the other one is taken to have ended: bounds the wait and the memory of those who wait.
LAG_S = 10.0
SOUND_JUMP_S = 0.1
LATE_S = 0.25
PREROLL_S = 0.5
MAX_PEEK = 2000


@dataclass(frozen=True)
class VideoEvent:
    """One decoded frame, not converted, shown from `time_s` on for `hold_s` seconds (what the file says)."""

    time_s: float
    hold_s: float
    frame: Any


@dataclass(frozen=True)
class AudioEvent:
    """int16 (channels, n) samples; the first one has number `first` counted from the file's start."""

    first: int
    samples: np.ndarray


@dataclass(frozen=True)
class SoundFormat:
    """Rate and layout ("mono" or "stereo") that sound is brought to. 16-bit, because FFmpeg scales its mixing
    matrix so that it cannot clip only for integer output."""

    rate_hz: int = 16000
    layout: str = "mono"


Event = VideoEvent | AudioEvent


def read_span(
    media: MediaFile, start_s: float, end_s: float, sound: SoundFormat | None = None, *, hasty: bool = False
) -> Iterator[Event]:
    """Events of the file's chosen streams that cover [start_s, end_s), somewhat earlier and later ones included.

    `hasty`: pictures before the start that no other one needs are not decoded; the last one before it always is.

    Seeks when `start_s` is not near the file's start; where the seek lands too late, the file is read from its
    beginning instead. Never raises for bad packets (see `MediaFile.errors`).
    """
    source = _positioned(media, start_s)
    clock = _VideoClock(media)
    track = SoundTrack(media, sound) if media.audio is not None and sound is not None else None
    streams = _streams(media)
    decoders = {s.index: TolerantDecoder(media, s) for s in streams}
    ticks = {s.index: tick_s(s) for s in streams}
    is_video = _index(media.video)
    reached = dict.fromkeys(decoders, float("-inf"))
    haste = _Haste(media, start_s) if hasty and media.video is not None else None
    for packet in source:
        index = packet.stream.index
        if index not in decoders or (index != is_video and track is None):
            continue
        if haste is not None and index == is_video:
            haste.before(packet)
        if reached[index] < end_s:
            for frame in decoders[index].decode(packet):
                if index == is_video:
                    event = clock.event(frame)
                    reached[index] = event.time_s
                    yield event
                elif track is not None:
                    yield from track.feed(frame)
                    reached[index] = track.time_s
        else:
            stamp = _stamp(media, packet, ticks[index])
            reached[index] = reached[index] if stamp is None else max(reached[index], stamp)
        if all(r >= end_s or decoders[i].dead for i, r in reached.items()) or max(reached.values()) > end_s + LAG_S:
            break
    if track is not None:
        yield from track.finish()


def read_frames(media: MediaFile, start_s: float, end_s: float) -> Iterator[VideoEvent]:
    """The frames alone, of `read_span`."""
    for event in read_span(media, start_s, end_s):
        if isinstance(event, VideoEvent):
            yield event


def _stamp(media: MediaFile, packet: Any, tick: float) -> float | None:
    return media.seconds(packet.pts if packet.pts is not None else packet.dts, tick)


def _index(stream: Any) -> int:
    return -1 if stream is None else stream.index


def _positioned(media: MediaFile, start_s: float) -> Iterator[Any]:
    """Packets from a point at or before `start_s`."""
    if media.video is None and media.audio is None:
        return iter(())
    if start_s >= 2.0 and seek(media, start_s - PREROLL_S):
        streams = _streams(media)
        source = packets(media, streams)
        held, first_s = _peek(media, source, streams[0])
        if first_s is not None and first_s <= start_s + LATE_S:
            return chain(held, source)
    seek(media, None)
    return packets(media, _streams(media))


def _streams(media: MediaFile) -> list[Any]:
    """The streams of the file as it is open now: going to its start may open it anew, and what belongs to the closed
    one is freed memory."""
    return [stream for stream in (media.video, media.audio) if stream is not None]


def _peek(media: MediaFile, source: Iterator[Any], stream: Any) -> tuple[list[Any], float | None]:
    """Packets up to the first timed one of `stream`, and its time."""
    held: list[Any] = []
    tick = tick_s(stream)
    for packet in source:
        held.append(packet)
        if packet.stream.index == stream.index:
            first_s = _stamp(media, packet, tick)
            if first_s is not None or len(held) > MAX_PEEK:
                return held, first_s
        if len(held) > MAX_PEEK:
            break
    return held, None


def seek(media: MediaFile, to_s: float | None) -> bool:
    """Go to the keyframe before `to_s`, or for None to the very start. False where the format refuses."""
    try:
        if to_s is None:
            if media.touched:
                media.reopen()
        else:
            media.container.seek(int((to_s + media.origin_s) * 1_000_000), backward=True)
        media.touched = True
        return True
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        media.note(error)
        return False


class _Haste:
    """Has the decoder pass over pictures before a start that no other picture is made from, as far as a later one
    before the start is on its way: that one is then shown at the start, or a still later one."""

    def __init__(self, media: MediaFile, start_s: float) -> None:
        self.media, self.start_s = media, start_s
        self.tick_s = tick_s(media.video)
        self._on_its_way_s = float("-inf")

    def before(self, packet: Any) -> None:
        """Told of every packet before it is decoded."""
        time_s = self.media.seconds(packet.pts, self.tick_s)
        passed = time_s is not None and time_s < self._on_its_way_s
        packet.stream.codec_context.skip_frame = "NONREF" if passed else "DEFAULT"
        if time_s is not None and time_s <= self.start_s:
            self._on_its_way_s = max(self._on_its_way_s, time_s)


class _VideoClock:
    """Gives every frame a time that never runs backwards, also where the file's timestamps are missing."""

    def __init__(self, media: MediaFile) -> None:
        self.media = media
        rate = frame_rate(media.video) if media.video is not None else None
        self.step_s = 1.0 / float(rate) if rate else 1.0 / 25.0
        self.tick_s = tick_s(media.video) if media.video is not None else 1.0
        self.last_s: float | None = None

    def event(self, frame: Any) -> VideoEvent:
        time_s = self.media.seconds(frame.pts, self.tick_s)
        if time_s is None:
            time_s = 0.0 if self.last_s is None else self.last_s + self.step_s
        if self.last_s is not None:
            time_s = max(time_s, self.last_s)
        self.last_s = time_s
        duration = getattr(frame, "duration", 0)
        hold = duration * self.tick_s if duration else self.step_s
        return VideoEvent(time_s, min(max(hold, 0.0), 10.0), frame)


class SoundTrack:
    """Resamples the frames of one audio stream and keeps them in step with their timestamps.

    Small jitter of timestamps is ignored; after a jump of more than 0.1 s (lost packets, a gap) the next samples are
    placed where their timestamp says. Raw planes are never read: some decoders crash there, so every frame goes
    through FFmpeg's resampler first.
    """

    def __init__(self, media: MediaFile, sound: SoundFormat) -> None:
        self.media, self.sound = media, sound
        self.tick_s = tick_s(media.audio)
        self.time_s = float("-inf")  # end of what was fed
        self._resampler: Any = None
        self._setup: tuple[Any, ...] = ()
        self._next = 0

    def feed(self, frame: Any) -> list[AudioEvent]:
        """Resampled samples that are ready after `frame`."""
        rate = int(frame.sample_rate or 0)
        if rate <= 0 or frame.samples <= 0:
            return []
        time_s = self.media.seconds(frame.pts, self.tick_s)
        if time_s is None:
            time_s = max(self.time_s, 0.0)
        setup = (rate, frame.layout.name, frame.format.name)
        out: list[AudioEvent] = []
        if self._resampler is None or setup != self._setup or abs(time_s - self.time_s) > SOUND_JUMP_S:
            out += self.finish()
            rate_hz = self.sound.rate_hz
            # Quarter-second pieces: handing on every 23 ms frame costs three times as much as resampling it.
            self._resampler = av.AudioResampler("s16p", self.sound.layout, rate_hz, max(1024, rate_hz // 4))
            self._setup, self._next = setup, round(time_s * self.sound.rate_hz)
            self.time_s = time_s
        self.time_s += frame.samples / rate
        return out + self._resampled(frame)

    def finish(self) -> list[AudioEvent]:
        """What the resampler still holds."""
        return self._resampled(None) if self._resampler is not None else []

    def _resampled(self, frame: Any) -> list[AudioEvent]:
        try:
            frames = self._resampler.resample(frame)
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
            self.media.note(error)
            self._resampler = None
            return []
        if frame is None:
            self._resampler = None
        events = []
        for piece in frames:
            samples = piece.to_ndarray()
            events.append(AudioEvent(self._next, samples))
            self._next += samples.shape[1]
        return events


def nothing_decoded(media: MediaFile, start_s: float, end_s: float) -> MediaError:
    """The error for a span that gave neither picture nor sound."""
    name = display_name(media.path)
    if media.errors:
        return MediaError(
            f"{name}: neither picture nor sound could be decoded from {start_s:.1f} to {end_s:.1f} s "
            f"({media.errors[0]}).",
            hint="The file may be damaged, encrypted or of an unsupported codec.",
            code="undecodable",
        )
    return MediaError(
        f"{name} has no picture and no sound from {start_s:.1f} to {end_s:.1f} s.",
        hint="The file ends before this span, or its header claims more than it holds.",
        code="no_data",
    )
