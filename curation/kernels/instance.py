"""Instance-level scores without clusters: features of two modalities in, a similarity a clip out."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

_BLOCK = 1 << 15
KINDS = ("inner-product", "cosine", "l1", "l2")


def principal_components(features: np.ndarray, fit: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean float64 (d,) and the first `dim` principal components float64 (dim, d) of the rows `fit` int (m,).

    Every component's largest entry is positive, so signs do not depend on the library. Covariance in float64, on one
    thread: the same bits everywhere.
    """
    total = np.zeros(features.shape[1])
    for start in range(0, len(fit), _BLOCK):
        total += features[fit[start : start + _BLOCK]].sum(axis=0, dtype=np.float64)
    mean = total / len(fit)
    covariance = np.zeros((features.shape[1],) * 2)
    with threadpool_limits(1, "blas"):
        for start in range(0, len(fit), _BLOCK):
            centred = features[fit[start : start + _BLOCK]] - mean
            covariance += centred.T @ centred
        _, vectors = np.linalg.eigh(covariance)
    components = vectors[:, ::-1][:, :dim].T
    largest = np.abs(components).argmax(axis=1)
    return mean, components * np.sign(components[np.arange(len(components)), largest])[:, None]


def similarity(x: np.ndarray, y: np.ndarray, kind: str) -> np.ndarray:
    """Of every row of `x` with that of `y`, float64 (n, dim) each: inner product, cosine, or minus the L1 or L2
    distance; float64 (n,). The cosine of a zero vector is 0.
    """
    if kind == "inner-product":
        return (x * y).sum(axis=1)
    if kind == "cosine":
        size = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        return np.divide((x * y).sum(axis=1), size, out=np.zeros(len(x)), where=size > 0)
    if kind == "l1":
        return -np.abs(x - y).sum(axis=1)
    return -np.sqrt(((x - y) ** 2).sum(axis=1))


def instance_scores(
    features: list[np.ndarray],
    rows: list[np.ndarray | None],
    pairs: np.ndarray,
    weights: np.ndarray,
    fit: np.ndarray,
    kind: str,
    dim: int,
) -> np.ndarray:
    """Weighted mean over the pairs of the similarity of the first `dim` principal components, float64 (N,).

    `features`: one float (N, d_k) a layer, d_k >= dim; `rows[k]` int (N,): which row of layer k belongs to each clip,
    None = its own; `fit` int (m,): rows that the components are of. Memory: a block of clips at a time.
    """
    used = np.unique(pairs)
    fits = {k: principal_components(features[k], fit, dim) for k in used}
    n = len(features[0])
    out = np.zeros(n)
    with threadpool_limits(1, "blas"):
        for start in range(0, n, _BLOCK):
            block = slice(start, min(n, start + _BLOCK))
            projected = {}
            for k in used:
                own = rows[k]
                x = features[k][block] if own is None else features[k][own[block]]
                projected[k] = (x - fits[k][0]) @ fits[k][1].T
            for (a, b), w in zip(pairs.tolist(), weights.tolist(), strict=True):
                if w:
                    out[block] += w * similarity(projected[a], projected[b], kind)
    return out
