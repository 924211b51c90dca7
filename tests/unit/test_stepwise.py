"""Methods that pick as they go: a cancelled run leaves a checkpoint, and goes on from it to the same selection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import curation
from curation.errors import Cancelled
from tests.planmaker import MODALITIES, made_codes


class _Kept:
    """A checkpoint in memory."""

    def __init__(self, always: bool = False) -> None:
        self.arrays: dict[str, np.ndarray] | None = None
        self.saves, self.always = 0, always

    def load(self) -> dict[str, np.ndarray] | None:
        return self.arrays

    def due(self) -> bool:
        return self.always

    def save(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays, self.saves = arrays, self.saves + 1


class _Progress:
    def __init__(self, stop_after: int = 10**9) -> None:
        self.looks, self.stop_after = 0, stop_after

    def advance(self, n: int) -> None:
        pass

    def series(self, point: dict[str, float]) -> None:
        pass

    def check_cancelled(self) -> None:
        self.looks += 1
        if self.looks > self.stop_after:
            raise Cancelled


@pytest.mark.parametrize("method", ["batch-greedy", "greedy"])
@pytest.mark.parametrize("settings", [{}, {"controls": False}, {"max_per_group": 3}, {"refill": "queue"}])
def test_a_cancelled_run_goes_on(method: str, settings: dict[str, Any]) -> None:
    def run(**more: Any) -> curation.Selection:
        return curation.select(made_codes(900), MODALITIES, budget=0.4, method=method, batch_size=4, selection_size=1,
                               groups=np.arange(900) // 6, **settings, **more)  # fmt: skip

    wanted, kept = run(), _Kept()
    for stop in (0, 0, 1):
        with pytest.raises(Cancelled):
            run(progress=_Progress(stop), checkpoint=kept)
        assert kept.arrays is not None and 0 < len(kept.arrays["run.order"]) <= 360
        assert ("control.order" in kept.arrays) == settings.get("controls", True)
    found = run(progress=_Progress(), checkpoint=kept)
    np.testing.assert_array_equal(found.order, wanted.order)
    np.testing.assert_array_equal(found.gain, wanted.gain)
    np.testing.assert_array_equal(found.scores, wanted.scores)
    np.testing.assert_array_equal(found.curve["permuted"], wanted.curve["permuted"])


def test_a_due_checkpoint_is_kept() -> None:
    kept = _Kept(always=True)
    found = curation.select(made_codes(900), MODALITIES, budget=0.4, method="greedy", checkpoint=kept)
    assert kept.saves > 0 and kept.arrays is not None
    kept_order = kept.arrays["run.order"]
    np.testing.assert_array_equal(kept_order, found.order[: len(kept_order)])
