"""What the maps need of a workspace, cached: names of layouts, colours and marks go in, arrays and pictures come out.

Every cache is keyed on the workspace's path and the fingerprints of what was read, and holds a few entries.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import cluster_names, data, marks, measures
from explorer.views import map_names, words
from explorer.views import maps as views

SIDES = ("audio", "visual")
LAYOUTS = {"pca": "principal components", "umap": "UMAP"}


def coordinates(ws: Workspace, layout: str) -> dict[str, np.ndarray]:
    """The maps of a layout that were made: modality -> float32 (N, 2)."""
    suffix = "" if layout == "pca" else f".{layout}"
    found = {modality: data.projection(ws, f"{modality}{suffix}") for modality in SIDES}
    return {modality: xy for modality, xy in found.items() if xy is not None}


def layouts(ws: Workspace) -> list[str]:
    """Layouts of which there is a map."""
    return [layout for layout in LAYOUTS if coordinates(ws, layout)]


def home(ws: Workspace, modality: str, layout: str) -> views.Window:
    """The window that shows a whole map."""
    key = _key(modality, layout)
    return _home(str(ws.path), key, ws.fingerprint(key) or "")


def color_options(ws: Workspace, run: str | None) -> dict[str, str]:
    """What the maps can be coloured by: value in the address -> words."""
    options = {f"k:{name}": f"cluster · {words.layer(name)}" for name in data.clusterings(ws)}
    if run:
        options |= {"selected": "selected or not", "score": "score in the selection"}
    options["none"] = "density alone"
    return options | {f"c:{name}": f"column · {name}" for name in data.columns(ws)}


def coloring(ws: Workspace, run: str | None, chosen: str, layout: str) -> views.Coloring:
    """Colours of all clips by one of `color_options`; one colour where the value is not there any more."""
    return _coloring(str(ws.path), chosen, run or "", layout, _color_prints(ws, run, chosen, layout))


def _color_prints(ws: Workspace, run: str | None, chosen: str, layout: str) -> tuple[str, ...]:
    prints = [ws.fingerprint("clips") or ""]
    if chosen.startswith("k:") and chosen[2:] in data.clusterings(ws):
        name = chosen[2:]
        modality = str(data.clusterings(ws)[name].get("modality"))
        prints += [ws.fingerprint(f"clusterings/{name}") or "", ws.fingerprint(_key(modality, layout)) or ""]
        prints += cluster_names.labels(ws, name, _largest(ws, name))
    elif chosen in ("selected", "score") and run:
        prints += [run, ws.fingerprint(f"selections/{run}") or ""]
    elif chosen.startswith("c:"):
        prints.append(ws.fingerprint(f"columns/{chosen[2:]}") or "" if chosen[2:] in data.columns(ws) else "")
    return tuple(prints)


def names_on(
    ws: Workspace, modality: str, layout: str, chosen: str
) -> tuple[str | None, list[tuple[float, float, str]]]:
    """The clustering whose clusters are named on a map, None without one, and where which name stands.

    That of the colours where it is of the map's own modality, else the one that tells most about the other's: where a
    cluster of sounds lies on the map of pictures says little.
    """
    colored = chosen.removeprefix("k:")
    layer = colored if colored in measures.names_of(ws, modality) else best_layer(ws, modality)
    if layer is None or coordinates(ws, layout).get(modality) is None:
        return None, []
    named = {cluster for cluster, said in cluster_names.names_of(ws, layer).items() if said.name}
    clusters = map_names.chosen(data.sizes(ws, layer), named)
    key = _key(modality, layout)
    prints = (ws.fingerprint(key) or "", ws.fingerprint(f"clusterings/{layer}") or "")
    places = _centres(str(ws.path), key, layer, tuple(clusters), home(ws, modality, layout), prints)
    called = cluster_names.labels(ws, layer, clusters)
    return layer, [(float(x), float(y), text) for (x, y), text in zip(places, called) if np.isfinite(x)]


def drawn(
    ws: Workspace, modality: str, layout: str, window: views.Window, chosen: str, run: str | None, token: str
) -> views.Drawn:
    """What the canvas of one map draws; `token` names the marked clips, "" = none."""
    colors = coloring(ws, run, chosen, layout)
    key = _key(modality, layout)
    stamp = (ws.fingerprint(key) or "", chosen, run or "", *_color_prints(ws, run, chosen, layout))
    return _drawn(str(ws.path), key, window, token, stamp, colors)


def marked_rows(ws: Workspace, token: str) -> np.ndarray:
    """Rows of a mark, sorted; none where there is no such mark."""
    found = _marked(str(ws.path), token, ws.fingerprint("clips") or "") if token else None
    return np.zeros(0, np.int64) if found is None else found


def marked_mask(ws: Workspace, token: str) -> np.ndarray | None:
    """bool (N,): the clips of a mark; None without one."""
    return _mask(str(ws.path), token, ws.fingerprint("clips") or "") if len(marked_rows(ws, token)) else None


def _key(modality: str, layout: str) -> str:
    return f"projections/{modality}" + ("" if layout == "pca" else f".{layout}")


def _largest(ws: Workspace, name: str) -> list[int]:
    order = np.argsort(-np.asarray(data.sizes(ws, name)), kind="stable")
    return [int(cluster) for cluster in order[: views.MAX_GROUPS]]


@st.cache_resource(max_entries=8, show_spinner=False)
def _home(path: str, key: str, fingerprint: str) -> views.Window:
    return views.home_window(Workspace.open(path).array(key, "xy"))


@st.cache_resource(max_entries=8, show_spinner=False)
def _coloring(path: str, chosen: str, run: str, layout: str, prints: tuple[str, ...]) -> views.Coloring:
    ws = Workspace.open(path)
    n = data.n_clips(ws)
    if chosen.startswith("k:") and chosen[2:] in data.clusterings(ws):
        return _clusters(ws, chosen[2:], layout)
    if chosen == "selected" and run:
        return views.share(data.selected_mask(ws, run), None, ("not selected", "selected"))
    if chosen == "score" and run:
        return views.scale(np.asarray(data.scores(ws, run), np.float64))
    values = data.column(ws, chosen[2:]) if chosen.startswith("c:") else None
    return views.plain(n) if values is None else _column(values)


def _clusters(ws: Workspace, name: str, layout: str) -> views.Coloring:
    labels = np.asarray(data.assignments(ws, name))
    n_clusters, modality = len(data.sizes(ws, name)), str(data.clusterings(ws)[name].get("modality"))
    xy = coordinates(ws, layout).get(modality)
    if n_clusters > views.MAX_GROUPS and xy is not None:
        return views.hues(labels, xy, n_clusters)
    noun = "sound" if modality == "audio" else "picture"
    called = [str(cluster) for cluster in range(n_clusters)]
    for cluster in _largest(ws, name):
        called[cluster] = cluster_names.label(ws, name, cluster)
    return views.groups(labels, [f"{noun} {text}" for text in called])


def _column(values: np.ndarray) -> views.Coloring:
    if values.dtype.kind == "b":
        return views.share(values, None, ("no", "yes"))
    if values.dtype.kind in "iuf" and len(np.unique(values[:100_000])) > views.MAX_GROUPS:
        return views.scale(values.astype(np.float64))
    codes, called = views.categories(values)
    if set(called) <= {"True", "False"}:
        return views.share(codes == (called.index("True") if "True" in called else -2), codes >= 0, ("no", "yes"))
    return views.groups(codes, called)


@st.cache_resource(max_entries=16, show_spinner=False)
def _centres(
    path: str, key: str, layer: str, clusters: tuple[int, ...], window: views.Window, prints: tuple[str, ...]
) -> np.ndarray:
    ws = Workspace.open(path)
    return map_names.centres(ws.array(key, "xy"), data.assignments(ws, layer), list(clusters), window)


@st.cache_resource(max_entries=24, show_spinner=False)
def _drawn(
    path: str, key: str, window: views.Window, token: str, stamp: tuple[str, ...], _colors: views.Coloring
) -> views.Drawn:
    ws = Workspace.open(path)
    return views.draw(ws.array(key, "xy"), _ground(path, key, window, stamp[0]), _colors, marked_mask(ws, token))


@st.cache_resource(max_entries=4, show_spinner=False)
def _ground(path: str, key: str, window: views.Window, fingerprint: str) -> views.Ground:
    """Both maps as two people look at them; a mark or another colour changes nothing of it."""
    return views.ground(Workspace.open(path).array(key, "xy"), window)


@st.cache_resource(max_entries=4, show_spinner=False)
def _marked(path: str, token: str, fingerprint: str) -> np.ndarray | None:
    return marks.rows(Workspace.open(path), token)


@st.cache_resource(max_entries=4, show_spinner=False)
def _mask(path: str, token: str, fingerprint: str) -> np.ndarray:
    ws = Workspace.open(path)
    mask = np.zeros(data.n_clips(ws), bool)
    mask[marked_rows(ws, token)] = True
    return mask


def best_layer(ws: Workspace, modality: str) -> str | None:
    """The clustering of a modality that tells most about the other's."""
    best = measures.best_pair(ws)
    if best is not None:
        return best[0] if modality == "audio" else best[1]
    return next(iter(measures.names_of(ws, modality)), None)
