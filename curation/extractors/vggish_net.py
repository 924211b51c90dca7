"""The network VGGish (Hershey et al. 2017, arXiv 1609.09430, configuration A of VGG with four blocks), in torch.

Parameters are named as in the published conversion (`features.0.weight` ... `embeddings.4.bias`), so its file loads
as it is. Log-mel patches in, the pooled activations of the four blocks and the embedding out.
"""

from __future__ import annotations

import torch
from torch import nn

BLOCKS = ((64,), (128,), (256, 256), (512, 512))
EMBEDDING_DIM = 128


class VGGish(nn.Module):
    """Four blocks of 3 x 3 convolutions, each ending in 2 x 2 max-pooling, and three dense layers with ReLU."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = 1
        for block in BLOCKS:
            for n_out in block:
                layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
                n_in = n_out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        dense = (512 * 6 * 4, 4096, 4096, EMBEDDING_DIM)
        self.embeddings = nn.Sequential(
            *(layer for a, b in zip(dense, dense[1:]) for layer in (nn.Linear(a, b), nn.ReLU()))
        )

    def forward(self, patches: torch.Tensor) -> list[torch.Tensor]:
        """Float (n, 96, 64) to five tensors (n, 64), (n, 128), (n, 256), (n, 512), (n, 128).

        The first four are means over time and pitch of what each block gives after its pooling.
        """
        x, pooled = patches[:, None], []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(x.float().mean(dim=(2, 3)))
        # The dense layers were trained on (time, pitch, channel).
        return [*pooled, self.embeddings(x.permute(0, 2, 3, 1).flatten(1)).float()]
