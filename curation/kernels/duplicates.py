"""Prints of n clips (rows of slots) in, groups of copies out: hashing of slots, aligned distance, connected components.

A slot is an unsigned integer: zero where there is nothing to go by, otherwise the top bit and signs below it. Copies
agree in most signs of most slots, up to a shift of some slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.kernels.compiled import compiled
from curation.kernels.draws import hashed

NEIGHBOURS = 8  # clips of a bucket are compared with this many that follow
CROWD = 256  # a bucket with more slots says little:
CROWD_NEIGHBOURS = 2  # there, with this many only
HALF_SLACK = 1.4  # one half of a print may differ this much more than the whole: two clips may share a beginning
MAX_PASSES = 64
ENTRIES_PER_PASS = 8_000_000  # slots sorted at a time, 8 bytes each
_SLOT_BITS = 7
_ROW_BITS = 27


@dataclass(frozen=True)
class Rule:
    """When two prints are copies of each other.

    masks: for each way to look up candidates, the signs that must agree in one slot of both.
    max_distance: at most this share of signs may differ, over slots that both have.
    max_shift: slots that one may be late, in each half of the print on its own.
    min_slots: that both must have; fewer prove nothing.
    max_change_distance: as max_distance, of the second print, where both have `min_change_slots` of it in common.
    """

    masks: tuple[int, ...]
    max_distance: float
    max_shift: int
    min_slots: int
    max_change_distance: float = 1.0
    min_change_slots: int = 4


@dataclass(frozen=True)
class Groups:
    """group: int64 (n,), the same number for copies of each other, -1 for a clip without. crowded: buckets of alike
    slots so full that not all of their clips were compared there."""

    group: np.ndarray
    crowded: int

    @property
    def n_groups(self) -> int:
        """How many groups there are, each of two clips or more."""
        return int(self.group.max(initial=-1)) + 1


def duplicate_groups(slots: np.ndarray, rule: Rule, change: np.ndarray | None = None) -> Groups:
    """Groups of copies among n prints, numbered by their first clip.

    slots: unsigned (n, S), S even and at most 128, n at most 2**27. change: uint32 (n, S), a second print or None.
    Time grows with the number of slots, not of pairs: each slot is compared with at most 8 others that agree in the
    signs of a mask. Beside the prints, memory is 64 MB and 16 bytes a clip.
    """
    n, width = slots.shape
    if n >= 1 << _ROW_BITS or width > 1 << _SLOT_BITS or width % 2:
        raise ValueError(f"{n} prints of {width} slots: at most {1 << _ROW_BITS} of an even number up to 128")
    second = np.zeros((0, width), np.uint32) if change is None else change
    parent = np.arange(n, dtype=np.int64)
    alone = _join_equal(slots, parent, rule.min_slots) if n else np.zeros(0, bool)
    passes = min(MAX_PASSES, max(1, -(-n * width // ENTRIES_PER_PASS)))
    crowded = 0
    numbers = (
        rule.max_distance,
        rule.max_shift,
        rule.min_slots,
        rule.max_change_distance,
        rule.min_change_slots,
    )
    for salt, mask in enumerate(rule.masks):
        for part in range(passes):
            entries = _entries(slots, alone, mask, salt, part, passes)
            crowded += _join_alike(entries, slots, second, parent, *numbers)
    return Groups(_numbered(parent), crowded)


@compiled()
def _root(parent, row):  # type: ignore[no-untyped-def]
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@compiled()
def _join(parent, a, b):  # type: ignore[no-untyped-def]
    """The smaller row becomes the root, so that groups do not depend on the order of joining."""
    a, b = _root(parent, a), _root(parent, b)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@compiled()
def _digests(slots):  # type: ignore[no-untyped-def]
    """uint64 (n,) of whole prints; 0 for one without slots."""
    n, width = slots.shape
    digests = np.zeros(n, np.uint64)
    for row in range(n):
        digest, used = np.uint64(0), False
        for i in range(width):
            digest = hashed(digest, np.uint64(slots[row, i]))
            used = used or slots[row, i] != 0
        digests[row] = digest if used else np.uint64(0)
    return digests


def _join_equal(slots: np.ndarray, parent: np.ndarray, min_slots: int) -> np.ndarray:
    """Join equal prints; bool (n,): rows that need no look-up, because an equal one stands for them or they have too
    few slots."""
    digests = _digests(slots)
    order = np.argsort(digests, kind="stable")
    return _join_runs(order, digests, slots, parent, min_slots)


@compiled()
def _join_runs(order, digests, slots, parent, min_slots):  # type: ignore[no-untyped-def]
    alone = np.zeros(len(order), np.bool_)
    first = order[0]
    for row in order:
        used = 0
        for i in range(slots.shape[1]):
            used += slots[row, i] != 0
        if used < min_slots:
            alone[row] = True
        elif row != first and digests[row] == digests[first] and (slots[row] == slots[first]).all():
            _join(parent, row, first)
            alone[row] = True
        else:
            first = row
    return alone


def _entries(slots: np.ndarray, alone: np.ndarray, mask: int, salt: int, part: int, passes: int) -> np.ndarray:
    """uint64 (m,), sorted: hash of a slot's masked signs above, row and slot below; of the slots in this part."""
    where = (np.uint64(mask), np.uint64(salt), np.uint64(part), np.uint64(passes))
    found = np.empty(_fill(slots, alone, *where, np.empty(0, np.uint64)), np.uint64)
    _fill(slots, alone, *where, found)
    found.sort()
    return found


