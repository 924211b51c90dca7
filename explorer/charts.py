"""Curves and a funnel: arrays go in, Plotly figures come out. Knows nothing of Streamlit.

Every figure is drawn in the house template, light or dark, with units on its axes. Show one with
`st.plotly_chart(figure, theme=None, config=charts.CONFIG)`: Streamlit's own theme would replace these colours.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.theme import category_colors, palette
from explorer.views.breadth import Point

CONFIG: dict[str, Any] = {"displayModeBar": False, "scrollZoom": False, "responsive": True}

_FONT = "Source Sans, Source Sans Pro, system-ui, sans-serif"
_CLEAR = "rgba(0,0,0,0)"


@functools.cache
def template(dark: bool = False) -> go.layout.Template:
    """The house look: no frame, quiet horizontal gridlines, text in the theme's colours."""
    colours = palette(dark)
    axis = {
        "gridcolor": colours.grid,
        "linecolor": colours.border,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"color": colours.muted, "size": 12},
        "title": {"font": {"color": colours.muted, "size": 13}, "standoff": 8},
        "automargin": True,
    }
    layout = go.Layout(
        font={"family": _FONT, "color": colours.text, "size": 13},
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        colorway=category_colors(7, dark),
        margin={"l": 8, "r": 16, "t": 32, "b": 8},
        xaxis={**axis, "showgrid": False, "showline": True},
        yaxis={**axis, "showgrid": True},
        title={"font": {"size": 14}, "x": 0, "xanchor": "left", "xref": "container", "y": 0.98, "yanchor": "top"},
        hoverlabel={"bgcolor": colours.surface, "bordercolor": colours.border, "font": {"color": colours.text}},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": colours.muted}},
        bargap=0.28,
        dragmode=False,
    )
    return go.layout.Template(layout=layout)


def empty(message: str, *, dark: bool = False, height: int = 200) -> go.Figure:
    """A figure without data that says why in its middle."""
    note = {"text": message, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False}
    note["font"] = {"color": palette(dark).muted}
    return _figure(dark, height, [], xaxis={"visible": False}, yaxis={"visible": False}, annotations=[note])


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
    height: int = 320,
) -> go.Figure:
    """Mutual information (nats) against the number of clips selected.

    size: (n,) clips; selection, random, permuted: (n,) nats, NaN where not computed. The controls are the same size
    drawn at random, and the same method on permuted sounds. others: name -> (size, nats) of further runs.
    marker: size to mark with a vertical line. Each line is named at its end; nothing needs a legend.
    """
    if len(size) == 0:
        return empty("The curve appears once the first clips are picked.", dark=dark, height=height)
    colours = palette(dark)
    lines: list[tuple[str, np.ndarray, np.ndarray | None, dict[str, Any]]] = [
        ("random", size, random, {"color": colours.muted, "width": 1.5, "dash": "dot"}),
        ("permuted sounds", size, permuted, {"color": colours.muted, "width": 1.75, "dash": "dash"}),
    ]
    for i, (other, (sizes, nats)) in enumerate((others or {}).items()):
        lines.append((other, sizes, nats, {"color": category_colors(7, dark)[3 + i % 4], "width": 2}))
    lines.append((name, size, selection, {"color": colours.primary, "width": 3}))
    traces: list[dict[str, Any]] = []
    ends: list[tuple[float, float, str, str]] = []
    for label, x, y, line in lines:
        trace = _line(label, x, y, line)
        if trace is not None:
            traces.append(trace)
            ends.append((float(trace["x"][-1]), float(trace["y"][-1]), label, line["color"]))
    notes, shapes = _end_names(ends, height), []
    if marker is not None:
        shapes.append({**_UPRIGHT, "x0": marker, "x1": marker, "line": {"color": colours.text, "width": 1.5}})
        notes.append({"x": marker, "y": 1, "yref": "paper", "yanchor": "bottom", "text": f"{marker:,} clips"})
    reach = max(float(np.max(x)) for _, x, y, _ in lines if y is not None)
    return _figure(
        dark, height, traces,
        margin={**_MARGIN, "r": 132}, hovermode="x unified", showlegend=False, shapes=shapes,
        annotations=[{**note, "showarrow": False} for note in notes],
        xaxis={"title": {"text": "clips selected"}, "range": [0, reach], "tickformat": ",d", "automargin": False},
        yaxis={"title": {"text": "mutual information, nats"}, "rangemode": "tozero", "automargin": False},
    )  # fmt: skip


