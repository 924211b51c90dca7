"""Black, static pictures and slide shows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from curation.config import HealthConfig
from curation.extractors.picture_motion import MOTION_NAMES
from curation.health.base import Check, Column, Inputs, named


class PictureCheck(Check):
    """What is wrong with a clip's picture."""

    name: ClassVar[str] = "picture"
    needs: ClassVar[tuple[str, ...]] = ("picture-health",)
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "black_share",
            "share",
            "Share of time in which 98 % of the pixels are darker than a tenth of full luma.",
            "0.00 on 4 made clips, half of them black (H.264, VP8)",
        ),
        Column("black", "", "black_share is at least the threshold.", "see black_share", True, "health.black_share"),
        Column(
            "still_share",
            "share",
            "Share of time (8 frames a second) in which no part of the picture changes by 3 of 255 grey levels.",
            "0.00 on 4 made still pictures, at most 0.02 with sensor noise of 4 grey levels",
        ),
        Column(
            "static",
            "",
            "still_share is at least the threshold, and it is no slide show.",
            "8 made still clips: 7 found, the noisiest at 160x120 taken for a slide show; of 8 with motion none taken",
            True,
            "health.static_share",
        ),
        Column(
            "step_share",
            "share",
            "Share of the picture's changes that are steps: stillness before and after.",
            "see slide_show",
        ),
        Column(
            "slide_show",
            "",
            "The picture stands still for at least the threshold, and at least four in five changes are steps.",
            "4 of 4 made slide shows found; cross-fades are not (0 of 4); of 8 with motion none taken",
            True,
            "health.slide_share",
        ),
    )

    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """See `Check.measure`."""
        valid = inputs.valid("picture-health")
        found = named(inputs.values("picture-health", "motion"), MOTION_NAMES, valid)
        slides = (
            (found["still_share"] >= settings.slide_share)
            & (found["step_share"] >= STEPS_OF_SLIDES)
            & (found["changes"] >= 1)
        )
        return {
            "black_share": found["black_share"],
            "black": found["black_share"] >= settings.black_share,
            "still_share": found["still_share"],
            "static": (found["still_share"] >= settings.static_share) & ~slides,
            "step_share": np.where(found["changes"] >= 1, found["step_share"], np.nan).astype(np.float32),
            "slide_show": slides,
        }


STEPS_OF_SLIDES = 0.8
