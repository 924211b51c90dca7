"""Clips of planted kinds, and what each selection method needs to choose among them."""

from __future__ import annotations

from typing import Any

import numpy as np

import curation
from curation.methods.registry import METHODS

MODALITIES = ["audio", "visual", "audio", "visual"]


def make_codes(n: int, k: int = 6, layers: int = 4, seed: int = 0, share: float = 0.5) -> np.ndarray:
    """Clusters int32 (n, layers); each is the clip's kind with chance `share`, else any."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, k, n)
    return np.where(rng.random((n, layers)) < share, kind[:, None], rng.integers(0, k, (n, layers))).astype(np.int32)


def select(codes: Any, **settings: Any) -> curation.Selection:
    """Three in ten of the clips chosen without controls, but for what `settings` say."""
    return curation.select(codes, MODALITIES, **({"budget": 0.3, "controls": False} | settings))


def needs_of(name: str, n: int, seed: int = 0) -> dict[str, Any]:
    """What a method cannot do without."""
    method, rng = METHODS[name], np.random.default_rng(seed)
    out: dict[str, Any] = {"method": name}
    if method.needs_features:
        out["features"] = [rng.normal(size=(n, d)).astype(np.float32) for d in (5, 7, 6, 5)]
    if name == "contrastive":
        out["options"] = {"steps": 20}
    if method.needs_like:
        out["like"] = rng.permutation(n)[: n // 3]
    return out
