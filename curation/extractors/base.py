"""The extractor contract: decoded clips in, one float32 matrix for each declared layer and a validity flag a
clip out.

An extractor looks at one modality. It declares its layers, the decoded input it wants, and a fingerprint that
changes whenever its numbers would. Sub-class `Extractor`; one that works clip by clip sub-classes
`ClipExtractor` and writes `clip_features` only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from curation.errors import SettingError

if TYPE_CHECKING:
    from curation.media.decode import DecodedClip

Modality = Literal["audio", "visual"]
Kind = Literal["features", "measures"]
Stored = Literal["float16", "float32", "uint8"]

# float16 ends at 65,504; features are made to lie near 1, so a value beyond this is an outlier, cut in every
# mode alike.
VALUE_LIMIT = 1000.0


@dataclass(frozen=True)
class Layer:
    """One vector an extractor gives for a clip: a short name for paths and tables, its length, how it is stored.

    Features are float16. Measures may need float32 (decibels, seconds) or uint8 (prints): such values are kept as
    they are, never cut to +-VALUE_LIMIT.
    """

    name: str
    dim: int
    dtype: Stored = "float16"

    @property
    def value_dtype(self) -> np.dtype:
        """What `Extraction.values` holds: uint8 for prints, float32 for everything else."""
        return np.dtype(np.uint8 if self.dtype == "uint8" else np.float32)


@dataclass(frozen=True)
class InputSpec:
    """What an extractor wants decoded; None means that it does not look at it.

    frame_rate_hz, max_frames, frame_size (short side, pixels): for pictures. sample_rate_hz: for sound.
    Two specs are compatible when no field is asked for with two different values: one decoding then serves
    both.
    """

    frame_rate_hz: float | None = None
    max_frames: int | None = None
    frame_size: int | None = None
    sample_rate_hz: int | None = None

    def compatible(self, other: InputSpec) -> bool:
        """True when one decoding can serve both."""
        return all(a is None or b is None or a == b for a, b in zip(self._values(), other._values()))

    def merged(self, other: InputSpec) -> InputSpec:
        """The one decoding that serves both; only for compatible specs."""
        return InputSpec(*(b if a is None else a for a, b in zip(self._values(), other._values())))

    def decode_options(self) -> dict[str, Any]:
        """The fields that are set, as keyword arguments of `curation.media.decode.decode_clips`."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


class Extraction(NamedTuple):
    """Result for n clips: `values` maps a layer's name to (n, dim) of its `value_dtype`; `valid` is bool (n,).

    A clip without the extractor's modality, or with a number that is not finite, has zeros in every layer
    and is not valid.
    """

    values: dict[str, np.ndarray]
    valid: np.ndarray


@dataclass(frozen=True)
class Availability:
    """Whether an extractor can run here; if not, `missing` says what to get and where to put it."""

    ready: bool
    missing: str = ""


@dataclass(frozen=True)
class Weights:
    """Trained weights of a pretrained extractor: where they lie, which revision, the SHA-256 of the file.

    `path` may be a file or a folder on this machine and never enters a fingerprint; `revision` and `sha256`
    do.
    """

    path: str
    revision: str = ""
    sha256: str = ""


