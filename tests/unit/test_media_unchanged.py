"""Files that change between the scan and the decoding: what counts as changed, and what the stages make of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from curation import pipeline
from curation.early import EarlyFeatures
from curation.media.location import member_path
from curation.media.sandbox import Outcome
from curation.media.unchanged import only_unchanged, problem_of
from curation.progress import Progress
from curation.workspace import Workspace
from tests.mediamaker import make_video


def stamp(file: Path) -> tuple[int, int]:
    return file.stat().st_size, file.stat().st_mtime_ns


def test_size_time_and_absence_count(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"12345")
    size, time_ns = stamp(file)
    assert problem_of(str(file), size, time_ns) == ""
    assert "changed or replaced" in problem_of(str(file), size + 1, time_ns)
    assert "changed or replaced" in problem_of(str(file), size, time_ns - 1)
    assert "gone" in problem_of(str(tmp_path / "b.mp4"), size, time_ns)
    assert "gone" in problem_of("nul\0in it", 1, 1)


def test_of_a_member_the_time_of_its_tar_counts(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    tar.write_bytes(bytes(2048))
    member = os.fsdecode(member_path(os.fsencode(tar), 512, 100, b"x.mp4"))
    time_ns = tar.stat().st_mtime_ns
    assert problem_of(member, 100, time_ns) == ""
    assert "tar that holds it" in problem_of(member, 100, time_ns + 1)


def test_only_what_changed_becomes_an_error(tmp_path: Path) -> None:
    outcomes = []
    for i in range(3):
        (tmp_path / f"{i}").write_bytes(b"x")
        outcomes.append(Outcome(i, {"path": str(tmp_path / f"{i}")}, {"value": i}, None))
    stamps = [stamp(tmp_path / f"{i}") for i in range(3)]
    (tmp_path / "1").write_bytes(b"other")
    found = list(only_unchanged(outcomes, lambda one: stamps[one.index] if one.index < 2 else None))
    assert [one.value for one in found] == [{"value": 0}, None, {"value": 2}]
    assert found[1].error is not None and found[1].error.code == "changed"


def test_both_stages_name_a_replaced_file_and_the_next_run_takes_the_new_one(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for seed, (name, seconds) in enumerate((("long.mp4", 5), ("short.mp4", 1), ("other.mp4", 1))):
        make_video(media / name, seconds=seconds, seed=seed, size=(64, 48))
    workspace = Workspace.create(tmp_path / "workspace", roots=[str(media)])
    workspace.configure({"segment.clip_s": 1, "resources.workers": 1, "features.extractors": "sound",
                         "features.measures": ""})  # fmt: skip

    def run(*stages: str) -> dict[str, Any]:
        return pipeline.run(workspace, Progress(), only=stages)

    def replace(name: str, seconds: float) -> None:
        make_video(media / "new.mp4", seconds=seconds, seed=9, size=(64, 48))
        (media / "new.mp4").replace(media / name)

    run("scan", "filter")
    replace("long.mp4", 4)
    assert dict(run("segment")["segment"].failures) == {"changed": 1}
    codes = {row["code"]: row["message"] for row in workspace.table("segmented").to_pylist()}
    assert "changed or replaced since" in codes["changed"]
    replace("short.mp4", 1.2)
    EarlyFeatures.of(workspace.path).drop()  # what came with the shots is of the old file, and would be taken
    assert dict(run("features")["features"].failures) == {"changed": 1}
    assert workspace.array("features/sound", "valid").tolist().count(False) == 1
    run("scan", "filter", "segment", "features")
    assert set(workspace.table("segmented")["code"].to_pylist()) == {""}
    assert workspace.array("features/sound", "valid").all()


@pytest.mark.parametrize("name", [".manifest.json.1-ab.partial", ".listing.parquet.1-ab.partial"])
def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path, name: str) -> None:
    media = tmp_path / "media"
    media.mkdir()
    make_video(media / "a.mp4", seconds=1, size=(64, 48))
    workspace = Workspace.create(tmp_path / "workspace", roots=[str(media)])
    left = [workspace.path / name, workspace.path / ".workspace.json.1-ab.partial"]
    left.append(workspace.path / "early" / ".0-0.npz.1-ab.partial")
    left[-1].parent.mkdir()
    for file in left:
        file.write_bytes(b"half")
    workspace.configure({"resources.workers": 1})
    pipeline.run(workspace, Progress(), only=("scan", "filter", "segment"))
    assert [file.name for file in left if file.exists()] == []
