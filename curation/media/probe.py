"""A path in, a JSON-able record out: what a file is, what its header says, and what of it really decodes."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from curation.errors import MediaError
from curation.media.container import (
    STILL_FORMATS,
    FileFacts,
    MediaFile,
    TolerantDecoder,
    check_file,
    display_name,
    frame_rate,
    open_media,
    packets,
    pixel_aspect,
    rotation_deg,
    tick_s,
)
from curation.media.location import open_bytes
from curation.media.reader import SoundFormat, SoundTrack, seek

MEBIBYTE = 1 << 20
MAX_DURATION_S = 1e6
# Fewer bits a second than this is no video and no sound but a wrong header (16-bit silence in Opus takes more).
MIN_BITS_PER_S = 200.0
MAX_PACKETS_TO_DECODE = 3000
MAX_BYTES_TO_COUNT = 1 << 29
MAX_PACKETS_TO_CHECK = 20_000
MAX_PACKETS_TO_COUNT = 5_000_000


def probe(path: str | Path, *, full_hash: bool = False) -> dict[str, Any]:
    """Everything `scan` records about one file.

    Returns the keys: content_id (32 hex digits), size_bytes, mtime_ns, container, duration_s (above 0),
    duration_source ("header", "stream", "packets": counted because the header is silent or wrong, "frame": one
    frame's length), n_video_streams,
    n_audio_streams, has_video, has_audio (a frame was decoded), video_codec, width, height (as stored),
    pixel_aspect, rotation_deg (counter-clockwise turn that shows it upright), rate_num, rate_den (exact average
    frame rate), audio_codec, sample_rate_hz, channels, code ("" or "partly_undecodable"), message.

    Decodes up to the first video and the first audio frame. Raises `MediaError` with the codes of
    `container.open_media`, and: still_picture (one picture under a video's name), undecodable (there are streams,
    none gives a frame), encrypted (the same, and the streams say that they are encrypted), changed (its size or time
    was another one at the end than at the beginning).
    """
    info = check_file(path)
    try:
        record = _probe(path, info, full_hash)
    except (MediaError, OSError) as error:
        if check_file(path) != info:
            raise _changing(path) from error
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{display_name(path)} cannot be read: {error.strerror}.", code="unopenable") from error
    if check_file(path) != info:
        raise _changing(path)
    return record


def _probe(path: str | Path, info: FileFacts, full_hash: bool) -> dict[str, Any]:
    with open_media(path) as media:
        seen = _first_frames(media)
        record = _record(media, info, seen)
        _refuse_stills(media, seen)
        if not (record["has_video"] or record["has_audio"]):
            raise _undecodable(media)
        _note_missing(record)
        record["duration_s"], record["duration_source"] = _duration(media, info.size_bytes, seen)
    record["content_id"] = content_id(path, full=full_hash)
    return record


def _changing(path: str | Path) -> MediaError:
    return MediaError(
        f"{display_name(path)} changed while it was read.",
        hint="Run again when it is written to its end.",
        code="changed",
    )


def content_id(path: str | Path, *, full: bool = False) -> str:
    """BLAKE2b-128, hex, of the size and the first, middle and last MiB; with `full` of the size and all bytes."""
    with open_bytes(path) as file:
        size = file.seek(0, 2)
        digest = hashlib.blake2b(str(size).encode(), digest_size=16)
        file.seek(0)
        if full or size <= 3 * MEBIBYTE:
            _feed(digest, file, size)
        else:
            for start in (0, (size - MEBIBYTE) // 2, size - MEBIBYTE):
                file.seek(start)
                _feed(digest, file, MEBIBYTE)
    return digest.hexdigest()


def _feed(digest: Any, file: BinaryIO, count: int) -> None:
    while count > 0:
        block = file.read(min(count, MEBIBYTE))
        if not block:
            return
        digest.update(block)
        count -= len(block)


def _first_frames(media: MediaFile) -> dict[str, Any]:
    """The first decodable frame of each chosen stream, by kind; sound only after it went through the resampler."""
    wanted = {
        s.index: (kind, TolerantDecoder(media, s))
        for kind, s in (("video", media.video), ("audio", media.audio))
        if s is not None
    }
    track = SoundTrack(media, SoundFormat()) if media.audio is not None else None
    seen: dict[str, Any] = {}
    media.touched = True
    if not wanted:
        return seen
    streams = [s for s in (media.video, media.audio) if s is not None]
    for count, packet in enumerate(packets(media, streams)):
        if packet.stream.index in wanted:
            kind, decoder = wanted[packet.stream.index]
            if kind not in seen and not decoder.dead:
                frames = decoder.decode(packet)
                if kind == "audio" and track is not None:
                    frames = [f for f in frames if track.feed(f) or f.samples > 0]
                if frames:
                    seen[kind] = frames[0]
        if len(seen) == len(wanted) or count > MAX_PACKETS_TO_DECODE:
            break
    return seen


def _record(media: MediaFile, info: FileFacts, seen: dict[str, Any]) -> dict[str, Any]:
    streams = media.container.streams
    record: dict[str, Any] = {
        "content_id": "",
        "size_bytes": info.size_bytes,
        "mtime_ns": info.mtime_ns,
        "container": media.container.format.name.split(",")[0],
        "duration_s": 0.0,
        "duration_source": "",
        "n_video_streams": len(streams.video),
        "n_audio_streams": len(streams.audio),
        "has_video": "video" in seen,
        "has_audio": "audio" in seen,
        "video_codec": None,
        "width": None,
        "height": None,
        "pixel_aspect": None,
        "rotation_deg": None,
        "rate_num": None,
        "rate_den": None,
        "audio_codec": None,
        "sample_rate_hz": None,
        "channels": None,
        "code": "",
        "message": "",
    }
    if media.video is not None:
        frame = seen.get("video")
        rate = frame_rate(media.video) or Fraction(0)
        record |= {
            "video_codec": media.video.codec_context.codec.canonical_name,
            "width": frame.width if frame is not None else media.video.codec_context.width or None,
            "height": frame.height if frame is not None else media.video.codec_context.height or None,
            "pixel_aspect": pixel_aspect(media.video),
            "rotation_deg": rotation_deg(frame),
            "rate_num": rate.numerator or None,
            "rate_den": rate.denominator if rate else None,
        }
    if media.audio is not None:
        heard = seen.get("audio")
        context = media.audio.codec_context
        layout = heard.layout if heard is not None else context.layout
        record |= {
            "audio_codec": context.codec.canonical_name,
            "sample_rate_hz": (heard.sample_rate if heard is not None else context.sample_rate) or None,
            "channels": (layout.nb_channels if layout is not None else 0) or None,
        }
    return record


def _refuse_stills(media: MediaFile, seen: dict[str, Any]) -> None:
    name = media.container.format.name
    if "audio" not in seen and name.endswith(STILL_FORMATS):
        raise MediaError(
            f"{display_name(media.path)} is a still picture, not a video.",
            hint="Leave pictures out of the folder; only video and sound are curated.",
            code="still_picture",
        )


def _undecodable(media: MediaFile) -> MediaError:
    name = display_name(media.path)
    head = b""
    with open_bytes(media.path) as file:
        head = file.read(MEBIBYTE)
    # Sample entries of protected streams (ISO 14496-12) and the key system box (ISO 23001-7).
    if any(mark in head for mark in (b"encv", b"enca", b"pssh", b"tenc", b"senc")):
        return MediaError(
            f"{name} is encrypted; none of its streams can be decoded.",
            hint="Only files without copy protection can be used.",
            code="encrypted",
        )
    reason = f" ({media.errors[0]})" if media.errors else ""
    return MediaError(
        f"{name} has streams, but neither a picture nor a sound of it can be decoded{reason}.",
        hint="The file may be damaged or of a codec that FFmpeg does not know.",
        code="undecodable",
    )


def _note_missing(record: dict[str, Any]) -> None:
    """A stream that is there but gives nothing is worth a word; the other one is still used."""
    lost = [
        kind
        for kind, count, ok in (
            ("picture", record["n_video_streams"], record["has_video"]),
            ("sound", record["n_audio_streams"], record["has_audio"]),
        )
        if count and not ok
    ]
    if lost:
        record["code"] = "partly_undecodable"
        record["message"] = f"The {lost[0]} stream gives nothing that can be decoded."[:300]


def _duration(media: MediaFile, size: int, seen: dict[str, Any]) -> tuple[float, str]:
    """Duration in seconds and where it was read."""
    declared = [("header", (media.container.duration or 0) / 1e6)]
    for stream in (media.video, media.audio):
        if stream is not None and stream.duration:
            declared.append(("stream", stream.duration * tick_s(stream)))
    for source, value in declared:
        plausible = 0 < value <= MAX_DURATION_S and size * 8 >= MIN_BITS_PER_S * value
        if plausible and (value <= 2.0 or _reaches(media, value, size)):
            return value, source
    counted = packet_duration_s(media)
    if counted is not None:
        return counted, "packets"
    # One picture or one piece of sound at time 0, of unknown length.
    rate = frame_rate(media.video) if "video" in seen else None
    sound_s = seen["audio"].samples / max(1, seen["audio"].sample_rate) if "audio" in seen else 0.0
    return max(1.0 / float(rate) if rate else 0.04, sound_s), "frame"


def _reaches(media: MediaFile, duration_s: float, size: int) -> bool:
    """Are there packets near the declared end? False for a file that was cut off behind a whole header."""
    goal_s = max(duration_s / 2, duration_s - max(2.0, 0.05 * duration_s))
    if not seek(media, goal_s):
        # No index to seek by, as in a file that was cut off: counting tells, where that takes seconds at most.
        return size > MAX_BYTES_TO_COUNT
    return _last_packet_s(media, MAX_PACKETS_TO_CHECK, goal_s) >= goal_s


def packet_duration_s(media: MediaFile) -> float | None:
    """Seconds from the file's start to its last packet's end, by reading all packets without decoding them."""
    media.reopen()
    end_s = _last_packet_s(media, MAX_PACKETS_TO_COUNT, math.inf)
    return end_s if 0 < end_s <= MAX_DURATION_S else None


def _last_packet_s(media: MediaFile, max_packets: int, enough_s: float) -> float:
    """End of the latest packet from here on; stops at `enough_s`, at the file's end or after `max_packets`."""
    streams = [s for s in (media.video, media.audio) if s is not None]
    ticks = {s.index: tick_s(s) for s in streams}
    end_s = -math.inf
    media.touched = True
    for count, packet in enumerate(packets(media, streams)):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.size:
            time_s = media.seconds(stamp + (packet.duration or 0), ticks.get(packet.stream.index, 1.0))
            end_s = end_s if time_s is None else max(end_s, time_s)
        if end_s >= enough_s or count >= max_packets:
            break
    return end_s
