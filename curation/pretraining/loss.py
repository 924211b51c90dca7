"""The loss: embeddings of pictures and of their sounds in, how badly each finds its partner in the batch out."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def info_nce(picture: torch.Tensor, sound: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Symmetric InfoNCE, nats (van den Oord, Li and Vinyals 2018, arXiv 1807.03748; both directions averaged).

    `picture`, `sound` float (B, d), row i of one belongs to row i of the other, lengths do not matter; all other rows
    of the batch are negatives. Computed in float32 whatever comes in. log(B) is chance.
    """
    logits = F.normalize(picture.float(), dim=1) @ F.normalize(sound.float(), dim=1).T / temperature
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
