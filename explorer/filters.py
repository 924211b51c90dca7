"""What is looked at on the page of clips: parameters of the address go in, row numbers and their words come out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import data, measures, run_measures
from explorer.choosers import choose, number, reseed, search, several
from explorer.pair_panel import numbers_of
from explorer.state import param, set_params, whole_number
from explorer.views import clips as views
from explorer.views import words

RESET = ("page", "clip")
PARAMETERS = ("in_a", "k_a", "in_v", "k_v", "a", "v", "cell", "sel", "without", "text", "truth", "rows", "lost")
WORDS_OF = {
    "k_a": "sound clusters", "k_v": "picture clusters", "cell": "a cell", "sel": "selected or not",
    "without": "a selection", "text": "text", "truth": "known answers", "rows": "a mark on the map",
    "lost": "a step of the funnel",
}  # fmt: skip
LOST_WORDS = {
    "measured": "without a value in a layer", "healthy": "not healthy", "copies": "copies of another clip",
    "scope": "not in scope",
}  # fmt: skip
MARKED_LIMIT = 5000
_MARKED = "filters.marked"


@dataclass(frozen=True)
class Filter:
    """One condition that holds now: its words, its mask bool (N,), the parameters that make it."""

    words: str
    mask: np.ndarray
    parameters: tuple[str, ...]


def active(ws: Workspace, run: str | None) -> list[Filter]:
    """The conditions in the address that can be met; the others leave it, and a line says so."""
    found = {
        "k_a": _clusters(ws, "a", "sound"), "k_v": _clusters(ws, "v", "picture"), "cell": _cell(ws),
        "sel": _selected(ws, run), "without": _without(ws), "text": _text(ws), "truth": _truth(ws), "rows": _marked(ws),
        "lost": _lost(ws),
    }  # fmt: skip
    gone = [name for name, item in found.items() if item is None and param(name)]
    set_params(**dict.fromkeys(gone))
    known = data.clusterings(ws)
    set_params(**dict.fromkeys(name for name in ("a", "v") if "cell" in gone or param(name) not in known))
    if gone:
        what = ", ".join(WORDS_OF[name] for name in gone)
        st.caption(f"Left out of the conditions, as it is not in this workspace: {what}.")
    return [item for item in found.values() if item is not None]


def _clusters(ws: Workspace, side: str, noun: str) -> Filter | None:
    names = measures.names_of(ws, "audio" if side == "a" else "visual")
    name = param(f"in_{side}", names[0] if names else "")
    if name not in names:
        return None
    numbers = (whole_number(k) for k in param(f"k_{side}").split(",")[:500])
    n_clusters = len(data.sizes(ws, name))
    chosen = [k for k in numbers if k is not None and 0 <= k < n_clusters]
    if not chosen:
        return None
    text = f"{noun} {', '.join(map(str, chosen))} of {words.layer(name)}"
    return Filter(text, np.isin(data.assignments(ws, name), chosen), (f"k_{side}",))


def _cell(ws: Workspace) -> Filter | None:
    place = numbers_of(param("cell"), 2)
    known = data.clusterings(ws)
    if place is None or param("a") not in known or param("v") not in known:
        return None
    pair = measures.pair(ws, param("a"), param("v"), None)
    r, c = pair.rows.position(place[0]), pair.cols.position(place[1])
    if r is None or c is None:
        return None
    mask = np.zeros(data.n_clips(ws), bool)
    mask[measures.box_rows(ws, pair, np.array([r]), np.array([c]), None)] = True
    text = f"{words.cluster(place[0], 'sound')} × {words.cluster(place[1], 'picture')}"
    return Filter(f"{text} ({words.layer(pair.sound)}, {words.layer(pair.picture)})", mask, ("cell",))


def _selected(ws: Workspace, run: str | None) -> Filter | None:
    wanted = param("sel")
    if run is None or wanted not in ("yes", "no"):
        return None
    mask = data.selected_mask(ws, run)
    if wanted == "yes":
        return Filter(f"selected in {run}", mask, ("sel",))
    return Filter(f"not selected in {run}", ~mask, ("sel",))


def _without(ws: Workspace) -> Filter | None:
    name = param("without")
    if name not in data.selections(ws):
        return None
    return Filter(f"not in {name}", ~data.selected_mask(ws, name), ("without",))


def _text(ws: Workspace) -> Filter | None:
    text = param("text")[:200]
    return Filter(f"path has “{text}”", measures.text_mask(ws, text), ("text",)) if text else None


def _truth(ws: Workspace) -> Filter | None:
    answer, wanted = measures.truth(ws), param("truth")
    if answer is None or wanted not in ("true", "false", "unknown"):
        return None
    truth, known = answer
    masks = {"true": known & truth, "false": known & ~truth, "unknown": ~known}
    return Filter(f"truth_match is {wanted}", masks[wanted], ("truth",))


def _marked(ws: Workspace) -> Filter | None:
    key, marked = st.session_state.get(_MARKED, ("", np.zeros(0, np.int64)))
    if param("rows") != "marked" or key != str(ws.path) or not len(marked):
        return None
    mask = np.zeros(data.n_clips(ws), bool)
    mask[marked[marked < len(mask)]] = True
    return Filter(f"{words.count(len(marked))} marked on the map", mask, ("rows",))


def _lost(ws: Workspace) -> Filter | None:
    """Clips that a step of the selection's funnel leaves out: `lost` names it, the others say how it stood."""
    key = param("lost")
    if key not in LOST_WORDS:
        return None
    off, layers = (tuple(filter(None, param(name)[:2000].split(","))) for name in ("off", "layers"))
    try:
        mask = run_measures.lost(ws, run_measures.Scope(param("scope")[:5000], off, layers), key)
    except ConcordError:
        return None
    return None if mask is None else Filter(LOST_WORDS[key], mask, ("lost", "off", "layers", "scope"))


