"""Where a long run keeps its state: named arrays in, the same arrays out after a kill, and nothing of another run."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import numpy as np

from curation.atomic import replacing

_IDENTITY = "run_identity"


class Checkpoint:
    """One file, written whole at most every `every_s` seconds. `identity` tells the run: a file of another is left out.

    The file holds plain arrays only (.npz, no pickle). One that cannot be read counts as none.
    """

    def __init__(self, path: Path, identity: str, *, every_s: float = 20.0) -> None:
        self.path = path
        self._identity = identity
        self._every_s = every_s
        self._last = time.monotonic()

    def load(self) -> dict[str, np.ndarray] | None:
        """What the last `save` of this run kept, or None."""
        try:
            with np.load(self.path, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
        except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile):
            return None
        return arrays if str(arrays.pop(_IDENTITY, "")) == self._identity else None

    def due(self) -> bool:
        """True when it is time to save."""
        return time.monotonic() - self._last >= self._every_s

    def save(self, arrays: dict[str, np.ndarray]) -> None:
        """Keep these arrays instead of the ones before."""
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{_IDENTITY: np.array(self._identity)}, **arrays)  # type: ignore[arg-type]
        self._last = time.monotonic()

    def drop(self) -> None:
        """The run is done: nothing to go on from."""
        self.path.unlink(missing_ok=True)
