"""A map of clips on a canvas: an image of densities or some points go in; an outline, a window or a clip comes out.

Only outlines travel to the server, never the points inside them. Pan and zoom are answered in the browser at once, and
the finer picture follows. Two maps on one page light up the same clip under the pointer. What the browser already
holds is not sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import streamlit as st

from explorer.components.mount import notify, pending, renderer
from explorer.components.packed import HELD_LIMIT, message, pack
from explorer.theme import Modality

MAX_POINTS = 5000
MAX_SIDE = 1024
MAX_CORNERS = 400
MAX_NAMES = 50
_draw = renderer("map")

Window = tuple[float, float, float, float]
How = Literal["replace", "add"]


@dataclass(frozen=True, slots=True)
class MapEvent:
    """What a person did; one of these is set.

    `outline`: float64 (m, 2), m at least 3, in the map's numbers, with `how`: a new mark, or more of it. `window`: what
    is looked at now. `row`: the clip of a point that was clicked. `cleared`: the mark was taken away.
    """

    outline: np.ndarray | None = None
    how: How = "replace"
    window: Window | None = None
    row: int | None = None
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class Legend:
    """What the colours mean. `names` with `colors` for categories; `ramp`: the names stand at the ends of a scale;
    neither: `title` alone. `note`: a line under it."""

    title: str = ""
    names: Sequence[str] = ()
    colors: Mapping[str, Sequence[str]] = field(default_factory=dict)  # "light", "dark": as many as names, or a scale's
    ramp: bool = False
    note: str = ""


def twin_map(
    *,
    modality: Modality,
    home: Window,
    window: Window,
    image: np.ndarray | None,
    levels: int,
    palette: Mapping[str, Sequence[str]],
    places: np.ndarray,
    colors: np.ndarray,
    rows: np.ndarray,
    marked: np.ndarray,
    has_mark: bool,
    visible: int,
    legend: Legend,
    label: str,
    names: Sequence[tuple[float, float, str]] = (),
    point_url: str = "",
    current: tuple[float, float] | None = None,
    key: str,
    height: int = 520,
    on_event: Callable[[MapEvent], None] | None = None,
) -> MapEvent | None:
    """Draws one map and returns what a person did since the last run, or None.

    home: the window of "show all". window: what `image` or the points are of. image: uint8 (H, W), at most `MAX_SIDE`
    a side, row 0 on top: 0 = nothing, else 1 + colour * levels + level. Over it, or alone where it is None, points, at
    most `MAX_POINTS`: `places` int16 (m, 2) from -32767 to 32767 across the window, `colors` uint8 (m,), `rows` (m,),
    `marked` bool (m,).
    palette: "light" and "dark": #RRGGBB of every colour number, 0 = grey. has_mark: unmarked points are drawn grey.
    names: (x, y, text) to write over the map, the most important first; one that would lie on another is left out.
    point_url: address that gives name and still of a clip, `&row=` is added. current: place of the opened clip.
    on_event: called before the script runs again. Raises ValueError if shapes do not fit.
    """
    held_key = f"{key}:held"
    if image is not None and (image.ndim != 2 or max(image.shape) > MAX_SIDE):
        raise ValueError(f"a map's image has at most {MAX_SIDE} pixels a side, got an array of shape {image.shape}")
    if len(places) > MAX_POINTS or not len(places) == len(colors) == len(rows) == len(marked):
        raise ValueError(f"a map takes at most {MAX_POINTS} points, each with a colour, a row and a mark")

    def receive(name: str) -> None:
        sent = pending(key, name)
        if isinstance(sent, Mapping) and isinstance(sent.get("held"), list):
            st.session_state[held_key] = [str(digest) for digest in sent["held"]][-HELD_LIMIT:]
        notify(on_event, _event(name, sent))

    def resend() -> None:
        st.session_state[held_key] = []

    held_by = {"places": np.int16, "colors": np.uint8, "rows": np.uint32, "marked": np.uint8}
    parts = [] if image is None else [("image", image)]
    if image is None or len(places):
        points = (places, colors, rows, marked)
        parts += [(name, np.asarray(array, kind)) for (name, kind), array in zip(held_by.items(), points)]
    packed = pack(parts)
    header = {
        "arrays": packed.specs,
        "digest": packed.digest,
        "modality": modality,
        "home": home,
        "window": window,
        "levels": levels,
        "palette": {name: list(found) for name, found in palette.items()},
        "has_mark": has_mark,
        "visible": visible,
        "legend": {"title": legend.title, "names": list(legend.names), "ramp": legend.ramp, "note": legend.note,
                   "colors": {name: list(found) for name, found in legend.colors.items()}},
        "label": label,
        "names": [[x, y, str(text)] for x, y, text in names[:MAX_NAMES]],
        "point_url": point_url,
        "current": current,
        "height": height,
    }  # fmt: skip
    held = packed.digest in st.session_state.get(held_key, [])
    result = _draw(
        key=key,
        data=message(header, None if held else packed.raw),
        on_outline_change=lambda: receive("outline"),
        on_view_change=lambda: receive("view"),
        on_point_change=lambda: receive("point"),
        on_clear_change=lambda: receive("clear"),
        on_need_change=resend,
    )
    kinds = ("outline", "view", "point", "clear")
    return next((event for name in kinds if (event := _event(name, getattr(result, name))) is not None), None)


def _event(name: str, sent: Any) -> MapEvent | None:
    """The browser's message as an event; anything that is not one is None."""
    if not isinstance(sent, Mapping):
        return None
    try:
        if name == "outline":
            outline = np.asarray(sent["points"], np.float64)
            if outline.ndim != 2 or outline.shape[1] != 2 or not 3 <= len(outline) <= MAX_CORNERS:
                return None
            how: How = "add" if sent.get("how") == "add" else "replace"
            return MapEvent(outline=outline, how=how) if np.isfinite(outline).all() else None
        if name == "view":
            x0, y0, x1, y1 = (float(value) for value in sent["window"])
            proper = np.isfinite([x0, y0, x1, y1]).all() and x0 < x1 and y0 < y1
            return MapEvent(window=(x0, y0, x1, y1)) if proper else None
        return MapEvent(row=int(sent["row"])) if name == "point" else MapEvent(cleared=True)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
