"""Columns that a narrow window stacks or wraps: widths go in, columns out. `assets/style.css` says how narrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

Align = Literal["top", "bottom"]


def split(widths: Sequence[float], name: str = "page") -> list[DeltaGenerator]:
    """The large parts of a page side by side; one above the other where the window is narrow."""
    with st.container(key=f"split-{name}"):
        return st.columns(widths, gap="large")


def wrapped(widths: Sequence[float], name: str, align: Align = "top") -> list[DeltaGenerator]:
    """Small things in a row, on several lines where the window is narrow; `name` is the row's own on its page."""
    with st.container(key=f"wrap-{name}"):
        return st.columns(widths, vertical_alignment=align)
