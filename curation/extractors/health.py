"""Measures of a clip's health: the extractors `sound-health` and `picture-health`, from the clip that the built-in
features get. Small vectors of named numbers; `curation.health` turns them into columns and flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors.base import ClipExtractor, InputSpec, Layer
from curation.extractors.picture_motion import MOTION_NAMES, motion
from curation.extractors.sound_character import CHARACTER_NAMES, character
from curation.extractors.sound_level import LEVEL_NAMES, level

if TYPE_CHECKING:
    from curation.media.decode import DecodedClip


class SoundHealthExtractor(ClipExtractor):
    """Silence, clipping, loudness, and what tells speech and music from other sound."""

    name: ClassVar[str] = "sound-health"
    version: ClassVar[int] = 2
    modality = "audio"
    kind = "measures"
    layers: ClassVar[tuple[Layer, ...]] = (
        Layer("level", len(LEVEL_NAMES), "float32"),
        Layer("character", len(CHARACTER_NAMES), "float32"),
    )
    input: ClassVar[InputSpec] = InputSpec(sample_rate_hz=16_000)
    descriptions: ClassVar[Mapping[str, str]] = {
        "level": "Share of silence and of clipped samples, peak, loudness, and how long the sound lasts.",
        "character": "Pitch, its course, the swell of loudness and the shape of the spectrum below 3.8 kHz.",
    }

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> float32 (dim,) of one clip with at least one sample; what is not finite counts as zero."""
        samples = np.clip(np.nan_to_num(clip.audio, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        return {
            "level": level(samples, clip.sample_rate_hz),
            "character": character(samples, clip.sample_rate_hz),
        }


class PictureHealthExtractor(ClipExtractor):
    """Black, stillness, steps, and when the picture begins and ends."""

    name: ClassVar[str] = "picture-health"
    version: ClassVar[int] = 2
    modality = "visual"
    kind = "measures"
    layers: ClassVar[tuple[Layer, ...]] = (Layer("motion", len(MOTION_NAMES), "float32"),)
    input: ClassVar[InputSpec] = InputSpec(frame_rate_hz=8.0, max_frames=80, frame_size=112)
    descriptions: ClassVar[Mapping[str, str]] = {
        "motion": "Share of black frames and of stillness, changes and how many of them are steps, begin and end.",
    }

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> float32 (dim,) of one clip with at least one frame."""
        return {"motion": motion(clip.luma, clip.block_means, clip.frame_times_s, clip.frame_rate_hz)}
