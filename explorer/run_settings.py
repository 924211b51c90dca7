"""The settings of a selection and of the clusters it rests on: widgets from the configuration, and [Run]."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from curation.config import Config
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import constraint_editor, data, jobs_panel, measures, run_measures
from explorer.state import set_params
from explorer.views import overview, words
from explorer.views import selection as views

UNITS: dict[views.Unit, str] = {"share": "% of clips", "clips": "clips", "hours": "hours"}
RUN_NOW = "run.now"
"""Set in the session by another part of the page: the next run of it presses [Run]."""
_COST_HELP = (
    "From the fastest of the last runs of this method in this workspace, with its control on permuted sounds, scaled "
    "by the number of candidates; starting the job takes a few seconds more."
)


@dataclass
class Settings:
    """What the widgets say: changed settings by key, and whether clusters must be made again.

    `within`: the condition that clips in scope meet, SQL; `candidates`, `clips`: how many there are to choose from, and
    how many the budget takes of them.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    recluster: bool = False
    within: str = ""
    candidates: int = 0
    clips: int = 0


def draw(ws: Workspace) -> Settings:
    """All settings of a selection, and [Run]; what they say."""
    config = ws.config
    wanted = Settings()
    budget = st.container()  # drawn last: its words depend on the scope
    _method(config, wanted)
    with st.expander("Constraints", icon=":material/rule:"):
        wanted.within = constraint_editor.draw(ws, config, wanted.changes)
    with st.expander("Clusters", icon=":material/bubble_chart:"):
        layer_editor(ws, config, wanted, takes_part=True)
    with st.expander("Advanced", icon=":material/tune:"):
        _advanced(config, wanted)
    wanted.candidates = _candidates(ws, wanted)
    with budget:
        _budget(ws, config, wanted)
    st.caption(_cost_line(ws, wanted), help=_COST_HELP)
    run_button(ws, wanted, "Run", "select")
    return wanted


def _candidates(ws: Workspace, wanted: Settings) -> int:
    """Clips that a run would choose from; all with clusters where the scope cannot be read."""
    layers = tuple(filter(None, str(wanted.changes.get("select.layers", "")).split(",")))
    try:
        return run_measures.in_scope(ws, str(wanted.changes["select.where"]), layers)
    except ConcordError:
        return measures.candidates(ws)


def _cost_line(ws: Workspace, wanted: Settings) -> str:
    """Device and expected time, from what earlier runs took."""
    method = str(wanted.changes["select.method"])
    past = data.selections(ws)
    device = views.device_words(
        str(wanted.changes["resources.device"]), method, int(wanted.changes["select.batch_size"])
    )
    seconds = views.expected_s(past, method, wanted.candidates, wanted.clips)
    if not math.isfinite(seconds):
        return f":material/memory: {device} · no {method} run was timed here yet"
    more = " and clusters before it" if wanted.recluster else ""
    more += "; more for what each constraint costs" if wanted.changes["select.costs"] else ""
    took = "under 1 s" if seconds < 1 else f"about {overview.duration(seconds)}"
    return f":material/memory: {device} · {took} to choose{more}"


def run_button(ws: Workspace, wanted: Settings, label: str, stage: str) -> None:
    """The button that keeps the settings and starts the job; says so where one is running already."""
    busy = jobs_panel.is_running(ws)
    pressed = st.button(
        label, type="primary", key=f"run.{stage}", icon=":material/play_arrow:", disabled=busy, width="stretch",
        help="A job is running in this workspace" if busy else None,
    )  # fmt: skip
    if wanted.recluster and stage == "select":
        st.caption("Cluster counts changed: clusters are made again first. Earlier runs stay, marked as such.")
    if not (pressed or (stage == "select" and st.session_state.pop(RUN_NOW, False) and not busy)):
        return
    try:
        ws.configure(wanted.changes)
    except ConcordError as error:
        st.error("Not started: a setting is not allowed.", icon=":material/error:")
        st.text(f"{error.message}\n{error.hint}".strip())
        return
    verb = "run" if stage == "select" and wanted.recluster else stage
    titles = {"run": "Clusters and selection", "select": "Selection", "cluster": "Clusters"}
    if stage == "select":
        set_params(run=None, n=None, **{"with": None})  # the newest run is shown when it is there
    jobs_panel.launch(ws, [verb, str(ws.path)], title=titles[verb])


