"""The figure of a study of numbers of clusters: rows go in, a Plotly figure in the house look comes out."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from curation.counts import Study
from explorer.charts import empty, template
from explorer.theme import modality_ink, palette


def gain_by_count(study: Study, *, dark: bool = False, height: int = 300) -> go.Figure:
    """Gain over decoys against the number of clusters, with standard errors; permuted sounds beside it, and how far
    seeds agree as a thin line on an axis of its own from 0 to 1.
    """
    if not study.rows:
        return empty("No count could be tried on so few clips.", dark=dark, height=height)
    colours, rows = palette(dark), study.rows
    ink = modality_ink("audio" if study.modality == "audio" else "visual", dark)
    x = [str(row.count) for row in rows]
    figure = go.Figure(layout=go.Layout(template=template(dark), height=height))
    figure.add_scatter(
        x=x, y=[row.agreement for row in rows], name="agreement of seeds (ARI)", yaxis="y2", mode="lines",
        line={"color": colours.muted, "width": 1.5, "dash": "dot"},
        hovertemplate="ARI of two seeds %{y:.2f}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=x, y=[row.permuted for row in rows], name="permuted sounds", mode="lines+markers",
        line={"color": colours.unselected, "width": 2, "dash": "dash"}, marker={"size": 6},
        error_y={"array": [_finite(row.permuted_error) for row in rows], "color": colours.unselected, "thickness": 1.5},
        hovertemplate="permuted sounds %{y:+.3f}<extra></extra>",
    )  # fmt: skip
    proposed = study.proposed
    figure.add_scatter(
        x=x, y=[row.gain for row in rows], name="gain over decoys ± standard error", mode="lines+markers",
        line={"color": ink, "width": 2.5},
        marker={"size": [13 if row.count == proposed else 8 for row in rows], "color": ink,
                "line": {"width": [2.5 if row.count == proposed else 0 for row in rows], "color": colours.text}},
        error_y={"array": [_finite(row.error) for row in rows], "color": ink, "thickness": 1.5},
        customdata=[[100 * row.wins, row.seconds] for row in rows],
        hovertemplate="%{x} clusters · gain %{y:.3f}<br>above a decoy %{customdata[0]:.0f} % of the time"
        "<extra></extra>",
    )  # fmt: skip
    best = study.best
    if best is not None and study.tells and math.isfinite(best.error):
        figure.add_hline(y=best.gain - best.error, line={"color": colours.border, "width": 1})
    low = min(0.0, *(row.gain for row in rows), *(row.permuted for row in rows))
    high = max(row.gain + _finite(row.error) for row in rows)
    figure.update_xaxes(title_text="clusters", type="category")
    figure.update_yaxes(title_text="gain, deviations of decoys", range=[low - 0.05, max(0.2, 1.1 * high)])
    figure.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": [0, 1.02],
            "showgrid": False,
            "title": {"text": "ARI"},
            "tickvals": [0, 0.5, 1],
        },
        margin={"r": 8},
    )
    return figure


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
