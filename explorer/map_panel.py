"""The twin maps: colours by a choice in the address; a lasso or box in one marks the same clips in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from curation.workspace import Workspace
from explorer import charts, clip_panel, data, figures, filters, measures
from explorer.choosers import choose
from explorer.state import goto, whole_number
from explorer.theme import palette
from explorer.views import maps as views
from explorer.views import words

SIDES = (("audio", "Sound map", "orange"), ("visual", "Picture map", "green"))
STILLS = 60
TOOLS = {
    "displayModeBar": True, "displaylogo": False, "scrollZoom": True,
    "modeBarButtons": [["lasso2d", "select2d", "pan2d", "resetScale2d"]],
}  # fmt: skip
_MARKED = "map.marked"


@dataclass(frozen=True)
class Coloring:
    """Colours of the drawn points: integer groups with names, or float values; (m,) each, or None."""

    values: np.ndarray | None
    names: list[str] | None
    title: str


def coordinates(ws: Workspace) -> dict[str, np.ndarray]:
    """The maps that were made: modality -> float32 (N, 2)."""
    found = {modality: data.projection(ws, modality) for modality, _, _ in SIDES}
    return {modality: xy for modality, xy in found.items() if xy is not None}


def choose_coloring(ws: Workspace, run: str | None, rows: np.ndarray) -> Coloring:
    """The colour chosen in the address, for the drawn rows."""
    options = {f"k:{name}": f"cluster · {words.layer(name)}" for name in data.clusterings(ws)}
    if run:
        options |= {"selected": "selected or not", "rank": "rank in the selection"}
    if measures.truth(ws) is not None:
        options["truth"] = "known answer (truth_match)"
    if not options:
        return Coloring(None, None, "")
    best = measures.best_pair(ws)
    default = f"k:{best[1]}" if best else next(iter(options))
    chosen = choose("Colour", options, "color", default)
    return _coloring(ws, run, rows, chosen)


def _coloring(ws: Workspace, run: str | None, rows: np.ndarray, chosen: str) -> Coloring:
    if chosen.startswith("k:"):
        name = chosen[2:]
        noun = "sound" if data.clusterings(ws)[name].get("modality") == "audio" else "picture"
        labels = np.asarray(data.assignments(ws, name)[rows])
        return _grouped(views.cluster_groups(labels, noun, limit=500), chosen)
    if chosen == "truth":
        truth, known = measures.truth(ws) or (np.zeros(0, bool), np.zeros(0, bool))
        return _grouped(views.truth_groups(truth[rows], known[rows], ("belong together", "do not")), chosen)
    if chosen == "rank" and run:
        key = measures.rank_key(ws, run)[rows]
        return Coloring(np.asarray(key, np.float64), None, "rank, picked first = low")
    if chosen == "selected" and run:
        mask = data.selected_mask(ws, run)[rows]
        return Coloring(np.where(mask, 0, 1), ["selected", "not selected"], chosen)
    return Coloring(None, None, "")


def _grouped(groups: views.Groups, title: str) -> Coloring:
    unknown = groups.code < 0
    names = [*groups.names, "no value"] if unknown.any() else groups.names
    return Coloring(np.where(unknown, len(groups.names), groups.code), names, title)


def draw_maps(ws: Workspace, maps: dict[str, np.ndarray], rows: np.ndarray, coloring: Coloring) -> np.ndarray:
    """Both maps; returns the marked rows, sorted (empty when nothing is marked)."""
    marked = _marked(ws, rows)
    mask = np.isin(rows, marked) if len(marked) else None
    columns = st.columns(len(maps), gap="medium")
    sides = [side for side in SIDES if side[0] in maps]
    for column, (modality, title, colour) in zip(columns, sides):
        xy = maps[modality][rows]
        placed = np.isfinite(xy).all(1)
        with column:
            st.markdown(f"**:{colour}[{title}]**")
            figure = charts.scatter_map(
                xy[placed],
                None if coloring.values is None else coloring.values[placed],
                names=coloring.names,
                color_title=coloring.title,
                ids=[str(row) for row in rows[placed]],
                selected=None if mask is None else mask[placed],
                modality=modality,  # type: ignore[arg-type]
                dark=figures.is_dark(),
                height=520,
            )
            if mask is not None and not mask[placed].all():
                figure.data[0].name = "not marked"
            figure.update_layout(showlegend=coloring.names is not None and len(coloring.names) <= views.MAX_GROUPS)
            _dress(figure, ws, modality)
            st.plotly_chart(
                figure, theme=None, config=charts.CONFIG | TOOLS,
                key=f"map.{modality}", on_select=lambda side=modality: _keep(ws, side), selection_mode=("lasso", "box"),
            )  # fmt: skip
    return marked


def _dress(figure: go.Figure, ws: Workspace, modality: str) -> None:
    """Names under the pointer, quiet tools, and a view that stays where it was zoomed to."""

    def name_points(trace: Any) -> None:
        if trace.customdata is None:
            return
        clips = data.clip_frame(ws, np.asarray(trace.customdata, np.int64))
        named = zip(clips["path"], clips["start_s"])
        trace.hovertext = [charts.short(clip_panel.caption(path, start_s), 60) for path, start_s in named]
        trace.hovertemplate = "%{hovertext}<extra></extra>"

    figure.for_each_trace(name_points)
    colours = palette(figures.is_dark())
    figure.update_layout(
        dragmode="lasso",
        uirevision=modality,
        legend={"y": -0.02, "yanchor": "top"},  # the tools stand above the map
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": colours.muted, "activecolor": colours.primary},
    )


def _keep(ws: Workspace, modality: str) -> None:
    """A mark was made or taken away in one map: it is now the mark of both."""
    event = st.session_state.get(f"map.{modality}") or {}
    rows = marked_rows(event.get("selection", {}).get("points", []))
    st.session_state[_MARKED] = (str(ws.path), modality, rows)
    filters.mark(ws, rows)


def marked_rows(points: list[Any]) -> np.ndarray:
    """Rows of the points that the browser sent, sorted; what is not one is left out. At most 5,000."""
    found = set()
    for point in points[: views.MAX_POINTS]:
        value = point.get("customdata") if isinstance(point, dict) else None
        value = value[0] if isinstance(value, list | tuple) and value else value
        row = whole_number(str(value)) if isinstance(value, int | str) else None
        if row is not None and row >= 0:
            found.add(row)
    return np.array(sorted(found), dtype=np.int64)


def _marked(ws: Workspace, rows: np.ndarray) -> np.ndarray:
    path, _, marked = st.session_state.get(_MARKED, ("", "", np.zeros(0, np.int64)))
    return np.intersect1d(marked, rows) if path == str(ws.path) else np.zeros(0, np.int64)


def draw_marked(ws: Workspace, run: str | None, marked: np.ndarray) -> None:
    """The marked clips as stills, what they are, and the way to all of them."""
    row = clip_panel.opened_row(ws)
    if not len(marked):
        st.caption("Draw around points in one map: the same clips are marked in the other, and listed here.")
        return
    side = st.session_state[_MARKED][1]
    other = "visual" if side == "audio" else "audio"
    text = f"**{words.count(len(marked))} marked** in the {'sound' if side == 'audio' else 'picture'} map"
    best = measures.best_pair(ws)
    if best is not None:
        layer = best[1] if other == "visual" else best[0]
        spread = views.spread_over(np.asarray(data.assignments(ws, layer)), marked)
        noun = "picture" if other == "visual" else "sound"
        clusters = words.count(spread, f"{noun} clusters")
        text += f" · at least 5 % of them in each of {clusters} ({words.layer(layer)})"
    if run:
        share = float(data.selected_mask(ws, run)[marked].mean())
        text += f" · {words.percent(share)} selected (all {words.percent(float(data.selected_mask(ws, run).mean()))})"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(text, width="content")
        if st.button("Open in Clips", key="map.open", icon=":material/open_in_new:"):
            goto("clips", rows="marked", clip=None)
        if st.button("Take the mark away", key="map.clear", icon=":material/close:", type="tertiary"):
            st.session_state.pop(_MARKED, None)
            for modality, _, _ in SIDES:
                st.session_state.pop(f"map.{modality}", None)
            st.rerun()
    stills, panel = st.columns([2, 1], gap="large") if row is not None else (st.container(), None)
    with stills:
        clip_panel.grid(ws, marked[:STILLS], run, "map.grid", tile_width=120, max_height=420)
        if len(marked) > STILLS:
            st.caption(f"The first {STILLS} of {words.count(len(marked))}.")
    if panel is not None and row is not None:
        with panel:
            clip_panel.show_player(ws, row, marked, "map.player", height=220)
