"""What a choice did to the clips: a run and how many of its picks go in, figures of before and after come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import bars, data, figures, measures, run_measures
from explorer.choosers import choose
from explorer.layout import wrapped
from explorer.theme import Modality
from explorer.views import words

HEIGHT = 232


def draw(ws: Workspace, run: str, top: int) -> None:
    """Cluster balance of one sound and one picture clustering, clips a source, kinds of clips."""
    if not top or not len(run_measures.candidate_rows(ws, run)):
        return
    st.subheader("Before and after", anchor=False)
    left, right = wrapped([1, 1], "run-balance")
    best = measures.best_pair(ws)
    sides: tuple[tuple[Any, int, Modality, str], ...] = ((left, 0, "audio", "sound"), (right, 1, "visual", "picture"))
    for place, side, modality, noun in sides:
        names = measures.names_of(ws, modality)
        if names:
            with place:
                _balance(ws, run, top, modality, noun, names, best[side] if best else names[0])
    left, right = wrapped([1, 1], "run-kinds")
    with left:
        _sources(ws, run, top)
    with right:
        _kinds(ws, run, top)


def _balance(ws: Workspace, run: str, top: int, modality: Modality, noun: str, names: list[str], first: str) -> None:
    options = {name: words.layer(name) for name in names}
    name = choose(f"Clusters of {noun}", options, f"balance_{'a' if modality == 'audio' else 'v'}", first)
    found = run_measures.balance(ws, run, name, top)
    dark = figures.is_dark()
    st.html(bars.balance(found.before, found.after, modality=modality, labels=found.labels, dark=dark, height=HEIGHT))
    st.caption(
        f"as even as {words.number(found.even_after, 1)} equal clusters · candidates "
        f"{words.number(found.even_before, 1)}",
        help=f"{len(data.sizes(ws, name)):,} clusters. How many equally large ones would be as mixed: exp of the "
        "entropy of their shares.",
    )


def _sources(ws: Workspace, run: str, top: int) -> None:
    found = run_measures.sources(ws, run, top)
    shares = bars.Shares(found.labels, found.before, found.after)
    st.html(bars.columns(shares, title="Clips of one source", dark=figures.is_dark(), height=HEIGHT))
    st.caption(
        f"{words.count(found.sources_after, 'sources')}, at most {words.count(found.most_after)} of one · candidates "
        f"{words.count(found.sources_before, 'sources')}, at most {words.count(found.most_before)}",
        help="A bar: the share of clips whose source gave so many of them.",
    )


def _kinds(ws: Workspace, run: str, top: int) -> None:
    found = run_measures.flags(ws, run, top)
    if not found:
        message = "Speech-like, static: not measured yet." if not run_measures.has_health(ws) else "No kind was told."
        st.html(bars.nothing(message, HEIGHT))
        st.caption("`python -m curation health` measures silence, static pictures, speech and music.")
        return
    labels = [flag.name.replace("_", "-") for flag in found]
    shares = bars.Shares(labels, np.array([flag.before for flag in found]), np.array([flag.after for flag in found]))
    st.html(bars.rows(shares, title="Kinds of clips", dark=figures.is_dark(), height=HEIGHT))
    parts = [f"{name} {flag.before:.0f} → {flag.after:.0f} %" for name, flag in zip(labels[:3], found)]
    meanings = " · ".join(f"**{flag.name.replace('_', '-')}**: {words.literal(flag.meaning, 200)}" for flag in found)
    rough = ", ".join(label for label, flag in zip(labels, found) if flag.rough)
    st.caption(" · ".join(parts), help=meanings + (f" Roughly told: {rough}." if rough else ""))
