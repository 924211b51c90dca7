"""Features measured before the table of clips was there: kept by clip id while videos are searched for shots, taken by
the features stage. They take as much room on the disk as the features will, and go when those are in place."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from curation.atomic import PARTIAL_SUFFIX, replacing
from curation.records import clip_keys

KEYS = "clip_keys"


def matched(keys: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> np.ndarray:
    """int64 (n,): the row of each wanted key in `keys`, -1 where it is not there. order: `argsort` of `keys`."""
    if not len(keys):
        return np.full(len(wanted), -1)
    rows = order[np.searchsorted(keys, wanted, sorter=order).clip(max=len(keys) - 1)]
    return np.where(keys[rows] == wanted, rows, -1)


class EarlyFeatures:
    """One folder of them. Parts are written whole, in any order; one that cannot be read counts as none.

    Keys of `features`: `<extractor>/<layer>` (n, dim) and `valid/<extractor>` (n,).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of(cls, workspace: Path) -> EarlyFeatures:
        """Those of the workspace in this folder."""
        return cls(workspace / "early")

    def keep(
        self, part: str, made_with: Mapping[str, str], clip_ids: Sequence[str], features: Mapping[str, np.ndarray]
    ) -> None:
        """Keep a part under its name. made_with: what each extractor's numbers depend on (a fingerprint)."""
        marks = {f"made_with/{name}": np.array(mark) for name, mark in made_with.items()}
        with replacing(self._folder / f"{part}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **{KEYS: clip_keys(clip_ids)}, **marks, **features)  # type: ignore[arg-type]

    def sweep(self) -> None:
        """Remove what a killed writer left; its only writer is the one who calls."""
        for file in self._folder.glob(f".*{PARTIAL_SUFFIX}"):
            file.unlink(missing_ok=True)

    def drop(self, *, but: str = "") -> None:
        """Forget all, or all parts but those whose names begin with `but`."""
        if not but:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        for file in self._folder.glob("*.npz"):
            if not file.name.startswith(but):
                file.unlink(missing_ok=True)

    def index(self) -> EarlyIndex:
        """The clips that are there; the numbers are read as they are asked for."""
        files, keys = [], []
        for file in sorted(self._folder.glob("[!.]*.npz")):
            found = _read(file, (KEYS,))
            if found is not None:
                files.append(file)
                keys.append(found[KEYS])
        return EarlyIndex(files, keys)


class EarlyIndex:
    """Which clips are in which part; 16 bytes a clip in memory, and one extractor's arrays of one part at a time."""

    def __init__(self, files: Sequence[Path], keys: Sequence[np.ndarray]) -> None:
        self._files = list(files)
        self._keys = np.concatenate([np.zeros(0, np.uint64), *keys])
        self._order = np.argsort(self._keys, kind="stable")
        self._starts = np.cumsum([0, *map(len, keys)])

    def fill(
        self, name: str, mark: str, wanted: np.ndarray, layers: Mapping[str, np.ndarray], valid: np.ndarray
    ) -> np.ndarray:
        """Fill rows of `layers` (layer name -> (n, dim)) and `valid` bool (n,) of one extractor, for the clips whose
        keys are `wanted` where they were made with `mark`; bool (n,) says which rows."""
        names = (f"made_with/{name}", f"valid/{name}", *(f"{name}/{layer}" for layer in layers))
        rows = matched(self._keys, wanted, self._order)
        known = np.zeros(len(wanted), bool)
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        for owner in np.unique(owners[rows >= 0]).tolist():
            part = _read(self._files[owner], names)
            if part is None or str(part[f"made_with/{name}"]) != mark:
                continue
            at = np.flatnonzero((owners == owner) & (rows >= 0))
            inside = rows[at] - self._starts[owner]
            for layer, out in layers.items():
                out[at] = part[f"{name}/{layer}"][inside]
            valid[at] = part[f"valid/{name}"][inside].astype(bool)
            known[at] = True
        return known


def _read(file: Path, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """The named arrays of a part; None where one is not there or cannot be read."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in names}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
