"""Methods that pick as they go, in steps of an engine: both runs side by side, so that a live curve shows both."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from curation.errors import Cancelled
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

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that `restore` needs to go on as if the run had never stopped."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None: ...


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
        """Both runs, from where `request.checkpoint` holds them; they are kept there when due and when cancelled."""
        engines = {"run": self.engine(request)}
        if control is not None:
            engines["control"] = self.engine(control)
        _resume(request, engines)
        try:
            self._advance(request, engines)
        except Cancelled:
            _keep(request, engines)
            raise
        return _outcome(engines["run"]), _outcome(engines["control"]) if control is not None else None

    def _advance(self, request: Request, engines: Mapping[str, Engine]) -> None:
        """Step the engines to their ends, telling the progress."""
        engine, other = engines["run"], engines.get("control")
        progress, n_rows, kept = request.progress, request.n_rows, request.checkpoint
        told, steps, running = 0, 16, True
        while running:
            began = time.perf_counter()
            running = engine.step(steps)
            steps = _next_steps(steps, time.perf_counter() - began)
            if other is not None:
                while other.n_picked < engine.n_picked and other.step(max(1, steps // 4)):
                    request.look()
            if progress is not None:
                point: dict[str, float] = {"size": engine.n_picked, "objective": engine.objective()}
                if other is not None:
                    point["permuted"] = other.objective()
                done = n_rows if not running else n_rows * engine.n_picked // max(1, request.plan.budget)
                progress.series(point)
                progress.advance(done - told)
                told = done
            request.look()
            if running and kept is not None and kept.due():
                _keep(request, engines)

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


def _keep(request: Request, engines: Mapping[str, Engine]) -> None:
    """Write the states of the engines to the checkpoint, if there is one: `run.order`, `control.order` and so on."""
    if request.checkpoint is not None:
        request.checkpoint.save(
            {f"{name}.{key}": array for name, engine in engines.items() for key, array in engine.state().items()}
        )


def _resume(request: Request, engines: Mapping[str, Engine]) -> None:
    """Restore the engines whose states the checkpoint holds."""
    kept = request.checkpoint.load() if request.checkpoint is not None else None
    for name, engine in engines.items():
        prefix = f"{name}."
        state = {key.removeprefix(prefix): array for key, array in (kept or {}).items() if key.startswith(prefix)}
        if state:
            engine.restore(state)


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
