"""Registers an own component from its files: a name goes in, the function that draws it comes out.

The files lie in `assets/`: `common.js` and `common.css` are put before each component's own, so that a component is
one module in the browser. They are sent inline, which needs no network and no package manifest.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

ASSETS = Path(__file__).resolve().parent / "assets"


def renderer(name: str) -> ComponentRenderer:
    """The function that draws the component whose files are `assets/<name>.js` and `assets/<name>.css`."""
    return st.components.v2.component(f"concord_{name}", js=_joined(name, "js"), css=_joined(name, "css"))


def _joined(name: str, kind: str) -> str:
    return "\n".join((ASSETS / f"{part}.{kind}").read_text(encoding="utf-8") for part in ("common", name))


def pending(key: str, name: str) -> Any:
    """The value of the trigger `name` that the component with this key has just sent, or None.

    For use in a component's callback, where the component's result is not there yet.
    """
    state = st.session_state.get(key)
    return None if state is None else getattr(state, name, None)


def notify(handler: Callable[[Any], None] | None, event: Any) -> None:
    """Hands an event to the page's handler, if there are both."""
    if handler is not None and event is not None:
        handler(event)
