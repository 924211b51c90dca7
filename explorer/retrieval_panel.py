"""Correspondence retrieval on the Evaluate page: methods side by side where answers are known, and the clips behind
each number. Trying methods is a job; what is shown stands in the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from curation import retrieval
from curation.errors import ConcordError
from curation.home import check_allowed
from curation.retrieval import MATCHED, RANDOM, Result
from curation.truth import TRUTH_COLUMN, Judgement, judge
from curation.workspace import Workspace
from explorer import clip_panel, data, evaluate_charts, figures, forms, jobs_panel, measures
from explorer.choosers import choose
from explorer.components.dots import dots
from explorer.layout import split
from explorer.state import current_selection, set_params
from explorer.views import retrieval as views
from explorer.views import words

PAIRS_SHOWN = 12
RUNS_SHOWN = 12
BEHIND_MAX = 10_000  # clips that the player steps through
SEEDS = 5
_RUNS = " runs"  # no result has this name
_MISMATCHES = {
    "class": "whole classes",
    "sample": "single pairs",
    "half": "some of both",
    "independent": "all (random is right)",
}


def show(ws: Workspace) -> None:
    """The result in the address (the newest by default), the runs of this workspace, or what to do to have one."""
    options = {name: name for name in retrieval.names(ws)[::-1]}
    if _judged_runs(ws):
        options[_RUNS] = "the runs of this workspace"
    if not options:
        st.markdown("**How many of the clips that a method returns are right?** Tried where the answers are known.")
        _start(ws, opened=True)
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose("Tried on", options, "of", next(iter(options)), forget=("method", "clip"))
        place = st.container()
    if name == _RUNS:
        _runs(ws, place)
    else:
        _kept(ws, name, place)
    _start(ws, opened=False)


def _kept(ws: Workspace, name: str, place: Any) -> None:
    try:
        result = _read(str(ws.path), name, ws.fingerprint(f"evaluations/{retrieval.PREFIX}{name}") or "")
    except (ConcordError, OSError, KeyError, ValueError) as error:
        forms.show_problem(error if isinstance(error, (ConcordError, OSError)) else OSError(f"{name}: {error}"))
        return
    _result(ws, result, place)


def _judged_runs(ws: Workspace) -> list[str]:
    """Runs of the present clips, newest first, where there are answers to judge them by."""
    if f"columns/{TRUTH_COLUMN}" not in ws.keys("columns"):
        return []
    return [name for name, info in data.selections(ws).items() if info["why"] != data.OTHER_CLIPS][:RUNS_SHOWN]


def _runs(ws: Workspace, place: Any) -> None:
    """Runs side by side, each with what it got wrong."""
    names = _judged_runs(ws)
    answers = f"{ws.fingerprint(f'columns/{TRUTH_COLUMN}')} {ws.fingerprint('clips')}"
    try:
        judged = [_judgement(str(ws.path), name, ws.fingerprint(f"selections/{name}") or "", answers) for name in names]
    except ConcordError as error:
        forms.show_problem(error)
        return
    if not judged[0].base.known:
        st.caption(f"No candidate has an answer in {TRUTH_COLUMN}: there is nothing to judge by.")
        return
    with place:
        shown = current_selection(ws) or names[0]
        run = choose("Run", {n: n for n in names}, "method", shown if shown in names else names[0], forget=("clip",))
    random = judged[names.index(run)]
    st.markdown("**Does it correspond?** The runs of this workspace, judged by its answers")
    _dots("runs", views.run_dots(judged, random), run, 100 * random.base.value, names)
    st.caption("Wilson's 95 % intervals, clips of one source together; random: where 95 % of random choices lie, as "
               f"large as {words.literal(run)}. Click a dot to see its clips.")  # fmt: skip
    st.subheader("The clips behind the number", anchor=False)
    group = choose("Clips", views.GROUPS, "group", "wrong", form="segments", forget=("clip",), hide_label=True)
    n, rows = _run_rows(str(ws.path), run, ws.fingerprint(f"selections/{run}") or "", answers, group)
    _told(run, n, group)
    if n:
        _grid(ws, rows)


def _result(ws: Workspace, result: Result, seed_place: Any) -> None:
    methods = [row["method"] for row in result.rows]
    if result.leaky:
        st.warning(
            "The reference's leaky shuffle: these numbers show its leak and are no result.", icon=":material/warning:"
        )
    st.caption(f"{words.literal(retrieval.title_of(result), 300)}. {views.how_many(result)}")
    with seed_place:
        tried = [m for m in methods if m not in (RANDOM, MATCHED)]
        method = choose("Method", {m: m for m in methods}, "method", (tried or methods)[0], forget=("clip",))
    left, right = split([1.15, 1])
    with left:
        st.markdown("**Does it correspond?** As many clips chosen as are right")
        _dots(result.name, views.dots(result), method, views.random_percent(result), methods)
        st.caption("Click a dot for its clips below. matched-random: random with the picture and sound clusters that "
                   f"{words.literal(result.facts.get('resembled') or 'another method')} chose.")  # fmt: skip
    with right:
        st.markdown("**Along the budget**")
        drawn = list(dict.fromkeys([method, RANDOM, *methods]))[: evaluate_charts.LINES_MAX]
        figures.draw(evaluate_charts.precision_recall, views.lines(result, drawn), shown=method, key="retrieval.along")
        st.caption("Means over seeds, without their intervals: those are at the dots, for as many clips as are right.")
    with st.expander("Every number", icon=":material/table:"):
        _numbers(result)
    _behind(ws, result, method)


def _dots(name: str, rows: Sequence[views.Dot], shown: str, random: float | None, methods: list[str]) -> None:
    """The dots; a click on one shows what it got wrong."""
    dots(
        rows, shown=shown, random=random, axis="chosen clips that are right, %", noun="right",
        label="Precision of each method with its 95 % interval", key=f"retrieval.dots.{name}",
        on_choose=lambda chosen: set_params(method=chosen, clip=None) if chosen in methods else None,
    )  # fmt: skip


def _numbers(result: Result) -> None:
    frame = views.table(result)
    shape = {"s": st.column_config.NumberColumn(format="%.2f", help="Median time of a choice")}
    st.dataframe(frame, hide_index=True, column_config=shape, height=min(560, 38 + 35 * len(frame)))
    st.caption("± deviation over seeds. At the budget of as many clips as are right.")
    if "limit" in result.facts:
        st.caption(
            f"At most {100 * result.facts['limit']:.1f} % can be reached: some mismatched pairs share their class."
        )
    for notice in result.notices:
        st.caption(words.literal(notice, 300))
    text = "\n".join(retrieval.report_lines(result)) + "\n"
    st.download_button("Table as Markdown", text, f"retrieval-{result.name}.md", on_click="ignore",
                       icon=":material/download:", key="retrieval.markdown")  # fmt: skip


# -- the clips behind a number -----------------------------------------------------------------------------------------


def _behind(ws: Workspace, result: Result, method: str) -> None:
    st.subheader("The clips behind the number", anchor=False)
    seeds = [int(seed) for seed in result.settings["seeds"]]
    which, of_seed = st.columns([3, 1], vertical_alignment="bottom")
    with which:
        group = choose("Clips", views.GROUPS, "group", "wrong", form="segments", forget=("clip",), hide_label=True)
    with of_seed:
        wanted = choose("Seed", {str(seed): str(seed) for seed in seeds}, "of_seed", str(seeds[0]), forget=("clip",))
    prints = (str(ws.path), result.name, result.fingerprint)
    try:
        n, places = _places(*prints, method, int(wanted), group)
        clips = _clips(*prints, int(wanted))
    except OSError as error:
        forms.show_problem(error)
        return
    _told(f"{method}, seed {wanted}", n, group)
    if not n:
        return
    if result.facts["kind"] == "pairs":
        _pairs(result, clips.take(places[:PAIRS_SHOWN]).to_pylist())
    elif not retrieval.fits(ws, result):
        st.caption("It was tried on another list of clips: these cannot be shown any more. Try again below.")
    else:
        _grid(ws, clips["row"].take(places).to_numpy())


def _told(of: str, n: int, group: str) -> None:
    order = "" if group == "missed" or not n else ", in the order of the choice"
    st.caption(f"{words.literal(of)}: {words.count(n)} {views.GROUPS[group]}{order}.")


def _grid(ws: Workspace, rows: np.ndarray) -> None:
    grid, panel = split([1.2, 1], "retrieval-behind")
    with grid:
        clip_panel.grid(ws, rows, None, "retrieval.grid", max_height=420)
    with panel:
        opened = clip_panel.opened_row(ws)
        row = int(rows[0]) if opened is None or opened not in rows else opened
        clip_panel.show_player(ws, row, rows, "retrieval.opened", height=240)
        clip_panel.show_source(ws, row)


def _pairs(result: Result, pairs: list[dict[str, Any]]) -> None:
    """Pictures with their sounds: what is shown and what is heard."""
    shown, heard = Path(result.facts["pictures"]), Path(result.facts["sounds"])
    try:
        check_allowed(str(shown))
        check_allowed(str(heard))
    except ConcordError as error:
        forms.show_problem(error)
        return
    is_video = result.facts.get("picture_kind") == "video"
    for start in range(0, len(pairs), 4):
        for column, pair in zip(st.columns(4), pairs[start : start + 4]):
            with column.container(border=True):
                picture, sound = shown / pair["picture"], heard / pair["sound"]
                if not picture.is_file() or not sound.is_file():
                    st.caption(f"{words.literal(pair['picture'])} or its sound is not there any more")
                    continue
                (st.video(str(picture)) if is_video else st.image(str(picture), width=96))
                st.audio(str(sound))
                told = [words.literal(pair[f"{side}_class"]) for side in ("picture", "sound")]
                by_chance = " (by chance)" if pair["same_class"] and not pair["right"] else ""
                st.caption(f"shown {told[0]} · heard {told[1]}{by_chance}")


# -- trying ------------------------------------------------------------------------------------------------------------


def _start(ws: Workspace, *, opened: bool) -> None:
    """Forms that start a job: on the workspace's known answers, or on pairs of two labelled folders."""
    busy = jobs_panel.is_running(ws)
    with st.expander("Try methods", icon=":material/play_arrow:", expanded=opened):
        answers, pairs = st.columns(2, gap="large")
        with answers:
            _on_answers(ws, busy)
        with pairs:
            _on_pairs(ws, busy)


