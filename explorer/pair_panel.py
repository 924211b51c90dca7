"""The contingency page's parts: a pair of clusterings goes in; the heatmap and the clips of a cell come out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from curation.errors import ConcordError
from curation.workspace import Workspace
from explorer import clip_panel, cluster_names, data, marks, measures, pair_measures, review_panel
from explorer.choosers import choose, reseed
from explorer.components.heatmap import HeatmapEvent, heatmap
from explorer.layout import wrapped
from explorer.state import goto, param, set_params, whole_numbers
from explorer.views import clips as clip_views
from explorer.views import contingency as tables
from explorer.views import words

STILLS = 8
SIDE_STILLS = 3
MANY = 60
"""Rows or columns above which the table is drawn larger: cells are a few pixels there."""


@dataclass(frozen=True)
class View:
    """What the address asks for: the pair, whose clips, what is drawn, in which order."""

    pair: measures.Pair
    run: str | None  # the run shown; None where all candidates are
    of: str  # candidates | selected | difference
    show: tables.Measure
    order: tables.Order
    rows: np.ndarray  # places of the rows as drawn, from the top
    cols: np.ndarray
    names: tuple[tuple[str, ...], tuple[str, ...]]  # what rows and columns are called, not in drawn order
    over: tables.Over  # what PMI and share are of
    mean: tables.MeanTable | None  # the mean over a pairing where `over` is one

    @property
    def table(self) -> tables.PairTable:
        """The table whose numbers stand in the panel."""
        return self.pair.candidates if self.of == "candidates" or self.pair.selected is None else self.pair.selected

    def pmi(self) -> np.ndarray:
        """Of the pair, or the mean over the pairing: nats, float64 (R, C)."""
        return self.table.pmi() if self.mean is None else self.mean.pmi

    def share(self) -> np.ndarray:
        """Each cell's part of the dependence, per cent, float64 (R, C)."""
        return self.table.share() if self.mean is None else self.mean.share

    @property
    def clips_of(self) -> str | None:
        """The run whose clips a cell opens; None = all candidates."""
        return self.run if self.of == "selected" else None


def choose_view(header: DeltaGenerator, ws: Workspace, run: str | None) -> View:
    """The choices, the first of them beside the title in `header`; each is kept in the address."""
    best = measures.best_pair(ws)
    assert best is not None
    of = "candidates"
    if run:
        whose = {"candidates": "All candidates", "selected": "Selected", "difference": "Difference"}
        with header:
            of = choose("Of", whose, "of", "candidates", form="segments", hide_label=True)
    sounds, pictures = ({n: words.layer(n) for n in measures.names_of(ws, kind)} for kind in ("audio", "visual"))
    if param("a", best[0]) not in sounds or param("v", best[1]) not in pictures:
        st.caption("The address names clusters that are not here; the pair that tells most stands in for them.")
    over, overs = "pair", pair_measures.overs(ws)
    if len(overs) > 1 and of != "difference":
        with header.container(width=200):
            over = choose("Dependence of", {o: words.OVERS[o] for o in overs}, "over", "pair", hide_label=True)
    first, second, third, fourth = wrapped([2, 2, 3.8, 1.5], "pair", "bottom")
    with first:
        sound = choose(":orange[Sound]", sounds, "a", best[0], forget=("cell", "box"))
    with second:
        picture = choose(":green[Picture]", pictures, "v", best[1], forget=("cell", "box"))
    with fourth:
        order = choose("Order", words.ORDERS, "order", "match", forget=("box",), help=words.ORDER_HELP)
    pair = measures.pair(ws, sound, picture, run)
    with third:
        show = "difference"
        if of != "difference":
            kinds = words.MEASURES if over == "pair" else {k: words.MEASURES[k] for k in ("count", "pmi", "share")}
            explained = words.MEASURE_HELP if len(overs) == 1 else f"{words.MEASURE_HELP}\n\n{words.OVER_HELP}"
            show = choose("Show", kinds, "show", "count", form="segments", help=explained)
        else:
            st.caption("Share of the selected clips minus share of all candidates, percentage points.")
    names = tuple(
        tuple(_name(ws, name, int(cluster)) for cluster in side.shown)
        for name, side in ((sound, pair.rows), (picture, pair.cols))
    )
    called = tuple(tuple(name.partition(" ")[2] for name in side) for side in names)
    rows, cols = pair_measures.ordering(ws, pair, order, called)  # type: ignore[arg-type]
    mean = None
    if over != "pair":
        mean = pair_measures.mean_table(ws, pair, over, run if of == "selected" else None)  # type: ignore[arg-type]
    return View(pair, run, of, show, order, rows, cols, names, over, mean)  # type: ignore[arg-type]


