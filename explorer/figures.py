"""Draws the house figures in the appearance of the page: a function of `charts` and its arguments go in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from explorer import charts


def is_dark() -> bool:
    """Whether the page is shown dark."""
    return st.context.theme.type == "dark"


def draw(make: Callable[..., go.Figure], *arguments: Any, key: str, alt: str | None = None, **options: Any) -> None:
    """Draw `make(*arguments, dark=..., **options)`."""
    figure = make(*arguments, dark=is_dark(), **options)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key=key, alt=alt)
