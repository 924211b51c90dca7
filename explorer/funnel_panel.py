"""The funnel of the selection page: videos, clips, healthy, one of each copy, in scope, chosen; with its switches.

Goes in: a workspace, the run that is shown, what the settings say. Comes out: rows on the page; the switches' values
are read by the settings (`switches`) before the funnel is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from curation.config import Config
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import data, measures, run_measures
from explorer.run_measures import Scope
from explorer.state import goto, show_error
from explorer.views import funnel, words

NAMES = {
    "measured": "Measured in every layer",
    "healthy": "Healthy",
    "copies": "Not duplicate",
    "scope": "In scope",
}
_SWITCH = {"healthy": "set.healthy", "copies": "set.duplicates", "scope": "set.use_scope"}
_HELP = {
    "healthy": "Only clips without a fault that the settings of health name (no sound, silence, a black or static "
    "picture).",
    "copies": "At most one clip of each set of clips with the same content.",
    "scope": "Only clips that meet the conditions under Constraints (choose only from, must be out). Off: a run "
    "forgets them.",
}
_WIDTHS = [1.75, 1.7, 1.5, 1.9, 0.42]
_DEPENDENCE = (
    "Dependence: how the step changes the mean mutual information between sound and picture clusters of the clips that "
    f"are left, nats, corrected for their number; estimated on at most {run_measures.SAMPLE:,} clips. Above zero: the "
    "clips that leave were less tied together than the rest. In brackets: what a step that is off would do."
)


@dataclass(frozen=True)
class Switches:
    """Which steps are applied."""

    healthy: bool
    copies: bool
    scope: bool

    @property
    def off(self) -> tuple[str, ...]:
        """Keys of the steps that are not."""
        return tuple(key for key in funnel.SWITCHABLE if not getattr(self, key))


def switches(ws: Workspace, config: Config) -> Switches:
    """As they stand on the page, or as the settings have them before it was drawn."""
    measured = run_measures.has_health(ws)
    healthy = funnel.split_scope(config.select.where)[0]
    return Switches(
        bool(measured and st.session_state.get(_SWITCH["healthy"], healthy)),
        bool(st.session_state.get(_SWITCH["copies"], config.select.duplicates == "one")),
        bool(st.session_state.get(_SWITCH["scope"], True)),
    )


def draw(ws: Workspace, run: str | None, within: str, changes: Mapping[str, Any], chosen: int) -> None:
    """The rows. `within`: the scope's condition as typed; `changes`: settings as they are now; `chosen`: budget."""
    now = switches(ws, ws.config)
    layers = tuple(filter(None, str(changes.get("select.layers", ws.config.select.layers)).split(",")))
    scope = Scope(within, now.off, layers, str(changes.get("select.pairing", "bipartite")))
    st.subheader("From videos to clips", anchor=False)
    try:
        steps = run_measures.steps(ws, scope)
    except ConcordError as error:
        show_error(error)
        steps = run_measures.steps(ws, Scope("", now.off, layers, scope.pairing))
    with st.container(key="funnel", gap=None):
        heads = st.columns(_WIDTHS, gap="small")
        heads[2].caption("left")
        heads[3].caption("lost · dependence", help=_DEPENDENCE)
        n_clips = data.n_clips(ws)
        _videos(ws)
        _row("clips", "Clips", n_clips, n_clips, steps_hours(ws), n_clips)
        for step in steps:
            if step.key != "measured" or step.lost:
                _step(ws, scope, step, now, n_clips)
        if not run_measures.has_health(ws):
            _unmeasured()
        _chosen(ws, run, steps[-1], chosen, n_clips)


def steps_hours(ws: Workspace) -> float:
    """Length of all clips, hours."""
    return measures.mean_hours(ws) * data.n_clips(ws)


def _videos(ws: Workspace) -> None:
    artefact = ws.artefact("videos")
    if artefact is None or not {"files", "readable"} <= set(artefact.info):
        return
    files, readable = int(artefact.info["files"]), int(artefact.info["readable"])
    name, bar, left, lost, more = st.columns(_WIDTHS, gap="small", vertical_alignment="center")
    name.markdown("Readable videos")
    _bar(bar, readable, files)
    left.markdown(f"**{readable:,}** of {files:,}")
    if files > readable:
        lost.caption(f"−{words.count(files - readable, 'files')}")
        if _more(more, "videos", "See why"):
            goto("ingest", lost="readable")


