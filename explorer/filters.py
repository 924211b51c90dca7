"""What is looked at on the page of clips: parameters of the address go in, the clips that meet them come out, in order.

A condition is its words, a key that says what it was made of, and how to make its mask; masks and the clips found are
kept, so that stepping through them computes nothing again. Widgets for all of it: `filter_editor`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from curation import review
from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import alike, clip_columns, cluster_names, data, marks, measures, run_measures
from explorer.state import param, set_params, whole_number, whole_numbers
from explorer.views import clips as views
from explorer.views import conditions, words

RESET = ("page", "clip", "at")
PARAMETERS = (
    "in_a", "k_a", "in_v", "k_v", "a", "v", "cell", "sel", "without", "text", "truth", "rows", "lost", "col", "sql",
    "said", "like", "by", "off", "layers", "scope",
)  # fmt: skip
WORDS_OF = {
    "k_a": "sound clusters", "k_v": "picture clusters", "cell": "a cell", "sel": "selected or not",
    "without": "a selection", "text": "text", "truth": "known answers", "rows": "a mark on the map",
    "lost": "a step of the funnel", "col": "a column", "said": "a review",
    "like": "a clip or file to resemble, or words to fit",
}  # fmt: skip
LOST_WORDS = {
    "measured": "without a value in a layer", "healthy": "not healthy", "copies": "copies of another clip",
    "scope": "not in scope",
}  # fmt: skip
SAID_WORDS = {
    "keep": "kept", "drop": "dropped", "maybe": "maybe", "none": "not reviewed", "final": "in the final choice",
    "against": "review against the machine",
}  # fmt: skip
SCORE = " selection score"
"""Name under which conditions mean the score of the run that is shown; no column's name begins with a space."""
MARKED_LIMIT = 5000
_MARKED = "filters.marked"


@dataclass(frozen=True)
class Filter:
    """One condition that holds now: its words, the parameters that make it, what its mask was made of, and how.

    `without`: the parameters' values that take this one condition away (None = the parameter leaves the address).
    """

    words: str
    parameters: tuple[str, ...]
    key: tuple[str, ...]
    make: Callable[[], np.ndarray]
    without: tuple[tuple[str, str | None], ...] = ()

    @property
    def removal(self) -> dict[str, str | None]:
        """What to write into the address to take the condition away."""
        return dict(self.without) or dict.fromkeys(self.parameters)


@dataclass(frozen=True)
class Found:
    """Clips that meet all conditions: `rows` int32 (m,) ascending; `head` the first `views.HEAD` of them in order;
    `hours` of those whose times are known, not of the `untimed`.
    """

    rows: np.ndarray
    head: np.ndarray
    hours: float
    selected: int
    untimed: int = 0


def active(ws: Workspace, run: str | None) -> list[Filter]:
    """The conditions in the address that can be met; the others leave it, and a line says so."""
    made = {
        "k_a": _clusters(ws, "a", "sound"), "k_v": _clusters(ws, "v", "picture"), "cell": _cell(ws),
        "sel": _selected(ws, run), "without": _without(ws), "text": _text(ws), "truth": _truth(ws), "rows": _marked(ws),
        "lost": _lost(ws), "said": _said(ws, run), "like": _like(ws),
    }  # fmt: skip
    gone = [name for name, item in made.items() if item is None and param(name)]
    columns, lost_columns = _columns(ws, run)
    gone += ["col"] if lost_columns else []
    set_params(**dict.fromkeys(name for name in gone if name != "col"))
    known = data.clusterings(ws)
    set_params(**dict.fromkeys(name for name in ("a", "v") if "cell" in gone or param(name) not in known))
    if gone:
        what = ", ".join(WORDS_OF[name] for name in gone)
        st.caption(f"Left out of the conditions, as it is not in this workspace: {what}.")
    sql = _sql(ws)
    return [item for item in (*made.values(), *columns, sql) if item is not None]


def found(ws: Workspace, run: str | None, filters: list[Filter], order: views.Order) -> Found:
    """The clips that meet all of the filters. Raises `InputError` for SQL that cannot be run."""
    key = tuple("\0".join(item.key) for item in filters)
    prints = (ws.fingerprint("clips") or "", _run_print(ws, run))
    named = (order.name, str(order.seed), str(order.falls), *order.prints)
    meeting = _meeting(str(ws.path), run or "", key, prints, filters)
    return replace(meeting, head=_head(str(ws.path), run or "", key, named, prints, meeting.rows, order))


def mask_of(ws: Workspace, item: Filter) -> np.ndarray:
    """Which clips meet one condition, bool (N,)."""
    return _mask(str(ws.path), ws.fingerprint("clips") or "", item.key, item)


def numbers_of_column(ws: Workspace, run: str | None, name: str) -> np.ndarray:
    """A column as numbers, float (N,); `SCORE` is that of the run."""
    if name == SCORE and run:
        return data.scores(ws, run)
    return clip_columns.numbers(ws, name)


