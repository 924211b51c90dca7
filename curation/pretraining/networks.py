"""The two networks and what joins them: tiny pictures and spectrograms in, features and embeddings out.

`tiny` trains from scratch on a core in minutes and sees pictures one by one; `small` is a residual network of four
blocks, `resnet50` the class of networks of the paper (ACAV100M, arXiv 2101.10803, section 4: 3D-ResNet-50 and
ResNet-50), both with (2+1)D convolutions for pictures (Tran et al. 2018), which see motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from curation.errors import SettingError

EMBEDDING_DIM = 128


@dataclass(frozen=True)
class Size:
    """`widths`: channels of the stages, for pictures and for sounds; `blocks` a stage (none: plain convolutions);
    `expansion`: of a bottleneck block, 1 for a basic one; `frames`: pictures seen together in training, 0 = all.
    """

    picture: tuple[int, ...]
    sound: tuple[int, ...]
    blocks: tuple[int, ...] = ()
    expansion: int = 1
    frames: int = 1


SIZES = {
    "tiny": Size((32, 64, 128, 192), (32, 64, 192)),
    "small": Size((32, 64, 128, 256), (32, 64, 128, 256), (1, 1, 1, 1), frames=0),
    "resnet50": Size((64, 128, 256, 512), (64, 128, 256, 512), (3, 4, 6, 3), 4, frames=0),
}


class AudioVisual(nn.Module):
    """Features of either modality, and heads (two layers, as in SimCLR, arXiv 2002.05709) into one common space."""

    def __init__(self, size: str = "tiny") -> None:
        super().__init__()
        if size not in SIZES:
            raise SettingError(f"There is no network {size!r}.", hint=f"Networks: {', '.join(SIZES)}.")
        self.size, found = size, SIZES[size]
        if found.blocks:
            self.picture: nn.Module = _Residual(3, found.picture, found.blocks, found.expansion, in_time=True)
            self.sound: nn.Module = _Residual(1, found.sound, found.blocks, found.expansion, in_time=False)
        else:
            self.picture, self.sound = _Plain(3, found.picture, 2), _Plain(1, found.sound, 4)
        self.feature_dims = (found.picture[-1] * found.expansion, found.sound[-1] * found.expansion)
        self.picture_head, self.sound_head = (
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, EMBEDDING_DIM)) for dim in self.feature_dims
        )

    def features(self, pictures: torch.Tensor, sounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Float (B, 3, T, C, C) and (B, 1, F, 64) to float (B, d) each: what a linear classifier is given."""
        return self.picture(pictures), self.sound(sounds)

    def forward(self, pictures: torch.Tensor, sounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `features`, then through the heads: float (B, 128) each, for the loss."""
        seen, heard = self.features(pictures, sounds)
        return self.picture_head(seen), self.sound_head(heard)


class _Plain(nn.Module):
    """Convolutions with stride 2, the first with `first`; pictures one by one, their mean over time and place."""

    def __init__(self, n_in: int, widths: tuple[int, ...], first: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for k, n_out in enumerate(widths):
            stride = 2 if k else first
            kernel, edge = (3, 1) if stride == 2 else (stride, 0)  # a stride of 4 looks at patches
            convolution = nn.Conv2d(n_in, n_out, kernel, stride, edge, bias=False)
            layers += [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]
            n_in = n_out
        self.stages = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 4:
            return self.stages(x).mean(dim=(2, 3))
        b, c, t, h, w = x.shape
        single = self.stages(x.transpose(1, 2).reshape(b * t, c, h, w)).mean(dim=(2, 3))
        return single.view(b, t, -1).mean(dim=1)


def _convolution(n_in: int, n_out: int, kernel: int, stride: int, in_time: bool) -> nn.Module:
    """A convolution over pitch and time of a sound, or over place, then time, of pictures."""
    if not in_time:
        return nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
    place = nn.Conv3d(n_in, n_out, (1, kernel, kernel), (1, stride, stride), (0, kernel // 2, kernel // 2), bias=False)
    if kernel == 1:
        return place
    time = nn.Conv3d(n_out, n_out, (3, 1, 1), 1, (1, 0, 0), bias=False)
    return nn.Sequential(place, nn.BatchNorm3d(n_out), nn.ReLU(), time)


class _Block(nn.Module):
    """Basic (expansion 1) or bottleneck block (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, n_in: int, width: int, stride: int, expansion: int, in_time: bool) -> None:
        super().__init__()
        n_out = width * expansion
        plan = [(n_in, width, 3, stride), (width, n_out, 3, 1)]
        if expansion > 1:
            plan = [(n_in, width, 1, 1), (width, width, 3, stride), (width, n_out, 1, 1)]
        norm = nn.BatchNorm3d if in_time else nn.BatchNorm2d
        layers: list[nn.Module] = []
        for a, b, kernel, step in plan:
            layers += [_convolution(a, b, kernel, step, in_time), norm(b), nn.ReLU()]
        self.way = nn.Sequential(*layers[:-1])
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(_convolution(n_in, n_out, 1, stride, in_time), norm(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.way(x) + self.shortcut(x))


class _Residual(nn.Module):
    def __init__(
        self, n_in: int, widths: tuple[int, ...], blocks: tuple[int, ...], expansion: int, in_time: bool
    ) -> None:
        super().__init__()
        norm = nn.BatchNorm3d if in_time else nn.BatchNorm2d
        layers: list[nn.Module] = [_convolution(n_in, widths[0], 5, 2, in_time), norm(widths[0]), nn.ReLU()]
        n_in = widths[0]
        for stage, (width, n_blocks) in enumerate(zip(widths, blocks, strict=True)):
            for k in range(n_blocks):
                layers.append(_Block(n_in, width, 2 if stage and not k else 1, expansion, in_time))
                n_in = width * expansion
        self.stages = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stages(x).flatten(2).mean(dim=2)
