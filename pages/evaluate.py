"""Evaluate: does the subset correspond, by ear and by known answers; how broad is it and how skewed."""

from __future__ import annotations

import streamlit as st

from curation import retrieval
from explorer import audit_panel, diversity_panel, retrieval_panel, teach_panel
from explorer.choosers import choose
from explorer.state import current_selection, param, require_workspace

PARTS = {"known": "Known answers", "teach": "Does it teach?", "breadth": "Breadth and skew"}

workspace = require_workspace()
if not retrieval.names(workspace):
    workspace = require_workspace("selections")
st.title("Evaluate")
run = current_selection(workspace)
if run is not None:
    audit_panel.draw(workspace, run)
if not param("audit"):
    part = choose("Question", PARTS, "part", "known", form="segments", hide_label=True, forget=("clip",))
    if part == "known":
        retrieval_panel.show(workspace)
    elif part == "teach":
        teach_panel.show(workspace)
    elif run is not None:
        diversity_panel.show(workspace, run)
    else:
        st.caption("No subset was selected yet: there is nothing to measure.")
