"""Decoded frames in, small upright RGB pictures out, straight from the decoder's own pixel format; and arrays in,
JPEG and PNG out, through PyAV, so that no imaging package is needed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from curation.media.container import pixel_aspect, rotation_deg

MAX_ASPECT = 4.0


def fitted_size(width: int, height: int, short_side: int, *, aspect: float = 1.0) -> tuple[int, int]:
    """(width, height) with square pixels whose short side is at most `short_side`; never enlarged.

    The long side is at most 4 times `short_side`: beyond that the shape is squeezed rather than the memory spent.
    """
    shown = max(1.0, width * aspect)
    scale = min(1.0, short_side / min(shown, height))
    limit = MAX_ASPECT * short_side
    return max(1, round(min(shown * scale, limit))), max(1, round(min(height * scale, limit)))


@dataclass(frozen=True)
class SmallPicture:
    """A small frame in yuv420p, half as large as its RGB, and how far it is to be turned (counter-clockwise)."""

    frame: Any
    turn_deg: int

    @property
    def n_bytes(self) -> int:
        """Memory of its planes."""
        return int(sum(plane.buffer_size for plane in self.frame.planes))


class Shrinker:
    """Turns frames of one stream into uint8 (H, W, 3) arrays of one size, fixed by the first frame.

    In two steps, because FFmpeg scales planes twice as fast as it scales into packed RGB, and whoever keeps many may do
    the second step for those alone that are wanted.
    """

    def __init__(self, stream: Any, short_side: int) -> None:
        self.aspect, self.short_side = pixel_aspect(stream), short_side
        self.size: tuple[int, int] | None = None
        # One for all frames and each step: setting up a scaler costs more than using it.
        self._scaler, self._colours = VideoReformatter(), VideoReformatter()

    def shrink(self, frame: Any) -> SmallPicture:
        """The first step. A picture of a changed shape is brought to the first one's size."""
        turn = rotation_deg(frame)
        if self.size is None:
            width, height = fitted_size(frame.width, frame.height, self.short_side, aspect=self.aspect)
            self.size = (height, width) if turn in (90, 270) else (width, height)
        width, height = self.size if turn not in (90, 270) else self.size[::-1]
        small = self._scaler.reformat(
            frame, width=width, height=height, format="yuv420p", interpolation=Interpolation.BILINEAR, threads=1
        )
        return SmallPicture(small, turn)

    def rgb(self, small: SmallPicture) -> np.ndarray:
        """The second step: uint8 (H, W, 3), rotation applied."""
        array = self._colours.reformat(small.frame, format="rgb24", threads=1).to_ndarray()
        return np.ascontiguousarray(np.rot90(array, small.turn_deg // 90)) if small.turn_deg else array

    def picture(self, frame: Any) -> np.ndarray:
        """Both steps."""
        return self.rgb(self.shrink(frame))


def jpeg_bytes(picture: np.ndarray, *, quality: int = 4) -> bytes:
    """JPEG of a uint8 (H, W, 3) picture; `quality` is FFmpeg's scale, 2 (best) to 31."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = frame.reformat(format="yuvj420p", dst_color_range="JPEG", threads=1)
    return _encoded("mjpeg", "yuvj420p", frame, {"qmin": str(quality), "qmax": str(quality), "threads": "1"})


def png_bytes(picture: np.ndarray) -> bytes:
    """PNG of a uint8 (H, W, 3) or (H, W, 4) picture."""
    pixels = "rgba" if picture.shape[2] == 4 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=pixels)
    return _encoded("png", pixels, frame, {"compression_level": "6", "pred": "mixed"})


def _encoded(codec: str, pixels: str, frame: av.VideoFrame, options: dict[str, str]) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels  # type: ignore[attr-defined]
    encoder.time_base = Fraction(1, 25)
    encoder.options = options
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    packets = encoder.encode(frame) + encoder.encode(None)  # type: ignore[attr-defined]
    return b"".join(bytes(packet) for packet in packets)
