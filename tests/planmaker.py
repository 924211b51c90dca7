"""Made assignments and plans of the tests of selection, and the slow plain run of a plan."""

from __future__ import annotations

from typing import Any

import numpy as np

from curation.kernels.contingency import Rows, make_layout
from curation.kernels.greedy_plan import Plan
from curation.kernels.pairing import pair_indices
from tests import reference

MODALITIES = ["audio", "visual", "audio", "visual"]


def made_codes(n: int, k: int = 6, layers: int = 4, seed: int = 0, share: float = 0.5) -> np.ndarray:
    """Assignments int32 (n, layers) that name the clip's kind in `share` of all cases."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, k, n)
    return np.where(rng.random((n, layers)) < share, kind[:, None], rng.integers(0, k, (n, layers))).astype(np.int32)


def made_plan(codes: np.ndarray, pairing: str = "bipartite", equal: bool = False, **settings: Any) -> Plan:
    """A run of 60 clips in batches of 20, 5 of each taken, with uneven weights."""
    is_audio = np.array([m == "audio" for m in MODALITIES])
    pairs = pair_indices(is_audio, pairing)
    rng = np.random.default_rng(1)
    weights = np.ones(len(pairs)) if equal else rng.random(len(pairs))
    return Plan(
        rows=Rows(codes, np.zeros(0, np.int32), is_audio),
        layout=make_layout(pairs, codes.max(axis=0) + 1),
        weights=weights / weights.sum(),
        **({"budget": 60, "batch_size": 20, "selection_size": 5, "seed": 3} | settings),
    )


def finished(engine: Any, batches: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a run gives, done to its end in small steps."""
    while engine.step(batches):
        pass
    return engine.result()


def plain(plan: Plan, codes: np.ndarray) -> tuple[list[int], list[float]]:
    """Order and gains of the slow plain version."""
    if len(plan.rows.partner):
        codes = np.where(plan.rows.swapped, codes[plan.rows.partner], codes)
    return reference.batch_greedy(
        codes,
        list(zip(plan.layout.first.tolist(), plan.layout.second.tolist(), strict=True)),
        plan.weights.tolist(),
        budget=plan.budget,
        batch_size=plan.batch_size,
        selection_size=plan.selection_size,
        seed=plan.seed,
        queue=plan.queue,
        included=plan.included.tolist(),
        excluded=plan.excluded.tolist(),
        group=plan.group.tolist() if len(plan.group) else None,
        group_max=plan.group_max,
        duration_us=plan.duration_us.tolist() if len(plan.duration_us) else None,
        limit_us=plan.limit_us,
    )
