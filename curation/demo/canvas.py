"""Anti-aliased drawing on float arrays.

In: design units (a picture is 192 x 144 of them, x right, y down), colours as float32 (3,) in 0..1. Out: the
canvas' own array, changed in place: (height, width, 3), or (height, width, 4) with premultiplied alpha for a
layer that is laid over another one later. Coverage comes from signed distances, so edges are smooth at any
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

DESIGN_WIDTH, DESIGN_HEIGHT = 192.0, 144.0
_OVERSAMPLE = 4  # polygons are rasterized this much finer and averaged: 16 levels of coverage at each edge

Pixels = NDArray[np.floating[Any]]
Colour = NDArray[np.float32]
Points = NDArray[Any] | Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Gradient:
    """A paint that runs from colour `a` at point `start` to colour `b` at point `stop` (design units)."""

    a: Colour
    b: Colour
    start: tuple[float, float]
    stop: tuple[float, float]


Paint = Colour | Gradient


def colour(text: str) -> Colour:
    """'#rrggbb' as float32 (3,) in 0..1."""
    return np.array([int(text[i : i + 2], 16) / 255.0 for i in (1, 3, 5)], np.float32)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` (0..1) of `b` in it."""
    return (a + (b - a) * np.float32(share)).astype(np.float32)


def light(base: Colour, amount: float) -> Colour:
    """`base` towards white for a positive amount (0..1), towards black for a negative one."""
    target = np.full(3, 1.0 if amount > 0 else 0.0, np.float32)
    return mix(base, target, abs(amount))


