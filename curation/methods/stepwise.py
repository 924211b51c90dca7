"""Methods that pick as they go, in steps of an engine: both runs side by side, so that a live curve shows both."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any, Protocol

import numpy as np

from curation.kernels.information import gain_table
from curation.kernels.pointwise import SCORE_UNIT, count_weighted, pair_scales, score_rows
from curation.methods.base import Method, Outcome, Request

_STEP_S = 0.05  # work between two looks at cancel


class Engine(Protocol):
    """A run that can be advanced piece by piece."""

    @property
    def n_picked(self) -> int: ...

    @property
    def n_scored(self) -> int: ...

    def step(self, n: int) -> bool:
        """Do up to n pieces of work. False when finished."""
        ...

    def objective(self) -> float: ...

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


class StepwiseMethod(Method):
    """A method with an `Engine`."""

    is_prefix = True

    @abstractmethod
    def engine(self, request: Request) -> Engine:
        """A run of the request, not started."""

    def run(self, request: Request) -> Outcome:
        engine, steps, running = self.engine(request), 16, True
        while running:
            began = time.perf_counter()
            running = engine.step(steps)
            steps = _next_steps(steps, time.perf_counter() - began)
            request.look()
        return _outcome(engine)

    def run_beside(self, request: Request, control: Request | None) -> tuple[Outcome, Outcome | None]:
        engine = self.engine(request)
        other = None if control is None else self.engine(control)
        told, steps, running = 0, 16, True
        progress, n_rows = request.progress, request.n_rows
        while running:
            began = time.perf_counter()
            running = engine.step(steps)
            steps = _next_steps(steps, time.perf_counter() - began)
            point: dict[str, float] = {"size": engine.n_picked}
            if other is not None:
                while other.n_picked < engine.n_picked and other.step(max(1, steps // 4)):
                    request.look()
            if progress is not None:
                point["objective"] = engine.objective()
                if other is not None:
                    point["permuted"] = other.objective()
                done = n_rows if not running else n_rows * engine.n_picked // max(1, request.plan.budget)
                progress.series(point)
                progress.advance(done - told)
                told = done
                request.look()
        return _outcome(engine), None if other is None else _outcome(other)

    def floor_values(self, request: Request, outcome: Outcome) -> np.ndarray:
        """Gains under the counts of the finished choice."""
        plan = request.plan
        layout = plan.layout
        counts = count_weighted(plan.rows, layout, outcome.order)
        g = gain_table(len(outcome.order) + 1)
        scale = pair_scales(plan.weights.copy())
        values = np.empty(len(counts.cells), np.int64)
        for p in range(len(layout.first)):
            a, b = (
                g[counts.layers[layout.layer_offset[d] : layout.layer_offset[d + 1]]]
                for d in (layout.first[p], layout.second[p])
            )
            cells = slice(layout.offset[p], layout.offset[p + 1])
            gain = g[counts.cells[cells]].reshape(len(a), len(b)) - a[:, None] - b
            values[cells] = np.rint(scale[p] * gain.ravel())
        return score_rows(plan.rows, layout, values, look=request.look) * (SCORE_UNIT / len(layout.first))


def _outcome(engine: Engine) -> Outcome:
    """Chosen clips score s, s - 1, ..., 1; compared and passed over at most 0, nats below the best of them."""
    order, gain, scores = engine.result()
    if len(scores):
        scores[order] = -np.inf
        best_passed = np.nanmax(scores, initial=-np.inf)
        if np.isfinite(best_passed):
            scores -= best_passed
        scores[order] = np.arange(len(order), 0, -1)
    report: dict[str, Any] = {"scored_candidates": engine.n_scored}
    return Outcome(order, gain, scores, {}, report)


def _next_steps(steps: int, took_s: float) -> int:
    """Steps that take about `_STEP_S`, at most four times as many as before."""
    return max(1, min(4 * steps, int(steps * _STEP_S / max(took_s, 1e-6)), 1 << 20))
