"""Folds of whole sources, and decoys: pictures with another source's sound."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.decoys import decoy_partners, folds_of


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 300), st.integers(0, 2**32))
def test_folds_hold_whole_sources(n_sources: int, n: int, seed: int) -> None:
    source = np.unique(np.random.default_rng(seed).integers(0, n_sources, n), return_inverse=True)[1]
    fold = folds_of(source, 5, seed)
    assert all(len(np.unique(fold[source == s])) == 1 for s in np.unique(source))
    assert int(fold.max()) + 1 == min(5, int(source.max()) + 1)


def test_folds_are_about_equal_and_depend_on_the_seed() -> None:
    source = np.random.default_rng(0).integers(0, 500, 20_000)
    fold = folds_of(source, 5, 1)
    assert np.ptp(np.bincount(fold)) < 100
    assert (fold == folds_of(source, 5, 1)).all()
    assert (fold != folds_of(source, 5, 2)).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 40), st.integers(1, 4), st.integers(0, 2**32))
def test_decoys_permute_within_strata_and_leave_the_source(n_sources: int, n_strata: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stratum = np.repeat(np.arange(n_strata), 4 * n_sources)
    source = np.tile(np.arange(n_sources), 4 * n_strata)
    stratum, source = (values[rng.permutation(len(values))] for values in (stratum, source))
    # A source at most a third of a stratum: then every sound finds another source
    source = np.concatenate([np.arange(len(source)) % n_sources])
    partner, left = decoy_partners(source, stratum, seed)
    assert (np.sort(partner) == np.arange(len(partner))).all()
    assert (stratum[partner] == stratum).all()
    assert (source[partner] == source).sum() == left


def test_draws_differ_and_repeat() -> None:
    source, stratum = np.arange(300), np.arange(300) % 3
    first, left = decoy_partners(source, stratum, 5, 1)
    assert left == 0
    assert (first == decoy_partners(source, stratum, 5, 1)[0]).all()
    assert (first != decoy_partners(source, stratum, 5, 2)[0]).any()
    assert not (first == np.arange(300)).any()


def test_a_stratum_of_one_source_keeps_its_sounds_and_is_counted() -> None:
    partner, left = decoy_partners(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1]), 0)
    assert left == 2
    assert partner[2:].tolist() == [3, 2]
