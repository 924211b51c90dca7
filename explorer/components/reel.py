"""A reel: short pieces of some clips go in, played one after another with sound; the clip a person opened comes out.

On the page it is one small button. While it plays, a card floats in the corner of the window: nothing on the page
moves. Keys are the page's: the one that played last, else the first, answers them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from explorer.components.mount import notify, pending, renderer

MAX_PIECES = 12
MAX_SETS = 4
PIECE_S = 1.5
PLAY_KEY, NEXT_KEY = "g", "h"
"""G plays and stops, H plays others, Shift+G plays the page's next reel."""
_draw = renderer("reel")


@dataclass(frozen=True, slots=True)
class ReelPiece:
    """A piece of one clip: it begins `start_s` after the clip's own beginning."""

    clip_id: str
    caption: str
    start_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReelEvent:
    """`open`: this clip shall be shown. `more`: all sets were played, others are wanted; `clip_id` is empty."""

    kind: Literal["open", "more"]
    clip_id: str = ""


def reel(
    sets: Sequence[Sequence[ReelPiece]],
    *,
    video_base: str,
    still_base: str,
    title: str,
    key: str,
    label: str = "Reel",
    note: str = "",
    modality: Literal["audio", "visual"] | None = None,
    has_more: bool = False,
    on_event: Callable[[ReelEvent], None] | None = None,
) -> ReelEvent | None:
    """Draws the button and returns what a person asked for since the last run, or None.

    sets: at most `MAX_SETS` of at most `MAX_PIECES` pieces of `PIECE_S` seconds; the first is played first, "others"
    goes on to the next. video_base, still_base: addresses that a clip's id is put behind. title, note: plain text, what
    is played and how it was drawn. has_more: after the last set the page is asked for others. on_event: called before
    the next run.
    """

    def receive() -> None:
        notify(on_event, _event(pending(key, "ask")))

    result = _draw(
        key=key,
        width="content",
        data={
            "sets": [
                [[p.clip_id, p.caption, round(p.start_s, 2)] for p in one[:MAX_PIECES]] for one in sets[:MAX_SETS]
            ],
            "videos": video_base,
            "stills": still_base,
            "title": title,
            "note": note,
            "label": label,
            "modality": modality,
            "more": has_more,
            "piece": PIECE_S,
            "keys": [PLAY_KEY, NEXT_KEY],
        },
        on_ask_change=receive,
    )
    return _event(result.ask)


def _event(sent: Any) -> ReelEvent | None:
    """The browser's message as an event; anything that is not one is None."""
    if not isinstance(sent, Mapping):
        return None
    if sent.get("more") is True:
        return ReelEvent("more")
    clip_id = sent.get("clip_id")
    return ReelEvent("open", clip_id) if isinstance(clip_id, str) and clip_id else None
