"""Machine, people and final, counted by hand."""

from __future__ import annotations

import pyarrow as pa

from curation.review import Answer
from explorer.views import review as view


def test_numbers_of_machine_people_and_final() -> None:
    """The machine chose 0, 1, 2 of 6; 2 and 5 are kept, 0 and 4 dropped: final is 1, 2, 5."""
    said = {"keep": ["2", "5"], "drop": ["0", "4"], "maybe": ["3"]}
    told = view.numbers(said, pa.array(["0", "1", "2"]))
    assert (told.machine, told.keep, told.drop, told.maybe, told.added, told.removed, told.final) == (
        3,
        2,
        2,
        1,
        1,
        1,
        3,
    )
    assert view.numbers_line(told, "run") == "machine 3 · people 2 kept, 2 dropped, 1 maybe · final 3 clips (+1 −1)"
    assert view.numbers_line(told, None) == "people 2 kept, 2 dropped, 1 maybe"


def test_who_decided_last_counts() -> None:
    keep, drop, note = (Answer(decision, "", "", "", i) for i, decision in enumerate(("keep", "drop", None)))
    spoken = {"a": [("anna", keep), ("ben", drop)], "b": [("anna", keep), ("ben", note)], "c": [("ben", note)]}
    assert view.deciding(spoken, ["a", "b", "c", "d"]) == ["drop", "keep", None, None]
