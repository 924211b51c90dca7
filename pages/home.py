"""Home: the demo, an own folder, results made elsewhere; recent workspaces; what is done and what is missing."""

from __future__ import annotations

import streamlit as st

from explorer import home_parts, jobs_panel
from explorer.state import current_workspace, param, show_error, workspace_error

workspace = current_workspace()
home_parts.leave_when_demo_is_done(workspace)
st.title("Concord" if workspace is None else "Home")
show_error(workspace_error())
if workspace is None:
    st.markdown(
        "See and hear how sound and picture go together in your videos, and choose the subset in which they tell most "
        "about each other."
    )
if workspace is not None:
    if param("demo"):
        st.caption("The demo is being made: 160 clips drawn and sounded by recipe, then curated. It opens by itself.")
    jobs_panel.draw(workspace, every_stage=True)
    home_parts.draw_status(workspace)
home_parts.draw_cards()
home_parts.draw_recent()
