"""Clips: filters and order, a grid of stills, one player, and why a clip was picked or not."""

from __future__ import annotations

import streamlit as st

from explorer import clip_panel, filters
from explorer.choosers import number, pager
from explorer.state import current_selection, require_workspace
from explorer.views import clips as views
from explorer.views import words

workspace = require_workspace("clips")
st.title("Clips")
run = current_selection(workspace)
found = filters.active(workspace, run)
conditions, order = st.columns([2.2, 1], vertical_alignment="bottom")
with conditions, st.container(horizontal=True, vertical_alignment="bottom"):
    filters.draw_editor(workspace, run)
    filters.draw_active(found)
with order, st.container(horizontal=True, vertical_alignment="bottom"):
    sort, seed = filters.draw_sort(workspace, run)
rows = filters.ordered_rows(workspace, run, found, sort, seed)
shown, page, pages = views.page_of(rows, number("page", 1, low=1))
st.caption(clip_panel.count_line(workspace, rows, run, filtered=bool(found)))
if not len(rows):
    with st.container(border=True):
        st.text("No clip meets all of these conditions. Take one away.")
    st.stop()
grid, panel = st.columns([1.2, 1], gap="medium")
with grid:
    badges = filters.badges(workspace, run, sort, shown)
    clip_panel.grid(workspace, shown, run, "clips.grid", badges=badges, max_height=760)
    pager(page, pages)
with panel:
    row = clip_panel.opened_row(workspace)
    if row is None:
        row = int(shown[0])
    clip_panel.show_player(workspace, row, rows, "clips.player", height=260)
    clip_panel.show_why(workspace, row, run)
    if row not in rows:
        st.caption(f"This clip is not among the {words.count(len(rows))} that meet the conditions.")
