"""A span of an open file in, an MP4 of H.264 and AAC out; what cut clips and proxies have in common.

Pictures are encoded as they come, at their own times, upright, with square pixels, in yuv420p. Sound is held (115 MB
for 600 s of stereo); it is encoded last, or along with the pictures where the file is played while it is written. The
same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from curation.errors import MediaError
from curation.media.container import MediaFile, pixel_aspect, rotation_deg
from curation.media.reader import AudioEvent, SoundFormat, VideoEvent, nothing_decoded, read_span

AAC_FRAME = 1024  # samples
FRAGMENT_US = 100_000  # of a file that is played while it is written: what a player waits for at most
# mbtree=0: with it libx264 writes different bytes from run to run. bf=0: times start at 0 for every reader.
X264 = {"preset": "veryfast", "mbtree": "0", "bf": "0", "threads": "1"}

SizeOf = Callable[[float, float], tuple[int, int]]


@dataclass(frozen=True)
class Mp4Form:
    """How a span is written. `tick`: of the pictures' times, seconds; `gap_ticks`: pictures that come sooner behind
    another one are left out; `x264`: its options beside `X264`; `sound`: rate and layout; `size_of`: even width and
    height of the file, of those of the upright first picture with square pixels."""

    tick: Fraction
    gap_ticks: int
    x264: Mapping[str, str]
    sound: SoundFormat
    size_of: SizeOf


def open_mp4(path: Path) -> Any:
    """A container to write into, which starts playing before it is loaded whole and holds no date."""
    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})


def open_live_mp4(path: Path) -> Any:
    """A container to write into, in fragments that play as soon as they are written; nothing in it can be sought."""
    options = {"movflags": "+delay_moov+default_base_moof", "frag_duration": str(FRAGMENT_US), "fflags": "+bitexact"}
    return av.open(str(path), "w", format="mp4", options=options | {"flush_packets": "1"})


def copy_streams(source: Path, target: Any) -> None:
    """All packets of a file that `open_live_mp4` wrote, in one that `open_mp4` opened; a stream of none is left out."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux() if packet.dts is not None]
        copies: dict[int, Any] = {}
        for stream in container.streams:
            if any(packet.stream is stream for packet in packets):
                copies[stream.index] = target.add_stream_from_template(stream)
        for packet in packets:
            packet.stream = copies[packet.stream.index]
            target.mux(packet)


def layout_of(media: MediaFile) -> str:
    """ "mono" where the source is, else "stereo": bringing mono to two channels would make it 3 dB quieter."""
    context = media.audio.codec_context if media.audio is not None else None
    layout = context.layout if context is not None else None
    return "mono" if layout is not None and layout.nb_channels == 1 else "stereo"


def even(value: float) -> int:
    """The nearest even number of pixels, at least 2: yuv420p has one colour for two by two."""
    return max(2, round(value / 2) * 2)


