"""Figures of pre-training: marks go in, Plotly figures in the house look come out. Knows nothing of Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from explorer.charts import empty, short, template
from explorer.theme import palette
from explorer.views.teach import Mark


def rise(marks: Sequence[Mark], *, chance: float | None = None, dark: bool = False, height: int = 320) -> go.Figure:
    """Accuracy (percent, with interval) against the share of right sounds (percent); `chance` a dotted line."""
    if not marks:
        return empty("Accuracy appears when the first seed is done.", dark=dark, height=height)
    colours = palette(dark)
    figure = go.Figure(layout=go.Layout(template=template(dark), height=height, showlegend=False))
    figure.add_scatter(
        x=[mark.at for mark in marks], y=[mark.value for mark in marks], mode="lines+markers",
        line={"color": colours.primary, "width": 2}, marker={"color": colours.primary, "size": 10},
        error_y=_reach(marks), customdata=[[_span(mark)] for mark in marks],
        hovertemplate="%{x:.0f} % right sounds<br>%{y:.1f} % accuracy%{customdata[0]}<extra></extra>",
    )  # fmt: skip
    _chance(figure, chance, dark)
    figure.update_xaxes(title_text="right sounds, % of clips", range=[-4, 104], tickvals=[0, 25, 50, 75, 100])
    low, high = _limits(marks, chance)
    figure.update_yaxes(title_text="top-1 accuracy, %", range=[low, high])
    return figure


def dots(
    marks: Sequence[Mark], *, unit: str, chance: float | None = None, zero: bool = False, dark: bool = False
) -> go.Figure:
    """A line for each mark with its interval; the first one in full colour. `zero`: a line at no difference."""
    if not marks:
        return empty("Numbers appear when the first seed is done.", dark=dark)
    colours = palette(dark)
    layout = go.Layout(template=template(dark), height=88 + 46 * len(marks), showlegend=False)
    figure = go.Figure(layout=layout)
    inks = [colours.primary if zero or i == 0 else colours.muted for i in range(len(marks))]
    for i, (mark, ink) in enumerate(zip(marks, inks)):
        figure.add_scatter(
            x=[mark.value], y=[i], mode="markers", marker={"color": ink, "size": 12},
            error_x=_reach([mark]) | {"color": ink}, customdata=[[_span(mark)]],
            hovertemplate=f"{short(mark.name, 60)}<br>%{{x:.1f}} {unit}%{{customdata[0]}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(marks))), ticktext=[short(mark.name, 34) for mark in marks],
        range=[len(marks) - 0.5, -0.5], showgrid=False, ticksuffix="  ",
        tickfont={"color": colours.text, "size": 13},
    )  # fmt: skip
    low, high = _limits(marks, 0.0 if zero else chance)
    figure.update_xaxes(title_text=unit, range=[low, high], showgrid=True)
    line = {"color": colours.muted, "width": 1.5, "dash": "dot"}
    if zero:
        figure.add_vline(x=0, line=line)
    elif chance is not None:
        figure.add_vline(x=chance, line=line)
        figure.add_annotation(
            x=chance, y=1, yref="paper", yanchor="bottom", text="always the same class", showarrow=False,
            font={"color": colours.muted, "size": 12},
        )  # fmt: skip
    return figure


def _chance(figure: go.Figure, chance: float | None, dark: bool) -> None:
    if chance is None:
        return
    colours = palette(dark)
    figure.add_hline(y=chance, line={"color": colours.muted, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=1, xref="paper", y=chance, text="always the same class", showarrow=False, xanchor="right", yshift=9,
        font={"color": colours.muted, "size": 12},
    )  # fmt: skip


def _reach(marks: Sequence[Mark]) -> dict[str, Any]:
    """Plotly's error bars; none where an interval is not known."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [0 if mark.high is None else mark.high - mark.value for mark in marks],
        "arrayminus": [0 if mark.low is None else mark.value - mark.low for mark in marks],
        "thickness": 1.5,
        "width": 4,
    }


def _limits(marks: Sequence[Mark], other: float | None) -> tuple[float, float]:
    found = [value for mark in marks for value in (mark.low, mark.value, mark.high) if value is not None]
    found += [] if other is None else [other]
    edge = 0.08 * max(max(found) - min(found), 1.0)
    return min(found) - edge, max(found) + edge


def _span(mark: Mark) -> str:
    return "" if mark.low is None or mark.high is None else f"<br>95 % interval {mark.low:.1f} to {mark.high:.1f}"
