"""The two figures of a selection, MI against size and precision against breadth: numbers go in, HTML comes out. Knows
nothing of Streamlit.

Drawn as `bars` are, by the browser's own layout (`.curve` in assets/style.css): the page is there a second sooner than
with Plotly, and a moved budget redraws nothing else. Where the pointer rests, the numbers are said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import numpy as np

from explorer.bars import nothing, ticks
from explorer.theme import category_colors, palette
from explorer.views.breadth import Point
from explorer.views.words import short

HEIGHT = 320
NAME_ROOM = 22
HOVERS_MAX = 48
TOP_OF_SHARES = 114.0
"""Percent: where an axis of shares ends, so that a name fits above a dot at 100."""


@dataclass(frozen=True)
class _Line:
    """One line: what it is called, `x` and `y` (n,) as far as they are known, and how it is drawn."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    width: float
    dash: str = ""


@dataclass(frozen=True)
class _Axes:
    """From 0 to `right` and from `bottom` to `top`; a place on them in percent."""

    right: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        return 100 * value / (self.right or 1.0)

    def y(self, value: float) -> float:
        return 100 * (value - self.bottom) / ((self.top - self.bottom) or 1.0)


def mi_curve(
    size: np.ndarray,
    selection: np.ndarray,
    random: np.ndarray | None = None,
    permuted: np.ndarray | None = None,
    *,
    name: str = "selection",
    others: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    marker: int | None = None,
    dark: bool = False,
    height: int = HEIGHT,
) -> str:
    """Mutual information (nats) against the number of clips selected.

    size: (n,) clips; selection, random, permuted: (n,) nats, NaN where not computed. The controls are the same size
    drawn at random, and the same method on permuted sounds. others: name -> (size, nats) of further runs.
    marker: size to mark with an upright line. Each line is named at its end; nothing needs a legend.
    """
    colours = palette(dark)
    lines = [
        _line("random", size, random, colours.muted, 1.75, "2 4"),
        _line("permuted sounds", size, permuted, colours.muted, 1.75, "8 6"),
    ]
    for i, (other, (sizes, nats)) in enumerate((others or {}).items()):
        lines.append(_line(other, sizes, nats, category_colors(7, dark)[3 + i % 4], 2))
    lines.append(_line(name, size, selection, colours.primary, 3))
    known = [line for line in lines if line is not None]
    if not known:
        return nothing("The curve appears once the first clips are picked.", height)
    lowest = min(0.0, *(float(line.y.min()) for line in known))
    top, steps = ticks(max(1e-9, *(float(line.y.max()) for line in known)))
    axes = _Axes(max(float(line.x.max()) for line in known), lowest, top)
    inside = _levels(axes, steps) + _uprights(axes, "{:,.0f}") + _drawn(axes, known) + _ends(axes, known, height)
    if marker is not None:
        inside += f'<span class="mark" style="left:{axes.x(marker):.2f}%"><em>{marker:,} clips</em></span>'
    said = "; ".join(f"{line.name} {line.y[-1]:.3f} nats at {line.x[-1]:,.0f} clips" for line in reversed(known))
    inside += _hovers(axes, known)
    units = ("mutual information, nats", "clips selected")
    return _frame(inside, units, f"Mutual information: {said}", dark=dark, height=height, room="named")


def precision_breadth(
    points: Sequence[Point], *, shown: str = "", random: float | None = None, dark: bool = False, height: int = HEIGHT
) -> str:
    """A dot for each run: how many of its clips correspond (percent, with interval) against its breadth (percent).

    shown: name of the run that the page shows; random: percent of all candidates that correspond, a dotted line.
    Hollow dots are estimates from decoys, filled ones known answers.
    """
    if not points:
        return nothing("Known answers or a concord run put runs on this figure.", height)
    axes = _Axes(1.12 * max(100.0, *(point.breadth for point in points)), 0.0, TOP_OF_SHARES)
    inside = _levels(axes, [0, 25, 50, 75, 100]) + _uprights(axes, "{:g} %")
    if random is not None:
        inside += f'<span class="random" style="bottom:{axes.y(random):.2f}%"><em>random</em></span>'
    for point in sorted(points, key=lambda point: point.name == shown):  # the shown run lies on top
        inside += _dot(axes, point, "shown" if point.name == shown else "")
    for note in point_names(points, shown, axes.right, random, height):
        kind = "shown" if note.of == shown else ""
        inside += (
            f'<span class="beside {note.anchor} {kind}" style="left:calc({axes.x(note.x):.2f}% + {note.right_px}px);'
            f'bottom:calc({axes.y(note.y):.2f}% + {note.up_px}px)">{escape(note.text)}</span>'
        )
    said = "; ".join(f"{point.name} {point.right:.1f} % at breadth {point.breadth:.0f} %" for point in points)
    units = ("clips that correspond, %", "breadth, % of candidates'")
    return _frame(inside, units, f"Precision against breadth: {said}", dark=dark, height=height, room="")


