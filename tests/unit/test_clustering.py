"""k-means: against a plain version, the same for any number of threads, small and bad data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import curation
from curation import clustering
from curation.errors import Cancelled, InputError, SettingError
from curation.kernels import kmeans
from tests import reference


def _blobs(n: int = 300, d: int = 6, kinds: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 10, (kinds, d))
    return (centres[np.arange(n) % kinds] + rng.normal(0, 1, (n, d))).astype(np.float32)


def _same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


def test_finds_blobs_and_describes_them() -> None:
    x = _blobs()
    found = curation.cluster(x, 3)
    assert _same_partition(found.assignments, np.arange(300) % 3)
    assert found.assignments.dtype == np.int32 and found.sizes.tolist() == [100, 100, 100]
    assert found.centroids.dtype == np.float32 and found.centroids.shape == (3, 6)
    z = (x - x.mean(0)) / x.std(0)
    squared = ((z - found.centroids[found.assignments]) ** 2).sum(1)
    assert found.inertia == pytest.approx(squared.sum(), rel=1e-4)
    assert found.distances == pytest.approx(np.sqrt(squared), rel=1e-3)
    assert found.assign(x).tolist() == found.assignments.tolist()
    assert found.assign(x[:0]).tolist() == []


@pytest.mark.parametrize("d", [1, 5, 16, 37, 128])
def test_a_few_rows_and_many_are_as_far_to_the_bit(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = _blobs(500, d, kinds=7, seed=d) / 7
    found = curation.cluster(x, 7)
    few = clustering.nearest_clusters(x, found.centroids, found.transform)
    monkeypatch.setattr(clustering, "FEW", 0)
    many = clustering.nearest_clusters(x, found.centroids, found.transform)
    assert (few[0] == many[0]).all() and few[1].tobytes() == many[1].tobytes() == found.distances.tobytes()
    squared, of_rows = clustering.assign_rows(x, np.arange(500), [found.centroids], [found.transform])[::-1]
    assert (of_rows[0] == few[0]).all() and np.sqrt(squared).astype(np.float32).tobytes() == few[1].tobytes()
    assert json.dumps(found.report, allow_nan=False)


def test_rounds_equal_plain_lloyd() -> None:
    x = _blobs(200, seed=3)
    start = kmeans.start_centroids(x, 5, seed=1)
    centroids, reseeded = kmeans.train(x, 5, seed=1, n_iter=4, assigner=kmeans.Assigner(threads=1))
    label, wanted = reference.lloyd(x.astype(np.float64), start.astype(np.float64), 4)
    assert reseeded == 0
    assert centroids == pytest.approx(wanted, rel=1e-4)
    assert kmeans.assign(x, centroids, kmeans.Assigner())[0].tolist() == label.tolist()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    x = np.random.default_rng(0).normal(size=(30_000, 32)).astype(np.float32)
    runs = []
    for threads in (1, 2, 3, 7):
        assigner = kmeans.Assigner(threads=threads)
        centroids, _ = kmeans.train(x, 24, seed=5, n_iter=3, assigner=assigner)
        label, squared = kmeans.assign(x, centroids, assigner)
        runs.append((centroids.tobytes(), label.tobytes(), squared.tobytes()))
    assert len(set(runs)) == 1


def test_repeats_and_seeds() -> None:
    x = np.random.default_rng(0).normal(size=(500, 8))
    one, two, other = (curation.cluster(x, 10, seed=seed) for seed in (1, 1, 2))
    assert one.assignments.tolist() == two.assignments.tolist()
    assert one.centroids.tobytes() == two.centroids.tobytes()
    assert not _same_partition(one.assignments, other.assignments)


def test_half_precision_memory_maps_are_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = _blobs(3000, d=4).astype(np.float16)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = curation.cluster(mapped, 3)
    assert _same_partition(found.assignments, np.arange(3000) % 3)
    monkeypatch.setattr(clustering, "_BLOCK_BYTES", 1)
    blocked = curation.cluster(mapped, 3)
    assert blocked.assignments.tolist() == found.assignments.tolist()
    assert (np.load(tmp_path / "x.npy") == x).all()


def test_scaling_and_projection() -> None:
    x = _blobs(300)
    stretched = x * np.array([1, 1e4, 1, 1, 1e-4, 1]) + 7
    assert _same_partition(curation.cluster(stretched, 3).assignments, np.arange(300) % 3)
    raw = curation.cluster(x, 3, standardize=False)
    assert raw.transform == {} and raw.assign(x).tolist() == raw.assignments.tolist()
    projected = curation.cluster(x, 3, pca_dim=2)
    assert projected.centroids.shape == (3, 2) and _same_partition(projected.assignments, np.arange(300) % 3)
    components = projected.transform["components"]
    assert components @ components.T == pytest.approx(np.eye(2), abs=1e-5)
    assert projected.assign(x).tolist() == projected.assignments.tolist()
    limited = curation.cluster(x, 3, pca_dim=99)
    assert limited.centroids.shape[1] == 6 and "6 are used" in limited.report["notices"][0]


def test_constant_features_tell_nothing() -> None:
    x = np.concatenate([_blobs(), np.full((300, 2), 0.1, np.float32)], axis=1)
    found = curation.cluster(x, 3)
    assert "2 of 8 features are the same" in found.report["notices"][0]
    assert found.assignments.tolist() == curation.cluster(x[:, :6], 3).assignments.tolist()


@pytest.mark.parametrize(
    ("x", "asked", "clusters", "says"),
    [
        (np.ones((1, 3)), 5, 1, "One clip is one cluster"),
        (np.ones((9, 3)), 5, 1, "All 9 rows are the same"),
        (np.eye(3)[np.arange(30) % 3], 8, 3, "only 3 distinct rows"),
        (np.array([[0.0], [-0.0], [1.0]]), 3, 2, "only 2 distinct rows"),
    ],
)
def test_fewer_distinct_rows_than_clusters(x: np.ndarray, asked: int, clusters: int, says: str) -> None:
    for standardize in (True, False):
        found = curation.cluster(x, asked, standardize=standardize)
        assert len(found.sizes) == clusters and (found.sizes > 0).all()
        assert any(says in notice for notice in found.report["notices"])
        assert len(np.unique(found.assignments)) == clusters


def test_no_cluster_is_empty_without_a_word() -> None:
    # A few rows far from thousands of equal ones: a sampled start cannot know them
    x = np.concatenate([np.zeros((20_000, 2)), np.arange(1, 6)[:, None] * [[3.0, 1.0]]])
    found = curation.cluster(x, 6, standardize=False)
    assert len(found.sizes) == 6 and (found.sizes > 0).all() and found.inertia == 0
    many = curation.cluster(np.random.default_rng(0).normal(size=(60, 2)), 59)
    assert (many.sizes > 0).all() and len(many.sizes) + len(many.report["notices"]) >= 59


def test_training_on_a_sample_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x = _blobs(3000)
    found = curation.cluster(x, 3, max_points_per_centroid=50)
    assert found.report["n_trained_on"] == 150 and "150 of 3000 rows (50 a cluster)" in found.report["notices"][0]
    assert _same_partition(found.assignments, np.arange(3000) % 3)
    monkeypatch.setattr(clustering, "TRAIN_BYTES_MAX", 4 * 6 * 1000)
    assert curation.cluster(x, 3).report["n_trained_on"] == 1000


@pytest.mark.parametrize(("n", "wanted"), [(1, 2), (16, 2), (160, 6), (1200, 17), (4096, 32), (10**8, 32)])
def test_auto_count(n: int, wanted: int) -> None:
    assert clustering.auto_n_clusters(n) == wanted


def test_auto_is_used() -> None:
    assert curation.cluster(_blobs(160), "auto").report["n_clusters_asked"] == 6


def test_bad_input_is_named() -> None:
    x = _blobs()
    broken = x.copy()
    broken[[4, 9], 2] = np.nan
    with pytest.raises(InputError, match=r"2 of 300 feature rows.*row 4"):
        curation.cluster(broken, 3)
    with pytest.raises(InputError, match="NaN or infinite"):
        curation.cluster(np.where(np.isnan(broken), np.inf, broken), 3)
    for bad, says in (
        (x[:0], "no rows"),
        (x[0], "shape"),
        (x > 0, "numbers"),
        (np.zeros((3, 0)), "shape"),
        ([[1], [1, 2]], "table"),
    ):
        with pytest.raises(InputError, match=says):
            curation.cluster(bad, 3)
    found = curation.cluster(x, 3)
    with pytest.raises(InputError, match="5 values a row, the clustering was made of 6"):
        found.assign(x[:, :5])
    with pytest.raises(InputError, match="NaN"):
        found.assign(broken)


@pytest.mark.parametrize(
    "settings",
    [{"n_clusters": 0}, {"n_clusters": "some"}, {"n_clusters": 2.5}, {"seed": 2**64}, {"n_iter": 0}, {"pca_dim": 0},
     {"device": "tpu"}, {"max_points_per_centroid": 0}],
)  # fmt: skip
def test_bad_settings_say_what_is_allowed(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="Allowed"):
        curation.cluster(_blobs(), **({"n_clusters": 3} | settings))


def test_devices() -> None:
    if kmeans.gpu_count():
        cpu, cuda = (curation.cluster(_blobs(), 3, device=device) for device in ("cpu", "cuda"))
        assert _same_partition(cpu.assignments, cuda.assignments)
    else:
        assert clustering.choose_device("auto") == ("cpu", "faiss sees no GPU")
        with pytest.raises(SettingError, match="faiss sees no GPU"):
            curation.cluster(_blobs(), 3, device="cuda")


def test_cancel_stops_training() -> None:
    class Stop:
        def check_cancelled(self) -> None:
            raise Cancelled

    with pytest.raises(Cancelled):
        curation.cluster(_blobs(), 3, progress=Stop())
