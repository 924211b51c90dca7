"""A path in, an open file with chosen streams out; every way to fail is a `MediaError` with a code.

Codes raised here: missing, not_a_file, no_permission, empty_file, truncated_tar, not_media, unopenable, no_streams.
A path may also stand for a member of a tar (`curation.media.location`). Only local files and only formats that hold
their own data are opened: playlists and scripts, which would make FFmpeg read other files or addresses, are refused
whatever the file is called. What an address names (`curation.remote`) is read for FFmpeg, never by it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from curation import remote
from curation.errors import MediaError
from curation.media.location import Location, locate, open_bytes
from curation.urls import is_url

# Names of FFmpeg's demuxers that are accepted. hls, concat, dash, sdp, image2, lavfi, tty and devices are left out on
# purpose: they open what a file names, or take any text for a video.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,h263,h261,av1,obu,ivf,ogg,flv,"
    "live_flv,asf,rm,rmvb,mxf,gxf,nut,dv,vob,wtv,yuv4mpegpipe,mjpeg,gif,apng,amr,amrnb,amrwb,aac,ac3,eac3,dts,dtshd,"
    "mp3,flac,wav,w64,aiff,au,caf,ape,tta,wv,tak,truehd,mlp,mpc,mpc8,voc,spx,opus,loas,latm,nsv,swf,roq,smk,bink,"
    "bmp_pipe,gif_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,j2k_pipe,png_pipe,tiff_pipe,webp_pipe,ico"
)
STILL_FORMATS = ("_pipe", "ico")
MAX_PIXELS = 8192 * 8192
MAX_BAD_IN_A_ROW = 200
MAX_ABS_TIME_S = 1e7
SIGNATURES = (
    b"\x1a\x45\xdf\xa3",
    b"RIFF",
    b"OggS",
    b"FLV",
    b"\x30\x26\xb2\x75",
    b"\x00\x00\x01\xba",
    b".RMF",
)
BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"sidx")


@dataclass
class MediaFile:
    """An open file. `video` and `audio` are the chosen streams or None; `origin_s` is the time called 0."""

    path: str | Path
    container: Any
    video: Any
    audio: Any
    origin_s: float
    errors: list[str] = field(default_factory=list)
    touched: bool = False  # True once packets were read: going back to the start then means opening again
    wanted: tuple[bool, bool] = (True, True)  # whether picture and sound were asked for
    threads: int = 1  # that decode pictures
    handle: Any = None  # what FFmpeg reads from where that is not the path itself

    def reopen(self) -> None:
        """Open the file anew at its very start, with fresh decoders: exact for every format, seekable or not."""
        self.container.close()
        target: Any = self.handle
        if target is None:
            target = os.path.abspath(self.path)  # noqa: PTH100
        else:
            target.seek(0)
        self.container = _open(target, self.path)
        fresh = _choose(self.container, self.path, *self.wanted, self.threads)
        self.video, self.audio, self.touched = fresh.video, fresh.audio, False

    def seconds(self, stamp: int | None, tick_s: float) -> float | None:
        """Seconds from the file's start for a timestamp in ticks of `tick_s`, None where it is missing or absurd."""
        if stamp is None:
            return None
        value = stamp * tick_s - self.origin_s
        return value if abs(value) < MAX_ABS_TIME_S else None

    def note(self, error: Exception) -> None:
        """Keep the first few reasons for a message; the number kept is bounded."""
        if len(self.errors) < 8:
            self.errors.append(f"{type(error).__name__}: {error}"[:200])


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes of a medium, and when the file that holds it was last changed."""

    size_bytes: int
    mtime_ns: int


def check_file(path: str | Path) -> FileFacts:
    """Facts of a readable regular file, or of a member of a tar.

    Raises `MediaError` (missing, not_a_file, no_permission, empty_file, truncated_tar; those of `curation.remote`).
    """
    name = display_name(path)
    location = locate(path)
    if is_url(location.file):
        return _checked(name, location, *_facts(location.file))
    try:
        info = Path(location.file).stat()
    except FileNotFoundError as error:
        raise MediaError(f"{name} is not there (any more).", code="missing") from error
    except PermissionError as error:
        raise MediaError(f"{name} may not be read.", hint="Check its permissions.", code="no_permission") from error
    except (OSError, ValueError) as error:
        raise MediaError(f"{name} cannot be reached: {error}.", code="unopenable") from error
    if not stat.S_ISREG(info.st_mode):
        raise MediaError(f"{name} is not a regular file.", code="not_a_file")
    if not os.access(location.file, os.R_OK):
        raise MediaError(f"{name} may not be read.", hint="Check its permissions.", code="no_permission")
    return _checked(name, location, info.st_size, info.st_mtime_ns)


def _facts(url: str) -> tuple[int, int]:
    found = remote.facts(url)
    return found.size_bytes, found.mtime_ns


def _checked(name: str, location: Location, file_bytes: int, mtime_ns: int) -> FileFacts:
    size = file_bytes if location.size is None else location.size
    if location.start + size > file_bytes:
        raise MediaError(
            f"{name}: the tar that holds it ends before it does.", hint="Copy the tar again.", code="truncated_tar"
        )
    if size == 0:
        raise MediaError(f"{name} is empty (0 bytes).", hint="Copy it again.", code="empty_file")
    return FileFacts(size, mtime_ns)


def display_name(path: str | Path) -> str:
    """The file's name in a form that any terminal, JSON file or web page can carry."""
    return os.fsencode(Path(path).name).decode("utf-8", "backslashreplace").replace("\n", "\\n")


