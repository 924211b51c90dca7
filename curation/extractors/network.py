"""What trained extractors share: clips in, windows through a network, the mean over each clip's windows out.

A sub-class cuts a clip into windows (equal arrays) and runs a batch of them. On the CPU each clip is run by itself,
so that a batch cannot change a number; on CUDA the windows of several clips go together, in half precision.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from curation.errors import ConcordError
from curation.extractors import weights as stored
from curation.extractors.base import VALUE_LIMIT, Availability, Extraction, Extractor, Weights

if TYPE_CHECKING:
    from torch import nn

    from curation.extractors.torch_runner import TorchRunner
    from curation.media.decode import DecodedClip


class _Windows(NamedTuple):
    """Some windows of one clip: `row` is the clip's place, `values` float32 (n, ...)."""

    row: int
    values: np.ndarray


class NetworkExtractor(Extractor):
    """An extractor with trained weights.

    `windows_per_call` bounds the windows in one run of the network on CUDA, `windows_alone` those of one clip on the
    CPU. `weights_folder` is where weights are looked for
    first. Numbers for other batches: the same on the CPU, within 1 % of a layer's largest value on CUDA.
    """

    windows_per_call: ClassVar[int] = 16
    windows_alone: ClassVar[int] = 16
    joins_clips: bool | None = None  # None: on CUDA only

    def __init__(
        self, *, weights: Weights | None = None, device: str = "cpu", weights_folder: str = "", fetch: bool = True
    ) -> None:
        super().__init__(weights=weights, device=device)
        self.weights_folder, self.fetch = weights_folder, fetch

    @abstractmethod
    def windows(self, clip: DecodedClip) -> np.ndarray:
        """What the network sees of a clip that has the modality: float32 (n, ...), n >= 1."""

    @abstractmethod
    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """Layer name -> float32 (m, dim) of m windows (m, ...)."""

    def prepare(self) -> None:
        """See `Extractor.prepare`."""
        self.obtain()

    @abstractmethod
    def obtain(self) -> Any:
        """Where the weights lie, fetched if need be. Raises a ConcordError that says what to put where."""

    def available(self) -> Availability:
        """See `Extractor.available`."""
        fetch, self.fetch = self.fetch, False
        try:
            self.obtain()
        except ConcordError as error:
            return Availability(False, str(error))
        finally:
            self.fetch = fetch
        return Availability(True)

    def extract(self, clips: Sequence[DecodedClip]) -> Extraction:
        """See `Extractor.extract`. Values beyond +-VALUE_LIMIT are cut to it."""
        sums = {layer.name: np.zeros((len(clips), layer.dim)) for layer in self.layers}
        counts = np.zeros(len(clips), np.int64)
        for batch in self._batches(clips):
            outputs = self.run(np.concatenate([item.values for item in batch]))
            start = 0
            for item in batch:
                stop = start + len(item.values)
                for name, values in outputs.items():
                    sums[name][item.row] += values[start:stop].sum(axis=0, dtype=np.float64)
                counts[item.row] += len(item.values)
                start = stop
        means = {name: total / np.maximum(counts, 1)[:, None] for name, total in sums.items()}
        valid = (counts > 0) & np.logical_and.reduce([np.isfinite(mean).all(axis=1) for mean in means.values()])
        cut = {
            name: np.clip(np.where(valid[:, None], mean, 0.0), -VALUE_LIMIT, VALUE_LIMIT)
            for name, mean in means.items()
        }
        return Extraction({name: values.astype(np.float32) for name, values in cut.items()}, valid)

    def _batches(self, clips: Sequence[DecodedClip]) -> Iterator[list[_Windows]]:
        """Windows in order, a bounded number together, all of one shape; of one clip or of several."""
        from curation.extractors.torch_runner import usable

        joins = usable(self.device).type == "cuda" if self.joins_clips is None else self.joins_clips
        limit = self.windows_per_call if joins else self.windows_alone
        batch: list[_Windows] = []
        for row, clip in enumerate(clips):
            if not self.has_input(clip):
                continue
            windows = self.windows(clip)
            if batch and (not joins or batch[0].values.shape[1:] != windows.shape[1:]):
                yield batch
                batch = []
            while len(windows):
                room = limit - sum(len(item.values) for item in batch)
                batch.append(_Windows(row, windows[:room]))
                windows = windows[room:]
                if len(batch[-1].values) == room:
                    yield batch
                    batch = []
        if batch:
            yield batch


class CheckpointExtractor(NetworkExtractor):
    """A network written here, with the parameters of one published file.

    `weights_file` describes the file, `inside` is the key under which it holds the parameters, `spare` begins the
    names of those that are not needed. `network` makes the network without parameters.
    """

    weights_file: ClassVar[stored.WeightsFile]
    inside: ClassVar[str] = ""
    spare: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def network(self) -> nn.Module:
        """The network: float32 (m, ...) to one tensor (m, dim) a layer, in the order of `layers`."""

    def run(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        """See `NetworkExtractor.run`."""
        return dict(zip((layer.name for layer in self.layers), self._runner(batch), strict=True))

    def obtain(self) -> Path:
        """See `NetworkExtractor.obtain`."""
        if self.weights is not None:
            return Path(self.weights.path)
        return stored.obtain(self.weights_file, self.weights_folder, fetch=self.fetch)

    def located_weights(self) -> Weights:
        """See `Extractor.located_weights`."""
        return self.weights or stored.located(self.weights_file, self.weights_folder)

    @cached_property
    def _runner(self) -> TorchRunner:
        # torch takes a second to import: naming the layers must not cost that.
        import torch

        from curation.extractors.checkpoint import load_network, read_tensors
        from curation.extractors.torch_runner import TorchRunner

        path = self.obtain()
        with torch.device("meta"):
            network = self.network()
        load_network(network, read_tensors(path, inside=self.inside), str(path), spare=self.spare)
        return TorchRunner(network, self.device)
