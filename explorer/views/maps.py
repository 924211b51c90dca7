"""Two maps of the same clips: places and values go in; what a canvas draws of a window, and its colours, come out.

A window is (x0, y0, x1, y1) in the map's own numbers. Where few clips are in it they are drawn as points, otherwise as
an image of densities with at most `PIXELS` a side: nothing that leaves here grows with the number of clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.kernels import shuffle
from curation.kernels.raster import inside, majority, occupancy, pixel_of

MAX_POINTS = 5000
MAX_GROUPS = 7
PIXELS = 640
LEAST_PIXELS = 160
STEPS = 24
MARKED_LEVEL = 0.7  # the faintest a pixel with a marked clip is, of full colour
HUES, RINGS = 24, 2
NO_WINDOW = (-1.0, -1.0, 1.0, 1.0)
SHORT = 32767  # places of points are whole numbers from -SHORT to SHORT across the window

Window = tuple[float, float, float, float]
Kind = Literal["plain", "groups", "scale", "share", "hues"]


@dataclass(frozen=True)
class Coloring:
    """`code` uint8 (N,): the colour of every clip, 0 = no value. `colors`: how many colours there are with that one.

    kind: "plain" one colour; "groups" categories called `names`, "other" last where there are too many; "scale" from
    low to high, `ends` say which values; "share" of a yes among the clips of a pixel; "hues" by place on a map.
    """

    kind: Kind
    code: np.ndarray
    colors: int
    names: tuple[str, ...] = ()
    ends: tuple[float, float] = (0.0, 1.0)

    @property
    def levels(self) -> int:
        """Densities that an image tells apart in each colour."""
        return 255 // self.colors


@dataclass(frozen=True)
class Drawn:
    """What a canvas gets of a window.

    Either `image` uint8 (H, W), 0 = no clip, else 1 + colour * levels + level, row 0 on top; or points: `places` int16
    (m, 2) from the window's lower left (-SHORT) to its upper right, `colors` uint8 (m,), `rows` int64 (m,) and
    `marked` bool (m,). Both where a few of many are marked: these as points over the grey of all. `visible` clips lie
    in the window, `visible_marked` of them are marked.
    """

    window: Window
    image: np.ndarray | None
    places: np.ndarray
    colors: np.ndarray
    rows: np.ndarray
    marked: np.ndarray
    visible: int
    visible_marked: int


@dataclass(frozen=True)
class Ground:
    """Which clips lie where in a window, whatever their colours: `pixel` int32 (N,), -1 = outside or without a place;
    `everyone` int64 (height * width,): clips in each pixel; `visible`: in all."""

    window: Window
    pixel: np.ndarray
    everyone: np.ndarray
    height: int
    width: int
    visible: int


def home_window(xy: np.ndarray) -> Window:
    """The window that shows a map, float32 (N, 2), NaN = no place: nearly all of it; the last outliers do not shrink
    the rest, they are found by zooming out."""
    placed = xy[np.isfinite(xy).all(1)]
    if not len(placed):
        return NO_WINDOW
    sample = placed[:: max(1, len(placed) // 200_000)]
    low, high = np.quantile(sample, [0.002, 0.998], axis=0).astype(np.float64)
    reach = np.maximum(high - low, 1e-6) * 0.2
    lowest, highest = placed.min(0).astype(np.float64), placed.max(0).astype(np.float64)
    margin = np.maximum(np.maximum((highest - lowest) * 0.04, np.abs(highest) * 1e-4), 1e-6)
    low, high = np.maximum(low - reach, lowest - margin), np.minimum(high + reach, highest + margin)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def plain(n: int) -> Coloring:
    """All clips in one colour."""
    return Coloring("plain", np.ones(n, np.uint8), 2)


def groups(labels: np.ndarray, names: Sequence[str]) -> Coloring:
    """The seven largest groups a colour each, the rest as "other"; `labels` integer (N,), -1 = no value.

    `names`: what each label is called.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=len(names))
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    kept = np.sort(order[:MAX_GROUPS])
    lookup = np.full(len(sizes) + 1, len(kept) + 1, np.uint8)
    lookup[kept] = np.arange(1, len(kept) + 1)
    lookup[-1] = 0
    called = [names[i] for i in kept] + (["other"] if len(order) > len(kept) else [])
    return Coloring("groups", lookup[labels], len(called) + 1, tuple(called))


