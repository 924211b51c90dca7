"""Ingest: a folder in; 20 random clips to see and hear; filters and segmentation; what every step dropped and why."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from explorer import forms, ingest_parts, state
from explorer.state import current_workspace, param

workspace = current_workspace()
st.title("Ingest")
state.show_error(state.workspace_error())

folder: Path | None = None
if workspace is None:
    wanted = param("folder")
    folder = forms.allowed_folder(wanted) if wanted else None
    if folder is None:
        ingest_parts.draw_folder_question()
        st.stop()
elif workspace.roots:
    folder = Path(workspace.roots[0])

if workspace is not None and workspace.artefact("videos") is not None:
    ingest_parts.draw_funnel(workspace)
found = ingest_parts.draw_folder(workspace, folder)
if found is not None and folder is not None:
    ingest_parts.draw_preview(folder, found)
    ingest_parts.draw_settings(workspace, folder, found)