def _name(ws: Workspace, clustering: str, cluster: int) -> str:
    return cluster_names.label(ws, clustering, cluster)


def draw_heatmap(view: View) -> None:
    """The heatmap; a click puts `cell` into the address, a dragged box or a row's name `box`."""
    pair, table = view.pair, view.table
    rows, cols = view.rows, view.cols
    drawn = {"pmi": view.pmi, "share": view.share}.get(view.show)
    values = tables.values_of(view.show, table, pair.candidates) if drawn is None else drawn()

    def arranged(matrix: np.ndarray) -> np.ndarray:
        return matrix[rows][:, cols]

    hover = {
        "clips": arranged(table.counts),
        "expected": arranged(table.expected()),
        "PMI, nats": arranged(view.pmi()),
        "residual, σ": arranged(table.residual()),
        "% of MI": arranged(view.share()),
    }
    if view.mean is not None:
        hover = {name if name in ("clips", "expected") else f"{name}, mean": hover[name] for name in hover}
        del hover["residual, σ, mean"]

    def keep(event: HeatmapEvent) -> None:
        if event.cell is not None:
            r, c = int(pair.rows.shown[rows[event.cell[0]]]), int(pair.cols.shown[cols[event.cell[1]]])
            set_params(cell=f"{r},{c}", box=None, clip=None)
        elif event.box is not None:
            set_params(box=",".join(map(str, event.box)), cell=None, clip=None)

    cell = chosen_cell(view) or (strongest(view) if chosen_box(view) is None else None)
    place = (int(np.flatnonzero(rows == cell[0])[0]), int(np.flatnonzero(cols == cell[1])[0])) if cell else None
    diverging = view.show in ("pmi", "residual", "share", "difference")
    heatmap(
        arranged(values),
        hover=hover,
        row_labels=[view.names[0][i] for i in rows],
        col_labels=[view.names[1][i] for i in cols],
        row_totals=table.row_totals[rows],
        col_totals=table.col_totals[cols],
        scale="diverging" if diverging else "count",
        unit=words.MEASURE_UNITS[view.show],
        ends=("fewer than candidates", "more") if view.show == "difference" else None,
        selected_cell=place,
        selected_box=chosen_box(view),
        key="pair.heatmap",
        height=540 if max(values.shape) <= MANY else 640,
        on_event=keep,
    )


def chosen_cell(view: View) -> tuple[int, int] | None:
    """Positions (row, column) of the cell in the address, which names clusters; None without such a cell."""
    found = whole_numbers(param("cell"), 2)
    if found is None:
        return None
    r, c = view.pair.rows.position(found[0]), view.pair.cols.position(found[1])
    return None if r is None or c is None else (r, c)


def chosen_box(view: View) -> tuple[int, int, int, int] | None:
    """First row and column, last row and column of the box in the address, places as drawn; None without one."""
    found = whole_numbers(param("box"), 4)
    height, width = view.pair.candidates.counts.shape
    if found is None or not (0 <= found[0] <= found[2] < height and 0 <= found[1] <= found[3] < width):
        return None
    return found[0], found[1], found[2], found[3]


def draw_folded(view: View) -> None:
    """Says so where not every cluster has a row or column of its own."""
    shown = [
        f"{words.count(len(folded.shown) - 1, f'{noun} clusters')} of {len(folded.lookup):,}"
        for folded, noun in ((view.pair.rows, "sound"), (view.pair.cols, "picture"))
        if folded.shown[-1] == tables.OTHER
    ]
    if shown:
        st.caption(f"The largest {' and '.join(shown)} have a place of their own; the rest is “other”.")


