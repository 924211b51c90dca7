"""Does the sound come when something happens in the picture, and how late is it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from curation.config import HealthConfig
from curation.health.base import Check, Column, Inputs
from curation.kernels.timing import Curves, Fit, timing


class TimingCheck(Check):
    """Onsets of sound against onsets of motion. Ambience has no clear event, which is no fault."""

    name: ClassVar[str] = "timing"
    needs: ClassVar[tuple[str, ...]] = ("sound-onsets", "picture-onsets")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "onset_strength",
            "-1..1",
            "Correlation of sound onsets with motion onsets at the offset, within 0.5 s, that fits best; none for "
            "clips shorter than 4 s.",
            "see onset_percentile",
        ),
        Column(
            "onset_percentile",
            "percent",
            "How many fits are weaker: of the same sound shifted by 2 s or more, and of 40 other clips' sounds; the "
            "lower one of the two.",
            "on 120 made clips: 0.99 of those with impacts at least 95, 0.03 of those with steady noise; AUC of the "
            "strength against shifted sound 0.996",
        ),
        Column(
            "clear_event",
            "",
            "onset_percentile is at least health.clear_event_percentile; other clips have no clear event, which is no "
            "fault.",
            "see onset_percentile",
        ),
        Column(
            "onset_offset_s",
            "s",
            "How much later the sound is than the motion, of clips with a clear event.",
            "median 0.05 s, 90 % within 0.22 s, on 90 made impacts (8 frames a second are seen); rough on real videos",
        ),
        Column(
            "sound_off_time",
            "",
            "A clear event whose onset_offset_s is at least the threshold, early or late.",
            "see onset_offset_s",
            True,
            "health.late_sound_s",
        ),
    )

    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """See `Check.measure`."""
        fit = _fit(inputs, "picture-onsets")
        clear = fit.percentile >= settings.clear_event_percentile
        return {
            "onset_strength": fit.strength,
            "onset_percentile": fit.percentile,
            "clear_event": clear,
            "onset_offset_s": np.where(clear, fit.offset_s, np.nan).astype(np.float32),
            "sound_off_time": clear & (np.abs(fit.offset_s) >= settings.late_sound_s),
        }


class FineTimingCheck(Check):
    """The same from 25 frames a second, where `picture-onsets-fine` is measured."""

    name: ClassVar[str] = "timing to a frame"
    needs: ClassVar[tuple[str, ...]] = ("sound-onsets", "picture-onsets-fine")
    is_optional = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "fine_percentile",
            "percent",
            "onset_percentile from 25 frames a second.",
            "0.98 of 90 made impacts at least 95, 0.07 of steady noise",
        ),
        Column(
            "fine_offset_s",
            "s",
            "onset_offset_s from 25 frames a second, where fine_percentile is at least health.clear_event_percentile.",
            "median 0.02 s, 90 % within 0.04 s, on 90 made impacts; rough on real videos",
        ),
    )

    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """See `Check.measure`."""
        fit = _fit(inputs, "picture-onsets-fine")
        clear = fit.percentile >= settings.clear_event_percentile
        return {
            "fine_percentile": fit.percentile,
            "fine_offset_s": np.where(clear, fit.offset_s, np.nan).astype(np.float32),
        }


def _fit(inputs: Inputs, picture: str) -> Fit:
    sound, motion = (
        Curves(inputs.values(name, "curve"), inputs.values(name, "grid")) for name in ("sound-onsets", picture)
    )
    return timing(sound, motion, inputs.valid("sound-onsets") & inputs.valid(picture))
