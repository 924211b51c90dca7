"""Contrastive baseline: two linear heads a pair of layers, trained to find each clip's partner in its batch; features
in, cosines out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from curation.kernels.draws import STREAM_TRAINING, shuffle_front, stream_key

TEMPERATURE = 0.1
LEARNING_RATE = 2e-4
_BLOCK = 1 << 14


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of a matrix product depend on how it is split, so one thread does all."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Heads:
    """A linear map into the common space for either side of a pair, from standardised features."""

    def __init__(self, dims: tuple[int, int], dim: int, generator: torch.Generator) -> None:
        self.weights = [
            (torch.randn(d, dim, generator=generator) / d**0.5).requires_grad_() for d in dims
        ]  # no bias: features have mean 0

    def embed(self, side: int, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(x @ self.weights[side], dim=1, eps=1e-8)


def _moments(features: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for start in range(0, len(fit), _BLOCK):
        total += features[fit[start : start + _BLOCK]].sum(axis=0, dtype=np.float64)
    mean = total / len(fit)
    for start in range(0, len(fit), _BLOCK):
        squares += ((features[fit[start : start + _BLOCK]] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / len(fit))
    return mean, np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)


def _batches(fit: np.ndarray, seed: int, batch: int, steps: int) -> Iterator[np.ndarray]:
    """`steps` batches of rows, every row once before any comes again; a rest of one row is left out."""
    if len(fit) < 2:
        return
    done = epoch = 0
    while True:
        order = fit.astype(np.int64)
        shuffle_front(order, len(order), np.uint64(stream_key(seed, STREAM_TRAINING, epoch)))
        for start in range(0, len(order), batch):
            which = order[start : start + batch]
            if len(which) > 1:
                if done == steps:
                    return
                done += 1
                yield which
        epoch += 1


def contrastive_scores(
    features: list[np.ndarray],
    rows: list[np.ndarray | None],
    pairs: np.ndarray,
    weights: np.ndarray,
    fit: np.ndarray,
    *,
    seed: int,
    dim: int,
    batch: int,
    steps: int,
    look: Callable[[], object] | None = None,
) -> np.ndarray:
    """Weighted mean over the pairs of the cosine of the two embeddings, float64 (N,).

    Arguments as `instance.instance_scores`. Symmetric InfoNCE (van den Oord et al. 2018; temperature 0.1, Adam, lr
    2e-4) on the rows `fit`, in batches in an order of the seed. One thread, so the same bits for any number of them.
    """
    used = [int(k) for k in np.unique(pairs)]
    moments = {k: _moments(features[k], fit) for k in used}

    def load(k: int, which: np.ndarray) -> torch.Tensor:
        own = rows[k]
        x = features[k][which if own is None else own[which]]
        return torch.from_numpy(((x - moments[k][0]) * moments[k][1]).astype(np.float32))

    generator = torch.Generator().manual_seed(stream_key(seed, STREAM_TRAINING) >> 1)
    with _one_thread():
        heads = [_Heads((features[a].shape[1], features[b].shape[1]), dim, generator) for a, b in pairs.tolist()]
        optimizer = torch.optim.Adam([w for head in heads for w in head.weights], lr=LEARNING_RATE)
        for which in _batches(fit, seed, batch, steps):
            x = {k: load(k, which) for k in used}
            target = torch.arange(len(which))
            loss = torch.zeros(())
            for head, (a, b) in zip(heads, pairs.tolist(), strict=True):
                logits = head.embed(0, x[a]) @ head.embed(1, x[b]).T / TEMPERATURE
                loss = loss + torch.nn.functional.cross_entropy(logits, target)
                loss = loss + torch.nn.functional.cross_entropy(logits.T, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if look is not None:
                look()
        out = np.zeros(len(features[0]))
        with torch.no_grad():
            for start in range(0, len(out), _BLOCK):
                which = np.arange(start, min(len(out), start + _BLOCK))
                x = {k: load(k, which) for k in used}
                for head, (a, b), w in zip(heads, pairs.tolist(), weights.tolist(), strict=True):
                    cosine = (head.embed(0, x[a]) * head.embed(1, x[b])).sum(1)
                    out[which] += w * cosine.numpy().astype(np.float64)
                if look is not None:
                    look()
    return out
