"""Cut, cut again with other settings, cut more: what the segment stage writes and what it does not search twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation import pipeline
from curation.media.sandbox import Sandbox
from curation.progress import Progress
from curation.workspace import Workspace
from tests.mediamaker import make_video, scene_cuts_s

SETTINGS = {
    "segment.clip_s": "1",
    "segment.max_clips": "2",
    "filter.streams": "any",
    "filter.min_duration_s": "0",
    "resources.workers": "1",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    media = tmp_path / "media"
    media.mkdir()
    for k in range(2):
        make_video(media / f"{k}.mp4", seconds=6, scenes=4, seed=k, size=(64, 48))
    make_video(media / "heard.mp4", seconds=4, codec=None)
    make_video(media / "one frame.mp4", seconds=0.05, size=(64, 48), sound=None)
    made = Workspace.create(tmp_path / "workspace", roots=[str(media)])
    made.configure(SETTINGS)
    return made


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Payloads of the searches that are made."""
    payloads: list[dict[str, Any]] = []
    plain = Sandbox.imap

    def watched(self: Sandbox, task: str, given: list[dict[str, Any]], *rest: Any, **more: Any) -> Any:
        payloads.extend(given if task == "shots" else [])
        return plain(self, task, given, *rest, **more)

    monkeypatch.setattr(Sandbox, "imap", watched)
    return payloads


def cut(workspace: Workspace) -> dict[str, list[float]]:
    """Starts of the clips of each file."""
    pipeline.run(workspace, Progress(), only=["scan", "filter", "segment"])
    clips = workspace.table("clips").to_pylist()
    return {path: [c["start_s"] for c in clips if c["path"] == path] for path in {c["path"] for c in clips}}


def test_clips_of_shots_sound_alone_and_one_frame(workspace: Workspace, searched: list[dict[str, Any]]) -> None:
    starts = cut(workspace)
    assert len(starts["0.mp4"]) == len(starts["1.mp4"]) == 2
    assert set(starts["0.mp4"]) <= {0.25, 1.75, 3.25, 4.75}
    assert starts["heard.mp4"] == [pytest.approx(1.5, abs=0.05)] and starts["one frame.mp4"] == [0.0]
    rows = {row["video_id"]: row for row in workspace.table("segmented").to_pylist()}
    found = [row for row in rows.values() if row["cuts_s"] is not None]
    assert len(found) == len(searched) == 2
    for row in found:
        assert row["cuts_s"] == pytest.approx(scene_cuts_s(6, 12, 4))
        assert len(row["scores"]) == 3 and len(row["signatures"]) == 24 * 3 and row["step_s"] == 2.0


def test_shots_are_searched_again_only_for_what_they_depend_on(
    workspace: Workspace, searched: list[dict[str, Any]]
) -> None:
    cut(workspace)
    workspace.configure({**SETTINGS, "segment.max_clips": "0", "segment.choice": "even", "segment.anneal": "1.5"})
    assert cut(workspace)["0.mp4"] == [0.25, 1.75, 3.25, 4.75]
    assert len(searched) == 2
    workspace.configure({**SETTINGS, "segment.detector": "scdet", "segment.anneal": "1.3"})
    assert len(cut(workspace)["0.mp4"]) == 2
    assert len(searched) == 4 and searched[-1]["detector"] == "scdet"
    assert searched[-1]["layout"]["anneal"] == 1.3


def test_videos_that_are_added_are_the_only_ones_searched(
    workspace: Workspace, searched: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = cut(workspace)
    make_video(tmp_path / "media" / "new.mp4", seconds=6, scenes=2, seed=9, size=(64, 48))
    after = cut(workspace)
    assert [Path(str(p["path"])).name for p in searched[2:]] == ["new.mp4"]
    assert {path: starts for path, starts in after.items() if path != "new.mp4"} == before