def _budget(ws: Workspace, config: Config, wanted: Settings) -> None:
    amount, unit = views.budget_parts(config.select.budget)
    candidates, mean_h = wanted.candidates, measures.mean_hours(ws)
    left, right = st.columns([1, 1], vertical_alignment="bottom")
    with right:
        chosen: views.Unit = st.selectbox(
            "Unit", list(UNITS), list(UNITS).index(unit), format_func=lambda value: UNITS[value], key="set.unit",
            label_visibility="collapsed",
        )  # fmt: skip
    clips = views.clips_of(amount, unit, candidates, mean_h)
    start = {"share": 100 * clips / candidates if candidates else 20.0, "clips": clips, "hours": clips * mean_h}
    start[unit] = amount * 100 if unit == "share" else amount
    limits: dict[str, tuple[float, float, float, str]] = {
        "share": (0.1, 99.9, 5.0, "%.4g"),
        "clips": (1.0, float(max(1, candidates)), 10.0, "%.0f"),
        "hours": (0.001, max(0.002, candidates * mean_h), 0.1, "%.3g"),
    }
    low, high, step, form = limits[chosen]
    with left:
        value = st.number_input(
            "Budget", low, high, min(high, max(low, float(start[chosen]))), step, form, key=f"set.budget.{chosen}",
            help="How much is selected of the candidates: the clips in scope with a value in every clustering.",
        )  # fmt: skip
    chosen_amount = value / 100 if chosen == "share" else value
    wanted.changes["select.budget"] = views.budget_text(chosen_amount, chosen)
    n = wanted.clips = min(candidates, views.clips_of(chosen_amount, chosen, candidates, mean_h))
    share = words.percent(n / candidates) if candidates else words.MISSING
    about = "about " if chosen == "hours" else ""
    of_all = f"{share} of {words.count(candidates, 'candidates')}"
    st.caption(f"{about}{words.count(n)} · {words.hours(n * mean_h)} · {of_all}")


def _method(config: Config, wanted: Settings) -> None:
    for label, name, options in (("Method", "method", words.METHODS), ("Pairs", "pairing", words.PAIRINGS)):
        now = getattr(config.select, name)
        names = [option for option in options if option != "matched-random" or option == now or config.select.like]
        chosen = st.selectbox(label, names, names.index(now), key=f"set.{name}")
        st.caption(options[chosen])
        wanted.changes[f"select.{name}"] = chosen
        if chosen == "concord":
            _concord(config, wanted)


def _concord(config: Config, wanted: Settings) -> None:
    """From purest to broadest, and whether kinds of content may count."""
    wanted.changes["select.breadth"] = st.select_slider(
        "Purest to broadest", words.BREADTHS, min(words.BREADTHS, key=lambda value: abs(value - config.select.breadth)),
        format_func=words.breadth, key="set.breadth",
        help="Purest takes the best pairs, of whatever kind. Broadest takes as much mutual information as batch-greedy "
        "among all candidates. Between them: the best, and others that are estimated to be about as good, spread "
        "over kinds.",
    )  # fmt: skip
    graded = st.toggle(
        "Kinds of content may count", config.select.content_prior == "graded", key="set.content_prior",
        help="On: clips of kinds that are often mismatched (speech laid over pictures, say) count less, as far as the "
        "data show it; how far that moved the choice is said beside the run. Off: only the pairing of sound and "
        "picture counts.",
    )  # fmt: skip
    wanted.changes["select.content_prior"] = "graded" if graded else "off"


def _advanced(config: Config, wanted: Settings) -> None:
    settings = config.select
    left, right = st.columns(2)
    batch = left.number_input("Clips compared", 1, 10_000_000, settings.batch_size, key="set.batch_size")
    taken = right.number_input("Taken of them", 1, 10_000_000, settings.selection_size, key="set.selection_size")
    st.caption("A batch: so many clips are compared with what was taken before, and so many of them are taken.")
    names = list(words.REFILLS)
    refill = st.selectbox("Passed-over clips", names, names.index(settings.refill), key="set.refill")
    st.caption(words.REFILLS[refill])
    left, right = st.columns(2)
    devices = list(views.DEVICES)
    device = left.selectbox(
        "Device", devices, devices.index(config.resources.device), format_func=views.DEVICES.__getitem__,
        key="set.device", help="Where batches are compared; never changes the result.",
    )  # fmt: skip
    seed = right.number_input("Seed", 0, 2**53 - 1, min(settings.seed, 2**53 - 1), key="set.seed")
    name = st.text_input(
        "Name of the run", settings.name, max_chars=60, key="set.name", placeholder="made from method and budget"
    )
    wanted.changes |= {
        "select.batch_size": batch, "select.selection_size": taken, "select.seed": seed,
        "select.refill": refill, "select.name": name.strip(), "resources.device": device,
    }  # fmt: skip


