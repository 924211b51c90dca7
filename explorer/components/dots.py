"""Shares with their intervals, one below the other: named dots go in, the name a person chose comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from explorer.components.mount import notify, pending, renderer
from explorer.views.retrieval import Dot

MAX_DOTS = 60
_draw = renderer("dots")


def dots(
    rows: Sequence[Dot],
    *,
    shown: str,
    random: float | None = None,
    axis: str,
    noun: str,
    label: str,
    key: str,
    on_choose: Callable[[str], None] | None = None,
) -> str | None:
    """Draws at most `MAX_DOTS` rows on an axis of 0 to 100 and returns the name chosen since the last run, or None.

    shown: the row in the house colour. random: a dotted line, percent. axis: what the numbers are, with their unit.
    noun: what a number says of its row ("right"). label: the whole figure for those who hear it. on_choose: called
    with the name before the next run. All texts are plain.
    """
    names = {row.name for row in rows[:MAX_DOTS]}

    def receive() -> None:
        notify(on_choose, _known(pending(key, "choose"), names))

    result = _draw(
        key=key,
        data={
            "rows": [
                [row.name, round(row.value, 2), round(row.low, 2), round(row.high, 2), row.note, row.is_control]
                for row in rows[:MAX_DOTS]
            ],
            "shown": shown,
            "random": random,
            "axis": axis,
            "noun": noun,
            "label": label,
        },
        on_choose_change=receive,
    )
    return _known(result.choose, names)


def _known(sent: object, names: set[str]) -> str | None:
    """The browser's message, where it is one of the names."""
    return sent if isinstance(sent, str) and sent in names else None
