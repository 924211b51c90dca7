"""The twin maps: what is looked at, its colours and the marked clips are in the address; a mark is shown in both."""

from __future__ import annotations

import colorsys

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import clip_panel, data, jobs_panel, map_measures, marks, measures, review_panel, routes
from explorer.choosers import choose
from explorer.components.map import Legend, MapEvent, twin_map
from explorer.layout import wrapped
from explorer.state import fill, goto, param, set_params
from explorer.theme import Modality, category_colors, palette, scale_stops
from explorer.views import maps as views
from explorer.views import words

TITLES: dict[Modality, tuple[str, str]] = {"audio": ("Sound map", "orange"), "visual": ("Picture map", "green")}
STILLS = 24
HEIGHT = 480
_WINDOW = {"audio": "wa", "visual": "wv"}
# Loading and compiling; for each clip fitted; for each other one, neighbours included: measured on two cores.
_UMAP_SECONDS = (20.0, 0.0005, 0.00009)
_UMAP_FITTED = 100_000


def choose_view(ws: Workspace, run: str | None) -> tuple[str, str]:
    """The layout and the colour, from the address; beside them what makes the layout that is missing."""
    there = map_measures.layouts(ws)
    first, second, third = wrapped([2.2, 3, 2.8], "map", "bottom")
    with first:
        options = map_measures.color_options(ws, run)
        best = map_measures.best_layer(ws, "visual") or map_measures.best_layer(ws, "audio")
        default = f"k:{best}" if best else "none"
        color = choose("Colour", options, "color", default, forget=())
    with second:
        shown = {name: map_measures.LAYOUTS[name] for name in there}
        if len(there) > 1:
            layout = choose("Layout", shown, "lay", there[0], form="segments", forget=("wa", "wv"))
        else:
            layout = there[0]
            set_params(lay=None)
            _offer_umap(ws, there)
    if data.clusterings(ws):
        with third:
            _choose_names()
    return layout, color


def _choose_names() -> None:
    """Whether clusters are named on the maps: they are, unless the address says `names=no`."""
    fill("map.names", param("names") != "no")
    st.toggle(
        "Names of clusters", key="map.names",
        on_change=lambda: set_params(names=None if st.session_state["map.names"] else "no"),
        help="Where the named and the largest clusters of each map lie most densely: sounds on the sound map, pictures "
        "on the picture map.",
    )  # fmt: skip


def _offer_umap(ws: Workspace, there: list[str]) -> None:
    if "umap" in there or jobs_panel.is_running(ws) or not ws.keys("features"):
        return
    argv = ["project", str(ws.path), "--set", "project.method=umap"]
    if st.button(
        f"Make the UMAP ({expected_umap(data.n_clips(ws))})", key="map.umap", icon=":material/bubble_chart:",
        help="A second layout: clips that are alike lie closer together than on the principal components. Nothing "
        "else on it has a meaning: not the directions, not the distances between groups.",
    ):  # fmt: skip
        jobs_panel.launch(ws, argv, title="Make the UMAP")


def expected_umap(n_clips: int) -> str:
    """About how long both maps take: `about 40 s`, `about 6 min`."""
    start, fitted, placed = _UMAP_SECONDS
    seconds = start + 2 * (fitted * min(n_clips, _UMAP_FITTED) + placed * max(0, n_clips - _UMAP_FITTED))
    return f"about {seconds:.0f} s" if seconds < 100 else f"about {seconds / 60:.0f} min"


@st.fragment
def draw(ws: Workspace, run: str | None, layout: str, color: str) -> None:
    """The maps and what is marked: a mark or a zoom runs this part of the page alone."""
    draw_maps(ws, run, layout, color)
    draw_marked(ws, run)


def draw_maps(ws: Workspace, run: str | None, layout: str, color: str) -> None:
    """Both maps of a layout, each with its title, one under the other where the window is narrow."""
    maps = map_measures.coordinates(ws, layout)
    token = mark_token(ws)
    columns = wrapped([1] * len(maps), "maps")
    for column, modality in zip(columns, maps):
        _draw_map(column, ws, run, layout, color, modality, token)  # type: ignore[arg-type]


