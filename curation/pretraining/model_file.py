"""Checkpoints: named tensors and a description in, one .npz of plain arrays out, and back. No pickle either way."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curation.atomic import replacing
from curation.errors import InputError
from curation.pretraining.networks import AudioVisual

VERSION = 1
_DESCRIPTION = "description"
_FORMAT = "checkpoint_format"


def save(path: Path, description: Mapping[str, Any], tensors: Mapping[str, torch.Tensor | np.ndarray]) -> None:
    """Write a checkpoint, whole or not at all. `description`: JSON; `network` in it names the network's size."""
    arrays = {name: v.detach().cpu().numpy() if isinstance(v, torch.Tensor) else v for name, v in tensors.items()}
    text = json.dumps({**description, _FORMAT: VERSION}, sort_keys=True)
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **{_DESCRIPTION: np.array(text)}, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and arrays. Raises `InputError` for a file that `save` did not write."""
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        description = json.loads(str(arrays.pop(_DESCRIPTION)))
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is no checkpoint of a pre-training ({error}).", hint="Give one that it wrote."
        ) from error
    if not isinstance(description, dict) or description.get(_FORMAT) != VERSION:
        raise InputError(f"{path} is a checkpoint of another version of this program.", hint="Train again.")
    return description, arrays


def same_run(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises `InputError` that names what differs between a checkpoint and the run that would go on from it."""
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if not differing:
        return
    what = "; ".join(f"{key} {_short(found.get(key))}, wanted {_short(wanted[key])}" for key in differing[:4])
    kind = "another model" if "network" in differing else "another run"
    raise InputError(
        f"{path} is a checkpoint of {kind}: {what}.", hint="Give it its own settings, or another name to this run."
    )


def load_model(path: Path, network: str | None = None) -> AudioVisual:
    """The model of a checkpoint, frozen. Raises `InputError` that says what it holds where it is not `network`."""
    description, arrays = load(path)
    if network is not None:
        same_run(path, description, {"network": network})
    model = AudioVisual(str(description.get("network")))
    put_state(path, model, {k.removeprefix("model/"): v for k, v in arrays.items() if k.startswith("model/")})
    return model.eval().requires_grad_(False)


def put_state(path: Path, model: torch.nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Put arrays into a model. Raises `InputError` where names or shapes are others."""
    try:
        model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
    except RuntimeError as error:
        first = (str(error).strip().splitlines() or [""])[-1].strip()
        raise InputError(f"{path} does not fit the network {getattr(model, 'size', '')}: {first[:200]}") from error


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:21]}..."