@compiled()
def _fill(slots, alone, mask, salt, part, passes, found):  # type: ignore[no-untyped-def]
    """How many entries there are; they are written where `found` has room for them."""
    low = np.uint64(_SLOT_BITS + _ROW_BITS)
    m = 0
    for row in range(slots.shape[0]):
        if alone[row]:
            continue
        before = np.uint64(0)
        for i in range(slots.shape[1]):
            key = np.uint64(slots[row, i]) & mask
            if slots[row, i] == 0 or key == before:  # a picture that stands still is looked up once
                continue
            before = key
            digest = hashed(salt, key)
            if digest % passes != part:
                continue
            if m < len(found):
                found[m] = (digest >> low) << low | np.uint64(row) << np.uint64(_SLOT_BITS) | np.uint64(i)
            m += 1
    return m


@compiled()
def _join_alike(  # type: ignore[no-untyped-def]
    entries, slots, change, parent, max_distance, max_shift, min_slots, max_change, min_change
):
    """Compare the clips of each bucket with those that follow, join copies; how many buckets were crowded."""
    low = np.uint64(_SLOT_BITS + _ROW_BITS)
    half = slots.shape[1] // 2
    crowded = 0
    start = 0
    while start < len(entries):
        end = start + 1
        while end < len(entries) and entries[end] >> low == entries[start] >> low:
            end += 1
        full = end - start > CROWD
        crowded += full
        reach = CROWD_NEIGHBOURS if full else NEIGHBOURS
        for i in range(start, end - 1):
            a = np.int64((entries[i] >> np.uint64(_SLOT_BITS)) & np.uint64((1 << _ROW_BITS) - 1))
            for j in range(i + 1, min(end, i + 1 + reach)):
                b = np.int64((entries[j] >> np.uint64(_SLOT_BITS)) & np.uint64((1 << _ROW_BITS) - 1))
                if a == b or _root(parent, a) == _root(parent, b):
                    continue
                first = np.int64(entries[i] & np.uint64(127))
                shift = np.int64(entries[j] & np.uint64(127)) - first
                # A quick look at the half where they agree, as they agree there.
                begin = first // half * half
                if abs(shift) > max_shift or _aligned(slots, a, b, shift, begin, begin + half)[0] > 2 * max_distance:
                    continue
                found = distances(slots, change, a, b, max_shift, min_slots, min_change)
                if found[0] <= max_distance and found[1] <= max_change:
                    _join(parent, a, b)
        start = end
    return crowded


@compiled()
def _aligned(slots, a, b, shift, begin, end):  # type: ignore[no-untyped-def]
    """Share of signs that differ between slots i of a and i + shift of b inside [begin, end), and common slots."""
    bits = slots.itemsize * 8 - 1
    differing = common = 0
    for i in range(max(begin, begin - shift), min(end, end - shift)):
        x, y = np.uint64(slots[a, i]), np.uint64(slots[b, i + shift])
        if x != 0 and y != 0:
            differing += _ones(x ^ y)
            common += 1
    return (differing / (bits * common) if common else 1.0), common


