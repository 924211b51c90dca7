"""A heatmap of sound clusters by picture clusters: matrices go in, the clicked cell or the dragged box comes out.

The browser receives one compact message: an indexed image of the matrix and the numbers for the hover text. Zoom,
hover and the colours of the light and dark appearance need no rerun. A matrix that the browser already holds is not
sent again, so a click costs about 50 kB at every size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from explorer.components.mount import notify, pending, renderer
from explorer.components.packed import HELD_LIMIT, Packed, message, pack
from explorer.theme import Modality, ScaleName, scale_stops

MAX_SIDE = 1024
"""The largest number of rows or columns that the canvas takes."""

_COUNT_TICKS = (0.0, 0.25, 1.0)
_draw = renderer("heatmap")

Cell = tuple[int, int]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class HeatmapEvent:
    """What a person did. Positions count rows and columns as they were given, from 0; a box includes its ends.

    `cell` is (row, column) of a click, or of the cursor moved by keys; `box` is (first row, first column, last row,
    last column). Exactly one of them is set. A click on a row's or a column's name gives the box of all its cells.
    """

    cell: Cell | None = None
    box: Box | None = None


def heatmap(
    values: np.ndarray,
    *,
    hover: Mapping[str, np.ndarray] | None = None,
    row_labels: Sequence[str],
    col_labels: Sequence[str],
    row_totals: np.ndarray | None = None,
    col_totals: np.ndarray | None = None,
    scale: ScaleName = "count",
    unit: str = "clips",
    ends: tuple[str, str] | None = None,
    limit: float | None = None,
    selected_cell: Cell | None = None,
    selected_box: Box | None = None,
    row_modality: Modality = "audio",
    col_modality: Modality = "visual",
    titles: tuple[str, str] = ("", ""),
    key: str,
    height: int = 560,
    on_event: Callable[[HeatmapEvent], None] | None = None,
) -> HeatmapEvent | None:
    """Draws the matrix and returns what was clicked or dragged since the last run, or None.

    values: float (R, C), R and C from 1 to `MAX_SIDE`; NaN and, on the count scale, 0 are drawn as empty cells.
    hover: name -> (R, C) numbers of the hover text, in order; put the unit into the name ("PMI, nats").
    row_labels, col_labels: R and C names; row_totals, col_totals: R and C non-negative numbers for the bars.
    scale: "count" (square root of the value, from 0) or "diverging" (linear, centred on 0).
    unit: of `values`, for the legend. ends: words at the lower and upper end of the legend.
    titles: of rows and columns where they are no clusters of sounds or pictures; "" = by modality.
    limit: the value of full colour; default the largest size there is, or its 99.8th percentile in large matrices.
    on_event: called before the script runs again, so that the page can change its state and draw once.
    Raises ValueError if shapes do not fit together.
    """
    seq_key, held_key = f"{key}:seq", f"{key}:held"
    matrix = _checked(values, hover or {}, row_labels, col_labels, row_totals, col_totals)
    numbers, shown = _with_values(matrix, hover or {}, unit)

    def receive(name: str) -> None:
        sent = pending(key, name)
        event = _event(name, sent)
        if event is not None:
            st.session_state[seq_key] = int(sent.get("seq", 0))
            st.session_state[held_key] = [str(digest) for digest in sent.get("held", [])][-HELD_LIMIT:]
            notify(on_event, event)

    def resend() -> None:
        st.session_state[held_key] = []

    packed = _encoded(matrix, numbers, scale, limit)
    header: dict[str, Any] = {
        "arrays": packed.specs,
        "digest": packed.digest,
        "rows": [str(label) for label in row_labels],
        "cols": [str(label) for label in col_labels],
        "row_totals": None if row_totals is None else _plain(row_totals),
        "col_totals": None if col_totals is None else _plain(col_totals),
        "scale": scale,
        "shown": shown,
        "legend": {"unit": unit, "ends": ends or _default_ends(scale), "ticks": _ticks(matrix, scale, limit)},
        "stops": {"light": scale_stops(scale, False), "dark": scale_stops(scale, True)},
        "modality": [row_modality, col_modality],
        "titles": list(titles),
        "cell": selected_cell,
        "box": selected_box,
        "seq": st.session_state.get(seq_key, 0),
        "height": height,
    }
    held = packed.digest in st.session_state.get(held_key, [])
    result = _draw(
        key=key,
        data=message(header, None if held else packed.raw),
        on_cell_change=lambda: receive("cell"),
        on_box_change=lambda: receive("box"),
        on_need_change=resend,
    )
    return _event("cell", result.cell) or _event("box", result.box)


def _checked(
    values: np.ndarray,
    hover: Mapping[str, np.ndarray],
    row_labels: Sequence[str],
    col_labels: Sequence[str],
    row_totals: np.ndarray | None,
    col_totals: np.ndarray | None,
) -> np.ndarray:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or not all(1 <= side <= MAX_SIDE for side in matrix.shape):
        raise ValueError(f"a heatmap takes 1 to {MAX_SIDE} rows and columns, got an array of shape {matrix.shape}")
    for name, array in hover.items():
        if np.shape(array) != matrix.shape:
            raise ValueError(f"hover {name!r} has shape {np.shape(array)}, the heatmap {matrix.shape}")
    for name, part, side in (
        ("row_labels", row_labels, 0),
        ("col_labels", col_labels, 1),
        ("row_totals", row_totals, 0),
        ("col_totals", col_totals, 1),
    ):
        if part is not None and len(part) != matrix.shape[side]:
            raise ValueError(f"{name} has {len(part)} entries, the heatmap {matrix.shape[side]} there")
    return matrix


def _with_values(matrix: np.ndarray, hover: Mapping[str, np.ndarray], unit: str) -> tuple[dict[str, np.ndarray], str]:
    """The hover numbers, with the drawn values among them, and the name under which these stand."""
    for name, array in hover.items():
        if np.array_equal(np.asarray(array, dtype=np.float64), matrix, equal_nan=True):
            return dict(hover), name
    return {unit: matrix, **hover}, unit


def _event(name: str, sent: Any) -> HeatmapEvent | None:
    """The browser's message as an event; anything that is not one is None."""
    if not isinstance(sent, Mapping):
        return None
    try:
        if name == "cell":
            return HeatmapEvent(cell=(int(sent["row"]), int(sent["col"])))
        return HeatmapEvent(box=(int(sent["r0"]), int(sent["c0"]), int(sent["r1"]), int(sent["c1"])))
    except (KeyError, TypeError, ValueError):
        return None


