"""A bell against the evening sky: struck at the events, the extremes of its swing; rings show it."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("sky", "low", "sun", "hill", "wood", "metal")
NUMBERS = {"swing": (0.15, 0.8), "size": (0.6, 1.3)}
_X, _PIVOT_Y = 96.0, 20.0
# half width of the bell at distances below its pivot: crown, shoulder, waist, lip
_PROFILE = np.array(
    [(3, 2), (8, 5), (12, 8), (14.5, 13), (16, 22), (17.5, 32), (20, 42), (24, 50), (29, 56), (31, 60)], float
)


def _sky(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(c["sky"], c["low"], (96, -10), (96, 122)))
    sun = rng.uniform(36, 156), rng.uniform(84, 102)
    far.glow(*sun, 96, 66, c["sun"], 0.24)
    far.glow(*sun, 34, 30, c["sun"], 0.3)
    far.disc(
        *sun,
        13,
        Gradient(light(c["sun"], 0.75), light(c["sun"], 0.3), (sun[0], sun[1] - 12), (sun[0], sun[1] + 12)),
    )
    for _ in range(9):
        x, y = rng.uniform(-10, 200), rng.uniform(8, 88)
        tint = mix(light(c["low"], 0.35), c["sun"], rng.uniform(0.0, 0.4))
        for k in range(3):
            far.ellipse(
                x + 12 * k + rng.uniform(-4, 4),
                y + rng.uniform(-2, 2),
                rng.uniform(12, 24),
                rng.uniform(1.6, 4),
                tint,
                alpha=0.4,
                soft=4,
            )
    for depth, base in ((0.35, 104.0), (0.7, 114.0), (1.0, 126.0)):
        across = np.linspace(-14, 206, 56)
        phase = rng.uniform(0.0, 6.28, 3)
        ridge = 5 * np.sin(across / 31 + phase[0]) + 3 * np.sin(across / 13 + phase[1])
        ridge += base + np.sin(across / 5 + phase[2])
        outline = np.concatenate([np.stack([across, ridge], 1), [(206, 166), (-14, 166)]])
        far.polygon(
            outline,
            Gradient(
                mix(c["low"], c["hill"], depth),
                light(mix(c["low"], c["hill"], depth), -0.25),
                (0, base),
                (0, 150),
            ),
        )
    return far


def _frame(look: Look) -> Canvas:
    c = look.colours
    near = look.layer(4)
    for x in (14.0, 166.0):
        near.box(
            x,
            6,
            x + 12,
            170,
            Gradient(light(c["wood"], 0.22), light(c["wood"], -0.5), (x, 60), (x + 12, 60)),
            radius=1,
        )
    for x, y, tip in ((26, 46, 56), (166, 46, 136)):
        near.line(x, y, tip, 18, 5, light(c["wood"], -0.3))
    near.box(
        -20,
        6,
        212,
        18,
        Gradient(light(c["wood"], 0.28), light(c["wood"], -0.45), (96, 6), (96, 18)),
        radius=1,
    )
    near.box(-20, 0, 212, 6, Gradient(light(c["wood"], 0.05), light(c["wood"], -0.35), (96, 0), (96, 6)))
    return near


def build(look: Look) -> Scene:
    c, line = look.colours, look.line
    reach, size = look.numbers["swing"], look.numbers["size"]
    outline = size * np.concatenate([_PROFILE, _PROFILE[::-1] * (-1.0, 1.0)])
    lip_y, lip_w = size * _PROFILE[-1, 1], size * _PROFILE[-1, 0]

    def turned(points: np.ndarray, angle: float) -> list[tuple[float, float]]:
        sin, cos = np.sin(angle), np.cos(angle)
        placed = points @ np.array([[cos, sin], [-sin, cos]]) + (_X, _PIVOT_Y)
        return [(float(x), float(y)) for x, y in placed]

    def strokes(canvas: Canvas, t_s: float, centre: tuple[float, float]) -> None:
        k = line.last_event(t_s)
        for i in range(max(0, k - 1), k + 1):
            age = t_s - line.times_s[i]
            if age < 0.6:
                r = size * 30 + 95 * age
                canvas.ellipse(
                    *centre,
                    r,
                    r,
                    light(c["sun"], 0.6),
                    alpha=0.5 * line.strengths[i] * (1 - age / 0.6) ** 1.5,
                    ring=2.2,
                    soft=1.6,
                )

    def draw(canvas: Canvas, t_s: float) -> None:
        angle = reach * line.swing(t_s)
        ends = turned(np.array([(-lip_w, 0.5 * lip_y), (lip_w, 0.5 * lip_y), (0.0, 0.7 * lip_y), (0.0, lip_y)]), angle)
        strokes(canvas, t_s, ends[2])
        clapper = turned(np.array([(0.0, lip_y + 3 * size)]), 1.25 * angle)[0]
        canvas.disc(*clapper, 5.2 * size, light(c["metal"], -0.55))
        canvas.round(*clapper, 5.2 * size, 5.2 * size, depth=0.5, shine=0.5)
        body = Gradient(light(c["metal"], 0.3), light(c["metal"], -0.5), ends[0], ends[1])
        canvas.polygon(turned(outline, angle), body)
        gleam = turned(size * np.array([(-9, 12), (-6, 12), (-9, 36), (-17, 52), (-21, 52), (-13, 36)], float), angle)
        canvas.polygon(gleam, light(c["metal"], 0.85), alpha=0.5)
        for y, wide in ((45.0, 21.4), (49.0, 23.6)):
            band = turned(size * np.array([(-wide, y), (wide, y)]), angle)
            canvas.line(*band[0], *band[1], 0.9 * size, light(c["metal"], -0.6), alpha=0.6)
        canvas.ellipse(*ends[3], lip_w, 4.6 * size, light(c["metal"], -0.25), angle=angle)
        canvas.ellipse(*ends[3], 0.88 * lip_w, 3.1 * size, light(c["metal"], -0.75), angle=angle)
        canvas.disc(_X, _PIVOT_Y, 4.5, light(c["wood"], -0.5))
        canvas.disc(_X, _PIVOT_Y - 0.6, 2.6, c["metal"])

    return Scene(_sky(look).pixels, _frame(look).pixels, draw)
