"""Figures of a report: numbers in, SVG text out that needs nothing from anywhere. All text in it is escaped."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np

AUDIO, VISUAL, CHOSEN, MUTED = "#965700", "#0A6F69", "#0B67A8", "#6B7684"
DIVERGING = ("#08488E", "#4A90CB", "#C4DDF0", "#F7F7F7", "#FBD9B5", "#E58A35", "#9C4200")
"""Blue, neutral, orange, centred on 0: apart for colour-blind readers too."""


def curve(size: np.ndarray, lines: Sequence[tuple[str, np.ndarray, str, str]]) -> str:
    """Lines (name, values, colour, dash) against `size`, each named at its end; NaN is left out."""
    width, height, left, right, top, bottom = 720, 300, 56, 150, 12, 40
    drawn = [(name, np.asarray(values, float), colour, dash) for name, values, colour, dash in lines]
    drawn = [line for line in drawn if np.isfinite(line[1]).any()]
    if not len(size) or not drawn:
        return ""
    high = max(float(np.nanmax(values)) for _, values, _, _ in drawn) or 1.0
    reach = float(size[-1]) or 1.0
    inner_w, inner_h = width - left - right, height - top - bottom

    def at(x: float, y: float) -> str:
        return f"{left + inner_w * x / reach:.1f},{top + inner_h * (1 - y / high):.1f}"

    parts = [_axis_y(left, top, inner_w, inner_h, high), _axis_x(left, top, inner_w, inner_h, reach)]
    ends: list[tuple[float, str, str]] = []
    for name, values, colour, dash in drawn:
        known = np.isfinite(values)
        points = " ".join(at(float(x), float(y)) for x, y in zip(size[known], values[known]))
        style = f'stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" {style}/>')
        last = float(values[known][-1])
        ends.append((top + inner_h * (1 - last / high), f"{name} {last:.2f}", colour))
    ends.sort()
    for k in range(1, len(ends)):  # names do not lie on each other
        ends[k] = (max(ends[k][0], ends[k - 1][0] + 15), *ends[k][1:])
    parts += [
        f'<text x="{left + inner_w + 8}" y="{y:.1f}" dy="4" fill="{colour}">{escape(name)}</text>'
        for y, name, colour in ends
    ]
    parts.append(_label(left + inner_w / 2, height - 4, "clips selected"))
    parts.append(f'<text transform="translate(12 {top + inner_h / 2}) rotate(-90)" text-anchor="middle">nats</text>')
    return _svg(width, height, parts, "Mutual information against the number of clips selected")


def heatmap(values: np.ndarray, limit: float, title: str, sound: str, picture: str) -> str:
    """A table as a picture, rows are sound clusters: blue below 0, orange above, `limit` and beyond at the ends."""
    side = 300
    rows, cols = values.shape
    scale = side / max(rows, cols, 1)
    width, height = max(24.0, cols * scale), max(24.0, rows * scale)
    image = base64.b64encode(png(colours(values, limit))).decode("ascii")
    parts = [
        f'<image x="24" y="24" width="{width:.0f}" height="{height:.0f}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{image}"/>',
        f'<rect x="24" y="24" width="{width:.0f}" height="{height:.0f}" fill="none" stroke="#c9d1da"/>',
        f'<text x="{24 + width / 2:.0f}" y="16" text-anchor="middle" fill="{VISUAL}">{escape(picture)} →</text>',
        f'<text transform="translate(16 {24 + height / 2:.0f}) rotate(-90)" text-anchor="middle" '
        f'fill="{AUDIO}">← {escape(sound)}</text>',
    ]
    return _svg(round(width) + 36, round(height) + 36, parts, title)


def scale_bar(limit: float) -> str:
    """The colours of `heatmap` with their values."""
    image = base64.b64encode(png(colours(np.linspace(-limit, limit, 128)[None], limit))).decode("ascii")
    parts = [
        '<image x="40" y="2" width="200" height="12" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{image}"/>',
        f'<text x="34" y="13" text-anchor="end">−{limit:.1f}</text><text x="246" y="13">+{limit:.1f} PMI, nats</text>',
    ]
    return _svg(360, 18, parts, "Colour scale")


def bars(steps: Sequence[tuple[str, float, str]], colour: str = MUTED) -> str:
    """Horizontal bars: name, value, its words."""
    height, name_w, bar_w = 26, 230, 300
    most = max((value for _, value, _ in steps), default=0) or 1
    parts = []
    for k, (name, value, said) in enumerate(steps):
        y = k * height
        length = max(1.0, bar_w * value / most)
        shade = CHOSEN if k == len(steps) - 1 else colour
        parts += [
            f'<text x="{name_w - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{name_w}" y="{y + 5}" width="{length:.1f}" height="14" rx="2" fill="{shade}"/>',
            f'<text x="{name_w + length + 6:.1f}" y="{y + 16}">{escape(said)}</text>',
        ]
    return _svg(720, max(1, len(steps)) * height, parts, "Funnel")


def colours(values: np.ndarray, limit: float) -> np.ndarray:
    """uint8 (R, C, 3) on the diverging scale; NaN is white."""
    stops = np.array([[int(code[k : k + 2], 16) for k in (1, 3, 5)] for code in DIVERGING], float)
    place = (np.clip(np.nan_to_num(values) / max(limit, 1e-9), -1, 1) + 1) / 2 * (len(stops) - 1)
    low = np.minimum(place.astype(int), len(stops) - 2)
    part = (place - low)[..., None]
    found = stops[low] * (1 - part) + stops[low + 1] * part
    found[np.isnan(values)] = 255
    return found.round().astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """uint8 (H, W, 3) as a PNG (RFC 2083: 8-bit RGB, no filter)."""
    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + np.ascontiguousarray(line).tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = [(b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in body
    )


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _label(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _ticks(most: float) -> list[float]:
    step = 10 ** math.floor(math.log10(most)) if most > 0 else 1.0
    step = next((step * k for k in (0.2, 0.5, 1, 2, 5) if most / (step * k) <= 6), step)
    return [k * step for k in range(math.floor(most / step) + 1)]


def _axis_y(left: float, top: float, width: float, height: float, high: float) -> str:
    found = ""
    for tick in _ticks(high):
        y = top + height * (1 - tick / high)
        found += f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e8ee"/>'
        found += f'<text x="{left - 6}" y="{y:.1f}" dy="4" text-anchor="end">{tick:.3g}</text>'
    return found


def _axis_x(left: float, top: float, width: float, height: float, reach: float) -> str:
    return "".join(_label(left + width * tick / reach, top + height + 16, f"{tick:,.0f}") for tick in _ticks(reach))
