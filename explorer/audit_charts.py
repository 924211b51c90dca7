"""Figures of an audit: findings go in, Plotly figures in the house look come out. Knows nothing of Streamlit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from curation.audit_report import BandFound, Group, Share
from explorer.charts import empty, short, template
from explorer.theme import palette

_WAYS = (("seen", "strict", "circle", -0.12), ("seen or plausible", "lenient", "circle-open", 0.12))


def shares(groups: Sequence[Group], *, dark: bool = False, height: int = 0) -> go.Figure:
    """A line for each group: share that is right, percent, with its 95 % interval, counted both ways."""
    known = [group for group in groups if math.isfinite(group.strict.value)]
    if not known:
        return empty("Numbers appear when every group has answers.", dark=dark)
    colours = palette(dark)
    figure = go.Figure(layout=go.Layout(template=template(dark), height=height or 96 + 56 * len(known)))
    for name, way, symbol, offset in _WAYS:
        found: list[Share] = [getattr(group, way) for group in known]
        figure.add_scatter(
            x=[100 * share.value for share in found],
            y=[i + offset for i in range(len(known))],
            mode="markers",
            name=name,
            marker={
                "color": colours.primary,
                "size": 11,
                "symbol": symbol,
                "line": {"width": 2, "color": colours.primary},
            },
            error_x=_reach(found),
            customdata=[[f"{100 * s.low:.0f}–{100 * s.high:.0f}", s.n] for s in found],
            hovertemplate=f"%{{x:.1f}} % {name}<br>95 %% interval %{{customdata[0]}} %<br>"
            "%{customdata[1]} answers<extra></extra>".replace("%%", "%"),
        )
    figure.update_yaxes(
        tickvals=list(range(len(known))), ticktext=[short(group.name, 24) for group in known],
        range=[len(known) - 0.5, -0.5], showgrid=False, ticksuffix="  ",
        tickfont={"color": colours.text, "size": 13},
    )  # fmt: skip
    figure.update_xaxes(title_text="sound comes from what is seen, % of clips", range=[0, 103], showgrid=True)
    return figure


def estimates(bands: Sequence[BandFound], *, dark: bool = False, height: int = 300) -> go.Figure:
    """A dot for each fifth of the score: false share by decoys against the audited one, percent; equal on the line."""
    shown = [b for b in bands if b.band.estimated is not None and math.isfinite(b.strict.value)]
    if not shown:
        return empty("Runs of the method concord carry estimates to hold answers against.", dark=dark, height=height)
    colours = palette(dark)
    figure = go.Figure(layout=go.Layout(template=template(dark), height=height))
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", line={"color": colours.muted, "width": 1.5, "dash": "dot"},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    for name, way, symbol, _ in _WAYS:
        found: list[Share] = [getattr(band, way) for band in shown]
        figure.add_scatter(
            x=[100 * (band.band.estimated or 0.0) for band in shown],
            y=[100 * share.value for share in found],
            mode="markers",
            name=f"not {name}",
            marker={
                "color": colours.primary,
                "size": 11,
                "symbol": symbol,
                "line": {"width": 2, "color": colours.primary},
            },
            error_y=_reach(found),
            customdata=[[f"{b.band.low:.3g} to {b.band.high:.3g}", s.n] for b, s in zip(shown, found)],
            hovertemplate="score %{customdata[0]}<br>%{x:.0f} % estimated, %{y:.0f} % audited<br>"
            "%{customdata[1]} answers<extra></extra>",
        )
    figure.update_xaxes(title_text="false by decoys, % of clips", range=[-2, 102], showgrid=True)
    figure.update_yaxes(title_text="false by ear, %", range=[-2, 102])
    return figure


def _reach(found: Sequence[Share]) -> dict[str, object]:
    """Plotly's error bars of intervals, percent."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (s.high - s.value) for s in found],
        "arrayminus": [100 * (s.value - s.low) for s in found],
        "thickness": 1.5,
        "width": 4,
    }
