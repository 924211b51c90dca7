"""Nearest clips of a workspace: by row, by vector, by a file from outside; and what is said where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation import neighbours, pipeline
from curation.atomic import write_array
from curation.errors import InputError, MediaError, MissingArtefactError
from curation.progress import Progress
from curation.stage import StageContext, run_stage
from curation.workspace import CLIPS_FINGERPRINT, Workspace
from tests.mediamaker import make_video
from tests.workspacemaker import make_workspace


def run(workspace: Workspace) -> None:
    run_stage(pipeline.stage_named("neighbours"), StageContext(workspace, workspace.config, Progress()))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two sound layers of hand-made vectors, the second clip without a value, clips 0 and 3 alike."""
    made = make_workspace(tmp_path / "ws", n_clips=6, upto="clips")
    loud = np.float16([[1, 0], [0, 0], [0, 1], [1, 0.1], [-1, 0], [0, -1]])
    quiet = np.float16([[2, 0, 5], [0, 0, 0], [0, 2, 5], [2, 0.1, 5], [-2, 0, 5], [0, -2, 5]])
    folder = made.partial_folder("features/sound", "f")
    write_array(folder / "loud" / "part-000000.npy", loud)
    write_array(folder / "quiet" / "part-000000.npy", quiet)
    write_array(folder / "valid.npy", np.arange(6) != 1)
    info = {CLIPS_FINGERPRINT: made.fingerprint("clips"), "modality": "audio", "layers": {"loud": 2, "quiet": 3}}
    made.commit_folder("features/sound", folder, "f", info)
    return made


def test_the_nearest_clips_of_rows_and_vectors(workspace: Workspace) -> None:
    with pytest.raises(MissingArtefactError, match="python -m curation neighbours"):
        neighbours.nearest(workspace, "audio", np.array([0]), 1)
    assert not neighbours.is_made(workspace, "audio")
    run(workspace)
    assert neighbours.is_made(workspace, "audio") and not neighbours.is_made(workspace, "visual")
    rows, similarity = neighbours.nearest(workspace, "audio", np.array([0, 1, 2]), 4)
    assert rows.dtype == np.int64 and similarity.dtype == np.float32
    assert rows[0, 0] == 3 and rows[0, -1] == 4 and 0 not in rows[0] and 1 not in rows
    assert similarity[0, 0] > 0.95 and similarity[0, -1] < -0.9 and (np.diff(similarity[0]) <= 0).all()
    assert rows[1].tolist() == [-1] * 4 and np.isnan(similarity[1]).all()
    # About the mean (0.2, 0.02) of the first layer, clip 2 lies nearer to clip 4 than to clip 3.
    assert rows[2, 0] == 4 and rows[2, -1] == 5
    more, _ = neighbours.nearest(workspace, "audio", np.array([0]), 9)
    assert sorted(more[0].tolist()) == [-1, -1, -1, -1, -1, 2, 3, 4, 5]
    by_vector, cosines = neighbours.nearest(
        workspace, "audio", neighbours.vectors(workspace, "audio", np.array([0])), 2
    )
    assert by_vector.tolist() == [[0, 3]] and cosines[0, 0] == pytest.approx(1, abs=2e-3)
    facts = neighbours.info(workspace, "audio")
    assert facts["clips"] == 5 and facts["recall_at_10"] == 1.0 and facts["lists"] == 1
    assert facts["layers"] == [["sound", "loud"], ["sound", "quiet"]]


def test_chosen_layers_alone_count(workspace: Workspace) -> None:
    workspace.configure({"neighbours.layers": "sound.loud"})
    run(workspace)
    assert neighbours.info(workspace, "audio")["layers"] == [["sound", "loud"]]
    workspace.configure({"neighbours.layers": "sound.lout"})
    status = {stage.stage: stage for stage in pipeline.status(workspace)}["neighbours"]
    assert status.state == "blocked" and "sound.lout" in status.reason and "sound.quiet" in status.reason


@pytest.mark.parametrize(
    ("asked", "k"), [([6], 1), ([-1], 1), ([0.5], 1), ([0], 0), ([[1.0, 0, 0, 0, 0, 0]], 1), ([[[0]]], 1)]
)
def test_questions_that_make_no_sense_say_so(workspace: Workspace, asked: list[float], k: int) -> None:
    run(workspace)
    with pytest.raises(InputError):
        neighbours.nearest(workspace, "audio", np.array(asked), k)
    with pytest.raises(InputError, match="audio, visual"):
        neighbours.nearest(workspace, "../clips", np.array([0]), 1)


def test_imported_features_cannot_be_compared_with_a_file(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace)
    with pytest.raises(InputError, match="brought in"):
        neighbours.embed_file(workspace, "audio", tmp_path / "x.wav")


def test_a_file_from_outside_finds_the_clip_that_was_cut_of_it(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    for i in range(5):
        make_video(media / f"{i}.mp4", seconds=2.5, seed=i, hz=150.0 + 170 * i, size=(64, 48))
    workspace = Workspace.create(tmp_path / "ws", roots=[str(media)])
    workspace.configure({"segment.mode": "windows", "segment.clip_s": "2", "features.measures": ""})
    pipeline.run(workspace, Progress(), only=["scan", "filter", "segment", "features", "neighbours"])
    paths = workspace.table("clips", ["path"])["path"].to_pylist()
    for modality in ("audio", "visual"):
        vector = neighbours.embed_file(workspace, modality, media / "3.mp4")
        rows, similarity = neighbours.nearest(workspace, modality, vector[None], 2)
        assert paths[rows[0, 0]] == "3.mp4" and similarity[0, 0] > 0.99
    (tmp_path / "noise.wav").write_bytes(b"no sound" * 100)
    with pytest.raises(MediaError):
        neighbours.embed_file(workspace, "audio", tmp_path / "noise.wav")
    silent = tmp_path / "silent.mp4"
    make_video(silent, seconds=2.5, sound=None, size=(64, 48))
    with pytest.raises(InputError, match=r"silent\.mp4 has no sound"):
        neighbours.embed_file(workspace, "audio", silent)
    Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / "red.png")
    vector = neighbours.embed_file(workspace, "visual", tmp_path / "red.png")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
