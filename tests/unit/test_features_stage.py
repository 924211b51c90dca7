"""The features stage: what the search for shots measured is taken, the rest is decoded, and only what is lacking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from curation import pipeline
from curation.errors import MediaError
from curation.extractors.audio import SoundExtractor
from curation.extractors.run import survey_file
from curation.media import worker
from curation.media.process import WorkerProcess
from curation.media.sandbox import Outcome, Sandbox
from curation.progress import Progress
from curation.stages import features, segment
from curation.workspace import Workspace
from tests.mediamaker import make_video

SETTINGS = {
    "segment.clip_s": "2",
    "filter.streams": "any",
    "resources.workers": "1",
}
ARTEFACTS = ("features/sound", "features/picture", "measures/sound-health", "measures/picture-health")


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_video(folder / "long.mp4", seconds=9, scenes=3, size=(64, 48), sound="noise")
    make_video(folder / "mute.mp4", seconds=5, scenes=1, size=(64, 48), sound=None, seed=3)
    make_video(folder / "short.mp4", seconds=1.5, size=(64, 48), seed=4)
    return folder


@pytest.fixture
def workspace(media: Path, tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path / "workspace", roots=[str(media)])
    made.configure(SETTINGS)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Payloads that are given to workers, with the task of each; the tasks run in this process, which has torch."""
    payloads: list[dict[str, Any]] = []

    def inline(
        self: Sandbox, task: str, given: list[dict[str, Any]], *, patience_s: float | None = None
    ) -> Iterator[Outcome]:
        for index, payload in enumerate(given):
            name = payload.get("_task", task)
            payloads.append({"task": name, **payload})
            sent = {key: value for key, value in payload.items() if not key.startswith("_")}
            try:
                yield Outcome(index, payload, worker.load(name)(sent), None)
            except MediaError as error:
                yield Outcome(index, payload, None, error)

    monkeypatch.setattr(Sandbox, "imap", inline)
    yield payloads


def run(workspace: Workspace, *names: str) -> None:
    pipeline.run(workspace, Progress(), only=names or ["scan", "filter", "segment", "features"])


def numbers(workspace: Workspace) -> dict[str, np.ndarray]:
    return {
        str(file.relative_to(workspace.path)): np.load(file)
        for key in ARTEFACTS
        for file in sorted(workspace.artefact_path(key).rglob("*.npy"))
    }