@compiled()
def _ones(x):  # type: ignore[no-untyped-def]
    """Number of bits set."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@compiled()
def distances(slots, change, a, b, max_shift, min_slots, min_change):  # type: ignore[no-untyped-def]
    """(distance, change distance) of prints a and b, each half aligned on its own; the larger one of the distance of
    the whole and of the worse half over HALF_SLACK. Distance 1 where too little is in
    common (fewer than `min_slots`, or than half of the fuller one), change distance 0 where that has too little."""
    width = slots.shape[1]
    used_a = used_b = 0
    for i in range(width):
        used_a += slots[a, i] != 0
        used_b += slots[b, i] != 0
    total = changed = worst = 0.0
    common = common_change = 0
    for half in range(2):
        begin, end = half * (width // 2), (half + 1) * (width // 2)
        best, best_common, best_shift = 2.0, 0, 0
        most = 0
        for shift in range(-max_shift, max_shift + 1):
            most = max(most, _aligned(slots, a, b, shift, begin, end)[1])
        for shift in range(-max_shift, max_shift + 1):
            share, n = _aligned(slots, a, b, shift, begin, end)
            if n > 0 and 2 * n >= most and share < best:
                best, best_common, best_shift = share, n, shift
        total += best * best_common
        common += best_common
        if best_common >= min_slots:
            worst = max(worst, best)
        if len(change) > 0:
            share, n = _aligned(change, a, b, best_shift, begin, end)
            changed += share * n
            common_change += n
    if common < min_slots or 2 * common < max(used_a, used_b):
        return 1.0, 0.0
    return max(total / common, worst / HALF_SLACK), (changed / common_change if common_change >= min_change else 0.0)


def _numbered(parent: np.ndarray) -> np.ndarray:
    """int64 (n,): groups of two or more, numbered by their first row; -1 elsewhere."""
    roots = _roots(parent)
    sizes = np.bincount(roots, minlength=len(parent)) if len(parent) else np.zeros(0, np.int64)
    names = np.where(sizes > 1, np.cumsum(sizes > 1) - 1, -1)
    return names[roots] if len(parent) else np.zeros(0, np.int64)


@compiled()
def _roots(parent):  # type: ignore[no-untyped-def]
    roots = np.empty(len(parent), np.int64)
    for row in range(len(parent)):
        roots[row] = _root(parent, row)
    return roots


def both(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """int64 (n,): groups of clips that share a group of `first` and a group of `second`; -1 elsewhere."""
    rows = np.flatnonzero((first >= 0) & (second >= 0))
    parent = np.arange(len(first), dtype=np.int64)
    order = rows[np.lexsort((rows, second[rows], first[rows]))]
    alike = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
    starts = np.flatnonzero(np.append(True, ~alike)) if len(order) else np.zeros(0, np.int64)
    parent[order] = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    return _numbered(parent)


def sources_with_other_pictures(
    sound: np.ndarray, picture: np.ndarray, source: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """int64 (n,): for each clip the number of other sources that have a clip of its group of sound, whose picture is
    seen and is not of its group of pictures.

    sound, picture: groups int64 (n,), -1 = none. source: int64 (n,). seen: bool (n,); 0 for a clip that is not.
    """
    counts = np.zeros(len(sound), np.int64)
    rows = np.flatnonzero((sound >= 0) & seen)
    order = rows[np.lexsort((picture[rows], source[rows], sound[rows]))]
    if len(order):
        _count_sources(order, sound, picture, source, counts)
    return counts


@compiled()
def _count_sources(order, sound, picture, source, counts):  # type: ignore[no-untyped-def]
    """`order`: rows by group of sound, then source, then group of pictures."""
    start = 0
    while start < len(order):
        end = start
        n_sources = 0
        while end < len(order) and sound[order[end]] == sound[order[start]]:
            n_sources += end == start or source[order[end]] != source[order[end - 1]]
            end += 1
        # Per source of this group of sound: the one group of pictures that all of its clips have, or -1.
        only_of = {source[order[start]]: picture[order[start]]}
        for i in range(start, end):
            key, value = source[order[i]], picture[order[i]]
            if key not in only_of:
                only_of[key] = value
            elif only_of[key] != value:
                only_of[key] = -1
        with_only = {np.int64(-1): 0}
        for key in only_of:
            with_only[only_of[key]] = with_only.get(only_of[key], 0) + 1
        for i in range(start, end):
            row = order[i]
            same = with_only[picture[row]] if picture[row] >= 0 and picture[row] in with_only else 0
            own = only_of[source[row]] == picture[row] and picture[row] >= 0
            counts[row] = n_sources - 1 - (same - own)
        start = end
