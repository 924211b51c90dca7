"""Parts that share no source: what clips' pictures and sounds come from in, who trains, probes and tests out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from curation.errors import InputError, SettingError

POOL, LEARN, TEST, ASTRIDE = 0, 1, 2, -1
SHARES = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class Parts:
    """`picture`, `sound` int8 (N,): the part of each clip's picture and sound, -1 where its sources lie in several.

    `picture_source`, `sound_source` int (N,): for resampling; clips of a part that share a source, or are joined by
    clips that do, have the same.
    """

    picture: np.ndarray
    sound: np.ndarray
    picture_source: np.ndarray
    sound_source: np.ndarray

    @property
    def pool(self) -> np.ndarray:
        """Rows that pre-training may use: both sources lie in its part."""
        return np.flatnonzero((self.picture == POOL) & (self.sound == POOL))

    def rows(self, sees: str, part: int) -> np.ndarray:
        """Rows whose picture, sound, or both lie in a part."""
        inside = np.ones(len(self.picture), bool)
        if sees != "sound":
            inside &= self.picture == part
        if sees != "picture":
            inside &= self.sound == part
        return np.flatnonzero(inside)

    @property
    def lost(self) -> int:
        """Clips that no part can use."""
        return int(((self.picture == ASTRIDE) & (self.sound == ASTRIDE)).sum())


def split(
    picture: Sequence[Sequence[str]],
    sound: Sequence[Sequence[str]] | None = None,
    *,
    shares: tuple[float, float, float] = SHARES,
    seed: int = 0,
    picture_class: np.ndarray | None = None,
    sound_class: np.ndarray | None = None,
) -> Parts:
    """Draw for every source the part it belongs to, by `shares` of pre-training, probe training and probe testing.

    `picture`, `sound`: names of the sources of each clip's picture and sound (photographs and recordings, say); without
    `sound` both have the same. With classes, int (N,), each class is split by itself. Raises `InputError` where a part
    stays empty.
    """
    if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise SettingError(f"The shares {shares} of the parts must be above 0 and sum to 1.")
    part_p, first_p = _parts(picture, shares, [seed, 4], picture_class)
    if sound is None:
        return _checked(Parts(part_p, part_p, first_p, first_p))
    part_s, first_s = _parts(sound, shares, [seed, 5], sound_class)
    return _checked(Parts(part_p, part_s, first_p, first_s))


def _parts(
    names: Sequence[Sequence[str]], shares: tuple[float, float, float], seed: list[int], kind: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    known = {name: k for k, name in enumerate(sorted({name for own in names for name in own}))}
    owner = np.repeat(np.arange(len(names)), [len(own) for own in names])
    source = np.array([known[name] for own in names for name in own], np.int64)
    if len(np.unique(owner)) < len(names):
        raise InputError(f"{len(names) - len(np.unique(owner))} clips have no source.", hint="Name one for each clip.")
    of_source = np.zeros(len(known), np.int64)
    if kind is not None:
        of_source[source] = np.asarray(kind)[owner]
    rng = np.random.default_rng(seed)
    part = np.empty(len(known), np.int8)
    edges = np.cumsum(shares)[:2]
    for value in np.unique(of_source):
        mine = rng.permutation(np.flatnonzero(of_source == value))
        part[mine] = np.searchsorted(edges, (np.arange(len(mine)) + 0.5) / len(mine), side="right")
    low, high = np.full(len(names), 3, np.int8), np.full(len(names), -1, np.int8)
    np.minimum.at(low, owner, part[source])
    np.maximum.at(high, owner, part[source])
    found = np.where(low == high, low, ASTRIDE).astype(np.int8)
    return found, _joined(owner, source, found)


def _joined(owner: np.ndarray, source: np.ndarray, part: np.ndarray) -> np.ndarray:
    """A source of each clip, int (N,): the least of those that it is joined with; of one source each, its own.

    `owner`, `source` int (m,): which clip names which source, by clip. Clips astride the parts join none.
    """
    first = source[np.searchsorted(owner, np.arange(len(part)))]
    if len(owner) == len(part):
        return first
    inside = part[owner] != ASTRIDE
    n = int(source.max()) + 1
    edges = coo_array((np.ones(int(inside.sum()), np.int8), (first[owner[inside]], source[inside])), shape=(n, n))
    group = connected_components(edges, directed=False)[1]
    least = np.full(int(group.max()) + 1, n)
    np.minimum.at(least, group, np.arange(n))
    return least[group[first]]


def _checked(parts: Parts) -> Parts:
    if not len(parts.pool):
        raise InputError(
            "No clip is left for pre-training once sources are kept apart.", hint="Give it a larger share."
        )
    for part, what in ((LEARN, "to train a probe on"), (TEST, "to test a probe on")):
        if not len(parts.rows("picture", part)) or not len(parts.rows("sound", part)):
            raise InputError(
                f"No clip is left {what} once sources are kept apart.", hint="There are too few sources, or too large."
            )
    return parts
