"""Map: clips laid out by sound and by picture, side by side; a mark in one map shows in the other."""

from __future__ import annotations

import numpy as np
import streamlit as st

from explorer import map_measures, map_panel
from explorer.state import current_selection, empty_state, require_workspace

workspace = require_workspace("clips")
there = map_measures.layouts(workspace)
if not there:
    empty_state("The maps were not made yet.", "Run what is missing", "home")
if not any(np.isfinite(xy[:, 0]).any() for xy in map_measures.coordinates(workspace, there[0]).values()):
    empty_state("No clip has a place on the maps: none has usable sound or picture.", "See the clips", "clips")
run = current_selection(workspace)
header = st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute")
header.title("Map", width="content")
layout, color = map_panel.choose_view(workspace, run)
header.caption(map_panel.note(workspace, layout))
map_panel.draw(workspace, run, layout, color)
