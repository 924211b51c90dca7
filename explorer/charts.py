"""The house template, a funnel, and a figure without data: numbers go in, Plotly figures come out. Knows nothing of
Streamlit.

Every figure is drawn in the house template, light or dark, with units on its axes. Show one with
`st.plotly_chart(figure, theme=None, config=charts.CONFIG)`: Streamlit's own theme would replace these colours.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from explorer.theme import category_colors, palette
from explorer.views import words

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
    return escape(words.short(text, room), quote=False)


def _figure(dark: bool, height: int, traces: list[dict[str, Any]], **layout: Any) -> go.Figure:
    """Made at once: Plotly checks what it is given each time that something is added."""
    return go.Figure({"data": traces, "layout": {"template": template(dark), "height": height, **layout}})


__all__ = [
    "CONFIG",
    "empty",
    "funnel",
    "short",
    "template",
]
