"""From all clips to those to choose from: steps that narrow go in; what each leaves, loses and changes comes out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curation.kernels.pairing import pair_indices
from explorer.views.selection import DENSE_CELLS, information

Narrow = Callable[[np.ndarray], np.ndarray]
"""Who is left of some clips: bool (N,) in, bool (N,) out, never more than came in."""

SWITCHABLE = ("healthy", "copies", "scope")
_HEALTHY = "healthy"


@dataclass(frozen=True)
class Passed:
    """One step: who came to it and who would go on, bool (N,) each; `on` says whether it is applied."""

    key: str
    before: np.ndarray
    after: np.ndarray
    on: bool

    @property
    def left(self) -> np.ndarray:
        """Who goes on: all that came where the step is off."""
        return self.after if self.on else self.before

    @property
    def lost(self) -> np.ndarray:
        """Who does not, or would not if the step were on."""
        return self.before & ~self.after


@dataclass(frozen=True)
class Step:
    """One step in numbers: clips and hours that are left and lost, and what it does to the dependence, nats (or NaN).

    Of a step that is off `lost`, `lost_hours` and `dependence` say what it would do.
    """

    key: str
    on: bool
    left: int
    left_hours: float
    lost: int
    lost_hours: float
    dependence: float


def walk(n_clips: int, steps: Mapping[str, Narrow], off: Collection[str] = ()) -> list[Passed]:
    """The steps in their order, each from what the ones before it left."""
    here = np.ones(n_clips, bool)
    passed = []
    for key, narrow in steps.items():
        passed.append(Passed(key, here, narrow(here) & here, key not in off))
        here = passed[-1].left
    return passed


def in_numbers(passed: Sequence[Passed], hours: np.ndarray, dependence: Callable[[np.ndarray], float]) -> list[Step]:
    """`hours` float (N,): length of each clip, NaN = not known; `dependence` of the clips of a mask, nats."""
    found: list[Step] = []
    for step in passed:
        lost = step.lost
        n_lost = int(np.count_nonzero(lost))
        change = dependence(step.after) - dependence(step.before) if n_lost else 0.0
        found.append(
            Step(
                step.key, step.on, int(np.count_nonzero(step.left)), _sum(hours, step.left),
                n_lost, _sum(hours, lost), change,
            )
        )  # fmt: skip
    return found


def meeting(mask: np.ndarray) -> Narrow:
    """A step that keeps the clips of a mask, bool (N,)."""
    return lambda here: here & mask


def first_of_copies(group: np.ndarray) -> Narrow:
    """A step that keeps the first clip of each group; `group` integer (N,), -1 = no copies."""

    def narrow(here: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(here & (group >= 0))
        first = np.unique(group[rows], return_index=True)[1]
        kept = here & (group < 0)
        kept[rows[first]] = True
        return kept

    return narrow


def dependence(labels: Sequence[np.ndarray], modalities: Sequence[str], pairing: str) -> float:
    """Mean mutual information over the pairs, nats, less what chance alone reads; NaN without clips or pairs.

    `labels`: integer (n,) each, none negative. The plug-in estimate grows as clips become fewer; the first-order
    correction (Miller 1955) takes that away, so that sets of different sizes can be compared.
    """
    pairs = pair_indices(np.array([m == "audio" for m in modalities]), pairing)
    if not len(pairs) or not len(labels[0]):
        return float("nan")
    return float(np.mean([_corrected(labels[i], labels[j]) for i, j in pairs]))


def split_scope(where: str) -> tuple[bool, str]:
    """Whether a scope asks for healthy clips, and the rest of its condition; the reverse of `join_scope`."""
    text = where.strip()
    if text == _HEALTHY:
        return True, ""
    head = f"{_HEALTHY} AND ("
    if text.startswith(head) and text.endswith(")") and _closes_at_the_end(text[len(head) - 1 :]):
        return True, text[len(head) : -1]
    return False, text


def join_scope(healthy: bool, rest: str) -> str:
    """The SQL condition of a scope."""
    if not healthy:
        return rest.strip()
    return f"{_HEALTHY} AND ({rest.strip()})" if rest.strip() else _HEALTHY


def within(where: str, exclude: str) -> str:
    """One SQL condition for clips that meet `where` and do not meet `exclude`; empty = all clips."""
    parts = [f"({where.strip()})"] if where.strip() else []
    parts += [f"(({exclude.strip()}) IS NOT TRUE)"] if exclude.strip() else []
    return " AND ".join(parts)


def _corrected(a: np.ndarray, b: np.ndarray) -> float:
    width, height = int(b.max()) + 1, int(a.max()) + 1
    codes = a.astype(np.int64) * width + b
    cells = np.count_nonzero(np.bincount(codes)) if height * width <= DENSE_CELLS else len(np.unique(codes))
    freedom = cells - np.count_nonzero(np.bincount(a)) - np.count_nonzero(np.bincount(b)) + 1
    return information(a, b) - freedom / (2 * len(a))


def _sum(hours: np.ndarray, mask: np.ndarray) -> float:
    return float(np.nansum(hours[mask]))


def _closes_at_the_end(text: str) -> bool:
    """True where the bracket that opens `text` is closed by its last character, quotes left aside."""
    depth, quoted = 0, ""
    for place, letter in enumerate(text):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        else:
            depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place == len(text) - 1
    return False
