"""How many clips a batch gives: the setting, or fewer where hardly anything would be compared."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from curation.config import SelectConfig
from curation.stages.select import taken_of_a_batch


@pytest.mark.parametrize(
    ("budget", "clips", "taken"),
    [("0.2", 54, 1), ("0.2", 1000, 20), ("0.2", 100_000, 25), ("11", 54, 1), ("300", 1000, 25), ("9000", 54, 5),
     ("1h", 1000, 25), ("0.1h", 1000, 3), ("0.0001h", 1000, 1)],
)  # fmt: skip
def test_the_budget_is_filled_in_at_least_ten_batches(budget: str, clips: int, taken: int) -> None:
    settings = dataclasses.replace(SelectConfig(), budget=budget)
    assert taken_of_a_batch(settings, np.full(clips, 10.0)) == taken


def test_clips_without_times_are_counted_as_they_are() -> None:
    settings = dataclasses.replace(SelectConfig(), budget="1h")
    assert taken_of_a_batch(settings, np.full(50, np.nan)) == 5
