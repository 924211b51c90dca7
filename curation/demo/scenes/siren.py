"""An ambulance in a night street: its red lamp burns with the high tone, its blue lamp with the low one."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("sky", "horizon", "street", "body", "stripe", "first_lamp", "second_lamp", "window")
NUMBERS = {"glow": (0.2, 1.5)}
_STREET_Y = 108.0


def _town(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(c["sky"], c["horizon"], (96, -10), (96, 112)))
    for x, y in zip(rng.uniform(-10, 202, 26), rng.uniform(-8, 60, 26), strict=True):
        far.disc(x, y, rng.uniform(0.3, 0.7), light(c["window"], 0.6), alpha=rng.uniform(0.3, 0.9))
    moon = rng.uniform(20, 170), rng.uniform(14, 30)
    far.glow(*moon, 34, 34, c["window"], 0.3)
    far.disc(*moon, 7, light(c["window"], 0.65))
    for depth in (0.35, 0.72):
        x = -14.0
        while x < 206:
            wide, top = rng.uniform(16, 34), rng.uniform(36, 74) + 12 * depth
            wall = mix(c["horizon"], light(c["sky"], -0.55), depth)
            far.box(x, top, x + wide, 130, Gradient(wall, mix(wall, c["horizon"], 0.4), (x, top), (x, 118)))
            if depth > 0.5:
                for wx in np.arange(x + 3, x + wide - 3, 5.5):
                    for wy in np.arange(top + 5, 104, 7.5):
                        if rng.random() < 0.36:
                            far.box(wx, wy, wx + 2.6, wy + 3.6, c["window"], alpha=rng.uniform(0.35, 0.9))
            x += wide + rng.uniform(0, 3)
    return far


def _car(canvas: Canvas, look: Look, x: float) -> None:
    """The vehicle, its rear wheel at `x`."""
    c = look.colours
    dark, glass = light(c["sky"], -0.7), mix(c["horizon"], c["sky"], 0.5)
    base = 118.0
    canvas.ellipse(x + 34, base + 9, 62, 4, light(c["street"], -0.9), alpha=0.7, soft=5)
    body = Gradient(light(c["body"], 0.15), light(c["body"], -0.45), (x, 72), (x, 122))
    canvas.box(x - 20, 72, x + 50, base + 3, body, radius=4)
    cab = np.array([(x + 46, 82), (x + 64, 82), (x + 76, 98), (x + 88, 101), (x + 90, base + 3), (x + 46, base + 3)])
    canvas.polygon(cab, body)
    canvas.polygon(np.array([(x + 54, 85), (x + 63, 85), (x + 72, 98), (x + 54, 98)]), light(glass, 0.2))
    canvas.polygon(np.array([(x + 58, 85), (x + 61, 85), (x + 66, 98), (x + 63, 98)]), light(glass, 0.7), alpha=0.5)
    canvas.box(x - 20, 101, x + 89, 107, c["stripe"])
    canvas.box(x - 20, 107.6, x + 89, 109, c["stripe"], alpha=0.6)
    canvas.box(x + 9, 80, x + 15, 98, c["stripe"], radius=0.8)
    canvas.box(x + 3, 86, x + 21, 92, c["stripe"], radius=0.8)
    canvas.box(x - 14, 79, x - 4, 92, glass, radius=1.5)
    canvas.box(x + 85, 108, x + 91, 112, light(c["window"], 0.6), radius=1.5)
    for wheel in (x, x + 68):
        canvas.disc(wheel, base + 2, 10, dark)
        canvas.disc(wheel, base + 2, 5, light(c["body"], -0.35))
        canvas.disc(wheel, base + 2, 2, dark)


def _street(look: Look, x: float) -> Canvas:
    c, rng = look.colours, look.rng
    near = look.layer(4)
    near.box(-20, _STREET_Y, 212, 170, Gradient(c["street"], light(c["street"], -0.5), (96, _STREET_Y), (96, 150)))
    near.box(-20, _STREET_Y, 212, _STREET_Y + 2.5, light(c["street"], 0.22))
    for mark in np.arange(-20 + rng.uniform(0, 30), 212, 36):
        near.box(mark, 136, mark + 18, 138, light(c["street"], 0.5), alpha=0.6, radius=1)
    for px in rng.uniform(-10, 200, 7):  # wet places that mirror the sky
        near.ellipse(
            px,
            rng.uniform(126, 150),
            rng.uniform(10, 26),
            rng.uniform(1, 2.6),
            c["horizon"],
            alpha=0.35,
            soft=3,
        )
    _car(near, look, x)
    return near


def build(look: Look) -> Scene:
    c, line, rng = look.colours, look.line, look.rng
    x = rng.uniform(38, 84)
    strength = look.numbers["glow"]
    near = _street(look, x)

    def draw(canvas: Canvas, t_s: float) -> None:
        k = line.last_event(t_s)
        u = (t_s - line.times_s[k]) / (0.5 * line.period_s)
        first = k % 2 == 0
        burn = strength * (0.55 + 0.45 * float(np.sin(np.pi * min(u, 1.0))))
        for side, on in ((x + 4, first), (x + 28, not first)):
            tint = c["first_lamp"] if side == x + 4 else c["second_lamp"]
            canvas.box(side - 7, 65.5, side + 7, 72.5, light(tint, 0.35 if on else -0.55), radius=3)
            if on:
                canvas.glow(side, 68, 150, 105, tint, 0.5 * burn)
                canvas.glow(side, 68, 46, 40, tint, 0.9 * burn)
                canvas.glow(side, 68, 90, 3.5, light(tint, 0.5), 0.7 * burn)
                canvas.glow(side, 68, 9, 7, light(tint, 0.8), 1.2 * burn)
                canvas.glow(side, 134, 60, 13, tint, 0.6 * burn)

    return Scene(_town(look).pixels, near.pixels, draw)
