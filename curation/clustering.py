"""Clustering feature vectors: features in, a `Clustering` out. Validates, scales, trains, assigns in blocks.

`cluster` does all of it for an array. For more than fits in memory `fit` learns clusters of a sample, and `assign_rows`
assigns any rows that can be read by number, in one pass for several runs of k-means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from curation.checks import DEVICES, check_choice, check_seed, check_whole
from curation.errors import InputError, SettingError
from curation.kernels.draws import STREAM_KMEANS, shuffle_front, stream_key
from curation.kernels.kmeans_rows import scale_rows, squared_distances, unusable_rows

if TYPE_CHECKING:
    from curation.feature_rows import FeatureRows
    from curation.kernels.kmeans import Assigner, Rounds

TRAIN_BYTES_MAX = 2 << 30  # more training rows than this, as float32, are sampled
_PCA_ROWS = 16_384
_BLOCK_BYTES = 64 << 20
FEW = 1 << 26  # differences (rows x clusters x values) that NumPy forms faster than faiss is loaded


def auto_n_clusters(n: int) -> int:
    """Number of clusters for `n` clips where nobody chose one: sqrt(n / 4) rounded, kept within 2 and 32."""
    return min(32, max(2, round((n / 4) ** 0.5)))


@dataclass(frozen=True)
class Clustering:
    """k-means of N feature vectors into K clusters, none of them empty.

    `assignments` int32 (N,), 0..K-1. `centroids` float32 (K, dim), in the space that was clustered (scaled,
    projected). `sizes` int64 (K,). `inertia`: sum of squared Euclidean distances to the own centroid in that space.
    `distances` float32 (N,): those distances, not squared. `transform`: arrays that lead there, `mean` and `scale`
    float64 (d,) and `components` float32 (dim, d); empty where the features were taken as they are. `report`: device
    and why, notices, settings; ready for JSON.
    """

    assignments: np.ndarray
    centroids: np.ndarray
    sizes: np.ndarray
    inertia: float
    distances: np.ndarray
    transform: Mapping[str, np.ndarray]
    report: dict[str, Any] = field(default_factory=dict)

    def assign(self, features: Any) -> np.ndarray:
        """Nearest cluster of new rows, int32 (M,); `features` float (M, d) as those that were clustered."""
        return nearest_clusters(features, self.centroids, self.transform)[0]


def nearest_clusters(
    features: Any, centroids: np.ndarray, transform: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest cluster, int32 (M,), and distance to its centroid, float32 (M,), of rows that join clusters made before.

    `features` float (M, d) as those that were clustered; `centroids` and `transform` as of a `Clustering`. Few rows
    need neither faiss nor torch, which take longer to load than the work does; ties go to the lower cluster there too.
    Raises `InputError` for another number of values a row, NaN and infinities.
    """
    x = _check_features(features, allow_empty=True)
    wanted = len(transform["mean"]) if "mean" in transform else centroids.shape[1]
    if x.shape[1] != wanted:
        raise InputError(f"The features have {x.shape[1]} values a row, the clustering was made of {wanted}.")
    if not len(x):
        return np.zeros(0, np.int32), np.zeros(0, np.float32)
    _check_finite(x)
    if len(x) * centroids.size <= FEW:
        labels, squared = _assign_few(x, centroids, transform)
    else:
        from curation.kernels import kmeans

        with threadpool_limits(1, "blas"):
            labels, squared = _assign_all(x, centroids, transform, kmeans.Assigner())
    return labels, np.sqrt(squared).astype(np.float32)


@dataclass(frozen=True)
class Fit:
    """Clusters without the rows that are in them: `centroids`, `transform` and `report` as of a `Clustering`."""

    centroids: np.ndarray
    transform: Mapping[str, np.ndarray]
    report: dict[str, Any] = field(default_factory=dict)


