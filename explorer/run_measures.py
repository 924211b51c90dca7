"""What the selection page computes of a workspace, cached: a scope or a run goes in, small tables come out.

As in `measures`: keyed on the workspace's path and the fingerprints of what was read, shared by all sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import streamlit as st

from curation import columns
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import data
from explorer.views import clusters as cluster_views
from explorer.views import funnel
from explorer.views import selection as views

SAMPLE = 50_000
"""Clips that dependence is estimated on."""
CLUSTERS_DRAWN = 60
SHOWN_FLAGS = ("speech_like", "music_like", "static", "slide_show", "silent", "quiet")


@dataclass(frozen=True)
class Scope:
    """What clips may be chosen from: `within` is SQL, empty = all; `off` names the steps that are not applied."""

    within: str = ""
    off: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()  # clusterings that take part; empty = all
    pairing: str = "bipartite"


def steps(ws: Workspace, scope: Scope) -> list[funnel.Step]:
    """The funnel in numbers. Raises `SettingError` for a condition that cannot be read."""
    return _steps(str(ws.path), scope, _prints(ws, scope))


def lost(ws: Workspace, scope: Scope, key: str) -> np.ndarray | None:
    """Clips that a step loses, or would lose, bool (N,); None where there is no such step."""
    return _lost(str(ws.path), scope, key, _prints(ws, scope))


def in_scope(ws: Workspace, within: str, layers: tuple[str, ...]) -> int:
    """Clips with a value in every clustering used that meet a condition, which must be readable."""
    scope = Scope(within, ("healthy", "copies"), layers)
    return _count(str(ws.path), scope, _prints(ws, scope))


def has_health(ws: Workspace) -> bool:
    """True where the health of the present clips was measured."""
    artefact = ws.artefact("health")
    return artefact is not None and ws.fits(artefact)


def health_column(ws: Workspace, name: str) -> np.ndarray | None:
    """One column of yes and no of the clips' health, bool (N,); None where it was not measured."""
    if not has_health(ws) or name not in pq.read_schema(ws.artefact_path("health")).names:
        return None
    return _health_column(str(ws.path), name, ws.fingerprint("health") or "")


@dataclass(frozen=True)
class Flag:
    """Share of clips with a flag before (candidates) and after (chosen), percent; what it means; how sure that is."""

    name: str
    before: float
    after: float
    meaning: str
    rough: bool


def flags(ws: Workspace, run: str, top: int) -> list[Flag]:
    """Kinds of clips among the candidates and the first `top` picks; empty where health was not measured."""
    artefact = ws.artefact("health")
    if artefact is None or not has_health(ws):
        return []
    told = {column["name"]: column for column in artefact.info.get("columns", [])}
    before, after = candidate_rows(ws, run), _picked(ws, run, top)
    found = []
    for name in SHOWN_FLAGS:
        values = health_column(ws, name)
        if values is None or not len(before) or not len(after):
            continue
        about = told.get(name, {})
        rough = str(about.get("error", "")).startswith("rough")
        share = [100 * float(values[rows].mean()) for rows in (before, after)]
        found.append(Flag(name, share[0], share[1], str(about.get("definition", "")), rough))
    return found


@dataclass(frozen=True)
class Balance:
    """Clips in the clusters of one clustering, int (C,) each, named; how even they are, effective clusters."""

    labels: list[str]
    before: np.ndarray
    after: np.ndarray
    even_before: float
    even_after: float


def balance(ws: Workspace, run: str, name: str, top: int) -> Balance:
    """Candidates and the first `top` picks in the largest clusters of a clustering; the rest together as `other`."""
    key = (ws.fingerprint(f"clusterings/{name}") or "", ws.fingerprint(f"selections/{run}") or "")
    return _balance(str(ws.path), run, name, top, (*key, ws.fingerprint("clips") or ""))


@dataclass(frozen=True)
class Sources:
    """How many clips come from one source: clips by the size of their source, percent; sources; most of one."""

    labels: list[str]
    before: np.ndarray
    after: np.ndarray
    sources_before: int
    sources_after: int
    most_before: int
    most_after: int


def sources(ws: Workspace, run: str, top: int) -> Sources:
    """Of the candidates and of the first `top` picks."""
    prints = (ws.fingerprint("clips") or "", ws.fingerprint(f"selections/{run}") or "")
    return _sources(str(ws.path), run, top, prints)


def candidate_rows(ws: Workspace, run: str) -> np.ndarray:
    """Rows that a run chose from: a value in each of its clusterings that are still there, and within its scope."""
    info = data.selections(ws)[run]
    present = data.clusterings(ws)
    names = tuple(name for name in info.get("clusterings", {}) if name in present)
    prints = tuple(ws.fingerprint(f"clusterings/{name}") or "" for name in names)
    return _candidate_rows(str(ws.path), names, str(info.get("where", "")), (ws.fingerprint("clips") or "", *prints))


# -- inside ------------------------------------------------------------------------------------------------------------


def _prints(ws: Workspace, scope: Scope) -> tuple[str, ...]:
    keys = ["clips", "health", *(f"clusterings/{name}" for name in data.clusterings(ws))]
    return (*(ws.fingerprint(key) or "" for key in keys), *columns.fingerprints(ws, scope.within))


