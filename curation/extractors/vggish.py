"""The extractor `vggish`: five layers of VGGish, the sound features of ACAV100M (arXiv 2101.10803)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curation.extractors import vggish_frontend
from curation.extractors.base import InputSpec, Layer
from curation.extractors.network import CheckpointExtractor
from curation.extractors.weights import WeightsFile

if TYPE_CHECKING:
    from torch import nn

    from curation.media.decode import DecodedClip

WEIGHTS_FILE = WeightsFile(
    name="vggish-10086976.pth",
    url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
    size_bytes=288_600_000,  # 72,141,184 parameters
    revision="torchvggish-v0.1",
)


class VGGishExtractor(CheckpointExtractor):
    """Means over a clip's patches of 0.96 s: four convolution blocks and the 128-number embedding (not whitened)."""

    name: ClassVar[str] = "vggish"
    version: ClassVar[int] = 1
    modality = "audio"
    layers: ClassVar[tuple[Layer, ...]] = (
        Layer("block1", 64),
        Layer("block2", 128),
        Layer("block3", 256),
        Layer("block4", 512),
        Layer("embedding", 128),
    )
    input: ClassVar[InputSpec] = InputSpec(sample_rate_hz=vggish_frontend.SAMPLE_RATE_HZ)
    descriptions: ClassVar[Mapping[str, str]] = {
        "block1": "Edges in pitch and time, as the first block of VGGish sees them.",
        "block2": "Short patterns in pitch and time: tones, clicks, glides.",
        "block3": "Textures of sound over about a tenth of a second.",
        "block4": "Sounds over about half a second, shortly before they are named.",
        "embedding": "What kind of sound it is: the embedding that VGGish was trained to give.",
    }
    batch_size: ClassVar[int] = 8
    windows_per_call: ClassVar[int] = 64
    windows_alone: ClassVar[int] = 64
    memory_mb: ClassVar[int] = 2048
    seconds_a_clip: ClassVar[float] = 5.0
    weights_file: ClassVar[WeightsFile] = WEIGHTS_FILE
    spare: ClassVar[tuple[str, ...]] = ("pproc.",)  # the whitening, where it was saved along

    def windows(self, clip: DecodedClip) -> np.ndarray:
        """Log-mel patches, float32 (n, 96, 64)."""
        from curation.extractors.sound_layers import at_rate

        return vggish_frontend.patches(at_rate(clip.audio, clip.sample_rate_hz))

    def network(self) -> nn.Module:
        """See `curation.extractors.vggish_net`."""
        from curation.extractors.vggish_net import VGGish

        return VGGish()
