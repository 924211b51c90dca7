"""Slow, plain versions of what the kernels do: loops, dictionaries, Python integers; nothing shared but constants."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, getcontext, localcontext
from functools import lru_cache
from typing import Any

import numpy as np

getcontext().prec = 60
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(z: int) -> int:
    """SplitMix64's finalizer."""
    z &= MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def hashed(key: int, j: int) -> int:
    """Draw j under a key."""
    return mix(key + (j + 1) * GOLDEN)


def key_of(seed: int, *words: int) -> int:
    """Key of a stream."""
    key = mix(seed + GOLDEN)
    for word in words:
        key = hashed(key, word)
    return key


def bounded(h: int, size: int) -> int | None:
    """Lemire's bounded integer; None where it is rejected."""
    product = (h >> 32) * size
    return None if product % 2**32 < 2**32 % size else product >> 32


@lru_cache(maxsize=10_000)
def g(t: int) -> Decimal:
    """(t + 1) log(t + 1) - t log t to 60 digits."""
    with localcontext(prec=60):
        return (t + 1) * Decimal(t + 1).ln() - (t * Decimal(t).ln() if t else 0)


def shuffled(items: Sequence[int], key: int) -> list[int]:
    """Forward Fisher-Yates."""
    out, counter = list(items), 0
    for i in range(len(out) - 1):
        while True:
            j = bounded(hashed(key, counter), len(out) - i)
            counter += 1
            if j is not None:
                break
        out[i], out[i + j] = out[i + j], out[i]
    return out


def pairs_of(modalities: Sequence[str], pairing: str) -> list[tuple[int, int]]:
    """Index pairs of a pairing."""
    audio = [d for d, m in enumerate(modalities) if m == "audio"]
    visual = [d for d, m in enumerate(modalities) if m == "visual"]
    if pairing == "bipartite":
        return [(a, v) for a in audio for v in visual]
    if pairing == "diagonal":
        return list(zip(audio, visual, strict=True))
    return [(i, j) for i in range(len(modalities)) for j in range(i + 1, len(modalities))]


def one_hot_information(a: np.ndarray, b: np.ndarray) -> float:
    """MI in nats by the definition, from one-hot matrices as in the published implementation."""
    joint = np.eye(a.max() + 1)[a].T @ np.eye(b.max() + 1)[b] / len(a)
    outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return float(sum(p * math.log(p / q) for p, q in zip(joint.ravel(), outer.ravel(), strict=True) if p > 0))


def one_hot_gain(tables: np.ndarray, n: int, cells: Sequence[tuple[int, int]]) -> float:
    """Increase of the mean over pairs of n MI when one clip is added, from whole C x C tables (P, A, B) before and
    after.
    """

    def n_information(counts: np.ndarray, total: int) -> float:
        def x(t: np.ndarray) -> float:
            return float(sum(v * math.log(v) for v in t.ravel() if v > 0))

        return x(counts) - x(counts.sum(1)) - x(counts.sum(0)) + (total * math.log(total) if total else 0.0)

    gain = 0.0
    for p, (a, b) in enumerate(cells):
        after = tables[p].copy()
        after[a, b] += 1
        gain += n_information(after, n + 1) - n_information(tables[p], n)
    return gain / len(cells)