def cluster(
    features: Any,
    n_clusters: int | str,
    *,
    seed: int = 0,
    device: str = "auto",
    standardize: bool = True,
    pca_dim: int | None = None,
    n_iter: int = 25,
    max_points_per_centroid: int | None = None,
    progress: Any = None,
) -> Clustering:
    """k-means (Lloyd's rounds with faiss, started by k-means++) of the rows of `features`.

    `features` float (N, d), float16 and memory-mapped ones too; not changed, read in blocks. `n_clusters`: a number,
    or "auto" for `auto_n_clusters(N)`; more than there are distinct rows become as many as there are, with a notice.
    `standardize` scales every feature to mean 0 and deviation 1 (constant ones to 0), then `pca_dim` projects onto so
    many principal components (of a seeded sample of 16,384 rows). Trained on all rows, or on a seeded sample of
    `max_points_per_centroid` a cluster, or of as many as fit 2 GiB; all rows are assigned. `device` "auto" takes a
    GPU where faiss sees one. On the CPU the result is the same, bit for bit, for any number of threads. `progress`:
    an object with `check_cancelled()`. Raises `InputError`, `SettingError`.
    """
    from curation.kernels import kmeans  # torch and faiss are loaded here, not with the package

    started = time.perf_counter()
    x = _check_features(features)
    found = fit(
        x, n_clusters, seed=seed, device=device, standardize=standardize, pca_dim=pca_dim, n_iter=n_iter,
        max_points_per_centroid=max_points_per_centroid, on_round=_checker(progress),
    )  # fmt: skip
    with threadpool_limits(1, "blas"):  # matrix products outside faiss must not depend on the number of threads either
        assigner = kmeans.Assigner(found.report["device"]["used"])
        labels, squared = _assign_all(x, found.centroids, found.transform, assigner)
    labels, centroids, sizes = without_empty(labels, found.centroids)
    if len(centroids) < len(found.centroids):
        found.report["notices"].append(f"{len(found.centroids) - len(centroids)} clusters without a row were dropped.")
    report = found.report | {"n_clusters": len(centroids), "seconds": time.perf_counter() - started}
    distances = np.sqrt(squared).astype(np.float32)
    return Clustering(labels, centroids, sizes, float(squared.sum()), distances, found.transform, report)


def fit(
    features: Any,
    n_clusters: int | str,
    *,
    seed: int = 0,
    device: str = "auto",
    threads: int = 0,
    standardize: bool = True,
    pca_dim: int | None = None,
    n_iter: int = 25,
    max_points_per_centroid: int | None = None,
    begun: Rounds | None = None,
    on_round: Callable[[Rounds], None] = lambda _rounds: None,
) -> Fit:
    """As `cluster`, without assigning. `threads` 0 = one a core; `begun`, `on_round`: as of `kernels.kmeans.train`."""
    from curation.kernels import kmeans

    started = time.perf_counter()
    x = _check_features(features)
    check_seed(seed)
    check_whole("n_iter", n_iter, 1, 100_000)
    k = auto_n_clusters(len(x)) if n_clusters == "auto" else check_whole("n_clusters", n_clusters, 1, 10_000_000)
    if max_points_per_centroid is not None:
        check_whole("max_points_per_centroid", max_points_per_centroid, 1, 2**31 - 1)
    if pca_dim is not None:
        check_whole("pca_dim", pca_dim, 1, 2**31 - 1)
    used, why = choose_device(device)
    _check_finite(x)
    notices: list[str] = []
    with threadpool_limits(1, "blas"):
        transform = _fit_transform(x, standardize, pca_dim, seed, notices)
        train_rows = _train_rows(len(x), _dim(x, transform), k, max_points_per_centroid, seed, notices)
        train = _transformed(x, train_rows, transform)
        wanted = _distinct_clusters(train, k, notices)
        centroids, reseeded = kmeans.train(
            train, wanted, seed=seed, n_iter=n_iter, assigner=kmeans.Assigner(used, threads), begun=begun,
            on_round=on_round,
        )  # fmt: skip
    if len(centroids) < wanted:
        notices.append(f"{wanted - len(centroids)} of {wanted} clusters stayed empty and were dropped.")
    report = {
        "device": {"used": used, "why": why},
        "n_clusters_asked": k,
        "n_clusters": len(centroids),
        "n_rows": len(x),
        "n_trained_on": len(train),
        "dim": int(centroids.shape[1]),
        "standardize": bool(standardize),
        "pca_dim": pca_dim,
        "n_iter": n_iter,
        "seed": int(seed),
        "reseeded": reseeded,
        "notices": notices,
        "seconds": time.perf_counter() - started,
    }
    return Fit(centroids, transform, report)