@contextmanager
def open_media(
    path: str | Path, *, want_video: bool = True, want_audio: bool = True, threads: int = 1
) -> Iterator[MediaFile]:
    """Open `path`, choose at most one video and one audio stream, close at the end.

    threads: that decode pictures. More than one is for what somebody waits for: runs decode a file a process, and where
    a stream is damaged threads may turn errors into other pictures.

    The streams are FFmpeg's "best" ones; a cover picture is no video. Raises `MediaError`; `no_streams` only when
    the file has neither picture nor sound at all.
    """
    check_file(path)
    target, handle = _target(path)
    try:
        container = _open(target, path)
        media = None
        try:
            media = _choose(container, path if is_url(path) else Path(path), want_video, want_audio, threads)
            media.handle = handle
            yield media
        finally:
            (container if media is None else media.container).close()
    finally:
        if handle is not None:
            handle.close()


def _target(path: str | Path) -> tuple[Any, Any]:
    """What to hand to FFmpeg: an absolute path (never taken for a protocol), or a file object for an object of a store,
    a member of a tar and where the name is not UTF-8."""
    absolute = os.path.abspath(path)  # noqa: PTH100  (resolve() would follow links, which is the roots' business)
    if not is_url(path) and locate(path).size is None and _is_utf8(absolute):
        return absolute, None
    try:
        handle = open_bytes(path)  # closed by open_media
    except OSError as error:
        raise MediaError(f"{display_name(path)} cannot be opened: {error.strerror}.", code="unopenable") from error
    return handle, handle


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _open(target: Any, path: str | Path) -> Any:
    name = display_name(path)
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    if not isinstance(target, str):
        options.pop("protocol_whitelist")
    try:
        return av.open(target, "r", container_options=options, metadata_errors="replace")
    except av.error.InvalidDataError as error:
        if looks_like_media(path):
            raise MediaError(
                f"{name} starts like a media file but its header is damaged or cut off.",
                hint="Copy or download it again.",
                code="unopenable",
            ) from error
        raise MediaError(f"{name} is not a media file that can be read.", code="not_media") from error
    except av.error.ArgumentError as error:
        raise MediaError(
            f"{name} is of a kind that is not opened (a playlist, a text, or an unknown format).",
            code="not_media",
        ) from error
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{name} cannot be opened: {reason}.", code="unopenable") from error


def looks_like_media(path: str | Path) -> bool:
    """True when the first bytes carry a known container's signature."""
    with open_bytes(path) as file:
        head = file.read(16)
    return head.startswith(SIGNATURES) or head[4:8] in BOXES


