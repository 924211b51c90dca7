"""What a method of selection is: a checked `Request` in, an `Outcome` out. Also the path from a score to a selection.

A method is one file of this folder and one entry of `registry.METHODS`. It never validates and never draws controls:
`curation.selection` does both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.checks import check_choice, check_whole
from curation.errors import SettingError
from curation.kernels.contingency import Layout, Rows
from curation.kernels.draws import STREAM_TIES, stream_key
from curation.kernels.greedy_plan import Plan, plan_quotas
from curation.kernels.quotas import NO_CAP, Quotas, left_after, walk
from curation.kernels.top import top_rows


@dataclass(frozen=True)
class Option:
    """A setting that only one method has. The type of `default` is its type; `choices` or `low`..`high` are allowed."""

    name: str
    default: Any
    help: str
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """`value` in the option's type; text is read. SettingError says what is allowed."""
        if self.choices:
            return check_choice(self.name, value, self.choices)
        if isinstance(self.default, int):
            if isinstance(value, str) and value.strip().isdigit():
                value = int(value)
            return check_whole(self.name, value, int(self.low), int(self.high))
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not self.low <= number <= self.high:
            raise SettingError(
                f"{self.name}={value!r} cannot be used.", hint=f"Allowed: numbers from {self.low:g} to {self.high:g}."
            )
        return number


@dataclass(frozen=True)
class Request:
    """A selection to make; everything is checked. Arrays of length 0 mean "none"."""

    plan: Plan  # assignments (rows, layout), pair weights, budget in clips, batches, constraints, seed
    names: tuple[str, ...]  # of the D clusterings
    group: np.ndarray  # int32 (N,): source of each clip
    duplicate: np.ndarray  # int32 (N,): duplicate group of each clip, -1 = none
    features: tuple[np.ndarray, ...] = ()  # D arrays float (N, d), in the order of the clusterings
    like: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # rows of a subset to resemble
    device: str = "cpu"
    progress: Any = None
    replicates: tuple[tuple[Rows, Layout], ...] = ()  # the same layers clustered again with other seeds
    checkpoint: Any = None  # `load()`, `due()`, `save(arrays)`: where a run that may be cancelled keeps its state
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """N."""
        return len(self.plan.rows.codes)

    def look(self) -> None:
        """Raise Cancelled where a person stopped the run. Call it at least every second."""
        if self.progress is not None:
            self.progress.check_cancelled()

    def candidates(self) -> np.ndarray:
        """Rows that are not excluded, rising, int64; empty where that is all of them."""
        if not len(self.plan.excluded):
            return np.zeros(0, np.int64)
        return np.delete(np.arange(self.n_rows), self.plan.excluded)

    def partner_of(self, layer: int) -> np.ndarray | None:
        """Which row's values clip i has in clustering `layer`, int32 (N,): another one's where sounds are permuted.
        None = its own.
        """
        rows = self.plan.rows
        return rows.partner if len(rows.partner) and rows.swapped[layer] else None


@dataclass(frozen=True)
class Outcome:
    """What a method chose. `order` int64 (s,): rows, best first, included ones in front. `gain` float64 (s,), nats, NaN
    where nothing was compared. `scores` float64 (N,): higher = earlier, NaN = not looked at. `columns`: more numbers a
    clip, float64 (N,) by name (a-z and _), NaN = none. `report`: plain numbers, text and lists, added to the report.
    """

    order: np.ndarray
    gain: np.ndarray
    scores: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)


class Method(ABC):
    """One way to choose clips."""

    name: str
    title: str  # one plain line for people
    is_prefix: bool = False  # the first k picks are the picks of budget k (where no constraint depends on the budget)
    needs_features: bool = False
    needs_like: bool = False
    has_batches: bool = False  # batch_size, selection_size, refill and device matter
    options: tuple[Option, ...] = ()

    @abstractmethod
    def run(self, request: Request) -> Outcome:
        """Choose. Deterministic in the request, for any number of threads. Calls `request.look()` as it goes."""

    def run_beside(self, request: Request, control: Request | None) -> tuple[Outcome, Outcome | None]:
        """The run and the same run on permuted sounds; tells `request.progress` of N clips in all."""
        found = self.run(request)
        told = request.n_rows if control is None else request.n_rows // 2
        if request.progress is not None:
            request.progress.advance(told)
        other = None if control is None else self.run(control)
        if request.progress is not None:
            request.progress.advance(request.n_rows - told)
        return found, other

    def floor_values(self, request: Request, outcome: Outcome) -> np.ndarray:
        """Who comes in first where a floor is short, float64 (N,): here the better score; never looked at = last."""
        return np.where(np.isnan(outcome.scores), -np.inf, outcome.scores)


class ScoreMethod(Method):
    """A method that gives every clip one number and takes the best. Its `Outcome.scores` are those numbers."""

    @abstractmethod
    def score(self, request: Request) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
        """Scores float64 (N,) (NaN = comes last), more columns, and what to report."""

    def run(self, request: Request) -> Outcome:
        scores, columns, report = self.score(request)
        order = top_by_score(request, scores)
        return Outcome(order, np.full(len(order), np.nan), scores, columns, report)


def top_by_score(request: Request, scores: np.ndarray) -> np.ndarray:
    """The best clips by `scores` float64 (N,) under the request's caps and hours, included ones first: int64 (<= s,).

    Ties go to the smaller hash of the row under the seed. A clip with a full label is passed over; the run ends before
    the first clip that would pass the hours. Floors are repaired later (`floors.keep_floors`).
    """
    plan = request.plan
    missing = np.isnan(scores)
    if missing.any():
        scores = np.where(missing, -np.inf, scores)
    blocked = np.zeros(0, np.uint8)
    if len(plan.excluded) or len(plan.included):
        blocked = np.zeros(len(scores), np.uint8)
        blocked[plan.excluded] = 1
        blocked[plan.included] = 1
    key = stream_key(plan.seed, STREAM_TIES)
    quotas = capped(plan_quotas(plan))
    take = plan.budget - len(plan.included)
    order = np.empty(plan.budget, np.int64)
    order[: len(plan.included)] = plan.included
    used_us = int(plan.duration_us[plan.included].sum()) if len(plan.duration_us) else 0
    free = len(scores) - int(np.count_nonzero(blocked))
    while True:
        rows = top_rows(scores, take, key, blocked)
        left = left_after(quotas, plan.included)
        n = walk(rows, order, len(plan.included), quotas.label, quotas.offset, left, plan.duration_us, plan.limit_us,
                 used_us)  # fmt: skip
        if n == plan.budget or take >= free or not len(quotas.cap):
            return order[:n]
        take = min(free, 2 * take)


def capped(quotas: Quotas) -> Quotas:
    """The same without families that have no finite cap: they cannot stop a walk."""
    sizes = np.diff(quotas.offset)
    keep = [f for f in range(len(sizes)) if (quotas.cap[quotas.offset[f] : quotas.offset[f + 1]] < NO_CAP).any()]
    if len(keep) == len(sizes):
        return quotas
    inside = np.concatenate([np.arange(quotas.offset[f], quotas.offset[f + 1]) for f in keep] or [np.zeros(0, int)])
    return Quotas(
        quotas.label[keep],
        np.concatenate([[0], np.cumsum(sizes[keep])]).astype(np.int64),
        quotas.cap[inside],
        quotas.floor[inside],
    )