def tasks(asked: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((payload["task"], Path(payload["path"]).name) for payload in asked if payload["task"] != "probe")


def test_a_file_that_is_searched_for_shots_is_decoded_once(workspace: Workspace, asked: list[dict[str, Any]]) -> None:
    run(workspace)
    assert tasks(asked) == [("features", "short.mp4"), ("survey", "long.mp4"), ("survey", "mute.mp4")]
    valid = {name: np.asarray(workspace.array(f"features/{name}", "valid")) for name in ("sound", "picture")}
    paths = workspace.table("clips")["path"].to_pylist()
    assert valid["picture"].all() and [p for p, ok in zip(paths, valid["sound"]) if not ok] == ["mute.mp4"]
    assert not (workspace.path / "early").exists()


def test_two_passes_give_the_same(
    workspace: Workspace, asked: list[dict[str, Any]], media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(workspace)
    twice = Workspace.create(tmp_path / "twice", roots=[str(media)])
    twice.configure(SETTINGS)
    monkeypatch.setattr(segment, "MAX_SURVEY_S", 0.0)
    run(twice)
    assert workspace.table("clips").equals(twice.table("clips"))
    for name, values in numbers(twice).items():
        once = numbers(workspace)[name]
        if "picture" in name or not name.startswith(("features/sound/", "measures/sound")):
            np.testing.assert_array_equal(once, values, err_msg=name)
        else:
            scale = max(1.0, float(np.abs(values.astype(np.float64)).max()))
            assert np.abs(once.astype(np.float64) - values).max() / scale < 0.05, name


def test_a_crash_while_measuring_costs_no_shots(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(worker.SELFTEST_VARIABLE, "1")
    payload_of = segment.SegmentWork._payload

    def crashing(self: Any, video: dict[str, Any]) -> dict[str, Any]:
        payload = payload_of(self, video)
        return payload | {"_task": "selftest.crash"} if "_task" in payload else payload

    monkeypatch.setattr(segment.SegmentWork, "_payload", crashing)
    run(workspace, "scan", "filter", "segment")
    rows = workspace.table("segmented").to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 3 and workspace.n_rows("clips") == 5
    assert not (workspace.path / "early").exists()


def test_what_cannot_be_measured_early_is_measured_later(workspace: Workspace, asked: list[dict[str, Any]]) -> None:
    workspace.configure({**SETTINGS, "segment.clip_s": "2", "features.extractors": "sound", "features.measures": ""})
    run(workspace)
    assert [payload["extractors"] for payload in asked if payload["task"] == "survey"] == [["sound"]] * 2
    asked.clear()
    workspace.configure({"features.extractors": "sound,picture"})
    run(workspace)
    assert {name for _, name in tasks(asked)} == {"long.mp4", "mute.mp4", "short.mp4"}
    assert all(payload["extractors"] == ["picture"] for payload in asked if payload["task"] == "features")


def test_missing_weights_block_and_say_what_to_do(
    workspace: Workspace, asked: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing"))
    run(workspace, "scan", "filter", "segment")
    for name in ("vggish", "hub:owner/model"):
        workspace.configure({**SETTINGS, "features.extractors": name, "features.fetch_weights": "false"})
        state = {status.stage: status for status in pipeline.status(workspace)}["features"]
        assert state.state == "blocked" and state.reason, state


def test_workers_get_names_as_spelled_options_and_room(
    workspace: Workspace, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SoundExtractor, "memory_mb", 5000)
    monkeypatch.setattr(SoundExtractor, "seconds_a_clip", 7.0)
    limits: list[int] = []
    plain = Sandbox.limited

    def noted(self: Sandbox, **options: Any) -> Sandbox:
        limits.append(options["memory_limit_mb"])
        return plain(self, **options)

    monkeypatch.setattr(Sandbox, "limited", noted)
    workspace.configure({**SETTINGS, "features.weights_folder": "/nowhere", "resources.device": "cpu"})
    run(workspace)
    (payload,) = [payload for payload in asked if payload["task"] == "features"]
    assert payload["options"] == {"weights_folder": "/nowhere", "device": "cpu"}
    wanted = workspace.config.features
    assert payload["extractors"] == [*wanted.extractors.split(","), *wanted.measures.split(",")]
    assert payload["_time_limit_s"] == pytest.approx(60 + 1.5 + 7, abs=0.2) and limits[-1] == 5000


def test_survey_refuses_extractors_of_two_decodings(media: Path) -> None:
    with pytest.raises(ValueError, match="unpack"):
        survey_file(
            {
                "path": str(media / "long.mp4"),
                "duration_s": 9.0,
                "detector": "structure",
                "layout": {},
                "extractors": ["picture", "slowfast"],
            }
        )


def test_a_part_that_was_begun_goes_on(
    workspace: Workspace, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        """Stands for a kill."""

    monkeypatch.setattr(features.Checkpoint, "due", lambda self: True)
    monkeypatch.setattr(segment, "SAVE_EVERY_S", -1.0)
    write = segment.SegmentWork._write

    def dying(self: Any, file: Path, rows: list[dict[str, Any]]) -> None:
        write(self, file, rows)
        raise Stopped

    run(workspace, "scan", "filter")
    with monkeypatch.context() as patched:
        patched.setattr(segment.SegmentWork, "_write", dying)
        with pytest.raises(Stopped):
            run(workspace, "segment")
    assert tasks(asked) == [("survey", "long.mp4")]
    asked.clear()
    run(workspace, "segment")
    assert tasks(asked) == [("survey", "mute.mp4")]  # the other one had been noted
    save = features.Checkpoint.save

    def dying_too(self: Any, arrays: dict[str, np.ndarray]) -> None:
        save(self, arrays)
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(features.Checkpoint, "save", dying_too)
        with pytest.raises(Stopped):
            run(workspace, "features")
    asked.clear()
    run(workspace, "features")
    assert tasks(asked) == []
    assert np.asarray(workspace.array("features/picture", "valid")).all()


def test_the_stages_of_a_run_share_their_processes(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    plain = WorkerProcess._start

    def noted(self: WorkerProcess) -> None:
        starts.append(1)
        plain(self)

    monkeypatch.setattr(WorkerProcess, "_start", noted)
    workspace.configure({"resources.workers": "1"})
    run(workspace)
    assert len(starts) == 1 and workspace.artefact("features/sound") is not None
    assert not [p for p in psutil.Process().children() if "curation.media.worker" in p.cmdline()]