_MARGIN = {"l": 56, "b": 48}
"""Room for numbers and titles of axes where Plotly is not asked to find it: that draws a figure several times."""
_UPRIGHT = {"type": "line", "yref": "paper", "y0": 0, "y1": 1}
_LEVEL = {"type": "line", "xref": "paper", "x0": 0, "x1": 1}
"""Lines across a whole figure."""


def precision_breadth(
    points: Sequence[Point], *, shown: str = "", random: float | None = None, dark: bool = False, height: int = 320
) -> go.Figure:
    """A dot for each run: how many of its clips correspond (percent, with interval) against its breadth (percent).

    shown: name of the run that the page shows; random: percent of all candidates that correspond, a dotted line.
    Hollow dots are estimates from decoys, filled ones known answers.
    """
    if not points:
        return empty("Known answers or a concord run put runs on this figure.", dark=dark, height=height)
    colours = palette(dark)
    traces: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda point: point.name == shown):  # the shown run lies on top
        colour = colours.primary if point.name == shown else colours.muted
        mark = {"color": colour, "size": 12, "symbol": "circle" if point.how == "known" else "circle-open"}
        reach = None
        if point.high > point.low:
            below, above = point.right - point.low, point.high - point.right
            reach = {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], "thickness": 1.25}
        words = f"{short(point.name, 60)}<br>%{{y:.1f}} % correspond ({point.how})<br>"
        traces.append(
            {
                "type": "scatter", "mode": "markers", "x": [point.breadth], "y": [point.right], "marker": mark,
                "error_y": reach, "showlegend": False,
                "hovertemplate": f"{words}%{{x:.0f}} % of the candidates' effective clusters<extra></extra>",
            }
        )  # fmt: skip
    reach_x = 1.12 * max(100.0, *(point.breadth for point in points))
    notes: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    if random is not None:
        shapes.append({**_LEVEL, "y0": random, "y1": random, "line": {"color": colours.muted, "dash": "dot"}})
        beside = {"x": 0, "xref": "paper", "y": random, "xanchor": "left", "yshift": 9}
        notes.append({**beside, "text": "random", "font": {"color": colours.muted, "size": 12}})
    notes += _point_names(points, shown, reach_x, random, height, dark)
    shares = {"title": {"text": "clips that correspond, %"}, "range": [0, TOP_OF_SHARES], "automargin": False}
    breadth = {"title": {"text": "breadth, % of candidates'"}, "range": [0, reach_x], "ticksuffix": " %", "nticks": 6}
    return _figure(
        dark, height, traces, margin=_MARGIN, shapes=shapes,
        xaxis={**breadth, "automargin": False}, yaxis={**shares, "tickvals": [0, 25, 50, 75, 100]},
        annotations=[{**note, "showarrow": False} for note in notes],
    )  # fmt: skip


TOP_OF_SHARES = 114.0
"""Percent: where an axis of shares ends, so that a name fits above a dot at 100."""


def _point_names(
    points: Sequence[Point], shown: str, reach_x: float, random: float | None, height: int, dark: bool
) -> list[dict[str, Any]]:
    """Names beside their dots, the shown run's first; one that would cover a dot or a name is left to the hover."""
    colours = palette(dark)
    wide, high = 230.0, max(60.0, height - 96.0)  # the plot in pixels, in a narrow column
    at = [(point.breadth / reach_x * wide, point.right / TOP_OF_SHARES * high) for point in points]
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in at]
    for point, (x, _) in zip(points, at):
        taken.append((x - 4, point.low / TOP_OF_SHARES * high, x + 4, point.high / TOP_OF_SHARES * high))
    if random is not None:
        level = random / TOP_OF_SHARES * high
        taken += [(0.0, level, 48.0, level + 18), (0.0, level - 1, wide, level + 1)]
    notes: list[dict[str, Any]] = []
    for i in sorted(range(len(points)), key=lambda i: points[i].name != shown):
        text = points[i].name if len(points[i].name) <= 22 else points[i].name[:21] + "…"
        width, (x, y) = 6.6 * len(text), at[i]
        for anchor, shift_x, shift_y in _PLACES:
            left = x + shift_x - {"left": 0.0, "center": width / 2, "right": width}[anchor]
            box = (left, y + shift_y - 8, left + width, y + shift_y + 8)
            if box[0] < 0 or box[2] > wide + 12 or box[1] < 0 or box[3] > high + 8:
                continue
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                colour = colours.primary if points[i].name == shown else colours.muted
                note = {"x": points[i].breadth, "y": points[i].right, "text": short(text, 22), "xanchor": anchor}
                notes.append({**note, "xshift": shift_x, "yshift": shift_y, "font": {"color": colour, "size": 12}})
                break
    return notes


