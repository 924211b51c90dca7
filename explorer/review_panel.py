"""Clips seen, heard and judged: the clips found go in; a grid, the player with keep, drop and maybe, and why are drawn.

Answers come from the player in batches and lie on the disk before they are confirmed to it. Machine, people and what
follows of both are shown apart.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pyarrow as pa
import streamlit as st

from curation import review
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import clip_panel, data, filter_editor, media_moved, routes, why_panel
from explorer.choosers import pager
from explorer.components.review import MAX_ITEMS, ReviewAnswers, ReviewItem, review_player
from explorer.filters import PARAMETERS, Found
from explorer.state import goto, param, set_params
from explorer.views import clips as views
from explorer.views import review as review_views
from explorer.views import words
from explorer.views.review import DONE

BACK = 40  # clips before the present one that the browser holds
STEP = 40  # how far the present one moves before the browser is given other clips
CONFIRMED_KEPT = 50
LABELS = {"keep": "Keep all", "drop": "Drop all", "maybe": "Maybe all", "": "No answer"}
_CONFIRMED, _PROBLEM, _LAST, _REFUSED = "review.confirmed", "review.problem", "review.last", "review.refused"
_ASKED = "review.asked"


@st.fragment
def browse(ws: Workspace, run: str | None, found: Found, order: views.Order, what: str, *, filtered: bool) -> None:
    """The clips found, which are `what` in plain words: numbers, grid, player, why.

    A fragment, so that a step or an answer redraws nothing else.
    """
    draw_head(ws, run, found, what, filter_editor.sentence(order), filtered=filtered)
    opened = clip_panel.opened_row(ws)
    shown, page, pages = views.page_of(found.head, _page(-1 if opened is None else views.place_in(found.head, opened)))
    row = int(shown[0]) if opened is None else opened
    place = views.place_in(found.head, row)
    with st.container(key="split-clips"):
        grid, panel = st.columns([1, 2.75], gap="small")
    with grid:
        badges = filter_editor.badges(ws, run, order, shown)
        clip_panel.grid(
            ws, shown, run, "clips.grid", badges=badges, tile_width=116, max_height=780, decisions=decided(ws, shown)
        )
        pager(page, pages)
        if len(found.head) < len(found.rows) and page == pages:
            st.caption(f"The first {len(found.head):,} of {len(found.rows):,} in this order; narrow the conditions.")
    with panel:
        with st.container(key="split-clips-inner"):
            player, why = st.columns([1.5, 1], gap="small")
        with player:
            draw_player(ws, run, found, row, place)
        with why:
            if place < 0:
                st.caption(f"This clip is not among the {words.count(len(found.rows))} that meet the conditions.")
            media_moved.offer(ws, row)
            why_panel.show(ws, row, run)


def draw_player(ws: Workspace, run: str | None, found: Found, row: int, place: int) -> None:
    """The player with its keys, over the clips around the present one."""
    first = max(0, (place - BACK) // STEP * STEP) if place >= 0 else 0
    window = found.head[first : first + MAX_ITEMS] if place >= 0 else np.array([row])
    machine = data.selected_mask(ws, run)[window] if run else None
    playable = ws.artefact("videos") is not None
    items = [
        ReviewItem(
            clip_id=clip.clip_id,
            caption=clip_panel.caption(clip.path, clip.start_s),
            duration_s=max(0.0, clip.length_s) if playable else None,
            machine=bool(machine[i]) if machine is not None else None,
        )
        for i, clip in enumerate(data.clips_at(ws, window))
    ]
    spoken = review.said_of(ws, [one.clip_id for one in items])

    def keep(event: ReviewAnswers) -> None:
        _record(ws, event)

    review_player(
        items,
        current=data.clip_at(ws, row).clip_id,
        turn=int(st.session_state.get(clip_panel.TURN, 0)),
        list_id=blake2b(found.head[:2000].tobytes() + str(len(found.rows)).encode(), digest_size=8).hexdigest(),
        offset=first,
        total=len(found.rows) if place >= 0 else 1,
        bases={
            "video": routes.proxy_url(ws, ""),
            "still": routes.still_url(ws, ""),
            "strip": routes.strip_url(ws, ""),
        },
        workspace=blake2b(str(ws.path).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest(),
        reviewer=reviewer(),
        said={clip: [(who, one.decision, one.note) for who, one in said] for clip, said in spoken.items()},
        said_stamp=review.stamp(ws),
        confirmed=st.session_state.get(_CONFIRMED, []),
        problem=st.session_state.get(_PROBLEM, ""),
        height=270,
        key="clips.player",
        on_at=lambda clip_id: set_params(clip=clip_id, page=None),
        on_answers=keep,
    )


def reviewer() -> str:
    """Who answers: the name in the address, else `me`."""
    try:
        return review.check_reviewer(param("reviewer", "me"))
    except ConcordError:
        return "me"


def draw_head(ws: Workspace, run: str | None, found: Found, what: str, sentence: str = "", *, filtered: bool) -> None:
    """How many clips were found; machine, people and final; who answers; answers for all the clips found at once."""
    told = numbers(ws, run)
    line = clip_panel.count_line(ws, found, run, filtered=filtered)
    said, tools = st.columns([1.25, 1], vertical_alignment="center")
    note = f" · {sentence}" if sentence else ""
    said.caption(f"{line}{note}  \n{review_views.numbers_line(told, run)}")
    with tools, st.container(horizontal=True, horizontal_alignment="right"):
        with st.popover(words.literal(reviewer(), 20), icon=":material/person:", width="content", help="Who reviews"):
            _ask_name()
            people = review.reviewers(ws)
            for who, n in sorted(people.items(), key=lambda item: -item[1])[:20]:
                st.caption(f"{words.literal(who)}: {words.count(n)}")
        with st.popover(f"Answer all {len(found.rows):,}", icon=":material/done_all:", width="content"):
            answer_all(ws, found.rows, what, "clips.all")
        if st.button(
            "", icon=":material/ios_share:", key="clips.export", help=f"Export these {len(found.rows):,} clips"
        ):
            shown = {name: param(name) for name in PARAMETERS if param(name)}
            goto("export", **({"what": "filter"} | shown if filtered else {}))
    draw_last(ws)


def numbers(ws: Workspace, run: str | None) -> review_views.Numbers:
    """How many clips the machine chose, people kept, dropped and left open, and what follows; kept until one speaks."""
    run_print = ws.fingerprint(f"selections/{run}") or "" if run else ""
    return _numbers(str(ws.path), run or "", run_print, ws.fingerprint("clips") or "", review.stamp(ws))


def decided(ws: Workspace, rows: np.ndarray) -> list[str | None]:
    """`keep`, `drop`, `maybe` or None: what counts of each of a few clips, int (m,); for grids."""
    ids = [clip.clip_id for clip in data.clips_at(ws, rows)]
    return review_views.deciding(review.said_of(ws, ids), ids)


def answer_popover(ws: Workspace, rows: np.ndarray, what: str, key: str) -> None:
    """A button that opens the answers for all of `rows`, int (m,) ascending, with the name of who answers."""
    with st.popover(f"Answer all {len(rows):,}", icon=":material/done_all:", width="content"):
        answer_all(ws, rows, what, key)
        _ask_name()


def answer_all(ws: Workspace, rows: np.ndarray, what: str, key: str) -> None:
    """One answer for many clips at once (a filter, a cell, a mark), after a question; undone with one button.

    rows: int (m,), ascending; `what` says in plain words which clips these are.
    """
    if len(rows) > review.ANSWERS_MAX:
        st.caption(
            f"{words.count(len(rows))} are more than are answered at once ({review.ANSWERS_MAX:,}). Narrow them first."
        )
        return
    st.markdown(f"**{words.count(len(rows))}**: {words.literal(what, 200)}")
    meant = _meant(ws, rows)
    asked = st.session_state.get(_ASKED, ("", "", ""))
    if asked[:2] == (key, meant):
        decision = asked[2]
        sure = f"{LABELS[decision]}: {words.count(len(rows))}, said by {words.literal(reviewer())}?"
        ids = data.ids_at(ws, rows)
        st.markdown(
            f"{sure}  \n:small[{review_views.before_line(review_views.deciding(review.said_of(ws, ids), ids))}]"
        )
        with st.container(horizontal=True):
            st.button("Yes, all of them", type="primary", key=f"{key}.sure", on_click=_say_all,
                      args=(ws, rows, decision, meant))  # fmt: skip
            st.button("No", key=f"{key}.no", on_click=lambda: st.session_state.pop(_ASKED, None))
        st.caption("Your earlier answers on these clips come back with Undo.")
        return
    with st.container(horizontal=True):
        for decision, label in LABELS.items():
            st.button(
                label, key=f"{key}.{decision or 'none'}", on_click=st.session_state.__setitem__,
                args=(_ASKED, (key, meant, decision)),
            )  # fmt: skip


def rows_said(ws: Workspace, run: str | None) -> dict[str, np.ndarray]:
    """Rows of each decision, and of the final choice where there is a run: what a list of them shows."""
    found = review.decided_rows(ws)
    return found | ({"final": review.final_rows(ws, run)} if run else {})


# -- inside ------------------------------------------------------------------------------------------------------------


def _page(place: int) -> int:
    """The page in the address, else that of the opened clip."""
    wanted = param("page")
    return int(wanted) if wanted.isdecimal() and len(wanted) < 8 else max(0, place) // views.PAGE + 1


def _record(ws: Workspace, event: ReviewAnswers) -> None:
    try:
        review.record(ws, event.answers, event.reviewer, event.batch)
    except (ConcordError, OSError) as error:
        st.session_state[_PROBLEM] = str(error)
        return
    st.session_state[_PROBLEM] = ""
    st.session_state[_CONFIRMED] = [*st.session_state.get(_CONFIRMED, []), event.batch][-CONFIRMED_KEPT:]


def _meant(ws: Workspace, rows: np.ndarray) -> str:
    """Which clips a question is about: those of another list of clips are others, whatever their rows."""
    told = (ws.fingerprint("clips") or "").encode()
    return blake2b(np.asarray(rows, np.int64).tobytes() + told, digest_size=12).hexdigest()


def _say_all(ws: Workspace, rows: np.ndarray, decision: str, meant: str) -> None:
    """Write one answer for every row, as one batch that can be undone."""
    st.session_state.pop(_ASKED, None)
    if _meant(ws, rows) != meant:
        st.session_state[_REFUSED] = "The list of clips was made anew meanwhile; nothing was said. Look at them again."
        return
    batch, who = f"all-{review.fresh_batch()}", reviewer()
    try:
        answers = [{"clip_id": clip, "decision": decision or None, "note": ""} for clip in data.ids_at(ws, rows)]
        review.record(ws, answers, who, batch)
    except (ConcordError, OSError) as error:
        st.session_state[_REFUSED] = str(error)
        return
    text = f"{words.count(len(rows))}: {DONE.get(decision, 'no answer')}"
    st.session_state[_LAST] = (str(ws.path), batch, who, text)


def draw_last(ws: Workspace) -> None:
    """The last answer for many, and the way back; for every page that offers such answers."""
    problem = st.session_state.pop(_REFUSED, None)
    if problem:
        st.error(words.literal(problem, 400), icon=":material/error:")
    path, batch, who, text = st.session_state.get(_LAST, ("", "", "", ""))
    if path != str(ws.path):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f":material/check_circle: {text}, said by {words.literal(who)}", width="content")
        st.button(
            "Undo all of it", key="review.all.undo", icon=":material/undo:", on_click=_take_back, args=(ws, batch, who)
        )
        st.button(
            "", key="review.all.fine", icon=":material/close:", type="tertiary", help="Leave it so",
            on_click=lambda: st.session_state.pop(_LAST, None),
        )  # fmt: skip


def _take_back(ws: Workspace, batch: str, who: str) -> None:
    try:
        review.undo(ws, batch, who)
    except (ConcordError, OSError) as error:
        st.session_state[_REFUSED] = str(error)
        return
    st.session_state.pop(_LAST, None)


def _ask_name() -> None:
    st.text_input(
        "Your name", value=reviewer(), key="review.name", max_chars=40, on_change=_keep_name,
        help="What different people say of a clip is kept side by side; who spoke last decides.",
    )  # fmt: skip


def _keep_name() -> None:
    try:
        set_params(reviewer=review.check_reviewer(st.session_state["review.name"]))
    except ConcordError as error:
        st.session_state[_REFUSED] = str(error)


@st.cache_data(max_entries=32, show_spinner=False)
def _numbers(path: str, run: str, run_print: str, clips: str, stamp: str) -> review_views.Numbers:
    ws = Workspace.open(path)
    machine = _machine_ids(path, run, run_print, clips) if run else pa.array([], pa.string())
    return review_views.numbers(review.decided_ids(ws), machine)


@st.cache_resource(max_entries=4, show_spinner=False)
def _machine_ids(path: str, run: str, run_print: str, clips: str) -> pa.Array:
    return pa.array(data.picks(Workspace.open(path), run)["clip_id"], pa.string())
