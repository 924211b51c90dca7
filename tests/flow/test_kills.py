"""The program that kills: a few disturbances of every cheap kind, and that it would see damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation import lines
from tests import kills
from tests.workspacemaker import make_workspace


@pytest.fixture
def trial(tmp_path: Path) -> kills.Trial:
    trial = kills.Trial(tmp_path, np.random.default_rng(0))
    for path in (trial.plain, trial.path):
        make_workspace(path, n_clips=10)
    return trial


def test_equal_workspaces_are_equal(trial: kills.Trial) -> None:
    assert trial.damage() == "" and trial.difference() == ""


def test_what_differs_is_seen(trial: kills.Trial) -> None:
    file = next(trial.path.rglob("assignments.npy"))
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    assert "assignments.npy differs" in trial.difference()
    file.unlink()
    assert "files differ" in trial.difference()


def test_what_is_half_written_is_seen(trial: kills.Trial) -> None:
    table = trial.path / "clips.parquet"
    table.write_bytes(table.read_bytes()[:-10])
    assert "damaged" in trial.damage()


def test_what_is_left_behind_is_seen(trial: kills.Trial) -> None:
    (trial.path / ".clips.parquet.1-ab.partial").touch()
    assert "left behind" in trial.difference()


def test_answers_survive_kills(tmp_path: Path) -> None:
    trial = kills.Trial(tmp_path, np.random.default_rng(1))
    assert [kills.answers(trial, i) for i in range(5)] == [""] * 5


def test_lost_answers_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = lines.append

    def forgetful(path: Path, records: list[dict[str, object]]) -> None:
        if records[0]["clip_id"] not in ("c0", "c1"):
            true(path, records)

    monkeypatch.setattr(kills.lines, "append", forgetful)
    trial = kills.Trial(tmp_path, np.random.default_rng(1))
    assert any("were saved" in kills.answers(trial, i) for i in range(8))


def test_a_wrong_case_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        kills.main(["--cases", "driver,flood", "--folder", str(tmp_path)])
    assert "no case flood" in capsys.readouterr().err