def assign_rows(
    features: FeatureRows | np.ndarray,
    rows: np.ndarray,
    runs: Sequence[np.ndarray],
    transforms: Sequence[Mapping[str, np.ndarray]],
    *,
    device: str = "auto",
    threads: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of `rows` int64 (m,), rising, in each of several runs of k-means, read once, block by block.

    `runs`: centroids; `transforms`: the way to their space, which differ in `components` alone. Returns the labels,
    int32 (runs, m), and the squared distance to the first run's centroid, float64 (m,). On the CPU the same bits for
    any number of threads. Raises `InputError` for NaN and infinities.
    """
    from curation.kernels import kmeans

    scaling = {name: transforms[0][name] for name in ("mean", "scale") if name in transforms[0]}

    def read(at: slice) -> list[np.ndarray]:
        part = features[rows[at]].astype(np.float32, copy=False)
        _check_finite(part, rows[at])
        scaled = _apply(part, scaling)
        return [_projected(scaled, transform) for transform in transforms]

    with threadpool_limits(1, "blas"):
        return kmeans.assign_runs(read, len(rows), runs, kmeans.Assigner(choose_device(device)[0], threads))


def without_empty(labels: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (n,), -1 for none, and centroids without the clusters that no row is in, and the sizes, int64 (K,)."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(centroids)).astype(np.int64)
    keep = sizes > 0
    if keep.all():
        return labels, centroids, sizes
    renumbered = np.append(np.cumsum(keep) - 1, -1).astype(labels.dtype)  # the last is where -1 points
    return renumbered[labels], centroids[keep], sizes[keep]


def choose_device(device: str) -> tuple[str, str]:
    """ "cpu" or "cuda", and why. Raises `SettingError` where CUDA is asked for and faiss sees none."""
    check_choice("device", device, DEVICES)
    if device == "cpu":
        return "cpu", "asked for"
    from curation.kernels import kmeans

    if kmeans.gpu_count() > 0:
        return "cuda", "asked for" if device == "cuda" else "faiss sees a GPU"
    if device == "cuda":
        raise SettingError(
            "device='cuda' was asked for, but faiss sees no GPU.", hint="Use device='auto' or device='cpu'."
        )
    return "cpu", "faiss sees no GPU"


def _checker(progress: Any) -> Callable[[Rounds], None]:
    def on_round(_rounds: Rounds) -> None:
        if progress is not None:
            progress.check_cancelled()

    return on_round


def _check_features(features: Any, *, allow_empty: bool = False) -> np.ndarray:
    try:
        x = np.asarray(features)
    except ValueError as error:
        raise InputError(f"features is not a table of numbers: {error}.") from error
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(f"features must be of shape (clips, values), got {x.shape}.")
    if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
        raise InputError(f"features must be numbers, got {x.dtype}.")
    if not len(x) and not allow_empty:
        raise InputError("features has no rows: there is nothing to cluster.")
    return x


def _blocks(n_rows: int, dim: int) -> list[slice]:
    """Row slices of about 64 MiB each as float64."""
    step = max(1024, _BLOCK_BYTES // (8 * dim))
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]


def _check_finite(x: np.ndarray, names: np.ndarray | None = None) -> None:
    """Refuse NaN, infinities, and values whose squares overflow float32. `names`: row numbers to say, int (n,)."""
    bad, first = 0, -1
    for block in _blocks(*x.shape):
        wrong, at = unusable_rows(np.ascontiguousarray(x[block], np.float32))
        first = block.start + at if wrong and first < 0 else first
        bad += wrong
    if bad:
        raise InputError(
            f"{bad} of {len(x)} feature rows hold NaN or infinite values, or beyond 1e15; the first is row "
            f"{first if names is None else names[first]}.",
            hint="Leave out the clips whose features failed (valid.npy says which).",
        )


def _fit_transform(
    x: np.ndarray, standardize: bool, pca_dim: int | None, seed: int, notices: list[str]
) -> dict[str, np.ndarray]:
    """The arrays of `Clustering.transform`."""
    n, d = x.shape
    if not standardize and pca_dim is None:
        return {}
    blocks = _blocks(n, d)
    mean = sum(x[block].astype(np.float64).sum(axis=0) for block in blocks) / n
    scale = np.ones(d)
    if standardize:
        variance = sum(((x[block] - mean) ** 2).sum(axis=0) for block in blocks) / n
        # What is left of a constant column is rounding, not signal
        constant = variance <= (1e-6 * np.abs(mean)) ** 2
        scale = np.where(constant, np.inf, np.sqrt(variance))
        if constant.any():
            notices.append(f"{int(constant.sum())} of {d} features are the same in all rows and tell nothing.")
    transform = {"mean": mean, "scale": scale}
    if pca_dim is not None:
        rows = _sampled_rows(n, max(_PCA_ROWS, 4 * d), seed, 2)
        sample = _transformed(x, rows, transform).astype(np.float64)
        dim = min(pca_dim, d, max(1, len(sample) - 1))
        if dim < pca_dim:
            notices.append(
                f"pca_dim={pca_dim} is more than these {len(sample)} rows of {d} values allow: {dim} are used."
            )
        _, vectors = np.linalg.eigh(sample.T @ sample)
        components = vectors[:, ::-1][:, :dim].T
        # An eigenvector's sign is arbitrary: the largest entry is made positive
        components *= np.sign(components[np.arange(dim), np.abs(components).argmax(axis=1)])[:, None]
        transform["components"] = np.ascontiguousarray(components, dtype=np.float32)
    return transform


def _dim(x: np.ndarray, transform: Mapping[str, np.ndarray]) -> int:
    return len(transform["components"]) if "components" in transform else x.shape[1]


def _transformed(x: np.ndarray, rows: np.ndarray | slice, transform: Mapping[str, np.ndarray]) -> np.ndarray:
    """Those rows of `x` in the space that is clustered: float32, C order; index arrays block by block."""
    if isinstance(rows, slice):
        return _apply(x[rows], transform)
    out = np.empty((len(rows), _dim(x, transform)), np.float32)
    for block in _blocks(len(rows), x.shape[1]):
        out[block] = _apply(x[rows[block]], transform)
    return out


def _apply(part: np.ndarray, transform: Mapping[str, np.ndarray]) -> np.ndarray:
    if "mean" not in transform:
        return np.ascontiguousarray(part, dtype=np.float32)
    scaled = np.empty(part.shape, np.float32)
    if np.can_cast(part.dtype, np.float32):
        scale_rows(np.ascontiguousarray(part, np.float32), transform["mean"], transform["scale"], scaled)
    else:  # of float64, and of large whole numbers, nothing is lost before the mean is taken off
        np.divide(part - transform["mean"], transform["scale"], out=scaled, casting="same_kind")
    return _projected(scaled, transform)


def _projected(scaled: np.ndarray, transform: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(scaled @ transform["components"].T) if "components" in transform else scaled


def _sampled_rows(n: int, take: int, seed: int, word: int) -> np.ndarray:
    """All rows, or a seeded sample of them, in rising order."""
    rows = np.arange(n)
    if take >= n:
        return rows
    shuffle_front(rows, take, np.uint64(stream_key(seed, STREAM_KMEANS, word)))
    return np.sort(rows[:take])


def _train_rows(n: int, dim: int, k: int, per_centroid: int | None, seed: int, notices: list[str]) -> np.ndarray:
    """Rows that k-means is trained on."""
    take = min(n, max(k, TRAIN_BYTES_MAX // (4 * dim)))
    if take < n:
        notices.append(
            f"Trained on a sample of {take} of {n} rows, as many as fit the memory set aside; all are assigned."
        )
    if per_centroid is not None and per_centroid * k < take:
        take = per_centroid * k
        notices.append(f"Trained on a sample of {take} of {n} rows ({per_centroid} a cluster); all are assigned.")
    return _sampled_rows(n, take, seed, 3)


def _distinct_clusters(train: np.ndarray, k: int, notices: list[str]) -> int:
    """k, or as many as there are distinct rows."""
    from curation.kernels import kmeans

    distinct = kmeans.count_distinct(train, k)
    if distinct >= k:
        return k
    if len(train) == 1:
        notices.append(f"One clip is one cluster; {k} were asked for.")
    elif distinct == 1:
        notices.append(f"All {len(train)} rows are the same: one cluster; {k} were asked for.")
    else:
        notices.append(f"There are only {distinct} distinct rows: {distinct} clusters instead of {k}.")
    return distinct


def _assign_all(
    x: np.ndarray, centroids: np.ndarray, transform: Mapping[str, np.ndarray], assigner: Assigner
) -> tuple[np.ndarray, np.ndarray]:
    """Labels int32 (N,) and squared distances float64 (N,), in blocks."""
    from curation.kernels import kmeans

    labels, squared = kmeans.assign_runs(lambda at: [_apply(x[at], transform)], len(x), [centroids], assigner)
    return labels[0], squared


def _assign_few(
    x: np.ndarray, centroids: np.ndarray, transform: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """As `_assign_all`, one row at a time: labels of the differences, distances by its kernel, to the bit."""
    labels, squared = np.empty(len(x), np.int32), np.empty(len(x))
    centroids = np.array(centroids, np.float32)  # a mapped one would have the kernel compiled again
    for i in range(len(x)):
        row = _transformed(x, slice(i, i + 1), transform)
        to_each = ((centroids.astype(np.float64) - row) ** 2).sum(axis=1)
        labels[i] = int(np.argmin(to_each))
        squared_distances(row, centroids, labels[i : i + 1], squared[i : i + 1])
    return labels, squared