def scale(values: np.ndarray) -> Coloring:
    """Numbers (N,), NaN = no value, in `STEPS` even steps between their 1st and 99th percentile."""
    known = np.isfinite(values)
    if not known.any():
        return Coloring("scale", np.zeros(len(values), np.uint8), STEPS + 1)
    low, high = (float(x) for x in np.quantile(values[known], [0.01, 0.99]))
    if high <= low:
        low, high = float(values[known].min()), float(values[known].max())
    width = high - low or 1.0
    step = np.clip(np.nan_to_num((values - low) / width) * STEPS, 0, STEPS - 1)
    return Coloring("scale", np.where(known, 1 + step.astype(np.uint8), 0).astype(np.uint8), STEPS + 1, (), (low, high))


def share(yes: np.ndarray, known: np.ndarray | None, names: tuple[str, str]) -> Coloring:
    """A yes or no of every clip, bool (N,); a pixel of many clips has the colour of their share of yes.

    `names` of no and of yes; `known` bool (N,): where there is an answer, default everywhere.
    """
    code = np.where(yes, STEPS, 1).astype(np.uint8)
    return Coloring("share", code if known is None else np.where(known, code, 0).astype(np.uint8), STEPS + 1, names)


def hues(labels: np.ndarray, xy: np.ndarray, n_clusters: int) -> Coloring:
    """Many clusters: each has the hue of the direction in which it lies on the map `xy` float32 (N, 2), and is darker
    near its middle: clusters that lie near each other have colours alike. `labels` integer (N,), -1 = no value."""
    use = (labels >= 0) & np.isfinite(xy).all(1)
    own, places = labels[use], xy[use]
    sizes = np.bincount(own, minlength=n_clusters)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.stack([np.bincount(own, places[:, i], n_clusters) / sizes for i in range(2)], axis=1)
    middle = np.median(means[sizes > 0], axis=0) if (sizes > 0).any() else np.zeros(2)
    away = means - middle
    angle = np.nan_to_num(np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) % 1)
    reach = np.hypot(away[:, 0], away[:, 1])
    far = reach > (np.median(reach[sizes > 0]) if (sizes > 0).any() else 0)
    color = 1 + RINGS * np.minimum((angle * HUES).astype(np.int64), HUES - 1) + far
    lookup = np.append(color, 0).astype(np.uint8)
    return Coloring("hues", lookup[labels], HUES * RINGS + 1)


def ground(xy: np.ndarray, window: Window) -> Ground:
    """What lies where in a window of a map `xy` float32 (N, 2), NaN = no place."""
    edges = np.array(window, np.float64)
    aspect = (edges[2] - edges[0]) / (edges[3] - edges[1])
    pixel = pixel_of(xy, edges, *_size(PIXELS, aspect))
    n_visible = int(np.count_nonzero(pixel >= 0))
    height, width = _size(max(LEAST_PIXELS, min(PIXELS, int(np.sqrt(n_visible)))), aspect)
    if (height, width) != _size(PIXELS, aspect):
        pixel = pixel_of(xy, edges, height, width)
    return Ground(window, pixel, occupancy(pixel, height * width), height, width, n_visible)


def draw(xy: np.ndarray, ground: Ground, coloring: Coloring, marked: np.ndarray | None = None) -> Drawn:
    """What a canvas draws of a map `xy` float32 (N, 2). `marked` bool (N,): these keep their colour, the others become
    grey; None = nothing is marked."""
    edges, visible = np.array(ground.window, np.float64), ground.pixel >= 0
    held = visible & marked if marked is not None else np.zeros(0, bool)
    n_marked = int(np.count_nonzero(held))
    if ground.visible <= MAX_POINTS:
        return _points(xy, edges, coloring, marked, np.flatnonzero(visible), n_marked)
    everyone = ground.everyone
    if marked is not None and n_marked <= MAX_POINTS:
        points, image = np.flatnonzero(held), _grey(everyone, coloring.levels)
    else:
        points, image = np.zeros(0, np.int64), _image(ground.pixel, everyone, coloring, marked)
    found = _points(xy, edges, coloring, marked, points, n_marked)
    image = image.astype(np.uint8).reshape(ground.height, ground.width)
    return replace(found, image=image, visible=ground.visible)


