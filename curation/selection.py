"""Choosing clips: cluster assignments in, a `Selection` out. Validates, plans, runs a kernel, draws the controls."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curation.checks import (
    DEVICES,
    Budget,
    CheckedAssignments,
    check_assignments,
    check_choice,
    check_layers,
    check_pairs,
    check_seed,
    check_whole,
    parse_budget,
    row_indices,
)
from curation.errors import InputError, SettingError
from curation.kernels.batch_greedy import BatchGreedy
from curation.kernels.contingency import Rows
from curation.kernels.draws import STREAM_CONTROL, STREAM_RANDOM, permuted_partners
from curation.kernels.greedy_plan import Plan
from curation.kernels.information import information_of, objective_along
from curation.kernels.random_order import random_order

METHODS = ("batch-greedy", "random")
REFILLS = ("redraw", "queue")
CURVE_POINTS = 60
RANDOM_DRAWS = 3  # mean of this many random subsets, one where that takes long
CUDA_BATCH = 10_000  # smaller batches leave a GPU waiting for its launches
_STEP_S = 0.05  # work between two looks at cancel


@dataclass(frozen=True)
class Selection:
    """Chosen clips. Row numbers refer to the rows of `assignments`.

    `order` int64 (s,): in picking order; a prefix is the run with a smaller budget. `gain` float64 (s,), nats:
    increase of n F(S) by this clip at the counts the decision saw (the counts before its batch); NaN where nothing
    was compared. `scores` float64 (N,): higher = earlier; chosen clips s, s - 1, ..., 1 in their order; clips
    compared and passed over at most 0, their gain when last looked at minus the best such gain, nats; NaN if never
    looked at. `objective`: F(S) = sum of w_p MI_p, nats, weights summing to 1. `curve`: F in nats at up to 60 sizes,
    arrays (m,): `size` int64, clips; `objective` of the run's first `size` clips; `random` of as many random ones
    (mean of `report["random_draws"]` draws); `permuted` of as many that the same method chooses after the sounds were
    permuted among the candidates. The distance to `permuted` is the finding, the distance to `random` is not: a
    search for high counts finds some in any data. `report`: plain numbers, text and lists, ready for JSON.
    """

    order: np.ndarray
    gain: np.ndarray
    scores: np.ndarray
    curve: dict[str, np.ndarray]
    objective: float
    report: dict[str, Any]


@dataclass(frozen=True)
class _Job:
    """A validated request."""

    checked: CheckedAssignments
    pairs: np.ndarray  # int64 (P, 2)
    names: list[str]
    method: str
    pairing: str
    budget: Budget
    device: str
    why: str
    group: np.ndarray  # int32 (N,), 0..G-1, or empty: sources
    plan: Plan
    notices: list[str]


def select(
    assignments: Any,
    modalities: Sequence[str],
    *,
    budget: Any,
    method: str = "batch-greedy",
    pairing: str = "bipartite",
    batch_size: int = 100,
    selection_size: int = 25,
    refill: str = "redraw",
    seed: int = 0,
    device: str = "auto",
    groups: Any = None,
    weights: Any = None,
    layers: Sequence[str] | None = None,
    features: Any = None,
    durations_s: Any = None,
    include: Any = None,
    exclude: Any = None,
    max_per_group: int | None = None,
    cluster_floor: Any = None,
    cluster_cap: Any = None,
    progress: Any = None,
    controls: bool = True,
) -> Selection:
    """Choose the clips in which sound and picture clusters tell most about each other (ACAV100M, arXiv 2101.10803,
    section 3).

    `assignments` integer (N, D): cluster id of each clip in each clustering, from 0 up (pass only clips that have all
    of them); int8 to int32 arrays in row order, memory-mapped ones too, are read in place. `modalities` D of "audio"
    / "visual"; `layers` D names.

    - `budget`: an int (clips), a float below 1 (share of N, rounded), or hours as "1.5h" or ("hours", 1.5) with
      `durations_s` float (N,). A run in hours ends before the first pick that would pass them (durations counted in
      microseconds), so it is a prefix of the unlimited run.
    - `method`: "batch-greedy": draw `batch_size` of the remaining clips, take the best `selection_size`, repeat;
      `refill="redraw"` puts the rest back, "queue" behind all others. "random": the control.
    - `pairing`: "bipartite", "diagonal" (equal positions within each modality) or "combination"; `weights` (P,) of
      the pairs, in its order.
    - `device`: the picks are the same on all; "auto" takes CUDA only where the batches are large enough to gain.
    - `groups` (N,): source of each clip; at most `max_per_group` of one are chosen, and permuted sounds come from
      another one.
    - `include`, `exclude`: row numbers or bool masks; included clips come first, with gain NaN.
    - `progress`: an object with `advance(n)` (n sums to N), `check_cancelled()` and `series(dict)`; called about 20
      times a second.
    - `controls=False` leaves the curve's `random` and `permuted` NaN, which saves more than half of the time.

    `features`, `cluster_floor` and `cluster_cap` are kept for methods to come; only None is allowed. Memory: at most
    about 3 times the assignments. Raises `InputError`, `SettingError`, and what `progress.check_cancelled` raises.
    """
    started = time.perf_counter()
    _refuse_later_settings(features=features, cluster_floor=cluster_floor, cluster_cap=cluster_cap)
    job = _prepare(
        assignments, modalities, budget=parse_budget(budget), method=method, pairing=pairing, batch_size=batch_size,
        selection_size=selection_size, refill=refill, seed=seed, device=device, groups=groups, weights=weights,
        layers=layers,
        durations_s=durations_s, include=include, exclude=exclude, max_per_group=max_per_group,
    )  # fmt: skip
    prepared = time.perf_counter()
    control = _permuted(job) if controls else None
    run = _greedy if job.method == "batch-greedy" else _random
    order, gain, scores, permuted_order, engine_report = run(job, control, progress)
    if not len(order):
        raise SettingError(
            "The budget ends before the first chosen clip.", hint="Raise the hours, or leave out the longest clips."
        )
    chosen = time.perf_counter()
    curve = _curve(job, order, control, permuted_order)
    ended = time.perf_counter()
    report = _report(job, order, curve, engine_report)
    report["timings_s"] = {"check": prepared - started, "choose": chosen - prepared, "curve": ended - chosen}
    return Selection(order, gain, scores, curve, float(curve["objective"][-1]), report)


def _refuse_later_settings(**settings: Any) -> None:
    for name, value in settings.items():
        if value is not None:
            raise SettingError(
                f"{name} cannot be used with the methods of this version.", hint=f"Allowed: {name}=None."
            )


def _prepare(assignments: Any, modalities: Sequence[str], **s: Any) -> _Job:
    """Check everything before any work starts; `s` holds the keywords of `select`."""
    check_choice("method", s["method"], METHODS)
    check_choice("refill", s["refill"], REFILLS)
    check_seed(s["seed"])
    batch_size = check_whole("batch_size", s["batch_size"], 1, 2**31 - 1)
    selection_size = check_whole("selection_size", s["selection_size"], 1, 2**31 - 1)
    if selection_size > batch_size:
        raise SettingError(
            f"selection_size={selection_size} is larger than batch_size={batch_size}.",
            hint=f"Allowed: selection_size from 1 to {batch_size}.",
        )
    device, why = choose_device(s["device"], s["method"], batch_size)
    checked = check_assignments(assignments, modalities, s["layers"])
    layout, pairs, weights = check_pairs(checked, s["pairing"], s["weights"])
    n_rows = len(checked.codes)
    notices = list(checked.notices)
    included, excluded = (row_indices(name, s[name], n_rows) for name in ("include", "exclude"))
    both = np.intersect1d(included, excluded)
    if len(both):
        raise SettingError(f"{len(both)} clips are both included and excluded, row {both[0]} first.")
    n_candidates = n_rows - len(excluded)
    if not n_candidates:
        raise InputError("All clips are excluded: there is nothing to choose from.")
    group = check_groups(s["groups"], n_rows)
    group_max = _check_group_max(s["max_per_group"], group, included)
    budget = s["budget"]
    duration_us = check_durations(s["durations_s"], n_rows) if budget.kind == "hours" else np.zeros(0, np.int64)
    n_budget = _budget_clips(budget, n_rows, n_candidates, duration_us, included, excluded, notices)
    if group_max:
        n_budget = _within_groups(n_budget, group, group_max, excluded, notices)
    if batch_size > n_candidates and s["method"] != "random":
        notices.append(
            f"A batch of {batch_size} is larger than the {n_candidates} candidates: each batch is all that remain."
        )
    plan = Plan(
        rows=Rows(checked.codes, np.zeros(0, np.int32), checked.is_audio),
        layout=layout,
        weights=weights,
        budget=n_budget,
        batch_size=min(batch_size, n_candidates),
        selection_size=max(1, selection_size * min(batch_size, n_candidates) // batch_size),
        seed=int(s["seed"]),
        queue=s["refill"] == "queue",
        included=included,
        excluded=excluded,
        group=group if group_max else np.zeros(0, np.int32),
        group_max=group_max,
        duration_us=duration_us,
        limit_us=budget.limit_us if budget.kind == "hours" else 0,
    )
    names = check_layers(s["layers"], checked.is_audio)
    return _Job(checked, pairs, names, s["method"], s["pairing"], budget, device, why, group, plan, notices)


def choose_device(device: str, method: str, batch_size: int) -> tuple[str, str]:
    """ "cpu" or "cuda", and why. Raises `SettingError` where CUDA is asked for and absent."""
    check_choice("device", device, DEVICES)
    if device == "cpu":
        return "cpu", "asked for"
    if method == "random":
        return "cpu", "a random draw needs no device"
    if device == "auto" and batch_size < CUDA_BATCH:
        return (
            "cpu",
            f"batches of {batch_size} clips are too small to keep a GPU busy (from {CUDA_BATCH} on one is used)",
        )
    import torch

    if torch.cuda.is_available():
        return "cuda", "asked for" if device == "cuda" else "a CUDA device is there and the batches are large"
    if device == "cuda":
        raise SettingError(
            "device='cuda' was asked for, but torch finds no CUDA device.", hint="Use device='auto' or device='cpu'."
        )
    return "cpu", "torch finds no CUDA device"


def check_groups(groups: Any, n_rows: int) -> np.ndarray:
    """Sources as int32 (N,) from 0 up; empty where none are given."""
    if groups is None:
        return np.zeros(0, np.int32)
    values = np.asarray(groups)
    if values.shape != (n_rows,):
        raise InputError(
            f"groups has the shape {values.shape}, for {n_rows} clips.", hint="Give the source of every clip."
        )
    if values.dtype == object:
        values = values.astype(str)
    return np.unique(values, return_inverse=True)[1].astype(np.int32)


def check_durations(durations_s: Any, n_rows: int) -> np.ndarray:
    """Durations as int64 microseconds (N,)."""
    if durations_s is None:
        raise SettingError("A budget of hours needs durations_s.", hint="Pass the duration of every clip, in seconds.")
    try:
        seconds = np.asarray(durations_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"durations_s is not a list of numbers: {error}.") from error
    if seconds.shape != (n_rows,):
        raise InputError(f"durations_s has the shape {seconds.shape}, for {n_rows} clips.")
    bad = ~(np.isfinite(seconds) & (seconds > 0) & (seconds < 1e9))
    if bad.any():
        raise InputError(f"durations_s is not a positive number of seconds in {int(bad.sum())} of {n_rows} rows.",
                         hint=f"The first is row {int(np.argmax(bad))}.")  # fmt: skip
    return np.rint(seconds * 1e6).astype(np.int64)


def _check_group_max(max_per_group: Any, group: np.ndarray, included: np.ndarray) -> int:
    """At most this many of a group; 0 = no limit."""
    if max_per_group is None:
        return 0
    limit = check_whole("max_per_group", max_per_group, 1, 2**31 - 1)
    if not len(group):
        raise SettingError("max_per_group needs groups.", hint="Pass the source of every clip as groups.")
    if len(included) and np.bincount(group[included]).max() > limit:
        raise SettingError(f"The included clips hold more than max_per_group={limit} clips of one group.")
    return limit


def _budget_clips(
    budget: Budget,
    n_rows: int,
    n_candidates: int,
    duration_us: np.ndarray,
    included: np.ndarray,
    excluded: np.ndarray,
    notices: list[str],
) -> int:
    """The largest number of clips that a run may take."""
    if budget.kind == "hours":
        if duration_us[included].sum() > budget.limit_us:
            raise SettingError(f"The included clips are longer than the budget of {budget.value:g} hours.")
        shortest = np.sort(np.delete(duration_us, excluded))
        wanted = int(np.searchsorted(np.cumsum(shortest), budget.limit_us, side="right"))
        if not wanted:
            raise SettingError(
                f"The budget of {budget.value:g} hours is shorter than the shortest clip ({shortest[0] / 1e6:g} s)."
            )
        if wanted == n_candidates:
            notices.append(f"The budget of {budget.value:g} hours holds all {n_candidates} candidates: all are taken.")
        return wanted
    wanted = budget.clips(n_rows)
    if wanted > n_candidates:
        notices.append(f"The budget of {wanted} clips is larger than the {n_candidates} candidates: all are taken.")
        wanted = n_candidates
    if len(included) > wanted:
        raise SettingError(f"{len(included)} clips are included, more than the budget of {wanted}.")
    return wanted


def _within_groups(n_budget: int, group: np.ndarray, limit: int, excluded: np.ndarray, notices: list[str]) -> int:
    """The budget that max_per_group leaves."""
    room = int(np.minimum(np.bincount(np.delete(group, excluded)), limit).sum())
    if room < n_budget:
        notices.append(
            f"At most {limit} clips a group leave {room} of the {n_budget} clips asked for: {room} are taken."
        )
    return min(room, n_budget)


def _permuted(job: _Job) -> Plan:
    """The same plan with every sound given to a picture of another source, among the candidates."""
    rows = np.arange(len(job.checked.codes), dtype=np.int32)
    if len(job.plan.excluded):
        rows = np.delete(rows, job.plan.excluded)
    partner, left = permuted_partners(job.group[rows] if len(job.group) else rows, job.plan.seed)
    if left:
        job.notices.append(
            f"{left} of {len(rows)} permuted sounds stay within their own source: one source is too large."
        )
    partners = np.arange(len(job.checked.codes), dtype=np.int32)
    partners[rows] = rows[partner]
    # Hours end the run itself; its control only has to be as long.
    return replace(
        job.plan,
        rows=job.plan.rows._replace(partner=partners),
        duration_us=np.zeros(0, np.int64),
        limit_us=0,
        keep_scores=False,
    )


_Outcome = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def _greedy(job: _Job, control: Plan | None, progress: Any) -> _Outcome:
    """Batch-greedy beside its control, so that the live curve shows both."""
    engine, other = _engine(job, job.plan), _engine(job, control) if control else None
    told, batches, running = 0, 16, True
    n_rows = len(job.checked.codes)
    while running:
        began = time.perf_counter()
        running = engine.step(batches)
        batches = _next_batches(batches, time.perf_counter() - began)
        point = {"size": engine.n_picked}
        if other is not None:
            while other.n_picked < engine.n_picked and other.step(max(1, batches // 4)):
                _look(progress)
        if progress is not None:
            point["objective"] = engine.objective()
            if other is not None:
                point["permuted"] = other.objective()
            done = n_rows if not running else n_rows * engine.n_picked // max(1, job.plan.budget)
            progress.series(point)
            progress.advance(done - told)
            told = done
            _look(progress)
    order, gain, scores = engine.result()
    scores[order] = -np.inf
    best_passed = np.nanmax(scores, initial=-np.inf)
    if np.isfinite(best_passed):
        scores -= best_passed
    scores[order] = np.arange(len(order), 0, -1)
    permuted_order = other.result()[0] if other is not None else np.zeros(0, np.int64)
    return order, gain, scores, permuted_order, {"scored": engine.n_scored}


def _engine(job: _Job, plan: Plan) -> Any:
    if job.device == "cuda":
        from curation.kernels.batch_greedy_torch import BatchGreedyTorch

        return BatchGreedyTorch(plan, "cuda")
    return BatchGreedy(plan)


def _next_batches(batches: int, took_s: float) -> int:
    """Batches that take about `_STEP_S`, at most four times as many as before."""
    return max(1, min(4 * batches, int(batches * _STEP_S / max(took_s, 1e-6)), 1 << 20))


def _look(progress: Any) -> None:
    if progress is not None:
        progress.check_cancelled()


def _draw_random(plan: Plan, *stream: int) -> np.ndarray:
    """A random run under the plan's constraints, int64 (s,)."""
    return random_order(
        len(plan.rows.codes),
        plan.budget,
        seed=plan.seed,
        stream=stream,
        included=plan.included,
        excluded=plan.excluded,
        group=plan.group,
        group_max=plan.group_max,
        duration_us=plan.duration_us,
        limit_us=plan.limit_us,
    )


