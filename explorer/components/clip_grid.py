"""A grid of stills: at most 60 clips go in, the clip a person chose comes out.

There are no players in it. One hidden media element plays the sound of one still at a time, and stops when anything
else on the page plays. Clips that the selection left out are grey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.components.mount import notify, pending, renderer

MAX_ITEMS = 60
_draw = renderer("clip_grid")


@dataclass(frozen=True, slots=True)
class GridItem:
    """One still. `media_url` is what "listen" plays; `badge` is a few characters such as a score.

    `selected` is True or False where there is a selection, None where there is none: then nothing is greyed.
    """

    clip_id: str
    still_url: str | None
    caption: str = ""
    badge: str = ""
    selected: bool | None = None
    media_url: str | None = None


@dataclass(frozen=True, slots=True)
class GridEvent:
    """The clip that was clicked, or reached by keys."""

    clip_id: str


def clip_grid(
    items: Sequence[GridItem],
    *,
    current: str | None = None,
    decisions: Sequence[str | None] | None = None,
    tile_width: int = 160,
    max_height: int | None = None,
    key: str,
    on_event: Callable[[GridEvent], None] | None = None,
) -> GridEvent | None:
    """Draws the stills and returns the clip chosen since the last run, or None.

    items: the first `MAX_ITEMS` are shown. current: clip_id to mark as open. decisions: for each item `keep`, `drop`,
    `maybe` or None; a change of them redraws no picture. tile_width: least width of a still in
    pixels, the grid fills the row. max_height: pixels, above it the grid scrolls. on_event: called before the next
    run. No items draw nothing: the page says why there are none.
    """

    def receive() -> None:
        notify(on_event, _event(pending(key, "choose")))

    result = _draw(
        key=key,
        data={
            "items": [_plain(item) for item in items[:MAX_ITEMS]],
            "current": current,
            "decisions": None if decisions is None else list(decisions[:MAX_ITEMS]),
            "tile": tile_width,
            "max_height": max_height,
        },
        on_choose_change=receive,
    )
    return _event(result.choose)


def _plain(item: GridItem) -> dict[str, Any]:
    return {
        "id": item.clip_id,
        "still": item.still_url,
        "caption": item.caption,
        "badge": item.badge,
        "selected": item.selected,
        "media": item.media_url,
    }


def _event(sent: Any) -> GridEvent | None:
    """The browser's message as an event; anything that is not one is None."""
    clip_id = sent.get("clip_id") if isinstance(sent, Mapping) else None
    return GridEvent(clip_id) if isinstance(clip_id, str) else None
