"""The cluster page's parts: clusterings as a table, the clusters of one as rows of stills with a reel and a name."""

from __future__ import annotations

from typing import get_args

import numpy as np
import streamlit as st

from curation import names as naming
from curation.errors import ConcordError
from curation.names import NAME_CHARS, NOTE_CHARS, Name
from curation.workspace import Workspace
from explorer import (
    clip_panel,
    cluster_measures,
    cluster_names,
    data,
    forms,
    measures,
    proposed_names,
    recluster_panel,
    run_settings,
)
from explorer.choosers import choose, number, pager, reseed
from explorer.reel_panel import PIECES, SETS, reel
from explorer.state import goto, param, set_params
from explorer.theme import Modality
from explorer.views import clips as clip_views
from explorer.views import clusters as views
from explorer.views import words

A_PAGE = 10
STILLS = 6
VIEWS = {"clips": "Clips", "table": "Table", "compare": "Compare", "counts": "How many"}
_ORDERS: dict[views.Order, str] = {
    "size": "largest first", "number": "by number", "name": "named first", "selected": "most selected first",
    "pure": "purest first", "mixed": "least pure first",
}  # fmt: skip
_NOTES = {"typical": "nearest to the centre", "far": "far from the centre"}


def draw_settings(ws: Workspace) -> None:
    """Counts for all layers and for single ones, the button that makes the clusters, and one that tries them first."""
    wanted = run_settings.Settings()
    run_settings.layer_editor(ws, ws.config, wanted, takes_part=False)
    run_settings.run_button(ws, wanted, "Make clusters", "cluster")
    recluster_panel.draw(ws, wanted.changes)


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
            set_params(on=names[rows[0]], page=None, clip=None, cell=None)

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


def choose_view(ws: Workspace, name: str) -> str:
    """The clustering's title, and which view of it: a key of `VIEWS`."""
    heading, controls = st.columns([1, 1.4], vertical_alignment="center")
    colour = "orange" if is_audio(ws, name) else "green"
    heading.subheader(f":{colour}[{words.literal(words.layer(name))}]", anchor=False)
    with controls, st.container(horizontal_alignment="right"):
        return choose("View", VIEWS, "view", "clips", form="segments", hide_label=True, forget=("page", "cell"))


def choose_against(ws: Workspace, name: str) -> str | None:
    """What purity is told against (`vs` in the address): a label column, another clustering, or nothing."""
    options = cluster_measures.options(ws, name)
    first = next((key for key in options if key.startswith("column:label")), "")
    chosen = choose(
        "Purity against", {"": "nothing", **options}, "vs", first, forget=("cell",),
        help="Share of a cluster's clips that have the value most of them have. Labels are answers: they are shown and "
        "never used by a stage.",
    )  # fmt: skip
    if chosen and cluster_measures.partition(ws, chosen) is None:
        st.caption(f"{words.literal(options[chosen])} has too many different values, or none, to be held against.")
        return None
    return chosen or None


