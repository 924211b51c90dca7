"""Map: clips laid out by sound and by picture, side by side; a mark in one map shows in the other."""

from __future__ import annotations

import streamlit as st

from explorer import data, map_panel
from explorer.state import current_selection, empty_state, require_workspace
from explorer.views import maps as views
from explorer.views import words

workspace = require_workspace("clips")
maps = map_panel.coordinates(workspace)
if not maps:
    empty_state("The maps were not made yet.", "Run what is missing", "home")
run = current_selection(workspace)
rows = views.drawn_rows(list(maps.values()))
if not len(rows):
    empty_state("No clip has a place on the maps: none has usable sound or picture.", "See the clips", "clips")
st.title("Map")
top, note = st.columns([1, 2.4], vertical_alignment="bottom")
with top:
    coloring = map_panel.choose_coloring(workspace, run, rows)
total = data.n_clips(workspace)
sampled = f"{words.count(len(rows))} of {total:,}, drawn by hash" if len(rows) < total else f"all {words.count(total)}"
note.caption(
    f"{sampled} · first two principal components of each modality's features; only nearness counts, axes have no unit"
)
marked = map_panel.draw_maps(workspace, maps, rows, coloring)
map_panel.draw_marked(workspace, run, marked)