def score_span(ws: Workspace, run: str) -> tuple[float, float]:
    """The least and the largest score of a run; (0, 0) where no clip has one."""
    return _score_span(str(ws.path), run, _run_print(ws, run))


def mark(ws: Workspace, rows: np.ndarray) -> None:
    """Keep rows marked on a map for this session; `rows=marked` in the address shows them."""
    st.session_state[_MARKED] = (str(ws.path), np.asarray(rows, np.int64)[:MARKED_LIMIT])


# -- the conditions ----------------------------------------------------------------------------------------------------


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
    text = f"{noun} {', '.join(cluster_names.labels(ws, name, chosen))} of {words.layer(name)}"
    key = ("clusters", name, ws.fingerprint(f"clusterings/{name}") or "", repr(chosen))
    return Filter(text, (f"k_{side}",), key, lambda: views.in_clusters(data.assignments(ws, name), chosen, n_clusters))


def _cell(ws: Workspace) -> Filter | None:
    place = whole_numbers(param("cell"), 2)
    known = data.clusterings(ws)
    if place is None or param("a") not in known or param("v") not in known:
        return None
    pair = measures.pair(ws, param("a"), param("v"), None)
    r, c = pair.rows.position(place[0]), pair.cols.position(place[1])
    if r is None or c is None:
        return None

    def make() -> np.ndarray:
        return views.mask_of(data.n_clips(ws), measures.box_rows(ws, pair, np.array([r]), np.array([c]), None))

    sound, picture = (cluster_names.label(ws, on, k) for on, k in zip((pair.sound, pair.picture), place, strict=True))
    text = f"sound {sound} × picture {picture} ({words.layer(pair.sound)}, {words.layer(pair.picture)})"
    prints = (known[name]["fingerprint"] for name in (pair.sound, pair.picture))
    return Filter(text, ("cell",), ("cell", pair.sound, pair.picture, *prints, repr(place)), make)


def _selected(ws: Workspace, run: str | None) -> Filter | None:
    wanted = param("sel")
    if run is None or wanted not in ("yes", "no"):
        return None
    key = ("selected", run, _run_print(ws, run), wanted)
    if wanted == "yes":
        return Filter(f"selected in {run}", ("sel",), key, lambda: data.selected_mask(ws, run))
    return Filter(f"not selected in {run}", ("sel",), key, lambda: ~data.selected_mask(ws, run))


def _without(ws: Workspace) -> Filter | None:
    name = param("without")
    if name not in data.selections(ws):
        return None
    key = ("without", name, _run_print(ws, name))
    return Filter(f"not in {name}", ("without",), key, lambda: ~data.selected_mask(ws, name))


def _text(ws: Workspace) -> Filter | None:
    text = param("text")[:200]
    if not text:
        return None
    return Filter(f"path has “{text}”", ("text",), ("text", text), lambda: measures.text_mask(ws, text))


def _truth(ws: Workspace) -> Filter | None:
    answer, wanted = measures.truth(ws), param("truth")
    if answer is None or wanted not in ("true", "false", "unknown"):
        return None
    truth, known = answer
    masks = {"true": lambda: known & truth, "false": lambda: known & ~truth, "unknown": lambda: ~known}
    key = ("truth", ws.fingerprint("columns/truth_match") or "", wanted)
    return Filter(f"truth_match is {wanted}", ("truth",), key, masks[wanted])


def _marked(ws: Workspace) -> Filter | None:
    token = param("rows")
    if token == "marked":
        kept_for, rows = st.session_state.get(_MARKED, ("", np.zeros(0, np.int64)))
        marked = rows if kept_for == str(ws.path) and len(rows) else None
        token = str(hash(rows.tobytes())) if marked is not None else token
    else:
        marked = marks.rows(ws, token) if token else None
    if marked is None:
        return None
    n_clips = data.n_clips(ws)
    text = f"{words.count(len(marked))} marked"
    return Filter(text, ("rows",), ("rows", token), lambda: views.mask_of(n_clips, marked[marked < n_clips]))


def _lost(ws: Workspace) -> Filter | None:
    """Clips that a step of the selection's funnel leaves out: `lost` names it, the others say how it stood."""
    key = param("lost")
    if key not in LOST_WORDS:
        return None
    off, layers = (tuple(filter(None, param(name)[:2000].split(","))) for name in ("off", "layers"))
    scope = run_measures.Scope(param("scope")[:5000], off, layers)
    try:
        mask = run_measures.lost(ws, scope, key)
    except ConcordError:
        return None
    if mask is None:
        return None
    prints = (ws.fingerprint("health") or "", *(str(info["fingerprint"]) for info in data.clusterings(ws).values()))
    return Filter(
        LOST_WORDS[key], ("lost", "off", "layers", "scope"), ("lost", key, repr(scope), *prints), lambda: mask
    )


