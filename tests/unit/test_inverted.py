"""Short vectors and the search in them, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.compact import fit_compaction
from curation.kernels.inverted import Lists, search
from curation.stages.neighbours import make_lists


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def one_list(vectors: np.ndarray) -> Lists:
    return make_lists(vectors, 0)[0]


def test_exact_search_finds_what_sorting_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.kernels.inverted.BLOCK_ROWS", 64)
    vectors = unit(np.random.default_rng(0).normal(size=(500, 8)))
    queries = vectors[:7].astype(np.float32)
    places, similarity = search(one_list(vectors), queries, 5, 1)
    full = queries @ vectors.astype(np.float32).T
    assert places.tolist() == np.argsort(-full, axis=1, kind="stable")[:, :5].tolist()
    assert similarity == pytest.approx(np.take_along_axis(full, places, 1), abs=1e-6)
    assert places[:, 0].tolist() == list(range(7)) and similarity[:, 0] == pytest.approx(1, abs=2e-3)


def test_ties_go_to_the_lower_place_and_missing_ones_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.kernels.inverted.BLOCK_ROWS", 16)
    vectors = np.tile(np.float16([[1, 0], [0, 1]]), (50, 1))
    places, similarity = search(one_list(vectors), np.array([[0.0, 1.0]]), 4, 1)
    assert places.tolist() == [[1, 3, 5, 7]] and similarity.tolist() == [[1, 1, 1, 1]]
    places, similarity = search(one_list(vectors[:2]), np.array([[1.0, 0.0]]), 4, 1)
    assert places.tolist() == [[0, 1, -1, -1]] and np.isnan(similarity[0, 2:]).all()
    empty = search(Lists(vectors[:0], np.array([0, 0]), np.zeros((1, 2), np.float32)), np.ones((1, 2)), 2, 1)
    assert empty[0].tolist() == [[-1, -1]]


def test_lists_hold_every_vector_once_and_more_lists_find_more() -> None:
    centres = np.random.default_rng(1).normal(size=(40, 16)) * 2
    kinds = np.random.default_rng(2).integers(40, size=4000)
    vectors = unit(centres[kinds] + np.random.default_rng(3).normal(size=(4000, 16)))
    lists, order = make_lists(vectors, 0, exact_most=100)
    assert sorted(order.tolist()) == list(range(4000)) and (lists.vectors == vectors[order]).all()
    assert len(lists.centroids) == 256 and lists.starts[0] == 0 and lists.starts[-1] == 4000
    queries = vectors[:50].astype(np.float32)
    truth = search(lists, queries, 10, 256)[0]
    recall = [np.mean([len(np.intersect1d(*pair)) for pair in zip(search(lists, queries, 10, probe)[0], truth)]) / 10
              for probe in (1, 8, 64)]  # fmt: skip
    assert recall[0] < recall[1] < recall[2] and recall[2] > 0.98
    again, other = make_lists(vectors, 0, exact_most=100)
    assert (again.centroids == lists.centroids).all() and (other == order).all()


def test_components_are_those_of_the_correlation_where_layers_are_of_one_size() -> None:
    x = np.random.default_rng(4).normal(size=(400, 6)) @ np.diag([1, 2, 3, 4, 5, 6])
    x[:, 1] += x[:, 0] * 3
    found = fit_compaction(x, [6], 3)
    z = (x - x.mean(0)) / x.std(0)
    _, _, axes = np.linalg.svd(z, full_matrices=False)
    want = unit(z @ axes[:3].T).astype(np.float64)
    got = found.apply(x).astype(np.float64)
    for axis in range(3):
        assert abs(np.corrcoef(got[:, axis], want[:, axis])[0, 1]) == pytest.approx(1, abs=1e-4)


def test_every_layer_counts_the_same_and_constants_count_nothing() -> None:
    # Two independent layers: one of a single column, one of 100 copies of another column. Each has half of the whole.
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(1000, 1)), rng.normal(size=(1000, 1))
    x = np.concatenate([a, np.repeat(b, 100, 1), np.full((1000, 3), 7.0)], 1)
    found = fit_compaction(x, [1, 100, 3], 64)
    spread = ((x - found.mean) @ found.weights).var(0)
    assert spread[:2] == pytest.approx([1, 1], rel=0.1) and spread[2:] == pytest.approx(0, abs=1e-4)
    assert (found.apply(np.full((2, 104), x.mean(0))) == 0).all() or np.isfinite(found.apply(x)).all()
    flat = fit_compaction(np.full((5, 4), 3.0), [4], 2)
    assert (flat.apply(np.full((2, 4), 3.0)) == 0).all()
