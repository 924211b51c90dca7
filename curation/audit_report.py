"""What an audit found: plan and answers in, precision with intervals, estimates against answers, agreement out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from curation.audit import ANSWERS, Answer, Plan, ScoreBand
from curation.kernels.auditing import (
    Agreement,
    Contrast,
    Share,
    agreement,
    answer_weights,
    contrast,
    group_share,
    weighted_share,
)

RIGHT = {"strict": ("seen",), "lenient": ("seen", "plausible")}
RANDOM = "random"


@dataclass(frozen=True)
class Group:
    """A group of clips: how many there `clips` are, `heard` of them, `unclear` of these.

    `strict`: share whose sound comes from what is seen; `lenient`: counting "plausible but not seen" as right too.
    """

    name: str
    clips: int
    heard: int
    unclear: int
    strict: Share
    lenient: Share


@dataclass(frozen=True)
class BandFound:
    """A band of a run's score: the false share that decoys say, and the audited one (strict and lenient)."""

    band: ScoreBand
    strict: Share
    lenient: Share


@dataclass(frozen=True)
class Comparison:
    """`first` minus `second`, strict; `left`: clips not yet drawn that would help to tell them apart."""

    first: str
    second: str
    contrast: Contrast
    left: int


@dataclass(frozen=True)
class Agreed:
    """Agreement of an auditor with oneself (first and second name equal) or of two."""

    first: str
    second: str
    found: Agreement


@dataclass(frozen=True)
class Found:
    """`auditors`: those whose answers count here; `bands`: for each run; `heard`: clips with at least one answer."""

    plan: Plan
    auditors: tuple[str, ...]
    heard: int
    unclear: int
    groups: tuple[Group, ...]
    bands: dict[str, tuple[BandFound, ...]]
    comparison: Comparison
    agreed: tuple[Agreed, ...]


def find(plan: Plan, given: Sequence[Answer], auditor: str | None = None) -> Found:
    """Everything that the answers tell. Where several auditors answered a clip, it is right by their mean.

    `auditor`: count the answers of this one only. Repeats serve agreement alone.
    """
    given = [answer for answer in given if 0 <= answer.item < len(plan.items)]
    auditors = tuple(dict.fromkeys(a.auditor for a in given if auditor is None or a.auditor == auditor))
    by_item: dict[int, list[str]] = {}
    for one in given:
        if one.auditor in auditors and plan.items[one.item].repeat_of is None:
            by_item.setdefault(one.item, []).append(one.answer)
    told = _Told(plan, by_item)
    member = np.array([s.chosen_by for s in plan.strata], bool).reshape(len(plan.strata), len(plan.runs))
    named = _groups(plan, member)
    groups = tuple(told.group(name, mask) for name, mask in named.items())
    bands = {run: told.bands(r) for r, run in enumerate(plan.runs)}
    comparison = told.compare(*((plan.runs[0], plan.runs[1]) if len(plan.runs) > 1 else ("chosen", RANDOM)), named)
    unclear = sum(set(said) == {"unclear"} for said in by_item.values())
    return Found(plan, auditors, len(by_item), unclear, groups, bands, comparison, _agreements(plan, given, auditors))


def _groups(plan: Plan, member: np.ndarray) -> dict[str, np.ndarray]:
    """Strata of each group: of one run what it chose; of two what each chose; then what none did, and everything."""
    named: dict[str, np.ndarray] = {
        "chosen" if len(plan.runs) == 1 else run: member[:, r] for r, run in enumerate(plan.runs)
    }
    none = "rejected" if len(plan.runs) == 1 else "chosen by neither"
    named[none] = np.asarray(~member.any(axis=1))
    named[RANDOM] = np.ones(len(member), bool)
    return named


class _Told:
    """The clips that somebody could judge, with their strata and weights."""

    def __init__(self, plan: Plan, by_item: dict[int, list[str]]) -> None:
        self.plan = plan
        self.sizes = np.array([s.clips for s in plan.strata], float)
        cells = sorted({s.chosen_by for s in plan.strata})
        self.cell = np.array([cells.index(s.chosen_by) for s in plan.strata])
        self.heard = np.array([plan.items[i].stratum for i in by_item], int)
        judged = {i: [a for a in said if a != "unclear"] for i, said in by_item.items()}
        self.items = [i for i, said in judged.items() if said]
        self.unclear = np.array([plan.items[i].stratum for i, said in judged.items() if not said], int)
        self.stratum = np.array([plan.items[i].stratum for i in self.items], int)
        self.right = {
            how: np.array([np.mean([a in good for a in judged[i]]) for i in self.items], float)
            for how, good in RIGHT.items()
        }

    def group(self, name: str, member: np.ndarray) -> Group:
        strict, lenient = (self._share(how, member) for how in ("strict", "lenient"))
        heard, unclear = int(member[self.heard].sum()), int(member[self.unclear].sum())
        return Group(name, int(self.sizes[member].sum()), heard, unclear, strict, lenient)

    def _share(self, how: str, member: np.ndarray) -> Share:
        return group_share(self.right[how], self.stratum, member, self.sizes, self.cell)

    def bands(self, run: int) -> tuple[BandFound, ...]:
        weights, _ = answer_weights(self.sizes, self.cell, self.stratum)
        of = np.array([self.plan.items[i].bands[run] for i in self.items], int)
        return tuple(
            BandFound(band, *(weighted_share(1 - self.right[how][of == b], weights[of == b]) for how in RIGHT))
            for b, band in enumerate(self.plan.bands[run])
        )

    def compare(self, first: str, second: str, named: dict[str, np.ndarray]) -> Comparison:
        """Cells are what both chose, what one did, what none did: each counts by its part in one minus in the other."""
        cells = range(int(self.cell.max(initial=0)) + 1)
        shares = [self._share("strict", self.cell == c) for c in cells]
        sizes = np.array([self.sizes[self.cell == c].sum() for c in cells])
        inside = {n: np.array([bool(named[n][self.cell == c].all()) for c in cells]) for n in (first, second)}
        part = sum(
            sign * sizes * inside[n] / max(1.0, float((sizes * inside[n]).sum()))
            for sign, n in ((1, first), (-1, second))
        )
        found = contrast(shares, np.asarray(part, float))
        left = sum(
            stratum.clips - stratum.drawn
            for stratum in self.plan.strata
            if len(self.plan.runs) == 1 or len(set(stratum.chosen_by)) > 1
        )
        return Comparison(first, second, found, left)