class Extractor(ABC):
    """One way to describe clips of one modality at one or more layers.

    Class attributes: `name` (used in paths), `version` (raised when the numbers change), `modality`, `kind`
    ("features" are clustered; "measures" are small vectors of named numbers or compact prints for checks and duplicate
    groups, made in the same decoding and kept by clip id alike), `layers`, `input`, `descriptions` (layer name -> one
    sentence for the reader of a page), `batch_size` (how many clips a call of `extract` is best given; it bounds the
    clips that wait in memory, never the numbers),
    `memory_mb` (resident memory that a worker needs with it; a lower `features.memory_limit_mb` is raised to it),
    `seconds_a_clip` (what a slow core may take beyond decoding; added to the time limit for each clip).
    Instance attributes: `weights` (None for built-in ones) and `device` ("cpu", "cuda"), which never changes
    what an extractor means and so is not part of the fingerprint.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    modality: ClassVar[Modality]
    kind: ClassVar[Kind] = "features"
    layers: ClassVar[tuple[Layer, ...]]
    input: ClassVar[InputSpec]
    descriptions: ClassVar[Mapping[str, str]]
    batch_size: ClassVar[int] = 1
    memory_mb: ClassVar[int] = 0
    seconds_a_clip: ClassVar[float] = 0.0

    def __init__(self, *, weights: Weights | None = None, device: str = "cpu") -> None:
        self.weights = weights
        self.device = device

    @abstractmethod
    def extract(self, clips: Sequence[DecodedClip]) -> Extraction:
        """Features of n clips in order; the same numbers whatever the batch. n = 0 gives empty matrices."""

    def settings(self) -> dict[str, Any]:
        """JSON-able settings that the numbers depend on, beside `version`."""
        return {}

    def available(self) -> Availability:
        """Whether packages and weights are here. Touches no network."""
        return Availability(True)

    def prepare(self) -> None:  # noqa: B027 - nothing to get for those without weights
        """Get what is missing, over the network if need be: called once before a run, in the parent process.

        Raises a `ConcordError` whose message says what to put where. Afterwards the fingerprint is final.
        """

    def located_weights(self) -> Weights | None:
        """The weights that the numbers come from, as far as they are on this machine."""
        return self.weights

    def fingerprint(self) -> dict[str, Any]:
        """What the numbers depend on, as JSON: equal fingerprints mean interchangeable features."""
        found = self.located_weights()
        weights = None if found is None else {"revision": found.revision, "sha256": found.sha256}
        return {
            "name": self.name,
            "version": self.version,
            "modality": self.modality,
            "layers": {layer.name: layer.dim for layer in self.layers},
            **({"stored": stored} if (stored := self._stored()) else {}),
            "input": asdict(self.input),
            "settings": self.settings(),
            "weights": weights,
        }

    def _stored(self) -> dict[str, str]:
        return {layer.name: layer.dtype for layer in self.layers if layer.dtype != "float16"}

    def describe(self, layer: str) -> str:
        """One sentence for the reader of a page: what this layer sees. Raises SettingError if unknown."""
        if layer not in self.descriptions:
            known = ", ".join(item.name for item in self.layers)
            raise SettingError(f"Extractor {self.name} has no layer {layer!r}.", hint=f"Its layers are: {known}.")
        return self.descriptions[layer]

    def has_input(self, clip: DecodedClip) -> bool:
        """True when the clip has this extractor's modality."""
        return (clip.audio.size if self.modality == "audio" else clip.frames.shape[0]) > 0


class ClipExtractor(Extractor):
    """An extractor that treats clips one by one, so that a batch cannot change a number."""

    @abstractmethod
    def clip_features(self, clip: DecodedClip) -> dict[str, np.ndarray]:
        """Layer name -> vector (dim,) of one clip that has the modality."""

    def extract(self, clips: Sequence[DecodedClip]) -> Extraction:
        """See `Extractor.extract`. Values of float16 layers beyond +-VALUE_LIMIT are cut to it."""
        values = {layer.name: np.zeros((len(clips), layer.dim), layer.value_dtype) for layer in self.layers}
        half = {layer.name for layer in self.layers if layer.dtype == "float16"}
        valid = np.zeros(len(clips), bool)
        for i, clip in enumerate(clips):
            if not self.has_input(clip):
                continue
            vectors = self.clip_features(clip)
            if not all(np.isfinite(vector).all() for vector in vectors.values()):
                continue
            for name, vector in vectors.items():
                values[name][i] = np.clip(vector, -VALUE_LIMIT, VALUE_LIMIT) if name in half else vector
            valid[i] = True
        return Extraction(values, valid)