def draw_clusters(ws: Workspace, name: str, run: str | None) -> None:
    """The clusters of one clustering, a page at a time: name, numbers, stills, a reel."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        against = choose_against(ws, name)
        rows = [row for row in cluster_measures.rows(ws, name, run, against) if row.size]
        order = _choose_order(run, against)
        how, seed = _which_examples(ws, name)
    named = {cluster: one.name for cluster, one in cluster_names.names_of(ws, name).items()}
    empty = len(data.sizes(ws, name)) - len(rows)
    note = f" · {words.count(empty, 'clusters')} without a clip" if empty else ""
    st.caption(f"{words.count(len(rows), 'clusters')}, {_ORDERS[order]}{note} · G plays a reel, Shift+G the next one")
    proposed_names.draw_head(ws, name)
    rows = views.ordered(rows, order, named)
    index, page, pages = clip_views.page_of(np.arange(len(rows)), number("page", 1, low=1), A_PAGE)
    shown = [rows[int(i)] for i in index]
    clusters = tuple(row.cluster for row in shown)
    examples = measures.examples(ws, name, clusters, how, PIECES * SETS, seed)
    total = int(data.sizes(ws, name).sum())
    labelled = [row.mostly for row in shown if row.mostly is not None]
    values = iter(cluster_measures.value_names(ws, against, labelled) if against is not None else [])
    for row in shown:
        text = _numbers(row, total, next(values) if row.mostly is not None else "")
        _draw_cluster(ws, name, row, examples.get(row.cluster, np.zeros(0, int)), text, how)
    pager(page, pages)


def _choose_order(run: str | None, against: str | None) -> views.Order:
    orders = {key: text for key, text in _ORDERS.items() if key in get_args(views.Order)}
    if run is None:
        del orders["selected"]
    if against is None:
        del orders["pure"], orders["mixed"]
    return choose("Order", orders, "order", "size", forget=("page",))  # type: ignore[arg-type,return-value]


def _which_examples(ws: Workspace, name: str) -> tuple[clip_views.Examples, int]:
    """Which stills stand for a cluster: random ones by default, as typical ones flatter."""
    how = "random"
    if data.distances(ws, name) is not None:
        options = {"random": "random", "typical": "typical", "far": "far from centre"}
        how = choose("Which", options, "pick", "random")
    return how, reseed("seed", "Others") if how == "random" else 0  # type: ignore[return-value]


def _draw_cluster(
    ws: Workspace,
    name: str,
    row: views.ClusterRow,
    examples: np.ndarray,
    numbers: str,
    how: clip_views.Examples,
) -> None:
    audio, cluster = is_audio(ws, name), row.cluster
    with st.container(gap=None):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            badge = cluster_names.badge(ws, name, cluster, audio=audio)
            st.markdown(f"{badge} **{words.count(row.size)}**", width="stretch")
            modality: Modality = "audio" if audio else "visual"
            title = f"{'sound' if audio else 'picture'} {cluster_names.label(ws, name, cluster)}"
            reel(
                ws, examples, f"cluster.reel.{name}.{cluster}", title=title, ordered=True, total=row.size,
                note=_NOTES.get(how, "random"), modality=modality,
            )  # fmt: skip
            _edit_name(ws, name, cluster)
            if st.button("", key=f"cluster.all.{cluster}", type="tertiary", icon=":material/open_in_new:",
                         help="See all of its clips"):  # fmt: skip
                side = "a" if audio else "v"
                goto("clips", **{f"in_{side}": name, f"k_{side}": cluster})
        said = cluster_names.names_of(ws, name).get(cluster)
        note = f" · {words.literal(said.note, 200)}" if said is not None and said.note else ""
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(f"{numbers}{note}", width="content")
            proposed_names.draw_offer(ws, name, cluster)
        clip_panel.grid(ws, examples[:STILLS], None, f"cluster.grid.{cluster}", tile_width=80)


def _numbers(row: views.ClusterRow, total: int, mostly: str) -> str:
    line = f"{words.percent(row.size / total)} of all"
    if row.selected is not None:
        line += f" · {words.percent(row.selected_share)} selected"
    if row.purity is not None and mostly:
        line += f" · {words.percent(row.purity)} {words.literal(mostly, 60)}"
    return line


# -- names -------------------------------------------------------------------------------------------------------------


def _edit_name(ws: Workspace, name: str, cluster: int) -> None:
    """A small form over the page: the name and the note of one cluster."""
    said = cluster_names.names_of(ws, name).get(cluster)
    box = st.popover(
        "Name", icon=":material/edit:", help="Name and note of this cluster", type="tertiary", on_change="rerun",
        key=f"cluster.name.{name}.{cluster}",
    )  # fmt: skip
    if box.open:
        with box:
            proposed_names.draw_choices(ws, name, cluster)
            _name_form(ws, name, cluster, said)


def _name_form(ws: Workspace, name: str, cluster: int, said: Name | None) -> None:
    if said is not None and said.overlap is not None:
        st.caption(
            f"Named so before the clusters were made anew; {words.percent(said.overlap)} of the clips remembered of it "
            "are here. Save to keep the name."
        )
    key = f"cluster.form.{name}.{cluster}"

    def save() -> None:
        # In a callback, so that the popover may be closed before it is drawn again
        if keep_name(ws, name, cluster, st.session_state[f"{key}.name"], st.session_state[f"{key}.note"]):
            st.session_state[f"cluster.name.{name}.{cluster}"] = False

    with st.form(key, border=False):
        st.text_input("Name", said.name if said else "", max_chars=NAME_CHARS, key=f"{key}.name")
        st.text_area("Note", said.note if said else "", max_chars=NOTE_CHARS, height=80, key=f"{key}.note")
        st.form_submit_button("Save", type="primary", on_click=save)


def keep_name(ws: Workspace, name: str, cluster: int, text: str, note: str) -> bool:
    """Keep a name and a note; a refusal is drawn, and the answer is False."""
    try:
        naming.record(ws, name, cluster, text, note, param("auditor")[:40])
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return False
    return True


def is_audio(ws: Workspace, name: str) -> bool:
    """True for a clustering of sounds."""
    return data.clusterings(ws)[name].get("modality") == "audio"


# -- the opened clip ---------------------------------------------------------------------------------------------------


def draw_opened(ws: Workspace) -> None:
    """The player of the clip in the address, over the page; closing it takes the clip out of the address."""
    row = clip_panel.opened_row(ws)
    if row is not None:
        _dialog(ws, row)


@st.dialog("Clip", width="large", on_dismiss=lambda: set_params(clip=None))
def _dialog(ws: Workspace, row: int) -> None:
    clip_panel.show_player(ws, row, np.array([row]), "cluster.player", height=320)
    clip_panel.show_source(ws, row)
    clip_id = data.clip_at(ws, row).clip_id
    clip_panel.open_in_clips("Why, and its neighbours", "cluster.why", clip=clip_id)
