"""Does the subset teach? Evaluations by pre-training on their page: what was found, what it speaks of, a new one.

Training is a job; what is shown stands in the address.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from curation.errors import ConcordError, InputError
from curation.home import check_allowed
from curation.pretraining import results
from curation.workspace import Workspace
from explorer import data, figures, forms, jobs_panel, teach_charts
from explorer.choosers import choose
from explorer.layout import split
from explorer.state import current_selection
from explorer.views import teach as views
from explorer.views import words

ACTIONS = {"power": "Power check", "compare": "Subset against its controls", "sampling": "Ways of sampling"}
PROBES = {
    "own": "labels of these clips",
    "esc50": "ESC-50 folder",
    "ucf101": "UCF101 folder",
    "kinetics-sounds": "Kinetics-Sounds folder",
    "folder": "folder with a folder a class",
    "table": "table with path and label",
}


def show(ws: Workspace) -> None:
    """The evaluation in the address (the newest by default), or what to do to have one."""
    names = results.names(ws)[::-1]
    if not names:
        st.markdown(
            "**Does it teach?** Small models are trained from scratch on a subset, then judged by labelled data."
        )
        _start(ws, opened=True)
        return
    name = choose("Evaluation", {name: name for name in names}, "trained", names[0])
    try:
        plan, result = results.read_plan(ws, name), results.read_result(ws, name)
        _found(ws, name, plan, result)
    except (ConcordError, OSError, KeyError, ValueError) as error:
        forms.show_problem(error if isinstance(error, ConcordError) else InputError(f"{name} is damaged: {error}"))
    _start(ws, opened=False)


def _found(ws: Workspace, name: str, plan: dict[str, Any], result: dict[str, Any] | None) -> None:
    if not result or not result.get("seeds"):
        st.caption(f"{results.KINDS.get(plan['kind'], plan['kind'])} No seed is done yet.")
        _notes(plan)
        return
    options = views.probe_names(result)
    if not options:
        raise KeyError("probes")
    probe = choose("Probe", options, "probe", next(iter(options)), form="segments", hide_label=True)
    tells, sentence = views.verdict(result, probe)
    icon = ":material/check_circle:" if tells else ":material/help:"
    with st.container(border=True):
        st.markdown(f"{icon} **{words.literal(sentence, 400)}**")
        if result["kind"] != "power":
            can, said = results.power_check(ws, name, probe)
            st.markdown((":material/check_circle: " if can else ":material/help: ") + words.literal(said, 500))
        st.caption(views.SPEAKS_OF.get(result["kind"], ""))
    chance = 100 * next(p["chance"] for p in result["probes"] if p["name"] == probe)
    if result["kind"] == "power":
        st.markdown("**Could a difference show here?** Accuracy against the share of right sounds")
        marks = views.power_marks(result, probe)
        figures.draw(teach_charts.rise, marks, chance=chance, key=f"teach.rise.{probe}",
                     alt="Accuracy against the share of right sounds, with 95 % intervals")  # fmt: skip
    else:
        _compared(result, probe, chance)
    st.caption(views.scope(result, probe))
    planned = result.get("planned_seeds", result["seeds"])
    if len(result["seeds"]) < len(planned):
        st.caption(f"{len(result['seeds'])} of {words.count(len(planned), 'seeds')} are done.")
    with st.expander("Every set", icon=":material/table:"):
        st.dataframe(views.sets_table(result, probe), hide_index=True)
        st.caption("Means over seeds, ± their deviation over seeds.")
        if results.age(result):
            st.caption(results.age(result))
        _notes(result)


def _compared(result: dict[str, Any], probe: str, chance: float) -> None:
    left, right = split([1, 1], "teach")
    with left:
        st.markdown("**Does it teach?** Top-1 accuracy of a linear classifier")
        marks = views.level_marks(result, probe)
        figures.draw(teach_charts.dots, marks, unit="top-1 accuracy, %", chance=chance, key=f"teach.dots.{probe}",
                     alt="Accuracy of each set with its 95 % interval")  # fmt: skip
    with right:
        st.markdown("**Differences**, paired over seeds and test clips")
        figures.draw(teach_charts.dots, views.gap_marks(result, probe), unit="points", zero=True,
                     key=f"teach.gaps.{probe}", alt="Differences with their 95 % intervals")  # fmt: skip
    st.caption("95 % intervals: test clips resampled by source, and Student's t over seeds.")


def _notes(found: dict[str, Any]) -> None:
    for note in found.get("notes", []):
        st.caption(words.literal(str(note), 400))


# -- starting ----------------------------------------------------------------------------------------------------------


def _start(ws: Workspace, *, opened: bool) -> None:
    with st.expander("Train and judge", expanded=opened, icon=":material/model_training:"):
        top = st.columns(3, vertical_alignment="bottom")
        action = top[0].selectbox("What", list(ACTIONS), format_func=ACTIONS.__getitem__, key="teach.action")
        kind = top[1].selectbox("Judged by", list(PROBES), format_func=PROBES.__getitem__, key="teach.probe")
        name = top[2].text_input("Name", value=action, key=f"teach.name.{action}", max_chars=60)
        options = _own_labels(ws) if kind == "own" else _foreign(kind)
        low = st.columns(3)
        steps = low[0].number_input("Steps", 10, 1_000_000, 300, key="teach.steps")
        batch = low[1].number_input("Clips a batch", 4, 4096, min(128, _sensible(ws)), key="teach.batch")
        seeds = low[2].number_input("Seeds", 1, 20, 5, key="teach.seeds", help="Each redoes choice and training.")
        run = current_selection(ws)
        if action == "compare" and run is None:
            st.caption("No subset was selected yet: there is nothing to compare.")
            return
        if options is None:
            return
        argv = ["pretrain", str(ws.path), action, "--name", name.strip() or action, *options, "--steps", str(steps),
                "--batch-size", str(batch), "--seeds", ",".join(map(str, range(int(seeds))))]  # fmt: skip
        if action == "compare" and run is not None:
            argv += ["--selection", run]
        if action == "power" and kind != "own" and st.checkbox(
            "Take every clip's own sound as right", key="teach.right",
            help="Else only clips that a joined column truth_match says are right.",
        ):  # fmt: skip
            argv += ["--assume-right"]
        st.caption(_effort(action, int(steps), int(batch), int(seeds)))
        busy = jobs_panel.is_running(ws)
        asked = st.button("Train", type="primary", key="teach.start", icon=":material/play_arrow:", disabled=busy,
                          help="Another job is running." if busy else None)  # fmt: skip
        if asked and _allowed(argv):
            jobs_panel.launch(ws, argv, title=f"pretrain {name}", trained=name.strip() or action)


def _own_labels(ws: Workspace) -> list[str] | None:
    """Options that name joined columns; None while there are none."""
    known = [key.partition("/")[2] for key in ws.keys("columns")]
    if not known:
        st.caption("No column with labels was joined yet: `python -m curation import WORKSPACE --column ...`.")
        return None
    none = "none"
    options = [none, *known]
    left, right = st.columns(2)
    seen = left.selectbox("Class of the picture", options, index=_likely(options, "visual"), key="teach.seen")
    heard = right.selectbox("Class of the sound", options, index=_likely(options, "audio"), key="teach.heard")
    found = [("--picture-label", seen), ("--sound-label", heard)]
    argv = [part for option, value in found if value != none for part in (option, value)]
    if not argv:
        st.caption("Choose a column with the classes of pictures or of sounds.")
    return argv or None


def _likely(options: list[str], word: str) -> int:
    return next((i for i, name in enumerate(options) if "label" in name and word in name), 0)


def _foreign(kind: str) -> list[str] | None:
    place = st.text_input("Where it lies", key="teach.place", placeholder="/data/...", max_chars=1000).strip()
    return ["--probe", f"{kind}:{place}"] if place else None


def _allowed(argv: list[str]) -> bool:
    """Folders outside what this server may read are refused."""
    try:
        if "--probe" in argv:
            check_allowed(argv[argv.index("--probe") + 1].partition(":")[2])
    except ConcordError as error:
        forms.show_problem(error)
        return False
    return True


def _sensible(ws: Workspace) -> int:
    """A batch that a third of the clips fills twice."""
    return max(4, data.n_clips(ws) // 6 // 4 * 4)


def _effort(action: str, steps: int, batch: int, seeds: int) -> str:
    sets = {"power": 5, "compare": 4, "sampling": 2}[action]
    minutes = sets * seeds * steps * batch / SEEN_A_MINUTE
    return (
        f"{sets} sets, {seeds} seeds: about {max(1, round(minutes)):,} min of training on one core; what is done stays."
    )


SEEN_A_MINUTE = 60 * 1300  # clips of the tiny network on one core, forward and back
