"""What the views compute for a workspace, cached: names of clusterings and runs go in, tables and row numbers come out.

Every cache is keyed on the workspace's path and the fingerprints of what was read, holds a few entries, and is shared
by all sessions: nobody may write into what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc
import streamlit as st

from curation.workspace import Workspace
from explorer import data
from explorer.views import breadth
from explorer.views import clips as clip_views
from explorer.views import clusters as cluster_views
from explorer.views import contingency as tables
from explorer.views import selection as run_views


def names_of(ws: Workspace, modality: str) -> list[str]:
    """Names of the clusterings of "audio" or "visual"."""
    return [name for name, info in data.clusterings(ws).items() if info.get("modality") == modality]


@dataclass(frozen=True)
class Pair:
    """A sound and a picture clustering with their candidates' table, and the selected ones' where there is a run."""

    sound: str
    picture: str
    rows: tables.Fold
    cols: tables.Fold
    candidates: tables.PairTable
    selected: tables.PairTable | None


def pair(ws: Workspace, sound: str, picture: str, run: str | None) -> Pair:
    """Tables of a pair of clusterings, of the candidates and of the clips of `run`."""
    return _pair(str(ws.path), sound, picture, run or "", _prints(ws, [sound, picture], run))


def best_pair(ws: Workspace) -> tuple[str, str] | None:
    """The pair with the most information beyond permuted sounds; None without a clustering of each modality."""
    sounds, pictures = names_of(ws, "audio"), names_of(ws, "visual")
    if not sounds or not pictures:
        return None
    excess = _excess(str(ws.path), tuple(sounds), tuple(pictures), _prints(ws, [*sounds, *pictures], None))
    i, j = np.unravel_index(int(excess.argmax()), excess.shape)
    return sounds[i], pictures[j]


def controls(ws: Workspace, sound: str, picture: str, run: str | None) -> tables.Controls:
    """Mutual information of the candidates (no run) or of a run's clips, beside permuted sounds and random."""
    return _controls(str(ws.path), sound, picture, run or "", _prints(ws, [sound, picture], run))


def permuted_of(ws: Workspace, run: str, pair: Pair) -> float | None:
    """MI of a pair where the method of `run` chose as many clips from permuted sounds, nats; None where not known.

    Not known either where the clusters changed since, or where the table shows the largest of them only.
    """
    info = data.selections(ws)[run]
    folded = any(side.shown[-1] == tables.OTHER for side in (pair.rows, pair.cols))
    if info["stale"] or folded:
        return None
    for entry in info.get("report", {}).get("pairs", []):
        if {entry.get("first"), entry.get("second")} == {pair.sound, pair.picture}:
            value = entry.get("permuted")
            return None if value is None else float(value)
    return None


def box_rows(ws: Workspace, pair: Pair, r: np.ndarray, c: np.ndarray, run: str | None) -> np.ndarray:
    """Rows of the clips in shown rows `r` and columns `c`, of the run's clips only where one is given."""
    a, b = data.assignments(ws, pair.sound), data.assignments(ws, pair.picture)
    return tables.box_rows(a, b, pair.rows, pair.cols, r, c, data.selected_mask(ws, run) if run else None)


def has_distances(ws: Workspace, pair: Pair) -> bool:
    """Whether clips of both clusterings have a distance to their centroid: those of imported ones have not."""
    return data.distances(ws, pair.sound) is not None and data.distances(ws, pair.picture) is not None


def by_distance(ws: Workspace, pair: Pair, rows: np.ndarray) -> np.ndarray | None:
    """`rows`, nearest to both centroids first; None for imported clusterings, which have no distances."""
    a, b = data.distances(ws, pair.sound), data.distances(ws, pair.picture)
    return None if a is None or b is None else tables.nearest_both(rows, a, b)


def mean_pmi(ws: Workspace) -> np.ndarray:
    """Mean PMI of each clip's cells over all sound x picture pairs, nats, float64 (N,)."""
    sounds, pictures = names_of(ws, "audio"), names_of(ws, "visual")
    return _mean_pmi(str(ws.path), tuple(sounds), tuple(pictures), _prints(ws, [*sounds, *pictures], None))


def cluster_rows(ws: Workspace, name: str, run: str | None) -> list[cluster_views.ClusterRow]:
    """Clusters of a clustering, largest first, with how many of each `run` selected."""
    return _cluster_rows(str(ws.path), name, run or "", _prints(ws, [name], run))


def examples(
    ws: Workspace, name: str, clusters: tuple[int, ...], how: clip_views.Examples, n: int, seed: int
) -> dict[int, np.ndarray]:
    """Rows of at most `n` clips of each cluster."""
    return _examples(str(ws.path), name, clusters, how, n, seed, _prints(ws, [name], None))


def truth(ws: Workspace) -> tuple[np.ndarray, np.ndarray] | None:
    """The column `truth_match` as (truth, known), bool (N,) each; None where there is none."""
    return _truth(str(ws.path), ws.fingerprint("columns/truth_match") or "", ws.fingerprint("clips") or "")


