"""Every stage: runs, skips, goes on after dying at any write, survives a bad file, cancels, says what it lacks."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curation import atomic, pipeline
from curation.errors import Cancelled, LockedError, MissingArtefactError
from curation.locks import writer_lock
from curation.media.sandbox import Sandbox
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.workspace import MARKER, Workspace
from tests.mediamaker import make_video

NAMES = [stage.name for stage in pipeline.STAGES]
# Settings that make small data cross part borders and cheap to repeat.
SETTINGS = {
    "cluster.n_clusters": "3",
    "select.budget": "0.5",
    "select.batch_size": "4",
    "select.selection_size": "2",
    "resources.workers": "2",
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for i in range(7):
        make_video(folder / f"video {i}.mp4", seconds=1.5, seed=i, hz=200.0 + 90 * i, size=(64, 48))
    make_video(folder / "silent.mp4", seconds=1.5, sound=None, size=(64, 48))
    (folder / "broken.mp4").write_bytes(b"this is no video" * 50)
    (folder / "notes.txt").write_text("not media")
    return folder


@pytest.fixture(scope="module")
def before(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Workspace]:
    """Gives a copy of a workspace in which everything before a stage is done."""
    base = tmp_path_factory.mktemp("states")
    workspace = Workspace.create(base / "start", roots=[str(media)])
    workspace.configure(SETTINGS)
    for name in NAMES:
        shutil.copytree(workspace.path, base / f"before-{name}")
        pipeline.run(workspace, Progress(), only=[name])
    shutil.copytree(workspace.path, base / "after")

    def give(name: str, place: Path) -> Workspace:
        shutil.copytree(base / (f"before-{name}" if name in NAMES else name), place)
        return Workspace.open(place)

    return give


def run(workspace: Workspace, name: str, progress: Progress | None = None) -> Any:
    return run_stage(pipeline.stage_named(name), StageContext(workspace, workspace.config, progress or Progress()))


def contents(workspace: Workspace) -> dict[str, str]:
    """Hash of every file of every artefact; when each was made is left out."""
    found = {}
    for file in sorted(workspace.path.rglob("*")):
        relative = file.relative_to(workspace.path)
        if (
            not file.is_file()
            or relative.parts[0] in ("jobs", "locks")
            or file.name in ("manifest.json", "workspace.json")
        ):
            continue
        assert not any(part.startswith(".") for part in relative.parts), f"{relative} was left behind"
        data = file.read_bytes()
        if file.name == MARKER:
            marker = atomic.read_json(file)
            data = repr((marker["fingerprint"], sorted(marker["info"]))).encode()
        if file.name == "params.json":
            continue  # holds timings of the engine's report
        found[str(relative)] = hashlib.sha256(data).hexdigest()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_runs_then_skips(name: str, before: Callable[[str, Path], Workspace], tmp_path: Path) -> None:
    workspace = before(name, tmp_path / "ws")
    assert pipeline.stage_named(name).name == name
    run(workspace, name)
    state = {status.stage: status.state for status in pipeline.status(workspace)}
    assert state[name] == "done"
    first = contents(workspace)
    report = run(workspace, name)
    assert report.facts == {"skipped": True}
    assert contents(workspace) == first


class Killed(BaseException):
    """Stands for a kill: nothing in the program may catch it."""


@pytest.fixture
def die_at_write(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """`state["at"] = k` makes the k-th write from now on end the run; `state["count"]` counts writes."""
    state = {"count": 0, "at": -1}
    flush = atomic._flush

    def dying(path: Path) -> None:
        if path.name.endswith(atomic.PARTIAL_SUFFIX) and "lock" not in path.name:
            state["count"] += 1
            if state["count"] == state["at"]:
                raise Killed
        flush(path)

    monkeypatch.setattr(atomic, "_flush", dying)
    yield state


@pytest.mark.parametrize("name", NAMES)
def test_goes_on_after_dying_at_any_write(
    name: str, before: Callable[[str, Path], Workspace], tmp_path: Path, die_at_write: dict[str, int]
) -> None:
    unbroken = before(name, tmp_path / "unbroken")
    run(unbroken, name)
    writes = die_at_write["count"]
    assert writes > 0
    # Decoding is slow, so that stage dies at the first, a middle and the last writes; the others at each.
    points = range(1, writes + 1) if name not in ("features", "scan", "segment") else {1, writes // 2 + 1, writes}
    workspace = before(name, tmp_path / "ws")
    for point in sorted(points):
        die_at_write.update(count=0, at=point)
        try:
            run(workspace, name)
        except Killed:
            continue
    die_at_write.update(at=-1)
    run(workspace, name)
    assert contents(workspace) == contents(unbroken)


@pytest.mark.parametrize("name", NAMES)
def test_cancels_between_items_and_goes_on(name: str, before: Callable[[str, Path], Workspace], tmp_path: Path) -> None:
    class Stop:
        def update(self, state: dict[str, Any], *, force: bool) -> None:
            """Nothing to show."""

        def cancelled(self) -> bool:
            return True

    workspace = before(name, tmp_path / "ws")
    with pytest.raises(Cancelled):
        run(workspace, name, Progress(Stop()))
    run(workspace, name)
    assert {s.stage: s.state for s in pipeline.status(workspace)}[name] == "done"


@pytest.mark.parametrize("name", NAMES)
def test_a_second_writer_is_refused(name: str, before: Callable[[str, Path], Workspace], tmp_path: Path) -> None:
    workspace = before(name, tmp_path / "ws")
    lock = writer_lock(workspace.path / "locks" / f"{name}.lock", purpose="another run")
    with lock, pytest.raises(LockedError, match="another run"):
        run(workspace, name)


@pytest.mark.parametrize("name", NAMES[1:])
def test_says_what_it_lacks(name: str, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "ws")
    with pytest.raises(MissingArtefactError) as caught:
        run(workspace, name)
    assert caught.value.hint
    assert {s.stage: s.state for s in pipeline.status(workspace)}[name] == "blocked"


def test_a_bad_file_is_a_row_and_the_rest_goes_on(before: Callable[[str, Path], Workspace], tmp_path: Path) -> None:
    workspace = before("after", tmp_path / "ws")
    videos = {row["path"]: row for row in workspace.table("videos").to_pylist()}
    assert videos["broken.mp4"]["status"] == "failed" and videos["broken.mp4"]["message"]
    filtered = {row["video_id"]: row["code"] for row in workspace.table("filtered").to_pylist()}
    assert filtered[videos["silent.mp4"]["video_id"]] == "no_audio"
    assert "notes.txt" not in videos
    assert workspace.n_rows("clips") == 7
    assert len(workspace.keys("selections")) == 1


def test_changed_settings_make_stale_and_the_old_stays_until_the_new_is_whole(
    before: Callable[[str, Path], Workspace], tmp_path: Path
) -> None:
    workspace = before("after", tmp_path / "ws")
    old = workspace.fingerprint("clusterings/sound.logmel")
    workspace.configure({"cluster.n_clusters": "2"})
    assert {s.stage: s.state for s in pipeline.status(workspace)}["cluster"] == "stale"
    assert workspace.fingerprint("clusterings/sound.logmel") == old
    run(workspace, "cluster")
    assert workspace.fingerprint("clusterings/sound.logmel") != old
    assert {s.stage: s.state for s in pipeline.status(workspace)}["cluster"] == "done"


def test_more_videos_cost_only_themselves_and_rows_of_another_list_are_never_mixed(
    media: Path, before: Callable[[str, Path], Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "media"
    shutil.copytree(media, folder)
    workspace = before("after", tmp_path / "ws")
    workspace.configure(roots=[str(folder)])
    old = {clip["clip_id"]: clip["row"] for clip in workspace.table("clips").to_pylist()}
    old_features = workspace.features("sound", "logmel")
    make_video(folder / "a first.mp4", seconds=1.5, seed=50, hz=777.0, size=(64, 48))
    (folder / "video 6.mp4").unlink()
    for name in ("scan", "filter", "segment"):
        run(workspace, name)
    states = {status.stage: status.state for status in pipeline.status(workspace)}
    assert states["segment"] == "done"
    assert {states[name] for name in ("features", "health", "cluster", "select", "neighbours", "project")} == {"stale"}
    for name in (
        "health",
        "cluster",
        "select",
        "neighbours",
        "project",
    ):  # as many clips as before, but not the same ones
        with pytest.raises(MissingArtefactError, match="another list of clips"):
            run(workspace, name)
    asked: list[dict[str, Any]] = []
    imap = Sandbox.imap

    def watched(self: Sandbox, task: str, payloads: Any) -> Any:
        given = list(payloads)
        asked.extend(given)
        return imap(self, task, given)

    with monkeypatch.context() as patched:
        patched.setattr(Sandbox, "imap", watched)
        run(workspace, "features")
    assert [Path(payload["path"]).name for payload in asked] == ["a first.mp4"]
    for clip in workspace.table("clips").to_pylist():
        if clip["clip_id"] in old:
            assert (workspace.features("sound", "logmel", [clip["row"]]) == old_features[old[clip["clip_id"]]]).all()
    fresh = Workspace.create(tmp_path / "fresh", roots=[str(folder)])
    fresh.configure(SETTINGS)
    pipeline.run(fresh, Progress())
    workspace.configure({"cluster.fit": "refit"})
    pipeline.run(workspace, Progress())
    assert workspace.table("health").equals(fresh.table("health"))
    for key in ("features/sound", "features/picture", "measures/sound-health", "clusterings/sound.mfcc"):
        for file in fresh.artefact_path(key).rglob("*.npy"):
            same = workspace.artefact_path(key) / file.relative_to(fresh.artefact_path(key))
            assert file.read_bytes() == same.read_bytes(), file


def test_other_clip_lengths_do_not_search_for_shots_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    make_video(folder / "long.mp4", seconds=9.0, scenes=3, size=(64, 48))
    workspace = Workspace.create(tmp_path / "ws", roots=[str(folder)])
    workspace.configure({"segment.clip_s": "2"})
    for name in ("scan", "filter", "segment"):
        run(workspace, name)
    assert [clip["start_s"] for clip in workspace.table("clips").to_pylist()] == [0.5, 3.5, 6.5]
    workspace.configure({"segment.clip_s": "1"})
    monkeypatch.setattr(Sandbox, "imap", None)
    run(workspace, "segment")
    assert [clip["start_s"] for clip in workspace.table("clips").to_pylist()] == [1.0, 4.0, 7.0]


def test_a_new_file_is_the_only_one_probed_again(
    media: Path, before: Callable[[str, Path], Workspace], tmp_path: Path
) -> None:
    folder = tmp_path / "media"
    shutil.copytree(media, folder)
    workspace = before("after", tmp_path / "ws")
    workspace.configure(roots=[str(folder)])
    run(workspace, "scan")
    make_video(folder / "new.mp4", seconds=1.0, size=(64, 48))
    seen: list[int] = []

    class Watch:
        def update(self, state: dict[str, Any], *, force: bool) -> None:
            seen.append(state["total"])

        def cancelled(self) -> bool:
            return False

    run(workspace, "scan", Progress(Watch()))
    assert max(seen) == 10 and workspace.n_rows("videos") == 10
    assert {s.stage: s.state for s in pipeline.status(workspace)}["filter"] == "stale"