def draw_information(ws: Workspace, view: View) -> None:
    """The pair's mutual information beside its controls: for a run, what the same method reaches by chance."""
    measured = [("candidates", None)] if not view.run else [("candidates", None), ("selected", view.run)]
    if view.of != "difference" and view.run:
        measured = [item for item in measured if item[0] == view.of]
    if view.mean is not None:
        _draw_mean_information(ws, view)
        return
    for name, run in measured:
        found = measures.controls(ws, view.pair.sound, view.pair.picture, run)
        same_method = measures.permuted_of(ws, run, view.pair) if run else None
        line, note, explained = words.information_words(
            found.information,
            (found.permuted.mean, found.permuted.deviation, found.permuted.repeats),
            same_method,
            found.random.mean if found.random else None,
            of_selection=run is not None,
        )
        st.markdown(f"**{line}**  \n:small[{words.count(found.clips)} ({name}) · {note}]", help=explained)


def _draw_mean_information(ws: Workspace, view: View) -> None:
    mean = view.mean
    assert mean is not None
    text = f"**Mean MI of {words.count(mean.pairs, 'pairs')} {words.nats(mean.information)}**  \n"
    text += f":small[{words.count(mean.clips)} with a value in all of them"
    if view.of == "candidates":
        beyond = words.signed(pair_measures.excess(ws, view.over))
        sample = f", measured on {tables.SAMPLE:,} clips" if mean.clips > tables.SAMPLE else ""
        text += f" · {beyond} nats beyond permuted sounds{sample}"
    st.markdown(f"{text}]")


def draw_cell(ws: Workspace, view: View) -> None:
    """The clips of the chosen cell or box, with the cell's numbers and a player."""
    place = chosen_cell(view)
    box = None if place is not None else chosen_box(view)
    if place is None and box is None:
        gone = "What the address names is not in this table. " if param("cell") or param("box") else ""
        set_params(cell=None)
        place = strongest(view)
        st.caption(f"{gone}The cell that carries the most dependence. Click any other, or drag a box.")
    if box is None:
        set_params(box=None)
    if place is not None:
        r, c = np.array([place[0]]), np.array([place[1]])
        _cell_numbers(ws, view, *place)
    else:
        assert box is not None
        rows, cols = view.rows, view.cols
        r, c = rows[box[0] : box[2] + 1], cols[box[1] : box[3] + 1]
        _box_numbers(view, r, c)
    members = measures.box_rows(ws, view.pair, r, c, view.clips_of)
    if not len(members):
        st.caption("No selected clip is here: look at all candidates." if view.of == "selected" else "No clip is here.")
        return
    shown = _first(ws, view, members, STILLS)
    clip_panel.grid(ws, shown, view.run, "pair.grid", tile_width=84, decisions=review_panel.decided(ws, shown))
    with st.container(horizontal=True, vertical_alignment="center"):
        if place is not None:
            named = f"{view.pair.rows.shown[place[0]]},{view.pair.cols.shown[place[1]]}"
            clip_panel.open_in_clips(
                f"Open all {len(members):,} in Clips", "pair.open", a=view.pair.sound, v=view.pair.picture, cell=named,
                sel="yes" if view.of == "selected" else None, clip=None,
            )  # fmt: skip
        else:
            _open_box(ws, members)
        review_panel.answer_popover(ws, members, _meant(ws, view, r, c), "pair.all")
    review_panel.draw_last(ws)
    row = clip_panel.opened_row(ws)
    if row is None or row not in members:
        set_params(clip=None)
        row = int(shown[0])
    clip_panel.show_player(ws, row, shown, "pair.player", height=200)
    _draw_sides(ws, view, r, c)


def _meant(ws: Workspace, view: View, r: np.ndarray, c: np.ndarray) -> str:
    """In plain words which clips a cell or box holds: `sound 1 barking × picture 2 of all candidates`."""
    sides = []
    for noun, name, folded, at in (
        ("sound", view.pair.sound, view.pair.rows, r), ("picture", view.pair.picture, view.pair.cols, c),
    ):  # fmt: skip
        one = f"{noun} {_name(ws, name, int(folded.shown[at[0]]))}"
        sides.append(one if len(at) == 1 else words.count(len(at), f"{noun} clusters"))
    return f"{' × '.join(sides)}, {f'selected by {view.clips_of}' if view.clips_of else 'all candidates'}"


