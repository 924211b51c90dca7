"""Stills, the one player, and why a clip was picked: row numbers go in; the opened clip is kept in the address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import streamlit as st

from curation.workspace import Workspace
from explorer import data, measures, routes
from explorer.components.clip_grid import MAX_ITEMS, GridItem, clip_grid
from explorer.components.player import PlayerEvent, player
from explorer.state import goto, param, set_params
from explorer.views import clips as views
from explorer.views import words

PRELOADED = 2


def tiles(ws: Workspace, rows: np.ndarray, run: str | None, badges: Sequence[str] | None = None) -> list[GridItem]:
    """Stills of at most 60 rows; what `run` left out is grey."""
    shown = rows[:MAX_ITEMS]
    frame = data.clip_frame(ws, shown)
    selected = data.selected_mask(ws, run)[shown] if run else None
    return [
        GridItem(
            clip_id=clip.clip_id,
            still_url=routes.still_url(ws, clip.clip_id),
            caption=caption(clip.path, clip.start_s),
            badge=badges[i] if badges is not None else "",
            selected=bool(selected[i]) if selected is not None else None,
            media_url=routes.proxy_url(ws, clip.clip_id),
        )
        for i, clip in enumerate(frame.itertuples(index=False))
    ]


def caption(path: str, start_s: float) -> str:
    """A clip's short name: the file's stem and where the clip begins, where it is not the beginning."""
    stem = PurePosixPath(path).stem or "clip"
    return f"{stem} {words.clock(start_s)}" if start_s >= 0.05 else stem


def grid(
    ws: Workspace,
    rows: np.ndarray,
    run: str | None,
    key: str,
    *,
    badges: Sequence[str] | None = None,
    tile_width: int = 132,
    max_height: int | None = None,
) -> None:
    """A grid of stills; the one that is clicked goes into the address as `clip`."""
    clip_grid(
        tiles(ws, rows, run, badges),
        current=param("clip") or None,
        tile_width=tile_width,
        max_height=max_height,
        key=key,
        on_event=lambda event: set_params(clip=event.clip_id),
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
            set_params(clip=data.clip_frame(ws, among[[target]])["clip_id"].iloc[0])

    following = among[place + 1 : place + 1 + PRELOADED] if place >= 0 else among[:0]
    player(
        routes.proxy_url(ws, clip.clip_id),
        routes.strip_url(ws, clip.clip_id),
        poster_url=routes.still_url(ws, clip.clip_id),
        duration_s=max(0.0, float(clip.end_s - clip.start_s)) or None,
        preload=[routes.proxy_url(ws, clip_id) for clip_id in data.clip_frame(ws, following)["clip_id"]],
        title=caption(clip.path, clip.start_s),
        has_previous=place > 0,
        has_next=0 <= place < len(among) - 1,
        height=height,
        key=key,
        on_event=step,
    )


def show_why(ws: Workspace, row: int, run: str | None) -> None:
    """Where a clip comes from, whether and when it was picked, and its cell in every sound x picture pair."""
    if run:
        st.markdown(picked_line(ws, row, run))
    show_source(ws, row)
    _cells(ws, row)


def show_source(ws: Workspace, row: int) -> None:
    """File, start and end of a clip, and the known answer where there is one."""
    clip = data.clip_at(ws, row)
    span = f"{words.clock(clip.start_s)}–{words.clock(clip.end_s)} ({clip.end_s - clip.start_s:.1f} s)"
    st.caption(f"{words.literal(clip.path)} · {span}")
    answer = measures.truth(ws)
    if answer is not None and answer[1][row]:
        verb = "belong" if answer[0][row] else "do not belong"
        st.caption(f"Known answer: sound and picture {verb} together (truth_match)")


def picked_line(ws: Workspace, row: int, run: str) -> str:
    """`Picked 37th of 675 · added 2.31 nats to size × MI (typical 1.92)`, or what is known of another clip."""
    picks = data.picks(ws, run)
    found = picks[picks["row"] == row]
    if not len(found):
        score = float(data.scores(ws, run)[row])
        text = f"**Not picked** of {words.count(len(picks))} in this run"
        if not np.isfinite(score):
            return text + " · it was never compared"
        return text + f" · when last compared {words.number(-score)} nats below the best that was passed over"
    rank, gain = int(found["rank"].iloc[0]), found["gain"].iloc[0]
    text = f"**Picked {words.ordinal(rank)}** of {len(picks):,}"
    if pd.isna(gain):
        return text
    if rank <= int(data.selections(ws)[run].get("selection_size", 0)):
        return f"{text} · in the first batch, when there was nothing to compare with"
    return f"{text} · added {words.nats(gain)} to size × MI (typical {words.number(picks['gain'].median())})"


def _cells(ws: Workspace, row: int) -> None:
    sounds, pictures = measures.names_of(ws, "audio"), measures.names_of(ws, "visual")
    sides = [{name: data.assignments(ws, name) for name in names} for names in (sounds, pictures)]
    cells = views.why(row, *sides)
    if not cells:
        return
    mean = float(np.mean([cell.pmi for cell in cells]))
    pairs = words.count(len(cells), "pairs")
    st.caption(f"Its cell in {pairs} of clusterings · mean PMI {words.signed(mean)} nats (0 = as by chance)")
    frame = pd.DataFrame(
        {
            "Sound": [f"{words.layer(cell.sound)} {cell.sound_cluster}" for cell in cells],
            "Picture": [f"{words.layer(cell.picture)} {cell.picture_cluster}" for cell in cells],
            "PMI, nats": [cell.pmi for cell in cells],
            "Clips in cell": [cell.clips for cell in cells],
        }
    )
    st.dataframe(
        frame.style.format({"PMI, nats": words.signed}),
        hide_index=True,
        height=min(280, 36 + 35 * len(frame)),
        column_config={"PMI, nats": st.column_config.NumberColumn(help="log(clips / expected): 0 = as by chance")},
    )


def open_in_clips(label: str, key: str, **params: object) -> None:
    """A button to the page of clips with these filters."""
    if st.button(label, key=key, icon=":material/open_in_new:"):
        goto("clips", **params)


def count_line(ws: Workspace, rows: np.ndarray, run: str | None, *, filtered: bool) -> str:
    """`412 clips · 1.1 h · 12 % of all · 80 selected (19 %; of all 20 %)`."""
    n, hours = data.n_clips(ws), float(data.hours(ws)[rows].sum(dtype=np.float64))
    text = f"**{words.count(len(rows))}** · {words.hours(hours)}"
    if filtered:
        text += f" · {words.percent(len(rows) / n if n else None)} of all {words.count(n)}"
    if run and len(rows):
        mask = data.selected_mask(ws, run)
        chosen = int(mask[rows].sum())
        text += f" · {chosen:,} selected ({words.percent(chosen / len(rows))}"
        text += f"; of all {words.percent(float(mask.mean()))})" if filtered else ")"
    return text
