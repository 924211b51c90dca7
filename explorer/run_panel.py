"""The selection page's results: a run's name goes in; its curve, numbers and comparison with another run come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from curation import jobs
from curation.workspace import Workspace
from explorer import bars, before_after, curves, data, figures, measures
from explorer.clip_panel import open_in_clips
from explorer.layout import wrapped
from explorer.run_settings import RUN_NOW
from explorer.state import fill, param, set_params, whole_number
from explorer.views import selection as views
from explorer.views import words

RUNS_DRAWN = 8
SELECTING = ("select", "run", "demo")
"""Commands that end in a selection."""


def draw_live(ws: Workspace) -> bool:
    """The curve of a selection that runs now, or will when its clusters are made; False when none does."""
    for record in jobs.running_jobs(ws):
        words_of_command = str(record.get("command", "")).split()
        if len(words_of_command) > 3 and words_of_command[3] in SELECTING:
            _live(ws, record["id"])
            return True
    return False


@st.fragment(run_every="1s")
def _live(ws: Workspace, job_id: str) -> None:
    points = pd.DataFrame(jobs.read_series(ws, job_id))
    st.subheader("Selecting now")
    if not {"size", "objective"} <= set(points):
        st.html(bars.nothing("The curve appears once the first clips are picked.", curves.HEIGHT))
        return
    permuted = points["permuted"].to_numpy(float) if "permuted" in points else None
    size, objective = points["size"].to_numpy(), points["objective"].to_numpy(float)
    st.html(curves.mi_curve(size, objective, None, permuted, name="this run", dark=figures.is_dark()))
    st.caption(f"{words.count(int(size[-1]))} picked · {words.nats(float(objective[-1]))} so far")


@st.fragment
def draw(ws: Workspace, run: str) -> None:
    """One finished run. A fragment: sliding the budget draws nothing else of the page again."""
    info = data.selections(ws)[run]
    top = _top(info)
    st.subheader(words.literal(run), anchor=False)
    _stale_hint(ws, info)
    _numbers(ws, run, info, top)
    left, right = wrapped([3, 2], "run-figures")
    with left:
        _curve(ws, run, info, top)
    with right:
        _breadth(ws, run, info, top)
    _budget_slider(info, top)
    with st.container(gap=None):
        _sentences(ws, run, info)
    before_after.draw(ws, run, top)


def _sentences(ws: Workspace, run: str, info: dict[str, Any]) -> None:
    """What the report says in words: estimates, what moved the choice, how stable it is, what constraints cost."""
    report = info.get("report", {})
    estimate = views.estimate_sentence(report)
    if estimate:
        st.caption(f":material/query_stats: {estimate}", help=views.ESTIMATE_HELP)
    content = views.content_sentence(report)
    if content:
        st.caption(f":material/category: {content}")
    stability = views.stability_sentence(report, measures.median_spread(ws, run))
    if stability:
        st.caption(f":material/repeat: {stability}")
    costs = [f"{what} {words.signed(cost, 3)}" for what, cost in views.cost_lines(report)]
    if costs:
        st.caption(
            f":material/rule: Mutual information without each constraint, nats: {' · '.join(costs)}",
            help="How much more (or less) the same method reaches at the same size when this one constraint is left "
            "out. Below zero: the constraint cost nothing, the search merely took another way.",
        )  # fmt: skip
    for notice in report.get("notices", []):
        st.caption(f":material/info: {words.literal(notice, 300)}")


def _top(info: dict[str, Any]) -> int:
    """How many of the picks are looked at: `n` in the address, else all."""
    size = int(info["clips"])
    wanted = whole_number(param("n"))
    if wanted is None or not 1 <= wanted < size:
        set_params(n=None)
        return size
    return wanted


def _stale_hint(ws: Workspace, info: dict[str, Any]) -> None:
    if info["why"] == data.OTHER_CLIPS:
        st.warning(
            "This run was made of another list of clips. Shown are those of its clips that are still there; run again "
            "to choose among the clips as they are now.",
            icon=":material/sync_problem:",
        )
        return
    now = {name: ws.fingerprint(f"clusterings/{name}") for name in info.get("clusterings", {})}
    changed = views.changed_inputs(info.get("clusterings", {}), now)
    if changed:
        st.warning(
            f"{words.count(len(changed), 'clusterings')} changed since this run. Its clips are still what was chosen "
            "then; run again to choose by the clusters as they are now.",
            icon=":material/sync_problem:",
        )


def _numbers(ws: Workspace, run: str, info: dict[str, Any], top: int) -> None:
    picks = data.picks(ws, run)["row"].to_numpy()[:top]
    at = _at(ws, run, info, top)
    hours = words.hours(*data.total_hours(ws, picks))
    answer = measures.truth(ws)
    found = views.precision(picks, *answer) if answer is not None else None
    share = words.percent(top / info["candidates"])
    facts = [
        ("Clips", f"{top:,}", f"{hours} · {share} of {words.count(info['candidates'], 'candidates')}", ""),
        (
            "Mutual information", words.nats(at["objective"]),
            f"permuted sounds {words.number(at['permuted'])} · random {words.number(at['random'])} (same size)",
            "Mean over the pairs of clusterings, nats (plug-in estimate).",
        ),
        (
            "Beyond random", f"{words.signed(at['objective'] - at['random'])} nats",
            "a list made elsewhere has no control with permuted sounds",
            "How much more than random clips of the same number. Any method that looks for high counts is above "
            "random, also where sound and picture are independent; how the list was chosen is not known here.",
        ) if np.isnan(at["permuted"]) and info.get("origin") == "imported" else (
            "Beyond permuted", f"{words.signed(at['objective'] - at['permuted'])} nats",
            f"{words.signed(at['objective'] - at['random'])} nats beyond random",
            "The finding: how much more than the same method reaches when every sound is given to another clip. Any "
            "method that looks for high counts is above random, also where sound and picture are independent.",
        ),
        *([_precision(found)] if found else []),
    ]  # fmt: skip
    for column, (label, value, comparison, explained) in zip(st.columns(len(facts)), facts):
        with column.container(gap=None):
            st.metric(label, value, help=explained or None)
            st.caption(comparison)


def _at(ws: Workspace, run: str, info: dict[str, Any], top: int) -> dict[str, float]:
    """Objective and controls at `top` clips: of the report at the end, of the curve and the tables before it."""
    report = info.get("report", {})
    if top == info["clips"]:
        keys = {name: report.get(f"objective_{name}") for name in ("random", "permuted")}
        keys["objective"] = info.get("objective")
        return {name: float("nan") if value is None else float(value) for name, value in keys.items()}
    found = views.curve_at({name: column.to_numpy() for name, column in data.curve(ws, run).items()}, top)
    if not info["stale"]:
        found["objective"] = measures.objective_of_top(ws, run, top)
    return found


def _precision(found: views.Precision) -> tuple[str, str, str, str]:
    """Label, value, comparison and explanation of the precision among known answers."""
    return (
        "Correspond",
        words.percent(found.share, 1),
        f"of {words.count(found.known)} with a known answer · 95 % interval {100 * found.low:.0f}–"
        f"{100 * found.high:.0f} % · random {words.percent(found.expected_random, 1)}",
        f"Share of this selection's clips with a known answer (column truth_match) whose sound and picture belong "
        f"together; interval after Wilson. Random: the share among all {words.count(found.known_candidates)} with one.",
    )


def _curve(ws: Workspace, run: str, info: dict[str, Any], top: int) -> None:
    curve = data.curve(ws, run)
    other = param("with")
    others = {}
    if other in data.selections(ws) and other != run:
        compared = data.curve(ws, other)
        others[other] = (compared["size"].to_numpy(), compared["objective"].to_numpy(float))
    st.html(
        curves.mi_curve(
            curve["size"].to_numpy(),
            curve["objective"].to_numpy(float),
            curve["random"].to_numpy(float),
            curve["permuted"].to_numpy(float),
            name="this run" if info["method"] != "random" else "this random run",
            others=others,
            marker=top if top < info["clips"] else None,
            dark=figures.is_dark(),
        )
    )


def _breadth(ws: Workspace, run: str, info: dict[str, Any], top: int) -> None:
    """This run and the newest others of the same clips, by how many correspond and how many kinds they hold."""
    runs = [name for name, other in data.selections(ws).items() if other["why"] != data.OTHER_CLIPS]
    chosen = tuple(dict.fromkeys([*([run] if run in runs else []), *runs[:RUNS_DRAWN]]))
    found = data.selections(ws)
    points = measures.breadth_points(ws, {name: top if name == run else int(found[name]["clips"]) for name in chosen})
    answer = measures.truth(ws)
    random = 100 * float(answer[0][answer[1]].mean()) if answer is not None and answer[1].any() else None
    if random is None:
        estimates = [other.get("report", {}).get("corresponding_share") for other in (info, *found.values())]
        random = next((100 * float(share) for share in estimates if share is not None), None)
    st.html(curves.precision_breadth(points, shown=run, random=random, dark=figures.is_dark()))
    if points and points[0].how == "estimated":
        st.caption("Hollow: estimated from the decoys of the newest concord run.", help=views.ESTIMATE_HELP)


def _budget_slider(info: dict[str, Any], top: int) -> None:
    """The first picks of the run, at once; where they are no run of their own, a button makes it."""
    size = int(info["clips"])
    if size < 2:
        return
    fill("run.top", top)

    def keep() -> None:
        chosen = int(st.session_state["run.top"])
        set_params(n=None if chosen == size else chosen)

    exact = views.is_exact(info, top)
    left, right = wrapped([4, 1.3], "run-budget", align="bottom")
    left.slider(
        "Budget, clips" if exact else "Top n of this run, clips",
        1, size, key="run.top", on_change=keep,
        help="The order of picking is kept: the first n picks are what the run would have chosen with n clips."
        if exact else "The first n picks of this run are not what it would choose with a budget of n: Run at n does "
        "that, with the settings at the left.",
    )  # fmt: skip
    if top == size:
        return
    if exact:
        pressed = right.button(
            "Take as budget", key="run.keep", icon=":material/check:", on_click=_take_budget, args=(top,),
            width="stretch", help="Puts it into the settings at the left. Until a run is made of it, other pages and "
            "the export show the whole run.",
        )  # fmt: skip
    else:
        pressed = right.button(
            f"Run at {top:,}", key="run.at", icon=":material/play_arrow:", on_click=_run_at, args=(info, top),
            width="stretch", help="Runs this method with that budget and the other settings at the left.",
        )  # fmt: skip
    if pressed:
        st.rerun()  # the settings are outside of this fragment


def _take_budget(clips: int) -> None:
    """Put a number of clips into the settings at the left; [Run] makes it a run of its own."""
    st.session_state["set.unit"] = "clips"
    st.session_state["set.budget.clips"] = float(clips)


def _run_at(info: dict[str, Any], clips: int) -> None:
    """The same with the run's method, and [Run] pressed; it gets a name of its own, so this run stays."""
    _take_budget(clips)
    st.session_state["set.name"] = ""
    if info["method"] in words.METHODS and info["method"] != "matched-random":
        st.session_state["set.method"] = info["method"]
    if info.get("pairing") in words.PAIRINGS:
        st.session_state["set.pairing"] = info["pairing"]
    breadth = info.get("options", {}).get("breadth")
    if breadth in words.BREADTHS:
        st.session_state["set.breadth"] = breadth
    st.session_state[RUN_NOW] = True


