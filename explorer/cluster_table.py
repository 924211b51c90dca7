"""The clusters of one clustering as a table, with names and notes that are edited in place."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from curation import names as naming
from curation.errors import ConcordError
from curation.names import NAME_CHARS, NOTE_CHARS
from curation.workspace import Workspace
from explorer import cluster_measures, cluster_names, data, forms, proposed_names
from explorer.cluster_panel import choose_against, keep_name
from explorer.views import clusters as views
from explorer.views import words

_TURN = "cluster.names.turn"  # a new key for the table after each edit, so that it shows what was kept


def draw(ws: Workspace, name: str, run: str | None) -> None:
    """The table, the largest 500 clusters of it, and [Undo] for the last name."""
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        against = choose_against(ws, name)
        if st.button("Undo last name", icon=":material/undo:", key="cluster.undo",
                     disabled=not cluster_names.names_of(ws, name)):  # fmt: skip
            _undo(ws, name)
    rows = cluster_measures.rows(ws, name, run, against)
    shown, rest = views.shown_and_rest(rows)
    frame = _frame(ws, name, shown, against)
    if not proposed_names.words_of(ws, name):
        frame = frame.drop(columns=["proposed", "accept"])
    key = f"cluster.names.{name}.{st.session_state.get(_TURN, 0)}"
    st.data_editor(
        frame,
        key=key,
        hide_index=True,
        disabled=[column for column in frame if column not in ("name", "note", "accept")],
        column_order=_order(frame, run, against),
        column_config=_columns(against),
        height=min(640, 38 + 35 * max(1, len(frame))),
        on_change=lambda: _keep(ws, name, key, shown),
    )
    if rest is not None:
        many = len([row for row in rows if row.size]) - len(shown)
        total = int(data.sizes(ws, name).sum())
        st.caption(f"and {words.count(many, 'smaller clusters')} with {words.count(rest.size)} "
                   f"({words.percent(rest.size / total)}) not shown here")  # fmt: skip
    lost = [words.literal(one.name, 40) for one in cluster_names.lost_names(ws, name)[:20]]
    if lost:
        st.caption(f"Named before the clusters were made anew, and not found again: {', '.join(lost)}.")
    if any(one.overlap is not None for one in cluster_names.names_of(ws, name).values()):
        st.caption("“?”: named so before the clusters were made anew, and found by the clips they share. Type a name "
                   "to keep it.")  # fmt: skip


def _frame(ws: Workspace, name: str, rows: list[views.ClusterRow], against: str | None) -> pd.DataFrame:
    offered = proposed_names.words_of(ws, name)
    said, total = cluster_names.names_of(ws, name), max(1, int(data.sizes(ws, name).sum()))
    found = []
    labelled = [row.mostly for row in rows if row.mostly is not None]
    values = iter(cluster_measures.value_names(ws, against, labelled) if against is not None else [])
    for row in rows:
        own = said.get(row.cluster)
        mark = "?" if own is not None and own.name and own.overlap is not None else ""
        value = next(values) if against is not None and row.mostly is not None else ""
        found.append(
            {
                "cluster": row.cluster,
                "name": f"{own.name}{mark}" if own is not None else "",
                "proposed": offered[row.cluster][0].word if row.cluster in offered else None,
                "accept": False if row.cluster in offered else None,
                "note": own.note if own is not None else "",
                "clips": row.size,
                "share": 100 * row.size / total,
                "selected": None if row.selected_share is None else 100 * row.selected_share,
                "purity": None if row.purity is None else 100 * row.purity,
                "mostly": value,
            }
        )
    columns = ["cluster", "name", "proposed", "accept", "note", "clips", "share", "selected", "purity", "mostly"]
    return pd.DataFrame(found, columns=columns)


def _order(frame: pd.DataFrame, run: str | None, against: str | None) -> list[str]:
    left_out = ([] if run else ["selected"]) + ([] if against else ["purity", "mostly"])
    return [column for column in frame if column not in left_out]


def _columns(against: str | None) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    return {
        "cluster": number("Cluster", width=58),
        "name": text(
            "Name", width=150, max_chars=NAME_CHARS, help="Click twice to name a cluster; it shows everywhere"
        ),
        "proposed": text("Proposed", width=104, help="By a model that reads words; nobody's name until it is accepted"),
        "accept": st.column_config.CheckboxColumn("Accept", width=76, help="Make the proposed word the name"),
        "note": text("Note", width=90, max_chars=NOTE_CHARS),
        "clips": number("Clips", format="localized", width=50),
        "share": number("Of all", format="%.1f %%", width=54),
        "selected": number("Selected", format="%.0f %%", width=66, help="Of the cluster's clips, by the run shown"),
        "purity": number("Purity", format="%.0f %%", width=58),
        "mostly": text("Mostly", width=84),
    }


def _keep(ws: Workspace, name: str, key: str, rows: list[views.ClusterRow]) -> None:
    """Keep what was typed; a name that is still marked as one of before is not taken for a new one."""
    said = cluster_names.names_of(ws, name)
    for place, change in dict(st.session_state[key].get("edited_rows", {})).items():
        cluster = rows[int(place)].cluster
        if change.get("accept"):
            proposed_names.accept(ws, name, cluster)
            continue
        own = said.get(cluster)
        text = str(change.get("name", own.name if own else "") or "")
        if own is not None and own.overlap is not None and text == f"{own.name}?":
            text = own.name
        note = str(change.get("note", own.note if own else "") or "")
        keep_name(ws, name, cluster, text, note)
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1


def _undo(ws: Workspace, name: str) -> None:
    try:
        naming.undo(ws, name)
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1
    st.rerun()
