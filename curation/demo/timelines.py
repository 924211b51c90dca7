"""When things happen in a clip: the one account that picture and sound of a kind both follow.

In: a generator, the tempo numbers of a clip, its length in seconds. Out: a `Timeline`. Times may lie before 0
or after the end, so that what is half over at the first picture is drawn and heard half over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = dict[str, float]
_LEVEL_RATE = 100.0  # samples a second of slowly changing levels
_LEAD_S = 2.0  # how long before the first picture events begin

FloatArray = NDArray[np.float64]


def _none() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True)
class Timeline:
    """Events of one clip.

    `times_s` (k,) moments of the sounding event (hit, drop, tick, chirp, stroke, change of tone), ascending;
    `strengths` (k,) 0..1; `groups_s` (g,) moments that begin a group of events; `period_s` the base period;
    `level` (m,) a slow quantity at 100 Hz from time 0 (turns a second of a wheel, force of the rain).
    """

    duration_s: float
    times_s: FloatArray
    strengths: FloatArray
    period_s: float
    groups_s: FloatArray = field(default_factory=_none)
    level: FloatArray = field(default_factory=_none)

    def last_event(self, t_s: float) -> int:
        """Index of the latest event at or before `t_s`, -1 if there is none."""
        return int(np.searchsorted(self.times_s, t_s, side="right")) - 1

    def level_at(self, t_s: FloatArray | float) -> FloatArray:
        """The slow level at times in seconds, interpolated linearly."""
        grid = np.arange(len(self.level)) / _LEVEL_RATE
        return np.asarray(np.interp(t_s, grid, self.level))

    def level_integral(self) -> FloatArray:
        """Integral of the level from time 0, at 100 Hz (turns made by the wheel)."""
        return np.concatenate([[0.0], np.cumsum(0.5 * (self.level[1:] + self.level[:-1])) / _LEVEL_RATE])

    def swing(self, t_s: float) -> float:
        """Position -1..1 of a pendulum whose extremes are the events (alternately right and left)."""
        half = 0.5 * self.period_s
        return float(np.cos(np.pi * (t_s - self.times_s[0]) / half))


def regular(rng: np.random.Generator, tempo: Numbers, duration_s: float) -> Timeline:
    """Two events a period, exactly regular: a pendulum's or a bell's extremes, the two tones of a siren."""
    period = tempo["period_s"]
    start = -_LEAD_S - rng.uniform(0.0, period)
    times = np.arange(start, duration_s + period, 0.5 * period)
    strengths = np.where(np.arange(len(times)) % 2 == 0, 1.0, rng.uniform(0.75, 0.95))
    return Timeline(duration_s, times, strengths, period)


def bounces(rng: np.random.Generator, tempo: Numbers, duration_s: float) -> Timeline:
    """Hits of a bouncing ball: each flight is `keep` times as long as the last; then it is thrown again."""
    times, strengths = [rng.uniform(-0.8, -0.1)], [1.0]
    flight = tempo["period_s"] * rng.uniform(0.75, 1.0)
    while times[-1] < duration_s + 0.1:
        times.append(times[-1] + flight)
        strengths.append(flight / tempo["period_s"])
        flight *= tempo["keep"]
        if flight < 0.4 * tempo["period_s"]:
            flight = tempo["period_s"]
    return Timeline(duration_s, np.array(times), np.array(strengths), tempo["period_s"])


def drops(rng: np.random.Generator, tempo: Numbers, duration_s: float) -> Timeline:
    """Nearly regular single events."""
    count = int((duration_s + _LEAD_S) / tempo["period_s"]) + 3
    steps = tempo["period_s"] * (1.0 + tempo["unevenness"] * rng.uniform(-1.0, 1.0, count))
    times = -_LEAD_S - rng.uniform(0.0, tempo["period_s"]) + np.cumsum(steps)
    return Timeline(duration_s, times, rng.uniform(0.6, 1.0, count), tempo["period_s"])


def phrases(rng: np.random.Generator, tempo: Numbers, duration_s: float) -> Timeline:
    """Groups of quick events with pauses between them: a bird's song, one hop to a phrase."""
    groups: list[float] = []
    times: list[float] = []
    at = rng.uniform(-0.6, 0.1)
    while at < duration_s:
        groups.append(at)
        count = int(rng.integers(2, 5))
        times.extend(at + 0.06 + tempo["note_s"] * np.arange(count))
        at = times[-1] + tempo["note_s"] + tempo["pause_s"] * rng.uniform(0.7, 1.3)
    return Timeline(
        duration_s,
        np.array(times),
        rng.uniform(0.7, 1.0, len(times)),
        tempo["note_s"],
        groups_s=np.array(groups),
    )


def flow(rng: np.random.Generator, tempo: Numbers, duration_s: float) -> Timeline:
    """No events, a level that drifts around `level` by up to the share `sway`, with the given period."""
    t = np.arange(0.0, duration_s + 0.5, 1.0 / _LEVEL_RATE)
    phase = rng.uniform(0.0, 2.0 * np.pi, 2)
    wave = 0.7 * np.sin(2.0 * np.pi * t / tempo["period_s"] + phase[0])
    wave += 0.3 * np.sin(2.0 * np.pi * t * 2.3 / tempo["period_s"] + phase[1])
    level = tempo["level"] * (1.0 + tempo["sway"] * wave)
    return Timeline(duration_s, np.zeros(0), np.zeros(0), tempo["period_s"], level=level)
