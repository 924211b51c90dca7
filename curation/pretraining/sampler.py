"""Which clips make a batch: titles and times in, row numbers out; the same for a seed and a step, whatever came before.

An epoch holds no clip twice, and all but those that do not fill a last batch (fewer than a batch; others the next
time). Hierarchical sampling ("Watching Too Much Television is Good", arXiv 2106.08513) draws groups of clips of one
title, near one another, so that a batch holds negatives from the same title; groups of one clip are ordinary sampling,
exactly. A title comes as often as it has groups: long ones oftener than short ones.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curation.errors import InputError, SettingError


@dataclass(frozen=True)
class Sampling:
    """`batch_size` clips, `clips_per_title` of a title within `window_s` seconds of one another (0: anywhere in it).

    Titles per batch: batch_size / clips_per_title, and more where windows or titles hold fewer clips than that.
    `clips_per_title` 1 is ordinary sampling.
    """

    batch_size: int = 128
    clips_per_title: int = 1
    window_s: float = 0.0

    def __post_init__(self) -> None:
        if self.batch_size < 2:
            raise SettingError(f"batch_size={self.batch_size}: a batch needs 2 clips, or there are no negatives.")
        if not 1 <= self.clips_per_title <= self.batch_size or self.batch_size % self.clips_per_title:
            raise SettingError(
                f"clips_per_title={self.clips_per_title} does not divide a batch of {self.batch_size}.",
                hint="Titles per batch times clips per title is the size of a batch.",
            )
        if not (math.isfinite(self.window_s) and self.window_s >= 0):
            raise SettingError(f"window_s={self.window_s} is no length.", hint="Give seconds, or 0 for no limit.")


class Sampler:
    """Batches of n clips. `titles` int (n,): title of each; `start_s` float (n,): when it begins in its title."""

    def __init__(self, titles: np.ndarray, start_s: np.ndarray, sampling: Sampling, seed: int) -> None:
        if sampling.batch_size > len(titles):
            raise InputError(
                f"A batch of {sampling.batch_size} clips is larger than the data: {len(titles)} clips.",
                hint=f"Give a batch size of at most {len(titles)}, or more clips.",
            )
        self.titles, self.start_s = np.asarray(titles), np.asarray(start_s, np.float64)
        self.sampling, self.seed = sampling, seed
        self.batches_per_epoch = len(titles) // sampling.batch_size
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def batch(self, step: int) -> np.ndarray:
        """Rows of the batch of a step, int64 (batch_size,), none twice in it or in its epoch."""
        epoch, k = divmod(step, self.batches_per_epoch)
        return self._epoch(epoch)[k]

    def _make_epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 1, epoch])
        groups = title_groups(self.titles, self.start_s, self.sampling, rng)
        if self.sampling.clips_per_title == 1:
            order = np.concatenate(groups)
        else:
            order = _without_repeats(groups, self.titles, self.sampling.batch_size)
        size = self.batches_per_epoch * self.sampling.batch_size
        return order[:size].reshape(self.batches_per_epoch, -1)


def title_groups(
    titles: np.ndarray, start_s: np.ndarray, sampling: Sampling, rng: np.random.Generator
) -> list[np.ndarray]:
    """All rows, in groups of at most `clips_per_title` of one title within one window, in random order.

    Windows lie anew in every epoch. What is left of a window, and a title with one clip, is a smaller group.
    """
    n = len(titles)
    if sampling.clips_per_title == 1:
        return list(rng.permutation(n)[:, None])
    window = np.zeros(n, np.int64)
    if sampling.window_s > 0:
        window = np.floor(start_s / sampling.window_s + rng.random()).astype(np.int64)
    order = np.lexsort((rng.random(n), window, titles))
    new = np.ones(n, bool)
    new[1:] = (titles[order][1:] != titles[order][:-1]) | (window[order][1:] != window[order][:-1])
    first = np.flatnonzero(new)
    place = np.arange(n) - np.repeat(first, np.diff([*first, n]))
    starts = np.flatnonzero(place % sampling.clips_per_title == 0)
    groups = np.split(order, starts[1:])
    return [groups[i] for i in rng.permutation(len(groups))]


def _without_repeats(groups: list[np.ndarray], titles: np.ndarray, batch_size: int) -> np.ndarray:
    """Groups one after another such that a batch holds no title twice while the next 4 * batch_size groups hold
    others; int64 (n,). A group that a batch has no room for is cut: its rest begins the next batch.
    """
    waiting, order, room, there = deque(groups), [], batch_size, set()
    look = 4 * batch_size  # far enough to find another title, and no search through all
    while waiting:
        skipped = []
        for _ in range(min(look, len(waiting))):
            group = waiting.popleft()
            if titles[group[0]] not in there:
                break
            skipped.append(group)
        else:
            group = skipped.pop(0)
        waiting.extendleft(reversed(skipped))
        there.add(titles[group[0]])
        taken, rest = group[:room], group[room:]
        order.append(taken)
        room -= len(taken)
        if room == 0:
            room, there = batch_size, set()
        if len(rest):
            waiting.appendleft(rest)
    return np.concatenate(order)


def shared_negatives(titles: np.ndarray) -> float:
    """Share of a batch's negatives, pairs of two of its clips, that are of one title; `titles` (B,) of its clips."""
    n = len(titles)
    _, counts = np.unique(titles, return_counts=True)
    return float((counts * (counts - 1)).sum() / (n * (n - 1))) if n > 1 else 0.0
