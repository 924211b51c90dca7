"""A bird on a branch: it hops when a phrase begins, its beak opens at every note."""

from __future__ import annotations

import numpy as np

from curation.demo.canvas import Canvas, Gradient, light, mix
from curation.demo.stage import Look, Scene

COLOURS = ("leaf", "sun", "bark", "back", "belly", "beak")
NUMBERS = {"size": (0.5, 1.6), "hop": (4.0, 30.0)}
_HOP_S = 0.26


def _garden(look: Look) -> Canvas:
    c, rng = look.colours, look.rng
    far = look.layer(3)
    far.fill(Gradient(mix(c["leaf"], c["sun"], 0.75), light(c["leaf"], -0.3), (60, -10), (130, 150)))
    for _ in range(34):
        tint = mix(light(c["leaf"], rng.uniform(-0.35, 0.2)), c["sun"], rng.uniform(0.0, 0.5))
        r = rng.uniform(8, 24)
        far.disc(rng.uniform(-10, 202), rng.uniform(-10, 154), r, tint, alpha=0.4, soft=0.9 * r)
    for _ in range(12):
        r = rng.uniform(3, 9)
        far.disc(rng.uniform(0, 192), rng.uniform(0, 110), r, light(c["sun"], 0.55), alpha=0.3, soft=2)
    return far


def _branch(look: Look, y: float, tilt: float) -> Canvas:
    c, rng = look.colours, look.rng
    near = look.layer(4)
    ends = (-20.0, y - tilt, 214.0, y + tilt)
    near.line(ends[0], ends[1] + 2.6, ends[2], ends[3] + 2.6, 11, light(c["bark"], -0.5), taper=0.55)
    near.line(*ends, 10, c["bark"], taper=0.5)
    near.line(ends[0], ends[1] - 2.2, ends[2], ends[3] - 1.2, 2.6, light(c["bark"], 0.3), alpha=0.7, taper=0.5)
    for x in rng.uniform(-4, 60, 5).tolist() + rng.uniform(132, 200, 6).tolist():
        angle = rng.uniform(-2.4, -0.7) if rng.random() < 0.6 else rng.uniform(0.7, 2.4)
        root = y + tilt * (x - 97) / 117
        long = rng.uniform(9, 15)
        lx, ly = x + long * np.cos(angle), root + long * np.sin(angle)
        tint = mix(c["leaf"], c["sun"], rng.uniform(0.0, 0.35))
        near.line(x, root, lx, ly, 1.2, c["bark"])
        near.ellipse(
            lx,
            ly,
            long * 0.75,
            long * 0.34,
            Gradient(light(tint, 0.25), light(tint, -0.45), (lx, ly - 5), (lx, ly + 5)),
            angle=angle,
        )
        near.line(
            x,
            root,
            lx + 0.6 * long * np.cos(angle),
            ly + 0.6 * long * np.sin(angle),
            0.5,
            light(tint, 0.4),
            alpha=0.6,
        )
    return near


def _bird(canvas: Canvas, look: Look, x: float, y: float, face: float, gape: float, lift: float) -> None:
    """The bird, feet at (x, y), facing `face` (1 or -1); `gape` 0..1 opens the beak, `lift` the wing."""
    c, s = look.colours, look.numbers["size"]
    f = face * s
    for leg in (-3.0, 3.5):
        canvas.line(
            x + leg * s,
            y - 8 * s,
            x + (leg + 1.5 * face) * s,
            y - (2.0 * lift) * s,
            1.2 * s,
            light(c["beak"], -0.35),
        )
    canvas.polygon(
        np.array(
            [
                (x - 14 * f, y - 20 * s),
                (x - 40 * f, y - 8 * s),
                (x - 37 * f, y - 3 * s),
                (x - 9 * f, y - 10 * s),
            ]
        ),
        light(c["back"], -0.35),
    )
    canvas.ellipse(x - 2 * f, y - 17 * s, 19 * s, 13 * s, c["back"], angle=-0.42 * face)
    canvas.ellipse(x + 5 * f, y - 13 * s, 12 * s, 9.5 * s, c["belly"], angle=-0.5 * face, soft=3)
    canvas.round(x - 1 * f, y - 17 * s, 19 * s, 15 * s, depth=0.5, shine=0.12)
    hx, hy = x + 13 * f, y - 30 * s - 1.5 * gape * s
    open_y = 3.4 * gape * s
    tip = hx + 18 * f
    canvas.polygon(
        np.array([(hx + 7 * f, hy - 3.4 * s), (tip, hy + 0.4 * s - open_y), (hx + 7 * f, hy + 1.2 * s)]),
        c["beak"],
    )
    canvas.polygon(
        np.array([(hx + 7 * f, hy + 0.2 * s), (tip - 2 * f, hy + 0.8 * s + open_y), (hx + 6 * f, hy + 3.8 * s)]),
        light(c["beak"], -0.3),
    )
    canvas.disc(hx, hy, 10.5 * s, c["back"])
    canvas.ellipse(hx + 3.6 * f, hy + 4.2 * s, 6.4 * s, 4.8 * s, c["belly"], soft=2)
    canvas.round(hx, hy, 10.5 * s, 10.5 * s, depth=0.42, shine=0.15)
    canvas.disc(hx + 4 * f, hy - 1.6 * s, 2.1 * s, light(c["bark"], -0.85))
    canvas.disc(hx + 4.6 * f, hy - 2.4 * s, 0.75 * s, light(c["belly"], 0.9))
    wing = light(c["back"], -0.28)
    wy = y - (19 + 7 * lift) * s
    canvas.ellipse(x - 6 * f, wy, 15 * s, 7.2 * s, wing, angle=(-0.35 + 0.7 * lift) * face)
    canvas.ellipse(
        x - 8 * f,
        wy - 0.5 * s,
        10 * s,
        3.2 * s,
        light(c["back"], 0.22),
        angle=(-0.35 + 0.7 * lift) * face,
        soft=2,
    )


def build(look: Look) -> Scene:
    line, rng = look.line, look.rng
    y, tilt = rng.uniform(106, 116), rng.uniform(-7, 7)
    spots = rng.uniform(66, 128, len(line.groups_s) + 1)
    note_s = 0.85 * line.period_s

    def draw(canvas: Canvas, t_s: float) -> None:
        group = int(np.searchsorted(line.groups_s, t_s, side="right"))
        x, up = float(spots[group]), 0.0
        start = float(spots[max(group - 1, 0)])
        face = 1.0 if x >= start else -1.0
        if group:
            u = (t_s - line.groups_s[group - 1]) / _HOP_S
            if u < 1.0:
                x = start + (x - start) * u
                up = 4.0 * u * (1.0 - u)
        k = line.last_event(t_s)
        age = t_s - line.times_s[k] if k >= 0 else 9.0
        gape = float(np.sin(np.pi * age / note_s)) if age < note_s else 0.0
        foot = y - 4 + tilt * (x - 97) / 117
        canvas.ellipse(x, foot + 3, 15, 2.2, light(look.colours["bark"], -0.7), alpha=0.4 * (1 - 0.7 * up), soft=3)
        _bird(canvas, look, x, foot - look.numbers["hop"] * up, face, max(gape, 0.0), up)

    return Scene(_garden(look).pixels, _branch(look, y, tilt).pixels, draw)
