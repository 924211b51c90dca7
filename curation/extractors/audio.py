"""Built-in sound features without weights: the extractor `sound`, five layers of statistics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors.base import ClipExtractor, InputSpec, Layer

if TYPE_CHECKING:
    from curation.extractors.sound_layers import FrontEnd
    from curation.media.decode import DecodedClip


class SoundExtractor(ClipExtractor):
    """Five layers of sound statistics; see `descriptions`. The arithmetic is in `sound_layers`."""

    name: ClassVar[str] = "sound"
    version: ClassVar[int] = 2
    modality = "audio"
    layers: ClassVar[tuple[Layer, ...]] = (
        Layer("logmel", 128),
        Layer("mfcc", 59),
        Layer("shape", 34),
        Layer("modulation", 80),
        Layer("rhythm", 27),
    )
    input: ClassVar[InputSpec] = InputSpec(sample_rate_hz=16_000)
    descriptions: ClassVar[Mapping[str, str]] = {
        "logmel": "Energy in each of 64 pitch bands while the sound is on, and how much it varies.",
        "mfcc": "Timbre: the coarse outline of the spectrum (20 MFCCs), its spread and how fast it changes.",
        "shape": "Brightness, width, noisiness, roughness and balance of the spectrum, weighted by loudness.",
        "modulation": "How fast eight pitch ranges swell and fade, from slow swells to fast flutter.",
        "rhythm": "The course of loudness: steady or struck, how many onsets a second, whether they repeat.",
    }

    @cached_property
    def _front_end(self) -> FrontEnd:
        # Tables are made once they are needed: naming the layers must not cost that.
        from curation.extractors.sound_layers import FrontEnd

        return FrontEnd()

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> float vector (dim,) of one clip with sound of any length from one sample up."""
        return self._front_end.layers(clip.audio, clip.sample_rate_hz)
