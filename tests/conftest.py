"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test media beside the project; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("CONCORD_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real test media are not present beside the project")
    return folder


@pytest.fixture(autouse=True)
def concord_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a home of its own: recent lists, demo and caches never touch the user's."""
    home = tmp_path / "concord-home"
    monkeypatch.setenv("CONCORD_HOME", str(home))
    return home
