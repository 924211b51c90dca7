"""The forms an event can take: which timeline, picture and sound belong together, and which numbers each one
reads.

A kind of the recipe names one form and gives its palettes and ranges. `Form` says which colours and numbers
must be there and within which limits, so that a recipe is checked before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curation.demo import sounds, timelines
from curation.demo.scenes import ball, bell, bird, clock, drip, engine, rain, siren
from curation.demo.stage import Look, Scene
from curation.demo.timelines import Numbers, Timeline

Limits = dict[str, tuple[float, float]]

LOOK_LIMITS: Limits = {"drift": (0.0, 9.0), "vignette": (0.0, 0.9), "exposure": (0.5, 1.5)}
SOUND_LIMITS: Limits = {"noise_db": (-90.0, -20.0), "peak": (0.05, 0.95)}


@dataclass(frozen=True)
class Form:
    """One way to make an event be seen and heard; the limits are inclusive."""

    timeline: Callable[[np.random.Generator, Numbers, float], Timeline]
    build: Callable[[Look], Scene]
    sound: Callable[[Timeline, Numbers, np.random.Generator, int], sounds.Samples]
    colours: tuple[str, ...]
    tempo: Limits
    picture: Limits
    voice: Limits


_SWING: Limits = {"period_s": (0.4, 4.0)}

FORMS: dict[str, Form] = {
    "ball": Form(
        timelines.bounces,
        ball.build,
        sounds.knock,
        ball.COLOURS,
        {"period_s": (0.4, 2.0), "keep": (0.5, 0.95)},
        ball.NUMBERS,
        {"pitch_hz": (40.0, 500.0), "decay_s": (0.005, 0.3)},
    ),
    "siren": Form(
        timelines.regular,
        siren.build,
        sounds.siren,
        siren.COLOURS,
        _SWING,
        siren.NUMBERS,
        {"pitch_hz": (200.0, 1500.0), "interval": (1.05, 2.0), "glide": (0.01, 1.0)},
    ),
    "drip": Form(
        timelines.drops,
        drip.build,
        sounds.plip,
        drip.COLOURS,
        {"period_s": (0.4, 3.0), "unevenness": (0.0, 0.5)},
        drip.NUMBERS,
        {"pitch_hz": (300.0, 3000.0), "rise": (0.0, 1.5), "decay_s": (0.005, 0.3)},
    ),
    "clock": Form(
        timelines.regular,
        clock.build,
        sounds.tick,
        clock.COLOURS,
        _SWING,
        clock.NUMBERS,
        {"pitch_hz": (800.0, 3200.0), "tock": (0.5, 1.0), "decay_s": (0.002, 0.05)},
    ),
    "rain": Form(
        timelines.flow,
        rain.build,
        sounds.rain,
        rain.COLOURS,
        {"period_s": (1.0, 20.0), "level": (0.2, 1.5), "sway": (0.0, 0.9)},
        rain.NUMBERS,
        {"tilt": (-1.5, 1.5), "drops_per_s": (0.0, 200.0)},
    ),
    "bird": Form(
        timelines.phrases,
        bird.build,
        sounds.song,
        bird.COLOURS,
        {"note_s": (0.05, 0.4), "pause_s": (0.1, 2.0)},
        bird.NUMBERS,
        {"pitch_hz": (1500.0, 5500.0), "sweep": (0.0, 0.6)},
    ),
    "engine": Form(
        timelines.flow,
        engine.build,
        sounds.buzz,
        engine.COLOURS,
        {"period_s": (1.0, 20.0), "level": (0.3, 2.0), "sway": (0.0, 0.6)},
        engine.NUMBERS,
        {"hz_per_turn": (20.0, 120.0), "darkness": (0.2, 2.0), "beat": (0.0, 1.0)},
    ),
    "bell": Form(
        timelines.regular,
        bell.build,
        sounds.bell,
        bell.COLOURS,
        _SWING,
        bell.NUMBERS,
        {"pitch_hz": (200.0, 1500.0), "decay_s": (0.1, 5.0)},
    ),
}
