"""What the fuzzer once found stays mended; and the fuzzer finds a reader that breaks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import fuzz


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, fuzz.Target]]:
    place = fuzz.Place(tmp_path_factory.mktemp("fuzz"))
    yield fuzz.targets(place)
    place.stack.close()


@pytest.mark.parametrize(
    "path", sorted(fuzz.FIXTURES.glob("*/*.bin")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_an_old_finding_stays_mended(targets: dict[str, fuzz.Target], path: Path) -> None:
    assert fuzz.tried(targets[path.parent.name], path.read_bytes()) == ""


def test_every_reader_reads_its_seeds_and_a_few_changes(targets: dict[str, fuzz.Target]) -> None:
    for target in targets.values():
        _, findings = fuzz.fuzz(target, 0.3, seed=1)
        assert findings == {}, target.name


def test_a_reader_that_breaks_is_found() -> None:
    def breaks(data: bytes) -> None:
        if b"\xff" in data:
            raise KeyError("a bug")

    count, findings = fuzz.fuzz(fuzz.Target("made", [b"plain"], breaks), 0.5, seed=0)
    assert count > 0 and [b"\xff" in data for data in findings.values()] == [True]


def test_changes_are_the_same_for_a_seed() -> None:
    changed = [[fuzz.mutated(b"0123456789", [b"abc"], random.Random(i)) for i in range(50)] for _ in range(2)]
    assert changed[0] == changed[1] and len(set(changed[0])) > 40
