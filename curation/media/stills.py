"""A video and a time in, one small JPEG out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation.atomic import write_bytes
from curation.errors import MediaError
from curation.media.container import display_name, open_media, pixel_aspect, rotation_deg
from curation.media.pictures import Shrinker, jpeg_bytes
from curation.media.reader import nothing_decoded, read_frames


def write_still(path: str | Path, time_s: float, out: str | Path, *, height: int = 180) -> dict[str, Any]:
    """Write the picture shown at `time_s` (seconds from the file's start) as a JPEG of at most `height` rows.

    Upright, with square pixels. Behind the last frame the last one near it is taken. Returns width, height and
    time_s (that of the frame). Raises MediaError (no_video, undecodable, no_data, those of
    `open_media`) and WorkspaceError (disk_full, read_only).
    """
    with open_media(path, want_audio=False) as media:
        if media.video is None:
            raise MediaError(f"{display_name(path)} has no picture.", code="no_video")
        shown = None
        for event in read_frames(media, max(0.0, time_s), max(0.0, time_s) + 1e-3):
            if shown is not None and event.time_s > time_s:
                break
            shown = event
        if shown is None:
            raise nothing_decoded(media, time_s, time_s + 1.0)
        frame = shown.frame
        picture = Shrinker(media.video, _short_side(media, frame, height)).picture(frame)
    write_bytes(Path(out), jpeg_bytes(picture))
    return {"width": picture.shape[1], "height": picture.shape[0], "time_s": shown.time_s}


def _short_side(media: Any, frame: Any, height: int) -> int:
    """Short side of the upright picture that makes it `height` rows high."""
    width_px, height_px = frame.width * pixel_aspect(media.video), frame.height
    if rotation_deg(frame) in (90, 270):
        width_px, height_px = height_px, width_px
    return max(1, round(height * min(1.0, width_px / max(height_px, 1))))
