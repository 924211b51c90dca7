"""Contingency views against answers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.views import contingency as view
from explorer.views.clips import cell_pmi

LOG2 = np.log(2)


def table(counts: list[list[int]]) -> view.PairTable:
    return view.PairTable(np.array(counts, np.int64))


def test_measures_of_a_two_by_two_table() -> None:
    # rows 4, 4; columns 4, 4; n = 8: every expected count is 2
    found = table([[4, 0], [0, 4]])
    assert found.n == 8
    np.testing.assert_allclose(found.expected(), 2)
    np.testing.assert_allclose(found.pmi(), [[LOG2, np.nan], [np.nan, LOG2]])
    assert found.information() == pytest.approx(LOG2)
    np.testing.assert_allclose(found.share(), [[50, 0], [0, 50]])
    # (4 - 2) / sqrt(2 * 1/2 * 1/2) = 2 / sqrt(1/2)
    np.testing.assert_allclose(found.residual(), [[2 * 2**0.5, -2 * 2**0.5], [-2 * 2**0.5, 2 * 2**0.5]])


def test_cells_below_chance_have_negative_share_and_shares_sum_to_100() -> None:
    found = table([[6, 2], [2, 6]])
    assert found.share()[0, 1] < 0
    assert found.share().sum() == pytest.approx(100)
    # 2 * (6/16) log(6/4) + 2 * (2/16) log(2/4)
    assert found.information() == pytest.approx(0.75 * np.log(1.5) - 0.25 * LOG2)


def test_an_empty_table_measures_nothing_and_does_not_fail() -> None:
    found = table([[0, 0], [0, 0]])
    assert found.information() == 0 and found.n == 0
    assert np.isnan(found.pmi()).all()
    assert np.isnan(found.residual()).all()
    assert not found.share().any()
    assert view.difference(found, found).shape == (2, 2)


def test_one_cluster_on_each_side_carries_no_information() -> None:
    found = table([[9]])
    assert found.information() == 0
    assert found.pmi()[0, 0] == 0
    assert np.isnan(found.residual()[0, 0])


def test_counting_leaves_out_clips_without_a_value() -> None:
    a = np.array([0, 0, 1, -1, 1], np.int32)
    b = np.array([0, 1, 1, 0, -1], np.int32)
    sides = view.fold(np.array([2, 2])), view.fold(np.array([2, 2]))
    assert view.pair_table(a, b, *sides).counts.tolist() == [[1, 1], [0, 1]]
    chosen = np.array([True, False, True, True, True])
    assert view.pair_table(a, b, *sides, chosen).counts.tolist() == [[1, 0], [0, 1]]


def test_difference_of_shares_in_percentage_points() -> None:
    selected, candidates = table([[2, 0], [0, 2]]), table([[4, 4], [4, 4]])
    np.testing.assert_allclose(view.difference(selected, candidates), [[25, -25], [-25, 25]])
    np.testing.assert_allclose(view.values_of("difference", selected, candidates), [[25, -25], [-25, 25]])
    assert view.values_of("count", selected, candidates).tolist() == [[2, 0], [0, 2]]


def test_fold_keeps_the_largest_and_joins_the_others() -> None:
    folded = view.fold(np.array([5, 1, 9, 2]), limit=3)
    assert folded.shown.tolist() == [0, 2, view.OTHER]
    assert folded.lookup.tolist() == [0, 2, 1, 2]
    assert [folded.position(c) for c in (2, 3, view.OTHER, 4, -7)] == [1, 2, 2, None, None]
    assert view.fold(np.array([5, 1]), limit=2).position(view.OTHER) is None


def test_ten_thousand_clusters_give_a_table_of_500() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(10_000, size=20_000), rng.integers(3, size=20_000)
    rows = view.fold(np.bincount(a, minlength=10_000))
    found = view.pair_table(a, b, rows, view.fold(np.bincount(b)))
    assert found.counts.shape == (500, 3) and found.n == 20_000
    other = view.box_rows(a, b, rows, view.fold(np.bincount(b)), np.array([499]), np.array([1]))
    assert len(other) == found.counts[499, 1] > 0


def test_best_match_puts_the_strongest_pairs_on_the_diagonal() -> None:
    counts = np.array([[0, 1, 9], [20, 0, 1], [0, 5, 0]])
    rows, cols = view.ordering(view.PairTable(counts), "match")
    ordered = counts[rows][:, cols]
    assert sorted(np.diag(ordered).tolist()) == [5, 9, 20]
    terms = view.PairTable(counts).terms()[rows][:, cols]
    assert (np.diff(np.diag(terms)) <= 0).all()


def test_best_match_of_a_table_that_is_not_square_keeps_every_row_once() -> None:
    counts = np.array([[9, 0], [8, 0], [0, 7], [1, 0]])
    rows, cols = view.ordering(view.PairTable(counts), "match")
    assert sorted(rows.tolist()) == [0, 1, 2, 3] and sorted(cols.tolist()) == [0, 1]
    assert rows[-1] == 3


def test_order_by_size_and_number() -> None:
    found = table([[1, 0], [2, 5]])
    assert [side.tolist() for side in view.ordering(found, "size")] == [[1, 0], [1, 0]]
    assert [side.tolist() for side in view.ordering(found, "number")] == [[0, 1], [0, 1]]


def test_order_by_name_puts_what_has_none_last() -> None:
    found = table([[1, 0, 0], [2, 5, 1]])
    rows, cols = view.ordering(found, "name", (["", "bell"], ["owl", "", "Ant"]))
    assert rows.tolist() == [1, 0] and cols.tolist() == [2, 0, 1]
    assert view.ordering(found, "name")[0].tolist() == [0, 1]


def test_co_clustering_puts_blocks_side_by_side() -> None:
    kinds = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    counts = np.where(kinds[:, None] == kinds[None, :9], 40, 1) * np.array([1, 3, 2])[kinds][:, None]
    counts[4, 7] = 130
    rows, cols = view.ordering(view.PairTable(counts), "blocks")
    assert sorted(rows.tolist()) == list(range(10)) and sorted(cols.tolist()) == list(range(9))
    assert kinds[rows].tolist() == [1] * 3 + [2] * 3 + [0] * 4 and kinds[cols].tolist() == [1] * 3 + [2] * 3 + [0] * 3
    assert rows[0] == 4 and cols[0] == 7, "the largest of a block first"
    again = view.ordering(view.PairTable(counts), "blocks")
    assert (again[0] == rows).all() and (again[1] == cols).all()


@pytest.mark.parametrize(
    "counts", [[[4]], [[5, 5], [5, 5]], [[3, 0], [0, 0]], [[0, 0], [0, 0]], [[9, 0, 0], [0, 0, 7]]]
)
def test_co_clustering_without_structure_is_by_size(counts: list[list[int]]) -> None:
    rows, cols = view.ordering(table(counts), "blocks")
    by_size = view.ordering(table(counts), "size")
    assert rows.tolist() == by_size[0].tolist() and cols.tolist() == by_size[1].tolist()


def test_the_mean_over_one_pair_is_that_pair() -> None:
    a, b = np.array([0, 0, 0, 1, 1, -1, 1]), np.array([0, 0, 1, 1, 1, 0, -1])
    use = (a >= 0) & (b >= 0)
    clip_pmi = np.full(7, np.nan)
    clip_pmi[use] = cell_pmi(a[use], b[use])
    sides = view.fold(np.array([3, 3])), view.fold(np.array([3, 3]))
    found, own = view.mean_table(a, b, *sides, clip_pmi, 1), view.pair_table(a, b, *sides)
    np.testing.assert_allclose(found.pmi, own.pmi())
    np.testing.assert_allclose(found.share, own.share())
    assert found.information == pytest.approx(own.information()) and found.clips == 5


def test_parts_of_a_mean_sum_to_it_and_sort_clips_by_the_chosen_pair() -> None:
    # two clips a cell; the mean PMI of the clips of cell (0, 0) is 1, of (1, 1) 3, another clip has no value
    a, b = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1])
    side = view.fold(np.array([2, 3]))
    found = view.mean_table(a, b, side, side, np.array([0.5, 1.5, 2, 4, np.nan]), 6)
    assert found.pmi[0, 0] == 1 and found.pmi[1, 1] == 3 and np.isnan(found.pmi[0, 1])
    assert found.information == 2 and found.share.tolist() == [[25, 0], [0, 75]] and found.clips == 4
    nothing = view.mean_table(a, b, side, side, np.full(5, np.nan), 6)
    assert nothing.information == 0 and not nothing.share.any()


def test_which_pairs_a_pairing_has() -> None:
    assert view.paired(["a", "b"], ["x", "y"], "every") == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
    assert view.paired(["a", "b"], ["x", "y"], "depth") == [("a", "x"), ("b", "y")]
    assert view.paired(["a"], ["x", "y"], "depth") == []


def test_controls_stand_near_the_measure_of_independent_labels_and_far_below_dependent_ones() -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(4, size=2000)
    side = view.fold(np.bincount(a))
    selected = np.arange(2000) < 400
    dependent = view.controls(view.pair_table(a, a, side, side), view.pair_table(a, a, side, side, selected))
    assert dependent.clips == 400
    assert dependent.information > 1.3 and dependent.permuted.mean < 0.05
    assert dependent.random is not None and dependent.random.mean > 1.3
    independent = view.controls(view.pair_table(a, rng.integers(4, size=2000), side, side))
    assert independent.random is None
    assert abs(independent.information - independent.permuted.mean) < 0.01
    assert independent.permuted.repeats == 5


def test_controls_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(4, size=300), rng.integers(4, size=300)
    side = view.fold(np.full(4, 1))
    every, some = view.pair_table(a, b, side, side), view.pair_table(a, b, side, side, np.arange(300) < 50)
    first, again = (view.controls(every, some, seed=3) for _ in range(2))
    assert first == again
    assert first != view.controls(every, some, seed=4)


def test_controls_drawn_from_a_table_are_those_of_its_clips() -> None:
    """Against the plain way: sounds permuted and clips drawn one by one, many times over."""
    rng = np.random.default_rng(4)
    a = rng.choice(3, 240, p=[0.6, 0.3, 0.1])
    b = np.where(rng.random(240) < 0.3, a, rng.integers(4, size=240))
    rows, cols = view.fold(np.full(3, 1)), view.fold(np.full(4, 1))
    every, times = view.pair_table(a, b, rows, cols), 3000
    some = view.pair_table(a, b, rows, cols, np.arange(240) < 60)
    permuted, drawn = [], []
    for _ in range(times):
        permuted.append(view.pair_table(rng.permutation(a[:60]), b[:60], rows, cols).information())
        at = rng.choice(240, 60, replace=False)
        drawn.append(view.pair_table(a[at], b[at], rows, cols).information())
    found = view.controls(every, some, repeats=times)
    assert found.random is not None
    for spread, plain in ((found.permuted, permuted), (found.random, drawn)):
        error = np.std(plain) * np.sqrt(2 / times)
        assert abs(spread.mean - np.mean(plain)) < 4 * error
        assert spread.deviation == pytest.approx(np.std(plain, ddof=1), rel=0.1)


def test_a_table_of_permuted_sounds_keeps_its_totals() -> None:
    counts = np.random.default_rng(5).integers(0, 50, (6, 9))
    found = view._permuted(view.PairTable(counts), np.random.default_rng(6))
    assert (found.row_totals == counts.sum(1)).all() and (found.col_totals == counts.sum(0)).all()
    assert (found.counts != counts).any()


def test_the_pair_with_the_most_beyond_chance_ranks_first() -> None:
    rng = np.random.default_rng(3)
    a, noise, b = rng.integers(8, size=500), rng.integers(30, size=500), rng.integers(30, size=500)
    excess = view.rank_pairs([noise, a], [b, a])
    assert excess.shape == (2, 2)
    assert np.unravel_index(excess.argmax(), excess.shape) == (1, 1)
    # 30 x 30 cells on 500 clips read far above zero by chance alone; the control takes that away
    assert abs(excess[0, 0]) < 0.15
    sampled = view.rank_pairs([noise, a], [b, a], sample=200)
    assert np.unravel_index(sampled.argmax(), sampled.shape) == (1, 1)
    assert not view.rank_pairs([np.array([-1])], [np.array([0])]).any()


def test_rows_of_a_cell_and_of_a_box() -> None:
    a, b = np.array([0, 0, 1, 2, -1]), np.array([0, 1, 1, 1, 1])
    side_a, side_b = view.fold(np.array([2, 1, 1])), view.fold(np.array([1, 4]))
    assert view.box_rows(a, b, side_a, side_b, np.array([0]), np.array([1])).tolist() == [1]
    assert view.box_rows(a, b, side_a, side_b, np.array([0, 1]), np.array([1])).tolist() == [1, 2]
    chosen = np.array([True, False, True, True, True])
    assert view.box_rows(a, b, side_a, side_b, np.array([0, 1]), np.array([1]), chosen).tolist() == [2]


def test_nearest_to_both_centroids_sums_the_ranks() -> None:
    rows = np.array([4, 7, 9])
    first, second = np.full(10, 99.0), np.full(10, 99.0)
    first[rows], second[rows] = [0.3, 0.1, 0.2], [5, 9, 1]
    # ranks: 4 -> 2 + 1, 7 -> 0 + 2, 9 -> 1 + 0
    assert view.nearest_both(rows, first, second).tolist() == [9, 7, 4]
