"""What a method is given beside the clusterings: its options, features, the subset to resemble, and a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curation.checks import DEVICES, check_choice, row_indices
from curation.errors import InputError, SettingError
from curation.methods.base import Method
from curation.methods.registry import METHODS

CUDA_BATCH = 10_000  # smaller batches leave a GPU waiting for its launches


def check_options(method: Method, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """All options of the method, defaults filled in. SettingError names those that it has."""
    known = {option.name: option for option in method.options}
    for name in options or {}:
        if name not in known:
            raise SettingError(f"{method.name} has no option {name!r}.", hint=f"Allowed: {', '.join(known) or 'none'}.")
    return {name: option.check((options or {}).get(name, option.default)) for name, option in known.items()}


def check_features(method: Method, features: Any, names: Sequence[str], n_rows: int) -> tuple[np.ndarray, ...]:
    """D float arrays (N, d) in the order of the clusterings; empty for methods that use none."""
    if not method.needs_features:
        if features is not None:
            users = ", ".join(name for name, item in METHODS.items() if item.needs_features)
            raise SettingError(f"features cannot be used with {method.name}.",
                               hint=f"Allowed: features=None, or a method that compares them: {users}.")  # fmt: skip
        return ()
    if features is None:
        raise SettingError(f"{method.name} needs features.", hint="Pass one float array (clips, values) a clustering.")
    if isinstance(features, Mapping):
        missing = [name for name in names if name not in features]
        if missing:
            raise InputError(f"features has no entry {missing[0]!r}.", hint=f"Give one for each of {', '.join(names)}.")
        features = [features[name] for name in names]
    arrays = tuple(np.asarray(array) for array in features)
    if len(arrays) != len(names):
        raise InputError(f"features has {len(arrays)} arrays for {len(names)} clusterings.", hint="Give one each.")
    for name, array in zip(names, arrays, strict=True):
        if array.ndim != 2 or len(array) != n_rows or not array.shape[1] or array.dtype.kind not in "fiu":
            raise InputError(f"The features of {name!r} are {array.dtype} of shape {array.shape}; {n_rows} rows of "
                             "numbers are needed.")  # fmt: skip
        bad = sum(int((~np.isfinite(array[k : k + 65536])).any(axis=1).sum()) for k in range(0, n_rows, 65536))
        if bad:
            raise InputError(f"The features of {name!r} hold NaN or infinity in {bad} of {n_rows} rows.",
                             hint="Leave these clips out.")  # fmt: skip
    return arrays


def check_like(method: Method, like: Any, n_rows: int) -> np.ndarray:
    """Row numbers of the subset to resemble, int64; empty for methods that resemble none."""
    if not method.needs_like:
        if like is not None:
            raise SettingError(f"like cannot be used with {method.name}.", hint="Allowed: like=None.")
        return np.zeros(0, np.int64)
    rows = row_indices("like", like, n_rows)
    if not len(rows):
        raise SettingError(f"{method.name} needs like, the subset to resemble.",
                           hint="Pass row numbers or a bool mask, e.g. the order of another selection.")  # fmt: skip
    return rows


def choose_device(device: str, method: str, batch_size: int) -> tuple[str, str]:
    """ "cpu" or "cuda", and why. Raises `SettingError` where CUDA is asked for and absent."""
    check_choice("device", device, DEVICES)
    if device == "cpu":
        return "cpu", "asked for"
    if not METHODS[method].has_batches:
        return "cpu", "a random draw needs no device" if method == "random" else f"{method} runs on the CPU"
    if device == "auto" and batch_size < CUDA_BATCH:
        return (
            "cpu",
            f"batches of {batch_size} clips are too small to keep a GPU busy (from {CUDA_BATCH} on one is used)",
        )
    import torch

    if torch.cuda.is_available():
        return "cuda", "asked for" if device == "cuda" else "a CUDA device is there and the batches are large"
    if device == "cuda":
        raise SettingError(
            "device='cuda' was asked for, but torch finds no CUDA device.", hint="Use device='auto' or device='cpu'."
        )
    return "cpu", "torch finds no CUDA device"
