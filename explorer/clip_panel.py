"""Stills and the one player: row numbers go in; the opened clip is kept in the address."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import data, measures, routes
from explorer.components.clip_grid import MAX_ITEMS, GridItem, clip_grid
from explorer.components.player import PlayerEvent, player
from explorer.filters import Found
from explorer.state import goto, param, set_params
from explorer.views import words

PRELOADED = 3
TURN = "clips.turn"
"""Counts what was opened from outside the player, which otherwise knows best where a person is."""


def tiles(ws: Workspace, rows: np.ndarray, run: str | None, badges: Sequence[str] | None = None) -> list[GridItem]:
    """Stills of at most 60 rows; what `run` left out is grey."""
    shown = rows[:MAX_ITEMS]
    playable = ws.artefact("videos") is not None
    selected = data.selected_mask(ws, run)[shown] if run else None
    return [
        GridItem(
            clip_id=clip.clip_id,
            still_url=routes.still_url(ws, clip.clip_id) if playable else None,
            caption=caption(clip.path, clip.start_s),
            badge=badges[i] if badges is not None else "",
            selected=bool(selected[i]) if selected is not None else None,
            media_url=routes.proxy_url(ws, clip.clip_id) if playable else None,
        )
        for i, clip in enumerate(data.clips_at(ws, shown))
    ]


def caption(path: str, start_s: float) -> str:
    """A clip's short name: the file's stem and where the clip begins, where it is not the beginning."""
    return words.clip_name(path, start_s)


def grid(
    ws: Workspace,
    rows: np.ndarray,
    run: str | None,
    key: str,
    *,
    badges: Sequence[str] | None = None,
    tile_width: int = 132,
    max_height: int | None = None,
    decisions: Sequence[str | None] | None = None,
) -> None:
    """A grid of stills; the one that is clicked goes into the address as `clip`. `decisions`: keep, drop, maybe."""
    clip_grid(
        tiles(ws, rows, run, badges),
        decisions=decisions,
        current=param("clip") or None,
        tile_width=tile_width,
        max_height=max_height,
        key=key,
        on_event=lambda event: open_clip(event.clip_id),
    )


def opened_row(ws: Workspace) -> int | None:
    """Row of the clip in the address; None without one. One that is not there leaves the address, and this says so."""
    wanted = param("clip")
    row = data.row_of(ws, wanted) if wanted else None
    if wanted and row is None:
        set_params(clip=None)
        st.caption("The clip in the address is not in this workspace.")
    return row


def show_player(ws: Workspace, row: int, among: np.ndarray, key: str, *, height: int = 300) -> None:
    """The player of one clip; previous and next step through `among` (row numbers)."""
    clip = data.clip_at(ws, row)
    at = np.flatnonzero(among == row)
    place = int(at[0]) if len(at) else -1

    def step(event: PlayerEvent) -> None:
        target = min(len(among) - 1, max(0, place + event.step))
        if len(among):
            set_params(clip=data.clip_at(ws, int(among[target])).clip_id)

    playable = ws.artefact("videos") is not None
    following = among[place + 1 : place + 1 + PRELOADED] if playable and place >= 0 else among[:0]
    player(
        routes.proxy_url(ws, clip.clip_id) if playable else None,
        routes.strip_url(ws, clip.clip_id) if playable else None,
        poster_url=routes.still_url(ws, clip.clip_id) if playable else None,
        duration_s=max(0.0, clip.length_s) or None,
        preload=[routes.proxy_url(ws, one.clip_id) for one in data.clips_at(ws, following)],
        title=caption(clip.path, clip.start_s),
        has_previous=place > 0,
        has_next=0 <= place < len(among) - 1,
        height=height,
        key=key,
        on_event=step,
    )


def show_source(ws: Workspace, row: int) -> None:
    """File, start and end of a clip, and the known answer where there is one."""
    clip = data.clip_at(ws, row)
    span = f"{words.clock(clip.start_s)}–{words.clock(clip.end_s)} ({clip.length_s:.1f} s)"
    known = [words.literal(clip.path or clip.clip_id), *([span] if np.isfinite(clip.length_s) else [])]
    st.caption(" · ".join(known))
    answer = measures.truth(ws)
    if answer is not None and answer[1][row]:
        verb = "belong" if answer[0][row] else "do not belong"
        st.caption(f"Known answer: sound and picture {verb} together (truth_match)")


def open_in_clips(label: str, key: str, **params: object) -> None:
    """A button to the page of clips with these filters."""
    if st.button(label, key=key, icon=":material/open_in_new:"):
        goto("clips", **params)


def count_line(ws: Workspace, found: Found, run: str | None, *, filtered: bool) -> str:
    """`412 clips · 1.1 h · 12 % of all · 80 selected (19 %; of all 20 %)`."""
    n_clips, n_found, selected = data.n_clips(ws), len(found.rows), found.selected
    text = f"**{words.count(n_found)}** · {words.hours(found.hours, found.untimed)}"
    if filtered:
        text += f" · {words.percent(n_found / n_clips if n_clips else None)} of all {words.count(n_clips)}"
    if run and n_found:
        text += f" · {selected:,} selected ({words.percent(selected / n_found)}"
        share = len(data.picks(ws, run)) / n_clips
        text += f"; of all {words.percent(share)})" if filtered else ")"
    return text


def open_clip(clip_id: str) -> None:
    """Show another clip in the player: for what is clicked outside of it."""
    set_params(clip=clip_id)
    st.session_state[TURN] = int(st.session_state.get(TURN, 0)) + 1