@st.cache_resource(max_entries=4, show_spinner=False)
def _truth(path: str, fingerprint: str, clips_fingerprint: str) -> tuple[np.ndarray, np.ndarray] | None:
    values = data.column(Workspace.open(path), "truth_match")
    return None if values is None else run_views.truth_columns(values)


def breadth_points(ws: Workspace, tops: Mapping[str, int]) -> list[breadth.Point]:
    """Precision against breadth of the first picks of some runs (name -> how many): by known answers, or by the decoys
    of the newest concord run.
    """
    found = data.selections(ws)
    judge = next((name for name, info in found.items() if _is_judge(info)), "")
    layers = tuple(data.clusterings(ws))
    truth_print = ws.fingerprint("columns/truth_match") or ""
    prints = (truth_print, ws.fingerprint("clips") or "", *_prints(ws, list(layers), judge))
    points = [
        _breadth_point(str(ws.path), run, top, judge, layers, (found[run]["fingerprint"], *prints))
        for run, top in tops.items()
    ]
    return [point for point in points if point is not None]


def _is_judge(info: dict[str, Any]) -> bool:
    return not info["stale"] and {"local_false_share", "false_share_low"} <= set(info.get("score_columns", []))


@st.cache_resource(max_entries=128, show_spinner=False)
def _breadth_point(
    path: str, run: str, top: int, judge: str, layers: tuple[str, ...], prints: tuple[str, ...]
) -> breadth.Point | None:
    ws = Workspace.open(path)
    rows = data.picks(ws, run)["row"].to_numpy()[:top]
    whole = _effective_of_candidates(path, layers, _prints(ws, list(layers), None))
    spread = breadth.relative_breadth([data.assignments(ws, name) for name in layers], rows, whole)
    answer = truth(ws)
    known = run_views.precision(rows, *answer) if answer is not None else None
    if known is not None:
        return breadth.known_point(run, spread, known)
    if not judge:
        return None
    columns = ("local_false_share", "false_share_low", "false_share_high")
    return breadth.estimated_point(run, spread, *(np.asarray(data.score_column(ws, judge, c)[rows]) for c in columns))


@st.cache_resource(max_entries=8, show_spinner=False)
def _effective_of_candidates(path: str, layers: tuple[str, ...], prints: tuple[str, ...]) -> list[float]:
    labels = [data.assignments(Workspace.open(path), name) for name in layers]
    candidates = np.logical_and.reduce([values >= 0 for values in labels])
    return [breadth.effective_clusters(np.asarray(values)[candidates]) for values in labels]


def median_spread(ws: Workspace, run: str) -> float | None:
    """Median over the chosen clips of how much their score varies over runs of k-means; None where it was not told."""
    info = data.selections(ws)[run]
    if info["stale"] or "spread" not in info.get("score_columns", []):
        return None
    return _median_spread(str(ws.path), run, _prints(ws, [], run))


@st.cache_resource(max_entries=32, show_spinner=False)
def _median_spread(path: str, run: str, prints: tuple[str, ...]) -> float:
    ws = Workspace.open(path)
    return float(np.nanmedian(data.score_column(ws, run, "spread")[data.picks(ws, run)["row"].to_numpy()]))


def text_mask(ws: Workspace, text: str) -> np.ndarray:
    """bool (N,): the clip's path holds `text`."""
    return _text_mask(str(ws.path), text, ws.fingerprint("clips") or "")


def path_order(ws: Workspace) -> np.ndarray:
    """A rising key, int64 (N,): place of each clip in the order of paths, then starts."""
    return _path_order(str(ws.path), ws.fingerprint("clips") or "")


def objective_of_top(ws: Workspace, run: str, n: int) -> float:
    """Objective of the first `n` picks of a run, nats, over the clusterings as they are now."""
    info = data.selections(ws)[run]
    names = tuple(info["modalities"])
    return _objective(
        str(ws.path), run, n, names, tuple(info["modalities"].values()), info["pairing"], _prints(ws, list(names), run)
    )


def _prints(ws: Workspace, clusterings: list[str], run: str | None) -> tuple[str, ...]:
    keys = [f"clusterings/{name}" for name in clusterings] + ([f"selections/{run}"] if run else [])
    return tuple(ws.fingerprint(key) or "" for key in keys)


def _folds(ws: Workspace, sound: str, picture: str) -> tuple[tables.Fold, tables.Fold]:
    return tables.fold(data.sizes(ws, sound)), tables.fold(data.sizes(ws, picture))


@st.cache_resource(max_entries=32, show_spinner=False)
def _pair(path: str, sound: str, picture: str, run: str, prints: tuple[str, ...]) -> Pair:
    ws = Workspace.open(path)
    a, b = data.assignments(ws, sound), data.assignments(ws, picture)
    rows, cols = _folds(ws, sound, picture)
    chosen = tables.pair_table(a, b, rows, cols, data.selected_mask(ws, run)) if run else None
    return Pair(sound, picture, rows, cols, tables.pair_table(a, b, rows, cols), chosen)


