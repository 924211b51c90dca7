"""A pendulum clock: the bob turns back at each event, where the clock ticks and the second hand steps."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("wall", "wood", "dial", "ink", "brass")
NUMBERS = {"swing": (0.1, 0.5), "bob": (5.0, 14.0)}
_X, _DIAL_Y, _DIAL_R, _PIVOT_Y, _ROD = 96.0, 40.0, 26.0, 66.0, 54.0


def _room(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(light(c["wall"], 0.1), light(c["wall"], -0.35), (60, -10), (140, 150)))
    step = rng.uniform(10, 15)
    for x in np.arange(-12 + rng.uniform(0, step), 206, step):
        far.box(x, -14, x + 0.42 * step, 160, light(c["wall"], -0.3), alpha=0.4)
        far.line(x - 0.26 * step, -14, x - 0.26 * step, 160, 0.6, c["brass"], alpha=0.22)
    lamp = rng.choice([14.0, 178.0])
    far.glow(lamp, 30, 84, 96, light(c["brass"], 0.35), 0.55)
    return far


def _case(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    near = look.layer(4)
    wood = Gradient(light(c["wood"], 0.16), light(c["wood"], -0.4), (52, 20), (142, 120))
    near.box(56, 2, 146, 160, light(c["wood"], -0.85), radius=6, alpha=0.45, soft=12)
    near.polygon(np.array([(50, 6), (96, -12), (142, 6), (142, 11), (50, 11)]), light(c["wood"], -0.15))
    near.box(52, 8, 140, 160, wood, radius=3)
    for gx in rng.uniform(54, 138, 22):  # grain
        near.line(gx, 12, gx + rng.uniform(-2, 2), 150, 0.5, light(c["wood"], -0.5), alpha=rng.uniform(0.1, 0.4))
    near.disc(
        _X,
        _DIAL_Y,
        _DIAL_R + 3.5,
        Gradient(light(c["brass"], 0.45), light(c["brass"], -0.5), (72, 14), (122, 66)),
    )
    near.disc(_X, _DIAL_Y, _DIAL_R, Gradient(light(c["dial"], 0.3), light(c["dial"], -0.12), (80, 20), (112, 62)))
    for hour in range(12):
        angle = hour * np.pi / 6
        sx, sy, far_r = np.sin(angle), -np.cos(angle), _DIAL_R - 2.2
        near_r = far_r - (5.0 if hour % 3 == 0 else 3.0)
        near.line(
            _X + near_r * sx,
            _DIAL_Y + near_r * sy,
            _X + far_r * sx,
            _DIAL_Y + far_r * sy,
            1.9 if hour % 3 == 0 else 1.1,
            c["ink"],
        )
    hour_hand, minute_hand = rng.uniform(0, 2 * np.pi, 2)
    for angle, long, wide in ((hour_hand, 12.5, 2.4), (minute_hand, 19.5, 1.6)):
        near.line(_X, _DIAL_Y, _X + long * np.sin(angle), _DIAL_Y - long * np.cos(angle), wide, c["ink"], taper=0.5)
    near.box(62, 73, 130, 160, light(c["wood"], -0.35), radius=5)
    near.box(
        65,
        76,
        127,
        160,
        Gradient(light(c["wood"], -0.86), light(c["wood"], -0.62), (96, 74), (96, 150)),
        radius=4,
    )
    return near


def build(look: Look) -> Scene:
    c, line = look.colours, look.line
    reach, bob = look.numbers["swing"], look.numbers["bob"]
    rod = light(c["brass"], 0.2)
    glint = mix(c["dial"], c["wall"], 0.2)

    def draw(canvas: Canvas, t_s: float) -> None:
        angle = reach * line.swing(t_s)
        sin, cos = float(np.sin(angle)), float(np.cos(angle))
        top = (_X + 12 * sin, _PIVOT_Y + 12 * cos)
        x, y = _X + _ROD * sin, _PIVOT_Y + _ROD * cos
        canvas.disc(x + 4, y + 3, bob, light(c["wood"], -0.95), alpha=0.5, soft=5)
        canvas.line(*top, x, y, 1.8, rod)
        canvas.disc(x, y, bob, c["brass"])
        canvas.ellipse(x, y, bob * 0.72, bob * 0.72, light(c["brass"], -0.4), ring=0.8)
        canvas.round(x, y, bob, bob, depth=0.6, shine=0.9)
        canvas.polygon(np.array([(72, 76), (86, 76), (70, 156), (65, 156), (65, 100)]), glint, alpha=0.07)
        second = max(line.last_event(t_s), 0) * np.pi / 30
        canvas.line(_X, _DIAL_Y, _X + 21 * np.sin(second), _DIAL_Y - 21 * np.cos(second), 0.8, c["wood"])
        canvas.disc(_X, _DIAL_Y, 2.0, c["brass"])

    return Scene(_room(look).pixels, _case(look).pixels, draw)
