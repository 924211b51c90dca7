"""What a long piece of work tells while it runs: how far, how fast, a live curve; and whether it is to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from curation.errors import Cancelled

SERIES_POINTS_MAX = 500


class Sink(Protocol):
    """Where progress goes: a job record on disk, a terminal, a test."""

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        """Take the newest state; may drop it unless `force`."""

    def cancelled(self) -> bool:
        """True when somebody asked this work to stop."""


class Progress:
    """Counts work of the running stage and passes it to its sinks.

    Not a display: the work calls `advance`, `note`, `series` and `check_cancelled` and knows nothing of who reads.
    """

    def __init__(self, *sinks: Sink, clock: Callable[[], float] = time.monotonic) -> None:
        self._sinks = sinks
        self._clock = clock
        self._started = clock()
        self._skipped = 0
        self._last_check = -1.0
        self._series: list[dict[str, float]] = []
        self.state: dict[str, Any] = {"stage": "", "done": 0, "total": 0, "unit": "", "message": ""}

    def start(self, stage: str, total: int, unit: str) -> None:
        """Begin a stage of `total` items called `unit` (plural, as shown: "clips")."""
        self._started = self._clock()
        self._skipped = 0
        self._series = []
        self.state = {
            "stage": stage,
            "done": 0,
            "total": int(total),
            "unit": unit,
            "message": "",
            "series": [],
        }
        self._send(force=True)

    def advance(self, n: int = 1, *, finished_before: bool = False) -> None:
        """Count `n` items as done; those finished by an earlier run do not count for the rate."""
        self.state["done"] += int(n)
        if finished_before:
            self._skipped += int(n)
        self._send(force=False)

    def note(self, message: str) -> None:
        """Say in a sentence what is being done now."""
        self.state["message"] = message
        self._send(force=False)

    def series(self, point: dict[str, float]) -> None:
        """Add a point to the live curve; thinned to at most 500 points."""
        self._series.append({key: float(value) for key, value in point.items()})
        if len(self._series) > SERIES_POINTS_MAX:
            self._series = [*self._series[:-1:2], self._series[-1]]
        self.state["series"] = self._series
        self._send(force=False)

    def check_cancelled(self) -> None:
        """Raise `Cancelled` when a sink was asked to stop (asked at most ten times a second)."""
        now = self._clock()
        if now - self._last_check < 0.1:
            return
        self._last_check = now
        if any(sink.cancelled() for sink in self._sinks):
            raise Cancelled()

    def flush(self) -> None:
        """Send the state now, whatever was sent before."""
        self._send(force=True)

    def _send(self, *, force: bool) -> None:
        elapsed_s = max(self._clock() - self._started, 1e-6)
        fresh = self.state["done"] - self._skipped
        rate = fresh / elapsed_s if fresh > 0 and elapsed_s > 0.2 else None
        left = self.state["total"] - self.state["done"]
        self.state["rate_per_s"] = rate
        self.state["remaining_s"] = left / rate if rate and left >= 0 else None
        self.state["elapsed_s"] = elapsed_s
        for sink in self._sinks:
            sink.update(self.state, force=force)
