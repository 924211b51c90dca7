"""Small bar charts of two counts each, before and after: numbers go in, HTML comes out. Knows nothing of Streamlit.

Drawn by the browser's own layout (see `.bars` in assets/style.css): some hundred times lighter than a Plotly figure,
which the pages keep for curves. Values are shares in percent. Every bar says its numbers where the pointer rests on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

import numpy as np

from explorer.theme import Modality, palette

BEFORE, AFTER = "candidates", "selected"
NAMES_MAX, NAME_ROOM = 16, 14
"""As many names stand below columns, of so many characters; more would run into each other."""


@dataclass(frozen=True)
class Shares:
    """Shares of two sets of clips in the same classes: `names` (n,), `before` and `after` (n,) percent; `counts` (n,)
    says behind `after` how many clips that are."""

    names: Sequence[str]
    before: np.ndarray
    after: np.ndarray
    counts: np.ndarray | None = None


def balance(
    before: np.ndarray, after: np.ndarray, *, modality: Modality, labels: Sequence[str], dark: bool, height: int
) -> str:
    """Share of clips in each cluster before (grey) and after a selection (amber or teal), largest before first.

    before, after: clips in each cluster, int (C,); labels: (C,) names. Shares are of the candidates and of the
    selection, so both sum to 100 %.
    """
    order = np.argsort(-np.asarray(before), kind="stable")
    one, two = (100 * np.asarray(counts, np.float64)[order] / max(1, int(np.sum(counts))) for counts in (before, after))
    kind = "sound" if modality == "audio" else "picture"
    found = Shares([str(labels[i]) for i in order], one, two, np.asarray(after)[order])
    colours = palette(dark)
    fill = colours.audio_fill if modality == "audio" else colours.visual_fill
    return columns(found, axis=f"{kind} clusters, largest first", fill=fill, dark=dark, height=height, overlaid=True)


def columns(
    shares: Shares, *, axis: str = "", fill: str = "", title: str = "", dark: bool, height: int, overlaid: bool = False
) -> str:
    """Upright bars, `height` pixels with everything; `overlaid`: the selected stand before the candidates."""
    if not len(shares.names) or not _highest(shares):
        return nothing("Nothing to count yet.", height)
    top, steps = ticks(_highest(shares))
    lines = "".join(
        f'<span class="line" style="bottom:{100 * step / top:.2f}%"><em>{step:g}</em></span>' for step in steps
    )
    bars = "".join(
        f'<span class="pair" title="{hint}"><b class="before" style="height:{100 * one / top:.2f}%"></b>'
        f'<b class="after" style="height:{100 * two / top:.2f}%"></b></span>'
        for hint, one, two in zip(_hints(shares), shares.before, shares.after)
    )
    few = len(shares.names) <= NAMES_MAX and max(map(len, shares.names)) <= NAME_ROOM
    names = "".join(f"<span>{escape(name)}</span>" for name in shares.names) if few else ""
    kind = "overlaid" if overlaid else "beside"
    return _frame(
        f'<div class="plot"><span class="unit">share of clips, %</span><div class="area">{lines}'
        f'<div class="columns {kind}">{bars}</div></div></div><div class="names">{names}</div>'
        f'<div class="axis">{escape(axis)}</div>',
        title=title, fill=fill, dark=dark, height=height,
    )  # fmt: skip


def rows(shares: Shares, *, fill: str = "", title: str = "", dark: bool, height: int) -> str:
    """Bars that lie, one class a row, from the top."""
    if not len(shares.names):
        return nothing("Nothing to count yet.", height)
    top = max(_highest(shares), 1e-9)
    lines = "".join(
        f'<div class="row" title="{hint}"><span class="name">{escape(name)}</span><span class="pair">'
        f'<b class="before" style="width:{100 * one / top:.2f}%"></b>'
        f'<b class="after" style="width:{100 * two / top:.2f}%"></b></span><em>{_percent(two)}</em></div>'
        for name, hint, one, two in zip(shares.names, _hints(shares), shares.before, shares.after)
    )
    return _frame(f'<div class="rows">{lines}</div>', title=title, fill=fill, dark=dark, height=height)


def nothing(message: str, height: int) -> str:
    """The place of a chart that has nothing to show, and why."""
    return f'<div class="bars nothing" style="height:{height}px">{escape(message)}</div>'


def _frame(inside: str, *, title: str, fill: str, dark: bool, height: int) -> str:
    colours = palette(dark)
    style = (
        f"height:{height}px;--fill:{fill or colours.primary};--before:{colours.unselected};"
        f"--ink:{colours.text};--muted:{colours.muted};--grid:{colours.grid};--border:{colours.border}"
    )
    head = f'<div class="title">{escape(title)}</div>' if title else ""
    legend = f'<div class="legend"><i class="before"></i>{BEFORE}<i class="after"></i>{AFTER}</div>'
    return f'<div class="bars" style="{style}">{head}{legend}{inside}</div>'


def _hints(shares: Shares) -> list[str]:
    counts = [""] * len(shares.names) if shares.counts is None else [f", {int(n):,} clips" for n in shares.counts]
    return [
        escape(f"{name} · {BEFORE} {_percent(one)} · {AFTER} {_percent(two)}{count}", quote=True)
        for name, one, two, count in zip(shares.names, shares.before, shares.after, counts)
    ]


def _percent(value: float) -> str:
    return f"{value:.3g} %" if value < 10 else f"{value:.0f} %"


def _highest(shares: Shares) -> float:
    return float(max(np.max(shares.before, initial=0.0), np.max(shares.after, initial=0.0)))


def ticks(highest: float) -> tuple[float, list[float]]:
    """Top of an axis from zero, and two to five round steps on it."""
    unit = 10.0 ** floor(log10(highest))
    step = next(unit * factor for factor in (0.2, 0.5, 1.0, 2.0, 5.0) if highest / (unit * factor) <= 4.0)
    top = step * ceil(highest / step - 1e-9)
    return top, [step * i for i in range(round(top / step) + 1)]
