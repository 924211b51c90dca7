"""Widgets of the conditions and the order of clips: parameters of the address in, the same parameters out."""

from __future__ import annotations

import numpy as np
import streamlit as st

from curation.workspace import Workspace
from explorer import alike, clip_columns, cluster_names, data, filters, measures, run_measures
from explorer.choosers import choose, reseed, search, several
from explorer.clip_columns import Column
from explorer.filters import RESET, SCORE, Filter
from explorer.state import fill, param, set_params
from explorer.views import clips as views
from explorer.views import conditions, words
from explorer.views.conditions import Condition

FLAGS_SHOWN = 20
_SENTENCES = {
    "least": "Low mean PMI first: dubbed music, slide shows, silence and narration.",
    "timing": "Clips with a clear event whose sound is early or late first.",
    "shared": "First the sounds that most other sources have with another picture.",
}  # fmt: skip


def draw(ws: Workspace, run: str | None) -> None:
    """Every condition, in two popovers: what people look for most, and any column or SQL."""
    with st.popover("Filter", icon=":material/filter_alt:", width="content"):
        _clusters(ws)
        _run_and_review(ws, run)
        _health(ws)
        search("Text in the path", "text", placeholder="part of a name", forget=RESET)
    with st.popover("Column or SQL", icon=":material/table_rows:", width="content"):
        _column(ws, run)
        _sql(ws)
    with st.popover("Find like this", icon=":material/image_search:", width="content"):
        asked = alike.draw_words(ws) or alike.draw_drop(ws)
        if asked:
            like, _, by = asked.rpartition(" ")
            set_params(like=like, by=by, sort=None, **dict.fromkeys(RESET))
            st.rerun()


def draw_active(shown: list[Filter]) -> None:
    """One button a condition that takes it away."""
    for i, item in enumerate(shown):
        st.button(
            words.literal(item.words, 60), key=f"filter.{i}", icon=":material/close:", help="Take this condition away",
            on_click=lambda item=item: set_params(**item.removal | dict.fromkeys(RESET)),
        )  # fmt: skip
    if len(shown) > 1:
        st.button(
            "Clear", key="filter.clear", type="tertiary",
            on_click=lambda: set_params(**dict.fromkeys([*filters.PARAMETERS, *RESET])),
        )  # fmt: skip


def draw_order(ws: Workspace, run: str | None) -> views.Order:
    """The order: a choice, its direction where it is that of a column, its seed where it is random."""
    options = _orders(ws, run)
    default = "alike" if "alike" in options else "rank" if run else "random"
    name = choose("Sort", options, "sort", default, forget=("page",), hide_label=True)
    if name == "random":
        return views.Order("random", seed=reseed("seed", "Others"))
    falls = name == "score"
    if name.startswith("col:") or name == "score":
        falls = param("dir", "down" if falls else "up") == "down"
        st.button(
            "", key="sort.dir", icon=f":material/{'arrow_downward' if falls else 'arrow_upward'}:",
            help="Highest first: turn round" if falls else "Lowest first: turn round",
            on_click=lambda: set_params(dir="up" if falls else "down", page=None),
        )  # fmt: skip
    else:
        set_params(dir=None)
    return order_of(ws, run, name, falls)


def sentence(order: views.Order) -> str:
    """What an order brings up, in a sentence; empty where its name says it."""
    return _SENTENCES.get(order.name, "")


def order_of(ws: Workspace, run: str | None, name: str, falls: bool = False) -> views.Order:
    """The order called `name`, one of those offered."""
    run_print = (run or "", ws.fingerprint(f"selections/{run}") or "") if run else ()
    layers = tuple(str(info["fingerprint"]) for info in data.clusterings(ws).values())
    health = (ws.fingerprint("health") or "",)
    if name == "rank" and run:
        return views.Order(name, lambda: measures.rank_key(ws, run), prints=run_print)
    if name == "score" and run:
        return views.Order(name, lambda: data.scores(ws, run), falls=falls, prints=run_print)
    if name == "path":
        return views.Order(name, lambda: measures.path_order(ws))
    if name == "least":
        return views.Order(name, lambda: measures.mean_pmi(ws), prints=layers)
    if name == "timing":
        return views.Order(name, lambda: -np.abs(clip_columns.numbers(ws, "onset_offset_s")), prints=health)
    if name == "shared":
        return views.Order(name, lambda: -clip_columns.numbers(ws, "shared_sound_track"), prints=health)
    asked = alike.asked(ws, param("like"), param("by")) if name == "alike" else None
    if asked is not None:
        return views.Order(name, lambda: alike.similarity_key(ws, asked), prints=asked.key)
    column = name.removeprefix("col:")
    if name.startswith("col:") and column in clip_columns.columns_of(ws):
        prints = (*health, ws.fingerprint(f"columns/{column}") or "", ws.fingerprint("listed") or "")
        return views.Order(name, lambda: clip_columns.order_key(ws, column), falls=falls, prints=prints)
    return views.Order("row")


