"""Widgets whose value lives in the address: a parameter's name and its options go in, the chosen value comes out.

The address is the truth: a widget is set from it before it is drawn, and writes to it before the page runs again. A
value that cannot be met (an option that is not there any more) falls back to the default and leaves the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import streamlit as st

from explorer.state import fill, param, set_params, whole_number

Form = Literal["select", "segments"]


def choose(
    label: str,
    options: Mapping[str, str],
    name: str,
    default: str,
    *,
    form: Form = "select",
    help: str | None = None,
    hide_label: bool = False,
    forget: tuple[str, ...] = (),
) -> str:
    """One of `options` (value -> words), kept in the address as `name`; a change drops the parameters in `forget`."""
    value = param(name, default)
    if value not in options:
        value = default
        set_params(**{name: None})
    key = f"choose.{name}"
    fill(key, value)

    def keep() -> None:
        set_params(**{name: st.session_state[key]} | dict.fromkeys(forget))

    visibility: Literal["visible", "collapsed"] = "collapsed" if hide_label else "visible"
    values = list(options)
    if form == "select":
        st.selectbox(
            label, values, format_func=options.__getitem__, key=key, on_change=keep, help=help,
            label_visibility=visibility,
        )  # fmt: skip
    else:
        st.segmented_control(
            label, values, format_func=options.__getitem__, key=key, on_change=keep, help=help, required=True,
            label_visibility=visibility,
        )  # fmt: skip
    return value


def search(label: str, name: str, *, placeholder: str = "", forget: tuple[str, ...] = ()) -> str:
    """A line of text, at most 200 characters, kept in the address as `name`."""
    key = f"choose.{name}"
    fill(key, param(name)[:200])

    def keep() -> None:
        set_params(**{name: st.session_state[key] or None} | dict.fromkeys(forget))

    return st.text_input(label, key=key, on_change=keep, placeholder=placeholder, max_chars=200)


def several(label: str, options: Mapping[str, str], name: str, *, forget: tuple[str, ...] = ()) -> list[str]:
    """Any of `options`, kept in the address as `name`, separated by commas; what is not there is left out."""
    key = f"choose.{name}"
    chosen = [value for value in param(name).split(",") if value in options]
    fill(key, chosen)

    def keep() -> None:
        set_params(**{name: ",".join(st.session_state[key]) or None} | dict.fromkeys(forget))

    st.multiselect(label, list(options), format_func=options.__getitem__, key=key, on_change=keep, placeholder="all")
    return chosen


def number(name: str, default: int, *, low: int = 0, high: int = 2**31 - 1) -> int:
    """A whole number from the address, kept within bounds; `default` where there is none."""
    found = whole_number(param(name))
    return default if found is None else min(high, max(low, found))


def reseed(name: str = "seed", label: str = "Other random ones") -> int:
    """A button that draws other random examples; the seed is in the address."""
    seed = number(name, 0)
    st.button(
        label, key=f"reseed.{name}", icon=":material/casino:", help=f"Seed {seed}",
        on_click=lambda: set_params(**{name: seed + 1}),
    )  # fmt: skip
    return seed


def pager(page: int, pages: int, name: str = "page") -> None:
    """Previous and next page, and which of how many this is; nothing for one page."""
    if param(name) and param(name) != str(page):
        set_params(**{name: page if page > 1 else None})
    if pages <= 1:
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="center"):
        st.button(
            "", key=f"{name}.back", icon=":material/chevron_left:", help="Previous page", disabled=page <= 1,
            on_click=lambda: set_params(**{name: page - 1}),
        )  # fmt: skip
        st.caption(f"page {page:,} of {pages:,}", width="content")
        st.button(
            "", key=f"{name}.on", icon=":material/chevron_right:", help="Next page", disabled=page >= pages,
            on_click=lambda: set_params(**{name: page + 1}),
        )  # fmt: skip
