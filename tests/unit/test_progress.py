"""Progress: counts, rates that leave out what was finished before, a bounded live curve, cancel."""

from __future__ import annotations

from typing import Any

import pytest

from curation.errors import Cancelled
from curation.progress import SERIES_POINTS_MAX, Progress


class Sink:
    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self.stop = False

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        self.states.append(dict(state))

    def cancelled(self) -> bool:
        return self.stop


def test_the_rate_counts_only_new_work() -> None:
    now = 0.0
    sink = Sink()
    progress = Progress(sink, clock=lambda: now)
    progress.start("features", 100, "clips")
    progress.advance(50, finished_before=True)
    now = 10.0
    progress.advance(10)
    assert sink.states[-1]["rate_per_s"] == pytest.approx(1.0)
    assert sink.states[-1]["remaining_s"] == pytest.approx(40.0)


def test_cancel_is_an_exception_of_its_own() -> None:
    sink = Sink()
    progress = Progress(sink)
    progress.check_cancelled()
    sink.stop = True
    now = progress._last_check + 1
    progress._clock = lambda: now
    with pytest.raises(Cancelled):
        progress.check_cancelled()


def test_the_live_curve_is_bounded_and_keeps_its_end() -> None:
    sink = Sink()
    progress = Progress(sink)
    progress.start("select", 5000, "clips")
    for i in range(5000):
        progress.series({"size": i})
    series = sink.states[-1]["series"]
    assert len(series) <= SERIES_POINTS_MAX
    assert series[-1] == {"size": 4999.0}
    assert [p["size"] for p in series] == sorted(p["size"] for p in series)