def layer_editor(ws: Workspace, config: Config, wanted: Settings, *, takes_part: bool) -> None:
    """Cluster counts for all layers and for single ones; `takes_part`: also which clusterings a selection uses."""
    layers = layer_names(ws)
    made = data.clusterings(ws)
    if not layers and not made:
        st.caption("There are no features yet.")
        return
    if layers:
        common = st.text_input(
            "Clusters in each layer", config.cluster.n_clusters, key="set.n_clusters", max_chars=6,
            help="A number, or auto = round(sqrt(clips / 4)) kept within 2 and 32.",
        ).strip()  # fmt: skip
    else:
        common = "auto"
        st.caption("These clusters were brought in; their number cannot be changed here.")
    own = dict(item.split("=") for item in config.cluster.per_layer.split(",") if item)
    used = set(filter(None, config.select.layers.split(",")))
    names = list(dict.fromkeys([*layers, *made]))
    if takes_part:
        st.caption("More clusters tell finer kinds apart; a cell needs more than a clip by chance to say anything.")
    frame = pd.DataFrame(
        {
            "layer": names,
            "clusters": [own.get(name, "") for name in names],
            "made": [made[name]["n_clusters"] if name in made else None for name in names],
            "used": [not used or name in used for name in names],
        }
    )
    edited = st.data_editor(
        frame,
        key="set.layers",
        hide_index=True,
        disabled=["layer", "made", *([] if layers else ["clusters"])],
        column_order=["layer", "clusters", "made", *(["used"] if takes_part else [])],
        column_config={
            "layer": st.column_config.TextColumn("Layer", width=112),
            "clusters": st.column_config.TextColumn(
                "Own", width=52, help="Another count for this layer; empty = as all", validate=r"^(auto|\d{1,5})?$"
            ),
            "made": st.column_config.NumberColumn("Made", width=52, help="Clusters there are now"),
            "used": st.column_config.CheckboxColumn("Use", width=44, help="Takes part in the selection"),
        },
        height=min(400, 38 + 35 * len(frame)),
    )
    _layer_changes(config, wanted, edited, layers, common, made, takes_part)


def _layer_changes(
    config: Config,
    wanted: Settings,
    edited: pd.DataFrame,
    layers: list[str],
    common: str,
    made: dict[str, Any],
    uses: bool,
) -> None:
    typed = {row.layer: str(row.clusters or "").strip() for row in edited.itertuples() if row.layer in layers}
    counts = {name: count for name, count in typed.items() if count}
    if layers:
        wanted.changes["cluster.n_clusters"] = common or "auto"
        wanted.changes["cluster.per_layer"] = ",".join(f"{name}={count}" for name, count in counts.items())
        in_scope = [name for name in layers if not config.cluster.layers or name in config.cluster.layers.split(",")]
        wanted.recluster = any(
            name not in made
            or (made[name].get("origin") != "imported" and _asked(made[name]) != counts.get(name, common or "auto"))
            for name in in_scope
        )
    if uses:
        used = [row.layer for row in edited.itertuples() if row.used]
        wanted.changes["select.layers"] = "" if len(used) == len(edited) else ",".join(used)


def _asked(info: dict[str, Any]) -> str:
    return str(info.get("asked"))


def layer_names(ws: Workspace) -> list[str]:
    """Names (extractor.layer) of all feature layers, sounds first."""
    found = []
    for key in ws.keys("features"):
        artefact = ws.artefact(key)
        if artefact is not None:
            extractor = key.partition("/")[2]
            audio = artefact.info.get("modality") == "audio"
            found += [(not audio, f"{extractor}.{layer}") for layer in artefact.info.get("layers", {})]
    return [name for _, name in sorted(found, key=lambda item: item[0])]
