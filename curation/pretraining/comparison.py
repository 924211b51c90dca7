"""Curated against its controls, all redone for a seed: features of the pool in; sets to train on, and facts, out.

A seed makes clusterings, the choice, and random, content-matched random and all candidates as controls. Layers that
are held out take no part in a choice; their clusterings describe the sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.clustering import cluster
from curation.errors import InputError
from curation.information import mutual_information
from curation.pretraining.train import PairSet
from curation.selection import select

SETS = ("curated", "random", "matched random", "all")
SEEDS_APART = 1000  # between the k-means seeds of replicates, so that no two runs share one


@dataclass(frozen=True)
class Pool:
    """Candidates. `rows` int64 (n,): their rows among the tiny clips; `features`: layer -> float (n, d), layers named
    `audio` or `visual` in `modality`; `held_out`: layers that take no part; `group` int (n,): source, or empty;
    `right`: bool (n,) where it is known whether sound and picture belong together (an answer: it chooses nothing).
    """

    rows: np.ndarray
    features: Mapping[str, np.ndarray]
    modality: Mapping[str, str]
    held_out: tuple[str, ...] = ()
    group: np.ndarray | None = None
    right: np.ndarray | None = None
    title: np.ndarray | None = None
    start_s: np.ndarray | None = None

    def layers(self, *, held_out: bool) -> list[str]:
        """Names, sound first."""
        names = [name for name in self.features if (name in self.held_out) == held_out]
        return sorted(names, key=lambda name: (self.modality[name] != "audio", name))


@dataclass(frozen=True)
class Choice:
    """How a subset is chosen: arguments of `curation.selection.select`, clusters a layer, and runs of k-means."""

    budget: Any = 0.5
    method: str = "concord"
    n_clusters: int | str = "auto"
    replicates: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)


def default_held_out(modality: Mapping[str, str]) -> tuple[str, ...]:
    """The last layer of each modality that has three or more."""
    out = []
    for which in ("audio", "visual"):
        names = sorted(name for name, own in modality.items() if own == which)
        out += names[-1:] if len(names) >= 3 else []
    return tuple(out)


def sets_of(pool: Pool, choice: Choice, seed: int, sampling: Mapping[str, Any] | None = None) -> list[PairSet]:
    """`curated` and its three controls for a seed, in the order of `SETS`; each with facts on its content."""
    layers = pool.layers(held_out=False)
    modalities = [pool.modality[name] for name in layers]
    if len(set(modalities)) < 2:
        raise InputError("A choice needs layers of sound and of picture.", hint="Hold fewer layers out.")
    codes = _clustered(pool, layers, choice, seed, choice.replicates)

    def chosen_by(method: str, budget: Any, **more: Any) -> np.ndarray:
        return select(
            codes[0], modalities, layers=layers, method=method, budget=budget, groups=pool.group,
            replicates=codes[1:], seed=seed, controls=False, device="cpu", **more,
        ).order  # fmt: skip

    curated = chosen_by(choice.method, choice.budget, options=dict(choice.options))
    size = len(curated)
    like_it = chosen_by("matched-random", size, like=curated)
    chosen = dict(zip(SETS, (curated, chosen_by("random", size), like_it, np.arange(len(pool.rows))), strict=True))
    held_out = pool.layers(held_out=True)
    judged = _clustered(pool, held_out, choice, seed + 7 * SEEDS_APART, 1)[0] if held_out else None
    sets = [_pairs(pool, name, np.sort(chosen[name]), held_out, judged, sampling or {}) for name in SETS]
    for pairs in sets:  # MI is biased by the number of clips: it stands beside that of equal sets only
        if len(pairs.picture) != size:
            pairs.facts.pop("held_out_mi", None)
    return sets


def _clustered(pool: Pool, layers: Sequence[str], choice: Choice, seed: int, runs: int) -> list[np.ndarray]:
    """Assignments int32 (n, D) of `runs` runs of k-means."""
    return [
        np.stack(
            [
                cluster(pool.features[name], choice.n_clusters, seed=seed + SEEDS_APART * k, device="cpu").assignments
                for name in layers
            ],
            axis=1,
        )
        for k in range(max(1, runs))
    ]


def _pairs(
    pool: Pool, name: str, picked: np.ndarray, held_out: list[str], judged: np.ndarray | None,
    sampling: Mapping[str, Any],
) -> PairSet:  # fmt: skip
    rows = pool.rows[picked]
    title = np.arange(len(rows)) if pool.title is None else pool.title[picked]
    start_s = np.zeros(len(rows)) if pool.start_s is None else pool.start_s[picked]
    facts: dict[str, Any] = {"clips": len(picked)}
    if pool.group is not None:
        facts["sources"] = len(np.unique(pool.group[picked]))
    if pool.right is not None:
        facts["right"] = float(pool.right[picked].mean())
    if judged is not None:
        facts |= _held_out_facts(judged[picked], [pool.modality[layer] for layer in held_out])
    return PairSet(name, rows, rows, title, start_s, **sampling, facts=facts)


def _held_out_facts(codes: np.ndarray, modalities: list[str]) -> dict[str, float]:
    """Effective number of clusters (exp of the entropy, mean over layers) by modality, and bipartite MI, nats."""
    facts = {}
    for which in ("audio", "visual"):
        columns = [d for d, own in enumerate(modalities) if own == which]
        if columns:
            facts[f"effective_{which}"] = float(np.mean([_effective(codes[:, d]) for d in columns]))
    if len(facts) == 2:
        facts["held_out_mi"] = mutual_information(codes, modalities).mean
    return facts


def _effective(labels: np.ndarray) -> float:
    share = np.bincount(labels) / len(labels)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))