def _draw_map(
    column: DeltaGenerator, ws: Workspace, run: str | None, layout: str, color: str, modality: Modality, token: str
) -> None:
    home = map_measures.home(ws, modality, layout)
    window = _window(modality) or home
    drawn = map_measures.drawn(ws, modality, layout, window, color, run, token)
    coloring = map_measures.coloring(ws, run, color, layout)
    title, hue = TITLES[modality]
    layer, names = map_measures.names_on(ws, modality, layout, color) if param("names") != "no" else (None, [])
    with column:
        noted = f" :small[names: {words.literal(words.layer(layer))}]" if layer and names else ""
        st.markdown(f"**:{hue}[{title}]**{noted}")
        twin_map(
            modality=modality,
            home=home,
            window=window,
            image=drawn.image,
            levels=coloring.levels,
            palette={name: colors_of(coloring, modality, name == "dark") for name in ("light", "dark")},
            places=drawn.places,
            colors=drawn.colors,
            rows=drawn.rows,
            marked=drawn.marked,
            has_mark=bool(token),
            visible=drawn.visible,
            legend=legend_of(coloring, modality, color, bool(token), _hues_of(ws, color)),
            label=title,
            names=names,
            point_url=routes.point_url(ws),
            current=_place_of_opened(ws, layout, modality),
            key=f"map.{modality}",
            height=HEIGHT,
            on_event=lambda event: _keep(ws, layout, modality, event),
        )


def _hues_of(ws: Workspace, color: str) -> str:
    return "sound" if color.removeprefix("k:") in measures.names_of(ws, "audio") else "picture"


def _window(modality: str) -> views.Window | None:
    """The window in the address; None without a proper one."""
    try:
        x0, y0, x1, y1 = (float(part) for part in param(_WINDOW[modality])[:100].split(","))
    except ValueError:
        return None
    proper = np.isfinite([x0, y0, x1, y1]).all() and x0 < x1 and y0 < y1 and max(x1 - x0, y1 - y0) > 1e-12
    return (x0, y0, x1, y1) if proper else None


def _place_of_opened(ws: Workspace, layout: str, modality: str) -> tuple[float, float] | None:
    row = data.row_of(ws, param("clip")) if param("clip") else None
    if row is None:
        return None
    x, y = map_measures.coordinates(ws, layout)[modality][row]
    return (float(x), float(y)) if np.isfinite([x, y]).all() else None


def _keep(ws: Workspace, layout: str, modality: Modality, event: MapEvent) -> None:
    """Put what a person did in one map into the address."""
    if event.window is not None:
        set_params(**{_WINDOW[modality]: ",".join(f"{value:.6g}" for value in event.window)})
    elif event.row is not None and 0 <= event.row < data.n_clips(ws):
        set_params(clip=data.clip_at(ws, event.row).clip_id)
    elif event.cleared:
        set_params(rows=None, side=None, clip=None)
    elif event.outline is not None:
        rows = views.rows_inside(map_measures.coordinates(ws, layout)[modality], event.outline)
        if event.how == "add":
            rows = np.concatenate([rows, map_measures.marked_rows(ws, mark_token(ws))])
        _mark(ws, rows, modality)


def _mark(ws: Workspace, rows: np.ndarray, modality: str) -> None:
    if not len(rows):
        set_params(rows=None, side=None, clip=None)
        return
    try:
        set_params(rows=marks.save(ws, rows), side=modality, clip=None)
    except ConcordError as error:  # a disk that is full or read-only: the page says so on its next run
        st.session_state["map.error"] = str(error)


def mark_token(ws: Workspace) -> str:
    """The mark in the address; "" without one that is there."""
    token = param("rows")
    return token if token and len(map_measures.marked_rows(ws, token)) else ""


