"""The one player of a page: addresses of a clip's video and strip go in, steps to its neighbours come out.

Picture, sound and everything drawn over time share one playhead. Playing, seeking, speed, volume and hiding never
rerun the page; only previous and next do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.components.mount import notify, pending, renderer
from explorer.theme import Modality

MAX_PRELOAD = 4
_draw = renderer("player", "stream", "playback")


@dataclass(frozen=True, slots=True)
class PlayerEvent:
    """`step` is +1 for the next clip and -1 for the previous; larger when keys came faster than the page answered."""

    step: int


@dataclass(frozen=True, slots=True)
class Band:
    """One horizontal band of the strip image: its name, its share of the image's height, what it belongs to."""

    name: str
    share: float
    modality: Modality


STRIP_BANDS: tuple[Band, ...] = (
    Band("mel spectrogram", 132 / 284, "audio"),
    Band("waveform", 60 / 284, "audio"),
    Band("loudness", 48 / 284, "audio"),
    Band("motion", 44 / 284, "visual"),
)


def player(
    video_url: str | None,
    strip_url: str | None = None,
    *,
    poster_url: str | None = None,
    duration_s: float | None = None,
    preload: Sequence[str] = (),
    bands: Sequence[Band] = STRIP_BANDS,
    title: str = "",
    has_previous: bool = True,
    has_next: bool = True,
    starts: bool = False,
    height: int = 360,
    key: str,
    on_event: Callable[[PlayerEvent], None] | None = None,
) -> PlayerEvent | None:
    """Draws the player and returns the step a person asked for since the last run, or None.

    video_url: a small H.264/AAC file that answers Range requests; asked for with `live=1` it may come in fragments,
    with its length in seconds as `X-Duration-S`, while it is made. None says that there is nothing to play.
    strip_url: an image as wide as the clip is long, its `bands` stacked from the top (shares sum to 1).
    duration_s: length in seconds, used until the browser knows better. preload: addresses of the next videos (at most
    `MAX_PRELOAD` are taken), fetched once the present one can play. height: of the picture, in pixels.
    A new clip starts by itself only when the one before it was playing, or where `starts` is set. on_event: called
    before the next run.
    """

    def receive() -> None:
        notify(on_event, _event(pending(key, "step")))

    result = _draw(
        key=key,
        data={
            "video": video_url,
            "strip": strip_url,
            "poster": poster_url,
            "duration": duration_s,
            "preload": list(preload)[:MAX_PRELOAD],
            "bands": [[band.name, band.share, band.modality] for band in bands],
            "title": title,
            "previous": has_previous,
            "next": has_next,
            "starts": starts,
            "height": height,
        },
        on_step_change=receive,
    )
    return _event(result.step)


def _event(sent: Any) -> PlayerEvent | None:
    """The browser's message as an event; anything that is not one is None."""
    step = sent.get("by") if isinstance(sent, Mapping) else None
    return PlayerEvent(step) if isinstance(step, int) and step != 0 else None
