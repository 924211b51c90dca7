"""Columns of text: against plain Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation import strings
from curation.errors import InputError

VALUES = ["b", "", "é", "a", "b", None, "Z", "a", "\U0001f600", "\uffff"]


@pytest.mark.parametrize("chunks", [[10], [3, 7], [0, 5, 5], []])
def test_codes_are_those_of_a_plain_sort(chunks: list[int]) -> None:
    values = VALUES[: sum(chunks)]
    edges = np.cumsum([0, *chunks])
    column = pa.chunked_array([values[a:b] for a, b in zip(edges, edges[1:])], pa.string())
    plain = np.asarray(values, dtype=object).astype(str)
    assert strings.codes_of(column).tolist() == (np.unique(plain, return_inverse=True)[1].tolist() if values else [])


def test_compact_leaves_no_gap_and_keeps_the_order() -> None:
    codes = np.array([7, 3, 3, 9, 0])
    assert strings.compact(codes).tolist() == np.unique(codes, return_inverse=True)[1].tolist()
    assert strings.compact(np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize("chunks", [[10], [3, 7], [0, 5, 5], []])
def test_first_rows_are_those_of_plain_python(chunks: list[int]) -> None:
    values = VALUES[: sum(chunks)]
    edges = np.cumsum([0, *chunks])
    column = pa.chunked_array([values[a:b] for a, b in zip(edges, edges[1:])], pa.string())
    assert strings.first_rows(column).tolist() == [values.index(value) for value in values]
    if values:
        assert strings.first_rows(column.slice(2)).tolist() == [values[2:].index(value) for value in values[2:]]


def test_texts_that_share_a_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "hash_texts", lambda offsets, _data: np.zeros(len(offsets) - 1, np.uint64))
    column = pa.chunked_array([["x", "y", "x", "z", "y"]], pa.string())
    assert strings.first_rows(column).tolist() == [0, 1, 0, 3, 1]


def test_values_come_in_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strings, "PIECE", 3)
    column = pa.chunked_array([VALUES[:4], VALUES[4:]], pa.string())
    rows = np.array([9, 0, 5, 5, 2, 8, 1])
    found = strings.values_at(column, rows)
    assert found.type == pa.string() and found.to_pylist() == [VALUES[row] for row in rows]
    assert strings.values_at(column, rows[:0]).to_pylist() == []


class _TooLong:
    """A column of more text than an array holds, without the two gigabytes."""

    def combine_chunks(self) -> pa.Array:
        raise pa.ArrowInvalid("offset overflow while concatenating arrays")

    def __len__(self) -> int:
        return 100_000_000


def test_texts_too_long_for_one_array_are_refused_in_words() -> None:
    assert strings.whole(pa.chunked_array([["a"], ["b", None]])).to_pylist() == ["a", "b", None]
    with pytest.raises(InputError, match="100,000,000 texts come to more than 2 GiB"):
        strings.whole(_TooLong())  # type: ignore[arg-type]
