"""Probes, intervals, verdicts and parts: against scikit-learn, by hand, and on data of which the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from curation.errors import InputError, SettingError
from curation.pretraining.dataset import TinyClips
from curation.pretraining.intervals import mean_interval, smallest_visible
from curation.pretraining.networks import AudioVisual
from curation.pretraining.overlap import overlap
from curation.pretraining.power import SHARES, degraded, judge
from curation.pretraining.probe import STRENGTH, ProbeSet, features, linear, probe
from curation.pretraining.sources import ASTRIDE, LEARN, POOL, TEST, split
from curation.pretraining.train import PairSet
from tests.tinymaker import made_clips


@pytest.mark.parametrize("kinds", [2, 7])
def test_the_probe_is_scikit_learns_logistic_regression(kinds: int) -> None:
    rng = np.random.default_rng(kinds)
    label = rng.integers(0, kinds, 300) * 3 + 1  # labels need not count from 0
    x = (rng.normal(size=(kinds * 3, 12))[label] + 2 * rng.normal(size=(300, 12))).astype(np.float32) * 5 + 3
    found = linear(x[:200], label[:200], x[200:], label[200:])
    scaler = StandardScaler().fit(x[:200].astype(np.float64))
    known = LogisticRegression(C=STRENGTH, max_iter=5000, tol=1e-8).fit(scaler.transform(x[:200]), label[:200])
    scores = known.predict_proba(scaler.transform(x[200:]))
    assert (found.predicted == known.predict(scaler.transform(x[200:]))).mean() >= 0.99
    best = known.classes_[np.argsort(-scores, axis=1)[:, :5]]
    if kinds > 5:
        assert found.top5 == pytest.approx(np.mean([y in row for y, row in zip(label[200:], best)]), abs=0.011)
    else:
        assert found.top5 is None
    assert found.top1 == found.hit[:, 0].mean() and (found.hit[:, 1] >= found.hit[:, 0]).all()


def test_a_class_that_was_not_learnt_is_never_right() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4))
    found = linear(x[:20], np.arange(20) % 2, x[20:], np.full(10, 9))
    assert found.top1 == 0 and found.top5 is None, "five guesses of two classes say nothing"
    with pytest.raises(InputError, match="not all finite"):
        linear(x[:20] * np.inf, np.arange(20) % 2, x[20:], np.zeros(10))


def test_features_do_not_depend_on_the_batch_and_a_clip_without_sound_has_none() -> None:
    clips, kind = made_clips(20)
    flags = clips.flags.copy()
    flags[4, 1] = 0
    clips = TinyClips(clips.format, clips.frames, clips.sound, flags)
    model = AudioVisual("tiny").eval()
    whole = features(model, clips, np.arange(20), "cpu")
    single = [features(model, clips, np.array([i]), "cpu") for i in range(20)]
    for name in ("picture", "sound"):
        assert np.allclose(whole[name], np.concatenate([one[name] for one in single]), atol=1e-5)
    assert not whole["sound"][4].any() and whole["picture"][4].any()
    question = ProbeSet("both", "both", clips, np.arange(12), np.arange(12, 20), kind, np.arange(20))
    assert probe(model, question, "cpu").top1 > 0.5


@pytest.mark.parametrize(
    "train, test, label, words",
    [
        ([0, 1], [], [0, 1, 0], "no clips to be tested on"),
        ([0, 1], [1, 2], [0, 1, 0], "both learnt from and tested on"),
        ([0, 1], [2], [0, 0, 1], "one class only"),
        ([0, 1], [2], [0, 1, -1], "1 clips of the probe q have no label"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(train: list, test: list, label: list, words: str) -> None:
    clips, _ = made_clips(3)
    rows = [np.array(part, np.int64) for part in (train, test)]
    with pytest.raises(InputError, match=words):
        ProbeSet("q", "picture", clips, rows[0], rows[1], np.array(label), np.arange(3))


# -- intervals ---------------------------------------------------------------------------------------------------------


def test_an_interval_covers_what_is_true_about_as_often_as_it_says() -> None:
    """Clips of 40 sources that share a lot, five seeds with a spread of their own."""
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(40), 5)
    inside = 0
    for trial in range(150):
        values = rng.normal(0.1, 0.02, (5, 1)) + rng.normal(0, 0.2, 40)[source] + rng.normal(0, 0.3, (5, 200))
        found = mean_interval(values, source, seed=trial)
        inside += found.low <= 0.1 <= found.high
    assert inside >= 0.91 * 150


def test_an_interval_of_few_sources_covers_as_well() -> None:
    rng = np.random.default_rng(1)
    source = np.repeat(np.arange(5), 20)
    inside = 0
    for trial in range(150):
        values = 0.1 + rng.normal(0, 0.2, 5)[source] + rng.normal(0, 0.1, (5, 100))
        found = mean_interval(values, source, seed=trial)
        inside += found.low <= 0.1 <= found.high
    assert inside >= 0.91 * 150


def test_pairs_of_two_sources_vary_with_both() -> None:
    """Every photograph with several recordings and the other way round: one of them alone promises too much."""
    rng = np.random.default_rng(4)
    recording, photograph = np.repeat(np.arange(12), 10), np.tile(np.arange(10), 12)
    inside, alone = 0, 0
    for trial in range(100):
        values = 0.1 + rng.normal(0, 0.2, 12)[recording] + rng.normal(0, 0.2, 10)[photograph]
        values = values + rng.normal(0, 0.1, (5, 120))
        both = mean_interval(values, recording, photograph, seed=trial)
        inside += both.low <= 0.1 <= both.high
        one = mean_interval(values, recording, seed=trial)
        alone += one.low <= 0.1 <= one.high
        assert both.sources == 10 and both.source_error > one.source_error
    assert inside >= 92 and alone < 90


def test_sources_within_sources_are_resampled_as_the_coarser() -> None:
    values = np.random.default_rng(0).random((3, 60))
    film, shot = np.arange(60) // 10, np.arange(60) // 2
    assert mean_interval(values, shot, film) == mean_interval(values, film, shot) == mean_interval(values, film)
    assert mean_interval(values, film, film) == mean_interval(values, film)
    assert mean_interval(values, shot, np.zeros(60, int)).low == -math.inf, "one photograph says nothing of others"


def test_an_interval_by_hand() -> None:
    values = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    found = mean_interval(values, np.array([0, 0, 1, 1]))
    assert found.value == 0.375 and found.seeds == 2 and found.sources == 2
    assert found.seed_error == pytest.approx(0.125)
    assert found.source_error == pytest.approx(0.375, rel=0.05), "sources of 0.75 and 0: their deviation / sqrt(2)"
    assert found.low < 0.375 < found.high and found.of_share().low == 0.0
    alone = mean_interval(values[:1], np.arange(4))
    assert alone.low == -math.inf and smallest_visible(0.01, 1) == math.inf
    one_source = mean_interval(values, np.zeros(4, int))
    assert (one_source.low, one_source.high) == (-math.inf, math.inf), "nothing is known of other sources"
    with pytest.raises(InputError, match="do not fit 3 test clips"):
        mean_interval(values, np.arange(3))


# -- power -------------------------------------------------------------------------------------------------------------


def made_hits(rise: float, n: int = 200, seeds: int = 5, spread: float = 0.01) -> np.ndarray:
    rng = np.random.default_rng(3)
    level = 0.5 + rise * np.array(SHARES)[:, None, None] + rng.normal(0, spread, (5, seeds, 1))
    return rng.random((5, seeds, n)) < level


def test_the_verdict_tells_where_accuracy_rises_and_not_where_it_does_not() -> None:
    source = np.arange(200) // 4
    rises = judge("pictures", SHARES, made_hits(0.3), source)
    assert rises.tells and abs(rises.slope.value - 0.3) < 0.06 and rises.verdict.startswith("This evaluation can tell")
    assert rises.shares == tuple(sorted(SHARES)) and rises.levels[0].value < rises.levels[-1].value
    assert 0 < rises.smallest < 0.15 and rises.smallest_share == pytest.approx(rises.smallest / rises.slope.value)
    flat = judge("pictures", SHARES, made_hits(0.0), source)
    assert not flat.tells and "cannot tell" in flat.verdict and "smallest difference" in flat.verdict
    falls = judge("pictures", SHARES, made_hits(-0.3), source)
    assert not falls.tells
    one = judge("pictures", SHARES, made_hits(0.3, seeds=1), source)
    assert not one.tells and "one seed" in one.verdict
    film = judge("pictures", SHARES, made_hits(0.3), np.zeros(200, int))
    assert not film.tells and "of one source" in film.verdict
    with pytest.raises(InputError, match="two shares"):
        judge("pictures", [1.0], made_hits(0.3)[:1], source)


def test_as_many_sounds_are_wrong_as_asked_for_and_the_clips_stay_the_same() -> None:
    right = PairSet.of_clips("right", np.arange(100, 180))
    kind = np.arange(80) % 8
    sets = {share: degraded(right, share, 0, kind=kind) for share in SHARES}
    for share, found in sets.items():
        wrong = found.sound != found.picture
        assert wrong.sum() == round(80 * (1 - share)) and found.facts["right"] == pytest.approx(share)
        assert sorted(found.sound) == list(range(100, 180)) and np.array_equal(found.picture, right.picture)
        assert (kind[found.sound[wrong] - 100] != kind[wrong]).all(), "a wrong sound is of another class"
    assert set(np.flatnonzero(sets[0.75].sound != right.sound)) < set(np.flatnonzero(sets[0.25].sound != right.sound))
    assert not np.array_equal(degraded(right, 0.5, 1).sound, degraded(right, 0.5, 2).sound)
    with pytest.raises(InputError, match="between 0 and 1"):
        degraded(right, 1.5, 0)


def test_wrong_sounds_of_the_own_class_count_as_right() -> None:
    right, kind = PairSet.of_clips("right", np.arange(100)), np.repeat([0, 1], [90, 10])
    found = degraded(right, 0.0, 0, kind=kind)
    same = (kind[found.sound] == kind[found.picture]).mean()
    assert found.facts["right"] == pytest.approx(same) and same >= 0.8, "of 100 clips 90 are of one class"


# -- parts -------------------------------------------------------------------------------------------------------------


def test_parts_share_no_source() -> None:
    rng = np.random.default_rng(0)
    pictures = [[f"p{i}" for i in rng.integers(0, 300, rng.integers(1, 4))] for _ in range(500)]
    sounds = [[f"s{i}"] for i in rng.integers(0, 60, 500)]
    parts = split(pictures, sounds, seed=1)
    for names, part in ((pictures, parts.picture), (sounds, parts.sound)):
        found = {which: {n for own, p in zip(names, part) if p == which for n in own} for which in (POOL, LEARN, TEST)}
        assert not found[POOL] & found[LEARN] and not found[POOL] & found[TEST] and not found[LEARN] & found[TEST]
    assert set(parts.pool) == set(parts.rows("both", POOL)) and (parts.picture == ASTRIDE).any()
    assert parts.lost == ((parts.picture == ASTRIDE) & (parts.sound == ASTRIDE)).sum()
    for names, own, part in ((pictures, parts.picture_source, parts.picture),
                             (sounds, parts.sound_source, parts.sound)):  # fmt: skip
        tested = np.flatnonzero(part == TEST)
        told = {name: own[i] for i in tested for name in names[i]}
        assert all(told[name] == own[i] for i in tested for name in names[i]), (
            "who shares a source is resampled with it"
        )
    assert len(np.unique(parts.sound_source)) == 60
    alone = split([[str(i)] for i in range(100)])
    assert [len(alone.rows("both", part)) for part in (POOL, LEARN, TEST)] == [60, 20, 20]


def test_parts_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="too few sources"):
        split([["one"]] * 10)
    with pytest.raises(InputError, match="1 clips have no source"):
        split([["a"], []])
    with pytest.raises(SettingError, match="sum to 1"):
        split([["a"], ["b"]], shares=(0.5, 0.5, 0.5))


def test_near_duplicates_are_listed() -> None:
    rng = np.random.default_rng(0)
    clips, _ = made_clips(40)
    frames = rng.integers(0, 255, clips.frames[:, :1, ::5, ::5].shape).repeat(5, axis=2).repeat(5, axis=3)
    frames = np.repeat(frames, 2, axis=1).astype(np.uint8)
    sound = rng.normal(size=(40, 6, 8)).repeat(4, axis=1).repeat(8, axis=2).astype(np.float16)
    frames[31] = (frames[3] * 0.8 + 20).astype(np.uint8)  # darker, and still the same picture
    sound[32] = sound[5] + np.float16(0.7)
    frames[33], frames[7] = 90, 90  # even pictures are like nothing
    made = TinyClips(clips.format, frames, sound, clips.flags)
    found = overlap(made, np.arange(30), made, np.arange(30, 40))
    assert found.picture.tolist() == [[3, 31]] and found.sound.tolist() == [[5, 32]]
    assert np.flatnonzero(found.alike).tolist() == [3, 5]