def draw_runs(ws: Workspace, run: str) -> None:
    """The list of runs: one is shown on every page, two are compared."""
    found = data.selections(ws)
    st.subheader("Runs", anchor=False)
    if len(found) == 1:
        st.caption("This is the only run. Run again, with other settings, to compare two here.")
    else:
        st.caption("Mark one to show it on every page, two to compare them.")
        _run_list(found)
    other = param("with")
    if other in found and other != run:
        _compare(ws, run, other)
    elif other:
        set_params(**{"with": None})


def _run_list(found: dict[str, dict[str, Any]]) -> None:
    frame = pd.DataFrame(
        {
            "run": list(found),
            "method": [info["method"] for info in found.values()],
            "budget": [info["budget"] for info in found.values()],
            "clips": [info["clips"] for info in found.values()],
            "mi": [info["objective"] for info in found.values()],
            "beyond": [_beyond(info) for info in found.values()],
            "state": [info["why"] for info in found.values()],
        }
    )

    def keep() -> None:
        rows = st.session_state["run.list"]["selection"]["rows"]
        names = [str(frame["run"].iloc[row]) for row in rows if row < len(frame)]
        if len(names) == 1:
            set_params(run=names[0], **{"with": None, "n": None})
        elif len(names) >= 2:
            set_params(run=names[0], **{"with": names[1], "n": None})

    st.dataframe(
        frame.style.format({"mi": words.number, "beyond": words.signed}),
        key="run.list",
        hide_index=True,
        on_select=keep,
        selection_mode="multi-row",
        height=min(320, 38 + 35 * len(frame)),
        column_config={
            "run": "Run",
            "method": "Method",
            "budget": "Budget",
            "clips": st.column_config.NumberColumn("Clips", format="localized"),
            "mi": st.column_config.NumberColumn("MI, nats"),
            "beyond": st.column_config.NumberColumn("Beyond permuted, nats"),
            "state": "State",
        },
    )


def _beyond(info: dict[str, Any]) -> float:
    permuted = info.get("report", {}).get("objective_permuted")
    return float("nan") if permuted is None else float(info["objective"]) - float(permuted)


def _compare(ws: Workspace, first: str, second: str) -> None:
    a, b = (data.picks(ws, name)["row"].to_numpy() for name in (first, second))
    found = views.overlap(a, b)
    chance = views.overlap_by_chance(len(a), len(b), measures.candidates(ws))
    with st.container(border=True):
        st.markdown(f"**{words.literal(first)}** and **{words.literal(second)}**")
        st.markdown(
            f"{words.count(found.both)} in both ({words.percent(found.share)} of those in either; by chance "
            f"{words.count(round(chance))}) · {found.only_a:,} only in the first · {found.only_b:,} only in the second"
        )
        with st.container(horizontal=True):
            open_in_clips("Only in the first", "run.only_a", run=first, sel="yes", without=second)
            open_in_clips("Only in the second", "run.only_b", run=second, sel="yes", without=first)
