"""Constraints as quotas: labels of clips and how many of each may or must be chosen; walks and repairs that keep them.

A *family* labels the clips: their source, their duplicate group, their cluster in one clustering, the value of one
column. Families may overlap; -1 is "no label".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curation.kernels.compiled import compiled

NO_CAP = np.int64(2**62)


class Quotas(NamedTuple):
    """F families over N clips. Label l of family f is number `offset[f] + l`."""

    label: np.ndarray  # int32 (F, N), -1 = none
    offset: np.ndarray  # int64 (F + 1,)
    cap: np.ndarray  # int64 (offset[F],): at most so many, NO_CAP = any number
    floor: np.ndarray  # int64 (offset[F],): at least so many


class Limits(NamedTuple):
    """Caps and hours as a run spends them. Families without a finite cap are left out."""

    label: np.ndarray  # int32 (F, N) or (0, 0)
    offset: np.ndarray  # int64 (F + 1,)
    left: np.ndarray  # int64: clips of each label that may still be taken
    start: np.ndarray  # int64 (offset[F] + 1,)
    member: np.ndarray  # int32: clips of each capped label
    alive: np.ndarray  # uint8 (N,) or empty: 1 while a clip can still be drawn
    duration_us: np.ndarray  # int64 (N,) or empty
    limit_us: int


def no_quotas() -> Quotas:
    """No constraint."""
    empty = np.zeros(0, np.int64)
    return Quotas(np.zeros((0, 0), np.int32), np.zeros(1, np.int64), empty, empty)


def joined_quotas(parts: list[Quotas]) -> Quotas:
    """The families of all parts."""
    parts = [part for part in parts if len(part.offset) > 1]
    if len(parts) < 2:
        return parts[0] if parts else no_quotas()
    sizes = np.concatenate([np.diff(part.offset) for part in parts])
    return Quotas(
        np.concatenate([part.label for part in parts]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.concatenate([part.cap for part in parts]),
        np.concatenate([part.floor for part in parts]),
    )


def family(label: np.ndarray, cap: np.ndarray, floor: np.ndarray | None = None) -> Quotas:
    """One family: `label` int (N,) from -1 up, `cap` and `floor` int (L,)."""
    cap = np.asarray(cap, np.int64)
    floor = np.zeros(len(cap), np.int64) if floor is None else np.asarray(floor, np.int64)
    return Quotas(np.asarray(label, np.int32)[None], np.array([0, len(cap)], np.int64), cap, floor)


def make_limits(quotas: Quotas, n_rows: int, excluded: np.ndarray, duration_us: np.ndarray, limit_us: int) -> Limits:
    """The caps in the form that a run spends; nothing is alive that is excluded."""
    sizes = np.diff(quotas.offset)
    kept = [f for f in range(len(sizes)) if (quotas.cap[quotas.offset[f] : quotas.offset[f + 1]] < NO_CAP).any()]
    empty = np.zeros(0, np.int64)
    if not kept:
        none = np.zeros((0, 0), np.int32)
        return Limits(none, np.zeros(1, np.int64), empty, np.zeros(1, np.int64), empty.astype(np.int32),
                      empty.astype(np.uint8), duration_us, limit_us)  # fmt: skip
    label = np.ascontiguousarray(quotas.label[kept]) if len(kept) < len(sizes) else quotas.label
    cap = np.concatenate([quotas.cap[quotas.offset[f] : quotas.offset[f + 1]] for f in kept])
    offset = np.concatenate([[0], np.cumsum(sizes[kept])]).astype(np.int64)
    members, counts = [], []
    for f in range(len(kept)):
        capped = np.append(cap[offset[f] : offset[f + 1]] < NO_CAP, False)[label[f]]  # label -1 reads the last: False
        rows = np.flatnonzero(capped).astype(np.int32)
        members.append(rows[np.argsort(label[f][rows], kind="stable")])
        counts.append(np.bincount(label[f][rows], minlength=int(offset[f + 1] - offset[f])))
    alive = np.ones(n_rows, np.uint8)
    alive[excluded] = 0
    start = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    return Limits(label, offset, cap.copy(), start, np.concatenate(members), alive, duration_us, limit_us)


@compiled()
def fits(label: np.ndarray, offset: np.ndarray, left: np.ndarray, clip: int) -> bool:
    """Whether no label of the clip is full."""
    for f in range(len(offset) - 1):
        own = label[f, clip]
        if own >= 0 and left[offset[f] + own] <= 0:
            return False
    return True


@compiled()
def spend(label: np.ndarray, offset: np.ndarray, left: np.ndarray, clip: int, change: int) -> None:
    """Add `change` to what is left of every label of the clip."""
    for f in range(len(offset) - 1):
        own = label[f, clip]
        if own >= 0:
            left[offset[f] + own] += change


@compiled()
def walk(
    candidate: np.ndarray, order: np.ndarray, n: int, label: np.ndarray, offset: np.ndarray, left: np.ndarray,
    duration_us: np.ndarray, limit_us: int, used_us: int,
) -> int:  # fmt: skip
    """Append candidates in order from place n on, skipping those with a full label, up to the length of `order`.

    Ends before the first clip that would pass the hours. Returns the new length; `left` is changed.
    """
    for i in candidate:
        if n == len(order):
            break
        if not fits(label, offset, left, i):
            continue
        if len(duration_us) > 0:
            if used_us + duration_us[i] > limit_us:
                break
            used_us += duration_us[i]
        spend(label, offset, left, i, -1)
        order[n] = i
        n += 1
    return n


def left_after(quotas: Quotas, chosen: np.ndarray) -> np.ndarray:
    """What the caps leave after `chosen`, int64 (offset[F],)."""
    return quotas.cap - label_counts(quotas, chosen)


def label_counts(quotas: Quotas, chosen: np.ndarray) -> np.ndarray:
    """Chosen clips of every label, int64 (offset[F],)."""
    counts = np.zeros(len(quotas.cap), np.int64)
    for f in range(len(quotas.offset) - 1):
        own = quotas.label[f][chosen]
        low, high = quotas.offset[f], quotas.offset[f + 1]
        counts[low:high] = np.bincount(own[own >= 0], minlength=int(high - low))
    return counts


@compiled()
def _swap_in(
    order: np.ndarray, n_fixed: int, candidate: np.ndarray, label: np.ndarray, offset: np.ndarray, cap: np.ndarray,
    floor: np.ndarray, count: np.ndarray, gone: np.ndarray, added: np.ndarray,
) -> int:  # fmt: skip
    """Take candidates that fill a floor, each in place of the latest pick that no floor needs. Returns how many."""
    n_added = 0
    top = len(order) - 1
    n_families = len(offset) - 1
    for i in candidate:
        helps = False
        for f in range(n_families):
            own = label[f, i]
            if own >= 0 and count[offset[f] + own] < floor[offset[f] + own]:
                helps = True
        if not helps:
            continue
        while top >= n_fixed and gone[top]:
            top -= 1
        for j in range(top, n_fixed - 1, -1):
            if gone[j]:
                continue
            out = order[j]
            free = True
            for f in range(n_families):
                a, b = label[f, i], label[f, out]
                if a == b:
                    continue
                if b >= 0 and count[offset[f] + b] <= floor[offset[f] + b]:
                    free = False
                if a >= 0 and count[offset[f] + a] >= cap[offset[f] + a]:
                    free = False
            if free:
                spend(label, offset, count, out, -1)
                spend(label, offset, count, i, 1)
                gone[j] = 1
                added[n_added] = i
                n_added += 1
                break
    return n_added


def repair_floors(order: np.ndarray, n_fixed: int, candidate: np.ndarray, quotas: Quotas) -> np.ndarray:
    """`order` with its floors kept, as far as swaps can: the best `candidate` clips (not in `order`, best first) that a
    floor lacks come in at the end, for the latest picks that no floor needs. The first `n_fixed` stay.
    """
    count = label_counts(quotas, order)
    if not (count < quotas.floor).any() or not len(candidate):
        return order
    gone = np.zeros(len(order), np.uint8)
    added = np.empty(len(order), np.int64)
    n = _swap_in(order, n_fixed, candidate, quotas.label, quotas.offset, quotas.cap, quotas.floor, count, gone, added)
    return np.concatenate([order[gone == 0], added[:n]])
