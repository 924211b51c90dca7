"""Where a long run keeps its state: what is kept, what is refused, and a cancelled selection that goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation import select
from curation.checkpoint import Checkpoint
from curation.errors import Cancelled

MODALITIES = ["audio", "audio", "visual", "visual"]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz", "one")
    assert checkpoint.load() is None and not checkpoint.due()
    arrays = {"a": np.arange(5), "b": np.zeros((2, 3), np.float32)}
    checkpoint.save(arrays)
    found = Checkpoint(tmp_path / "state.npz", "one").load()
    assert found is not None and set(found) == {"a", "b"}
    assert all(np.array_equal(found[name], arrays[name]) and found[name].dtype == arrays[name].dtype for name in arrays)
    checkpoint.drop()
    assert checkpoint.load() is None and list(tmp_path.iterdir()) == []


def test_of_another_run_or_broken_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    Checkpoint(path, "one").save({"a": np.arange(5)})
    assert Checkpoint(path, "two").load() is None
    path.write_bytes(path.read_bytes()[:40])
    assert Checkpoint(path, "one").load() is None
    path.write_bytes(b"")
    assert Checkpoint(path, "one").load() is None
    np.save(path.with_suffix(".npy"), np.array([{"x": 1}], dtype=object))
    path.with_suffix(".npy").rename(path)
    assert Checkpoint(path, "one").load() is None
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    assert Checkpoint(path, "one").load() is None


class StopAfter:
    """A progress that is cancelled at its n-th look."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    def advance(self, n: int) -> None:
        """Nothing to show."""

    def series(self, point: dict[str, float]) -> None:
        """Nothing to draw."""

    def check_cancelled(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise Cancelled("stopped")


@pytest.mark.parametrize("refill", ["redraw", "queue"])
def test_a_cancelled_selection_goes_on_and_ends_equal(tmp_path: Path, refill: str) -> None:
    codes = np.random.default_rng(1).integers(0, 6, (20_000, 4)).astype(np.int8)
    settings = {"budget": 4000, "method": "batch-greedy", "refill": refill, "seed": 3}
    whole = select(codes, MODALITIES, **settings)
    kept = tmp_path / "state.npz"
    for looks in (1, 2, 3):
        with pytest.raises(Cancelled):
            select(codes, MODALITIES, **settings, progress=StopAfter(looks), checkpoint=Checkpoint(kept, "run"))
        assert kept.is_file()
    resumed = select(codes, MODALITIES, **settings, checkpoint=Checkpoint(kept, "run"))
    assert np.array_equal(resumed.order, whole.order)
    assert np.array_equal(resumed.gain, whole.gain, equal_nan=True)
    assert np.array_equal(resumed.scores, whole.scores, equal_nan=True)
    assert resumed.objective == whole.objective
