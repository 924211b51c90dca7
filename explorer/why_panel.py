"""Why the opened clip was picked or not: a row goes in; cells, rank or reason, timing and neighbours are drawn."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import streamlit as st

from curation import columns, review
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import alike, clip_columns, clip_panel, cluster_names, data, figures, measures
from explorer.components.clip_grid import clip_grid
from explorer.state import set_params
from explorer.theme import palette
from explorer.views import clips as clip_views
from explorer.views import why as views
from explorer.views import words

NEAREST = 6
CELLS_SHOWN = 12
TABLE_MAX = 4_000_000
"""Cells of a pair's table that is kept whole."""


def show(ws: Workspace, row: int, run: str | None) -> None:
    """Everything that is known of a clip, in the order in which people ask."""
    with st.container(gap="xsmall"):
        _facts(ws, row, run)
    _cells(ws, row)
    _neighbours(ws, row)


def _facts(ws: Workspace, row: int, run: str | None) -> None:
    if run:
        st.markdown(picked_line(ws, row, run))
    clip_panel.show_source(ws, row)
    facts = health_of(ws, row)
    if facts:
        st.caption(views.health_line(facts.get("problems") or []))
        timing = views.timing_line(
            facts.get("onset_percentile"), facts.get("clear_event"), facts.get("onset_offset_s")
        )  # fmt: skip
        if timing:
            st.caption(timing[0].upper() + timing[1:])


def picked_line(ws: Workspace, row: int, run: str) -> str:
    """`Picked 37th of 675 · added 2.31 nats to size × MI (typical 1.92)`, or the reason why it was not."""
    picks = data.picks(ws, run)
    rows = picks["row"].to_numpy()
    at = np.flatnonzero(rows == row)
    scores = data.scores(ws, run)
    score = float(scores[row])
    lowest = _lowest_picked(str(ws.path), run, ws.fingerprint(f"selections/{run}") or "", ws.fingerprint("clips") or "")
    told = views.score_line(score, views.percentile(np.asarray(scores), score), lowest if not len(at) else math.nan)
    tail = f"  \n:small[{words.literal(told, 200)}]" if told else ""
    if not len(at):
        text = words.literal(views.reason(standing(ws, row, run, score, lowest), len(rows)), 400)
        return f"**Not picked** of {words.count(len(rows))}: {text}{tail}"
    rank, gain = int(picks["rank"].iloc[at[0]]), picks["gain"].iloc[at[0]]
    text = f"**Picked {words.ordinal(rank)}** of {len(rows):,}"
    info = data.selections(ws)[run]
    if pd.isna(gain):
        return f"{text} · {_included(ws, row, run)}{tail}" if _included(ws, row, run) else text + tail
    if rank <= int(info.get("selection_size", 0)) and info.get("method") == "batch-greedy":
        return f"{text} · in the first batch, when there was nothing to compare with{tail}"
    typical = words.number(picks["gain"].median())
    return f"{text} · added {words.nats(gain)} to size × MI when picked (typical {typical}){tail}"


def standing(ws: Workspace, row: int, run: str, score: float, lowest: float) -> views.Standing:
    """What is known of a clip that `run` did not pick."""
    info = data.selections(ws)[run]
    present = data.clusterings(ws)
    missing = [name for name in info.get("clusterings", {}) if name in present and data.assignments(ws, name)[row] < 0]
    scope, limits = str(info.get("where", "")).strip(), info.get("settings", {})
    clip = data.clip_at(ws, row)
    said = review.decision_of(ws, clip.clip_id) if limits.get("review") == "honour" else None
    picked = data.picks(ws, run)["row"].to_numpy()
    limit = int(info.get("report", {}).get("max_per_group") or 0)
    codes = data.source_codes(ws) if limit else None
    return views.Standing(
        missing=missing,
        in_scope=_meets(ws, scope, row) if scope else None,
        scope=scope,
        dropped_by=said[0] if said and said[1] == "drop" else "",
        excluded=str(limits.get("exclude", "")) if _meets(ws, str(limits.get("exclude", "")), row) else "",
        unhealthy=health_of(ws, row).get("problems") or [],
        copy_of=_copy_of(ws, row, picked) if limits.get("duplicates", "one") == "one" else "",
        source_clips=int((codes[picked] == codes[row]).sum()) if codes is not None else 0,
        source_limit=limit,
        score=score,
        lowest=lowest,
    )


