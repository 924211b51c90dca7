"""One method of selection on one trial: what it chooses at every budget, and how many of that are right."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.errors import InputError, SettingError
from curation.evaluation.trial import Trial
from curation.information import mutual_information
from curation.kernels.retrieval import along, average_precision, ranking
from curation.methods.registry import METHODS
from curation.selection import select

CURVE_POINTS = 40
BUDGETS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)  # times the number of right clips
RANDOM = "random"
MATCHED = "matched-random"

VARIANTS: dict[str, dict[str, Any]] = {
    "batch-greedy (queue)": {"method": "batch-greedy", "refill": "queue"},
    "mixture, own": {"method": "mixture", "options": {"marginals": "own"}},
    "concord, purest": {"method": "concord", "options": {"breadth": 0.0}},
    "concord, evidence only": {"method": "concord", "options": {"breadth": 0.0, "content_prior": "off"}},
}
"""Methods with other settings than their own, by the name under which they are evaluated."""


def method_names() -> list[str]:
    """All methods and variants that can be evaluated, random first."""
    names = [RANDOM, MATCHED, *(name for name in METHODS if name not in (RANDOM, MATCHED)), *VARIANTS]
    return sorted(names, key=lambda name: (name != RANDOM, name != MATCHED))


@dataclass(frozen=True)
class Settings:
    """What is evaluated. `budgets`: sizes as multiples of the number of right clips; 1 is always among them, and is
    where methods are compared. `batch_size`, `selection_size`: of batch-greedy.
    """

    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    budgets: tuple[float, ...] = BUDGETS
    pairing: str = "bipartite"
    batch_size: int = 100
    selection_size: int = 25

    def checked(self) -> Settings:
        """With the defaults filled in. Raises `SettingError` for what is not there."""
        known = method_names()
        methods = self.methods or tuple(known)
        for name in methods:
            if name not in known:
                raise SettingError(f"There is no method {name!r}.", hint=f"Methods: {', '.join(known)}.")
        if not self.seeds or any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise SettingError("Seeds are whole numbers from 0 up, at least one.")
        if any(not 0 < b <= 100 for b in self.budgets):
            raise SettingError("Budgets are multiples of the number of right clips, above 0.", hint="E.g. 0.25 0.5 1")
        named = tuple(dict.fromkeys((RANDOM, *methods)))
        return Settings(named, tuple(dict.fromkeys(self.seeds)), tuple(sorted({*self.budgets, 1.0})), self.pairing,
                        self.batch_size, self.selection_size)  # fmt: skip


def fitted_batch(settings: Settings, n_right: int) -> tuple[int, int]:
    """Clips in a batch of batch-greedy and those taken of it, where `n_right` are chosen: at least ten batches where
    that can be, with the share taken of a batch as it was asked for.
    """
    taken = min(settings.selection_size, max(1, n_right // 10))
    if taken == settings.selection_size:
        return settings.batch_size, taken
    return max(taken, round(settings.batch_size * taken / settings.selection_size)), taken


@dataclass(frozen=True)
class MethodRun:
    """One method on one trial. `order` int64 (s,): its choice of as many clips as are right. `points`: a dictionary a
    budget (columns of runs.parquet); `curve`: precision, recall and F1 of the whole ranking at some sizes.
    """

    order: np.ndarray
    points: list[dict[str, Any]]
    curve: dict[str, np.ndarray]


def evaluate(trial: Trial, method: str, seed: int, settings: Settings, *, like: np.ndarray | None = None,
             progress: Any = None) -> MethodRun:  # fmt: skip
    """Choose with one method, at every budget: each is a run of its own unless prefixes are runs (`is_prefix`).

    `like`: the choice that matched-random resembles. Raises `InputError` for a budget above the number of clips.
    """
    main = trial.n_right
    n = len(trial.right)
    if main >= n:
        raise InputError(f"{n} candidates for a budget of {main}: there is nothing to leave out.")
    sizes = {max(1, round(main * times)): times == 1.0 for times in settings.budgets if round(main * times) < n}
    spec = VARIANTS.get(method, {"method": method})
    is_prefix = METHODS[spec["method"]].is_prefix
    found, took = _choose(trial, spec, max(sizes) if is_prefix else main, main, seed, settings, like, progress)
    order = found.order[:main]
    rows = ranking(found.order, found.scores, seed)
    objective = found.objective
    if len(order) < len(found.order):
        objective = mutual_information(
            trial.codes, trial.modalities, subset=order, pairing=settings.pairing, layers=trial.layers
        ).mean
    points = []
    for size, is_main in sizes.items():
        if progress is not None:
            progress.check_cancelled()
        picked, seconds = found.order[:size], took
        if not is_prefix and not is_main:
            own, seconds = _choose(trial, spec, size, main, seed, settings, like, progress)
            picked = own.order
        at = along(picked, trial.right, trial.known, np.array([len(picked)]))
        points.append({
            "method": method, "seed": seed, "clips": len(picked), "is_main": is_main, "known": int(at.known[0]),
            "right": int(at.right[0]), "precision": float(at.precision[0]), "recall": float(at.recall[0]),
            "f1": float(at.f1[0]), "objective": objective if is_main else None, "took_s": seconds,
            "average_precision": average_precision(rows, trial.right, trial.known) if is_main else None,
        })  # fmt: skip
    marks = np.unique(np.rint(np.linspace(0, 1, CURVE_POINTS + 1)[1:] * n).astype(np.int64))
    whole = along(rows, trial.right, trial.known, marks[marks > 0])
    curve = {"clips": whole.size, "precision": whole.precision, "recall": whole.recall, "f1": whole.f1}
    return MethodRun(order, points, curve)


def _choose(trial: Trial, spec: Mapping[str, Any], budget: int, main: int, seed: int, settings: Settings,
            like: np.ndarray | None, progress: Any) -> tuple[Any, float]:  # fmt: skip
    """A `Selection` of `budget` clips, and the seconds it took."""
    method = METHODS[spec["method"]]
    given: dict[str, Any] = dict(spec)
    if method.needs_features:
        if trial.features is None:
            raise InputError(f"{method.name} needs the features of every layer.")
        given["features"] = trial.features()
    if method.needs_like:
        if like is None:
            raise InputError(f"{method.name} needs another choice to resemble.")
        given["like"] = like
    if trial.replicates and spec["method"] == "concord":
        given["replicates"] = trial.replicates
    batch, taken = fitted_batch(settings, main)
    began = time.perf_counter()
    found = select(
        trial.codes, trial.modalities, budget=budget, layers=trial.layers, seed=seed, groups=trial.groups,
        pairing=settings.pairing, batch_size=batch, selection_size=taken, controls=False, device="cpu",
        progress=_Quiet(progress), **given,
    )  # fmt: skip
    return found, time.perf_counter() - began


class _Quiet:
    """Passes a cancel on; a run's own progress is not that of the evaluation."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress

    def advance(self, n: int = 1) -> None:
        """Not counted."""

    def series(self, point: Mapping[str, float]) -> None:
        """Not drawn."""

    def check_cancelled(self) -> None:
        """As the evaluation's own."""
        if self._progress is not None:
            self._progress.check_cancelled()
