"""The blind audit on its page: draw clips, hear them one at a time with one key each, see what the answers tell.

Which audit, who listens and what is shown stand in the address; answers lie on the disk as soon as they are given, so
a reload goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import streamlit as st

from curation import audit
from curation.audit import Answer, Plan
from curation.audit_draw import draw_audit, extend
from curation.audit_report import Found, decision, find
from curation.errors import ConcordError, InputError
from curation.workspace import Workspace
from explorer import audit_charts, clip_panel, data, figures, forms, routes
from explorer.choosers import choose
from explorer.components.player import player
from explorer.layout import split
from explorer.state import param, set_params
from explorer.views import audit as views
from explorer.views import words

LISTED = 8
PRELOADED = 2
_ALONE = "random"
_PROBLEM = "audit.problem"


@dataclass(frozen=True)
class _Wanted:
    """What a new audit draws."""

    runs: list[str]
    clips: int
    repeats: float
    seed: int


def draw(ws: Workspace, run: str) -> None:
    """The audit in the address, or the button that starts one."""
    name = param("audit")
    if name not in audit.names(ws):
        set_params(audit=None, view=None)
        _start(ws, run)
        _earlier(ws)
    elif param("view") == "result":
        _result(ws, name)
    else:
        _listen(ws, name)


# -- starting ----------------------------------------------------------------------------------------------------------


def _start(ws: Workspace, run: str) -> None:
    candidates = int(data.selections(ws)[run].get("candidates", data.n_clips(ws)))
    with st.container(border=True):
        button, settings = st.columns(2, gap="large", vertical_alignment="top")
        with settings, st.expander("What is drawn", icon=":material/tune:"):
            chosen = _settings(ws, run, candidates)
        with button:
            clips = chosen.clips
            asked = st.button(
                views.start_label(clips), type="primary", icon=":material/hearing:", key="audit.start", width="stretch"
            )
            st.text_input("Your name", value=_auditor(), key="audit.auditor", max_chars=40, on_change=_keep_auditor)
            st.caption(
                "Does the sound come from what is seen? Chosen, rejected and random clips of all scores, shuffled; you "
                "see neither score nor where a clip is from. Answers are kept and never steer a selection."
            )
    _show_problem()
    if asked:
        _begin(ws, chosen)


def _settings(ws: Workspace, run: str, candidates: int) -> _Wanted:
    runs = list(data.selections(ws))
    first = st.selectbox("Judge", runs, index=runs.index(run), key=f"audit.run.{run}")
    others = [_ALONE, *(name for name in runs if name != first)]
    against = st.selectbox(
        "Against",
        others,
        key=f"audit.against.{first}",
        help="Two runs share one audit, so that they can be told apart.",
    )
    top = max(1, min(candidates, audit.CLIPS_MAX))
    left, middle, right = st.columns(3)
    clips = left.number_input("Clips", 1, top, min(audit.CLIPS, top), key=f"audit.clips.{top}")
    repeats = middle.number_input(
        "Twice, %", 0, 100, round(100 * audit.REPEATS), key="audit.repeats",
        help="This share comes a second time: how far you agree with yourself.",
    )  # fmt: skip
    drawn = len(audit.names(ws))  # a further audit listens to other clips
    seed = right.number_input("Seed", 0, 2**31 - 1, drawn, key=f"audit.seed.{drawn}")
    named = [first] if against == _ALONE else [first, against]
    return _Wanted(named, int(clips), repeats / 100, int(seed))


def _begin(ws: Workspace, chosen: _Wanted) -> None:
    try:
        with st.spinner("Drawing clips"):
            plan = draw_audit(ws, chosen.runs, clips=chosen.clips, repeats=chosen.repeats, seed=chosen.seed)
    except ConcordError as error:
        forms.show_problem(error)
        return
    set_params(audit=plan.name, auditor=_auditor(), view=None)
    st.rerun()


def _earlier(ws: Workspace) -> None:
    """The newest audits, each with its answers so far and two ways on."""
    known = audit.names(ws)[::-1][:LISTED]
    if not known:
        return
    st.subheader("Audits so far", anchor=False)
    for name in known:
        try:
            plan, given = audit.read_plan(ws, name), audit.answers(ws, name)
        except ConcordError as error:
            forms.show_problem(error)
            continue
        people = ", ".join(words.literal(who) for who in dict.fromkeys(one.auditor for one in given))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{words.literal(name)}** · {views.plan_words(plan)}", width="stretch")
            st.caption(f"{words.count(len(given), 'answers')} {f'by {people}' if people else ''}", width="content")
            st.button("Listen", key=f"audit.go.{name}", on_click=_open, args=(name, None))
            st.button("Result", key=f"audit.see.{name}", on_click=_open, args=(name, "result"), disabled=not given)


def _open(name: str | None, view: str | None) -> None:
    set_params(audit=name, view=view, auditor=_auditor(), clip=None)


def _auditor() -> str:
    """Who listens: the name in the address, else `me`."""
    try:
        return audit.check_auditor(param("auditor", "me"))
    except InputError:
        return "me"


def _keep_auditor() -> None:
    try:
        set_params(auditor=audit.check_auditor(st.session_state["audit.auditor"]))
    except ConcordError as error:
        st.session_state[_PROBLEM] = error


def _show_problem() -> None:
    problem = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        forms.show_problem(problem)


# -- listening ---------------------------------------------------------------------------------------------------------


@st.fragment
def _listen(ws: Workspace, name: str) -> None:
    """One clip, four keys. A fragment, so that an answer redraws nothing else."""
    plan, auditor = audit.read_plan(ws, name), _auditor()
    waiting = audit.open_items(plan, audit.answers(ws, name), auditor)
    answered = len(plan.items) - len(waiting)
    paths = _paths(str(ws.path), name, len(plan.items), (ws.fingerprint("clips"), ws.fingerprint("videos")))
    there = [item for item in waiting if audit.file_there(paths.get(plan.items[item].clip_id))]
    gone = len(waiting) - len(there)
    picture, panel = split([1.7, 1], "audit")
    with picture:
        if there:
            _play(ws, plan, there, answered)
        else:
            with st.container(border=True):
                st.text("Every clip was heard." if not gone else "Every clip that is still there was heard.")
    with panel:
        st.progress(answered / len(plan.items), text=views.progress_words(plan, answered, gone))
        _show_problem()
        if there:
            _keys(ws, name, there[0], auditor)
        with st.container(horizontal=True):
            st.button(
                "Undo", icon=":material/undo:", shortcut="u", key="audit.undo", disabled=not answered,
                on_click=_take_back, args=(ws, name, auditor), help="Take the last answer back and hear it again.",
            )  # fmt: skip
            if st.button("Stop and see the result", icon=":material/bar_chart:", key="audit.stop"):
                _open(name, "result")
                st.rerun()
        st.caption(f"{words.literal(auditor)} listens · answers are kept at once; come back whenever you like")


def _play(ws: Workspace, plan: Plan, there: list[int], answered: int) -> None:
    urls = [routes.proxy_url(ws, plan.items[item].clip_id) for item in there[: PRELOADED + 1]]
    # A repeat right after its first time would be the same address: the item in it makes it another clip.
    urls = [f"{url}&item={item}" for url, item in zip(urls, there)]
    player(
        urls[0], None, preload=urls[1:], title=f"Clip {answered + 1:,}", has_previous=False, has_next=False,
        starts=True, height=440, key="audit.player",
    )  # fmt: skip


def _keys(ws: Workspace, name: str, item: int, auditor: str) -> None:
    """The answers. Their names hold the item: a key pressed twice while the page works never answers the next clip."""
    st.markdown("**Where does the sound come from?**")
    for answer, key in views.KEYS.items():
        st.button(
            views.answer_label(answer), icon=views.ICONS[answer], shortcut=key, key=f"audit.answer.{item}.{answer}",
            on_click=_answer, args=(ws, name, item, answer, auditor), width="stretch", help=views.MEANS[answer],
        )  # fmt: skip


def _answer(ws: Workspace, name: str, item: int, answer: str, auditor: str) -> None:
    try:
        audit.record(ws, name, item, answer, auditor)
    except (ConcordError, OSError) as error:
        st.session_state[_PROBLEM] = error


def _take_back(ws: Workspace, name: str, auditor: str) -> None:
    try:
        audit.undo(ws, name, auditor)
    except (ConcordError, OSError) as error:
        st.session_state[_PROBLEM] = error


@st.cache_data(max_entries=16, show_spinner=False)
def _paths(path: str, name: str, n_items: int, prints: tuple[str | None, ...]) -> dict[str, str]:
    ws = Workspace.open(path)
    return audit.media_paths(ws, [item.clip_id for item in audit.read_plan(ws, name).items])


# -- the result --------------------------------------------------------------------------------------------------------


def _result(ws: Workspace, name: str) -> None:
    plan, given = audit.read_plan(ws, name), audit.answers(ws, name)
    people = list(dict.fromkeys(one.auditor for one in given))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("All audits", icon=":material/arrow_back:", key="audit.back", on_click=_open, args=(None, None))
        st.button("Go on listening", icon=":material/hearing:", key="audit.on", on_click=_open, args=(name, None))
        who = ""
        if len(people) > 1:
            options = {"": "everybody"} | {person: person for person in people}
            who = choose("Answers of", options, "by", "", form="segments", hide_label=True)
    found = find(plan, given, who or None)
    st.caption(views.heard_words(found))
    _decision(ws, found)
    for column, group in zip(st.columns(len(found.groups)), found.groups):
        with column.container(gap=None):
            st.metric(words.literal(group.name), views.share_words(group.strict), help=_METRIC_HELP)
            st.caption(views.group_note(group))
    left, right = split([1.4, 1], "audit-figures")
    with left:
        st.markdown("**Does it correspond?** Sound from what is seen, with 95 % intervals")
        figures.draw(audit_charts.shares, found.groups, key="audit.shares")
        for agreed in found.agreed:
            st.caption(f":material/sync_alt: {views.agreement_words(agreed)}")
    with right:
        for run, bands in found.bands.items():
            st.markdown(f"**Estimated against heard**, by fifths of the score of {words.literal(run)}")
            figures.draw(audit_charts.estimates, bands, key=f"audit.estimates.{run}")
    _behind(ws, plan, [one for one in given if one.auditor in found.auditors])
    _downloads(ws, name)


_METRIC_HELP = (
    "Share of these clips whose sound comes from what is seen, weighted back to the data: each answer counts for the "
    "clips of its stratum. Wilson's 95 % interval at the effective number of answers (Kish). “Cannot tell” is left out."
)


def _decision(ws: Workspace, found: Found) -> None:
    told = found.comparison.contrast
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.text(decision(found), width="stretch")
        if told.more and told.more <= found.comparison.left:
            help = "Drawn where the two differ. 80 % power at 5 %, if the true difference is the one seen so far."
            st.button(
                f"Label {told.more:,} more", key="audit.more", icon=":material/add:", help=help,
                on_click=_add, args=(ws, found.plan.name, min(told.more, audit.CLIPS_MAX - len(found.plan.items))),
            )  # fmt: skip
    _show_problem()


def _add(ws: Workspace, name: str, more: int) -> None:
    try:
        extend(ws, name, more)
    except ConcordError as error:
        st.session_state[_PROBLEM] = error
        return
    _open(name, None)


def _behind(ws: Workspace, plan: Plan, given: list[Answer]) -> None:
    """The clips behind a number, to see and hear."""
    if not given:
        return
    st.subheader("The clips behind the numbers", anchor=False)
    with st.container(horizontal=True):
        group = choose("Clips", views.groups_of(plan), "group", "run0")
        answers = {answer: views.answer_label(answer) for answer in audit.ANSWERS}
        answer = choose("Heard as", answers, "heard", "overlaid")
    wanted = views.clips_behind(plan, given, group, answer)
    rows = data.rows_of(ws, wanted)
    if not len(rows):
        st.caption("No clip of these was heard so.")
        return
    st.caption(words.count(len(rows)))
    grid, panel = split([1.2, 1], "audit-behind")
    with grid:
        clip_panel.grid(ws, rows, None, "audit.grid", max_height=420)
    with panel:
        opened = clip_panel.opened_row(ws)
        row = int(rows[0]) if opened is None or opened not in rows else opened
        clip_panel.show_player(ws, row, rows, "audit.opened", height=240)


def _downloads(ws: Workspace, name: str) -> None:
    with st.container(horizontal=True):
        for format in audit.EXPORT_FORMATS:
            st.download_button(
                f"Answers as {format}",
                data=partial(audit.export_text, ws, name, format),
                file_name=f"{name}.{format}",
                on_click="ignore",
                icon=":material/download:",
                key=f"audit.export.{format}",
            )