_PLACES = (
    ("center", 0, 17), ("right", -12, 0), ("left", 12, 0), ("center", 0, -17),
    ("right", 8, 17), ("left", -8, 17), ("right", 8, -17), ("left", -8, -17),
)  # fmt: skip
"""Where a name may stand beside its dot: anchor, pixels to the right, pixels up."""


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def funnel(
    steps: Sequence[tuple[str, int]], *, unit: str = "clips", dark: bool = False, height: int | None = None
) -> go.Figure:
    """What is left after each step, as bars from the top, with what the step lost written beside it."""
    if not steps or steps[0][1] <= 0:
        return empty("Nothing has been counted yet.", dark=dark)
    colours = palette(dark)
    names = [name for name, _ in steps]
    counts = [count for _, count in steps]
    first = counts[0]
    notes = [f"<b>{first:,}</b> {unit}"]
    for before, after in zip(counts, counts[1:]):
        lost = f"  <span style='color:{colours.muted}'>−{before - after:,}</span>" if before > after else ""
        notes.append(f"<b>{after:,}</b> · {100 * after / first:.3g} %{lost}")
    shade = [colours.primary if i == len(steps) - 1 else colours.unselected for i in range(len(steps))]
    bars = {
        "type": "bar", "x": counts, "y": names, "orientation": "h", "marker": {"color": shade, "cornerradius": 2},
        "text": notes, "textposition": "outside", "textfont": {"color": colours.text}, "cliponaxis": False,
        "customdata": names, "hovertemplate": f"%{{y}}<br>%{{x:,}} {unit}<extra></extra>",
    }  # fmt: skip
    labels = {"autorange": "reversed", "showgrid": False, "ticksuffix": "  "}
    return _figure(
        dark, height or 24 + 40 * len(steps), [bars], margin={"t": 8}, bargap=0.35,
        xaxis={"visible": False, "range": [0, first * 1.55]},
        yaxis={**labels, "tickfont": {"color": colours.text, "size": 13}},
    )  # fmt: skip


def short(text: str, room: int) -> str:
    """The text, cut to `room` characters with an ellipsis where it is longer; safe inside Plotly's markup."""
    cut = text if len(text) <= room else text[: room - 1] + "…"
    return cut.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _figure(dark: bool, height: int, traces: list[dict[str, Any]], **layout: Any) -> go.Figure:
    """Made at once: Plotly checks what it is given each time that something is added."""
    return go.Figure({"data": traces, "layout": {"template": template(dark), "height": height, **layout}})


def _line(label: str, x: np.ndarray, y: np.ndarray | None, line: dict[str, Any]) -> dict[str, Any] | None:
    """One line, as far as it is known; None where there is nothing to draw."""
    known = np.zeros(0, bool) if y is None else np.isfinite(np.asarray(y, dtype=np.float64))
    if y is None or not known.any():
        return None
    xs, ys = np.asarray(x)[known], np.asarray(y, dtype=np.float64)[known]
    return {
        "type": "scatter", "x": xs, "y": ys, "mode": "lines" if len(xs) > 1 else "markers", "name": label, "line": line,
        "marker": {"color": line["color"]}, "hovertemplate": "%{y:.3f} nats",
    }  # fmt: skip


def _end_names(ends: list[tuple[float, float, str, str]], height: int) -> list[dict[str, Any]]:
    """Each line's name at its end, moved apart so that no two names cover each other."""
    top = max((y for _, y, _, _ in ends), default=1.0) or 1.0
    room = max(60.0, height - 110.0)
    last, notes = -np.inf, []
    for x, y, label, colour in sorted(ends, key=lambda end: end[1]):
        at = y / top * room
        last = max(at, last + 17.0)
        note = {"x": x, "y": y, "yshift": last - at, "text": short(label, 22), "font": {"color": colour, "size": 12}}
        notes.append({**note, "xanchor": "left", "xshift": 6})
    return notes


__all__ = [
    "CONFIG",
    "empty",
    "funnel",
    "mi_curve",
    "short",
    "template",
]
