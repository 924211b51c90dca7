"""Agreement of clusterings and subsets against hand-worked answers and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, normalized_mutual_info_score

from curation.kernels.agreement import adjusted_rand, mean_overlap, sources_in
from explorer.views import clusters as views


def test_adjusted_rand_by_hand() -> None:
    # pairs together: 1 + 1 in cells, 2 + 1 ... rows C(3,2)+C(2,2)=4, columns C(2,2)+C(3,2)=4, all C(5,2)=10
    table = np.array([[2, 1], [0, 2]])
    assert adjusted_rand(table) == pytest.approx((2 - 1.6) / (4 - 1.6))
    assert adjusted_rand(np.array([[3]])) == 1.0
    assert adjusted_rand(np.eye(4)) == 1.0  # one clip a cluster, in both


@pytest.mark.parametrize("seed", range(4))
def test_agreement_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.integers(5, size=300)
    b = np.where(rng.random(300) < 0.6, (a * 3) % 7, rng.integers(7, size=300))
    found = views.agreement(a, b)
    assert found is not None and found.clips == 300
    assert found.rand == pytest.approx(adjusted_rand_score(a, b))
    assert found.normalized == pytest.approx(normalized_mutual_info_score(a, b))
    assert found.adjusted == pytest.approx(adjusted_mutual_info_score(a, b))
    counts = np.array([[np.sum((a == i) & (b == j)) for j in range(7)] for i in range(5)])
    assert found.purity == pytest.approx(counts.max(axis=1).sum() / 300)
    assert found.other_purity == pytest.approx(counts.max(axis=0).sum() / 300)


def test_clips_without_a_value_do_not_count() -> None:
    a, b = np.array([0, 0, 1, 1, -1]), np.array([1, 1, 0, -1, 0])
    found = views.agreement(a, b)
    assert found is not None and (found.clips, found.rand, found.purity) == (3, 1.0, 1.0)
    assert views.agreement(np.full(3, -1), np.zeros(3, int)) is None


def test_many_clusters_are_counted_sparsely() -> None:
    a, b = np.arange(20_000) % 10_000, np.arange(20_000) % 5_000
    cells = views.cross(a, b)  # 50 million cells, of which 10,000 hold clips
    assert len(cells.clips) == 10_000 and (cells.clips == 2).all()
    assert (views.purities(cells, 10_000).share == 1).all()


def test_purity_by_hand() -> None:
    cells = views.cross(np.array([0, 0, 0, 1, 1, 2]), np.array([4, 4, 1, 3, 2, -1]))
    found = views.purities(cells, 4)
    assert found.share.tolist() == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert found.label.tolist() == [4, 2, -1, -1]  # a tie goes to the lower label
    assert found.known.tolist() == [3, 2, 0, 0]


def test_best_matches_by_hand() -> None:
    a = np.array([0] * 4 + [1] * 3)
    b = np.array([0, 0, 0, 1, 1, 1, 2])
    found = views.best_matches(views.cross(a, b))
    assert found["row"].tolist() == [0, 1] and found["column"].tolist() == [0, 1]
    assert found["clips"].tolist() == [3, 2]
    assert found["jaccard"].tolist() == pytest.approx([3 / 4, 2 / 4])
    assert found["of_row"].tolist() == pytest.approx([3 / 4, 2 / 3])
    assert found["of_column"].tolist() == pytest.approx([1, 2 / 3])
    assert len(views.best_matches(views.cross(np.full(2, -1), np.zeros(2, int)))) == 0


def test_overlap_and_sources_by_hand() -> None:
    subsets = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0]], bool)
    assert mean_overlap(subsets) == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert np.isnan(mean_overlap(subsets[:1]))
    labels, source = np.array([0, 0, 1, 1, 3]), np.array([0, 1, 2, 2, 2])
    assert sources_in(labels, source, 4).tolist() == [2, 1, 0, 1]


def test_rows_in_every_order_and_the_rest_as_one() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 4])
    values = np.array([0, 0, 1, 1, 1, -1, 0])
    rows = views.cluster_rows(labels, 5, labels == 1, values)
    assert [(r.cluster, r.size, r.selected, r.purity, r.mostly) for r in rows] == [
        (0, 3, 0, pytest.approx(2 / 3), 0), (1, 2, 2, 1.0, 1), (2, 1, 0, None, None), (4, 1, 0, 1.0, 0),
        (3, 0, 0, None, None),
    ]  # fmt: skip
    assert [r.cluster for r in views.ordered(rows, "number")] == [0, 1, 2, 3, 4]
    assert [r.cluster for r in views.ordered(rows, "pure")][:2] == [1, 4]
    assert [r.cluster for r in views.ordered(rows, "mixed")][:2] == [0, 1]
    assert views.ordered(rows, "selected")[0].cluster == 1
    assert [r.cluster for r in views.ordered(rows, "name", {2: "zebra", 4: "Ape"})][:3] == [4, 2, 0]
    shown, rest = views.shown_and_rest(views.ordered(rows, "number"), 2)
    assert [r.cluster for r in shown] == [0, 1]
    assert rest is not None and (rest.cluster, rest.size, rest.selected) == (-1, 2, 0)
    assert views.shown_and_rest(rows)[1] is None
