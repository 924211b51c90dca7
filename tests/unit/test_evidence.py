"""Cross-fitted pair evidence: counts, folds, the low-rank part and the cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import ArpackNoConvergence

from curation.kernels import evidence as evidence_module
from curation.kernels.contingency import Rows
from curation.kernels.decoys import decoy_partners
from curation.kernels.evidence import Columns, count_folds, fit, make_columns, scaled, score_parts

NONE = np.zeros(0, np.int32)
IS_AUDIO = np.array([True, True, False, False])
PAIRS = np.array([(0, 2), (0, 3), (1, 2), (1, 3)])


def clips(n: int, kinds: int, clear: float, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Assignments int32 (n, 4), two sound and two picture clusterings, and which clips correspond."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, kinds, n)
    matched = rng.random(n) < share
    sound = np.where(matched, picture, rng.integers(0, kinds, n))
    columns = [
        np.where(rng.random(n) < clear, kind, rng.integers(0, kinds, n)) for kind in (sound, sound, picture, picture)
    ]
    return np.stack(columns, axis=1).astype(np.int32), matched


def columns_of(kinds: int) -> Columns:
    return make_columns(IS_AUDIO, np.full(4, kinds), PAIRS, np.full(4, 0.25), np.arange(4))


def fitted(codes: np.ndarray, fold: np.ndarray, kinds: int):  # type: ignore[no-untyped-def]
    columns = columns_of(kinds)
    every, n_folds = np.arange(len(codes)), int(fold.max()) + 1
    partner, _ = decoy_partners(every, fold, 0)
    permuted = Rows(codes, partner, IS_AUDIO)
    tables = count_folds(Rows(codes, NONE, IS_AUDIO), columns, every, fold, n_folds)
    decoys = count_folds(permuted, columns, every, fold, n_folds, within=False)
    evidence, report = fit(tables, decoys, columns, 1.0)
    return columns, scaled(evidence, score_parts(permuted, columns, evidence, every, fold)), report


def test_counts_of_folds_are_those_of_plain_loops() -> None:
    codes, _ = clips(200, 4, 0.7, 0.5, 0)
    fold = np.arange(200) % 3
    tables = count_folds(Rows(codes, NONE, IS_AUDIO), columns_of(4), np.arange(200), fold, 3)
    cross, audio = np.zeros((3, 8, 8), int), np.zeros((8, 8), int)
    for i, (a, b, v, w) in enumerate(codes):
        for sound in (a, 4 + b):
            for picture in (v, 4 + w):
                cross[fold[i], sound, picture] += 1
            for other in (a, 4 + b):
                audio[sound, other] += 1
    assert (tables.cross == cross).all()
    assert (tables.audio == audio).all()
    assert tables.n.tolist() == np.bincount(fold).tolist()


def test_pairs_within_a_modality_are_left_out_and_weights_are_kept() -> None:
    pairs = np.array([(0, 1), (0, 2), (1, 3)])
    columns = make_columns(IS_AUDIO, np.full(4, 3), pairs, np.array([0.5, 0.1, 0.4]), np.arange(4))
    assert np.allclose(columns.weight, [[0.25, 0], [0, 1]])


def test_corresponding_clips_score_higher_and_decoys_have_deviation_one() -> None:
    codes, matched = clips(3000, 8, 0.9, 0.5, 1)
    fold = np.arange(3000) % 5
    columns, evidence, report = fitted(codes, fold, 8)
    every = np.arange(3000)
    score = score_parts(Rows(codes, NONE, IS_AUDIO), columns, evidence, every, fold).sum(axis=1)
    assert matched[np.argsort(-score)[:1500]].mean() > 0.85
    assert max(report["rank"]) <= 8
    partner, _ = decoy_partners(every, fold, 0)
    decoy = score_parts(Rows(codes, partner, IS_AUDIO), columns, evidence, every, fold).sum(axis=1)
    assert abs(decoy.std() - 1) < 0.01


def test_the_low_rank_score_is_that_of_its_formula() -> None:
    codes, _ = clips(500, 4, 0.7, 0.6, 2)
    fold = np.arange(500) % 2
    columns, evidence, _ = fitted(codes, fold, 4)
    got = score_parts(Rows(codes, NONE, IS_AUDIO), columns, evidence, np.array([7]), fold[[7]])
    a, b, v, w = codes[7]
    f = fold[7]
    x = evidence.x[f, a] + evidence.x[f, 4 + b]
    y = evidence.y[f, v] + evidence.y[f, 4 + w]
    low_rank = (x * y - evidence.x_square[f] * x**2 - evidence.y_square[f] * y**2).sum()
    cells = sum(evidence.cells[f, s, p] for s in (a, 4 + b) for p in (v, 4 + w))
    assert np.allclose(got, [[low_rank, cells]], atol=1e-4)


def test_the_counts_that_judge_a_clip_have_not_seen_its_fold() -> None:
    codes, _ = clips(600, 6, 0.8, 0.5, 3)
    fold = np.arange(600) % 3
    _, before, _ = fitted(codes, fold, 6)
    changed = codes.copy()
    mine = np.flatnonzero(fold == 1)
    # Which pictures go with which sounds changes in fold 1, the clusters of each modality stay
    changed[mine, 2:] = codes[np.random.default_rng(0).permutation(mine), 2:]
    _, after, _ = fitted(changed, fold, 6)
    ratio = before.cells[1] / np.where(after.cells[1] == 0, 1, after.cells[1])
    same = np.abs(before.cells[1]) > 1e-6
    assert np.allclose(ratio[same], ratio[same][0], rtol=1e-4)  # equal but for the common scale
    other = before.cells[0] / np.where(after.cells[0] == 0, 1, after.cells[0])
    assert not np.allclose(other[same], other[same][0], rtol=1e-2)


def test_numbering_of_clusters_and_order_of_clusterings_do_not_matter() -> None:
    codes, _ = clips(800, 5, 0.7, 0.5, 4)
    fold = np.arange(800) % 4
    rows = np.arange(800)
    columns, evidence, _ = fitted(codes, fold, 5)
    plain = score_parts(Rows(codes, NONE, IS_AUDIO), columns, evidence, rows, fold).sum(axis=1)
    renamed = np.array([3, 0, 4, 1, 2], np.int32)[codes][:, [1, 0, 3, 2]]
    renamed = np.ascontiguousarray(renamed)
    columns, evidence, _ = fitted(renamed, fold, 5)
    other = score_parts(Rows(renamed, NONE, IS_AUDIO), columns, evidence, rows, fold).sum(axis=1)
    assert np.allclose(plain, other, atol=2e-2)


def test_a_constant_clustering_says_nothing_and_breaks_nothing() -> None:
    codes, matched = clips(1500, 6, 0.8, 0.5, 5)
    codes[:, 0] = 0
    fold = np.arange(1500) % 5
    columns, evidence, _ = fitted(codes, fold, 6)
    score = score_parts(Rows(codes, NONE, IS_AUDIO), columns, evidence, np.arange(1500), fold).sum(axis=1)
    assert np.isfinite(score).all()
    assert matched[np.argsort(-score)[:750]].mean() > 0.7


def test_ten_copies_of_one_clustering_are_as_good_as_one() -> None:
    one, matched = clips(1500, 6, 0.9, 0.5, 6)
    codes = np.concatenate([np.repeat(one[:, :1], 10, axis=1), np.repeat(one[:, 2:3], 10, axis=1)], axis=1)
    is_audio = np.arange(20) < 10
    pairs = np.array([(i, j) for i in range(10) for j in range(10, 20)])
    columns = make_columns(is_audio, np.full(20, 6), pairs, np.full(100, 0.01), np.arange(20))
    every, fold = np.arange(1500), np.arange(1500) % 5
    partner, _ = decoy_partners(every, fold, 0)
    tables = count_folds(Rows(codes, NONE, is_audio), columns, every, fold, 5)
    decoys = count_folds(Rows(codes, partner, is_audio), columns, every, fold, 5, within=False)
    found, _ = fit(tables, decoys, columns, 1.0)
    score = score_parts(Rows(codes, NONE, is_audio), columns, found, every, fold).sum(axis=1)
    assert np.isfinite(score).all()
    assert matched[np.argsort(-score)[:750]].mean() > 0.8


@pytest.mark.parametrize("shape", [(60, 50), (450, 420)])
def test_where_the_quick_decompositions_do_not_converge_the_slow_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(shape[0], 5)) @ rng.normal(size=(5, shape[1])) + 1e-3 * rng.normal(size=shape)
    wanted = evidence_module._leading(matrix, 4)

    def fails(*_args: object, **_more: object) -> None:
        raise np.linalg.LinAlgError("SVD did not converge")

    def stops(*_args: object, **_more: object) -> None:
        raise ArpackNoConvergence("no convergence", np.zeros(0), np.zeros((0, 0)))

    monkeypatch.setattr(np.linalg, "svd", fails)
    monkeypatch.setattr(evidence_module, "svds", stops)
    found = evidence_module._leading(matrix, 4)
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