def batch_greedy(
    codes: np.ndarray,
    pairs: Sequence[tuple[int, int]],
    weights: Sequence[float],
    *,
    budget: int,
    batch_size: int,
    selection_size: int,
    seed: int,
    queue: bool = False,
    included: Sequence[int] = (),
    excluded: Sequence[int] = (),
    group: Sequence[int] | None = None,
    group_max: int = 0,
    duration_us: Sequence[int] | None = None,
    limit_us: int = 0,
) -> tuple[list[int], list[float]]:
    """Order and gains of the published rule, one clip and one pair at a time. `codes` already has its sounds
    permuted, if at all.
    """
    n_rows, n_layers = codes.shape
    joint: Counter[Any] = Counter()
    single: Counter[Any] = Counter()
    per_group: Counter[int] = Counter()
    order: list[int] = []
    gains: list[float] = []
    used_us = 0

    def value(i: int) -> Decimal:
        total = Decimal(0)
        for (a, b), w in zip(pairs, weights):
            ca, cb = codes[i, a], codes[i, b]
            total += Decimal(w) * (g(joint[a, b, ca, cb]) - g(single[a, ca]) - g(single[b, cb]))
        return total.quantize(Decimal("1e-40"))  # 60 digits are kept: equal in mathematics is equal here

    def full(i: int) -> bool:
        return group is not None and per_group[group[i]] >= group_max

    def pick(i: int, gain: float) -> None:
        order.append(i)
        gains.append(gain)
        if group is not None:
            per_group[group[i]] += 1

    def count(clips: Sequence[int]) -> None:
        for i in clips:
            for a, b in pairs:
                joint[a, b, codes[i, a], codes[i, b]] += 1
            for d in range(n_layers):
                single[d, codes[i, d]] += 1

    for i in included:
        pick(i, math.nan)
        used_us += duration_us[i] if duration_us is not None else 0
    count(included)
    universe = list(range(n_rows))
    gone = set(excluded)
    waiting = shuffled([i for i in range(n_rows) if i not in gone], key_of(seed, 2))
    batch_key, batch_number = key_of(seed, 1), 0
    while len(order) < budget:
        left = [i for i in range(n_rows) if i not in gone and i not in set(order) and not full(i)]
        if not left:
            break
        b, s = batch_size, selection_size
        if len(left) < b:
            b, s = len(left), max(1, selection_size * len(left) // batch_size)
        s = min(s, budget - len(order))
        if queue:
            allowed, batch = set(left), []
            while len(batch) < b:
                i = waiting.pop(0)
                if i in allowed:
                    batch.append(i)
        else:
            if len(universe) > len(left) and (2 * len(left) < len(universe) or 2 * b >= len(left)):
                universe = left
            batch = _draw(universe, set(left), b, hashed(batch_key, batch_number))
        scored = [(-value(i), place) for place, i in enumerate(batch)]
        g_n, start, picked = float(g(len(order))), len(order), []
        for negative, place in sorted(scored):
            i = batch[place]
            if len(picked) == s:
                break
            if full(i):
                continue
            if duration_us is not None:
                if used_us + duration_us[i] > limit_us:
                    return order, gains
                used_us += duration_us[i]
            pick(i, float(-negative) + g_n)
            picked.append(i)
        count(order[start:])
        waiting += [i for i in batch if i not in set(picked)]
        batch_number += 1
    return order, gains


def _draw(universe: list[int], allowed: set[int], b: int, key: int) -> list[int]:
    if 2 * b >= len(universe):
        places = sorted(range(len(universe)), key=lambda j: (hashed(key, j) >> 1, j))[:b]
        return [universe[p] for p in places]
    batch: list[int] = []
    j = 0
    while len(batch) < b:
        place = bounded(hashed(key, j), len(universe))
        j += 1
        if place is not None and universe[place] in allowed and universe[place] not in batch:
            batch.append(universe[place])
    return batch


def lloyd(x: np.ndarray, centroids: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Plain k-means from given centroids: labels and centroids after some rounds."""
    for _ in range(rounds):
        label = np.array([int(np.argmin(((row - centroids) ** 2).sum(1))) for row in x])
        centroids = np.array([x[label == c].mean(0) for c in range(len(centroids))])
    label = np.array([int(np.argmin(((row - centroids) ** 2).sum(1))) for row in x])
    return label, centroids


def _value(i: int, codes: Any, pairs: Any, weights: Any, joint: Any, single: Any) -> Decimal:
    """Gain of a clip without the part that all clips share, to 40 digits."""
    total = Decimal(0)
    for (a, b), w in zip(pairs, weights):
        ca, cb = codes[i, a], codes[i, b]
        total += Decimal(w) * (g(joint[a, b, ca, cb]) - g(single[a, ca]) - g(single[b, cb]))
    return total.quantize(Decimal("1e-40"))


def greedy(codes: np.ndarray, pairs: Any, weights: Any, *, budget: int, seed: int, lazy: bool = False) -> list[int]:
    """Greedy order, ties to the smaller hash of the row; `lazy` = CELF, which looks again only at the best stale gain.

    CELF equals greedy where gains never rise; n MI is not submodular, so here it can differ.
    """
    joint: Counter[Any] = Counter()
    single: Counter[Any] = Counter()
    order: list[int] = []
    key = key_of(seed, 7)

    def rank(i: int) -> tuple[Decimal, int]:
        return -_value(i, codes, pairs, weights, joint, single), hashed(key, i)

    waiting = [(*rank(i), i, 0) for i in range(len(codes))]
    while len(order) < budget:
        if lazy:
            best = min(waiting)
            while best[3] < len(order):
                waiting[waiting.index(best)] = (*rank(best[2]), best[2], len(order))
                best = min(waiting)
        else:
            best = min((*rank(i), i, 0) for _, _, i, _ in waiting)
        i = best[2]
        waiting = [item for item in waiting if item[2] != i]
        order.append(i)
        for a, b in pairs:
            joint[a, b, codes[i, a], codes[i, b]] += 1
        for d in range(codes.shape[1]):
            single[d, codes[i, d]] += 1
    return order


def ratio_scores(
    codes: np.ndarray, pairs: Any, weights: Any, alpha: float, group: Any = None, duplicate: Any = None
) -> list[float]:
    """Smoothed pointwise mutual information of every clip, counted afresh for each one without its own source, without
    its own duplicates, and with one clip of every duplicate group.
    """
    n = len(codes)
    counted = [duplicate is None or duplicate[i] < 0 or i == list(duplicate).index(duplicate[i]) for i in range(n)]
    scores = []
    for i in range(n):
        others = [j for j in range(n) if counted[j]]
        if group is not None:
            others = [j for j in others if group[j] != group[i]]
            if duplicate is not None and duplicate[i] >= 0:
                others = [j for j in others if duplicate[j] != duplicate[i]]
        score = 0.0
        for (a, b), w in zip(pairs, weights):
            n_a = sum(codes[j, a] == codes[i, a] for j in others)
            n_b = sum(codes[j, b] == codes[i, b] for j in others)
            n_ab = sum(codes[j, a] == codes[i, a] and codes[j, b] == codes[i, b] for j in others)
            expected = n_a * n_b / len(others) if others else 0.0
            score += w * math.log((n_ab + alpha) / (expected + alpha))
        scores.append(score)
    return scores


def mixture_scores(
    codes: np.ndarray,
    pairs: Any,
    weights: Any,
    *,
    wanted: float,
    tempering: float,
    rounds: int,
    own: bool,
    alpha: float,
) -> np.ndarray:
    """EM of the two-part mixture with whole tables and floats."""
    scores = np.array(ratio_scores(codes, pairs, weights, alpha))
    for _ in range(rounds):
        x = tempering * len(pairs) * scores
        low, high = x.min() - 60, x.max() + 60
        for _ in range(200):
            c = (low + high) / 2
            low, high = (c, high) if (1 / (1 + np.exp(c - x))).sum() > wanted else (low, c)
        r = 1 / (1 + np.exp(c - x))
        q = 1 - r if own else np.ones(len(x))
        scores = np.zeros(len(x))
        for (a, b), w in zip(pairs, weights):
            shape = (codes[:, a].max() + 1, codes[:, b].max() + 1)
            joint, qa, qb = np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[1])
            np.add.at(joint, (codes[:, a], codes[:, b]), r)
            np.add.at(qa, codes[:, a], q)
            np.add.at(qb, codes[:, b], q)
            expected = np.outer(qa, qb) / q.sum() ** 2 * r.sum()
            scores += w * np.log((joint + alpha) / (expected + alpha))[codes[:, a], codes[:, b]]
    return scores
