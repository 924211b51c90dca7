"""Clips: conditions and order, a grid of stills, one player with keep, drop and maybe, and why a clip was picked."""

from __future__ import annotations

import streamlit as st

from curation.errors import InputError
from explorer import filter_editor, filters, forms, review_panel
from explorer.state import current_selection, require_workspace

workspace = require_workspace("clips")
st.title("Clips")
run = current_selection(workspace)
active = filters.active(workspace, run)
conditions, order = st.columns([2.4, 1], vertical_alignment="bottom")
with conditions, st.container(horizontal=True, vertical_alignment="bottom"):
    filter_editor.draw(workspace, run)
    filter_editor.draw_active(active)
with order, st.container(horizontal=True, vertical_alignment="bottom"):
    chosen = filter_editor.draw_order(workspace, run)
try:
    found = filters.found(workspace, run, active, chosen)
except InputError as error:
    forms.show_problem(error)
    st.stop()
if not len(found.rows):
    with st.container(border=True):
        st.text("No clip meets all of these conditions. Take one away.")
    st.stop()
what = ", ".join(item.words for item in active) or "all clips"
review_panel.browse(workspace, run, found, chosen, what, filtered=bool(active))