# -- pieces ------------------------------------------------------------------------------------------------------------


def _line(name: str, x: np.ndarray, y: np.ndarray | None, colour: str, width: float, dash: str = "") -> _Line | None:
    """A line as far as it is known; None where there is nothing to draw."""
    if y is None:
        return None
    values = np.asarray(y, dtype=np.float64)
    known = np.isfinite(values)
    return _Line(name, np.asarray(x, np.float64)[known], values[known], colour, width, dash) if known.any() else None


def _levels(axes: _Axes, steps: Sequence[float]) -> str:
    return "".join(f'<span class="line" style="bottom:{axes.y(step):.2f}%"><em>{step:g}</em></span>' for step in steps)


def _uprights(axes: _Axes, form: str) -> str:
    """Numbers below the figure."""
    return "".join(
        f'<span class="tick" style="left:{axes.x(step):.2f}%">{form.format(step)}</span>'
        for step in ticks(axes.right)[1]
        if step <= axes.right
    )


def _drawn(axes: _Axes, lines: Sequence[_Line]) -> str:
    """All lines as one picture that is stretched to its place; a line of one point is a dot."""
    paths = dots = ""
    for line in lines:
        if len(line.x) == 1:
            where = f"left:{axes.x(line.x[0]):.2f}%;bottom:{axes.y(line.y[0]):.2f}%"
            dots += f'<span class="dot" style="{where};--fill:{line.colour}"></span>'
            continue
        at = " ".join(f"{10 * axes.x(x):.1f},{1000 - 10 * axes.y(y):.1f}" for x, y in zip(line.x, line.y))
        paths += (
            f"<polyline points='{at}' fill='none' stroke='{line.colour}' stroke-width='{line.width}' "
            f"stroke-dasharray='{line.dash}' stroke-linejoin='round' vector-effect='non-scaling-stroke'/>"
        )
    picture = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1000 1000' preserveAspectRatio='none'>{paths}</svg>"
    )
    return f'<img class="lines" alt="" src="data:image/svg+xml,{quote(picture)}">' + dots


def _ends(axes: _Axes, lines: Sequence[_Line], height: int) -> str:
    """Each line's name at its end, moved apart so that no two names cover each other."""
    room = max(60.0, height - 110.0)
    last, names = -np.inf, ""
    for line in sorted(lines, key=lambda line: line.y[-1]):
        share = axes.y(float(line.y[-1]))
        at = share / 100 * room
        last = max(at, last + 17.0)
        where = f"left:calc({axes.x(float(line.x[-1])):.2f}% + 6px);bottom:calc({share:.2f}% + {last - at:.0f}px)"
        names += f'<span class="name" style="{where};color:{line.colour}">{escape(short(line.name, NAME_ROOM))}</span>'
    return names


def _hovers(axes: _Axes, lines: Sequence[_Line]) -> str:
    """Strips that say all lines' numbers where the pointer is."""
    main = lines[-1].x
    at = main[np.unique(np.linspace(0, len(main) - 1, min(HOVERS_MAX, len(main))).round().astype(int))]
    edges = np.concatenate([at[:1], (at[1:] + at[:-1]) / 2, at[-1:]])
    strips = ""
    for x, left, right in zip(at, edges, edges[1:]):
        numbers = "\n".join(
            f"{short(line.name, NAME_ROOM)} {np.interp(x, line.x, line.y):.3f}"
            for line in reversed(lines)
            if line.x[0] <= x <= line.x[-1]
        )
        side = "before" if x > axes.right / 2 else "behind"
        strips += (
            f'<span class="at {side}" style="left:{axes.x(left):.2f}%;width:{max(0.5, axes.x(right - left)):.2f}%">'
            f"<em>{x:,.0f} clips, nats\n{escape(numbers)}</em></span>"
        )
    return strips


