"""Counts tried on a sample before all clips are clustered again: one line to draw it, a job of seconds behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from curation.counts import SAMPLE, read_trial
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import forms, jobs_panel, run_settings
from explorer.views import counts as views
from explorer.views import words

_HELP = (
    f"Clusters every layer of at most {SAMPLE:,} clips by the counts above and says what they tell about the pairing "
    "beside the clusters there are, judged by other sources and over decoys. Nothing is changed."
)


def expander(ws: Workspace, changes: Mapping[str, Any] | None = None) -> None:
    """As `draw`, folded away until it is opened."""
    box = st.expander("Try the cluster counts first", icon=":material/bolt:", on_change="rerun", key="recluster")
    if box.open:
        with box:
            draw(ws, changes)


def draw(ws: Workspace, changes: Mapping[str, Any] | None = None) -> None:
    """A button that tries the counts in `changes` (`cluster.n_clusters`, `cluster.per_layer`; else the settings'), and
    what the last trial said.
    """
    if not run_settings.layer_names(ws):
        st.caption("Other counts need features; these clusters were brought in without.")
        return
    given = changes or {}
    common = str(given.get("cluster.n_clusters") or ws.config.cluster.n_clusters)
    own = str(given.get("cluster.per_layer", ws.config.cluster.per_layer) or "")
    pressed = st.button(
        f"Try on {SAMPLE:,} clips", key="recluster.try", icon=":material/bolt:", help=_HELP,
        disabled=jobs_panel.is_running(ws),
    )  # fmt: skip
    if pressed:
        argv = ["counts", str(ws.path), "--trial", "--clusters", common]
        jobs_panel.launch(ws, [*argv, *(["--per-layer", own] if own else [])], title="Counts on a sample")
    try:
        trial = read_trial(ws)
    except ConcordError as error:
        forms.show_problem(error)
        return
    if trial is None:
        return
    st.markdown(views.trial_words(trial))
    note = f"{words.count(trial.clips)} of {words.count(trial.sources, 'sources')}, {trial.seconds:.0f} s"
    st.caption(f"{note} · {'of earlier clips or clusters' if trial.stale else 'gain over decoys, in their deviations'}")
    number = st.column_config.NumberColumn
    st.dataframe(
        views.trial_frame(trial), key="recluster.table", hide_index=True, height="content",
        column_config={
            "layer": st.column_config.TextColumn("Layer", width=112),
            "clusters": number("Tried", width=46),
            "smallest": number("Smallest", format="localized", width=62),
            "largest": number("Largest", format="localized", width=58),
            "balance": number("Balance", format="%.2f", width=56),
            "gain": number("Gain", format="%.2f", width=48, help="Of this layer alone with the other modality"),
            "error": number("±", format="%.2f", width=42),
        },
    )  # fmt: skip