class Canvas:
    """A float picture and the place of its origin; every method draws in place and clips at the border."""

    def __init__(self, pixels: Pixels, scale: float, origin: tuple[float, float] = (0.0, 0.0)) -> None:
        self.pixels = pixels
        self.scale = scale
        self.origin = origin  # design units added to every x and y

    def _place(self, x: float, y: float) -> tuple[float, float]:
        return (x + self.origin[0]) * self.scale - 0.5, (y + self.origin[1]) * self.scale - 0.5

    def _window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int] | None:
        """Pixel rows and columns that a box (pixels) touches, or None where it lies outside."""
        left, top = max(0, int(np.floor(x0)) - 1), max(0, int(np.floor(y0)) - 1)
        right = min(self.pixels.shape[1], int(np.ceil(x1)) + 2)
        bottom = min(self.pixels.shape[0], int(np.ceil(y1)) + 2)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _axes(self, window: tuple[int, int, int, int], cx: float, cy: float) -> tuple[Pixels, Pixels]:
        left, top, right, bottom = window
        x = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(cx)
        y = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(cy)
        return x, y

    def _fill(self, window: tuple[int, int, int, int], cover: Pixels, paint: Paint, alpha: float) -> None:
        left, top, right, bottom = window
        patch = self.pixels[top:bottom, left:right]
        opacity = (cover * np.float32(alpha))[..., None]
        value = self._paint(window, paint)
        if patch.shape[2] == 4:
            patch[..., 3:] += opacity * (1.0 - patch[..., 3:])
        patch[..., :3] += opacity * (value - patch[..., :3])

    def _paint(self, window: tuple[int, int, int, int], paint: Paint) -> Pixels:
        if not isinstance(paint, Gradient):
            return paint
        x0, y0 = self._place(*paint.start)
        x1, y1 = self._place(*paint.stop)
        along_x, along_y = x1 - x0, y1 - y0
        x, y = self._axes(window, x0, y0)
        share = np.clip((x * along_x + y * along_y) / max(along_x**2 + along_y**2, 1e-6), 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        return (paint.a + share[..., None].astype(np.float32) * (paint.b - paint.a)).astype(np.float32)

    def _distance_fill(
        self, window: tuple[int, int, int, int], distance: Pixels, paint: Paint, alpha: float, soft: float
    ) -> None:
        """Fill where the signed distance (pixels) is negative; `soft` units of blur, at least a pixel."""
        cover = np.clip(0.5 - distance / max(1.0, soft * self.scale), 0.0, 1.0)
        if soft * self.scale > 2.0:
            cover = cover * cover * (3.0 - 2.0 * cover)
        self._fill(window, cover, paint, alpha)

    def fill(self, paint: Paint) -> None:
        """Cover everything."""
        window = (0, 0, self.pixels.shape[1], self.pixels.shape[0])
        self.pixels[..., :3] = self._paint(window, paint)
        self.pixels[..., 3:] = 1.0

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        paint: Paint,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        angle: float = 0.0,
        ring: float = 0.0,
    ) -> None:
        """An ellipse turned by `angle` radians; with `ring` > 0 only its outline, that many units wide."""
        cx, cy = self._place(x, y)
        a, b = max(rx * self.scale, 0.3), max(ry * self.scale, 0.3)
        reach = soft * self.scale + ring * self.scale + 1.0
        sin, cos = float(np.sin(angle)), float(np.cos(angle))
        half_x = float(np.hypot(a * cos, b * sin)) + reach
        half_y = float(np.hypot(a * sin, b * cos)) + reach
        window = self._window(cx - half_x, cy - half_y, cx + half_x, cy + half_y)
        if window is None:
            return
        dx, dy = self._axes(window, cx, cy)
        u, v = (dx * cos + dy * sin, dy * cos - dx * sin) if angle else (dx, dy)
        u, v = u / a, v / b
        level = np.sqrt(u * u + v * v)
        slope = np.sqrt((u / a) ** 2 + (v / b) ** 2)
        # first-order distance to the outline; at the centre both vanish, hence the floor
        distance = level * (level - 1.0) / np.maximum(slope, 1e-6)
        distance = np.where(level < 0.2, -min(a, b), distance)
        if ring > 0.0:
            distance = np.abs(distance) - 0.5 * ring * self.scale
        self._distance_fill(window, distance, paint, alpha, soft)

    def disc(self, x: float, y: float, r: float, paint: Paint, *, alpha: float = 1.0, soft: float = 0.0) -> None:
        """A filled circle."""
        self.ellipse(x, y, r, r, paint, alpha=alpha, soft=soft)

    def line(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        width: float,
        paint: Paint,
        *,
        alpha: float = 1.0,
        soft: float = 0.0,
        taper: float = 1.0,
    ) -> None:
        """A line with round ends, `width` units wide at the start and `taper` times that at the stop."""
        (ax, ay), (bx, by) = self._place(x0, y0), self._place(x1, y1)
        half = 0.5 * width * self.scale
        reach = half * max(1.0, taper) + soft * self.scale + 1.0
        window = self._window(min(ax, bx) - reach, min(ay, by) - reach, max(ax, bx) + reach, max(ay, by) + reach)
        if window is None:
            return
        dx, dy = self._axes(window, ax, ay)
        ex, ey = bx - ax, by - ay
        share = np.clip((dx * ex + dy * ey) / max(ex * ex + ey * ey, 1e-6), 0.0, 1.0)
        distance = np.hypot(dx - share * ex, dy - share * ey) - half * (1.0 + (taper - 1.0) * share)
        self._distance_fill(window, distance, paint, alpha, soft)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        paint: Paint,
        *,
        radius: float = 0.0,
        alpha: float = 1.0,
        soft: float = 0.0,
    ) -> None:
        """An upright rectangle with rounded corners."""
        (ax, ay), (bx, by) = self._place(x0, y0), self._place(x1, y1)
        reach = soft * self.scale + 1.0
        window = self._window(ax - reach, ay - reach, bx + reach, by + reach)
        if window is None:
            return
        r = radius * self.scale
        dx, dy = self._axes(window, 0.5 * (ax + bx), 0.5 * (ay + by))
        qx, qy = np.abs(dx) - (0.5 * (bx - ax) - r), np.abs(dy) - (0.5 * (by - ay) - r)
        outside = np.hypot(np.maximum(qx, 0.0), np.maximum(qy, 0.0))
        self._distance_fill(window, outside + np.minimum(np.maximum(qx, qy), 0.0) - r, paint, alpha, soft)

    def polygon(self, points: Points, paint: Paint, *, alpha: float = 1.0) -> None:
        """A filled polygon, `points` (n, 2) in design units, any winding."""
        placed = (np.asarray(points, np.float64) + self.origin) * self.scale
        window = self._window(*placed.min(0), *placed.max(0))
        if window is None:
            return
        left, top, right, bottom = window
        fine = Image.new("L", ((right - left) * _OVERSAMPLE, (bottom - top) * _OVERSAMPLE))
        corners = ((placed - (left, top)) * _OVERSAMPLE - 0.5).round(3)
        ImageDraw.Draw(fine).polygon([(float(x), float(y)) for x, y in corners], fill=255)
        cover = np.asarray(fine.reduce(_OVERSAMPLE), np.float32) / np.float32(255.0)
        self._fill(window, cover, paint, alpha)

    def glow(self, x: float, y: float, rx: float, ry: float, tint: Colour, strength: float) -> None:
        """Light added around a point, falling to nothing at `rx` and `ry`."""
        cx, cy = self._place(x, y)
        a, b = rx * self.scale, ry * self.scale
        window = self._window(cx - a, cy - b, cx + a, cy + b)
        if window is None or strength <= 0.0:
            return
        dx, dy = self._axes(window, cx, cy)
        fall = np.maximum(0.0, 1.0 - (dx / a) ** 2 - (dy / b) ** 2)
        fall *= fall * np.float32(strength)
        left, top, right, bottom = window
        self.pixels[top:bottom, left:right, :3] += fall[..., None] * tint

    def round(self, x: float, y: float, rx: float, ry: float, *, depth: float = 0.6, shine: float = 0.5) -> None:
        """Make what is drawn inside an ellipse look like a round body lit from the upper left.

        `depth` is the share of light lost on the far side, `shine` the strength of the highlight.
        """
        cx, cy = self._place(x, y)
        a, b = max(rx * self.scale, 0.5), max(ry * self.scale, 0.5)
        window = self._window(cx - a, cy - b, cx + a, cy + b)
        if window is None:
            return
        dx, dy = self._axes(window, cx, cy)
        u, v = dx / a, dy / b
        level = u * u + v * v
        facing = np.sqrt(np.maximum(0.0, 1.0 - level))
        towards = np.maximum(0.0, -0.45 * u - 0.6 * v + 0.66 * facing)
        cover = np.clip((1.0 - np.sqrt(level)) * min(a, b) + 0.5, 0.0, 1.0)
        left, top, right, bottom = window
        patch = self.pixels[top:bottom, left:right, :3]
        patch *= (1.0 - cover * np.float32(depth) * (1.0 - 1.15 * towards))[..., None]
        patch += (cover * np.float32(shine) * towards**14)[..., None]


def blank(width: int, height: int, channels: int) -> Pixels:
    """A black (transparent, with four channels) float32 picture."""
    return np.zeros((height, width, channels), np.float32)


def crop(layer: Pixels, left: float, top: float, width: int, height: int) -> Pixels:
    """The window of `layer` whose corner lies at a fraction of a pixel, interpolated linearly."""
    column, row = int(np.floor(left)), int(np.floor(top))
    fx, fy = np.float32(left - column), np.float32(top - row)
    part = layer[row : row + height + 1, column : column + width + 1]
    wide = part[:, :-1] + fx * (part[:, 1:] - part[:, :-1])
    return wide[:-1] + fy * (wide[1:] - wide[:-1])
