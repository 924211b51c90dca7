"""Export: what, which format, where; the first rows as they will be written; one Run; the files written so far."""

from __future__ import annotations

import streamlit as st

from explorer import export_parts
from explorer.layout import split
from explorer.state import require_workspace

workspace = require_workspace("clips")
st.title("Export")
choices, rows = split([2, 3])
with choices:
    choice = export_parts.draw_choices(workspace)
with rows:
    export_parts.draw_preview(workspace, choice)
with choices:
    export_parts.draw_run(workspace, choice)
export_parts.draw_files(workspace)
