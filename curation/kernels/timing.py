"""Two onset curves of each clip in; offset, strength and percentile of the best fit out.

The fit of a motion curve with a sound curve at a lag is their correlation over the bins of the motion. Strength is the
best fit within +-MAX_OFFSET_S. It is compared with the same of the clip's own sound, shifted in a circle by at least
MIN_SHIFT_S, and of other clips' sounds as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curation.kernels.compiled import compiled
from curation.kernels.draws import hashed

MAX_OFFSET_S = 0.5
MIN_SHIFT_S = 2.0
OTHERS = 40
MIN_OTHERS = 20  # below, other clips' sounds say nothing: only the shifted sound counts
_NO_VALUE, _EQUAL = -2.0, 1e-9


class Curves(NamedTuple):
    """curve: uint8 (n, bins). grid: float32 (n, 3): centre of the first bin, their distance (s), and their number."""

    curve: np.ndarray
    grid: np.ndarray


class Fit(NamedTuple):
    """Each float32 (n,), NaN where there is no value. offset_s: how much later the sound is than the motion.
    strength: correlation, -1..1. percentile: share of the weaker fits, the lower one of shifted and of other sounds."""

    offset_s: np.ndarray
    strength: np.ndarray
    percentile: np.ndarray


def timing(sound: Curves, motion: Curves, usable: np.ndarray, seed: int = 0) -> Fit:
    """Fit of each clip; no value where `usable` (bool (n,)) says no, a curve is flat, or it is shorter than 4 s.

    The other sounds are drawn from the usable clips by a hash of `seed` and the row. Time grows with n.
    """
    n = len(usable)
    length_s = np.minimum(sound.grid[:, 1] * sound.grid[:, 2], motion.grid[:, 1] * motion.grid[:, 2] + 0.25)
    fit = usable & (length_s >= 2 * MIN_SHIFT_S) & sound.curve.any(axis=1) & motion.curve.any(axis=1)
    rows = np.flatnonzero(fit)
    found = np.full((3, n), np.nan, np.float32)
    if rows.size:
        _fit(rows, *sound, *motion, np.uint64(seed), found)
    return Fit(*found)


@compiled()
def _fit(rows, sound, sound_grid, motion, motion_grid, seed, found):  # type: ignore[no-untyped-def]
    heard = np.zeros(2 * sound.shape[1], np.float64)
    fits = np.empty(sound.shape[1])
    at = np.empty(motion.shape[1], np.int64)
    centred = np.empty(motion.shape[1], np.float64)
    for row in rows:
        step_s = np.float64(sound_grid[row, 1])
        width = motion_grid[row, 1] / step_s
        reach = int(np.rint(MAX_OFFSET_S / step_s))
        bins, used = int(sound_grid[row, 2]), int(motion_grid[row, 2])
        for k in range(used):
            at[k] = int(np.floor((motion_grid[row, 0] + k * motion_grid[row, 1]) / step_s))
            centred[k] = motion[row, k]
        centred[:used] -= centred[:used].mean()
        _smooth(sound[row], bins, width, heard)
        for lag in range(bins):
            fits[lag] = _correlation(centred[:used], at, heard, bins, lag)
        best, offset = _best(fits[:bins], 0, reach)
        if best == _NO_VALUE:
            continue
        weaker = shifts = 0.0
        low = int(np.ceil(MIN_SHIFT_S / step_s))
        for shift in range(low, bins - low + 1):
            weaker += _weaker(_best(fits[:bins], shift, reach)[0], best)
            shifts += 1
        share = weaker / shifts
        weaker = others = 0.0
        for k in range(2 * OTHERS):
            other = rows[hashed(seed + np.uint64(k), np.uint64(row)) % np.uint64(len(rows))]
            n = min(bins, int(sound_grid[other, 2]))
            if other == row or sound_grid[other, 1] != sound_grid[row, 1] or n < bins // 2:
                continue
            _smooth(sound[other], n, width, heard)
            for lag in range(-reach, reach + 1):
                fits[lag + reach] = _correlation(centred[:used], at, heard, n, lag % n)
            weaker += _weaker(fits[: 2 * reach + 1].max(), best)
            others += 1
            if others == OTHERS:
                break
        if others >= MIN_OTHERS:
            share = min(share, weaker / others)
        found[0, row], found[1, row], found[2, row] = offset * step_s, best, 100 * share


@compiled()
def _weaker(other, best):  # type: ignore[no-untyped-def]
    """1 where the other fit is weaker, one half where it is equally good."""
    return 1.0 if other < best - _EQUAL else 0.5 if other < best + _EQUAL else 0.0


@compiled()
def _best(fits, centre, reach):  # type: ignore[no-untyped-def]
    """The best of fits around `centre`, in a circle, and its place from there: the middle of equally good ones."""
    best = -3.0
    first = last = 0
    for d in range(-reach, reach + 1):
        value = fits[(centre + d) % len(fits)]
        if value > best + _EQUAL:
            best, first, last = value, d, d
        elif value > best - _EQUAL:
            last = d
    return best, (first + last) / 2


@compiled()
def _smooth(curve, bins, width, out):  # type: ignore[no-untyped-def]
    """Weighted sums of a curve around each bin, in a circle and twice over: a triangle that falls to zero one motion
    bin away."""
    reach = int(np.ceil(width)) - 1
    out[:bins] = 0.0
    for i in range(bins):
        if curve[i] > 0:
            for d in range(-reach, reach + 1):
                out[(i + d) % bins] += (1 - abs(d) / width) * curve[i]
    out[bins : 2 * bins] = out[:bins]


@compiled()
def _correlation(centred, at, heard, bins, lag):  # type: ignore[no-untyped-def]
    """Pearson's correlation over the bins of the motion, the sound taken `lag` bins later; -2 where one is constant."""
    sy = syy = sxy = sxx = 0.0
    for k in range(len(centred)):
        place = at[k] + lag
        y = heard[place if place < 2 * bins else place % bins]
        sy += y
        syy += y * y
        sxy += centred[k] * y
        sxx += centred[k] * centred[k]
    vy = syy - sy * sy / len(centred)
    if sxx <= _EQUAL or vy <= _EQUAL:
        return _NO_VALUE
    return sxy / np.sqrt(sxx * vy)
