"""A ball bounces on a wooden floor: its hits are the events, its height follows from the flights."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("wall", "wall_low", "floor", "ball", "band", "accent")
NUMBERS = {"radius": (6.0, 30.0), "peak": (20.0, 90.0)}
_FLOOR_Y, _GROUND_Y = 98.0, 124.0  # where wall meets floor, where the ball lands


def _wall(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(c["wall"], c["wall_low"], (20, -10), (150, 120)))
    x = rng.uniform(10, 60)
    for shift in (0.0, 34.0):  # the light of a window with two panes
        corners = np.array([(x + shift, -12), (x + shift + 28, -12), (x + shift + 62, 100), (x + shift + 34, 100)])
        far.polygon(corners, light(c["wall"], 0.7), alpha=0.28)
    px, py = rng.uniform(112, 140), rng.uniform(18, 28)
    far.box(px + 1.5, py + 2.5, px + 37.5, py + 44.5, light(c["wall_low"], -0.6), alpha=0.35, soft=5)
    far.box(px, py, px + 36, py + 42, light(c["floor"], -0.35), radius=1)
    far.box(px + 3, py + 3, px + 33, py + 39, light(c["wall"], 0.6))
    far.disc(px + 18, py + 17, 8, c["accent"])
    far.box(px + 9, py + 28, px + 27, py + 36, mix(c["band"], c["accent"], 0.4), radius=4)
    return far


def _floor(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    near = look.layer(4)
    near.box(
        -20,
        _FLOOR_Y,
        212,
        170,
        Gradient(light(c["floor"], -0.18), light(c["floor"], 0.16), (96, 98), (96, 150)),
    )
    edge = np.sort(rng.uniform(-140, 330, 26))
    for x in edge:  # boards run towards a vanishing point behind the wall
        near.line(96 + (x - 96) * 0.42, _FLOOR_Y, x, 160, 0.5, light(c["floor"], -0.5), alpha=0.5, taper=2.0)
    near.box(
        -20,
        _FLOOR_Y - 6,
        212,
        _FLOOR_Y,
        Gradient(light(c["wall"], 0.75), light(c["wall"], 0.3), (0, 92), (0, 98)),
    )
    near.box(-20, _FLOOR_Y, 212, _FLOOR_Y + 5, light(c["floor"], -0.7), alpha=0.3, soft=4)
    x = rng.uniform(6, 22)
    for angle in rng.uniform(-2.6, -0.5, 9):  # a plant in the corner
        tip_x, tip_y = x + 26 * np.cos(angle), 74 + 34 * np.sin(angle)
        near.ellipse((x + tip_x) / 2, (74 + tip_y) / 2, 17, 4, light(c["accent"], rng.uniform(-0.4, 0.1)), angle=angle)
    near.polygon(
        np.array([(x - 11, 72), (x + 11, 72), (x + 8, 100), (x - 8, 100)]),
        Gradient(light(c["band"], 0.2), light(c["band"], -0.4), (x - 10, 80), (x + 10, 80)),
    )
    return near


def build(look: Look) -> Scene:
    c, line, rng = look.colours, look.line, look.rng
    radius, peak = look.numbers["radius"], look.numbers["peak"]
    middle, reach, period = rng.uniform(80, 112), rng.uniform(10, 34), rng.uniform(3.5, 6.0)
    phase, turn = rng.uniform(0.0, 6.28), rng.uniform(1.5, 3.5) * rng.choice([-1.0, 1.0])

    def draw(canvas: Canvas, t_s: float) -> None:
        k = min(max(line.last_event(t_s), 0), len(line.times_s) - 2)
        flight = line.times_s[k + 1] - line.times_s[k]
        u = min(max((t_s - line.times_s[k]) / flight, 0.0), 1.0)
        up = peak * (flight / line.period_s) ** 2 * 4.0 * u * (1.0 - u)
        touch = min(t_s - line.times_s[k], line.times_s[k + 1] - t_s)
        squash = 0.17 * float(np.exp(-((touch / 0.05) ** 2)))
        rx, ry = radius * (1.0 + 0.7 * squash), radius * (1.0 - squash)
        x, y = middle + reach * float(np.sin(2.0 * np.pi * t_s / period + phase)), _GROUND_Y - ry - up
        near = 1.0 / (1.0 + up / 30.0)
        spread = radius * (1.5 - 0.5 * near)
        canvas.ellipse(
            x + 3 + 0.2 * up,
            _GROUND_Y,
            spread,
            0.24 * spread,
            light(c["floor"], -0.85),
            alpha=0.2 + 0.45 * near,
            soft=3 + 8 * (1 - near),
        )
        canvas.ellipse(x, y, rx, ry, c["ball"])
        spin = turn * t_s + phase
        canvas.ellipse(x, y, rx * 0.99, ry * 0.34, c["band"], angle=spin)
        canvas.ellipse(x, y, rx * 0.99, ry * 0.12, mix(c["ball"], c["accent"], 0.5), angle=spin)
        canvas.round(x, y, rx, ry, depth=0.62, shine=0.55)

    return Scene(_wall(look).pixels, _floor(look).pixels, draw)
