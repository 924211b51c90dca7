"""Cluster: clusterings as a table, counts to tune, and the clusters of one as rows of stills with a sound to play."""

from __future__ import annotations

import streamlit as st

from explorer import cluster_panel, data
from explorer.layout import split
from explorer.state import current_selection, require_workspace

workspace = require_workspace("clips")
made = bool(data.clusterings(workspace))
if not made:
    workspace = require_workspace("features")
st.title("Cluster")
left, right = split([1.4, 1.6])
with left:
    chosen = cluster_panel.draw_table(workspace) if made else None
    with st.expander("Change the counts", icon=":material/tune:", expanded=not made):
        cluster_panel.draw_settings(workspace)
with right:
    if chosen is not None:
        cluster_panel.draw_clusters(workspace, chosen, current_selection(workspace))
    else:
        with st.container(border=True):
            st.text("No clusters were made yet. Choose how many at the left, then make them: they appear here.")
if chosen is not None:
    cluster_panel.draw_opened(workspace)
