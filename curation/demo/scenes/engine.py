"""A stationary engine: its wheel makes `level` turns a second, its rod moves, steam puffs twice a turn."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("wall", "floor", "iron", "spoke", "brass", "steam")
NUMBERS = {"wheel": (24.0, 44.0), "spokes": (3.0, 7.99)}
_HUB = (124.0, 80.0)
_CRANK, _ROD = 15.0, 62.0


def _hall(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(light(c["wall"], 0.3), light(c["wall"], -0.2), (40, -10), (150, 130)))
    mortar = light(c["wall"], 0.4)
    for row, y in enumerate(np.arange(-12, 120, 9.0)):
        far.line(-16, y, 210, y, 0.6, mortar, alpha=0.5)
        for x in np.arange(-16 + (row % 2) * 9, 210, 18.0):
            far.line(x, y, x, y + 9, 0.6, mortar, alpha=0.5)
            if rng.random() < 0.25:
                far.box(x + 0.5, y + 0.5, x + 17.5, y + 8.5, light(c["wall"], rng.uniform(-0.22, 0.2)), alpha=0.5)
    x = rng.uniform(24, 60)
    far.disc(x, 28, 19, light(c["wall"], -0.45))
    far.disc(x, 28, 16.5, Gradient(light(c["steam"], 0.6), light(c["steam"], -0.1), (x, 12), (x, 46)))
    far.line(x - 17, 28, x + 17, 28, 1.6, light(c["wall"], -0.45))
    far.line(x, 11, x, 45, 1.6, light(c["wall"], -0.45))
    far.glow(x + 20, 50, 90, 70, light(c["wall"], 0.5), 0.22)
    return far


def _bed(look: Look) -> Canvas:
    c = look.colours
    near = look.layer(4)
    near.box(-20, 124, 212, 170, Gradient(c["floor"], light(c["floor"], -0.5), (96, 124), (96, 156)))
    near.ellipse(104, 127, 92, 5, light(c["floor"], -0.8), alpha=0.6, soft=6)
    iron = Gradient(light(c["iron"], 0.3), light(c["iron"], -0.45), (96, 94), (96, 128))
    near.box(6, 94, 182, 104, iron, radius=2)
    near.polygon(np.array([(14, 104), (174, 104), (182, 126), (6, 126)]), iron)
    near.polygon(
        np.array([(_HUB[0] - 9, 96), (_HUB[0] - 4, 76), (_HUB[0] + 4, 76), (_HUB[0] + 9, 96)]),
        light(c["iron"], 0.1),
    )
    near.box(16, 54, 25, 76, Gradient(light(c["iron"], 0.35), light(c["iron"], -0.4), (16, 60), (25, 60)))
    near.box(13, 50, 28, 56, light(c["brass"], -0.1), radius=1.5)
    shell = Gradient(light(c["spoke"], 0.4), light(c["spoke"], -0.5), (28, 64), (28, 96))
    near.box(4, 66, 46, 95, shell, radius=3)
    for x in (6.0, 40.0):
        near.box(
            x,
            64,
            x + 4.5,
            97,
            Gradient(light(c["brass"], 0.5), light(c["brass"], -0.4), (x, 66), (x, 96)),
            radius=1,
        )
    return near


def build(look: Look) -> Scene:
    c, line, rng = look.colours, look.line, look.rng
    radius, spokes = look.numbers["wheel"], int(look.numbers["spokes"])
    turns, start = line.level_integral(), rng.uniform(0.0, 1.0)
    hx, hy = _HUB
    rim = Gradient(
        light(c["iron"], 0.28),
        light(c["iron"], -0.35),
        (hx - radius, hy - radius),
        (hx + radius, hy + radius),
    )

    def wheel(canvas: Canvas, angle: float) -> None:
        for k in range(spokes):
            a = angle + 2.0 * np.pi * k / spokes
            canvas.line(
                hx,
                hy,
                hx + (radius - 3) * np.cos(a),
                hy + (radius - 3) * np.sin(a),
                5.0,
                c["spoke"],
                taper=0.6,
            )
        canvas.ellipse(hx, hy, radius, radius, rim, ring=7.0)
        canvas.ellipse(hx, hy, radius - 4.5, radius - 4.5, c["spoke"], ring=1.4)
        canvas.ellipse(hx, hy, radius + 1.6, radius + 1.6, light(c["iron"], 0.55), ring=0.8, alpha=0.5)
        a = angle + np.pi  # the counterweight opposite the crank
        canvas.ellipse(
            hx + (radius - 8) * np.cos(a),
            hy + (radius - 8) * np.sin(a),
            6,
            10,
            light(c["iron"], -0.1),
            angle=a,
        )
        canvas.disc(hx, hy, 7.5, c["iron"])
        canvas.disc(hx, hy, 4.5, c["brass"])
        canvas.round(hx, hy, 4.5, 4.5, depth=0.5, shine=0.8)

    def rods(canvas: Canvas, angle: float) -> None:
        px, py = hx + _CRANK * np.cos(angle), hy + _CRANK * np.sin(angle)
        cross = px - np.sqrt(_ROD**2 - (py - hy) ** 2)
        canvas.line(42, hy, cross, hy, 3.0, light(c["steam"], -0.2))
        canvas.line(cross, hy, px, py, 5.6, light(c["iron"], -0.3), taper=0.8)
        canvas.line(cross, hy - 0.8, px, py - 0.8, 2.4, light(c["steam"], -0.05), taper=0.8)
        canvas.box(cross - 5, hy - 5, cross + 5, hy + 5, c["brass"], radius=1.5)
        canvas.disc(px, py, 4.0, c["brass"])
        canvas.round(px, py, 4.0, 4.0, depth=0.5, shine=0.8)

    def puffs(canvas: Canvas, turned: float, speed: float) -> None:
        for back in range(4):
            age = (2.0 * turned % 1.0 + back) / (2.0 * speed)
            r = 4.0 + 10.0 * age
            canvas.disc(
                20.5 + 14 * age**1.4,
                48 - 30 * age,
                r,
                light(c["steam"], 0.7),
                alpha=max(0.0, 0.9 - 0.5 * age),
                soft=0.7 * r,
            )

    def draw(canvas: Canvas, t_s: float) -> None:
        turned = start + float(np.interp(t_s, np.arange(len(turns)) * 0.01, turns))
        angle = 2.0 * np.pi * turned
        puffs(canvas, turned, float(line.level_at(t_s)))
        canvas.ellipse(hx + 4, hy + 5, radius, radius, mix(c["wall"], c["iron"], 0.6), ring=9, alpha=0.3, soft=5)
        wheel(canvas, angle)
        rods(canvas, angle)

    return Scene(_hall(look).pixels, _bed(look).pixels, draw)
