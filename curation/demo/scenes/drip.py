"""Drops fall into the pool of a cave: at each event one meets the water, and rings run out from it."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("deep", "glow", "rock", "water", "drop")
NUMBERS = {"ring_speed": (10.0, 80.0), "drop_size": (1.0, 8.0)}
_SURFACE_Y, _TIP_Y = 112.0, 30.0
_FALL_S, _RING_S, _SPLASH_S = 0.34, 1.5, 0.34


def _spike(canvas: Canvas, x: float, tip: float, wide: float, shade: Gradient) -> None:
    corners = [
        (x - wide, -14),
        (x - 0.45 * wide, 0.45 * tip),
        (x - 0.8, tip),
        (x + 0.8, tip),
        (x + 0.5 * wide, 0.4 * tip),
        (x + wide, -14),
    ]
    canvas.polygon(np.array(corners), shade)


def _cave(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(light(c["deep"], -0.2), mix(c["deep"], c["glow"], 0.55), (96, -12), (96, 112)))
    mouth = rng.uniform(60, 132)
    far.glow(mouth, 72, 92, 70, c["glow"], 0.42)
    far.glow(mouth, 84, 40, 30, light(c["glow"], 0.5), 0.26)
    for shift in (-26, 4, 30):  # shafts of light from a hole above
        top, low = mouth + shift, mouth + 1.9 * shift
        far.polygon(
            np.array([(top - 5, -14), (top + 5, -14), (low + 16, 120), (low - 16, 120)]),
            light(c["glow"], 0.4),
            alpha=0.07,
        )
    for x in np.arange(-12, 208, 13):
        rock = mix(c["rock"], c["deep"], rng.uniform(0.3, 0.8))
        _spike(
            far,
            x + rng.uniform(-4, 4),
            rng.uniform(8, 34),
            rng.uniform(5, 10),
            Gradient(light(rock, -0.4), mix(rock, c["glow"], 0.25), (0, -10), (0, 40)),
        )
    y = np.linspace(-14, 124, 24)
    for side, outwards in ((0.0, -1.0), (192.0, 1.0)):  # three walls of rock, one behind the other
        for depth, reach in ((0.25, 34.0), (0.55, 22.0), (1.0, 8.0)):
            edge = side - outwards * (reach + 9 * np.sin(y / 23 + rng.uniform(0, 6)) + rng.uniform(-2.5, 2.5, len(y)))
            rock = mix(mix(c["deep"], c["glow"], 0.3), light(c["rock"], -0.6), depth)
            outline = np.concatenate(
                [np.stack([edge, y], 1), [(side + outwards * 20, 124), (side + outwards * 20, -14)]]
            )
            far.polygon(
                outline,
                Gradient(mix(rock, c["glow"], 0.22), rock, (side - outwards * (reach + 12), 60), (side, 60)),
            )
    return far


def _pool(look: Look, x: float) -> Canvas:
    c, rng = look.colours, look.rng
    near = look.layer(4)
    near.box(-20, 96, 212, 170, Gradient(light(c["water"], 0.16), light(c["water"], -0.6), (96, 96), (96, 150)))
    near.box(-20, 95.5, 212, 97.5, light(c["glow"], 0.3), alpha=0.5, soft=2)
    near.ellipse(96, 104, 78, 8, c["glow"], alpha=0.32, soft=12)
    for gx, gy in zip(rng.uniform(0, 192, 16), rng.uniform(99, 146, 16), strict=True):
        near.ellipse(gx, gy, rng.uniform(5, 16), 0.5, light(c["glow"], 0.5), alpha=rng.uniform(0.1, 0.4))
    for rx in (rng.uniform(-8, 14), rng.uniform(176, 200)):
        near.ellipse(
            rx,
            150,
            30,
            22,
            Gradient(light(c["rock"], -0.1), light(c["rock"], -0.8), (rx - 10, 130), (rx + 10, 155)),
        )
    shade = Gradient(light(c["rock"], 0.22), light(c["rock"], -0.6), (x - 7, 0), (x + 8, 0))
    _spike(near, x, _TIP_Y, 15, shade)
    return near


def build(look: Look) -> Scene:
    c, line, rng = look.colours, look.line, look.rng
    x, size, speed = rng.uniform(66, 126), look.numbers["drop_size"], look.numbers["ring_speed"]
    bright, dark = light(c["glow"], 0.65), light(c["water"], -0.65)

    def fall(canvas: Canvas, left_s: float) -> None:
        """The drop that will meet the water in `left_s` seconds: it swells at the tip, then falls."""
        u = 1.0 - left_s / _FALL_S
        if u < 0.0:
            swell = size * max(0.0, 1.0 + u / 2.0)
            canvas.ellipse(x, _TIP_Y + 0.6 * swell, 0.8 * swell, swell, c["drop"])
            canvas.round(x, _TIP_Y + 0.6 * swell, 0.8 * swell, swell, depth=0.5, shine=0.9)
            return
        y = _TIP_Y + (_SURFACE_Y - _TIP_Y) * u * u
        long = size * (1.0 + 1.1 * u)
        canvas.line(x, y - 2.6 * long, x, y, 0.5, c["drop"], alpha=0.7, taper=3.0)
        canvas.ellipse(x, y, 0.8 * size, long, c["drop"])
        canvas.round(x, y, 0.8 * size, long, depth=0.5, shine=0.9)

    def rings(canvas: Canvas, age_s: float, strength: float) -> None:
        if age_s < _SPLASH_S:
            for k, side in enumerate((-1.0, -0.45, 0.4, 0.95)):
                u = age_s / _SPLASH_S
                up = (16 + 6 * (k % 2)) * strength * 4 * u * (1 - u)
                canvas.disc(x + side * 26 * u, _SURFACE_Y - up, 0.35 * size * (1.2 - u), bright)
            canvas.ellipse(x, _SURFACE_Y, 7 + 10 * age_s, 2.4, bright, alpha=0.7 * (1 - age_s / _SPLASH_S), soft=3)
        for lag, weight in ((0.0, 1.0), (0.16, 0.7), (0.34, 0.45)):
            age = age_s - lag
            if 0.0 < age < _RING_S:
                r = 3 + speed * age
                fade = weight * strength * (1.0 - age / _RING_S) ** 1.3
                canvas.ellipse(x, _SURFACE_Y + 1.2, r, 0.3 * r, dark, alpha=0.55 * fade, ring=1.8, soft=1)
                canvas.ellipse(x, _SURFACE_Y, r, 0.3 * r, bright, alpha=0.9 * fade, ring=1.2)

    def draw(canvas: Canvas, t_s: float) -> None:
        k = line.last_event(t_s)
        for i in range(max(0, k - 3), k + 1):
            rings(canvas, t_s - line.times_s[i], line.strengths[i])
        if k + 1 < len(line.times_s):
            fall(canvas, line.times_s[k + 1] - t_s)

    return Scene(_cave(look).pixels, _pool(look, x).pixels, draw)
