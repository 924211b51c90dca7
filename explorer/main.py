"""The frame around every page: settings, style, sidebar with workspace, pages, run and jobs. Then the page itself."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # started by a test or from another folder
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from explorer import access, heap, sidebar  # noqa: E402
from explorer.navigation import available_pages  # noqa: E402
from explorer.state import TITLE_KEY, current_workspace  # noqa: E402

st.set_page_config(page_title="Concord", page_icon=str(ROOT / "assets" / "logo.svg"), layout="wide")
st.html(ROOT / "assets" / "style.css")
st.logo(ROOT / "assets" / "wordmark.svg", size="large", icon_image=ROOT / "assets" / "logo.svg")
access.require()
pages = available_pages()
page = st.navigation([entry for _, entry in pages], position="hidden")
workspace = current_workspace()
st.session_state[TITLE_KEY] = page.title
here = next(info.name for info, entry in pages if entry.url_path == page.url_path)
with st.sidebar:
    sidebar.draw(pages, workspace, here)
page.run()
heap.settle(page.url_path)
