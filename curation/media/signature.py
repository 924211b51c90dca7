"""Small pictures in, signatures that tell how different two moments of a video look out; and the choice of clips that
look most different. Signatures are for choosing inside one video, not for finding copies among many."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

SIDE = 32  # of the small picture's luma; its chroma has half of it
N_WAVES = 4
SIZE = N_WAVES * N_WAVES + 8
STEP_S = 2.0
MAX_POINTS = 4096


class Small:
    """A decoded frame that is scaled only when somebody looks: 32x32 luma, 16x16 chroma, the shape not kept."""

    __slots__ = ("_frame", "_planes", "_scaler")

    def __init__(self, frame: Any, scaler: VideoReformatter) -> None:
        self._frame, self._scaler = frame, scaler
        self._planes: np.ndarray | None = None

    @property
    def luma(self) -> np.ndarray:
        """uint8 (32, 32)."""
        return self.planes[:SIDE]

    @property
    def planes(self) -> np.ndarray:
        """uint8 (48, 32): luma, and below it U and V, each 16 x 16 written as 8 rows."""
        if self._planes is None:
            small = self._scaler.reformat(
                self._frame, width=SIDE, height=SIDE, format="yuv420p", interpolation=Interpolation.AREA, threads=1
            )
            self._planes = small.to_ndarray()
            self._frame = None  # the big picture's memory goes back to the decoder
        return self._planes


def signature(planes: np.ndarray) -> np.ndarray:
    """uint8 (24,) of a small picture (`Small.planes`): 4x4 lowest DCT waves of the luma, 2x2 means of U and of V.

    Each number is in grey levels around 128; waves and chroma count double, for they vary less than the mean does.
    """
    basis = _cosines()
    waves = basis @ planes[:SIDE].astype(np.float64) @ basis.T
    waves *= np.where(np.arange(waves.size).reshape(waves.shape) == 0, 1.0, 2.0)
    waves[0, 0] -= 128.0
    chroma = planes[SIDE:].reshape(2, 2, SIDE // 4, 2, SIDE // 4).mean(axis=(2, 4)) - 128.0
    values = np.concatenate([waves.ravel(), 2.0 * chroma.ravel()])
    return np.clip(np.rint(values + 128.0), 0, 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """float64 (4, 32): the lowest orthonormal DCT-II waves over sqrt(32), so that wave 0 is the mean."""
    wave, place = np.arange(N_WAVES)[:, None], np.arange(SIDE)[None, :]
    basis = np.cos(np.pi * wave * (2 * place + 1) / (2 * SIDE)) * np.where(wave == 0, 1.0, np.sqrt(2.0))
    return basis / SIDE


class SignatureTrack:
    """A signature every `step_s` seconds of one video: 2 s, or twice, four times ... that when a video is so long that
    it would have more than 4096 of them."""

    def __init__(self) -> None:
        self.step_s = STEP_S
        self._points: list[np.ndarray] = []

    def push(self, small: Small, time_s: float) -> None:
        """Take the frame shown from `time_s` on. It is scaled only if a signature is due; frames come in order."""
        if time_s < len(self._points) * self.step_s:
            return
        point = signature(small.planes)
        while len(self._points) * self.step_s <= time_s:
            if len(self._points) == MAX_POINTS:
                self._points = self._points[::2]
                self.step_s *= 2
            else:
                self._points.append(point)

    def finish(self) -> np.ndarray:
        """uint8 (K, 24); row k is the picture at `k * step_s` seconds, or the first one behind it."""
        return np.stack(self._points) if self._points else np.zeros((0, SIZE), np.uint8)


def span_signatures(points: np.ndarray, step_s: float, spans: list[tuple[float, float]]) -> np.ndarray:
    """float64 (n, 24): the mean signature of each span (start_s, end_s); where none lies inside, the nearest one.

    points: uint8 (K, 24), K >= 1, of `SignatureTrack`.
    """
    sums = np.concatenate([np.zeros((1, SIZE)), np.cumsum(points, axis=0, dtype=np.float64)])
    ends = np.asarray(spans, np.float64).reshape(-1, 2)
    low = np.clip(np.ceil(ends[:, 0] / step_s).astype(np.int64), 0, len(points))
    high = np.clip(np.floor(ends[:, 1] / step_s).astype(np.int64) + 1, 0, len(points))
    nearest = np.clip(np.rint(ends.mean(axis=1) / step_s).astype(np.int64), 0, len(points) - 1)
    empty = high <= low
    low, high = np.where(empty, nearest, low), np.where(empty, nearest + 1, high)
    return (sums[high] - sums[low]) / (high - low)[:, None]


def most_different(signatures: np.ndarray, count: int) -> list[int]:
    """Rows of the `count` most different signatures (n, D), sorted: first the one farthest from their mean, then always
    the one whose nearest chosen one is farthest. The two that are nearest are then at least half as far apart as in any
    other choice (Gonzalez 1985). Ties go to the earlier row; memory O(n)."""
    vectors = np.asarray(signatures, np.float64)
    if count >= len(vectors):
        return list(range(len(vectors)))
    chosen: list[int] = []
    distance = np.square(vectors - vectors.mean(axis=0)).sum(axis=1)
    for _ in range(count):
        row = int(np.argmax(distance))
        to_row = np.square(vectors - vectors[row]).sum(axis=1)
        distance = to_row if not chosen else np.minimum(distance, to_row)
        chosen.append(row)
        distance[chosen] = -1.0  # equal pictures are chosen once each
    return sorted(chosen)