def _dot(axes: _Axes, point: Point, kind: str) -> str:
    x, y = axes.x(point.breadth), axes.y(point.right)
    said = f"{point.name} · {point.right:.1f} % correspond ({point.how})"
    reach = ""
    if point.high > point.low:
        low, high = axes.y(point.low), axes.y(point.high)
        reach = f'<span class="reach {kind}" style="left:{x:.2f}%;bottom:{low:.2f}%;height:{high - low:.2f}%"></span>'
        said += f", interval {point.low:.0f}–{point.high:.0f} %"
    said += f" · {point.breadth:.0f} % of the candidates' effective clusters"
    how = "" if point.how == "known" else "hollow"
    where = f"left:{x:.2f}%;bottom:{y:.2f}%"
    return f'{reach}<span class="dot {how} {kind}" style="{where}" title="{escape(said, quote=True)}"></span>'


def _frame(inside: str, units: tuple[str, str], said: str, *, dark: bool, height: int, room: str) -> str:
    colours = palette(dark)
    style = (
        f"height:{height}px;--fill:{colours.muted};--primary:{colours.primary};--ink:{colours.text};"
        f"--muted:{colours.muted};--grid:{colours.grid};--border:{colours.border};--surface:{colours.surface}"
    )
    label = escape(said, quote=True)
    return (
        f'<div class="curve {room}" style="{style}" role="img" aria-label="{label}"><div class="plot">'
        f'<span class="unit">{escape(units[0])}</span><div class="area">{inside}</div></div>'
        f'<div class="axis">{escape(units[1])}</div></div>'
    )


# -- names beside dots -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Note:
    """A name beside the dot of run `of` at `x`, `y` (percent); `anchor`: the side of the text that is `right_px` and
    `up_px` away from it."""

    of: str
    text: str
    x: float
    y: float
    anchor: str
    right_px: int
    up_px: int


PLACES = (
    ("center", 0, 17), ("right", -12, 0), ("left", 12, 0), ("center", 0, -17),
    ("right", 8, 17), ("left", -8, 17), ("right", 8, -17), ("left", -8, -17),
)  # fmt: skip
"""Where a name may stand beside its dot: anchor, pixels to the right, pixels up."""


def point_names(points: Sequence[Point], shown: str, reach: float, random: float | None, height: int) -> list[Note]:
    """Names beside their dots, the shown run's first; one that would cover a dot or a name is left to the hover.

    reach: percent at the right edge.
    """
    wide, high = 230.0, max(60.0, height - 96.0)  # the plot in pixels, in a narrow column
    at = [(point.breadth / reach * wide, point.right / TOP_OF_SHARES * high) for point in points]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in at]
    for point, (x, _) in zip(points, at):
        taken.append((x - 4, point.low / TOP_OF_SHARES * high, x + 4, point.high / TOP_OF_SHARES * high))
    if random is not None:
        level = random / TOP_OF_SHARES * high
        taken += [(0.0, level, 48.0, level + 18), (0.0, level - 1, wide, level + 1)]
    notes: list[Note] = []
    for i in sorted(range(len(points)), key=lambda i: points[i].name != shown):
        text, (x, y) = short(points[i].name, NAME_ROOM), at[i]
        width = 6.6 * len(text)
        for anchor, right_px, up_px in PLACES:
            left = x + right_px - {"left": 0.0, "center": width / 2, "right": width}[anchor]
            box = (left, y + up_px - 8, left + width, y + up_px + 8)
            if box[0] < 0 or box[2] > wide + 12 or box[1] < 0 or box[3] > high + 8:
                continue
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                notes.append(Note(points[i].name, text, points[i].breadth, points[i].right, anchor, right_px, up_px))
                break
    return notes


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
