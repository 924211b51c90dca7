"""Ingest: a folder, a list, metadata or tars in; 20 random clips to see and hear; filters and segmentation; what every
step dropped and why."""

from __future__ import annotations

import streamlit as st

from explorer import ingest_parts, ingest_sources, state
from explorer.state import current_workspace

workspace = current_workspace()
st.title("Ingest")
state.show_error(state.workspace_error())

wanted = ingest_sources.pending()
if workspace is None and wanted is None:
    ingest_sources.draw_question()
    st.stop()
if workspace is not None and workspace.artefact("videos") is not None:
    ingest_parts.draw_funnel(workspace)
spec = wanted
if workspace is not None:
    of_workspace = ingest_sources.draw_sources(workspace)
    spec = wanted or of_workspace
found = ingest_parts.draw_found(workspace, spec)
if found is not None and spec is not None:
    if workspace is not None and wanted is not None:
        ingest_sources.draw_adding(workspace, spec)
    ingest_parts.draw_preview(found)
    if workspace is None or wanted is None:
        changes = ingest_parts.draw_metadata_filters(workspace, spec, found)
        ingest_parts.draw_settings(workspace, spec, found, changes)
