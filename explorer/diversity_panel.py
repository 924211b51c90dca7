"""Diversity and skew on the Evaluate page: a run beside random and content-matched random, and the clips behind each
number. Measuring is a job.
"""

from __future__ import annotations

import streamlit as st

from curation import diversity
from curation.diversity_table import DiversityTable, report_lines
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import clip_panel, data, evaluate_charts, figures, forms, jobs_panel
from explorer.choosers import choose
from explorer.layout import split
from explorer.views import diversity as views
from explorer.views import words

RUNS_COMPARED = 6


def show(ws: Workspace, run: str) -> None:
    """The table of a run, or the button that has it made."""
    try:
        found = diversity.kept(ws, run)
    except (ConcordError, OSError) as error:
        forms.show_problem(error)
        return
    if found is None:
        _start(ws, run)
        return
    st.caption(
        f"{words.literal(run)}: {words.count(found.clips)} of {words.count(found.candidates, 'candidates')}, "
        f"{words.count(found.sources, 'sources')}. Clusters counted in {words.literal(found.judged_on, 400)}. "
        f"95 % intervals: sources resampled; controls: mean of {found.draws}."
    )
    if not found.is_held_out:
        st.warning(
            "Clusters are counted in the run's own clusterings: its breadth is flattered.", icon=":material/warning:"
        )
    said = views.stands_out(found)
    st.markdown("**Beyond chance**" + ("" if said else ": nothing that can be told from random"),
                help="Differences from random, at 5 % for all measures together.")  # fmt: skip
    if said:
        st.markdown("\n".join(f"- {words.literal(text, 200)}" for text in said))
    left, right = split([1, 1])
    with left:
        st.markdown("**How broad?**")
        figures.draw(evaluate_charts.beside, views.beside(found, views.BREADTH), "% (numbers: of all candidates')",
                     key="diversity.breadth")  # fmt: skip
    with right:
        st.markdown("**How skewed?**")
        figures.draw(evaluate_charts.beside, views.beside(found, views.SKEW), "% of the clips", key="diversity.skew")
    with st.expander("Every number", icon=":material/table:", expanded=True):
        frame = views.table(found)
        st.dataframe(frame, hide_index=True, height=38 + 35 * len(frame))
        for notice in found.notices:
            st.caption(words.literal(notice, 300))
        text = "\n".join(report_lines(found)) + "\n"
        st.download_button("Table as Markdown", text, f"diversity-{run}.md", on_click="ignore",
                           icon=":material/download:", key="diversity.markdown")  # fmt: skip
    _side_by_side(ws, found)
    _behind(ws, found)


def _start(ws: Workspace, run: str) -> None:
    with st.container(border=True):
        st.markdown(f"**How broad is {words.literal(run)}, and how is it skewed?**")
        st.caption(
            "Clusters, kinds of sound, sources, copies, what is chosen again with other seeds: beside random choices "
            "of the same size and random choices of the same content."
        )
        if st.button("Measure it", type="primary", key="diversity.start", disabled=jobs_panel.is_running(ws),
                     icon=":material/straighten:"):  # fmt: skip
            jobs_panel.launch(ws, ["diversity", str(ws.path), "--selection", run], title="diversity", part="breadth")


def _side_by_side(ws: Workspace, found: DiversityTable) -> None:
    """The other runs that were measured, in columns."""
    others: list[DiversityTable] = []
    missing = 0
    for name in [name for name, info in data.selections(ws).items() if name != found.selection and not info["stale"]]:
        if len(others) + 1 >= RUNS_COMPARED:
            break
        try:
            other = diversity.kept(ws, name)
        except (ConcordError, OSError):
            other = None
        others += [other] if other is not None else []
        missing += other is None
    if others:
        st.markdown("**Runs side by side**")
        st.dataframe(views.compared([found, *others]), hide_index=True)
    if missing:
        st.caption(f"{words.count(missing, 'runs')} not measured: choose one in the sidebar to measure it.")


def _behind(ws: Workspace, found: DiversityTable) -> None:
    """The clips behind a number, to see and hear."""
    there = {key: text for key, text in views.BEHIND.items() if len(found.behind(key))}
    if not there:
        return
    st.subheader("The clips behind the numbers", anchor=False)
    key = choose("Clips", there, "what", next(iter(there)), forget=("clip",))
    rows = found.behind(key)
    rows = rows[rows < data.n_clips(ws)]
    some = " (some of them)" if len(rows) >= diversity.BEHIND_MAX else ""
    st.caption(f"{words.count(len(rows))}{some}")
    grid, panel = split([1.2, 1], "diversity-behind")
    with grid:
        clip_panel.grid(ws, rows, None, "diversity.grid", max_height=420)
    with panel:
        opened = clip_panel.opened_row(ws)
        row = int(rows[0]) if opened is None or opened not in rows else opened
        clip_panel.show_player(ws, row, rows, "diversity.opened", height=240)
        clip_panel.show_source(ws, row)