def _random(job: _Job, control: Plan | None, progress: Any) -> _Outcome:
    """The control as a method of its own."""
    _look(progress)
    n_rows = len(job.checked.codes)
    order = _draw_random(job.plan, STREAM_RANDOM)
    scores = np.full(n_rows, np.nan)
    scores[order] = np.arange(len(order), 0, -1)
    if progress is not None:
        progress.advance(n_rows)
    permuted_order = _draw_random(control, STREAM_RANDOM) if control else order[:0]
    return order, np.full(len(order), np.nan), scores, permuted_order, {"scored": 0}


def _curve(job: _Job, order: np.ndarray, control: Plan | None, permuted_order: np.ndarray) -> dict[str, np.ndarray]:
    """F of the run, of random and of the control, at the same sizes; NaN for controls that were not asked for."""
    plan, s = job.plan, len(order)
    points = min(s, CURVE_POINTS)
    sizes = np.unique(np.rint(np.arange(1, points + 1) * s / points).astype(np.int64))

    def along(rows: Rows, clips: np.ndarray) -> np.ndarray:
        return objective_along(rows, clips, sizes, plan.layout, plan.weights)

    curve = {"size": sizes, "objective": along(plan.rows, order)}
    for name in ("random", "permuted"):
        curve[name] = np.full(len(sizes), np.nan)
    if control is not None:
        uncut = replace(plan, budget=s, duration_us=np.zeros(0, np.int64))
        draws = [_draw_random(uncut, STREAM_CONTROL, k) for k in range(_random_draws(s))]
        curve["random"] = np.mean([along(plan.rows, draw) for draw in draws], axis=0)
        curve["permuted"] = along(control.rows, permuted_order)
    return curve