def _said(ws: Workspace, run: str | None) -> Filter | None:
    """Clips by what people said of them; of the run that is shown where that matters."""
    wanted = param("said")
    if wanted not in SAID_WORDS or (wanted in ("final", "against") and run is None):
        return None

    def make() -> np.ndarray:
        machine = data.selected_mask(ws, run) if run else np.zeros(data.n_clips(ws), bool)
        return views.said_mask(wanted, review.masks(ws), machine)

    key = ("said", wanted, review.stamp(ws), _run_print(ws, run))
    return Filter(SAID_WORDS[wanted], ("said",), key, make)


def _like(ws: Workspace) -> Filter | None:
    asked = alike.asked(ws, param("like"), param("by"))
    if asked is None:
        return None
    n_clips = data.n_clips(ws)
    return Filter(
        asked.words, ("like", "by", "sort"), ("like", *asked.key),
        lambda: views.mask_of(n_clips, alike.nearest(ws, asked)[0]),
    )  # fmt: skip


def _columns(ws: Workspace, run: str | None) -> tuple[list[Filter], bool]:
    """Conditions on columns, and whether some named one that is not there: those leave the address."""
    known = clip_columns.columns_of(ws)
    given = [_of_the_run(one, known) for one in conditions.parse(param("col"))]
    kept = [one for one in given if _fits(one, known, run)]
    if param("col") != conditions.spell(kept):
        set_params(col=conditions.spell(kept) or None)
    found = []
    for one in kept:
        unit = known[one.column].unit if one.column in known else ""
        others = conditions.spell([other for other in kept if other is not one]) or None
        key = ("column", repr(one), *_column_prints(ws, run, one.column))
        found.append(Filter(conditions.said(one, unit), ("col",), key, _column_maker(ws, run, one), (("col", others),)))
    return found, len(kept) < len(given)


def _of_the_run(one: conditions.Condition, known: dict[str, clip_columns.Column]) -> conditions.Condition:
    """A condition on `score`, as addresses spelled it before, means the run's where there is no such column."""
    return replace(one, column=SCORE) if one.column == "score" and "score" not in known else one


def _fits(one: conditions.Condition, known: dict[str, clip_columns.Column], run: str | None) -> bool:
    if one.column == SCORE:
        return run is not None and one.op == "in"
    ops = {"yes": "is", "number": "in", "text": "has"}
    return one.column in known and ops[known[one.column].kind] == one.op


def _column_prints(ws: Workspace, run: str | None, name: str) -> tuple[str, ...]:
    if name == SCORE:
        return (run or "", _run_print(ws, run))
    table = clip_columns.columns_of(ws)[name].table
    return (ws.fingerprint(f"columns/{name}" if table == "joined" else table) or "",)


def _column_maker(ws: Workspace, run: str | None, one: conditions.Condition) -> Callable[[], np.ndarray]:
    if one.op == "has":
        return lambda: conditions.has_text(clip_columns.texts(ws, one.column), one.text)
    if one.op == "is":
        return lambda: clip_columns.numbers(ws, one.column) == (1 if one.text == "yes" else 0)
    return lambda: conditions.between(numbers_of_column(ws, run, one.column), one.low, one.high)


def _sql(ws: Workspace) -> Filter | None:
    text = param("sql").strip()
    if not text:
        return None
    prints = (ws.fingerprint(key) or "" for key in ("health", "listed", *ws.keys("columns")))
    return Filter(f"SQL: {text}", ("sql",), ("sql", text, *prints), lambda: clip_columns.matching(ws, text))


def _run_print(ws: Workspace, run: str | None) -> str:
    return ws.fingerprint(f"selections/{run}") or "" if run else ""


# -- kept --------------------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=16, show_spinner=False)
def _mask(path: str, clips: str, key: tuple[str, ...], _item: Filter) -> np.ndarray:
    mask = np.array(_item.make(), dtype=bool)
    mask.flags.writeable = False
    return mask


@st.cache_resource(max_entries=8, show_spinner=False)
def _score_span(path: str, run: str, fingerprint: str) -> tuple[float, float]:
    values = data.scores(Workspace.open(path), run)
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


@st.cache_resource(max_entries=6, show_spinner=False)
def _meeting(path: str, run: str, key: tuple[str, ...], prints: tuple[str, ...], _filters: list[Filter]) -> Found:
    """What meets the conditions, in no order yet."""
    ws = Workspace.open(path)
    rows = views.all_of(data.n_clips(ws), *(mask_of(ws, item) for item in _filters)).astype(np.int32)
    rows.flags.writeable = False
    hours, untimed = data.total_hours(ws, rows)
    selected = int(data.selected_mask(ws, run)[rows].sum()) if run else 0
    return Found(rows, rows[:0], hours, selected, untimed)


@st.cache_resource(max_entries=24, show_spinner=False)
def _head(
    path: str, run: str, key: tuple[str, ...], order: tuple[str, ...], prints: tuple[str, ...], _rows: np.ndarray,
    _order: views.Order,
) -> np.ndarray:  # fmt: skip
    head = _order.first(_rows).astype(np.int32)
    head.flags.writeable = False
    return head