def _agreements(plan: Plan, given: Sequence[Answer], auditors: Sequence[str]) -> tuple[Agreed, ...]:
    kinds = list(ANSWERS)
    said: dict[str, dict[int, int]] = {auditor: {} for auditor in auditors}
    for one in given:
        if one.auditor in said:
            said[one.auditor][one.item] = kinds.index(one.answer)
    found = []
    for name, own in said.items():
        twice = [(own[i], own[it.repeat_of]) for i, it in enumerate(plan.items) if i in own and it.repeat_of in own]
        found.append(_agreed(name, name, twice))
    for first, second in combinations(auditors, 2):
        both = [i for i in plan.first_items if i in said[first] and i in said[second]]
        found.append(_agreed(first, second, [(said[first][i], said[second][i]) for i in both]))
    return tuple(one for one in found if one.found.n)


def _agreed(first: str, second: str, pairs: list[tuple[int, int]]) -> Agreed:
    values = np.array(pairs, int).reshape(-1, 2)
    return Agreed(first, second, agreement(values[:, 0], values[:, 1]))


def decision(found: Found) -> str:
    """Whether to stop or to label more, as a sentence."""
    told, left = found.comparison.contrast, found.comparison.left
    pair = f"{found.comparison.first} and {found.comparison.second}"
    if not np.isfinite(told.value):
        return f"Nothing can be said yet about {pair}: there are too few answers."
    seen = f"{points(told.value)} ({points(told.low)} to {points(told.high)}) percentage points"
    if told.more is None:
        return f"Stop here: {pair} do not differ so far: {seen}."
    if told.more == 0:
        return f"Stop here: {pair} differ by {seen}, which is beyond chance."
    if told.more <= left:
        return (
            f"Stop here, or label {told.more:,} more to tell {pair} apart: so far they differ by {seen}, which may be "
            "chance."
        )
    return (
        f"Stop here: {pair} differ by {seen}, which may be chance; to be sure of so small a difference takes "
        f"{told.more:,} more answers, and only {left:,} clips that could tell are left."
    )


def points(share: float) -> str:
    """A difference of shares in percentage points, `+12.3` or `−4.0`."""
    return f"{100 * share:+.1f}".replace("-", "−")


def report_lines(found: Found) -> list[str]:
    """The finding in lines for a terminal."""
    runs = " and ".join(found.plan.runs)
    lines = [
        f"{found.plan.name}: {runs}, {found.heard} of {len(found.plan.first_items)} clips heard by "
        f"{', '.join(found.auditors) or 'nobody'}; {found.unclear} could not be told and count for neither side"
    ]
    for group in found.groups:
        lines.append(f"{group.name:18} seen {_shown(group.strict)}   or plausible {_shown(group.lenient)}")
    for run, bands in found.bands.items():
        if any(one.band.estimated is not None for one in bands):
            lines.append(f"false share by score of {run}, estimated by decoys and audited (not seen):")
            lines += [
                f"  {one.band.low:.3g} to {one.band.high:.3g}: {one.band.estimated:.3f}, {_shown(one.strict)}"
                for one in bands
                if one.band.estimated is not None
            ]
    for agreed in found.agreed:
        whom = (
            f"{agreed.first} with oneself" if agreed.first == agreed.second else f"{agreed.first} and {agreed.second}"
        )
        a = agreed.found
        kappa = "undefined" if not np.isfinite(a.kappa) else f"{a.kappa:.2f} ({a.low:.2f} to {a.high:.2f})"
        lines.append(f"agreement of {whom}: {a.agree.value:.2f} of {a.n}, kappa {kappa}")
    return [*lines, decision(found)]


def _shown(share: Share) -> str:
    if not np.isfinite(share.value):
        return f"unknown ({share.n} answers)"
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f}; {share.n} answers, worth {share.effective:.0f})"