def mark(ws: Workspace, rows: np.ndarray) -> None:
    """Keep rows marked on a map for this session; `rows=marked` in the address shows them."""
    st.session_state[_MARKED] = (str(ws.path), np.asarray(rows, np.int64)[:MARKED_LIMIT])


def draw_editor(ws: Workspace, run: str | None) -> None:
    """Widgets for every condition, in a popover."""
    with st.popover("Filter", icon=":material/filter_alt:"):
        for side, modality, noun in (("a", "audio", ":orange[Sound]"), ("v", "visual", ":green[Picture]")):
            names = measures.names_of(ws, modality)
            if not names:
                continue
            left, right = st.columns([1, 1])
            with left:
                layers = {name: words.layer(name) for name in names}
                name = choose(f"{noun} clusters of", layers, f"in_{side}", names[0], forget=(f"k_{side}", *RESET))
            with right:
                rows = measures.cluster_rows(ws, name, None)[:500]
                options = {str(row.cluster): f"{row.cluster} ({words.count(row.size)})" for row in rows if row.size}
                several("which", options, f"k_{side}", forget=RESET)
        if run:
            kept = {"": "all", "yes": "selected", "no": "not selected"}
            choose("Selected", kept, "sel", "", form="segments", forget=RESET)
        if measures.truth(ws) is not None:
            answers = {"": "all", "true": "true", "false": "false", "unknown": "unknown"}
            choose("Known answer (truth_match)", answers, "truth", "", form="segments", forget=RESET)
        search("Text in the path", "text", placeholder="part of a name", forget=RESET)


def draw_active(filters: list[Filter]) -> None:
    """One button a condition that takes it away."""
    for i, item in enumerate(filters):
        st.button(
            words.literal(item.words, 60), key=f"filter.{i}", icon=":material/close:", help="Take this condition away",
            on_click=lambda names=item.parameters: set_params(**dict.fromkeys([*names, *RESET])),
        )  # fmt: skip
    if len(filters) > 1:
        st.button(
            "Clear", key="filter.clear", type="tertiary",
            on_click=lambda: set_params(**dict.fromkeys([*PARAMETERS, *RESET])),
        )  # fmt: skip


def draw_sort(ws: Workspace, run: str | None) -> tuple[views.Sort, int]:
    """The order and, for a random one, its seed."""
    sorts = dict(words.SORTS)
    if run is None:
        sorts.pop("rank")
    if not measures.names_of(ws, "audio") or not measures.names_of(ws, "visual"):
        sorts.pop("least")
    sort = choose("Sort", sorts, "sort", "random" if run is None else "rank", forget=("page",), hide_label=True)
    return sort, reseed("seed", "Others") if sort == "random" else number("seed", 0)  # type: ignore[return-value]


def ordered_rows(ws: Workspace, run: str | None, filters: list[Filter], sort: views.Sort, seed: int) -> np.ndarray:
    """Rows that meet all conditions, in order."""
    rows = views.all_of(data.n_clips(ws), *(item.mask for item in filters))
    if sort == "random":
        return views.shuffled(rows, seed)
    if sort == "rank" and run:
        return views.sorted_rows(rows, measures.rank_key(ws, run))
    if sort == "path":
        return views.sorted_rows(rows, measures.path_order(ws))
    return views.sorted_rows(rows, measures.mean_pmi(ws)) if sort == "least" else rows


def badges(ws: Workspace, run: str | None, sort: views.Sort, rows: np.ndarray) -> list[str] | None:
    """A few characters on each still: what the order is by."""
    if sort == "rank" and run:
        picks = data.picks(ws, run)
        rank = views.pick_rank(data.n_clips(ws), picks["row"].to_numpy())[rows]
        return ["" if np.isnan(value) else f"{int(value):,}" for value in rank]
    if sort == "least":
        return ["" if np.isnan(value) else f"{words.signed(float(value))}" for value in measures.mean_pmi(ws)[rows]]
    return None