def badges(ws: Workspace, run: str | None, order: views.Order, rows: np.ndarray) -> list[str] | None:
    """A few characters on each still: what the order is by."""
    if order.name == "rank" and run:
        places = zip(measures.rank_key(ws, run)[rows], data.selected_mask(ws, run)[rows], strict=True)
        return [f"{int(place):,}" if chosen else "" for place, chosen in places]
    if order.key is None or order.name in ("path", "random"):
        return None
    if order.name.startswith("col:"):
        column = clip_columns.columns_of(ws)[order.name.removeprefix("col:")]
        if column.kind == "text":
            found = clip_columns.texts(ws, column.name).take(rows).to_pylist()
            return ["" if text is None else str(text)[:16] for text in found]
        return _numbered(clip_columns.numbers(ws, column.name)[rows])
    values = np.asarray(order.key()[rows], np.float64)
    if order.name == "least":
        return ["" if np.isnan(value) else words.signed(float(value)) for value in values]
    return _numbered(-values if order.name in ("alike", "timing", "shared") else values)


def _numbered(values: np.ndarray) -> list[str]:
    whole = bool(np.all(np.isnan(values) | (values == np.round(values))))
    return ["" if np.isnan(value) else words.number(float(value), 0 if whole else 2) for value in values]


def _orders(ws: Workspace, run: str | None) -> dict[str, str]:
    """Name -> words of the orders there can be."""
    known = clip_columns.columns_of(ws)
    there = {
        "alike": alike.asked(ws, param("like"), param("by")) is not None, "rank": run is not None,
        "score": run is not None, "least": bool(measures.names_of(ws, "audio") and measures.names_of(ws, "visual")),
        "timing": "onset_offset_s" in known, "shared": "shared_sound_track" in known,
    }  # fmt: skip
    found = {name: text for name, text in words.SORTS.items() if there.get(name, True)}
    return found | {f"col:{name}": column.words for name, column in known.items() if name != "path"}


# -- parts of the editor -----------------------------------------------------------------------------------------------


def _clusters(ws: Workspace) -> None:
    for side, modality, noun in (("a", "audio", ":orange[Sound]"), ("v", "visual", ":green[Picture]")):
        names = measures.names_of(ws, modality)
        if not names:
            continue
        left, right = st.columns([1, 1])
        with left:
            layers = {name: words.layer(name) for name in names}
            name = choose(f"{noun} clusters of", layers, f"in_{side}", names[0], forget=(f"k_{side}", *RESET))
        with right:
            rows = [row for row in measures.cluster_rows(ws, name, None)[:500] if row.size]
            named = cluster_names.labels(ws, name, [row.cluster for row in rows])
            options = {
                str(row.cluster): f"{text} ({words.count(row.size)})" for row, text in zip(rows, named, strict=True)
            }
            several("which", options, f"k_{side}", forget=RESET)


def _run_and_review(ws: Workspace, run: str | None) -> None:
    if run:
        kept = {"": "all", "yes": "selected", "no": "not selected"}
        choose("Selected", kept, "sel", "", form="segments", forget=RESET)
    said = {"": "all", **filters.SAID_WORDS}
    if run is None:
        said = {name: text for name, text in said.items() if name not in ("final", "against")}
    choose("Review", said, "said", "", forget=RESET)
    if measures.truth(ws) is not None:
        answers = {"": "all", "true": "true", "false": "false", "unknown": "unknown"}
        choose("Known answer (truth_match)", answers, "truth", "", form="segments", forget=RESET)
    if run:
        _range(ws, run, SCORE, "Score of the selection shown", "")


def _health(ws: Workspace) -> None:
    """Flags of health: each may be asked for, or ruled out."""
    if not run_measures.has_health(ws):
        return
    flags = [c.name for c in clip_columns.columns_of(ws).values() if c.table == "health" and c.kind == "yes"]
    given = conditions.parse(param("col"))
    left, right = st.columns(2)
    for column, answer, label in ((left, "yes", "Health: only"), (right, "no", "Health: without")):
        chosen = [one.column for one in given if one.op == "is" and one.text == answer and one.column in flags]
        key = f"filter.flags.{answer}"
        fill(key, chosen)
        taken = {one.column for one in given if one.op == "is" and one.column not in chosen}
        options = [name for name in flags[:FLAGS_SHOWN] if name not in taken]
        column.multiselect(
            label, options, key=key, placeholder="any", on_change=_keep_flags, args=(key, answer, tuple(flags))
        )


