"""What every scene is built from: the look of one clip, two still layers and a moving part.

In: a `Look`. Out: `render` yields uint8 (height, width, 3) pictures. The far layer moves less than the near
one when the camera drifts, which gives depth for the price of two crops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.demo.canvas import DESIGN_HEIGHT, DESIGN_WIDTH, Canvas, Colour, Pixels, blank, crop
from curation.demo.timelines import Numbers, Timeline

MARGIN = 10.0  # design units drawn beyond every border, so that the camera can drift
_FAR_SHARE = 0.35  # how much of the camera's drift the far layer makes


@dataclass(frozen=True)
class Look:
    """All that a scene may vary: named colours, numbers, the timeline, a generator, the size."""

    colours: dict[str, Colour]
    numbers: Numbers
    line: Timeline
    rng: np.random.Generator
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Pixels per design unit."""
        return min(self.width / DESIGN_WIDTH, self.height / DESIGN_HEIGHT)

    @property
    def inset(self) -> tuple[float, float]:
        """Design units between the picture's corner and the design's, where the proportions differ."""
        return 0.5 * (self.width / self.scale - DESIGN_WIDTH), 0.5 * (self.height / self.scale - DESIGN_HEIGHT)

    def layer(self, channels: int) -> Canvas:
        """An empty still layer: 3 channels for the far one, 4 (premultiplied alpha) for the near one."""
        border = int(np.ceil(2 * MARGIN * self.scale)) + 2
        pixels = blank(self.width + border, self.height + border, channels)
        return Canvas(pixels, self.scale, (self.inset[0] + MARGIN, self.inset[1] + MARGIN))


@dataclass(frozen=True)
class Scene:
    """Two still layers, and what moves: `draw(canvas, t_s)` on top of them."""

    far: Pixels
    near: Pixels
    draw: Callable[[Canvas, float], None]


def _drift(look: Look) -> Callable[[float], tuple[float, float]]:
    reach = min(look.numbers["drift"], MARGIN - 1.0)
    period, phase = look.rng.uniform(4.0, 8.0, 2), look.rng.uniform(0.0, 2.0 * np.pi, 2)

    def at(t_s: float) -> tuple[float, float]:
        turn = 2.0 * np.pi * t_s / period + phase
        return reach * float(np.sin(turn[0])), 0.5 * reach * float(np.sin(turn[1]))

    return at


def _vignette(look: Look) -> Pixels:
    x = np.linspace(-1.0, 1.0, look.width, dtype=np.float32)[None, :]
    y = np.linspace(-1.0, 1.0, look.height, dtype=np.float32)[:, None]
    fall = 1.0 - np.float32(look.numbers["vignette"]) * np.minimum(1.0, 0.5 * (x * x + y * y)) ** 1.5
    return (fall * np.float32(255.0 * look.numbers["exposure"]))[..., None]


def render(scene: Scene, look: Look, n_frames: int, fps: int) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a clip; each shows the middle of the time for which it stands."""
    drift, vignette = _drift(look), _vignette(look)
    mirrored = bool(look.rng.random() < 0.5)
    corner = MARGIN * look.scale
    for i in range(n_frames):
        t_s = (i + 0.5) / fps
        dx, dy = drift(t_s)
        far_x, far_y = corner + _FAR_SHARE * dx * look.scale, corner + _FAR_SHARE * dy * look.scale
        pixels = crop(scene.far, far_x, far_y, look.width, look.height)
        near = crop(scene.near, corner + dx * look.scale, corner + dy * look.scale, look.width, look.height)
        pixels *= 1.0 - near[..., 3:]
        pixels += near[..., :3]
        scene.draw(Canvas(pixels, look.scale, (look.inset[0] - dx, look.inset[1] - dy)), t_s)
        pixels *= vignette
        picture = np.clip(pixels + np.float32(0.5), 0.0, 255.0).astype(np.uint8)
        yield picture[:, ::-1] if mirrored else picture
