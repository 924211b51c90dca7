"""A span of any video in, a small H.264/AAC file that every browser plays out."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from curation.atomic import replacing
from curation.errors import SettingError
from curation.media.container import MediaFile, open_media
from curation.media.mp4 import Mp4Form, SpanEncoder, copy_streams, even, layout_of, open_live_mp4, open_mp4
from curation.media.reader import SoundFormat

MAX_PROXY_S = 120.0
MAX_FPS = 30.0
DECODING_THREADS = 2  # while others scale and encode; from 1080p a clip's first second is there a third sooner
SOUND_RATE_HZ = 48000
TICK = Fraction(1, 15360)
GAP_TICKS = int(0.9 / (MAX_FPS * float(TICK)))
X264 = {"crf": "25", "g": "30", "rc-lookahead": "0"}  # no picture waits for later ones


def write_proxy(
    path: str | Path,
    start_s: float,
    end_s: float,
    out: str | Path,
    *,
    height: int = 360,
    live: str | Path | None = None,
) -> dict[str, Any]:
    """Cut [start_s, end_s) of `path` into an MP4 that starts playing before it is loaded whole (faststart).

    `live`: a file beside `out` that may be read, and played, while it grows; it is removed when `out` is there. Whoever
    removes it before that ends the cut (`MediaError`, cancelled).

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
    with open_media(path, threads=DECODING_THREADS) as media, replacing(Path(out)) as temporary:
        growing = Path(live) if live is not None else temporary.with_name(f"{temporary.name[:-8]}0.partial")
        try:
            growing.touch()
            with open_live_mp4(growing) as target:
                done = _encoded(media, target, start_s, end_s, height, growing.exists)
            with open_mp4(temporary) as target:
                copy_streams(growing, target)
        finally:
            growing.unlink(missing_ok=True)
        done["size_bytes"] = temporary.stat().st_size
    return done


def _encoded(
    media: MediaFile, target: Any, start_s: float, end_s: float, height: int, live: Callable[[], bool]
) -> dict[str, Any]:
    sound = SoundFormat(SOUND_RATE_HZ, layout_of(media))
    encoder = SpanEncoder(
        media, target, start_s, end_s, Mp4Form(TICK, GAP_TICKS, X264, sound, _within(height)), live=live
    )
    encoder.read()
    has_video = encoder.has_video
    if has_video:
        encoder.repeat_last(end_s - 1.0 / MAX_FPS)  # so that picture and file are of one length
    else:
        _draw_sound(encoder, start_s, end_s, height)
    encoder.write()
    return {
        "width": encoder.size[0],
        "height": encoder.size[1],
        "duration_s": end_s - start_s,
        "has_video": has_video,
        "has_audio": encoder.has_audio,
    }


def _within(rows: int) -> Callable[[float, float], tuple[int, int]]:
    """What makes a picture at most `rows` high and four times as wide."""

    def size_of(width: float, height: float) -> tuple[int, int]:
        scale = min(1.0, rows / height, 4 * rows / width)
        return even(width * scale), even(height * scale)

    return size_of


def _draw_sound(encoder: SpanEncoder, start_s: float, end_s: float, height: int) -> None:
    """A still waveform as picture, two frames a second."""
    picture = waveform_picture(encoder.sound[0], even(height * 16 / 9), even(height))
    for k in range(max(1, round((end_s - start_s) * 2))):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p", threads=1)
        encoder.add(frame, start_s + 0.5 * k)


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