def health_of(ws: Workspace, row: int) -> dict[str, Any]:
    """One clip's row of health.parquet; empty where health was not measured for these clips."""
    artefact = ws.artefact("health")
    if artefact is None or not ws.fits(artefact):
        return {}
    return _health_row(str(ws.path), artefact.fingerprint, row)


def cells(ws: Workspace, row: int) -> list[views.CellOfClip]:
    """The clip's cell in every sound x picture pair where it has a value, the most expected pairing first."""
    known = data.clusterings(ws)
    layers = tuple(
        (name, str(info.get("modality")), int(info.get("n_clusters", 0)), str(info["fingerprint"]))
        for name, info in known.items()
    )
    return _cells_of(str(ws.path), row, layers)


# -- parts -------------------------------------------------------------------------------------------------------------


def _cells(ws: Workspace, row: int) -> None:
    found = cells(ws, row)
    if not found:
        return
    mean = float(np.mean([cell.pmi for cell in found]))
    pairs = words.count(len(found), "pairs")
    st.caption(
        f"Its cell in {pairs} of clusterings · mean PMI {words.signed(mean)} nats (0 = as often as by chance; the clip "
        "itself is counted, so cells of few clips lie above 0 by chance alone)"
    )
    shown = found if len(found) <= CELLS_SHOWN else [*found[: CELLS_SHOWN // 2], *found[-CELLS_SHOWN // 2 :]]
    frame = pd.DataFrame(
        {
            "PMI": [cell.pmi for cell in shown],
            "Sound × picture cluster": [
                f"{_named(ws, cell.sound, cell.sound_cluster)} × {_named(ws, cell.picture, cell.picture_cluster)}"
                for cell in shown
            ],
            "Clips": [cell.clips for cell in shown],
        }
    )
    dark = figures.is_dark()
    styled = frame.style.format({"PMI": words.signed, "Clips": "{:,}"})
    styled = styled.map(lambda value: views.pmi_style(value, palette(dark).diverging), subset=["PMI"])
    config = {
        "PMI": st.column_config.NumberColumn(
            "PMI, nats", width=72, help="log(clips / expected): 0 = as by chance, below 0 less often than by chance"
        ),
        "Clips": st.column_config.NumberColumn(
            width=52, help="Clips that share this cell: many speak of a kind, few of this clip"
        ),
    }  # fmt: skip
    st.dataframe(styled, hide_index=True, height=min(247, 36 + 35 * len(frame)), column_config=config)
    if len(shown) < len(found):
        st.caption(f"The {CELLS_SHOWN // 2} highest and the {CELLS_SHOWN // 2} lowest of {pairs}")


def _named(ws: Workspace, clustering: str, cluster: int) -> str:
    return f"{clustering.partition('.')[2] or clustering} {cluster_names.label(ws, clustering, cluster, 16)}"


def _neighbours(ws: Workspace, row: int) -> None:
    """The nearest clips in each modality, and how many of them belong elsewhere in the other one."""
    pair = measures.best_pair(ws)
    clip_id = data.clip_at(ws, row).clip_id
    drawn = False
    for by, noun, other, colour in (("audio", "sound", "picture", "orange"), ("visual", "picture", "sound", "green")):
        rows, similarity = alike.around(ws, row, by, NEAREST)
        if not len(rows):
            continue
        drawn = True
        differs = np.zeros(len(rows), bool)
        if pair is not None:
            labels = data.assignments(ws, pair[1] if by == "audio" else pair[0])
            differs = views.disagreement(int(labels[row]), np.asarray(labels[rows]))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f":{colour}-badge[nearest in {noun}]", width="content")
            st.button(
                "More", key=f"why.more.{by}", icon=":material/image_search:", type="tertiary", on_click=set_params,
                kwargs={"like": clip_id, "by": by, "sort": None, "page": None},
                help=f"The {alike.MOST} nearest in {noun}, as a condition beside the others",
            )  # fmt: skip
        if pair is not None:
            st.caption(views.disagreement_line(int(differs.sum()), len(rows), noun, other))
        badges = [f"{'≠ ' if differ else ''}{words.number(float(value))}" for differ, value in zip(differs, similarity)]
        clip_grid(
            clip_panel.tiles(ws, rows, None, badges), tile_width=84, key=f"why.near.{by}",
            on_event=lambda event: clip_panel.open_clip(event.clip_id),
        )  # fmt: skip
    if not drawn:
        st.caption("The nearest clips in sound and in picture are shown here once neighbours are made.")


def _included(ws: Workspace, row: int, run: str) -> str:
    """Why a clip came first without a comparison; empty where nothing says so."""
    limits = data.selections(ws)[run].get("settings", {})
    said = review.decision_of(ws, data.clip_at(ws, row).clip_id) if limits.get("review") == "honour" else None
    if said and said[1] == "keep":
        return f"kept in review by {words.literal(said[0])}, so it came first"
    if _meets(ws, str(limits.get("include", "")), row):
        return "included by the run's condition, so it came first"
    return ""


def _meets(ws: Workspace, condition: str, row: int) -> bool | None:
    """Whether a clip meets a run's condition; None without one, or where its columns are not there any more."""
    if not condition.strip():
        return None
    try:
        prints = tuple(columns.fingerprints(ws, condition))
        return bool(_condition(str(ws.path), condition, (ws.fingerprint("clips") or "", *prints))[row])
    except ConcordError:
        return None


def _copy_of(ws: Workspace, row: int, picked: np.ndarray) -> str:
    """A picked clip that health found to be a copy of this one, in words; empty for none."""
    group = health_of(ws, row).get(columns.DUPLICATE)
    if group is None or group < 0:
        return ""
    same = picked[clip_columns.numbers(ws, columns.DUPLICATE)[picked] == group]
    return PurePosixPath(data.clip_at(ws, int(same[0])).path).stem if len(same) else ""


# -- kept --------------------------------------------------------------------------------------------------------------


_Layer = tuple[str, str, int, str]  # name, modality, clusters, fingerprint


@st.cache_data(max_entries=2000, show_spinner=False)
def _cells_of(path: str, row: int, layers: tuple[_Layer, ...]) -> list[views.CellOfClip]:
    ws = Workspace.open(path)
    label = {layer[0]: int(data.assignments(ws, layer[0])[row]) for layer in layers}
    found = []
    for sound in layers:
        for picture in layers:
            a, b = label[sound[0]], label[picture[0]]
            if sound[1] != "audio" or picture[1] != "visual" or a < 0 or b < 0:
                continue
            if sound[2] * picture[2] <= TABLE_MAX:
                found.append(views.cell_of(sound[0], picture[0], a, b, _table(path, sound, picture)))
            else:
                sides = ({layer[0]: data.assignments(ws, layer[0])} for layer in (sound, picture))
                found += clip_views.why(row, *sides)
    return views.ordered(found)


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(path: str, sound: _Layer, picture: _Layer) -> views.Table:
    ws = Workspace.open(path)
    a, b = (data.assignments(ws, layer[0]) for layer in (sound, picture))
    n_a, n_b = (len(data.sizes(ws, layer[0])) for layer in (sound, picture))
    return views.Table.of(clip_views.pair_counts(a, b, n_a, n_b))


@st.cache_data(max_entries=2000, show_spinner=False)
def _health_row(path: str, fingerprint: str, row: int) -> dict[str, Any]:
    file = pq.ParquetFile(Workspace.open(path).artefact_path("health"), memory_map=True)
    for group in range(file.metadata.num_row_groups):
        n_rows = file.metadata.row_group(group).num_rows
        if row < n_rows:
            return dict(file.read_row_group(group).slice(row, 1).to_pylist()[0])
        row -= n_rows
    return {}


@st.cache_resource(max_entries=8, show_spinner=False)
def _lowest_picked(path: str, run: str, fingerprint: str, clips: str) -> float:
    ws = Workspace.open(path)
    values = data.scores(ws, run)[data.picks(ws, run)["row"].to_numpy()]
    known = values[np.isfinite(values)]
    return float(known.min()) if len(known) else math.nan


@st.cache_resource(max_entries=4, show_spinner=False)
def _condition(path: str, condition: str, prints: tuple[str, ...]) -> np.ndarray:
    return columns.matching(Workspace.open(path), condition, "the run's condition")
