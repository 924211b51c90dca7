"""Marked sets of clips: kept under a token that says what is in them, bounded, and found again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation.workspace import Workspace
from explorer import marks


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    ws = Workspace.create(tmp_path / "ws")
    ws.commit_table("clips", pa.table({"row": np.arange(100_000)}), "first", {})
    return ws


@pytest.mark.parametrize(
    "rows", [[], [0], [99_999], [7, 3, 3, 5], range(100_000), range(0, 100_000, 2), range(0, 100_000, 31)]
)
def test_a_set_of_any_size_comes_back_sorted_and_once(workspace: Workspace, rows: list[int]) -> None:
    token = marks.save(workspace, np.array(list(rows)))
    found = marks.rows(workspace, token)
    assert found is not None and found.dtype == np.int64 and found.tolist() == sorted(set(rows))
    assert (workspace.path / "marks" / f"{token}.npy").stat().st_size <= 100_000 / 8 + 200


def test_equal_sets_share_a_token_and_others_do_not(workspace: Workspace) -> None:
    assert marks.save(workspace, np.array([1, 2])) == marks.save(workspace, np.array([2, 1, 1]))
    assert marks.save(workspace, np.array([1, 2])) != marks.save(workspace, np.array([1, 3]))
    # The same bytes as bits and as numbers are different sets.
    assert len({marks.save(workspace, np.array(rows)) for rows in ([], [0], [1], [0, 1], [128])}) == 5


@pytest.mark.parametrize("token", ["", "marked", "../../clips", "0" * 20, "z" * 20, "0" * 21])
def test_what_is_no_set_gives_none(workspace: Workspace, token: str) -> None:
    assert marks.rows(workspace, token) is None


def test_a_set_of_another_table_of_clips_or_a_damaged_one_gives_none(workspace: Workspace) -> None:
    token = marks.save(workspace, np.array([1, 2]))
    (workspace.path / "marks" / f"{token}.npy").write_bytes(b"not an array")
    assert marks.rows(workspace, token) is None
    token = marks.save(workspace, np.array([4, 5]))
    workspace.commit_table("clips", pa.table({"row": np.arange(100_000)}), "second", {})
    assert marks.rows(workspace, token) is None


def test_only_those_used_last_are_kept(workspace: Workspace) -> None:
    tokens = []
    for i in range(marks.KEPT):
        tokens.append(marks.save(workspace, np.array([i])))
        os.utime(workspace.path / "marks" / f"{tokens[-1]}.npy", (i + 1, i + 1))
    marks.save(workspace, np.array([0]))  # used again: now the newest
    marks.save(workspace, np.array([1000]))
    assert marks.rows(workspace, tokens[0]) is not None
    assert marks.rows(workspace, tokens[1]) is None and marks.rows(workspace, tokens[2]) is not None
    assert len(list((workspace.path / "marks").iterdir())) == marks.KEPT