def _on_answers(ws: Workspace, busy: bool) -> None:
    st.markdown("**On this workspace's known answers**")
    if f"columns/{TRUTH_COLUMN}" not in ws.keys("columns"):
        st.caption("None yet. Join a table that says of each clip whether its sound belongs to its picture:")
        st.code(f"python -m curation import {ws.path} --truth FILE --key COLUMN --column COLUMN --name {TRUTH_COLUMN}",
                language="bash", wrap_lines=True)  # fmt: skip
        return
    if not ws.keys("clusterings"):
        st.caption("Its clips are not clustered yet: run it first.")
        return
    methods = st.multiselect(
        "Methods", retrieval.method_names(), [m for m in views.FAST_METHODS if m != RANDOM], key="retrieval.methods",
        help="random is always tried.",
    )  # fmt: skip
    seeds = st.number_input("Seeds", 1, 20, SEEDS, key="retrieval.seeds", help="Each redoes the clusters.")
    if st.button(
        "Try them", key="retrieval.start", type="primary", disabled=busy or not methods, icon=":material/play_arrow:"
    ):
        argv = ["retrieval", str(ws.path), "--methods", *methods, "--seeds", *map(str, range(int(seeds)))]
        jobs_panel.launch(ws, argv, title="retrieval", part="known", of=TRUTH_COLUMN)


