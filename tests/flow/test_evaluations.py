"""Evaluations on the command line: pairs of labelled folders, a workspace's own answers, breadth of its selection."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation import jobs, retrieval
from curation.cli import main
from curation.workspace import Workspace
from tests.labelledmaker import make_pictures, make_sounds
from tests.workspacemaker import make_workspace


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Jobs take over Ctrl-C; the tests' own way is put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


QUICK = ("--methods", "ratio", "batch-greedy", "--seeds", "0", "1", "--budgets", "1")


def test_two_labelled_folders_in_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path / "toys" / "images", 8)
    make_sounds(tmp_path / "toys" / "audio", 8)
    place, out = tmp_path / "ws", tmp_path / "table.md"
    command = ["retrieval", str(place), "--data", str(tmp_path / "toys"), "--clusters", "4", "--out", str(out), *QUICK]
    assert main([*command, "--mismatch", "class", "independent"]) == 0
    workspace = Workspace.open(place)
    assert sorted(retrieval.names(workspace)) == ["toys-class", "toys-independent"]
    text = out.read_text()
    assert text.count("| ratio | ") == 2 and "whole classes mismatched" in text and "random is right" in text
    assert jobs.list_jobs(workspace, 1)[0]["state"] == "done"
    assert main([*command, "--mismatch", "class"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_workspace_with_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make_workspace(tmp_path / "ws", n_clips=80)
    assert main(["retrieval", str(workspace.path), *QUICK]) == 0
    out = capsys.readouterr().out
    assert "80 clips with known answers of 80" in out and "| random | " in out
    assert main(["diversity", str(workspace.path), "--draws", "2", "--resamples", "10", "--redone", "0"]) == 0
    assert "| effective sources | 16.0" in capsys.readouterr().out
    assert sorted(workspace.keys("evaluations")) == ["evaluations/diversity-main", "evaluations/retrieval-truth_match"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--pictures", "here"], "Pairs need two labelled sets"),
        (["--data", "{tmp}/nothing"], "There is no folder"),
        (["--data", "{tmp}"], "neither images/ and audio/ nor clips/"),
        (["--methods", "best"], "There is no method 'best'"),
        (["--column", "answers"], "has no column 'answers'"),
        (["--budgets", "-1"], "Budgets are multiples"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    assert main(["retrieval", str(workspace.path), *(one.format(tmp=tmp_path) for one in arguments)]) == 2
    assert says in capsys.readouterr().err


def test_breadth_of_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make_workspace(tmp_path / "ws", upto="cluster")
    assert main(["diversity", str(workspace.path)]) == 2
    assert "has no selection yet" in capsys.readouterr().err
    assert main(["diversity", str(workspace.path), "--draws", "0"]) == 2
    assert "Allowed: 1 to 100" in capsys.readouterr().err
