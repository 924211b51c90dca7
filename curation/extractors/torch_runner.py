"""A torch network on a device: a batch of arrays in, arrays out; half precision on CUDA only."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn


class TorchRunner:
    """Runs `network`, which takes one float tensor (m, ...) and gives a sequence of tensors (m, dim)."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self.device = usable(device)
        self.network = network.to(self.device)

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Float32 (m, ...) to float32 arrays (m, dim), one an output of the network."""
        with torch.inference_mode(), half_precision(self.device):
            outputs: Sequence[torch.Tensor] = self.network(torch.from_numpy(batch).to(self.device))
            return [output.float().cpu().numpy() for output in outputs]


def usable(device: str) -> torch.device:
    """The device; "auto", and a CUDA device that is not there, are what there is."""
    if device == "auto" or (device.startswith("cuda") and not torch.cuda.is_available()):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def half_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Half precision for what is run inside, where the device makes it faster."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.float16)
    return contextlib.nullcontext()
