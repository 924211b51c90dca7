"""Rain seen through a window: streaks whose density follows the timeline's level, lights of a town behind."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, Pixels, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("sky", "haze", "town", "lamp", "streak", "sill")
NUMBERS = {"slant": (-0.6, 0.6), "speed": (80.0, 600.0), "streaks": (10.0, 200.0)}
_SILL_Y = 126.0


def _town(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(light(c["sky"], 0.08), c["haze"], (96, -10), (96, 104)))
    for x in np.arange(-10.0, 210.0, 30.0).tolist():
        far.ellipse(
            x + rng.uniform(-10, 10),
            rng.uniform(-6, 30),
            rng.uniform(24, 48),
            rng.uniform(8, 16),
            light(c["sky"], -0.28),
            alpha=0.5,
            soft=16,
        )
    for depth in (0.3, 0.75):
        for x in np.arange(-16.0, 206.0, 24.0).tolist():
            top, wide = rng.uniform(48, 84) + 14 * depth, rng.uniform(16, 30)
            far.box(x, top, x + wide, 160, mix(c["haze"], c["town"], depth), alpha=0.85, soft=5)
    for _ in range(20):
        x, y, r = rng.uniform(-8, 200), rng.uniform(66, 128), rng.uniform(2.5, 8)
        tint = mix(c["lamp"], light(c["haze"], 0.5), rng.choice([0.0, 0.25, 0.8]))
        far.disc(x, y, r, tint, alpha=rng.uniform(0.16, 0.5), soft=1.5)
        far.glow(x, y, 2.2 * r, 2.2 * r, tint, 0.16)
    return far


def _pane(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    near = look.layer(4)
    for x, y in zip(rng.uniform(-8, 200, 46), rng.uniform(-8, 128, 46), strict=True):
        r = rng.uniform(0.7, 2.4)
        near.ellipse(x, y, r, 1.15 * r, light(c["town"], -0.2), alpha=0.5)
        near.ellipse(x, y + 0.35 * r, 0.75 * r, 0.6 * r, light(c["haze"], 0.4), alpha=0.6, soft=0.6)
        near.disc(x - 0.3 * r, y - 0.45 * r, 0.25 * r, light(c["streak"], 0.8))
    near.box(
        -20,
        _SILL_Y,
        212,
        170,
        Gradient(light(c["sill"], 0.25), light(c["sill"], -0.45), (96, _SILL_Y), (96, 154)),
    )
    near.box(-20, _SILL_Y, 212, _SILL_Y + 1.4, light(c["streak"], 0.4), alpha=0.7)
    return near


def _tile(look: Look, count: int, length: float, width: float, slant: float) -> Pixels:
    """A picture of streaks, (height, width), that can be rolled on both axes without a seam."""
    canvas = Canvas(np.zeros((look.height, look.width, 4), np.float32), look.scale)
    wide, high = look.width / look.scale, look.height / look.scale
    white = np.ones(3, np.float32)
    for x, y in zip(look.rng.uniform(0, wide, count), look.rng.uniform(0, high, count), strict=True):
        long, alpha = length * look.rng.uniform(0.6, 1.4), look.rng.uniform(0.25, 0.9)
        for ox in (-wide, 0.0, wide):
            for oy in (-high, 0.0):
                canvas.line(
                    x + ox,
                    y + oy,
                    x + ox + slant * long,
                    y + oy + long,
                    0.4 * width,
                    white,
                    alpha=alpha,
                    taper=2.5,
                )
    return canvas.pixels[..., 3]


def build(look: Look) -> Scene:
    c, line, rng, p = look.colours, look.line, look.rng, look.numbers
    count = int(p["streaks"])
    layers = [
        (_tile(look, count, 11.0, 0.9, p["slant"]), 0.7 * p["speed"], 0.35),
        (_tile(look, max(1, count // 2), 22.0, 1.5, p["slant"]), p["speed"], 0.65),
    ]
    trails = np.stack([rng.uniform(8, 184, 4), rng.uniform(-20, 60, 4), rng.uniform(8, 22, 4)], axis=1)
    splashes = np.stack(
        [rng.uniform(0, 192, 60), rng.uniform(0, line.duration_s, 60), rng.uniform(127, 142, 60)], axis=1
    )

    def draw(canvas: Canvas, t_s: float) -> None:
        force = float(line.level_at(t_s))
        for tile, speed, alpha in layers:
            down = speed * t_s * look.scale
            moved = np.roll(tile, (round(down), round(p["slant"] * down)), axis=(0, 1))
            sky = int(_SILL_Y * look.scale)
            canvas.pixels[:sky] += (min(1.0, alpha * force) * moved[:sky, :, None]) * c["streak"]
        for x, y0, slide in trails:
            y = y0 + slide * t_s + 2.0 * np.sin(3.0 * t_s + x)
            canvas.line(x, y - 16, x, y, 0.3, light(c["haze"], 0.4), alpha=0.45, taper=5.0)
            canvas.ellipse(x, y, 1.7, 2.3, light(c["haze"], 0.25))
            canvas.round(x, y, 1.7, 2.3, depth=0.7, shine=1.0)
        for x, at, y in splashes:
            age = t_s - at
            if 0.0 <= age < 0.3:
                canvas.ellipse(x, y, 1.5 + 16 * age, 0.5 + 4 * age, c["streak"], alpha=0.8 - 2.6 * age, ring=0.6)

    return Scene(_town(look).pixels, _pane(look).pixels, draw)
