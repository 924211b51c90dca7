"""Batches for pre-training: every clip once an epoch, groups of a title in a window, ordinary as the special case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import InputError, SettingError
from curation.pretraining.sampler import Sampler, Sampling, shared_negatives, title_groups

TITLES = np.repeat(np.arange(12), 20)
START_S = np.tile(np.arange(20) * 10.0, 12)


def batches(sampling: Sampling, steps: int, seed: int = 0, titles: np.ndarray = TITLES) -> np.ndarray:
    sampler = Sampler(titles, START_S[: len(titles)], sampling, seed)
    return np.stack([sampler.batch(step) for step in range(steps)])


@pytest.mark.parametrize("clips_per_title", [1, 4, 8])
def test_every_clip_comes_once_an_epoch(clips_per_title: int) -> None:
    found = batches(Sampling(24, clips_per_title), 10)
    assert sorted(found.ravel()) == list(range(240))
    again = batches(Sampling(24, clips_per_title), 20)[10:]
    assert sorted(again.ravel()) == list(range(240)) and not np.array_equal(again, found)


def test_a_step_has_its_batch_whatever_came_before() -> None:
    sampling = Sampling(24, 4, 40.0)
    in_order = batches(sampling, 25)
    jumped = Sampler(TITLES, START_S, sampling, 0)
    assert np.array_equal(jumped.batch(24), in_order[24]) and np.array_equal(jumped.batch(3), in_order[3])
    assert not np.array_equal(batches(sampling, 3, seed=1), in_order[:3])


def test_hierarchical_batches_hold_few_titles_and_many_negatives_of_the_same() -> None:
    hierarchical, ordinary = batches(Sampling(24, 4), 10), batches(Sampling(24, 1), 1000)
    titles = [np.unique(TITLES[batch], return_counts=True) for batch in hierarchical[:6]]
    assert all(len(names) == 6 and set(counts) == {4} for names, counts in titles)
    assert np.isclose(shared_negatives(TITLES[hierarchical[0]]), 24 * 3 / (24 * 23))
    expected = 19 / 239  # of two clips drawn at random
    assert abs(np.mean([shared_negatives(TITLES[batch]) for batch in ordinary]) - expected) < 0.003


def test_what_fills_no_batch_waits_for_another_epoch() -> None:
    sampler = Sampler(np.arange(22), np.zeros(22), Sampling(8), 0)
    epochs = [np.concatenate([sampler.batch(2 * e), sampler.batch(2 * e + 1)]) for e in range(4)]
    assert all(len(set(rows.tolist())) == 16 for rows in epochs)
    assert set(np.concatenate(epochs).tolist()) == set(range(22)), "others are left out each time"


def test_titles_of_one_clip_come_as_in_ordinary_sampling() -> None:
    sampler = Sampler(np.arange(40), np.zeros(40), Sampling(8, 4), 0)
    batches = [sampler.batch(step) for step in range(5)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(40))
    assert all(shared_negatives(batch) == 0 for batch in batches)


def test_ordinary_sampling_is_a_random_order_of_all_clips() -> None:
    """The special case does not know of titles at all: any titles give the same batches."""
    alone = batches(Sampling(24, 1), 30)
    assert np.array_equal(alone, batches(Sampling(24, 1), 30, titles=np.zeros(240, np.int64)))
    pairs = np.zeros((240, 240))
    for batch in batches(Sampling(24, 1), 400):
        pairs[np.ix_(batch, batch)] += 1
    together = pairs[np.triu_indices(240, 1)]
    expected = 400 * 24 * 23 / (240 * 239)
    assert abs(together.mean() - expected) < 1e-9 and together.std() < 1.2 * expected**0.5


def test_groups_lie_within_their_window() -> None:
    rng = np.random.default_rng(0)
    phases = set()
    for _ in range(20):
        groups = title_groups(TITLES, START_S, Sampling(24, 4, 45.0), rng)
        for group in groups:
            assert len(set(TITLES[group])) == 1 and np.ptp(START_S[group]) < 45.0 and len(group) <= 4
        assert sorted(np.concatenate(groups)) == list(range(240))
        phases.add(min(START_S[group].min() for group in groups if np.ptp(START_S[group]) > 0))
    assert len(phases) > 1, "windows begin elsewhere in another epoch"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.sampled_from([1, 2, 4]), st.integers(0, 5))
def test_titles_of_any_size_are_sampled_whole(sizes: list[int], clips_per_title: int, seed: int) -> None:
    """Also titles with one clip."""
    titles = np.repeat(np.arange(len(sizes)), sizes)
    sampling = Sampling(4, clips_per_title)
    if len(titles) < 4:
        with pytest.raises(InputError, match="larger than the data"):
            Sampler(titles, np.zeros(len(titles)), sampling, seed)
        return
    sampler = Sampler(titles, np.zeros(len(titles)), sampling, seed)
    seen = np.concatenate([sampler.batch(step) for step in range(sampler.batches_per_epoch)])
    assert len(set(seen)) == len(seen) == len(titles) // 4 * 4


def test_no_title_comes_twice_in_a_batch_while_there_are_others() -> None:
    sizes = [1] * 30 + [40]
    titles = np.repeat(np.arange(31), sizes)
    sampler = Sampler(titles, np.zeros(70), Sampling(10, 2), 0)
    first = titles[sampler.batch(0)]
    assert (first == 30).sum() <= 2


def test_what_cannot_be_a_batch_is_refused_with_words() -> None:
    with pytest.raises(InputError, match="batch of 300 clips is larger than the data: 240 clips"):
        Sampler(TITLES, START_S, Sampling(300), 0)
    with pytest.raises(SettingError, match="does not divide a batch of 24"):
        Sampling(24, 5)
    with pytest.raises(SettingError, match="no length"):
        Sampling(24, 4, float("nan"))
    with pytest.raises(SettingError, match="no negatives"):
        Sampling(1)


@pytest.mark.parametrize("titles, share", [([0, 1, 2], 0.0), ([5, 5, 5], 1.0), ([1, 1, 2, 2], 1 / 3), ([7], 0.0)])
def test_negatives_of_one_title_are_counted(titles: list[int], share: float) -> None:
    assert shared_negatives(np.array(titles)) == pytest.approx(share)