def _size(longest: int, aspect: float) -> tuple[int, int]:
    """Rows and columns of square pixels, `longest` of them along the longer side."""
    across = longest if aspect >= 1 else longest * aspect
    down = longest if aspect <= 1 else longest / aspect
    return max(1, round(down)), max(1, round(across))


def _points(
    xy: np.ndarray, edges: np.ndarray, coloring: Coloring, marked: np.ndarray | None, rows: np.ndarray, n_marked: int
) -> Drawn:
    share_of = (xy[rows].astype(np.float64) - edges[:2]) / (edges[2:] - edges[:2])
    places = np.clip(np.rint((2 * share_of - 1) * SHORT), -SHORT, SHORT).astype(np.int16)
    held = np.zeros(len(rows), bool) if marked is None else marked[rows]
    window = (float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3]))
    return Drawn(window, None, places, coloring.code[rows], rows, held, len(rows), n_marked)


def _grey(everyone: np.ndarray, levels: int) -> np.ndarray:
    """What is not marked, int64 (pixels,): 0 = no clip, then its density."""
    return np.where(everyone > 0, 1 + _level(everyone, levels), 0)


def _image(pixel: np.ndarray, everyone: np.ndarray, coloring: Coloring, marked: np.ndarray | None) -> np.ndarray:
    """int64 (pixels,): see `Drawn`. `everyone` int64 (pixels,): clips in each pixel."""
    pixels = len(everyone)
    mine = pixel if marked is None else np.where(marked, pixel, np.int32(-1))
    counts = everyone if marked is None else occupancy(mine, pixels)
    if coloring.kind in ("scale", "share"):
        known = np.where(coloring.code > 0, mine, np.int32(-1))
        use = known >= 0
        found = occupancy(known, pixels)
        total = np.bincount(known[use], weights=coloring.code[use], minlength=pixels)
        color = np.rint(total / np.maximum(1, found)).astype(np.int64)
    else:
        color = majority(mine, coloring.code, pixels).astype(np.int64)
    level = _level(counts, coloring.levels)
    if marked is None:
        return np.where(counts > 0, 1 + color * coloring.levels + level, 0)
    level = np.maximum(level, int(MARKED_LEVEL * coloring.levels))  # single ones must be seen among the grey of many
    return np.where(counts > 0, 1 + color * coloring.levels + level, _grey(everyone, coloring.levels))


def _level(counts: np.ndarray, levels: int) -> np.ndarray:
    """Density as one of `levels`, int64: logarithmic, up to the 99.5th percentile of the pixels that have clips."""
    full = counts[counts > 0]
    if not len(full):
        return np.zeros(counts.shape, np.int64)
    top = max(2.0, float(np.quantile(full, 0.995)))
    # A million pixels have few different counts: each one's logarithm is taken once, and from `top` on all are full
    place = np.log(np.maximum(np.arange(int(np.ceil(top)) + 1), 1)) / np.log(top)
    level = np.minimum((place * levels).astype(np.int64), levels - 1)
    return level[np.minimum(counts, len(level) - 1)]


def rows_inside(xy: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Rows int64 (m,), sorted, of the clips whose place on a map `xy` float32 (N, 2) lies in an outline (m, 2)."""
    return np.flatnonzero(inside(xy, np.asarray(outline, np.float64)))


def some_of(rows: np.ndarray, n: int, seed: int = 0) -> np.ndarray:
    """At most `n` of the rows int64 (m,), by hash: the same clips stay in view while a mark grows."""
    if len(rows) <= n:
        return rows
    key = shuffle.hashes(rows, seed)
    chosen = np.argpartition(key, n)[:n]
    return rows[chosen[np.argsort(key[chosen], kind="stable")]]


def spread_over(labels: np.ndarray, rows: np.ndarray, share: float = 0.05) -> int:
    """How many clusters hold at least `share` of the marked `rows`: what a mark in one map becomes in the other."""
    marked = labels[rows]
    marked = marked[marked >= 0]
    if not len(marked):
        return 0
    sizes = np.bincount(marked)
    return int((sizes >= max(1.0, share * len(marked))).sum())


def categories(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A number, int64 (N,), for each distinct value of a column, -1 = none, and the values as texts in their order.

    `values`: numbers, or objects with None where a clip has no value.
    """
    encoded = pa.array(values, from_pandas=True).dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(value) for value in encoded.dictionary.to_pylist()]
