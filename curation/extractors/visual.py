"""Built-in picture features without weights: the extractor `picture`, five layers of statistics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors.base import ClipExtractor, InputSpec, Layer

if TYPE_CHECKING:
    from curation.extractors.picture_layers import FrontEnd
    from curation.media.decode import DecodedClip

CONV_SEED = 7


class PictureExtractor(ClipExtractor):
    """Five layers of picture statistics; see `descriptions`. The arithmetic is in `picture_layers`."""

    name: ClassVar[str] = "picture"
    version: ClassVar[int] = 2
    modality = "visual"
    layers: ClassVar[tuple[Layer, ...]] = (
        Layer("colour", 246),
        Layer("gradient", 288),
        Layer("texture", 190),
        Layer("motion", 42),
        Layer("conv", 1024),
    )
    input: ClassVar[InputSpec] = InputSpec(frame_rate_hz=8.0, max_frames=80, frame_size=112)
    descriptions: ClassVar[Mapping[str, str]] = {
        "colour": "Which colours there are and where in the picture, in a 3 x 3 grid and a histogram.",
        "gradient": "Which way edges run in each part of the picture (oriented gradients, 4 x 4).",
        "texture": "Fine structure: local binary patterns and the strength of detail at four scales.",
        "motion": "How much moves, where in the picture, how steadily, and how often the shot changes.",
        "conv": "Shapes and colour patterns as a fixed network of three layers of random filters sees them.",
    }

    @cached_property
    def _front_end(self) -> FrontEnd:
        # Filters and tables are made once they are needed: naming the layers must not cost that.
        from curation.extractors.picture_layers import FrontEnd

        return FrontEnd(CONV_SEED)

    def settings(self) -> dict[str, int]:
        """The seed of the random filters."""
        return {"conv_seed": CONV_SEED}

    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> float vector (dim,) of one clip with at least one frame."""
        return self._front_end.layers(clip.frames, clip.frame_rate_hz, clip.luma)
