"""Planted faults in made videos come out of a run as the right flags, and stale settings are made anew."""

from __future__ import annotations

import numpy as np
import pytest

from curation import pipeline
from curation.progress import Progress
from curation.workspace import Workspace
from tests.mediamaker import make_frames, make_video

SIZE = (64, 48)
STEPS = ("scan", "filter", "segment", "features", "health")


def talk(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise that comes and goes."""
    n = round(seconds * 44_100)
    rng = np.random.default_rng(seed)
    return (0.2 * rng.normal(size=n) * (1 + np.sin(np.arange(n) * 2e-4))).clip(-0.9, 0.9).astype(np.float32)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("media")
    lively = make_frames(36, SIZE, 1, 1)
    slides = make_frames(36, SIZE, 3, 2)
    for scene in range(3):
        slides[12 * scene : 12 * scene + 12] = slides[12 * scene]
    made = {
        "good": (lively, talk(3.0)),
        "silent": (lively, np.zeros(3 * 44_100, np.float32)),
        "clipped": (lively, (8 * talk(3.0)).clip(-1, 1)),
        "black": (np.full_like(lively, 2), talk(3.0)),
        "static": (np.repeat(lively[:1], 36, axis=0), talk(3.0)),
        "slides": (slides, talk(3.0)),
        "short": (lively, talk(1.5)),
        "mute": (lively, None),
    }
    for name, (frames, samples) in made.items():
        make_video(folder / f"{name}.mp4", frames=frames, samples=samples, sound=None)
    workspace = Workspace.create(tmp_path_factory.mktemp("ws") / "ws", roots=[str(folder)])
    workspace.configure({"resources.workers": "2", "filter.streams": "any"})
    pipeline.run(workspace, Progress(), only=STEPS)
    return workspace


def test_planted_faults_are_found_and_nothing_else(ran: Workspace) -> None:
    paths = ran.table("clips")["path"].to_pylist()
    health = ran.table("health")
    assert health["row"].to_pylist() == list(range(8)) and health["clip_id"].equals(ran.table("clips")["clip_id"])
    faults = {"silent", "quiet", "clipped", "black", "static", "slide_show", "missing_stream", "length_mismatch"}
    found = {path: set(names) & faults for path, names in zip(paths, health["problems"].to_pylist())}
    assert found == {
        "good.mp4": set(),
        "silent.mp4": {"silent", "quiet"},
        "clipped.mp4": {"clipped"},
        "black.mp4": {"black", "static"},
        "static.mp4": {"static"},
        "slides.mp4": {"slide_show"},
        "short.mp4": {"length_mismatch"},
        "mute.mp4": {"missing_stream"},
    }
    healthy = {path for path, fine in zip(paths, health["healthy"].to_pylist()) if fine}
    assert healthy == {"good.mp4", "clipped.mp4", "slides.mp4", "short.mp4"}
    mute = health.slice(paths.index("mute.mp4"), 1).to_pylist()[0]
    assert mute["silent_share"] is None and mute["silent"] is False and mute["speech_score"] is None


def test_the_table_says_what_its_columns_mean_and_can_be_queried(ran: Workspace) -> None:
    info = ran.require("health", "health").info
    assert {column["name"] for column in info["columns"]} < set(ran.table("health").column_names)
    assert info["flags"]["black"] == 1 and info["healthy"] == 4
    found = ran.query("SELECT count(*) AS n FROM clips JOIN health USING (clip_id) WHERE silent")
    assert found["n"].to_pylist() == [1]


def test_a_changed_threshold_makes_only_health_anew(ran: Workspace) -> None:
    assert {s.stage: s.state for s in pipeline.status(ran)}["health"] == "done"
    before = {key: ran.fingerprint(key) for key in ran.keys("measures")}
    assert len(before) >= 2
    ran.configure({"health.unhealthy": "slide_show"})
    assert {s.stage: s.state for s in pipeline.status(ran)}["health"] == "stale"
    pipeline.run(ran, Progress(), only=STEPS)
    assert ran.require("health", "health").info["healthy"] == 7
    assert {key: ran.fingerprint(key) for key in ran.keys("measures")} == before
    ran.configure({"health.unhealthy": "missing_stream,silent,black,static"})