def colors_of(coloring: views.Coloring, modality: Modality, dark: bool) -> list[str]:
    """#RRGGBB of every colour number of a colouring; number 0 is the grey of "no value" and of "not marked"."""
    tokens = palette(dark)
    grey = tokens.unselected
    if coloring.kind == "plain":
        return [grey, tokens.audio_fill if modality == "audio" else tokens.visual_fill]
    if coloring.kind == "groups":
        return [grey, *category_colors(coloring.colors - 1, dark)]
    if coloring.kind == "hues":
        return [grey, *(_hue(i // views.RINGS, i % views.RINGS, dark) for i in range(views.HUES * views.RINGS))]
    ends = (grey, tokens.primary) if coloring.kind == "share" else None
    stops = ends or scale_stops("count", dark)
    # The faintest end of the count scale is nearly the page itself: points need to be seen.
    first = 0.0 if ends else 0.18
    return [grey, *(_between(stops, first + (1 - first) * i / (views.STEPS - 1)) for i in range(views.STEPS))]


def _hue(step: int, ring: int, dark: bool) -> str:
    lightness = (0.62, 0.45)[ring] if not dark else (0.52, 0.68)[ring]
    parts = colorsys.hls_to_rgb(step / views.HUES, lightness, 0.62)
    return "#" + "".join(f"{round(255 * part):02X}" for part in parts)


def _between(stops: tuple[str, ...], place: float) -> str:
    at = place * (len(stops) - 1)
    low = min(len(stops) - 2, int(at))
    a, b = (tuple(int(stops[low + i][j : j + 2], 16) for j in (1, 3, 5)) for i in (0, 1))
    return "#" + "".join(f"{round(x + (y - x) * (at - low)):02X}" for x, y in zip(a, b))


def legend_of(coloring: views.Coloring, modality: Modality, color: str, has_mark: bool, hues_of: str = "") -> Legend:
    """What the colours mean, under each map; `hues_of`: on which map ("sound", "picture") clusters got their hue."""
    themes = {name: colors_of(coloring, modality, name == "dark") for name in ("light", "dark")}
    unmarked = "grey: not marked" if has_mark else ""
    if coloring.kind == "groups":
        grey = (coloring.code == 0).any() and not has_mark
        names = [*coloring.names, *(["no value"] if grey else [])]
        colors = {name: [*found[1:], *([found[0]] if grey else [])] for name, found in themes.items()}
        return Legend(names=names, colors=colors, note=unmarked)
    if coloring.kind in ("scale", "share"):
        ends = coloring.names or tuple(words.number(value) for value in coloring.ends)
        title = words.layer(color[2:]) if color.startswith("c:") else "score" if color == "score" else ""
        stops = {name: found[1 :: max(1, views.STEPS // 6)] + [found[-1]] for name, found in themes.items()}
        return Legend(title, ends, stops, ramp=True, note=unmarked)
    if coloring.kind == "hues":
        text = f"one hue a cluster: those that lie near each other on the {hues_of} map are alike in colour"
        return Legend(text, note=unmarked)
    return Legend(note=unmarked)


def draw_marked(ws: Workspace, run: str | None) -> None:
    """The marked clips as stills, what they are, and the way to all of them."""
    if "map.error" in st.session_state:
        st.text(st.session_state.pop("map.error"))
    token, row = mark_token(ws), clip_panel.opened_row(ws)
    if param("rows") and not token:
        set_params(rows=None, side=None)
        st.caption("The mark in the address is not kept any more.")
    marked = map_measures.marked_rows(ws, token)
    if len(marked):
        _draw_facts(ws, run, token, marked)
    review_panel.draw_last(ws)
    if not len(marked) and row is None:
        st.caption("Draw around clips in one map: the same clips are marked in the other, and listed here.")
        return
    stills, panel = (
        (st.columns([2, 1], gap="large") if len(marked) else st.columns([1, 1])) if row is not None
        else (st.container(), None)
    )  # fmt: skip
    shown = views.some_of(marked, STILLS)
    if len(marked):
        with stills:
            clip_panel.grid(
                ws, shown, run, "map.grid", tile_width=120, max_height=420, decisions=review_panel.decided(ws, shown)
            )
            if len(marked) > STILLS:
                st.caption(f"{STILLS} of {words.count(len(marked))}, drawn at random.")
    if panel is not None and row is not None:
        with panel:
            clip_panel.show_player(ws, row, shown if len(shown) else np.array([row]), "map.player", height=220)


def _draw_facts(ws: Workspace, run: str | None, token: str, marked: np.ndarray) -> None:
    side = "visual" if param("side") == "visual" else "audio"
    other = "visual" if side == "audio" else "audio"
    text = f"**{words.count(len(marked))} marked** in the {'sound' if side == 'audio' else 'picture'} map"
    layer = map_measures.best_layer(ws, other)
    if layer is not None:
        spread = views.spread_over(data.assignments(ws, layer), marked)
        noun = "picture" if other == "visual" else "sound"
        clusters = words.count(spread, f"{noun} clusters")
        text += f" · at least 5 % of them in each of {clusters} ({words.layer(layer)})"
    if run:
        mask = data.selected_mask(ws, run)
        text += f" · {words.percent(float(mask[marked].mean()))} selected (all {words.percent(float(mask.mean()))})"
    st.markdown(text)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Open in Clips", key="map.open", icon=":material/open_in_new:"):
            goto("clips", rows=token, clip=None)
        where = "sound" if side == "audio" else "picture"
        review_panel.answer_popover(ws, marked, f"the clips marked in the {where} map", "map.all")
        st.button(
            "Unmark", key="map.clear", icon=":material/close:", type="tertiary",
            on_click=lambda: set_params(rows=None, side=None, clip=None),
        )  # fmt: skip


def note(ws: Workspace, layout: str) -> str:
    """What the maps are made of, in a line."""
    total = words.count(data.n_clips(ws))
    if layout == "umap":
        key = f"projections/{next(iter(map_measures.coordinates(ws, layout)))}.umap"
        artefact = ws.artefact(key)
        fitted = int(artefact.info.get("fitted", 0)) if artefact is not None else 0
        drawn = f", fitted on {fitted:,} drawn by hash" if 0 < fitted < data.n_clips(ws) else ""
        return f"all {total}{drawn} · UMAP of each modality's features; only nearness counts, axes have no unit"
    return (
        f"all {total} · two principal components of each modality's features; only nearness counts, axes have no unit"
    )
