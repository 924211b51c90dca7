"""Figures of the Evaluate page: views go in, Plotly figures in the house look come out. Knows nothing of Streamlit."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.charts import empty, short, template
from explorer.theme import category_colors, palette
from explorer.views.diversity import Beside
from explorer.views.retrieval import Line

LINES_MAX = 7


def precision_recall(lines: Sequence[Line], *, shown: str = "", dark: bool = False, height: int = 340) -> go.Figure:
    """Precision against recall along each method's ranking, percent; the shown method thick, random dotted."""
    if not lines:
        return empty("Curves appear when a method was tried.", dark=dark, height=height)
    colours = palette(dark)
    figure = go.Figure(layout=go.Layout(template=template(dark), height=height))
    others = [one.name for one in lines if one.name not in (shown, "random")]
    colour = dict(zip(others, category_colors(LINES_MAX + 1, dark)[1:], strict=False))
    for one in sorted(lines, key=lambda one: one.name == shown):
        line = {"color": colour.get(one.name, colours.muted), "width": 1.75, "dash": "solid"}
        if one.name == "random":
            line = {"color": colours.muted, "width": 1.5, "dash": "dot"}
        if one.name == shown:
            line = {"color": colours.primary, "width": 3, "dash": "solid"}
        figure.add_scatter(
            x=one.recall, y=one.precision, mode="lines", name=short(one.name, 24), line=line, customdata=one.size,
            hovertemplate=f"{short(one.name, 40)}<br>%{{y:.1f}} % of the first %{{customdata:.0f}} % are right<br>"
            "%{x:.0f} % of the right ones found<extra></extra>",
        )  # fmt: skip
    figure.update_layout(legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0}, margin_t=12)
    figure.update_xaxes(title_text="right clips found (recall), %", range=[0, 102], showgrid=True)
    figure.update_yaxes(title_text="chosen clips that are right (precision), %", range=[0, 104])
    return figure


def beside(rows: Sequence[Beside], title: str, *, dark: bool = False, height: int = 0) -> go.Figure:
    """A line for each measure: the selection filled, random and content-matched random hollow, percent, intervals."""
    if not rows:
        return empty("Nothing of this was measured.", dark=dark)
    colours = palette(dark)
    figure = go.Figure(layout=go.Layout(template=template(dark), height=height or 104 + 52 * len(rows)))
    for name, field, symbol, colour, offset in (
        ("selection", "subset", "circle", colours.primary, -0.22),
        ("random", "random", "circle-open", colours.muted, 0.0),
        ("content-matched", "matched", "diamond-open", colours.muted, 0.22),
    ):
        known = [(i, value) for i, row in enumerate(rows) if (value := getattr(row, field)) is not None]
        figure.add_scatter(
            x=[value[0] for _, value in known], y=[i + offset for i, _ in known], mode="markers", name=name,
            marker={"color": colour, "size": 10, "symbol": symbol, "line": {"width": 2, "color": colour}},
            cliponaxis=False,
            error_x={
                "type": "data", "symmetric": False, "array": [v[2] - v[0] for _, v in known],
                "arrayminus": [v[0] - v[1] for _, v in known], "thickness": 1.5, "width": 3, "color": colour,
            },
            customdata=[[rows[i].name, _interval(v)] for i, v in known],
            hovertemplate=f"%{{customdata[0]}}, {name}<br>%{{x:.1f}} %, %{{customdata[1]}}<extra></extra>",
        )  # fmt: skip
    _named_rows(figure, [row.name for row in rows], dark)
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0})
    reach = max(max(v[2] for v in (row.subset, row.random, row.matched) if v is not None) for row in rows)
    figure.update_xaxes(title_text=title, range=[0, max(5.0, 1.06 * reach)], showgrid=True)
    return figure


def _interval(found: tuple[float, float, float]) -> str:
    """An interval without width is one that nobody knows: of a single source, say."""
    low, high = found[1:]
    return f"95 % interval {low:.1f}–{high:.1f} %" if high > low else "its interval is not known"


def _named_rows(figure: go.Figure, names: Sequence[str], dark: bool) -> None:
    figure.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[short(name, 30) for name in names],
        range=[len(names) - 0.5, -0.6], showgrid=False, ticksuffix="  ",
        tickfont={"color": palette(dark).text, "size": 13},
    )  # fmt: skip