def indexed(values: np.ndarray, scale: ScaleName, limit: float | None = None) -> np.ndarray:
    """uint8 (R, C) image of the matrix: 0 = empty, 1 to 255 = places on the colour scale; shares `value_limit`."""
    top = value_limit(values, limit)
    finite = np.nan_to_num(values, nan=0.0, posinf=top, neginf=-top)
    if scale == "count":
        place = np.sqrt(np.clip(finite / top, 0.0, 1.0))
        empty = np.isnan(values) | (finite <= 0)
    else:
        place = (np.clip(finite / top, -1.0, 1.0) + 1.0) / 2.0
        empty = np.isnan(values)
    return np.where(empty, 0, 1 + np.rint(254.0 * place)).astype(np.uint8)


def value_limit(values: np.ndarray, limit: float | None = None) -> float:
    """The size of a value that gets the full colour: `limit`, or taken from the data; always above 0."""
    if limit is not None:
        if not (np.isfinite(limit) and limit > 0):
            raise ValueError(f"limit must be a number above 0, got {limit}")
        return float(limit)
    sizes = np.abs(values[np.isfinite(values)])
    if sizes.size == 0:
        return 1.0
    top = float(np.percentile(sizes, 99.8)) if sizes.size > 10_000 else float(sizes.max())
    return top or float(sizes.max()) or 1.0


def _ticks(values: np.ndarray, scale: ScaleName, limit: float | None) -> list[list[float]]:
    """Legend ticks as [place from 0 to 1, value]."""
    top = value_limit(values, limit)
    if scale == "count":
        return [[float(np.sqrt(share)), share * top] for share in _COUNT_TICKS]
    return [[0.0, -top], [0.5, 0.0], [1.0, top]]


def _default_ends(scale: ScaleName) -> tuple[str, str]:
    return ("", "") if scale == "count" else ("less often than chance", "more often")


def _plain(numbers: np.ndarray) -> list[float]:
    return [round(float(x), 4) for x in np.nan_to_num(np.asarray(numbers, dtype=np.float64))]


def _narrow(array: np.ndarray) -> np.ndarray:
    """The smallest type that loses nothing a hover text would show (float16 keeps three digits)."""
    numbers = np.asarray(array, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    top = float(np.abs(finite).max()) if finite.size else 0.0
    if finite.size == numbers.size and (finite >= 0).all() and top < 2**32 and (finite == np.rint(finite)).all():
        return numbers.astype(np.uint8 if top < 2**8 else np.uint16 if top < 2**16 else np.uint32)
    return numbers.astype(np.float16 if top < 2048 else np.float32)


def _encoded(matrix: np.ndarray, hover: Mapping[str, np.ndarray], scale: ScaleName, limit: float | None) -> Packed:
    """The indexed image, then the hover numbers."""
    return pack([("", indexed(matrix, scale, limit)), *((name, _narrow(array)) for name, array in hover.items())])
