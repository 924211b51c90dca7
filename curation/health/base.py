"""What a check of health is: measures of n clips in, columns of n values out. Pure functions of arrays, no files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

if TYPE_CHECKING:
    from curation.config import HealthConfig

ROUGH = "rough"


@dataclass(frozen=True)
class Column:
    """One column of the table of health.

    name: the column's name. unit: "share", "s", "LUFS", ... or "" for yes and no. definition: one sentence.
    error: the measured error with what it was measured on, or a text that begins with "rough".
    flag: True for a column of yes and no that `health.unhealthy` may name. threshold: the setting that it compares
    with ("health.silent_share"), or "".
    """

    name: str
    unit: str
    definition: str
    error: str
    flag: bool = False
    threshold: str = ""

    @property
    def rough(self) -> bool:
        """True when the error was not measured on data with known answers of the kind that users have."""
        return self.error.startswith(ROUGH)


class Inputs(Protocol):
    """What checks may look at, for n clips in the order of the table of clips."""

    @property
    def n_clips(self) -> int:
        """n."""
        ...

    @property
    def duration_s(self) -> np.ndarray:
        """float64 (n,): length of each clip as it was cut."""
        ...

    @property
    def source(self) -> np.ndarray:
        """int64 (n,): the same number for clips of one source."""
        ...

    @property
    def video_index(self) -> np.ndarray:
        """int64 (n,): the same number for clips of one file."""
        ...

    def values(self, extractor: str, layer: str) -> np.ndarray:
        """(n, dim) of a measures-extractor's layer; zeros where `valid` says no."""
        ...

    def valid(self, extractor: str) -> np.ndarray:
        """bool (n,): clips that this extractor could measure."""
        ...

    def note(self, text: str) -> None:
        """Say something about the whole table to the one who runs the stage."""
        ...


class Check(ABC):
    """One group of columns made from the measures named in `needs`."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]  # names of measures-extractors; without one of them the check is left out
    is_optional: ClassVar[bool] = False  # nothing is said where it is left out
    columns: ClassVar[tuple[Column, ...]]
    version: ClassVar[int] = 1  # raised when the numbers change

    @abstractmethod
    def measure(self, inputs: Inputs, settings: HealthConfig) -> dict[str, np.ndarray]:
        """Column name -> (n,): float32 with NaN for no value, or bool for flags (no value is no flag)."""


def named(values: np.ndarray, names: Sequence[str], valid: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of a layer by name, float32 (n,), NaN where not valid."""
    return {name: np.where(valid, values[:, i], np.nan).astype(np.float32) for i, name in enumerate(names)}
