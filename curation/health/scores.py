"""Two logistic scores over the numbers of `sound_character`: like speech, like music. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """score = 1 / (1 + exp(-(bias + sum of weight * number)))."""

    bias: float
    weights: Mapping[str, float]


def score(model: Score, values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """float32 (n,), 0..1, of values (n, len(names))."""
    weights = np.array([model.weights.get(name, 0.0) for name in names])
    return (1.0 / (1.0 + np.exp(-np.clip(model.bias + values @ weights, -60, 60)))).astype(np.float32)


# Fitted by `python -m benchmarks.health_scores ../shared/data --fit`: logistic regression on spoken digits of two
# speakers (alone and in sequences), half of the recordings of esc-av, and made music; the other half is reported there.
SPEECH = Score(
    -4.5013,
    {
        "harmonicity": 1.7292,
        "harmonicity_spread": 6.2845,
        "voiced_share": 1.0056,
        "pitch_distance": -1.9884,
        "pitch_spread": -1.0769,
        "pitch_glide": -12.0956,
        "centroid": 0.9653,
        "centroid_spread": -0.4872,
        "flatness": 0.4533,
        "flatness_spread": -0.1481,
        "band_1": 0.0852,
        "band_2": 0.2099,
        "band_3": -0.1428,
        "band_4": 0.0321,
        "band_1_spread": -0.1963,
        "band_2_spread": 0.1495,
        "band_3_spread": 0.379,
        "band_4_spread": 0.0737,
        "flux": 2.3852,
        "level_spread": 0.0667,
        "swell": 3.5684,
        "held": -2.7979,
    },
)
MUSIC = Score(
    -0.5033,
    {
        "harmonicity": -0.632,
        "harmonicity_spread": 4.0525,
        "voiced_share": 0.3656,
        "pitch_distance": -0.91,
        "pitch_spread": 1.5766,
        "pitch_glide": -2.7772,
        "centroid": 0.2533,
        "centroid_spread": 1.2445,
        "flatness": -0.1714,
        "flatness_spread": 0.2856,
        "band_1": 0.0379,
        "band_2": 0.1109,
        "band_3": 0.0791,
        "band_4": 0.0093,
        "band_1_spread": 0.0692,
        "band_2_spread": 0.1155,
        "band_3_spread": 0.0486,
        "band_4_spread": 0.0884,
        "flux": -9.7932,
        "level_spread": -0.2518,
        "swell": -0.677,
        "held": 3.2672,
        "pulse": 3.6283,
    },
)