def _step(ws: Workspace, scope: Scope, step: funnel.Step, now: Switches, n_clips: int) -> None:
    more = _row(step.key, NAMES[step.key], step.left, step.left + step.lost, step.left_hours, n_clips, step, now)
    if step.lost and _more(more, step.key, "See these clips"):
        goto(
            "clips", lost=step.key, off=",".join(scope.off) or None, scope=scope.within or None,
            layers=",".join(scope.layers) or None,
        )  # fmt: skip


def _row(
    key: str,
    label: str,
    left: int,
    came: int,
    hours: float,
    n_clips: int,
    step: funnel.Step | None = None,
    now: Switches | None = None,
) -> Any:
    """Name or switch, bar, what is left, what is lost; returns the place for a button."""
    name, bar, kept, lost, more = st.columns(_WIDTHS, gap="small", vertical_alignment="center")
    if now is not None and key in _SWITCH:
        name.toggle(label, getattr(now, key), key=_SWITCH[key], help=_HELP[key])
    else:
        name.markdown(label)
    _bar(bar, left, n_clips, came if step is not None and step.on else left)
    kept.markdown(f"**{left:,}**{_hours(hours)}")
    if step is not None:
        lost.caption(_loss(step))
    return more


def _loss(step: funnel.Step) -> str:
    """`−257 · 43 min · MI +0.012`; in brackets what a step that is off would lose."""
    if not step.lost:
        return "nothing"
    change = f" · MI {words.signed(step.dependence, 3)}" if np.isfinite(step.dependence) else ""
    text = f"−{step.lost:,}{_hours(step.lost_hours)}{change}"
    return text if step.on else f"({text})"


def _unmeasured() -> None:
    name, _, _, why, _ = st.columns(_WIDTHS, gap="small", vertical_alignment="center")
    name.toggle("Healthy", False, key="set.healthy_missing", disabled=True, help=_HELP["healthy"])
    why.caption("not measured yet", help="Silence, clipping, black and static pictures: `python -m curation health`")


def _chosen(ws: Workspace, run: str | None, last: funnel.Step, chosen: int, n_clips: int) -> None:
    """The run that is shown where it chose from as many clips as are left; else what the budget would take."""
    info = data.selections(ws)[run] if run else None
    name, bar, kept, lost, more = st.columns(_WIDTHS, gap="small", vertical_alignment="center")
    if run and info is not None and not info["stale"] and int(info["clips"]) == min(chosen, last.left):
        name.markdown("**Selected**")
        _bar(bar, int(info["clips"]), n_clips, last.left, chosen=True)
        kept.markdown(f"**{info['clips']:,}**{_hours(float(info.get('hours') or 0))}")
        lost.caption(f"{words.percent(info['clips'] / last.left if last.left else None)} of those left")
        if _more(more, "selected", "See these clips"):
            goto("clips", run=run, sel="yes")
        return
    n = min(chosen, last.left)
    name.markdown("**To select**")
    _bar(bar, n, n_clips, last.left, chosen=True)
    kept.markdown(f"**{n:,}**{_hours(n * measures.mean_hours(ws))}")
    lost.caption(f"{words.percent(n / last.left if last.left else None)} of those left")


def _bar(place: Any, left: int, whole: int, came: int | None = None, *, chosen: bool = False) -> None:
    """A thin bar: what is left of the whole, and lighter what came to this step."""
    shares = [100 * min(1.0, count / whole) if whole else 0.0 for count in (left, left if came is None else came)]
    kind = "chosen" if chosen else "left"
    place.html(
        f'<div class="funnel-bar"><span class="came" style="width:{shares[1]:.2f}%"></span>'
        f'<span class="{kind}" style="width:{shares[0]:.2f}%"></span></div>'
    )


def _more(place: Any, key: str, hint: str) -> bool:
    return bool(place.button("", key=f"funnel.{key}", icon=":material/open_in_new:", type="tertiary", help=hint))


def _hours(value: float) -> str:
    return f" · {words.hours(value)}" if np.isfinite(value) and value > 0 else ""
