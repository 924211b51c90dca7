"""Clip views: filters, orders and the reasons, against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation.kernels import shuffle
from explorer.views import clips as view


def test_text_is_taken_literally_whatever_the_case() -> None:
    paths = pa.chunked_array([["Dogs/a.mp4", "cats/[b].mp4"], [None, "x.mp4"]])
    assert view.text_mask(paths, "dog").tolist() == [True, False, False, False]
    assert view.text_mask(paths, "[b]").tolist() == [False, True, False, False]
    assert view.text_mask(paths, ".mp4").sum() == 3


def test_filters_join() -> None:
    odd, low = np.arange(6) % 2 == 1, np.arange(6) < 4
    assert view.all_of(6, odd, None, low).tolist() == [1, 3]
    assert view.all_of(3).tolist() == [0, 1, 2]


def test_random_order_keeps_its_order_under_a_filter() -> None:
    everything = view.shuffled(np.arange(100), 7)
    assert sorted(everything.tolist()) == list(range(100))
    some = view.shuffled(np.arange(0, 100, 3), 7)
    assert [row for row in everything if row % 3 == 0] == some.tolist()
    assert everything.tolist() != view.shuffled(np.arange(100), 8).tolist()


def test_sorting_puts_what_has_no_value_last() -> None:
    key = np.array([3.0, np.nan, 1.0, 1.0])
    assert view.sorted_rows(np.array([0, 1, 2, 3]), key).tolist() == [2, 3, 0, 1]


def test_picked_first_then_by_score_then_the_unscored() -> None:
    rank = view.pick_rank(5, np.array([3, 0]))
    assert rank.tolist()[3] == 1 and rank.tolist()[0] == 2
    key = view.rank_or_score(rank, np.array([0.1, 0.2, 0.9, 0.3, np.nan]))
    assert view.sorted_rows(np.arange(5), key).tolist() == [3, 0, 2, 1, 4]


def test_pmi_of_a_clips_own_cell() -> None:
    a, b = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])
    # cell (0,0): 2 of 4, rows 2, columns 3: log(2*4/(2*3)); (1,1): log(1*4/(2*1)); (1,0): log(1*4/(2*3))
    expected = [np.log(4 / 3), np.log(4 / 3), np.log(2), np.log(2 / 3)]
    assert view.cell_pmi(a, b) == pytest.approx(expected)
    wide_a, wide_b = np.array([0, 0, 9000, 9000]), np.array([0, 0, 9000, 0])
    assert view.cell_pmi(wide_a, wide_b) == pytest.approx(expected)
    assert len(view.cell_pmi(a[:0], b[:0])) == 0


def test_mean_pmi_is_the_mean_over_pairs_and_nan_without_a_value() -> None:
    a, b, c = np.array([0, 0, 1, 1, -1]), np.array([0, 0, 1, 0, 0]), np.array([0, 0, 0, 0, 0])
    found = view.mean_pmi([a], [b, c])
    # c has one cluster: its cells say nothing, so the mean is half of b's
    assert found[:4] == pytest.approx(view.cell_pmi(a[:4], b[:4]) / 2)
    assert np.isnan(found[4])
    assert view.mean_pmi([], [b]).shape == (0,)


def test_why_lists_the_clips_cells_most_expected_pairing_first() -> None:
    sounds = {"s": np.array([0, 0, 1, 1])}
    pictures = {"p": np.array([0, 0, 1, 0]), "q": np.array([0, 0, 0, 0]), "none": np.array([0, 0, -1, 0])}
    cells = view.why(2, sounds, pictures)
    assert [(cell.picture, cell.clips) for cell in cells] == [("p", 1), ("q", 2)]
    assert cells[0].pmi == pytest.approx(np.log(2)) and cells[1].pmi == pytest.approx(0)
    assert (cells[0].sound_cluster, cells[0].picture_cluster) == (1, 1)


@pytest.mark.parametrize("how", ["random", "typical", "far"])
def test_examples_are_the_first_of_a_whole_sort(how: str) -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(-1, 6, 4000)
    distance = rng.integers(0, 20, 4000).astype(np.float32)  # many ties
    distance[rng.random(4000) < 0.3] = np.nan
    found = view.examples(labels, distance, np.array([0, 2, 5]), how, 40, seed=3)  # type: ignore[arg-type]
    for cluster, rows in found.items():
        own = np.flatnonzero(labels == cluster)
        key = {"random": shuffle.hashes(own, 3), "typical": distance[own], "far": -distance[own]}[how]
        assert rows.tolist() == own[np.argsort(key, kind="stable")][:40].tolist()


def test_examples_of_clusters() -> None:
    labels = np.array([0, 1, 0, 0, 2, 1, -1])
    distance = np.array([3.0, 1, 1, 2, 1, 0, 9])
    found = view.examples(labels, distance, np.array([0, 1]), "typical", 2)
    assert {k: v.tolist() for k, v in found.items()} == {0: [2, 3], 1: [5, 1]}
    far = view.examples(labels, distance, np.array([0, 3]), "far", 5)
    assert far[0].tolist() == [0, 3, 2] and far[3].tolist() == []
    random = view.examples(labels, distance, np.array([0]), "random", 2, seed=1)
    assert set(random[0].tolist()) < {0, 2, 3} and len(random[0]) == 2
    assert random[0].tolist() == view.examples(labels, distance, np.array([0]), "random", 2, seed=1)[0].tolist()


def test_pages_stay_within_range() -> None:
    rows = np.arange(130)
    assert view.page_of(rows, 1)[1:] == (1, 3)
    last, page, pages = view.page_of(rows, 99)
    assert (page, pages, last.tolist()) == (3, 3, list(range(120, 130)))
    assert view.page_of(rows[:0], 4)[1:] == (1, 1)


def test_neighbours_in_the_list() -> None:
    rows = np.array([5, 2, 9])
    assert view.neighbours(rows, 2) == (5, 9)
    assert view.neighbours(rows, 5) == (None, 2)
    assert view.neighbours(rows, 9) == (2, None)
    assert view.neighbours(rows, 3) == (None, None)


def test_the_first_rows_of_many_are_those_of_the_whole_order() -> None:
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(5000, 1000, replace=False))
    values = rng.integers(0, 40, 1000).astype(float)
    values[rng.random(1000) < 0.1] = np.nan
    whole = rows[np.argsort(values, kind="stable")]
    for n in (1, 7, 400, 999, 1000, 2000):
        assert view.first_rows(rows, values, n).tolist() == whole[:n].tolist()


def test_orders_fall_and_keep_what_has_no_value_last() -> None:
    key = np.array([1.0, np.nan, 3.0, 2.0])
    rows = np.arange(4)
    assert view.Order("x", lambda: key).first(rows).tolist() == [0, 3, 2, 1]
    assert view.Order("x", lambda: key, falls=True).first(rows).tolist() == [2, 3, 0, 1]
    assert view.Order("row").first(rows[1:]).tolist() == [1, 2, 3]
    assert view.Order("random", seed=7).first(np.arange(100)).tolist() == view.shuffled(np.arange(100), 7).tolist()


def test_clusters_and_no_value() -> None:
    labels = np.array([0, 2, -1, 1, 2], np.int32)
    assert view.in_clusters(labels, [2], 3).tolist() == [False, True, False, False, True]
    assert view.mask_of(4, np.array([1, 3])).tolist() == [False, True, False, True]


def test_what_people_said_against_the_machine() -> None:
    said = {
        "keep": np.array([True, False, False, False]), "drop": np.array([False, True, False, False]),
        "maybe": np.array([False, False, True, False]),
    }  # fmt: skip
    machine = np.array([False, True, True, False])
    assert view.said_mask("none", said, machine).tolist() == [False, False, False, True]
    assert view.said_mask("final", said, machine).tolist() == [True, False, True, False]
    assert view.said_mask("against", said, machine).tolist() == [True, True, False, False]
    assert view.said_mask("maybe", said, machine).tolist() == [False, False, True, False]


def test_a_pairs_table_counts_only_what_has_both() -> None:
    table = view.pair_counts(np.array([0, 1, -1, 1]), np.array([1, 1, 0, -1]), 2, 2)
    assert table.tolist() == [[0, 1], [0, 1]] and table.dtype == np.int32