def _used(ws: Workspace, scope: Scope) -> dict[str, dict[str, Any]]:
    found = data.clusterings(ws)
    return {name: info for name, info in found.items() if not scope.layers or name in scope.layers} or found


def _passed(ws: Workspace, scope: Scope) -> list[funnel.Passed]:
    n = data.n_clips(ws)
    labels = [data.assignments(ws, name) for name in _used(ws, scope)]
    measured = np.logical_and.reduce([values >= 0 for values in labels]) if labels else np.ones(n, bool)
    narrow = {"measured": funnel.meeting(measured)}
    healthy = health_column(ws, "healthy")
    if healthy is not None:
        narrow["healthy"] = funnel.meeting(healthy)
    narrow["copies"] = funnel.first_of_copies(
        _copies(str(ws.path), f"{ws.fingerprint('clips')} {ws.fingerprint('health')}")
    )
    inside = columns.matching(ws, scope.within, "Scope") if scope.within else np.ones(n, bool)
    narrow["scope"] = funnel.meeting(inside)
    return funnel.walk(n, narrow, scope.off)


@st.cache_resource(max_entries=32, show_spinner=False)
def _steps(path: str, scope: Scope, prints: tuple[str, ...]) -> list[funnel.Step]:
    ws = Workspace.open(path)
    used = _used(ws, scope)
    passed = _passed(ws, scope)
    rows = np.flatnonzero(passed[0].after)
    if len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE, replace=False))
    labels = [np.asarray(data.assignments(ws, name)[rows]) for name in used]
    modalities = [str(info.get("modality")) for info in used.values()]
    known: dict[bytes, float] = {}

    def dependence(mask: np.ndarray) -> float:
        chosen = mask[rows]
        key = chosen.tobytes()
        if key not in known:
            known[key] = funnel.dependence([values[chosen] for values in labels], modalities, scope.pairing)
        return known[key]

    return funnel.in_numbers(passed, data.hours(ws), dependence)


@st.cache_resource(max_entries=64, show_spinner=False)
def _count(path: str, scope: Scope, prints: tuple[str, ...]) -> int:
    return int(np.count_nonzero(_passed(Workspace.open(path), scope)[-1].left))


@st.cache_resource(max_entries=8, show_spinner=False)
def _lost(path: str, scope: Scope, key: str, prints: tuple[str, ...]) -> np.ndarray | None:
    return next((step.lost for step in _passed(Workspace.open(path), scope) if step.key == key), None)


@st.cache_resource(max_entries=8, show_spinner=False)
def _health_column(path: str, name: str, fingerprint: str) -> np.ndarray:
    table = pq.read_table(Workspace.open(path).artefact_path("health"), columns=[name], partitioning=None)
    return np.asarray(table[name].fill_null(False)).astype(bool)


@st.cache_resource(max_entries=2, show_spinner=False)
def _copies(path: str, fingerprint: str) -> np.ndarray:
    return columns.duplicates(Workspace.open(path))


@st.cache_resource(max_entries=8, show_spinner=False)
def _candidate_rows(path: str, names: tuple[str, ...], where: str, prints: tuple[str, ...]) -> np.ndarray:
    ws = Workspace.open(path)
    mask = np.ones(data.n_clips(ws), bool)
    for name in names:
        mask &= data.assignments(ws, name) >= 0
    if where:
        try:
            mask &= columns.matching(ws, where, "select.where")
        except ConcordError:
            return np.flatnonzero(mask)  # a column that is not there any more: its scope cannot be told
    return np.flatnonzero(mask)


@st.cache_resource(max_entries=64, show_spinner=False)
def _balance(path: str, run: str, name: str, top: int, prints: tuple[str, ...]) -> Balance:
    ws = Workspace.open(path)
    labels, n_clusters = data.assignments(ws, name), len(data.sizes(ws, name))
    counts = []
    for rows in (candidate_rows(ws, run), _picked(ws, run, top)):
        counts.append(cluster_views.cluster_sizes(labels[rows], n_clusters))
    even = [n_clusters * cluster_views.effective_share(count) for count in counts]
    order = np.argsort(-counts[0], kind="stable")
    shown, rest = order[:CLUSTERS_DRAWN], order[CLUSTERS_DRAWN:]
    names = [str(cluster) for cluster in shown]
    before, after = (count[shown] for count in counts)
    if len(rest):
        names.append(f"other ({len(rest):,} clusters)")
        before, after = (np.append(part, count[rest].sum()) for part, count in zip((before, after), counts))
    return Balance(names, before, after, even[0], even[1])


@st.cache_resource(max_entries=64, show_spinner=False)
def _sources(path: str, run: str, top: int, prints: tuple[str, ...]) -> Sources:
    ws = Workspace.open(path)
    codes = data.source_codes(ws)
    groups = [np.bincount(codes[rows]) for rows in (candidate_rows(ws, run), _picked(ws, run, top))]
    labels, shares = views.by_source_size(*groups)
    n = [int(np.count_nonzero(group)) for group in groups]
    most = [int(group.max(initial=0)) for group in groups]
    return Sources(labels, shares[0], shares[1], n[0], n[1], most[0], most[1])


def _picked(ws: Workspace, run: str, top: int) -> np.ndarray:
    return data.picks(ws, run)["row"].to_numpy()[:top]
