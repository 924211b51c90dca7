"""Two clusterings of the same clips (or a clustering and a column) held against each other."""

from __future__ import annotations

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import clip_panel, cluster_measures, cluster_names, data
from explorer.choosers import choose
from explorer.cluster_panel import STILLS, is_audio
from explorer.components.heatmap import HeatmapEvent, heatmap
from explorer.reel_panel import drawn, reel
from explorer.state import param, set_params, whole_number
from explorer.theme import Modality
from explorer.views import clusters as views
from explorer.views import contingency as tables
from explorer.views import words

_HELP = (
    "**ARI**, adjusted Rand index, and **AMI**, adjusted mutual information: 1 = the same, 0 = by chance. **NMI**, "
    "mutual information over the mean of both entropies: 1 = the same, above 0 by chance, more so with many clusters."
)


def draw(ws: Workspace, name: str) -> None:
    """Agreement, the overlap as a matrix, and the best partner of each cluster."""
    options = cluster_measures.options(ws, name)
    if not options:
        st.caption("There is no other clustering and no column to compare with.")
        return
    first = next((key for key, info in data.clusterings(ws).items()
                  if key != name and info.get("modality") == data.clusterings(ws)[name].get("modality")),
                 next(iter(options)))  # fmt: skip
    against = choose("Compare with", options, "vs", first, forget=("cell",))
    found = cluster_measures.agreement(ws, name, against)
    if found is None:
        st.caption(f"No clip has a value in both, or {words.literal(options[against])} has too many different values.")
        return
    _numbers(found)
    _matrix(ws, name, against)
    _partners(ws, name, against)


def _numbers(found: views.Agreement) -> None:
    shown = {
        "ARI": words.number(found.rand), "NMI": words.number(found.normalized), "AMI": words.number(found.adjusted),
        "Purity": words.percent(found.purity), "Purity, other way": words.percent(found.other_purity),
    }  # fmt: skip
    for place, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        place.metric(label, value, help=_HELP)
    st.caption(f"of {words.count(found.clips)} with a value in both")


def _matrix(ws: Workspace, name: str, against: str) -> None:
    """Overlap, rows and columns paired so that the best matches lie on the diagonal; a cell plays its clips."""
    other = cluster_measures.partition(ws, against)
    if other is None:
        return
    rows, cols = cluster_measures.fold_of(ws, name), cluster_measures.fold_of(ws, against)
    cells = cluster_measures.matches(ws, name, against)
    counts = np.zeros((len(rows.shown), len(cols.shown)), np.int64)
    np.add.at(counts, (rows.lookup[cells.row], cols.lookup[cells.column]), cells.clips)
    table = tables.PairTable(counts)
    r, c = tables.ordering(table, "match")
    place = _cell(rows, cols)
    marked = None
    if place is not None:
        marked = (int(np.flatnonzero(r == place[0])[0]), int(np.flatnonzero(c == place[1])[0]))

    def keep(event: HeatmapEvent) -> None:
        if event.cell is not None:
            set_params(cell=f"{rows.shown[r[event.cell[0]]]},{cols.shown[c[event.cell[1]]]}", clip=None)

    def shares(axis: int) -> np.ndarray:
        whole = np.maximum(counts.sum(axis=axis, keepdims=True), 1)
        return (100 * counts / whole)[np.ix_(r, c)]

    col_labels = cluster_measures.value_names(ws, against, cols.shown[c].tolist())
    ordered = counts[np.ix_(r, c)].astype(np.float64)
    audio = is_audio(ws, name)
    other_audio = against in data.clusterings(ws) and is_audio(ws, against)
    modality: dict[bool, Modality] = {True: "audio", False: "visual"}
    heatmap(
        ordered,
        hover={"clips": ordered, "% of the row": shares(1), "% of the column": shares(0)},
        row_labels=cluster_names.labels(ws, name, rows.shown[r]),
        col_labels=col_labels,
        row_totals=table.row_totals[r],
        col_totals=table.col_totals[c],
        scale="count",
        unit="clips",
        selected_cell=marked,
        row_modality=modality[audio],
        col_modality=modality[other_audio],
        titles=("", "" if against in data.clusterings(ws) else against.partition(":")[2][:40]),
        key="cluster.overlap",
        height=420,
        on_event=keep,
    )  # fmt: skip
    if place is not None:
        _clips(ws, name, against, int(rows.shown[place[0]]), int(cols.shown[place[1]]))


def _cell(rows: tables.Fold, cols: tables.Fold) -> tuple[int, int] | None:
    """The cell in the address as positions, None where there is none such."""
    values = [whole_number(text) for text in param("cell").split(",")]
    if len(values) != 2 or None in values:
        return None
    r, c = rows.position(int(values[0] or 0)), cols.position(int(values[1] or 0))
    return None if r is None or c is None else (r, c)


def _clips(ws: Workspace, name: str, against: str, cluster: int, value: int) -> None:
    if cluster < 0 or value < 0:
        st.caption("The smaller clusters together: choose a single one to see its clips.")
        return
    members = cluster_measures.members(ws, name, cluster, against, value)
    title = f"{cluster_names.label(ws, name, cluster)} and {cluster_measures.value_names(ws, against, [value])[0]}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{words.literal(title, 90)} · **{words.count(len(members))}**", width="content")
        reel(ws, members, "cluster.overlap.reel", title=title)
    clip_panel.grid(ws, drawn(members, STILLS), None, "cluster.overlap.grid", tile_width=96)


def _partners(ws: Workspace, name: str, against: str) -> None:
    frame = views.best_matches(cluster_measures.matches(ws, name, against))
    frame = frame.assign(
        row=cluster_names.labels(ws, name, frame["row"]),
        column=cluster_measures.value_names(ws, against, frame["column"].astype(int).tolist()),
        of_row=100 * frame["of_row"],
        of_column=100 * frame["of_column"],
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        frame, key="cluster.partners", hide_index=True, height=min(420, 38 + 35 * max(1, len(frame))),
        column_config={
            "row": st.column_config.TextColumn("Cluster"),
            "column": st.column_config.TextColumn("Best match"),
            "clips": number("Clips in both", format="localized"),
            "of_row": number("Of the cluster", format="%.0f %%"),
            "of_column": number("Of the match", format="%.0f %%"),
            "jaccard": number("Jaccard", format="%.2f", help="Clips in both over clips in either"),
        },
    )  # fmt: skip
