"""A span of any video in, an MP4 of its own out for training sets: streams copied where that is exact enough.

Copied: the compressed packets from the last keyframe at or before the start, nothing is decoded or lost, the cut lies
where the keyframes are. Encoded: H.264 and AAC at the source's size, rate and times, cut to the frame. What was done,
and where the cut really lies, is in the facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from curation.atomic import replacing
from curation.errors import MediaError, SettingError
from curation.media.container import MediaFile, display_name, open_media, packets, tick_s
from curation.media.mp4 import Mp4Form, SpanEncoder, even, layout_of, open_mp4
from curation.media.reader import LAG_S, SoundFormat, seek

MAX_CUT_S = 600.0
MODES = ("auto", "copy", "exact")
# What an MP4 holds and common loaders decode.
COPIED_VIDEO = ("h264", "hevc", "av1", "vp9")
COPIED_SOUND = ("aac", "mp3", "opus")
TICK = Fraction(1, 90000)
CRF = "18"  # hardly told from the source
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
LOOK_BACK_S = 30.0  # how far behind a wrong index a keyframe is searched


def cut_clip(
    path: str | Path, start_s: float, end_s: float, out: str | Path, *, mode: str = "auto", tolerance_s: float = 0.1
) -> dict[str, Any]:
    """Cut [start_s, end_s) of `path` into the MP4 `out`, whole or not at all. At most 600 s.

    `mode` "copy": always copied; "exact": always encoded; "auto": copied where the codecs fit into an MP4 and the cut
    then lies at most `tolerance_s` from where it should, else encoded.

    Returns cut ("copy" or "exact"), cut_start_s and cut_end_s (of the source, as cut), width, height, has_video,
    has_audio, size_bytes. Raises `MediaError` (uncopyable, those of `open_media`, undecodable, no_data),
    `WorkspaceError` (disk_full, read_only), `SettingError` for a span or a mode that cannot be.
    """
    if not 0 <= start_s < end_s <= start_s + MAX_CUT_S:
        raise SettingError(
            f"A clip of {start_s} to {end_s} s cannot be cut.", hint=f"Allowed: up to {MAX_CUT_S:.0f} s."
        )
    if mode not in MODES:
        raise SettingError(f"There is no way to cut called {mode!r}.", hint=f"Allowed: {', '.join(MODES)}.")
    why = ""
    if mode != "exact":
        try:
            with open_media(path) as media:
                return _copied(media, start_s, end_s, Path(out), tolerance_s if mode == "auto" else float("inf"))
        except _NotCopied as error:
            if mode == "copy":
                raise MediaError(
                    f"{display_name(path)} cannot be copied from {start_s:.2f} s on: {error}.",
                    hint="Cut it by `auto` or `exact`, which encode it.",
                    code="uncopyable",
                ) from error
            why = str(error)
    with open_media(path) as media, replacing(Path(out)) as temporary:
        with open_mp4(temporary) as target:
            done = _encoded(media, target, start_s, end_s)
        return done | {"why": why, "size_bytes": temporary.stat().st_size}


class _NotCopied(Exception):
    """Why a span is not copied."""


# -- copying -----------------------------------------------------------------------------------------------------------


def _copied(media: MediaFile, start_s: float, end_s: float, out: Path, tolerance_s: float) -> dict[str, Any]:
    _check_copyable(media)
    # Half a tick of grace: times of frames are not those of the clip to the last bit. Asked for here: the search may
    # open the file anew, and a stream of the closed one must not be touched.
    grace_s = 0.5 * tick_s(media.video if media.video is not None else media.audio)
    first_s = _keyframe_before(media, start_s)
    if start_s - first_s > tolerance_s + grace_s or first_s > start_s + tolerance_s:
        raise _NotCopied(f"its keyframe is {abs(start_s - first_s):.2f} s away")
    with replacing(out) as temporary:
        try:
            with open_mp4(temporary) as target:
                done = _copy_packets(media, target, first_s, end_s)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):  # of our disk
                raise
            raise _NotCopied(f"its packets cannot be written one after another ({error.strerror})") from error
        if not _decodes(temporary, want_video=media.video is not None):
            raise _NotCopied("what was copied does not decode")
        size_bytes = temporary.stat().st_size
    video = media.video
    size = (video.codec_context.width, video.codec_context.height) if video is not None else (0, 0)
    return done | {"cut": "copy", "why": "", "width": size[0], "height": size[1], "size_bytes": size_bytes}


def _check_copyable(media: MediaFile) -> None:
    streams = [stream for stream in (media.video, media.audio) if stream is not None]
    for stream in streams:
        known = COPIED_VIDEO if stream.type == "video" else COPIED_SOUND
        name = stream.codec_context.name if stream.codec_context is not None else ""
        codec = getattr(stream.codec_context.codec, "canonical_name", name) if name else ""
        if codec not in known:
            raise _NotCopied(f"an MP4 is not made of {codec or 'unknown'} {stream.type}")


def _keyframe_before(media: MediaFile, start_s: float) -> float:
    """Time of the last keyframe at or before `start_s` (of the first one behind it where there is none)."""
    tick = tick_s(media.video if media.video is not None else media.audio)
    for back_s in (0.0, LOOK_BACK_S, None):
        if not seek(media, None if back_s is None else max(0.0, start_s - back_s)):
            continue
        lead = media.video if media.video is not None else media.audio
        found = None
        for packet in packets(media, [lead]):
            at_s, decoded_s = media.seconds(packet.pts, tick), media.seconds(packet.dts, tick)
            if found is not None and decoded_s is not None and decoded_s > start_s + 1e-3:
                break  # whatever follows is shown later still
            if at_s is None or not packet.is_keyframe:
                continue
            if at_s > start_s + 1e-3:
                if found is None and back_s is None:
                    return at_s
                break
            found = at_s
        if found is not None:
            return found
    raise _NotCopied("no keyframe was found")


def _copy_packets(media: MediaFile, target: Any, first_s: float, end_s: float) -> dict[str, Any]:
    """Packets of the leading stream from `first_s` on, of the others those heard while it lasts. Read until all have
    reached the end, or one is so far behind it that the others are taken to have ended."""
    if not seek(media, first_s + 1e-3):
        seek(media, None)
    streams = [stream for stream in (media.video, media.audio) if stream is not None]
    lead = streams[0]
    ticks = {stream.index: tick_s(stream) for stream in streams}
    copies = {stream.index: target.add_stream_from_template(stream) for stream in streams}
    offset = {index: round((first_s + media.origin_s) / tick) for index, tick in ticks.items()}
    begun, ended = set[int](), set[int]()
    waiting: dict[int, list[Any]] = {index: [] for index in copies}
    reached = dict.fromkeys(copies, first_s)
    for packet in packets(media, streams):
        index = packet.stream.index
        if packet.dts is None or packet.pts is None or packet.size == 0:
            continue
        at_s, decoded_s = media.seconds(packet.pts, ticks[index]), media.seconds(packet.dts, ticks[index])
        if at_s is None or decoded_s is None:
            continue
        if decoded_s >= end_s - 1e-6:
            ended.add(index)
            if len(ended) == len(copies) or decoded_s > end_s + LAG_S:
                break
        if index in ended:
            continue
        if index not in begun:
            leads = index == lead.index
            if at_s <= first_s - (1e-3 if leads else 0.5 * ticks[index]) or (leads and not packet.is_keyframe):
                continue
            begun.add(index)
        waiting[index].append(packet)
        if at_s >= end_s - 1e-6:
            continue  # shown behind the end: kept only where a frame before the end is decoded from it
        for kept in waiting[index]:
            until_s = media.seconds(kept.pts + (kept.duration or 0), ticks[index])
            reached[index] = max(reached[index], until_s if until_s is not None else first_s)
            kept.pts, kept.dts = kept.pts - offset[index], kept.dts - offset[index]
            kept.stream = copies[index]
            target.mux(kept)
        waiting[index].clear()
    if lead.index not in begun:
        raise _NotCopied("it has no packets there")
    held = {stream.type for stream in streams if stream.index in begun}
    return {
        "cut_start_s": first_s,
        "cut_end_s": reached[lead.index],
        "has_video": "video" in held,
        "has_audio": "audio" in held,
    }


def _decodes(path: Path, *, want_video: bool) -> bool:
    """Whether the first frame of a file comes out."""
    try:
        with av.open(str(path)) as container:
            streams = container.streams.video if want_video else container.streams.audio
            return any(True for _ in _first_frames(container, streams[0]))
    except (av.error.FFmpegError, OSError, ValueError, IndexError):
        return False


def _first_frames(container: Any, stream: Any) -> Iterator[Any]:
    for _, frame in zip(range(1), container.decode(stream), strict=False):
        yield frame


# -- encoding ----------------------------------------------------------------------------------------------------------


def _encoded(media: MediaFile, target: Any, start_s: float, end_s: float) -> dict[str, Any]:
    form = Mp4Form(TICK, 1, {"crf": CRF}, SoundFormat(_rate_hz(media), layout_of(media)), _own_size)
    encoder = SpanEncoder(media, target, start_s, end_s, form)
    encoder.read()
    encoder.write()
    width, height = encoder.size
    return {
        "cut": "exact",
        "cut_start_s": start_s,
        "cut_end_s": end_s,
        "width": width,
        "height": height,
        "has_video": encoder.has_video,
        "has_audio": encoder.has_audio,
    }


def _own_size(width: float, height: float) -> tuple[int, int]:
    return even(width), even(height)


def _rate_hz(media: MediaFile) -> int:
    """The source's own rate where AAC has it."""
    context = media.audio.codec_context if media.audio is not None else None
    rate = int(context.sample_rate or 0) if context is not None else 0
    return rate if rate in AAC_RATES else 48000
