"""Entry: `streamlit run streamlit_app.py`. The explorer's pages, and the routes that serve its media from disk."""

import streamlit as st

from explorer.nodelay import lifespan
from explorer.routes import ROUTES

app = st.App("explorer/main.py", routes=ROUTES, lifespan=lifespan)
