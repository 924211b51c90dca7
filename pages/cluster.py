"""Cluster: clusterings as a table, counts to tune; the clusters of one as rows with a reel, as a table, compared."""

from __future__ import annotations

import streamlit as st

from explorer import cluster_compare, cluster_panel, cluster_table, counts_panel, data
from explorer.layout import split
from explorer.state import current_selection, require_workspace

workspace = require_workspace("clips")
made = bool(data.clusterings(workspace))
if not made:
    workspace = require_workspace("features")
st.title("Cluster")
left, right = split([1.2, 1.8])
with left:
    chosen = cluster_panel.draw_table(workspace) if made else None
    counts = st.expander("Change the counts", icon=":material/tune:", expanded=not made, on_change="rerun")
    if counts.open:
        with counts:
            cluster_panel.draw_settings(workspace)
with right:
    if chosen is None:
        with st.container(border=True):
            st.text("No clusters were made yet. Choose how many at the left, then make them: they appear here.")
    else:
        view = cluster_panel.choose_view(workspace, chosen)
        if view == "table":
            cluster_table.draw(workspace, chosen, current_selection(workspace))
        elif view == "compare":
            cluster_compare.draw(workspace, chosen)
        elif view == "counts":
            counts_panel.draw(workspace, chosen)
        else:
            cluster_panel.draw_clusters(workspace, chosen, current_selection(workspace))
if chosen is not None:
    cluster_panel.draw_opened(workspace)