def _on_pairs(ws: Workspace, busy: bool) -> None:
    st.markdown("**On pairs of two labelled folders**", help="One folder a class in each, named alike in both.")
    shown = forms.folder_input("Pictures or videos", "retrieval.pictures", placeholder="/data/digits/pictures")
    heard = forms.folder_input("Sounds", "retrieval.sounds", placeholder="/data/digits/sounds")
    protocol = st.selectbox(
        "Mismatched", list(_MISMATCHES), format_func=_MISMATCHES.__getitem__, key="retrieval.mismatch"
    )
    if not st.button("Make pairs and try", key="retrieval.pair", disabled=busy or not (shown and heard)):
        return
    places = [forms.allowed_folder(shown), forms.allowed_folder(heard)]
    if places[0] is not None and places[1] is not None:
        argv = ["retrieval", str(ws.path), "--pictures", str(places[0]), "--sounds", str(places[1])]
        argv += ["--mismatch", protocol, "--seeds", *map(str, range(SEEDS)), "--methods", *views.FAST_METHODS[1:]]
        jobs_panel.launch(ws, argv, title="retrieval", part="known", of=None)


# -- cached ------------------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, name: str, fingerprint: str) -> Result:
    return retrieval.read(Workspace.open(path), name)


@st.cache_resource(max_entries=2, show_spinner=False)
def _clips(path: str, name: str, fingerprint: str, seed: int) -> Any:
    return _read(path, name, fingerprint).clips(seed)


@st.cache_resource(max_entries=16, show_spinner=False)
def _places(
    path: str, name: str, fingerprint: str, method: str, seed: int, group: str
) -> tuple[int, np.ndarray]:  # fmt: skip
    """How many candidates are in a group, and the places of the first of them."""
    clips = _clips(path, name, fingerprint, seed)
    picks = _read(path, name, fingerprint).picks(method, seed)
    found = views.behind(picks, clips["right"].to_numpy(), clips["known"].to_numpy(), group)
    return len(found), found[:BEHIND_MAX].copy()


@st.cache_resource(max_entries=16, show_spinner=False)
def _run_rows(path: str, run: str, fingerprint: str, answers: str, group: str) -> tuple[int, np.ndarray]:
    """How many clips of a run are in a group, and the rows of the first of them."""
    ws = Workspace.open(path)
    answer = measures.truth(ws)
    assert answer is not None
    found = views.behind(data.picks(ws, run)["row"].to_numpy(), *answer, group)
    return len(found), found[:BEHIND_MAX].copy()


@st.cache_resource(max_entries=32, show_spinner=False)
def _judgement(path: str, run: str, fingerprint: str, answers: str) -> Judgement:
    return judge(Workspace.open(path), run)