class SpanEncoder:
    """[start_s, end_s) of `media` on its way into `target`: `read`, then more pictures if wanted, then `write`.

    `live`: what is encoded is written at once, sound beside pictures, as long as it says yes; otherwise all at the end,
    ordered by time.
    """

    def __init__(
        self,
        media: MediaFile,
        target: Any,
        start_s: float,
        end_s: float,
        form: Mp4Form,
        *,
        live: Callable[[], bool] | None = None,
    ) -> None:
        self.media, self.target, self.form, self.live = media, target, form, live
        self.start_s, self.end_s = start_s, end_s
        self._sound: np.ndarray | None = None
        self._n_samples = 0
        self._n_encoded = 0
        self._sound_stream: Any = None
        self._packets: list[Any] = []
        self._stream: Any = None
        self._painter = _Painter(media, form.size_of)
        self._last: VideoEvent | None = None
        self._next_pts = 0

    @property
    def has_video(self) -> bool:
        """Whether any picture was encoded."""
        return self._stream is not None

    @property
    def has_audio(self) -> bool:
        """Whether any sound was heard."""
        return self._n_samples > 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 and 0 without pictures."""
        return (self._stream.width, self._stream.height) if self._stream is not None else (0, 0)

    @property
    def sound(self) -> np.ndarray:
        """What was heard, int16 (channels, samples) from the start of the span on."""
        return np.zeros((1, 0), np.int16) if self._sound is None else self._sound[:, : self._n_samples]

    def read(self) -> None:
        """Decode the span. Raises `MediaError` where it has neither pictures nor sound."""
        hasty = self.live is not None
        for event in read_span(self.media, self.start_s, self.end_s, self.form.sound, hasty=hasty):
            if isinstance(event, VideoEvent):
                self._see(event)
            else:
                self._hear(event)
        if self._last is not None and self._last.time_s + max(self._last.hold_s, 1.0) > self.start_s:
            self._encode(self._last, self._last.time_s)
        if not self.has_video and not self.has_audio:
            raise nothing_decoded(self.media, self.start_s, self.end_s)

    def repeat_last(self, time_s: float) -> None:
        """Show the last picture once more at `time_s` of the file, so that the pictures last that long."""
        if self.has_video and self._last is not None:
            self._encode(self._last, time_s)

    def add(self, frame: Any, time_s: float) -> None:
        """Encode a yuv420p frame shown at `time_s` of the file, unless it follows another one too closely."""
        pts = self._free_pts(time_s)
        if pts is not None:
            self._put(frame, pts)

    def write(self) -> None:
        """Encode what is left of the sound and write everything."""
        if self._stream is not None:
            self._emit(self._stream.encode(None))
        if self.has_audio:
            if self._sound_stream is None:
                self._add_sound_stream()
            self._encode_sound(self._n_samples)
            self._emit(self._sound_stream.encode(None))
        # Interleaved by time, or a player has to read to the end of the file before it can start.
        for packet in sorted(self._packets, key=lambda p: float(p.dts * p.time_base)):
            self.target.mux(packet)

    def _emit(self, packets: list[Any]) -> None:
        if self.live is not None:
            if not self.live():
                raise MediaError("Nobody waits for this piece any more.", code="cancelled")
            for packet in packets:
                self.target.mux(packet)
        else:
            self._packets += packets

    def _see(self, event: VideoEvent) -> None:
        """Hold each frame until the next one: what was on screen when the span starts is its first picture."""
        if self._last is not None and event.time_s > self.start_s + 1e-6:
            self._encode(self._last, self._last.time_s)
        if event.time_s < self.end_s - 1e-6:
            self._last = event

    def _encode(self, event: VideoEvent, time_s: float) -> None:
        pts = self._free_pts(time_s)
        if pts is not None:
            self._put(self._painter.paint(event.frame), pts)

    def _free_pts(self, time_s: float) -> int | None:
        pts = max(0, round((time_s - self.start_s) / float(self.form.tick)))
        return pts if pts >= self._next_pts else None

    def _put(self, frame: Any, pts: int) -> None:
        self._next_pts = pts + self.form.gap_ticks
        if self._stream is None:
            self._add_stream(frame.width, frame.height)
            if (
                self.live is not None and self.media.audio is not None
            ):  # a file's streams are known before its first packet
                self._add_sound_stream()
        frame.pts, frame.time_base, frame.pict_type = pts, self.form.tick, 0
        self._emit(self._stream.encode(frame))

    def _add_stream(self, width: int, height: int) -> None:
        self._stream = self.target.add_stream("libx264", rate=30)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.codec_context.time_base = self.form.tick
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.options = X264 | dict(self.form.x264)

    def _hear(self, event: AudioEvent) -> None:
        rate_hz = self.form.sound.rate_hz
        first = event.first - round(self.start_s * rate_hz)
        size = max(1, round((self.end_s - self.start_s) * rate_hz))
        a, b = max(first, 0), min(first + event.samples.shape[1], size)
        if a < b:
            if self._sound is None:
                self._sound = np.zeros((event.samples.shape[0], size), np.int16)
            self._sound[:, a:b] = event.samples[:, a - first : b - first]
            self._n_samples = max(self._n_samples, b)
            if self._sound_stream is not None:
                self._encode_sound(self._n_samples // AAC_FRAME * AAC_FRAME)

    def _add_sound_stream(self) -> None:
        rate_hz, layout = self.form.sound.rate_hz, self.form.sound.layout
        self._sound_stream = self.target.add_stream("aac", rate=rate_hz, layout=layout)

    def _encode_sound(self, until: int) -> None:
        """Samples that were not encoded yet, up to `until`."""
        rate_hz, layout, sound = self.form.sound.rate_hz, self.form.sound.layout, self.sound
        for start in range(self._n_encoded, until, AAC_FRAME):
            block = np.ascontiguousarray(sound[:, start : min(start + AAC_FRAME, until)])
            frame = av.AudioFrame.from_ndarray(block, format="s16p", layout=layout)
            frame.pts, frame.sample_rate, frame.time_base = start, rate_hz, Fraction(1, rate_hz)
            self._emit(self._sound_stream.encode(frame))
        self._n_encoded = max(self._n_encoded, until)


class _Painter:
    """Brings every frame to the upright size of the first one, with square pixels, in yuv420p."""

    def __init__(self, media: MediaFile, size_of: SizeOf) -> None:
        self.aspect = pixel_aspect(media.video) if media.video is not None else 1.0
        self.size_of = size_of
        self.size: tuple[int, int] | None = None
        self._scaler, self._turner = VideoReformatter(), VideoReformatter()

    def paint(self, frame: Any) -> Any:
        """A new yuv420p frame."""
        turn = rotation_deg(frame)
        sideways = turn in (90, 270)
        if self.size is None:
            width, height = frame.width * self.aspect, float(frame.height)
            self.size = self.size_of(height, width) if sideways else self.size_of(width, height)
        width, height = self.size[::-1] if sideways else self.size
        if not turn:
            return self._scaler.reformat(frame, width=width, height=height, format="yuv420p", threads=1)
        small = self._scaler.reformat(frame, width=width, height=height, format="rgb24", threads=1).to_ndarray()
        upright = np.rot90(small, turn // 90).astype(np.uint8, order="C")
        return self._turner.reformat(av.VideoFrame.from_ndarray(upright, format="rgb24"), format="yuv420p", threads=1)
