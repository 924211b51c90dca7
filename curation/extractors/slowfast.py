"""The extractors `slowfast` and `slowfast-dense`: five layers of SlowFast 8x8 R50, the picture features of ACAV100M
(arXiv 2101.10803)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors import slowfast_frontend
from curation.extractors.base import InputSpec, Layer
from curation.extractors.network import CheckpointExtractor
from curation.extractors.weights import WeightsFile

if TYPE_CHECKING:
    from torch import nn

    from curation.media.decode import DecodedClip

WEIGHTS_FILE = WeightsFile(
    name="SLOWFAST_8x8_R50.pyth",
    url="https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/SLOWFAST_8x8_R50.pyth",
    size_bytes=138_500_000,  # 34.6 million parameters with the head
    revision="pytorchvideo-kinetics400",
)
# Kinetics was learnt from every second frame at 30 frames a second.
FRAME_RATE_HZ = 15.0


class SlowFastExtractor(CheckpointExtractor):
    """Means over time and space of both pathways after the stem and each stage.

    32 frames spread over the clip, as the ACAV100M code takes them; a clip of 2.1 s or less is seen at the 15 frames
    a second that the network was trained on. The pooling is the plain mean, as the paper says; its code weighted the
    borders of the picture less. The crop is the centre.
    """

    name: ClassVar[str] = "slowfast"
    version: ClassVar[int] = 1
    modality = "visual"
    layers: ClassVar[tuple[Layer, ...]] = (
        Layer("stem", 88),
        Layer("stage1", 352),
        Layer("stage2", 704),
        Layer("stage3", 1408),
        Layer("stage4", 2304),
    )
    input: ClassVar[InputSpec] = InputSpec(
        frame_rate_hz=FRAME_RATE_HZ, max_frames=slowfast_frontend.N_FRAMES, frame_size=slowfast_frontend.SIZE
    )
    descriptions: ClassVar[Mapping[str, str]] = {
        "stem": "Edges, colours and quick changes, as the first layer of SlowFast sees them.",
        "stage1": "Small patterns and small movements.",
        "stage2": "Textures and parts of things, and how parts move.",
        "stage3": "Things and gestures.",
        "stage4": "What is done in the picture: the last layer before the names of 400 actions.",
    }
    batch_size: ClassVar[int] = 8
    windows_per_call: ClassVar[int] = 8
    windows_alone: ClassVar[int] = 1  # on one core several at once gain nothing and cost memory
    memory_mb: ClassVar[int] = 2048
    seconds_a_clip: ClassVar[float] = 20.0
    weights_file: ClassVar[WeightsFile] = WEIGHTS_FILE
    inside: ClassVar[str] = "model_state"
    spare: ClassVar[tuple[str, ...]] = ("blocks.6.",)  # the head that names the 400 actions

    def windows(self, clip: DecodedClip) -> np.ndarray:
        """Float32 (n, 3, 32, 256, 256)."""
        return slowfast_frontend.windows(clip.frames)

    def network(self) -> nn.Module:
        """See `curation.extractors.slowfast_net`."""
        from curation.extractors.slowfast_net import SlowFast

        return SlowFast()


class SlowFastDenseExtractor(SlowFastExtractor):
    """The same network at its own frame rate throughout: the mean over windows of 2.1 s, at most five of them."""

    name: ClassVar[str] = "slowfast-dense"
    input: ClassVar[InputSpec] = InputSpec(
        frame_rate_hz=FRAME_RATE_HZ, max_frames=5 * slowfast_frontend.N_FRAMES, frame_size=slowfast_frontend.SIZE
    )
    batch_size: ClassVar[int] = 2
    seconds_a_clip: ClassVar[float] = 100.0
