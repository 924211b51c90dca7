"""Evaluate: does the subset correspond? Clips judged by ear, and what the answers tell with their intervals."""

from __future__ import annotations

import streamlit as st

from explorer import audit_panel
from explorer.state import current_selection, require_workspace

workspace = require_workspace("selections")
st.title("Evaluate")
run = current_selection(workspace)
if run is not None:
    audit_panel.draw(workspace, run)
