"""Tables of many pairs of clusterings at once, and orders, cached: names in, `MeanTable`s and row orders out."""

from __future__ import annotations

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import data, measures
from explorer.views import clips as clip_views
from explorer.views import contingency as tables


def overs(ws: Workspace) -> list[tables.Over]:
    """What dependence can be shown of: one pair, and the means over more than one pair that there are."""
    sounds, pictures = (measures.names_of(ws, kind) for kind in ("audio", "visual"))
    means: tuple[tables.Over, ...] = ("every", "depth")
    return ["pair", *(over for over in means if len(tables.paired(sounds, pictures, over)) > 1)]


def mean_table(ws: Workspace, pair: measures.Pair, over: tables.Over, run: str | None) -> tables.MeanTable:
    """The mean over a pairing, sorted into the cells of `pair`: of the candidates, or of the clips of a run."""
    names = tuple(data.clusterings(ws))
    prints = tuple(ws.fingerprint(f"clusterings/{name}") or "" for name in names)
    stamp = (ws.fingerprint(f"selections/{run}") or "", ws.fingerprint("clips") or "") if run else ()
    return _mean_table(str(ws.path), pair.sound, pair.picture, over, run or "", (*prints, *stamp))


def excess(ws: Workspace, over: tables.Over) -> float:
    """Mean over a pairing of MI minus MI with permuted sounds, nats, measured on at most `tables.SAMPLE` clips."""
    names = tuple(data.clusterings(ws))
    return _excess(str(ws.path), over, tuple(ws.fingerprint(f"clusterings/{name}") or "" for name in names))


def ordering(
    ws: Workspace, pair: measures.Pair, order: tables.Order, names: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column order of a pair, from its candidates, so that it stays."""
    prints = tuple(ws.fingerprint(f"clusterings/{name}") or "" for name in (pair.sound, pair.picture))
    return _ordering(str(ws.path), pair.sound, pair.picture, order, names if order == "name" else ((), ()), prints)


@st.cache_resource(max_entries=8, show_spinner=False)
def _mean_table(
    path: str, sound: str, picture: str, over: tables.Over, run: str, prints: tuple[str, ...]
) -> tables.MeanTable:
    ws = Workspace.open(path)
    found = measures.pair(ws, sound, picture, run or None)
    a, b = data.assignments(ws, sound), data.assignments(ws, picture)
    clip_pmi, pairs = _clip_pmi(path, over, run, prints)
    return tables.mean_table(a, b, found.rows, found.cols, clip_pmi, pairs)


@st.cache_resource(max_entries=2, show_spinner=False)
def _clip_pmi(path: str, over: tables.Over, run: str, prints: tuple[str, ...]) -> tuple[np.ndarray, int]:
    """Mean PMI of every clip over a pairing, float64 (N,), NaN without a value in all or not of the run."""
    ws = Workspace.open(path)
    pairs = tables.paired(measures.names_of(ws, "audio"), measures.names_of(ws, "visual"), over)
    wanted = list(dict.fromkeys(name for pair in pairs for name in pair))
    usable = np.logical_and.reduce([data.assignments(ws, name) >= 0 for name in wanted])
    if run:
        usable &= data.selected_mask(ws, run)
    labels = {name: np.asarray(data.assignments(ws, name))[usable] for name in wanted}
    total = np.zeros(int(usable.sum()))
    for a, b in pairs:
        total += clip_views.cell_pmi(labels[a], labels[b])
    out = np.full(len(usable), np.nan)
    out[usable] = total / len(pairs)
    out.flags.writeable = False
    return out, len(pairs)


@st.cache_resource(max_entries=8, show_spinner=False)
def _excess(path: str, over: tables.Over, prints: tuple[str, ...]) -> float:
    ws = Workspace.open(path)
    sounds, pictures = (measures.names_of(ws, kind) for kind in ("audio", "visual"))
    found = tables.rank_pairs([data.assignments(ws, n) for n in sounds], [data.assignments(ws, n) for n in pictures])
    return float(np.diag(found).mean() if over == "depth" else found.mean())


@st.cache_resource(max_entries=32, show_spinner=False)
def _ordering(
    path: str,
    sound: str,
    picture: str,
    order: tables.Order,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    prints: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
    pair = measures.pair(Workspace.open(path), sound, picture, None)
    sides = zip(tables.ordering(pair.candidates, order, names), (pair.rows, pair.cols))
    rows, cols = (found[np.argsort(folded.shown[found] == tables.OTHER, kind="stable")] for found, folded in sides)
    return rows, cols
