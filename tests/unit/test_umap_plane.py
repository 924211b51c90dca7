"""UMAP of short vectors: kinds stay together, the rest is placed among them, and threads change nothing."""

from __future__ import annotations

import numpy as np

from curation.kernels.umap_plane import _Search, umap_plane


def test_kinds_lie_apart_whether_fitted_or_placed_for_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(4, size=400)
    x = rng.normal(size=(4, 16))[kinds] * 3 + rng.normal(size=(400, 16))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)
    x[1] = x[0]
    fitted = np.arange(0, 400, 2)
    xy = umap_plane(x, fitted, 0, threads=1)
    assert xy.dtype == np.float32 and np.isfinite(xy).all()
    assert (xy == umap_plane(x, fitted, 0, threads=3)).all()
    centre = np.stack([xy[fitted][kinds[fitted] == kind].mean(0) for kind in range(4)])
    nearest = np.linalg.norm(xy[:, None] - centre, axis=2).argmin(1)
    assert (nearest == kinds)[fitted].mean() > 0.95 and (nearest == kinds)[1::2].mean() > 0.95
    assert umap_plane(x[:3], np.arange(3), 0).shape == (3, 2) and umap_plane(x[:0], np.arange(0), 0).shape == (0, 2)


def test_lists_find_nearly_what_exact_search_finds() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=(20_500, 16)).astype(np.float32)
    queries = rng.normal(size=(200, 16)).astype(np.float32)
    search = _Search(base, 1, lambda: None)
    exact, distance = search.nearest(queries, np.arange(200), 5)
    assert (np.diff(distance) >= 0).all()
    search.use_lists()
    found, _ = search.nearest(queries, np.arange(200), 5)
    assert np.mean([len(np.intersect1d(a, b)) / 5 for a, b in zip(found, exact)]) > 0.5
