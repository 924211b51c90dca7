"""Contingency: any pair of clusterings as a heatmap; a cell opens its clips."""

from __future__ import annotations

import streamlit as st

from explorer import pair_panel
from explorer.layout import split
from explorer.state import current_selection, empty_state, require_workspace

workspace = require_workspace("clusterings")
if not pair_panel.has_pair(workspace):
    empty_state("There are clusters of one modality only: a table needs sound and picture.", "Make clusters", "cluster")
header = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
header.title("Contingency", width="content")
view = pair_panel.choose_view(header, workspace, current_selection(workspace))
left, right = split([3, 2], "pair")
with left:
    pair_panel.draw_heatmap(view)
    pair_panel.draw_folded(view)
    pair_panel.draw_information(workspace, view)
with right.container(gap="xsmall"):
    pair_panel.draw_cell(workspace, view)
