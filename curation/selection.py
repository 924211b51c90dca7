"""Choosing clips: cluster assignments in, a `Selection` out. Validates, hands to a method, draws the controls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from curation.checks import (
    Budget,
    CheckedAssignments,
    check_assignments,
    check_choice,
    check_layers,
    check_pairs,
    check_seed,
    check_whole,
    pairing_name,
    parse_budget,
    row_indices,
)
from curation.constraints import (
    Family,
    check_durations,
    check_groups,
    cluster_families,
    duplicate_family,
    fitted_budget,
    group_family,
    quotas_of,
    share_families,
)
from curation.controls import curve_of, permuted_request, random_draws
from curation.errors import InputError, SettingError
from curation.kernels.contingency import Layout, Rows
from curation.kernels.draws import STREAM_CONTROL
from curation.kernels.greedy_plan import Plan
from curation.kernels.information import information_of
from curation.kernels.quotas import label_counts
from curation.methods.base import Method, Outcome, Request
from curation.methods.floors import keep_floors
from curation.methods.needs import check_features, check_like, check_options, choose_device
from curation.methods.registry import METHODS
from curation.methods.uniform import draw_random

REFILLS = ("redraw", "queue")
_CONSTRAINTS = ("include", "exclude", "max_per_group", "duplicate_groups", "cluster_floor", "cluster_cap",
                "share_floor", "share_cap")  # fmt: skip
_RUNNING = ("progress", "checkpoint", "controls", "constraint_costs")  # how it is run, not what is chosen
_RESIZES = 5  # new runs where shares of a choice that came out smaller than planned do not hold


@dataclass(frozen=True)
class Selection:
    """Chosen clips. Row numbers refer to the rows of `assignments`.

    `order` int64 (s,): in picking order; with a method that `is_prefix` (`report["is_prefix"]`) a prefix is the run
    with a smaller budget. `gain` float64 (s,), nats: increase of n F(S) by this clip at the counts the decision saw
    (the counts before its batch); NaN where nothing was compared. `scores` float64 (N,): higher = earlier. Of methods
    that pick as they go: chosen clips s, s - 1, ..., 1 in their order; clips compared and passed over at most 0, their
    gain when last looked at minus the best such gain, nats; NaN if never looked at. Of methods that score: the score
    itself, nats. `columns`: more float64 (N,) by name, such as the parts of a score. `objective`: F(S) = sum of w_p
    MI_p, nats, weights summing to 1. `curve`: F in nats at up to 60 sizes, arrays (m,): `size` int64, clips;
    `objective` of the run's first `size` clips; `random` of as many random ones (mean of `report["random_draws"]`
    draws); `permuted` of as many that the same method chooses after the sounds were permuted among the candidates. The
    distance to `permuted` is the finding, the distance to `random` is not: a search for high counts finds some in any
    data. `report`: plain numbers, text and lists, ready for JSON.
    """

    order: np.ndarray
    gain: np.ndarray
    scores: np.ndarray
    curve: dict[str, np.ndarray]
    objective: float
    report: dict[str, Any]
    columns: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """A validated request, and what the report says of it."""

    request: Request
    method: Method
    checked: CheckedAssignments
    pairs: np.ndarray  # int64 (P, 2)
    pairing: str
    budget: Budget
    why: str
    families: list[Family]
    notices: list[str]


def select(
    assignments: Any,
    modalities: Sequence[str],
    *,
    budget: Any = None,
    method: str = "batch-greedy",
    pairing: Any = "bipartite",
    batch_size: int = 100,
    selection_size: int = 25,
    refill: str = "redraw",
    seed: int = 0,
    device: str = "auto",
    groups: Any = None,
    weights: Any = None,
    layers: Sequence[str] | None = None,
    features: Any = None,
    like: Any = None,
    durations_s: Any = None,
    include: Any = None,
    exclude: Any = None,
    max_per_group: int | None = None,
    duplicate_groups: Any = None,
    cluster_floor: Any = None,
    cluster_cap: Any = None,
    share_floor: Any = None,
    share_cap: Any = None,
    columns: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    replicates: Sequence[Any] = (),
    progress: Any = None,
    checkpoint: Any = None,
    controls: bool = True,
    constraint_costs: bool = False,
) -> Selection:
    """Choose the clips in which sound and picture clusters tell most about each other (ACAV100M, arXiv 2101.10803,
    section 3).

    `assignments` integer (N, D): cluster id of each clip in each clustering, from 0 up (pass only clips that have all
    of them); int8 to int32 arrays in row order, memory-mapped ones too, are read in place. `modalities` D of "audio"
    / "visual"; `layers` D names.

    - `budget`: an int (clips), a float below 1 (share of N, rounded), or hours as "1.5h" or ("hours", 1.5) with
      `durations_s` float (N,). A run in hours ends before the first pick that would pass them (durations counted in
      microseconds), so it is a prefix of the unlimited run.
    - `method`: a name of `curation.methods.registry.METHODS`; `options`: settings that only it has (`METHODS[name]
      .options`). "batch-greedy": draw `batch_size` of the remaining clips, take the best `selection_size`, repeat;
      `refill="redraw"` puts the rest back, "queue" behind all others. "random": the control.
    - `features`: D arrays float (N, d), or a dictionary by the names of `layers`; for methods that compare them.
    - `like`: row numbers or bool mask of the subset that "matched-random" resembles; `budget` None = its size.
    - `pairing`: "bipartite", "diagonal" (equal positions within each modality) or "combination"; one pair, as two names
      or indices; or a list of pairs, each with or without a weight. `weights` (P,) of the pairs, in their order.
    - `device`: the picks are the same on all; "auto" takes CUDA only where the batches are large enough to gain.
    - `groups` (N,): source of each clip; at most `max_per_group` of one are chosen, permuted sounds come from another
      one, and scores by counts leave a clip's own one out.
    - `include`, `exclude`: row numbers or bool masks; included clips come first, with gain NaN.
    - `duplicate_groups` (N,): below 0, empty or None = no duplicate; at most one of a group is chosen.
    - `cluster_floor`, `cluster_cap`: `{layer: bound}` for every cluster or `{layer: {cluster: bound}}`; a bound is a
      share of the chosen clips (float) or a number of them (int). `share_floor`, `share_cap`: `{column: {value:
      share}}`, values in `columns` `{column: (N,)}`. Floors are kept by letting the best clips of a label in for the
      latest picks; shares depend on the budget, so prefixes do not hold them.
    - `replicates`: arrays like `assignments`, the same layers clustered again with other seeds; "concord" averages over
      them. Other methods do not look at them.
    - `checkpoint`: an object with `load()`, `due()` and `save(arrays)`, such as `curation.checkpoint.Checkpoint`: a
      cancelled run of a method that picks as it goes continues where it was, and ends equal to an unbroken one.
    - `progress`: an object with `advance(n)` (n sums to N), `check_cancelled()` and `series(dict)`.
    - `controls=False` leaves the curve's `random` and `permuted` NaN, which saves more than half of the time.
    - `constraint_costs`: also run without each constraint; `report["constraint_cost"]` is the F lost by it, nats.

    Memory: at most about 3 times the assignments. Raises `InputError`, `SettingError`, and what
    `progress.check_cancelled` raises.
    """
    given = dict(locals())
    started = time.perf_counter()
    job = _prepare(**{k: v for k, v in given.items() if k not in _RUNNING})
    job = replace(job, request=replace(job.request, progress=progress, checkpoint=checkpoint))
    prepared = time.perf_counter()
    control = permuted_request(job.request, job.notices) if controls else None
    job, control, found, other = _run(job, control)
    chosen = time.perf_counter()
    curve = curve_of(job.request, found.order, control, found.order[:0] if other is None else other.order)
    ended = time.perf_counter()
    report = _report(job, found, curve)
    if control is not None and other is not None:
        rows, layout = control.plan.rows, control.plan.layout
        for pair, value in zip(report["pairs"], information_of(rows, other.order, layout), strict=True):
            pair["permuted"] = float(value)
    if constraint_costs:
        report["constraint_cost"] = _constraint_costs(given, len(found.order), float(curve["objective"][-1]))
    report["timings_s"] = {"check": prepared - started, "choose": chosen - prepared, "curve": ended - chosen}
    objective = float(curve["objective"][-1])
    return Selection(found.order, found.gain, found.scores, curve, objective, report, found.columns)


def _run(job: _Job, control: Request | None) -> tuple[_Job, Request | None, Outcome, Outcome | None]:
    """The method on the request and on its control; again where fewer clips came out than the shares were made for."""
    for attempt in range(_RESIZES):
        found, other = job.method.run_beside(_quiet(job.request, attempt), control)
        found = keep_floors(job.method, job.request, found)
        if control is not None and other is not None:
            other = keep_floors(job.method, control, other)
        size = len(found.order)
        if not size:
            raise SettingError(
                "The budget ends before the first chosen clip.", hint="Raise the hours, or leave out the longest clips."
            )
        if size == job.request.plan.budget or not any(item.has_share for item in job.families):
            break
        plan = replace(job.request.plan, budget=size, quotas=quotas_of(job.families, size))
        job = replace(job, request=replace(job.request, plan=plan))
        if control is not None:
            control = replace(control, plan=replace(control.plan, budget=size, quotas=plan.quotas))
    quotas = job.request.plan.quotas
    short = label_counts(quotas, found.order) < quotas.floor
    if short.any():
        raise SettingError(_together(job.families))
    return job, control, found, other


def _together(families: Sequence[Family]) -> str:
    names = dict.fromkeys(item.setting for item in families)
    return f"{' and '.join(names)} could not be kept together. Lower a floor, or raise a cap or the budget."


def _quiet(request: Request, attempt: int) -> Request:
    """Later attempts count no progress twice and are not kept, but can be cancelled."""
    if attempt == 0:
        return request
    request = replace(request, checkpoint=None)
    if request.progress is None:
        return request
    return replace(request, progress=_OnlyCancel(request.progress.check_cancelled))


@dataclass(frozen=True)
class _OnlyCancel:
    check_cancelled: Any

    def advance(self, n: int) -> None:
        """Nothing: these clips were counted before."""

    def series(self, point: dict[str, float]) -> None:
        """Nothing: the first attempt drew the curve."""


def _constraint_costs(given: dict[str, Any], size: int, objective: float) -> dict[str, float]:
    """F of as many clips without each constraint, minus F with all, nats."""
    costs = {}
    for name in _CONSTRAINTS:
        if given[name] is None:
            continue
        free = given | {
            name: None,
            "budget": size,
            "controls": False,
            "constraint_costs": False,
            "progress": None,
            "checkpoint": None,
        }
        if free["durations_s"] is not None and isinstance(given["budget"], (str, tuple)):
            free["durations_s"] = None
        costs[name] = select(**free).objective - objective
    return costs


def _prepare(assignments: Any, modalities: Sequence[str], **s: Any) -> _Job:
    """Check everything before any work starts; `s` holds the keywords of `select`."""
    check_choice("method", s["method"], tuple(METHODS))
    method = METHODS[s["method"]]
    check_choice("refill", s["refill"], REFILLS)
    check_seed(s["seed"])
    batch_size = check_whole("batch_size", s["batch_size"], 1, 2**31 - 1)
    selection_size = check_whole("selection_size", s["selection_size"], 1, 2**31 - 1)
    if selection_size > batch_size:
        raise SettingError(
            f"selection_size={selection_size} is larger than batch_size={batch_size}.",
            hint=f"Allowed: selection_size from 1 to {batch_size}.",
        )
    options = check_options(method, s["options"])
    device, why = choose_device(s["device"], s["method"], batch_size)
    checked = check_assignments(assignments, modalities, s["layers"])
    names = check_layers(s["layers"], checked.is_audio)
    layout, pairs, weights = check_pairs(checked, s["pairing"], s["weights"], s["layers"])
    n_rows = len(checked.codes)
    notices = list(checked.notices)
    features = check_features(method, s["features"], names, n_rows)
    like = check_like(method, s["like"], n_rows)
    budget = parse_budget(len(like) if s["budget"] is None and len(like) else s["budget"])
    included, excluded = (row_indices(name, s[name], n_rows) for name in ("include", "exclude"))
    both = np.intersect1d(included, excluded)
    if len(both):
        raise SettingError(f"{len(both)} clips are both included and excluded, row {both[0]} first.")
    n_candidates = n_rows - len(excluded)
    if not n_candidates:
        raise InputError("All clips are excluded: there is nothing to choose from.")
    group = check_groups(s["groups"], n_rows)
    families = _families(s, checked, names, group)
    duration_us = check_durations(s["durations_s"], n_rows) if budget.kind == "hours" else np.zeros(0, np.int64)
    n_budget = _budget_clips(budget, n_rows, n_candidates, duration_us, included, excluded, notices)
    n_budget = fitted_budget(families, n_budget, included, excluded, notices)
    quotas = quotas_of(families, n_budget)
    if len(quotas.cap) and (quotas.cap == 0).any():
        excluded = _with_forbidden(quotas.label, quotas.offset, quotas.cap, excluded)
        n_candidates = n_rows - len(excluded)
    if batch_size > n_candidates and method.has_batches:
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
        duration_us=duration_us,
        limit_us=budget.limit_us if budget.kind == "hours" else 0,
        quotas=quotas,
    )
    again = tuple(_replicate(array, modalities, n_rows, s) for array in s["replicates"])
    duplicate = next((f.label for f in families if f.setting == "duplicate_groups"), np.zeros(0, np.int32))
    request = Request(plan, tuple(names), group, duplicate, features, like, device, None, again, None, options)
    _check_together(request, families)
    return _Job(request, method, checked, pairs, pairing_name(s["pairing"]), budget, why, families, notices)


def _replicate(array: Any, modalities: Sequence[str], n_rows: int, s: dict[str, Any]) -> tuple[Rows, Layout]:
    """The clips of one more run of k-means, and the tables of the same pairs."""
    checked = check_assignments(array, modalities, s["layers"])
    if len(checked.codes) != n_rows:
        raise InputError(f"A replicate has {len(checked.codes)} clips, the assignments have {n_rows}.")
    layout, _, _ = check_pairs(checked, s["pairing"], s["weights"], s["layers"])
    return Rows(checked.codes, np.zeros(0, np.int32), checked.is_audio), layout


def _families(s: dict[str, Any], checked: CheckedAssignments, names: list[str], group: np.ndarray) -> list[Family]:
    n_rows = len(checked.codes)
    one_each = [group_family(group, s["max_per_group"]), duplicate_family(s["duplicate_groups"], n_rows)]
    return [
        *(item for item in one_each if item is not None),
        *cluster_families(s["cluster_floor"], s["cluster_cap"], checked.codes, names, checked.n_clusters),
        *share_families(s["share_floor"], s["share_cap"], s["columns"], n_rows),
    ]


def _with_forbidden(label: np.ndarray, offset: np.ndarray, cap: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """Excluded rows and those with a label of which none may be chosen."""
    out = np.zeros(label.shape[1], bool)
    out[excluded] = True
    for f in range(len(label)):
        out |= np.append(cap[offset[f] : offset[f + 1]] == 0, False)[label[f]]
    return np.flatnonzero(out)


def _check_together(request: Request, families: list[Family]) -> None:
    """Refuse floors that not even a random choice, repaired, can hold."""
    quotas = request.plan.quotas
    if not quotas.floor.any():
        return
    order = draw_random(request.plan, STREAM_CONTROL)
    trial = Outcome(order, np.full(len(order), np.nan), np.zeros(request.n_rows))
    found = keep_floors(METHODS["random"], request, trial)
    if (label_counts(quotas, found.order) < quotas.floor).any():
        raise SettingError(_together(families))


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


def _report(job: _Job, found: Outcome, curve: dict[str, np.ndarray]) -> dict[str, Any]:
    """What was done, in plain numbers, text and lists."""
    plan, names, order = job.request.plan, job.request.names, found.order
    values = information_of(plan.rows, order, plan.layout)
    groups = next((item for item in job.families if item.setting == "max_per_group"), None)

    def last(name: str) -> float | None:
        value = float(curve[name][-1])
        return value if np.isfinite(value) else None

    objective, permuted = last("objective"), last("permuted")
    return {
        "method": job.method.name,
        "title": job.method.title,
        "is_prefix": job.method.is_prefix,
        "options": dict(job.request.options),
        "pairing": job.pairing,
        "pairs": [
            {"first": names[a], "second": names[b], "weight": float(w), "mutual_information": float(v)}
            for (a, b), w, v in zip(job.pairs, plan.weights, values, strict=True)
        ],
        "layers": list(names),
        "n_clusters": job.checked.n_clusters.tolist(),
        "budget": {"kind": job.budget.kind, "value": job.budget.value},
        "n_rows": job.request.n_rows,
        "n_candidates": job.request.n_rows - len(plan.excluded),
        "n_selected": len(order),
        "n_included": len(plan.included),
        "batch_size": plan.batch_size,
        "selection_size": plan.selection_size,
        "refill": "queue" if plan.queue else "redraw",
        "max_per_group": int(groups.cap_of_all.value) if groups is not None and groups.cap_of_all else None,
        "constraints": list(dict.fromkeys(item.setting for item in job.families)),
        "seed": plan.seed,
        "device": {"used": job.request.device, "why": job.why},
        "scored_candidates": 0,
        "random_draws": random_draws(len(order)),
        "objective": objective,
        "objective_random": last("random"),
        "objective_permuted": permuted,
        "above_permuted": objective - permuted if objective is not None and permuted is not None else None,
        **found.report,
        "notices": [*job.notices, *found.report.get("notices", [])],
    }
