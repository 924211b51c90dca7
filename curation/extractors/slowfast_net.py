"""The network SlowFast 8x8 R50 (Feichtenhofer et al. 2019, arXiv 1812.03982) without its head, in torch.

Two residual networks of 50 layers: the slow one sees 8 frames with 64 to 2048 channels, the fast one 32 frames with
an eighth of the channels. After the stem and the first three stages a convolution over 7 frames with stride 4 carries
what the fast one found to the slow one, beside its channels. Parameters are named as in the published checkpoint
(`blocks.0.multipathway_blocks.0.conv.weight` ...), so its file loads as it is.
"""

from __future__ import annotations

import torch
from torch import nn

from curation.extractors.slowfast_frontend import ALPHA, spread

DEPTHS = (3, 4, 6, 3)
STEM_CHANNELS = 64
BETA = 8  # the slow network's channels over the fast one's
FUSION = 2  # channels carried over, as a multiple of the fast network's
FUSION_FRAMES = 7
# Frames that the first convolution of a residual block sees, by stage: (slow, fast).
TEMPORAL = ((1, 3), (1, 3), (3, 3), (3, 3))


class Stem(nn.Module):
    """A 7 x 7 convolution with stride 2 over 1 (slow) or 5 (fast) frames and a 3 x 3 max-pooling with stride 2."""

    def __init__(self, n_out: int, n_frames: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, n_out, (n_frames, 7, 7), (1, 2, 2), (n_frames // 2, 3, 3), bias=False)
        self.norm = nn.BatchNorm3d(n_out)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, T, H, W) to (n, n_out, T, H / 4, W / 4)."""
        return self.pool(self.norm(self.conv(x)).relu_())


class Bottleneck(nn.Module):
    """Over time (t x 1 x 1), over space (1 x 3 x 3), and up to four times the channels (1 x 1 x 1)."""

    def __init__(self, n_in: int, n_inner: int, n_out: int, n_frames: int, stride: int) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(n_in, n_inner, (n_frames, 1, 1), padding=(n_frames // 2, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(n_inner)
        self.conv_b = nn.Conv3d(n_inner, n_inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.norm_b = nn.BatchNorm3d(n_inner)
        self.conv_c = nn.Conv3d(n_inner, n_out, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, n_in, T, H, W) to (n, n_out, T, H / stride, W / stride)."""
        x = self.norm_a(self.conv_a(x)).relu_()
        x = self.norm_b(self.conv_b(x)).relu_()
        return self.norm_c(self.conv_c(x))


class Residual(nn.Module):
    """A bottleneck beside a shortcut, which is a 1 x 1 x 1 convolution where the shape changes."""

    def __init__(self, n_in: int, n_inner: int, n_out: int, n_frames: int, stride: int) -> None:
        super().__init__()
        self.branch2 = Bottleneck(n_in, n_inner, n_out, n_frames, stride)
        self.changes = n_in != n_out or stride != 1
        if self.changes:
            self.branch1_conv = nn.Conv3d(n_in, n_out, 1, (1, stride, stride), bias=False)
            self.branch1_norm = nn.BatchNorm3d(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As `Bottleneck.forward`."""
        shortcut = self.branch1_norm(self.branch1_conv(x)) if self.changes else x
        return self.branch2(x).add_(shortcut).relu_()


class Stage(nn.Module):
    """Residual blocks one after another; the first one may shrink the picture."""

    def __init__(self, depth: int, n_in: int, n_inner: int, n_out: int, n_frames: int, stride: int) -> None:
        super().__init__()
        self.res_blocks = nn.ModuleList(
            Residual(n_out if i else n_in, n_inner, n_out, n_frames, 1 if i else stride) for i in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As `Bottleneck.forward`."""
        for block in self.res_blocks:
            x = block(x)
        return x


class Fusion(nn.Module):
    """The fast pathway's activations, brought to the slow one's frame rate, put behind the slow one's channels."""

    def __init__(self, n_fast: int) -> None:
        super().__init__()
        self.conv_fast_to_slow = nn.Conv3d(
            n_fast, n_fast * FUSION, (FUSION_FRAMES, 1, 1), (ALPHA, 1, 1), (FUSION_FRAMES // 2, 0, 0), bias=False
        )
        self.norm = nn.BatchNorm3d(n_fast * FUSION)

    def forward(self, slow: torch.Tensor, fast: torch.Tensor) -> torch.Tensor:
        """(n, S, 8, H, W) and (n, F, 32, H, W) to (n, S + 2 F, 8, H, W)."""
        return torch.cat([slow, self.norm(self.conv_fast_to_slow(fast)).relu_()], dim=1)


class TwoPathways(nn.Module):
    """The same step of the slow and the fast network, and the fusion after it (none after the last)."""

    def __init__(self, slow: nn.Module, fast: nn.Module, fusion: nn.Module | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = fusion

    def forward(self, slow: torch.Tensor, fast: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both pathways' activations in and out."""
        slow, fast = (block(x) for block, x in zip(self.multipathway_blocks, (slow, fast)))
        return (slow if self.multipathway_fusion is None else self.multipathway_fusion(slow, fast)), fast


class SlowFast(nn.Module):
    """The stem and four stages of both pathways; `depths` are the residual blocks of each stage."""

    def __init__(self, depths: tuple[int, ...] = DEPTHS) -> None:
        super().__init__()
        n_in, n_out = STEM_CHANNELS, STEM_CHANNELS * 4
        steps = [TwoPathways(Stem(n_in, 1), Stem(n_in // BETA, 5), Fusion(n_in // BETA))]
        for i, (depth, (slow_frames, fast_frames)) in enumerate(zip(depths, TEMPORAL)):
            stride = 1 if i == 0 else 2
            n_inner, fused = n_out // 4, n_in + n_in // BETA * FUSION
            slow = Stage(depth, fused, n_inner, n_out, slow_frames, stride)
            fast = Stage(depth, n_in // BETA, n_inner // BETA, n_out // BETA, fast_frames, stride)
            steps.append(TwoPathways(slow, fast, Fusion(n_out // BETA) if i < len(depths) - 1 else None))
            n_in, n_out = n_out, n_out * 2
        self.blocks = nn.ModuleList(steps)

    def forward(self, windows: torch.Tensor) -> list[torch.Tensor]:
        """Float (n, 3, T, H, W), T a multiple of 4, to five tensors (n, 88), (n, 352), (n, 704), (n, 1408), (n, 2304).

        Each is the mean over time and space of the slow and then the fast channels after a step and its fusion.
        """
        n_frames = windows.shape[2]
        slow_frames = torch.from_numpy(spread(n_frames, n_frames // ALPHA)).to(windows.device)
        slow, fast = windows.index_select(2, slow_frames), windows
        pooled = []
        for step in self.blocks:
            slow, fast = step(slow, fast)
            pooled.append(torch.cat([x.float().mean(dim=(2, 3, 4)) for x in (slow, fast)], dim=1))
        return pooled
