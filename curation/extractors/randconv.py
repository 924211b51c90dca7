"""A fixed convolutional network with random filters: small RGB pictures in, pooled responses out.

Random filters followed by rectification and pooling already separate textures and shapes (Jarrett et al.
2009; Saxe et al. 2011), need no weights file, and are the same everywhere because the numbers come from a
counter-based generator. Small enough that a matrix product a layer is as quick as a library of networks, whose import
would cost as much as a hundred clips.
"""

from __future__ import annotations

import numpy as np

# (outputs, inputs, kernel, stride) of each layer; 2 x 2 max pooling between layers.
SHAPES = ((32, 3, 5, 2), (64, 32, 3, 1), (128, 64, 3, 1))


def random_filters(generator: np.random.Generator, outputs: int, inputs: int, kernel: int) -> np.ndarray:
    """Normal random filters float32 (outputs, inputs, kernel, kernel), each with mean 0 and length 1."""
    filters = generator.standard_normal((outputs, inputs, kernel, kernel))
    filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
    filters /= np.sqrt(np.square(filters).sum(axis=(1, 2, 3), keepdims=True))
    return filters.astype(np.float32)


class RandomConvolutions:
    """Three layers of random filters: float32 (K, 3, S, S), 0 to 1, to float32 (K, 128 * grid * grid); S a multiple of
    8 * grid."""

    def __init__(self, seed: int, grid: int = 2) -> None:
        generator = np.random.Generator(np.random.Philox(seed))
        self._filters = [random_filters(generator, *shape[:3]) for shape in SHAPES]
        self._grid = grid

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Each layer standardizes its input over the whole picture, so that light and contrast drop out."""
        responses = pictures.transpose(1, 0, 2, 3)  # (C, K, H, W): as a matrix product gives them
        # An even picture has deviation 0: the first addend keeps its noise from being blown up.
        least = 0.05
        for filters, (_, _, _, stride) in zip(self._filters, SHAPES):
            responses = convolved(standardized(responses, least), filters, stride)
            np.maximum(responses, 0.0, out=responses)
            least = 1e-3
            if filters is not self._filters[-1]:
                quarters = [responses[..., down::2, right::2] for down in (0, 1) for right in (0, 1)]
                responses = np.maximum(np.maximum(*quarters[:2]), np.maximum(*quarters[2:]))
        channels, n, height, width = responses.shape
        cells = responses.reshape(channels, n, self._grid, height // self._grid, self._grid, width // self._grid)
        return cells.mean(axis=(3, 5)).transpose(1, 0, 2, 3).reshape(n, -1)


def convolved(values: np.ndarray, filters: np.ndarray, stride: int) -> np.ndarray:
    """(C, K, H, W) through filters (outputs, C, kernel, kernel), zeros around the picture: (outputs, K, H', W')."""
    channels, n, height, width = values.shape
    outputs, _, kernel, _ = filters.shape
    pad = kernel // 2
    padded = np.pad(values, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, columns = -(-height // stride), -(-width // stride)
    patches = np.empty((channels, kernel, kernel, n, rows, columns), np.float32)
    for down in range(kernel):
        for right in range(kernel):
            patches[:, down, right] = padded[:, :, down : down + height : stride, right : right + width : stride]
    return (filters.reshape(outputs, -1) @ patches.reshape(filters[0].size, -1)).reshape(outputs, n, rows, columns)


def standardized(values: np.ndarray, least: float) -> np.ndarray:
    """Each picture (C, K, H, W) with mean 0 and deviation about 1 over C, H and W together."""
    centred = values - values.mean(axis=(0, 2, 3), keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=(0, 2, 3), keepdims=True))
    centred /= deviation + np.float32(least)
    return centred
