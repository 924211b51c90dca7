"""Methods that fit on a sample: who is in it, and that everyone else is judged as if counted afresh."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from curation.kernels.contingency import Rows, make_layout
from curation.kernels.greedy_plan import Plan
from curation.kernels.pairing import pair_indices
from curation.methods.base import Request
from curation.methods.fitting import make_fit
from tests.methodmaker import MODALITIES, make_codes, select


@pytest.mark.parametrize("name", ["ascent", "mixture"])
def test_a_sample_scores_the_others(name: str) -> None:
    codes = make_codes(6000, k=8)
    whole, part = (select(codes, method=name, options=options) for options in ({}, {"sample": 3000}))
    assert 2990 <= part.report["fitted_on"] <= 3000 and np.isfinite(part.scores).all()
    assert part.objective > 0.97 * whole.objective and np.corrcoef(whole.scores, part.scores)[0, 1] > 0.8


def _plain_request(codes: np.ndarray, group: np.ndarray, duplicate: np.ndarray, excluded: np.ndarray) -> Request:
    is_audio = np.array(MODALITIES) == "audio"
    layout = make_layout(pair_indices(is_audio, "bipartite"), codes.max(axis=0) + 1)
    rows = Rows(codes, np.zeros(0, np.int32), is_audio)
    plan = Plan(rows, layout, np.full(4, 0.25), 300, 100, 25, 0, excluded=excluded)
    return Request(plan, tuple("abcd"), group.astype(np.int32), duplicate.astype(np.int32))


def _groups_of_all_sizes() -> tuple[np.ndarray, np.ndarray]:
    """Sources int (2000,) of 1 to 400 clips, of which only the small ones fit a sample of 1,000 whole; duplicates."""
    rng = np.random.default_rng(6)
    group = np.concatenate([np.arange(700), 700 + np.arange(500) // 2, 1000 + np.arange(400) // 40, np.full(400, 1200)])
    duplicate = np.where(rng.random(2000) < 0.15, rng.integers(0, 120, 2000), -1)
    return rng.permutation(group), duplicate


def test_a_sample_judges_everyone_without_own_sources() -> None:
    """Clips inside, outside of it, and outside with their source inside: all as counted afresh, clip by clip."""
    codes, (group, duplicate) = make_codes(2000, k=5), _groups_of_all_sizes()
    excluded = np.arange(0, 2000, 25)
    request = _plain_request(codes, group, duplicate, excluded)
    fit = make_fit(request, 1000)
    assert fit.late is not None and 950 <= fit.n <= 1000
    assert not np.isin(excluded, fit.which).any()
    copies = duplicate[fit.which]
    assert np.unique(copies[copies >= 0], return_counts=True)[1].max() == 1
    weight = np.random.default_rng(1).integers(0, 3, fit.n).astype(np.int32)
    counts = fit.counts(weight)
    scores = fit.everyone(fit.judge(counts, counts, weight, weight, 0.5))
    assert (np.isnan(scores) == np.isin(np.arange(2000), excluded)).all()
    late = fit.late.which[fit.late.late]
    outside = np.setdiff1d(np.arange(2000), np.r_[fit.which, late, excluded])
    assert len(late) > 100 and len(outside) > 100
    for i in np.r_[fit.which[:40], late[:60], outside[:40]]:
        own = (group[fit.which] == group[i]) | ((duplicate[i] >= 0) & (duplicate[fit.which] == duplicate[i]))
        w, others = np.where(own, 0, weight), codes[fit.which]
        wanted = 0.0
        for a, b in zip(request.plan.layout.first, request.plan.layout.second, strict=True):
            in_a, in_b = others[:, a] == codes[i, a], others[:, b] == codes[i, b]
            expected = w[in_a].sum() * w[in_b].sum() / w.sum()
            wanted += 0.25 * math.log((w[in_a & in_b].sum() + 0.5) / (expected + 0.5))
        assert scores[i] == pytest.approx(wanted, abs=1e-9)


def test_a_sample_holds_every_clip_as_often() -> None:
    """Clips of small sources, taken whole, and of large ones, taken in parts, have the same chance."""
    codes, (group, _) = make_codes(2000, k=5), _groups_of_all_sizes()
    request = _plain_request(codes, group, np.zeros(0, np.int32), np.zeros(0, np.int64))
    held = np.zeros(2000)
    for seed in range(60):
        seeded = dataclasses.replace(request, plan=dataclasses.replace(request.plan, seed=seed))
        held[make_fit(seeded, 1000).which] += 1
    for part in (group < 700, (group >= 700) & (group < 1000), (group >= 1000) & (group < 1200), group == 1200):
        assert abs(held[part].mean() / 60 - 0.5) < 0.02


@pytest.mark.parametrize("name", ["ascent", "mixture"])
def test_own_sources_do_not_speak_for_themselves_in_a_sample(name: str) -> None:
    rng = np.random.default_rng(0)
    true = np.repeat(rng.integers(0, 8, 2000)[:, None], 4, axis=1)
    titles = np.arange(2000) // 200
    codes = np.concatenate([true, np.stack([titles + 8, titles + 20] * 2, axis=1)]).astype(np.int32)
    groups = np.concatenate([1000 + np.arange(2000), titles])
    found = select(codes, method=name, budget=1000, groups=groups, options={"sample": 1000})
    assert found.report["own_source_left_out"] and (found.order < 2000).mean() > 0.99