def _choose(container: Any, path: str | Path, want_video: bool, want_audio: bool, threads: int) -> MediaFile:
    videos = [s for s in container.streams.video if not is_cover(s)]
    audios = list(container.streams.audio)
    if not videos and not audios:
        raise MediaError(f"{display_name(path)} has neither a picture nor a sound stream.", code="no_streams")
    video = _best(container, "video", videos) if want_video else None
    audio = _best(container, "audio", audios) if want_audio else None
    for stream in (video, audio):
        if stream is not None and stream.codec_context is not None:
            stream.codec_context.thread_count = 1
    if video is not None and video.codec_context is not None:
        video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        if threads > 1:
            video.codec_context.thread_count, video.codec_context.thread_type = threads, "FRAME"
    origin_s, wanted = _origin_s(container, videos + audios), (want_video, want_audio)
    return MediaFile(path, container, video, audio, origin_s, wanted=wanted, threads=threads)


def is_cover(stream: Any) -> bool:
    """True for a still picture attached to a sound file."""
    disposition = getattr(stream, "disposition", None)
    return bool(disposition is not None and int(disposition) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


def _best(container: Any, kind: str, streams: list[Any]) -> Any:
    usable = [s for s in streams if s.codec_context is not None]
    try:
        best = container.streams.best(kind)
    except (av.error.FFmpegError, ValueError):
        best = None
    if best is not None and any(best.index == s.index for s in usable):
        return best
    return usable[0] if usable else None


def _origin_s(container: Any, streams: list[Any]) -> float:
    if container.start_time is not None and abs(container.start_time) < MAX_ABS_TIME_S * 1e6:
        return float(container.start_time) / 1e6
    starts = [float(s.start_time * s.time_base) for s in streams if s.start_time is not None and s.time_base]
    starts = [s for s in starts if abs(s) < MAX_ABS_TIME_S]
    return min(starts, default=0.0)


class TolerantDecoder:
    """Decodes packets of one stream; a bad packet costs itself, too many in a row end the stream.

    `n_bad` counts failed packets, `dead` is True after `MAX_BAD_IN_A_ROW` of them without a frame between.
    """

    def __init__(self, media: MediaFile, stream: Any) -> None:
        self.media, self.stream = media, stream
        self.n_bad = self._in_a_row = self.n_frames = 0
        self.dead = False

    def decode(self, packet: Any) -> list[Any]:
        """Frames of one packet, [] for a bad one."""
        if self.dead:
            return []
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError, AttributeError) as error:
            self.n_bad += 1
            self._in_a_row += 1
            self.dead = self._in_a_row >= MAX_BAD_IN_A_ROW
            self.media.note(error)
            return []
        if frames:
            self._in_a_row = 0
            self.n_frames += len(frames)
        return frames


def packets(media: MediaFile, streams: list[Any], *, max_bad: int = 20) -> Iterator[Any]:
    """Packets of `streams` to the end of the file; a read error is noted and passed over, at most `max_bad` in a row.

    The last packets, one a stream, are empty: they flush the decoders.
    """
    bad = 0
    while bad < max_bad:
        try:
            for packet in media.container.demux(streams):
                bad = 0
                yield packet
            return
        except MemoryError:
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            bad += 1
            media.note(error)


def rotation_deg(frame: Any) -> int:
    """Counter-clockwise turn that shows the frame upright: 0, 90, 180 or 270. Nonsense reads as 0."""
    try:
        value = int(getattr(frame, "rotation", 0) or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
    return round(value / 90) * 90 % 360 if -360 <= value <= 360 else 0


def pixel_aspect(stream: Any) -> float:
    """Width of a pixel divided by its height; 1.0 where the file says nothing or nonsense (outside 1/4..4)."""
    ratio = getattr(stream, "sample_aspect_ratio", None)
    value = float(ratio) if ratio else 1.0
    return value if 0.25 <= value <= 4.0 else 1.0


def tick_s(stream: Any) -> float:
    """Length of the stream's time unit in seconds. A float, once a stream: fractions cost more than decoding does."""
    base = stream.time_base
    return float(base) if base else 1.0


def frame_rate(stream: Any) -> Fraction | None:
    """Average rate of a video stream as an exact fraction, None where it is missing or absurd."""
    for rate in (stream.average_rate, getattr(stream, "guessed_rate", None), stream.base_rate):
        if rate and 0 < float(rate) <= 1000:
            return Fraction(rate)
    return None
