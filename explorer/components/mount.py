"""Registers an own component from its files: a name goes in, the function that draws it comes out.

The files lie in `assets/`: `common.js` and `common.css` are put before each component's own, so that a component is
one module in the browser. They are sent inline, which needs no network and no package manifest.

What a component sends must stand alone: of several triggers before the next run only the last one arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

ASSETS = Path(__file__).resolve().parent / "assets"


def renderer(name: str, *parts: str) -> ComponentRenderer:
    """The function that draws the component whose files are `assets/<name>.js` and `.css`, after those of `parts`."""
    files = ("common", *parts, name)
    return st.components.v2.component(f"concord_{name}", js=_joined(files, "js"), css=_joined(files, "css"))


def _joined(parts: tuple[str, ...], kind: str) -> str:
    files = [ASSETS / f"{part}.{kind}" for part in parts]
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file())


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
