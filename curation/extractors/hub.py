"""The extractors `hub:<model id>`: hidden layers of any model of the hub that looks at sound or pictures.

Through the optional package transformers. A clip's features are means over its windows (10 s of sound, up to 8
stills, or one film), each window's hidden layer a mean over all of its tokens. Models with a text side give the layer
`joint` too, in which `text_embeddings` has its place.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from curation.errors import InputError, MissingPackageError
from curation.extractors import hub_files
from curation.extractors.base import InputSpec, Layer, Modality, Weights
from curation.extractors.hub_name import HubName
from curation.extractors.hub_plan import JOINT, Plan, make_plan
from curation.extractors.network import NetworkExtractor

if TYPE_CHECKING:
    from curation.extractors.hub_net import HubNetwork
    from curation.media.decode import DecodedClip

BASE_MEMORY_MB = 2048


class HubExtractor(NetworkExtractor):
    """One model of the hub. What it looks at and its layers are read from its configuration when first asked for:
    MissingPackageError without transformers, MissingWeightsError where the model is not on this machine."""

    version: ClassVar[int] = 1
    batch_size: ClassVar[int] = 8
    windows_per_call: ClassVar[int] = 32
    windows_alone: ClassVar[int] = 4
    seconds_a_clip: ClassVar[float] = 60.0

    def __init__(self, model: HubName, **options: Any) -> None:
        super().__init__(**options)
        self.model = model

    @property
    def name(self) -> str:  # type: ignore[override]
        """The model's name as a folder's name."""
        return self.model.slug

    @property
    def modality(self) -> Modality:  # type: ignore[override]
        """See `Extractor`."""
        return "audio" if self.plan.side.looks == "sound" else "visual"

    @property
    def layers(self) -> tuple[Layer, ...]:  # type: ignore[override]
        """Up to five: hidden blocks evenly spread over the depth, then `joint` where there is a text side."""
        return self.plan.layers

    @property
    def input(self) -> InputSpec:  # type: ignore[override]
        """See `Extractor`."""
        return self.plan.input

    @property
    def descriptions(self) -> Mapping[str, str]:  # type: ignore[override]
        """See `Extractor`."""
        said = {
            f"block{block}": f"Hidden vectors of {self.model.model_id} after block {block} of {self.plan.n_blocks}."
            for block in self.plan.blocks
        }
        if self.plan.joint:
            said[JOINT] = f"What {self.model.model_id} would compare with words."
        return said

    @property
    def memory_mb(self) -> int:  # type: ignore[override]
        """Twice the parameters (read, then placed) and room for decoding and for what is computed."""
        place = hub_files.find(self.model, self.weights_folder)
        return BASE_MEMORY_MB + (2 * hub_files.size_bytes(place) >> 20 if place else 0)

    @cached_property
    def plan(self) -> Plan:
        """What the model's configuration says."""
        return make_plan(self.model, self.obtain())

    def settings(self) -> dict[str, Any]:
        """The model, its side and the blocks that are kept."""
        return {"model": self.model.model_id, "side": self.plan.side.looks, "blocks": list(self.plan.blocks)}

    def obtain(self) -> Path:
        """See `NetworkExtractor.obtain`."""
        if importlib.util.find_spec("transformers") is None:
            raise MissingPackageError(f"{self.model} needs the package transformers.", hint=hub_files.INSTALL)
        if self.weights is not None:
            return Path(self.weights.path)
        return hub_files.obtain(self.model, self.weights_folder, fetch=self.fetch)

    def prepare(self) -> None:
        """See `Extractor.prepare`; a model that does not fit is refused here."""
        self.obtain()
        _ = self.plan

    def located_weights(self) -> Weights:
        """See `Extractor.located_weights`."""
        return self.weights or hub_files.located(self.model, self.weights_folder)

    def windows(self, clip: DecodedClip) -> np.ndarray:
        """See `NetworkExtractor.windows`."""
        if self.plan.side.looks == "sound":
            from curation.extractors.torchaudio_compat import functional

            samples, rate_hz = clip.audio, self.plan.input.sample_rate_hz or clip.sample_rate_hz
            if clip.sample_rate_hz != rate_hz:
                import torch

                source = torch.from_numpy(np.array(samples))
                samples = functional.resample(source, clip.sample_rate_hz, rate_hz).numpy()
            return self._network.sound_windows(samples, rate_hz)
        return self._network.picture_windows(clip.frames)

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """See `NetworkExtractor.run`."""
        return dict(zip((layer.name for layer in self.layers), self._network(batch), strict=True))

    def text_embeddings(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors float32 (n, dim) of texts, to be compared (inner product) with the layer `joint`.

        Raises InputError for a model without a text side.
        """
        if not self.plan.joint:
            raise InputError(
                f"{self.model} has no text side.", hint="Use a model that has one, such as CLAP or SigLIP."
            )
        if not texts:
            return np.zeros((0, self.layers[-1].dim), np.float32)
        return self._network.text(texts)

    @cached_property
    def _network(self) -> HubNetwork:
        from curation.extractors.hub_net import HubNetwork

        return HubNetwork(self.obtain(), self.plan, self.device)
