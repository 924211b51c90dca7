"""How many clusters: a layer's study as a figure and a table, [use this count], and the job that makes it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from curation.counts import COUNTS, SAMPLE, SEEDS, Study, check_counts, key_of, read_study
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import figures, forms, jobs_panel, run_settings
from explorer.counts_chart import gain_by_count
from explorer.state import set_params
from explorer.views import counts as views
from explorer.views import words

_HELP = (
    "The layer is clustered into several numbers of clusters on a sample, with several seeds. **Gain**: how far the "
    "clips' pairs of clusters score above decoys (the same pictures with sounds of other sources), in deviations of "
    "decoys. Every clip is judged by tables that have seen neither it nor its source, so too many clusters lower the "
    "gain: their tables are noise. Permuted sounds stay at 0."
)


def draw(ws: Workspace, layer: str) -> None:
    """The study of one layer, or the button that makes it."""
    if layer not in run_settings.layer_names(ws):
        st.caption("These clusters were brought in without features: other counts cannot be tried.")
        return
    try:
        study = read_study(ws, key_of(layer))
    except ConcordError as error:
        forms.show_problem(error)
        study = None
    if study is None:
        st.markdown("How many clusters tell most about which sound goes with which picture?", help=_HELP)
        _start(ws, layer)
        return
    _draw_study(ws, study)
    with st.expander("Try other counts", icon=":material/tune:"):
        _start(ws, layer)


def _draw_study(ws: Workspace, study: Study) -> None:
    st.markdown(f"**{views.verdict(study)}**", help=_HELP)
    if study.added is not None:
        st.markdown(views.added_words(study))
    if study.stale:
        st.warning("Made of other clips, features or clusters than there are now.", icon=":material/history:")
    figures.draw(gain_by_count, study, key="counts.figure")
    made_of = [f"{words.count(study.clips)} of {words.count(study.sources, 'sources')}"]
    made_of += [words.count(study.seeds, "seeds"), f"{words.count(len(study.partners), 'clusterings')} to pair with"]
    st.caption(" · ".join([*made_of, "line: one standard error below the best"]))
    _use(ws, study)
    st.dataframe(
        views.study_frame(study), key="counts.table", hide_index=True, height="content",
        column_config=_columns(),
    )  # fmt: skip
    for line in views.warnings(study):
        st.caption(line)


def _use(ws: Workspace, study: Study) -> None:
    """Choose a count (the proposed one by default) and keep it as the layer's own in the settings."""
    counts = [row.count for row in study.rows]
    if not counts:
        return
    start = study.proposed if study.proposed is not None else counts[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.selectbox(
            "Count", counts, counts.index(start), key=f"counts.use.{study.layer}", width=160,
            format_func=lambda n: f"{n} (proposed)" if n == study.proposed else str(n),
        )  # fmt: skip
        own = dict(item.split("=", 1) for item in ws.config.cluster.per_layer.split(",") if "=" in item)
        kept = own.get(study.layer) == str(count)
        if st.button("Use this count", key="counts.keep", type="primary", disabled=kept):
            wanted = views.with_count(ws.config.cluster.per_layer, study.layer, int(count))
            if forms.apply_settings(ws, {"cluster.per_layer": wanted}):
                st.rerun()
        if kept and st.button("Make clusters", key="counts.make", icon=":material/play_arrow:",
                              disabled=jobs_panel.is_running(ws)):  # fmt: skip
            jobs_panel.launch(ws, ["cluster", str(ws.path)], title="Clusters")
    if kept:
        st.caption(f"{count} clusters are set for {words.literal(words.layer(study.layer))}; they appear when made.")


def _start(ws: Workspace, layer: str) -> None:
    with st.form("counts.form", border=False):
        counts = st.text_input("Counts", ",".join(map(str, COUNTS)), max_chars=200,
                               help="Left out where a cell would hold less than one clip by chance")  # fmt: skip
        left, right = st.columns(2)
        sample = left.number_input("Clips in the sample", 100, 10_000_000, SAMPLE, step=10_000)
        seeds = right.number_input("Seeds", 2, 20, SEEDS)
        pressed = st.form_submit_button(
            "Compare counts", icon=":material/play_arrow:", disabled=jobs_panel.is_running(ws)
        )
    if not pressed:
        return
    try:
        wanted = check_counts(counts)
    except ConcordError as error:
        forms.show_problem(error)
        return
    argv = ["counts", str(ws.path), "--layer", layer, "--counts", ",".join(map(str, wanted))]
    set_params(view="counts")
    jobs_panel.launch(
        ws, [*argv, "--sample", str(int(sample)), "--seeds", str(int(seeds))], title=f"Counts of {words.layer(layer)}"
    )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "count": number("Clusters", width=64),
        "gain": number("Gain", format="%.3f", width=60, help="Over decoys, in their deviations"),
        "error": number("±", format="%.3f", width=52, help="Standard error, of sources and seeds"),
        "permuted": number("Permuted", format="%.3f", width=70, help="The same where sounds are permuted first"),
        "wins": number(
            "Above", format="%.0f %%", width=54, help="Of the time a pair scores above a decoy; 50 % = nothing"
        ),
        "agreement": number("ARI", format="%.2f", width=48, help="Adjusted Rand index of two seeds; 1 = the same"),
        "overlap": number("Overlap", format="%.0f %%", width=62, help="Of the best fifth by two seeds; by chance 20 %"),
        "single": number("One source", width=76, help="Clusters whose clips are all of one source"),
        "smallest": number("Smallest", format="localized", width=66, help="Clips in the smallest cluster"),
        "what": st.column_config.TextColumn("", width=86),
    }
