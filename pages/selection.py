"""Selection: settings at the left; the live curve, a run's numbers, the funnel and the list of runs at the right."""

from __future__ import annotations

import streamlit as st

from explorer import funnel_panel, recluster_panel, run_panel, run_settings
from explorer.layout import split
from explorer.state import current_selection, require_workspace

workspace = require_workspace("clusterings")
st.title("Selection")
settings, results = split([1, 2.4])
run = current_selection(workspace)
with results:  # before the settings: figures take a browser longest
    if not run_panel.draw_live(workspace):
        if run is None:
            with st.container(border=True):
                st.text("No subset was selected yet. Choose how much at the left, then Run: the curve appears here.")
        else:
            run_panel.draw(workspace, run)
with settings, st.container(border=True):
    wanted = run_settings.draw(workspace)
    recluster_panel.expander(workspace, wanted.changes)
with results:
    funnel_panel.draw(workspace, run, wanted.within, wanted.changes, wanted.clips)
    if run is not None:
        run_panel.draw_runs(workspace, run)
