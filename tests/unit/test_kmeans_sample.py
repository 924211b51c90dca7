"""The clips that k-means is trained on, and the reading of rows from parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.feature_rows import FeatureRows
from curation.kernels import kmeans
from curation.kernels.draws import MASK, mix_int
from curation.kernels.faiss_loaded import faiss
from curation.kernels.kmeans_sample import lowest_hashes
from curation.records import clip_keys

IDS = st.lists(st.text(max_size=3), unique=True, max_size=80)
SEEDS = st.integers(0, MASK)


def drawn(names: list[str], take: int, seed: int, unusable: str | None = None) -> set[str]:
    usable = np.array([name != unusable for name in names], bool)
    rows = lowest_hashes(clip_keys(names), usable, take, seed)
    assert rows.dtype == np.int64 and (np.diff(rows) > 0).all()
    return {names[row] for row in rows}


@settings(deadline=None)
@given(IDS, st.integers(0, 90), SEEDS)
def test_the_sample_is_the_lowest_hashes(names: list[str], take: int, seed: int) -> None:
    hashes = {name: mix_int(int(key) ^ seed) for name, key in zip(names, clip_keys(names), strict=True)}
    assert drawn(names, take, seed) == set(sorted(names, key=hashes.__getitem__)[:take])


@settings(deadline=None)
@given(IDS, st.integers(0, 90), SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_the_clips_does_not_matter(names: list[str], take: int, seed: int, random: object) -> None:
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert drawn(shuffled, take, seed) == drawn(names, take, seed)


@settings(deadline=None)
@given(IDS, st.integers(0, 90), st.integers(0, 80), SEEDS)
def test_clips_that_are_added_displace_at_most_as_many_as_they_are(
    names: list[str], take: int, before: int, seed: int
) -> None:
    old, new = names[:before], names[before:]
    first, second = drawn(old, take, seed), drawn(names, take, seed)
    assert second - set(new) <= first, "no old clip comes in because others were added"
    assert len(first - second) <= len(new)


@settings(deadline=None)
@given(IDS.filter(bool), st.integers(0, 90), SEEDS)
def test_a_clip_without_a_value_is_never_drawn(names: list[str], take: int, seed: int) -> None:
    assert drawn(names, take, seed, unusable=names[0]) == drawn(names[1:], take, seed)


def test_of_many_clips_the_draw_is_even_and_other_seeds_draw_others() -> None:
    keys = clip_keys([str(i) for i in range(20_000)])
    one, other = (lowest_hashes(keys, np.ones(20_000, bool), 2_000, seed) for seed in (1, 2))
    assert len(one) == len(other) == 2_000
    assert 120 < len(np.intersect1d(one, other)) < 290, "about a tenth of a tenth"
    by_tenth = np.bincount(one // 2_000, minlength=10)
    assert by_tenth.min() > 140 and by_tenth.max() < 260


def test_clips_of_one_key_are_drawn_by_row() -> None:
    assert lowest_hashes(np.full(9, 7, np.uint64), np.ones(9, bool), 3, 5).tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_are_read_across_parts(tmp_path: Path, dtype: type) -> None:
    x: np.ndarray = np.arange(60).astype(dtype).reshape(20, 3)
    for i, (start, stop) in enumerate([(0, 7), (7, 8), (8, 8), (8, 20)]):
        np.save(tmp_path / f"part-{i:06d}.npy", x[start:stop])
    table = FeatureRows(sorted(tmp_path.glob("*.npy")))
    assert len(table) == 20 and table.shape == (20, 3) and table.dtype == dtype
    for rows in ([], [0], [6, 7, 8], [19], list(range(20)), list(range(1, 20, 4))):
        found = table[np.array(rows, np.int64)]
        assert found.dtype == dtype and (found == x[rows]).all()


def test_assigned_in_one_pass_is_assigned_one_by_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 24)).astype(np.float32)
    runs = [rng.normal(size=(k, 24)).astype(np.float32) for k in (9, 5, 40)]
    read: list[int] = []

    def block(at: slice) -> list[np.ndarray]:
        read.append(at.start)
        return [x[at]] * 3

    label, squared = kmeans.assign_runs(block, len(x), runs, kmeans.Assigner(threads=2))
    assert sorted(read) == [0, 8192, 16384], "every row once"
    for r, run in enumerate(runs):
        assert label[r].tolist() == kmeans.assign(x, run, kmeans.Assigner())[0].tolist()
    assert squared == pytest.approx(((x - runs[0][label[0]]) ** 2).sum(1), rel=1e-5)


def test_training_goes_on_from_any_round_in_the_same_bits() -> None:
    x = np.random.default_rng(0).normal(size=(9_000, 8)).astype(np.float32)
    told: list[kmeans.Rounds] = []
    whole, reseeded = kmeans.train(x, 12, seed=3, n_iter=6, assigner=kmeans.Assigner(), on_round=told.append)
    assert [rounds.number for rounds in told] == [1, 2, 3, 4, 5, 6]
    for begun in (told[0], told[3], told[5]):
        later: list[kmeans.Rounds] = []
        again = kmeans.train(x, 12, seed=3, n_iter=6, assigner=kmeans.Assigner(), begun=begun, on_round=later.append)
        assert again[0].tobytes() == whole.tobytes() and again[1] == reseeded
        assert len(later) == 6 - begun.number


def test_the_widest_products_are_right() -> None:
    rng = np.random.default_rng(0)
    x, c = (rng.normal(size=(n, 70)).astype(np.float32) for n in (333, 41))
    index = faiss.IndexFlatL2(70)
    index.add(c)
    squared, label = index.search(x, 3)
    wanted = ((x[:, None].astype(float) - c) ** 2).sum(2)
    assert label.tolist() == np.argsort(wanted, axis=1)[:, :3].tolist()
    assert squared == pytest.approx(np.sort(wanted, axis=1)[:, :3], rel=1e-4)
