"""What a selection must hold: widgets for scope, clips in or out, sources and shares of a column's values.

The present settings and the funnel's switches go in; changed settings come out, as `select.*`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from curation import columns
from curation.config import Config
from curation.workspace import Workspace
from explorer import funnel_panel, run_measures
from explorer.views import funnel

_SQL_HELP = (
    "An SQL condition on the columns of the clips, e.g. path LIKE 'films/%' AND start_s < 600. "
    "Answers (truth_..., label_...) cannot be named: they judge a choice and must not make it."
)


def draw(ws: Workspace, config: Config, changes: dict[str, Any]) -> str:
    """All constraints; `changes` gets the settings as they are now. Returns the scope's condition as typed, SQL."""
    settings, now = config.select, funnel_panel.switches(ws, config)
    names = columns.readable(ws)
    scope = funnel.split_scope(settings.where)[1] if run_measures.has_health(ws) else settings.where
    typed = {}
    for name, label, value, hint in (
        ("where", "Scope: choose only from clips with", scope, "All others are no candidates."),
        ("exclude", "Must be out: clips with", settings.exclude, "They are never chosen."),
        ("include", "Must be in: clips with", settings.include, "They are chosen first, before any comparison."),
    ):
        typed[name] = st.text_input(
            label, value, key=f"set.{name}", placeholder="no condition", max_chars=2000,
            help=f"{hint} {_SQL_HELP} Columns: {', '.join(names[:60])}.".strip(),
        ).strip()  # fmt: skip
    changes["select.where"] = funnel.join_scope(now.healthy, typed["where"] if now.scope else "")
    changes["select.exclude"] = typed["exclude"] if now.scope else ""
    changes["select.include"] = typed["include"]
    changes["select.duplicates"] = "one" if now.copies else "all"
    if not now.scope:
        st.caption("In scope is switched off in the funnel: the first two are not applied.")
    changes["select.max_per_source"] = st.number_input(
        "Most clips of one source", 0, 10_000_000, settings.max_per_source, key="set.max_per_source",
        help="0 = no limit. A source is what a video was taken from: a channel, a title, or the video itself.",
    )  # fmt: skip
    n_bounds = sum(1 for name in ("share_floor", "share_cap") for item in getattr(settings, name).split(",") if item)
    label = "Shares of a column's values" + (f" ({n_bounds})" if n_bounds else "")
    with st.popover(label, icon=":material/percent:", width="stretch"):
        changes |= _shares(config, names)
    changes["select.costs"] = st.toggle(
        "Say what each constraint costs", settings.costs, key="set.costs",
        help="Chooses once more without each constraint: how much mutual information it gives up, at the same size.",
    )  # fmt: skip
    return funnel.within(typed["where"], typed["exclude"])


def _shares(config: Config, names: list[str]) -> dict[str, str]:
    """A table of bounds on the share of a column's value: column, value, at least, at most."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for setting in ("share_floor", "share_cap"):
        for item in filter(None, getattr(config.select, setting).split(",")):
            column, _, rest = item.partition(":")
            value, _, share = rest.partition("=")
            rows.setdefault((column, value), {})[setting] = 100 * float(share)
    frame = pd.DataFrame(
        {
            "column": pd.Series([column for column, _ in rows], dtype=object),
            "value": pd.Series([value for _, value in rows], dtype=object),
            "share_floor": pd.Series([bound.get("share_floor") for bound in rows.values()], dtype=float),
            "share_cap": pd.Series([bound.get("share_cap") for bound in rows.values()], dtype=float),
        }
    )
    st.caption("Shares of a column's value among the chosen clips, e.g. speech_like, true, at most 40 %")
    edited = st.data_editor(
        frame, key="set.shares", hide_index=True, num_rows="dynamic", height=min(240, 72 + 35 * len(frame)),
        column_config={
            "column": st.column_config.SelectboxColumn("Column", options=names, width=140),
            "value": st.column_config.TextColumn("Value", width=88, max_chars=80),
            "share_floor": st.column_config.NumberColumn("Least, %", min_value=0, max_value=100, width=72),
            "share_cap": st.column_config.NumberColumn("Most, %", min_value=0, max_value=100, width=72),
        },
    )  # fmt: skip
    whole = edited.dropna(subset=["column", "value"])
    return {
        f"select.{name}": ",".join(
            f"{row.column}:{str(row.value).strip()}={getattr(row, name) / 100:g}"
            for row in whole.itertuples()
            if pd.notna(getattr(row, name))
        )
        for name in ("share_floor", "share_cap")
    }