@st.cache_resource(max_entries=8, show_spinner=False)
def _excess(path: str, sounds: tuple[str, ...], pictures: tuple[str, ...], prints: tuple[str, ...]) -> np.ndarray:
    ws = Workspace.open(path)
    return tables.rank_pairs([data.assignments(ws, n) for n in sounds], [data.assignments(ws, n) for n in pictures])


@st.cache_resource(max_entries=64, show_spinner=False)
def _controls(path: str, sound: str, picture: str, run: str, prints: tuple[str, ...]) -> tables.Controls:
    found = pair(Workspace.open(path), sound, picture, run or None)
    return tables.controls(found.candidates, found.selected)


@st.cache_resource(max_entries=2, show_spinner=False)
def _mean_pmi(path: str, sounds: tuple[str, ...], pictures: tuple[str, ...], prints: tuple[str, ...]) -> np.ndarray:
    ws = Workspace.open(path)
    return clip_views.mean_pmi([data.assignments(ws, n) for n in sounds], [data.assignments(ws, n) for n in pictures])


@st.cache_resource(max_entries=32, show_spinner=False)
def _cluster_rows(path: str, name: str, run: str, prints: tuple[str, ...]) -> list[cluster_views.ClusterRow]:
    ws = Workspace.open(path)
    selected = data.selected_mask(ws, run) if run else None
    return cluster_views.cluster_rows(data.assignments(ws, name), len(data.sizes(ws, name)), selected)


@st.cache_resource(max_entries=32, show_spinner=False)
def _examples(
    path: str,
    name: str,
    clusters: tuple[int, ...],
    how: clip_views.Examples,
    n: int,
    seed: int,
    prints: tuple[str, ...],
) -> dict[int, np.ndarray]:
    ws = Workspace.open(path)
    labels, distances = data.assignments(ws, name), data.distances(ws, name)
    if distances is None:
        distances, how = np.zeros(len(labels)), "random"
    return clip_views.examples(labels, distances, np.array(sorted(clusters)), how, n, seed)


@st.cache_resource(max_entries=16, show_spinner=False)
def _text_mask(path: str, text: str, fingerprint: str) -> np.ndarray:
    paths = Workspace.open(path).table("clips", ["path"])["path"]
    return clip_views.text_mask(paths, text)


@st.cache_resource(max_entries=2, show_spinner=False)
def _path_order(path: str, fingerprint: str) -> np.ndarray:
    table = Workspace.open(path).table("clips", ["path", "start_s"])
    order = pc.sort_indices(table, [("path", "ascending"), ("start_s", "ascending")]).to_numpy()
    key = np.empty(len(order), np.int64)
    key[order] = np.arange(len(order))
    return key


@st.cache_resource(max_entries=64, show_spinner=False)
def _objective(
    path: str,
    run: str,
    n: int,
    names: tuple[str, ...],
    modalities: tuple[str, ...],
    pairing: str,
    prints: tuple[str, ...],
) -> float:
    ws = Workspace.open(path)
    rows = data.picks(ws, run)["row"].to_numpy()[:n]
    return run_views.objective_of([data.assignments(ws, name) for name in names], list(modalities), pairing, rows)


def candidates(ws: Workspace) -> int:
    """Clips with a value in every clustering."""
    names = tuple(data.clusterings(ws))
    return _candidates(str(ws.path), names, _prints(ws, list(names), None)) if names else data.n_clips(ws)


def mean_hours(ws: Workspace) -> float:
    """Mean length of the clips whose times are known, hours; 0 without clips, NaN where none are known."""
    hours, untimed = data.total_hours(ws) if data.n_clips(ws) else (0.0, 0)
    return hours / max(1, data.n_clips(ws) - untimed)


@st.cache_resource(max_entries=8, show_spinner=False)
def _candidates(path: str, names: tuple[str, ...], prints: tuple[str, ...]) -> int:
    ws = Workspace.open(path)
    return int(np.count_nonzero(np.logical_and.reduce([data.assignments(ws, name) >= 0 for name in names])))


def rank_key(ws: Workspace, run: str) -> np.ndarray:
    """A rising key, float64 (N,): the picks of a run in their order, then the others by falling score."""
    return _rank_key(str(ws.path), run, _prints(ws, [], run))


@st.cache_resource(max_entries=4, show_spinner=False)
def _rank_key(path: str, run: str, prints: tuple[str, ...]) -> np.ndarray:
    ws = Workspace.open(path)
    scores = data.scores(ws, run)
    rank = clip_views.pick_rank(len(scores), data.picks(ws, run)["row"].to_numpy())
    return clip_views.rank_or_score(rank, scores)
