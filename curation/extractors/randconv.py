"""A fixed convolutional network with random filters: small RGB pictures in, pooled responses out.

Random filters followed by rectification and pooling already separate textures and shapes (Jarrett et al.
2009; Saxe et al. 2011), need no weights file, and are the same everywhere because the numbers come from a
counter-based generator.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

# (outputs, inputs, kernel, stride) of each layer; 2 x 2 max pooling between layers.
SHAPES = ((32, 3, 5, 2), (64, 32, 3, 1), (128, 64, 3, 1))


def random_filters(generator: np.random.Generator, outputs: int, inputs: int, kernel: int) -> torch.Tensor:
    """Normal random filters (outputs, inputs, kernel, kernel), float32, each with mean 0 and length 1."""
    filters = generator.standard_normal((outputs, inputs, kernel, kernel))
    filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
    filters /= np.sqrt(np.square(filters).sum(axis=(1, 2, 3), keepdims=True))
    return torch.from_numpy(filters.astype(np.float32))


class RandomConvolutions:
    """Three layers of random filters: float32 (K, 3, S, S), 0 to 1, to float32 (K, 128 * grid * grid)."""

    def __init__(self, seed: int, grid: int = 2) -> None:
        generator = np.random.Generator(np.random.Philox(seed))
        self._filters = [random_filters(generator, *shape[:3]) for shape in SHAPES]
        self._grid = grid

    def __call__(self, pictures: torch.Tensor) -> np.ndarray:
        """Each layer standardizes its input over the whole picture, so that light and contrast drop out."""
        with torch.inference_mode():
            # An even picture has deviation 0: the first addend keeps its noise from being blown up.
            responses, least = pictures, 0.05
            for filters, (_, _, kernel, stride) in zip(self._filters, SHAPES):
                responses = F.relu(F.conv2d(standardized(responses, least), filters, None, stride, kernel // 2))
                least = 1e-3
                if filters is not self._filters[-1]:
                    # Ten times faster in this memory layout.
                    responses = F.max_pool2d(responses.contiguous(memory_format=torch.channels_last), 2)
            return F.adaptive_avg_pool2d(responses, self._grid).flatten(1).numpy()


def standardized(values: torch.Tensor, least: float) -> torch.Tensor:
    """Each picture (K, C, H, W) with mean 0 and deviation about 1 over C, H and W together."""
    flat = values.flatten(1)
    # Not torch.std_mean, which is ten times slower here.
    centred = flat - flat.mean(dim=1, keepdim=True)
    deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
    return (centred / (deviation + least)).view(values.shape)