def _keep_flags(key: str, answer: str, flags: tuple[str, ...]) -> None:
    given, wanted = conditions.parse(param("col")), list(st.session_state[key])
    kept = [one for one in given if not (one.op == "is" and one.text == answer and one.column in flags)]
    for name in wanted:
        kept = conditions.replaced(kept, Condition(name, "is", text=answer))
    set_params(col=conditions.spell(kept) or None, **dict.fromkeys(RESET))


def _column(ws: Workspace, run: str | None) -> None:
    """Any column: a range of numbers, yes or no, or a text in it."""
    known = clip_columns.columns_of(ws)
    name = st.selectbox(
        "Column", list(known), index=None, format_func=lambda one: known[one].words, placeholder="Choose a column",
        key="filter.column",
    )  # fmt: skip
    if name is None:
        return
    column = known[name]
    if column.meaning:
        st.caption(words.literal(column.meaning, 300))
    if column.kind == "number":
        _range(ws, run, name, column.words, column.unit)
    elif column.kind == "yes":
        _yes_or_no(column)
    else:
        _has(column)


def _range(ws: Workspace, run: str | None, name: str, label: str, unit: str) -> None:
    """A range with both ends: what is at an end of the values is open there."""
    low, high = _span(ws, run, name)
    if not low < high:
        st.caption(f"{words.literal(label)}: every clip has the same value, or none.")
        return
    now = _present(name)
    ends = [default if end is None else min(max(end, low), high) for end, default in ((now.low, low), (now.high, high))]
    key = f"filter.range.{name}"
    fill(key, (min(ends), max(ends)))

    def keep() -> None:
        a, b = st.session_state[key]
        _put(Condition(name, "in", None if a <= low else float(a), None if b >= high else float(b)))

    st.slider(label, low, high, key=key, on_change=keep, step=_step(low, high), format="%g")


def _span(ws: Workspace, run: str | None, name: str) -> tuple[float, float]:
    """Ends of a slider, widened to whole steps."""
    if name == SCORE:
        low, high = filters.score_span(ws, run) if run else (0.0, 0.0)
    else:
        low, high = clip_columns.span(ws, name)
    step = _step(low, high)
    return float(np.floor(low / step) * step), float(np.ceil(high / step) * step)


def _step(low: float, high: float) -> float:
    """A round step with at least a hundred of them between the ends."""
    return float(10.0 ** np.floor(np.log10((high - low) / 100))) if high > low else 1.0


def _yes_or_no(column: Column) -> None:
    now, key = _present(column.name), f"filter.is.{column.name}"
    fill(key, now.text or "all")

    def keep() -> None:
        value = st.session_state[key]
        _put(Condition(column.name, "is", text="" if value == "all" else value))

    st.segmented_control(column.words, ["all", "yes", "no"], key=key, on_change=keep, required=True)


def _has(column: Column) -> None:
    key = f"filter.has.{column.name}"
    fill(key, _present(column.name).text)

    def keep() -> None:
        _put(Condition(column.name, "has", text=str(st.session_state[key]).strip()))

    st.text_input(column.words, key=key, on_change=keep, placeholder="a text in it", max_chars=conditions.TEXT_MAX)


def _present(name: str) -> Condition:
    return next((one for one in conditions.parse(param("col")) if one.column == name), Condition(name, "in"))


def _put(condition: Condition) -> None:
    kept = conditions.replaced(conditions.parse(param("col")), condition)
    set_params(col=conditions.spell(kept) or None, **dict.fromkeys(RESET))


def _sql(ws: Workspace) -> None:
    key = "filter.sql"
    fill(key, param("sql"))

    def keep() -> None:
        set_params(sql=str(st.session_state[key]).strip()[: clip_columns.SQL_MAX] or None, **dict.fromkeys(RESET))

    st.text_area(
        "Condition in SQL (DuckDB, read-only)", key=key, on_change=keep, max_chars=clip_columns.SQL_MAX, height=90,
        placeholder="loudness_lufs < -30 AND NOT speech_like",
        help=f"One condition on the columns above; at most {clip_columns.SQL_TIME_LIMIT_S:g} s and 1 GB of memory.",
    )  # fmt: skip
