"""Which streams a clip has and whether they are equally long."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from curation.config import HealthConfig
from curation.extractors.picture_motion import MOTION_NAMES
from curation.extractors.sound_level import LEVEL_NAMES
from curation.health.base import Check, Column, Inputs, named


class StreamsCheck(Check):
    """A missing stream; sound and picture of different length."""

    name: ClassVar[str] = "streams"
    needs: ClassVar[tuple[str, ...]] = ("sound-health", "picture-health")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "sound_s",
            "s",
            "How long the clip's sound lasts, from the clip's start.",
            "at most 0.02 s on 5 planted lengths",
        ),
        Column("picture_s", "s", "How long the clip's picture lasts.", "at most 0.08 s on 5 planted lengths"),
        Column(
            "missing_stream",
            "",
            "The clip has no sound, or no picture, that can be decoded.",
            "found in 1 of 8 made clips, where it was planted",
            True,
        ),
        Column(
            "length_gap_s",
            "s",
            "How long one stream is there without the other, at the clip's start or end (a late sound is not seen).",
            "at most 0.10 s on 5 planted lengths",
        ),
        Column(
            "length_mismatch",
            "",
            "That gap is at least the threshold.",
            "see length_gap_s",
            True,
            "health.length_gap_s",
        ),
    )

    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """See `Check.measure`."""
        has_sound, has_picture = inputs.valid("sound-health"), inputs.valid("picture-health")
        sound = named(inputs.values("sound-health", "level"), LEVEL_NAMES, has_sound)
        picture = named(inputs.values("picture-health", "motion"), MOTION_NAMES, has_picture)
        begin_s, end_s = picture["picture_start_s"], picture["picture_end_s"]
        gap_s = np.maximum(begin_s, np.abs(end_s - sound["sound_s"]))
        return {
            "sound_s": sound["sound_s"],
            "picture_s": end_s - begin_s,
            "missing_stream": ~(has_sound & has_picture),
            "length_gap_s": gap_s,
            "length_mismatch": gap_s >= settings.length_gap_s,
        }