def _open_box(ws: Workspace, members: np.ndarray) -> None:
    """A button to all clips of a box: kept as a mark, as a box has no cell to name."""
    if st.button(f"Open all {len(members):,} in Clips", key="pair.open", icon=":material/open_in_new:"):
        try:
            token = marks.save(ws, members)
        except ConcordError as error:
            st.text(str(error))
        else:
            goto("clips", rows=token, clip=None)


def _draw_sides(ws: Workspace, view: View, r: np.ndarray, c: np.ndarray) -> None:
    """Typical clips of the chosen row to listen to and of the chosen column to look at, where there is one of each."""
    pair = view.pair
    sides = [
        ("row", "sounds like", pair.sound, pair.rows, r, True),
        ("col", "looks like", pair.picture, pair.cols, c, False),
    ]
    wanted = [side for side in sides if len(side[4]) == 1 and side[3].shown[side[4][0]] != tables.OTHER]
    if not wanted:
        return
    for column, (key, verb, name, folded, at, audio) in zip(st.columns(len(wanted)), wanted):
        cluster = int(folded.shown[at[0]])
        rows = measures.examples(ws, name, (cluster,), "typical", SIDE_STILLS, 0)[cluster]
        with column:
            st.markdown(f"{cluster_names.badge(ws, name, cluster, audio=audio)} {verb}")
            clip_panel.grid(ws, rows, None, f"pair.{key}", tile_width=72)


def strongest(view: View) -> tuple[int, int]:
    """The cell that carries the most of the dependence, "other" left out."""
    terms = view.share().copy()
    terms[view.pair.rows.shown == tables.OTHER] = -np.inf
    terms[:, view.pair.cols.shown == tables.OTHER] = -np.inf
    r, c = np.unravel_index(int(terms.argmax()), terms.shape)
    return int(r), int(c)


def _first(ws: Workspace, view: View, members: np.ndarray, n: int) -> np.ndarray:
    """At most `n` of the members, typical, far or random; without distances random is all there is."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        how = "random"
        if measures.has_distances(ws, view.pair):
            how = choose("Which", words.EXAMPLES, "pick", "random", form="segments", hide_label=True)
        seed = reseed("seed", "Others") if how == "random" else 0
    nearest = measures.by_distance(ws, view.pair, members) if how != "random" else None
    if nearest is None:
        return clip_views.shuffled(members, seed, n)
    return nearest[:n] if how == "typical" else nearest[::-1][:n]


def _cell_numbers(ws: Workspace, view: View, r: int, c: int) -> None:
    pair, table = view.pair, view.table
    sound = cluster_names.badge(ws, pair.sound, int(pair.rows.shown[r]), audio=True)
    picture = cluster_names.badge(ws, pair.picture, int(pair.cols.shown[c]), audio=False)
    st.markdown(f"#### {sound} × {picture}")
    pmi = view.pmi()[r, c]
    text = f"**{words.count(table.counts[r, c])}**, expected {words.number(table.expected()[r, c], 1)}"
    text += f" · PMI {words.signed(pmi)} nats" if np.isfinite(pmi) else " · empty cell"
    text += f" · {words.number(view.share()[r, c], 1)} % of MI"
    if view.mean is not None:
        text += f" (mean of {words.count(view.mean.pairs, 'pairs')})"
    if view.of != "candidates" and pair.selected is not None:
        text += f" · {pair.candidates.counts[r, c]:,} among the candidates"
    st.markdown(text)


def _box_numbers(view: View, r: np.ndarray, c: np.ndarray) -> None:
    table = view.table
    inside = np.ix_(r, c)
    st.markdown(f"#### {words.count(len(r), 'sound clusters')} × {words.count(len(c), 'picture clusters')}")
    st.markdown(
        f"**{words.count(table.counts[inside].sum())}**, expected {words.number(table.expected()[inside].sum(), 1)}"
        f" · {words.number(view.share()[inside].sum(), 1)} % of MI"
    )


def has_pair(ws: Workspace) -> bool:
    """Whether there is a clustering of each modality."""
    kinds = {info.get("modality") for info in data.clusterings(ws).values()}
    return {"audio", "visual"} <= kinds