def _random_draws(size: int) -> int:
    return RANDOM_DRAWS if size <= 1_000_000 else 1


def _report(job: _Job, order: np.ndarray, curve: dict[str, np.ndarray], engine: dict[str, Any]) -> dict[str, Any]:
    """What was done, in plain numbers, text and lists."""
    plan, names = job.plan, job.names
    values = information_of(plan.rows, order, plan.layout)

    def last(name: str) -> float | None:
        value = float(curve[name][-1])
        return value if np.isfinite(value) else None

    objective, permuted = last("objective"), last("permuted")
    return {
        "method": job.method,
        "pairing": job.pairing,
        "pairs": [
            {"first": names[a], "second": names[b], "weight": float(w), "mutual_information": float(v)}
            for (a, b), w, v in zip(job.pairs, plan.weights, values, strict=True)
        ],
        "layers": names,
        "n_clusters": job.checked.n_clusters.tolist(),
        "budget": {"kind": job.budget.kind, "value": job.budget.value},
        "n_rows": len(job.checked.codes),
        "n_candidates": len(job.checked.codes) - len(plan.excluded),
        "n_selected": len(order),
        "n_included": len(plan.included),
        "batch_size": plan.batch_size,
        "selection_size": plan.selection_size,
        "refill": "queue" if plan.queue else "redraw",
        "max_per_group": plan.group_max or None,
        "seed": plan.seed,
        "device": {"used": job.device, "why": job.why},
        "scored_candidates": engine["scored"],
        "random_draws": _random_draws(len(order)),
        "objective": objective,
        "objective_random": last("random"),
        "objective_permuted": permuted,
        "above_permuted": objective - permuted if objective is not None and permuted is not None else None,
        "notices": job.notices,
    }
