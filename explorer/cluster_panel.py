"""The cluster page's parts: clusterings as a table, the clusters of one as rows of stills with a sound to play."""

from __future__ import annotations

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import clip_panel, data, measures, run_settings
from explorer.choosers import choose, number, pager, reseed
from explorer.state import goto, param, set_params
from explorer.views import clips as clip_views
from explorer.views import clusters as views
from explorer.views import words

A_PAGE = 10
STILLS = 6


def draw_settings(ws: Workspace) -> None:
    """Counts for all layers and for single ones, and the button that makes the clusters."""
    wanted = run_settings.Settings()
    run_settings.layer_editor(ws, ws.config, wanted, takes_part=False)
    run_settings.run_button(ws, wanted, "Make clusters", "cluster")


def draw_table(ws: Workspace) -> str:
    """The table of clusterings; returns the chosen one (`on` in the address, else the first)."""
    found = data.clusterings(ws)
    names = list(found)
    chosen = param("on")
    if chosen not in found:
        set_params(on=None)
        chosen = names[0]
    sizes = {name: data.sizes(ws, name) for name in names}
    frame = views.clustering_rows([{"name": name, **info} for name, info in found.items()], sizes)

    def keep() -> None:
        rows = st.session_state["cluster.table"]["selection"]["rows"]
        if rows and rows[0] < len(names):
            set_params(on=names[rows[0]], page=None, clip=None)

    st.dataframe(
        frame,
        key="cluster.table",
        hide_index=True,
        on_select=keep,
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [names.index(chosen)], "columns": [], "cells": []}},
        column_order=["name", "clusters", "smallest", "largest", "inertia", "balance", "clips", "notices"],
        column_config={
            "name": st.column_config.TextColumn("Layer", width=116),
            "clusters": st.column_config.NumberColumn("Clusters", format="localized", width=60),
            "smallest": st.column_config.NumberColumn(
                "Smallest", format="localized", width=62, help="Clips in the smallest cluster"
            ),
            "largest": st.column_config.NumberColumn(
                "Largest", format="localized", width=58, help="Clips in the largest cluster"
            ),
            "inertia": st.column_config.NumberColumn(
                "Inertia, d²", format="%.3g", width=74,
                help="Inertia a clip: the mean squared distance d² of a clip to its centroid; only comparable "
                "within a layer",
            ),
            "balance": st.column_config.NumberColumn(
                "Balance", format="%.2f", width=58, help="exp(entropy of the sizes) / clusters: 1 = all equally large"
            ),
            "clips": st.column_config.NumberColumn("Clips", format="localized", width=60),
            "notices": "Notices",
        },
        height=min(500, 38 + 35 * len(frame)),
    )  # fmt: skip
    return chosen


def draw_clusters(ws: Workspace, name: str, run: str | None) -> None:
    """The clusters of one clustering, largest first, a page at a time."""
    info = data.clusterings(ws)[name]
    rows = [row for row in measures.cluster_rows(ws, name, run) if row.size]
    colour = "orange" if info.get("modality") == "audio" else "green"
    heading, controls = st.columns([1, 2.4], vertical_alignment="bottom")
    heading.subheader(f":{colour}[{words.literal(words.layer(name))}]", anchor=False)
    with controls, st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="right"):
        how, seed = _which_examples(ws, name)
    empty = int(info["n_clusters"]) - len(rows)
    note = f" · {words.count(empty, 'clusters')} without a clip" if empty else ""
    st.caption(f"{words.count(len(rows), 'clusters')}, largest first{note}")
    index, page, pages = clip_views.page_of(np.arange(len(rows)), number("page", 1, low=1), A_PAGE)
    shown = [rows[int(i)] for i in index]
    examples = measures.examples(ws, name, tuple(row.cluster for row in shown), how, STILLS, seed)
    total = sum(row.size for row in rows)
    for row in shown:
        _draw_cluster(ws, name, row, examples.get(row.cluster, np.zeros(0, int)), total)
    pager(page, pages)


def _which_examples(ws: Workspace, name: str) -> tuple[clip_views.Examples, int]:
    """Which stills stand for a cluster: random ones by default, as typical ones flatter."""
    how = "random"
    if data.distances(ws, name) is not None:
        options = {"random": "random", "typical": "typical", "far": "far from centre"}
        how = choose("Which", options, "pick", "random", form="segments", hide_label=True)
    return how, reseed("seed", "Others") if how == "random" else 0  # type: ignore[return-value]


def _draw_cluster(ws: Workspace, name: str, row: views.ClusterRow, members: np.ndarray, total: int) -> None:
    audio = data.clusterings(ws)[name].get("modality") == "audio"
    badge = f":orange-badge[sound {row.cluster}]" if audio else f":green-badge[picture {row.cluster}]"
    with st.container(gap=None):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            line = f"{badge} **{words.count(row.size)}** · {words.percent(row.size / total)} of all"
            if row.selected is not None:
                line += f" · {words.percent(row.selected_share)} selected"
            st.markdown(line, width="content")
            if st.button("See all", key=f"cluster.all.{row.cluster}", type="tertiary", icon=":material/open_in_new:"):
                side = "a" if audio else "v"
                goto("clips", **{f"in_{side}": name, f"k_{side}": row.cluster})
        clip_panel.grid(ws, members, None, f"cluster.grid.{row.cluster}", tile_width=80)


def draw_opened(ws: Workspace) -> None:
    """The player of the clip in the address, over the page; closing it takes the clip out of the address."""
    row = clip_panel.opened_row(ws)
    if row is not None:
        _dialog(ws, row)


@st.dialog("Clip", width="large", on_dismiss=lambda: set_params(clip=None))
def _dialog(ws: Workspace, row: int) -> None:
    clip_panel.show_player(ws, row, np.array([row]), "cluster.player", height=320)
    clip_panel.show_source(ws, row)
    clip_panel.open_in_clips("Why, and its neighbours", "cluster.why", clip=data.clip_at(ws, row)["clip_id"])
