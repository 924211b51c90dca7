"""Conditions in the address: what is written is what is read, and masks against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from explorer.views import conditions as view
from explorer.views.conditions import Condition

NAMES = some.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())
NUMBERS = some.one_of(some.none(), some.integers(-10_000, 10_000).map(float))


@given(
    some.lists(
        some.one_of(
            some.builds(Condition, NAMES, some.just("is"), text=some.sampled_from(["yes", "no"])),
            some.builds(Condition, NAMES, some.just("has"), text=NAMES.filter(str.strip)),
            some.builds(Condition, NAMES, some.just("in"), NUMBERS, NUMBERS).filter(lambda c: c.low is not None),
        ),
        max_size=view.MOST,
    )
)
def test_what_is_written_is_read(conditions: list[Condition]) -> None:
    assert view.parse(view.spell(conditions)) == conditions


@pytest.mark.parametrize(
    "text", ["", ";", "a", "a:in", "a:in:5", "a:in:..", "a:in:x..y", "a:in:nan..", "a:is:maybe", "a:has: "]
)
def test_what_is_no_condition_is_left_out(text: str) -> None:
    assert view.parse(text) == []


def test_there_is_a_bound() -> None:
    assert len(view.parse(";".join(f"c{i}:is:yes" for i in range(100)))) == view.MOST


def test_one_condition_a_column() -> None:
    given_ = [Condition("a", "in", 1.0, None), Condition("b", "is", text="yes")]
    assert view.replaced(given_, Condition("a", "in", None, 2.0)) == [Condition("a", "in", None, 2.0), given_[1]]
    assert view.replaced(given_, Condition("a", "in")) == [given_[1]]
    assert view.replaced(given_, Condition("c", "has", text="x"))[-1].column == "c"


def test_in_words() -> None:
    assert view.said(Condition("loudness_lufs", "in", None, -30.0), "LUFS") == "loudness_lufs ≤ −30 LUFS"
    assert view.said(Condition("score", "in", 0.25, 0.5)) == "score 0.250 to 0.500"
    assert view.said(Condition("static", "is", text="no")) == "not static"
    assert view.said(Condition("title", "has", text="dog")) == "title has “dog”"


def test_ranges_hold_their_ends_and_nothing_without_a_value() -> None:
    values = np.array([1.0, 2.0, 3.0, np.nan], np.float32)
    assert view.between(values, 2.0, 3.0).tolist() == [False, True, True, False]
    assert view.between(values, None, 1.0).tolist() == [True, False, False, False]
    assert view.between(values, None, None).tolist() == [True, True, True, False]


def test_texts_are_taken_literally() -> None:
    values = pa.chunked_array([["A.b", "axb"], [None, "%"]])
    assert view.has_text(values, "a.").tolist() == [True, False, False, False]
    assert view.has_text(values, "%").tolist() == [False, False, False, True]
