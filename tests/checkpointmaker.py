"""Checkpoints with the published parameter names and shapes and random numbers, written out here by hand.

The tables repeat what the publishers' files hold, so that a name or a shape that the networks get wrong is found.
"""

from __future__ import annotations

from pathlib import Path

import torch

VGGISH_FILE = "vggish-10086976.pth"
SLOWFAST_FILE = "SLOWFAST_8x8_R50.pyth"

# torchvggish v0.1: places of the convolutions and dense layers, (out, in).
VGGISH_CONVOLUTIONS = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256), 11: (512, 256), 13: (512, 512)}
VGGISH_DENSE = {0: (4096, 12288), 2: (4096, 4096), 4: (128, 4096)}

# pytorchvideo: blocks 1 to 4, pathway -> (depth, in, inner, out, frames of conv_a).
SLOWFAST_STAGES = {
    1: {0: (3, 80, 64, 256, 1), 1: (3, 8, 8, 32, 3)},
    2: {0: (4, 320, 128, 512, 1), 1: (4, 32, 16, 64, 3)},
    3: {0: (6, 640, 256, 1024, 3), 1: (6, 64, 32, 128, 3)},
    4: {0: (3, 1280, 512, 2048, 3), 1: (3, 128, 64, 256, 3)},
}
SLOWFAST_FUSIONS = {0: 8, 1: 32, 2: 64, 3: 128}


def vggish_shapes() -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape of torchvggish's file."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, (n_out, n_in) in VGGISH_CONVOLUTIONS.items():
        shapes |= {f"features.{place}.weight": (n_out, n_in, 3, 3), f"features.{place}.bias": (n_out,)}
    for place, (n_out, n_in) in VGGISH_DENSE.items():
        shapes |= {f"embeddings.{place}.weight": (n_out, n_in), f"embeddings.{place}.bias": (n_out,)}
    return shapes


def slowfast_shapes() -> dict[str, tuple[int, ...]]:
    """Parameter name -> shape of pytorchvideo's file, with its head."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape

    def norm(name: str, n: int) -> None:
        shapes.update({f"{name}.{key}": (n,) for key in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    for pathway, (n_out, frames) in enumerate([(64, 1), (8, 5)]):
        convolution(f"blocks.0.multipathway_blocks.{pathway}.conv", n_out, 3, frames, 7, 7)
        norm(f"blocks.0.multipathway_blocks.{pathway}.norm", n_out)
    for block, n in SLOWFAST_FUSIONS.items():
        convolution(f"blocks.{block}.multipathway_fusion.conv_fast_to_slow", 2 * n, n, 7, 1, 1)
        norm(f"blocks.{block}.multipathway_fusion.norm", 2 * n)
    for block, pathways in SLOWFAST_STAGES.items():
        for pathway, (depth, n_in, inner, n_out, frames) in pathways.items():
            for i in range(depth):
                name = f"blocks.{block}.multipathway_blocks.{pathway}.res_blocks.{i}"
                if i == 0:
                    convolution(f"{name}.branch1_conv", n_out, n_in, 1, 1, 1)
                    norm(f"{name}.branch1_norm", n_out)
                convolution(f"{name}.branch2.conv_a", inner, n_out if i else n_in, frames, 1, 1)
                norm(f"{name}.branch2.norm_a", inner)
                convolution(f"{name}.branch2.conv_b", inner, inner, 1, 3, 3)
                norm(f"{name}.branch2.norm_b", inner)
                convolution(f"{name}.branch2.conv_c", n_out, inner, 1, 1, 1)
                norm(f"{name}.branch2.norm_c", n_out)
    return shapes | {"blocks.6.proj.weight": (400, 2304), "blocks.6.proj.bias": (400,)}


def tensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random numbers that keep activations near 1."""
    draw = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(7)
        elif len(shape) > 1:
            fan_in = torch.Size(shape[1:]).numel()
            # A dense layer of 50 million numbers is drawn small and repeated: it need not be all new.
            rows = min(shape[0], 256) if fan_in > 4000 else shape[0]
            drawn = torch.randn(rows, *shape[1:], generator=draw) * (1.5 / fan_in) ** 0.5
            made[name] = drawn.repeat(shape[0] // rows, *[1] * (len(shape) - 1))
        elif name.endswith(("running_var", "norm.weight", "norm_a.weight", "norm_b.weight", "branch1_norm.weight")):
            made[name] = 0.75 + 0.5 * torch.rand(shape, generator=draw)
        elif name.endswith("norm_c.weight"):
            made[name] = 0.2 + 0.2 * torch.rand(shape, generator=draw)
        else:
            made[name] = 0.1 * torch.randn(shape, generator=draw)
    return made


def write_vggish(folder: Path) -> Path:
    """torchvggish's file: the parameters themselves."""
    made = tensors(vggish_shapes())
    made["features.0.weight"] *= 0.2  # log-mel values reach from -4.6 to 5
    torch.save(made, folder / VGGISH_FILE)
    return folder / VGGISH_FILE


def write_slowfast(folder: Path) -> Path:
    """pytorchvideo's file: the parameters under `model_state`."""
    torch.save({"model_state": tensors(slowfast_shapes())}, folder / SLOWFAST_FILE)
    return folder / SLOWFAST_FILE
