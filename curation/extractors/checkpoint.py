"""A file of a network's parameters into the network, checked key by key. Loads tensors only, never code."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from curation.errors import InputError

SHOWN = 4


def read_tensors(path: Path, *, inside: str = "") -> dict[str, torch.Tensor]:
    """Parameter name -> tensor of a file that `torch.save` wrote; those under the key `inside`, if it is there.

    Raises InputError for a file that holds anything but tensors in plain containers.
    """
    try:
        # A mapped file is shared by all the workers that read it.
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as a file of weights ({_first_line(error)}).", hint="Get it anew; nothing was run."
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get(inside), Mapping):
        found = found[inside]
    if not isinstance(found, Mapping):
        raise InputError(f"{path} holds a {type(found).__name__}, not named parameters.", hint="Get it anew.")
    return {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}


def load_network(
    network: nn.Module, tensors: Mapping[str, torch.Tensor], source: str, *, spare: Sequence[str] = ()
) -> None:
    """Put `tensors` into `network` (which may lie on the device "meta") and set it to inference.

    Every parameter must be there in its shape and nothing else, apart from keys that begin with one of `spare` and
    the counters `num_batches_tracked`. Raises InputError that names what is missing, unknown or of another shape.
    """
    counters = {key for key in network.state_dict() if key.endswith("num_batches_tracked")}
    wanted = {key: value for key, value in network.state_dict().items() if key not in counters}
    missing = [key for key in wanted if key not in tensors]
    unknown = [key for key in tensors if key not in wanted and key not in counters and not key.startswith(tuple(spare))]
    misshapen = [
        f"{key} is {tuple(tensors[key].shape)} and should be {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    wrong = [
        f"{title}: {_some(items)}"
        for title, items in (("missing", missing), ("of another shape", misshapen), ("unknown", unknown))
        if items
    ]
    if wrong:
        raise InputError(
            f"{source} does not fit {type(network).__name__}. " + "; ".join(wrong) + ".",
            hint="Get the published file under its published name.",
        )
    state: dict[str, Any] = {key: tensors[key].float() for key in wanted}
    state |= {key: torch.zeros((), dtype=torch.int64) for key in counters}
    network.load_state_dict(state, assign=True)
    network.eval().requires_grad_(False)


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
