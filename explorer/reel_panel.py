"""A reel of any clips of a workspace: row numbers go in; 8 to 12 pieces of 1.5 s are drawn, random by default."""

from __future__ import annotations

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import clip_panel, data, routes
from explorer.components import reel as component
from explorer.components.reel import PIECE_S, ReelEvent, ReelPiece
from explorer.cutter import PROXY_MAX_S
from explorer.state import set_params
from explorer.theme import Modality
from explorer.views import words

PIECES = 10
SETS = 3


def reel(
    ws: Workspace,
    rows: np.ndarray,
    key: str,
    *,
    title: str = "clips",
    ordered: bool = False,
    note: str = "",
    modality: Modality | None = None,
    label: str = "Reel",
    seed: int = 0,
    total: int | None = None,
) -> None:
    """A button that plays a cluster, a cell or a selection: `rows` int (m,), as many as there are.

    Drawn at random with `seed`, others on request; `ordered`: the first of `rows` as they come, and `note` says what
    that order is. `total`: how many there are, where `rows` are some of them. The clip that a person opens goes into
    the address as `clip`. `title` is plain text. One `key` each.
    """
    turn = int(st.session_state.get(f"{key}.turn", 0))

    def receive(event: ReelEvent) -> None:
        if event.kind == "open":
            set_params(clip=event.clip_id)
        else:
            st.session_state[f"{key}.turn"] = turn + 1

    found = drawn(np.asarray(rows), PIECES * SETS, seed=seed + turn, ordered=ordered)
    pieces = pieces_of(ws, found, seed + turn)
    sets = [pieces[i : i + PIECES] for i in range(0, len(pieces), PIECES)]
    if len(sets) > 1 and len(sets[-1]) < PIECES:  # a short rest says less than the first ones again
        sets = sets[:-1]
    said = note or ("first in this order" if ordered else "random")
    component.reel(
        sets,
        video_base=routes.proxy_url(ws, ""),
        still_base=routes.still_url(ws, ""),
        title=title,
        note=f"{min(PIECES, len(rows))} of {words.count(len(rows) if total is None else total)}, {said}",
        label=label,
        modality=modality,
        has_more=not ordered and len(rows) > len(pieces),
        key=key,
        on_event=receive,
    )


def drawn(rows: np.ndarray, n: int, *, seed: int = 0, ordered: bool = False) -> np.ndarray:
    """At most `n` of `rows`: the first, or different ones drawn with the seed, whatever their number."""
    if ordered or len(rows) == 0:
        return rows[:n]
    places = np.random.default_rng(seed).choice(len(rows), min(n, len(rows)), replace=False)
    return rows[places]


def pieces_of(ws: Workspace, rows: np.ndarray, seed: int) -> list[ReelPiece]:
    """A piece of each clip, from a random place in it."""
    return _pieces(str(ws.path), ws.fingerprint("clips") or "", tuple(int(row) for row in rows), seed)


@st.cache_resource(max_entries=256, show_spinner=False)
def _pieces(path: str, fingerprint: str, rows: tuple[int, ...], seed: int) -> list[ReelPiece]:
    clips = data.clips_at(Workspace.open(path), np.array(rows, np.int64))
    room = np.clip([clip.length_s for clip in clips], 0, PROXY_MAX_S) - PIECE_S
    at = np.maximum(0.0, room) * np.random.default_rng(seed).random(len(clips))
    return [
        ReelPiece(clip.clip_id, clip_panel.caption(clip.path, clip.start_s), float(start))
        for clip, start in zip(clips, at, strict=True)
    ]
