"""A span of any video in, a small H.264/AAC file that every browser plays out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from curation.atomic import replacing
from curation.errors import SettingError
from curation.media.container import MediaFile, open_media, pixel_aspect, rotation_deg
from curation.media.reader import AudioEvent, SoundFormat, VideoEvent, nothing_decoded, read_span

MAX_PROXY_S = 120.0
MAX_FPS = 30.0
SOUND_RATE_HZ = 48000
TICK = Fraction(1, 15360)
# mbtree=0: with it libx264 writes different bytes from run to run.
X264 = {"preset": "veryfast", "crf": "25", "mbtree": "0", "g": "30", "bf": "0", "threads": "1"}


def write_proxy(
    path: str | Path, start_s: float, end_s: float, out: str | Path, *, height: int = 360
) -> dict[str, Any]:
    """Cut [start_s, end_s) of `path` into an MP4 that starts playing before it is loaded whole (faststart).

    Picture: H.264, yuv420p, at most `height` rows and 30 frames a second, upright, square pixels, even sizes. Sound:
    AAC, 48 kHz, mono where the source is mono, else stereo. Video without sound stays without; sound without picture
    gets its waveform as picture. The same input gives the same bytes. At most 120 s.

    Returns width, height, duration_s, has_video, has_audio (of the source span), size_bytes. Raises MediaError
    (undecodable, no_data, those of `open_media`), WorkspaceError (disk_full, read_only), SettingError for a span out
    of range.
    """
    if not 0 <= start_s < end_s <= start_s + MAX_PROXY_S or not 16 <= height <= 2160:
        raise SettingError(
            f"A proxy of {start_s} to {end_s} s with {height} rows cannot be cut.",
            hint=f"Allowed: up to {MAX_PROXY_S:.0f} s, 16 to 2160 rows.",
        )
    with open_media(path) as media, replacing(Path(out)) as temporary:
        with av.open(
            str(temporary), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
        ) as target:
            done = _Cut(media, target, start_s, end_s, height).run()
        done["size_bytes"] = temporary.stat().st_size
    return done


class _Cut:
    """One proxy in the making. Pictures are encoded as they come, sound is held (23 MB for 120 s) and added last."""

    def __init__(self, media: MediaFile, target: Any, start_s: float, end_s: float, height: int) -> None:
        self.media, self.target = media, target
        self.start_s, self.end_s, self.height = start_s, end_s, height
        # Not stereo for all: bringing mono to two channels would make it 3 dB quieter.
        self.layout = "mono" if _channels(media) == 1 else "stereo"
        self.sound: np.ndarray | None = None
        self.n_samples = 0
        self.packets: list[Any] = []
        self.stream: Any = None
        self.painter = _Painter(media, height)
        self.last: VideoEvent | None = None
        self.next_pts = 0

    def run(self) -> dict[str, Any]:
        """Read the span, encode, write; returns what `write_proxy` returns."""
        for event in read_span(self.media, self.start_s, self.end_s, SoundFormat(SOUND_RATE_HZ, self.layout)):
            if isinstance(event, VideoEvent):
                self._see(event)
            else:
                self._hear(event)
        self._close_picture()
        has_video, has_audio = self.stream is not None, self.n_samples > 0
        if not has_video and not has_audio:
            raise nothing_decoded(self.media, self.start_s, self.end_s)
        sound = self.target.add_stream("aac", rate=SOUND_RATE_HZ, layout=self.layout) if has_audio else None
        if not has_video:
            self._draw_sound()
        if sound is not None:
            self._encode_sound(sound)
        # Interleaved by time, or a player has to read to the end of the file before it can start.
        for packet in sorted(self.packets, key=lambda p: float(p.dts * p.time_base)):
            self.target.mux(packet)
        return {
            "width": self.stream.width,
            "height": self.stream.height,
            "duration_s": self.end_s - self.start_s,
            "has_video": has_video,
            "has_audio": has_audio,
        }

    def _see(self, event: VideoEvent) -> None:
        """Hold each frame until the next one: what was on screen when the span starts is its first picture."""
        if self.last is not None and event.time_s > self.start_s:
            self._encode(self.last)
        if event.time_s < self.end_s:
            self.last = event
        else:
            self.last = self.last if self.stream is not None else None

    def _close_picture(self) -> None:
        if self.last is None:
            return
        if self.last.time_s + max(self.last.hold_s, 1.0) > self.start_s:
            self._encode(self.last)
        if self.stream is not None:
            # The last picture again at the end, so that picture and file are of one length.
            self._encode(VideoEvent(self.end_s - 1.0 / MAX_FPS, 0.0, self.last.frame))
            self._finish_stream()

    def _encode(self, event: VideoEvent) -> None:
        pts = max(0, round((event.time_s - self.start_s) / float(TICK)))
        if pts < self.next_pts:
            return
        self.next_pts = pts + int(0.9 / (MAX_FPS * float(TICK)))
        frame = self.painter.paint(event.frame)
        if self.stream is None:
            self._add_stream(frame.width, frame.height)
        frame.pts, frame.time_base, frame.pict_type = pts, TICK, 0
        self.packets += self.stream.encode(frame)

    def _add_stream(self, width: int, height: int) -> None:
        self.stream = self.target.add_stream("libx264", rate=30)
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"
        self.stream.codec_context.time_base = TICK
        self.stream.codec_context.thread_count = 1
        self.stream.codec_context.options = dict(X264)

    def _finish_stream(self) -> None:
        self.packets += self.stream.encode(None)

    def _hear(self, event: AudioEvent) -> None:
        first = event.first - round(self.start_s * SOUND_RATE_HZ)
        size = max(1, round((self.end_s - self.start_s) * SOUND_RATE_HZ))
        a, b = max(first, 0), min(first + event.samples.shape[1], size)
        if a < b:
            if self.sound is None:
                self.sound = np.zeros((event.samples.shape[0], size), np.int16)
            self.sound[:, a:b] = event.samples[:, a - first : b - first]
            self.n_samples = max(self.n_samples, b)

    def _encode_sound(self, stream: Any) -> None:
        assert self.sound is not None
        for start in range(0, self.n_samples, 1024):
            block = np.ascontiguousarray(self.sound[:, start : min(start + 1024, self.n_samples)])
            frame = av.AudioFrame.from_ndarray(block, format="s16p", layout=self.layout)
            frame.pts, frame.sample_rate, frame.time_base = start, SOUND_RATE_HZ, Fraction(1, SOUND_RATE_HZ)
            self.packets += stream.encode(frame)
        self.packets += stream.encode(None)

    def _draw_sound(self) -> None:
        """A still waveform, two frames a second."""
        assert self.sound is not None
        picture = waveform_picture(self.sound[0, : self.n_samples], _even(self.height * 16 / 9), _even(self.height))
        self._add_stream(picture.shape[1], picture.shape[0])
        for k in range(max(1, round((self.end_s - self.start_s) * 2))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p", threads=1)
            frame.pts, frame.time_base = round(k * 0.5 / float(TICK)), TICK
            self.packets += self.stream.encode(frame)
        self._finish_stream()


class _Painter:
    """Brings every frame to the size of the first one, upright, in yuv420p."""

    def __init__(self, media: MediaFile, height: int) -> None:
        self.aspect = pixel_aspect(media.video) if media.video is not None else 1.0
        self.height = height
        self.size: tuple[int, int] | None = None
        self._scaler, self._turner = VideoReformatter(), VideoReformatter()

    def paint(self, frame: Any) -> Any:
        """A new yuv420p frame."""
        turn = rotation_deg(frame)
        sideways = turn in (90, 270)
        if self.size is None:
            width, height = frame.width * self.aspect, float(frame.height)
            width, height = (height, width) if sideways else (width, height)
            scale = min(1.0, self.height / height, 4 * self.height / width)
            self.size = (_even(width * scale), _even(height * scale))
        width, height = self.size[::-1] if sideways else self.size
        if not turn:
            return self._scaler.reformat(frame, width=width, height=height, format="yuv420p", threads=1)
        small = self._scaler.reformat(frame, width=width, height=height, format="rgb24", threads=1).to_ndarray()
        upright = np.rot90(small, turn // 90).astype(np.uint8, order="C")
        return self._turner.reformat(av.VideoFrame.from_ndarray(upright, format="rgb24"), format="yuv420p", threads=1)


def _channels(media: MediaFile) -> int:
    layout = media.audio.codec_context.layout if media.audio is not None else None
    return layout.nb_channels if layout is not None else 0


def _even(value: float) -> int:
    return max(2, round(value / 2) * 2)


def waveform_picture(samples: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 (height, width, 3): the range of int16 `samples` in each column, amber on near-black."""
    picture = np.full((height, width, 3), 18, np.uint8)
    edges = np.linspace(0, samples.size, width + 1).astype(int)
    rows = np.arange(height)
    for x in range(width):
        part = samples[edges[x] : max(edges[x + 1], edges[x] + 1)]
        if part.size:
            low, high = ((1 - np.array([part.max(), part.min()]) / 32768.0) * (height - 1) / 2).round()
            picture[(rows >= low) & (rows <= high), x] = (217, 147, 40)
    return picture
