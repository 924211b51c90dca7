"""Shots: made cuts at their frame, scdet as FFmpeg has it, what is no cut; stills of the asked time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation.errors import MediaError, SettingError
from curation.media.shots import ShotDetector, Shots, anneals, likeness, shot_cuts
from curation.media.stills import write_still
from tests.mediamaker import make_video, scene_cuts_s


@pytest.mark.parametrize("detector", ["structure", "scdet"])
@pytest.mark.parametrize("scenes", [1, 2, 5])
def test_made_cuts_are_found_exactly(tmp_path: Path, scenes: int, detector: str) -> None:
    path = make_video(tmp_path / "scenes.mp4", seconds=6, scenes=scenes, seed=3)
    found = shot_cuts(path, detector=detector)
    np.testing.assert_allclose(found["cuts_s"], scene_cuts_s(6, 12, scenes), atol=1e-6)
    assert found["cuts_s"].dtype == np.float64 and found["scores"].shape == found["cuts_s"].shape
    assert found["duration_s"] == pytest.approx(6, abs=0.01) and found["n_frames"] == 72


def test_threshold_and_bound(tmp_path: Path) -> None:
    path = make_video(tmp_path / "scenes.mp4", seconds=6, scenes=3)
    assert shot_cuts(path, detector="scdet", threshold=99.0)["cuts_s"].size == 0
    bounded = shot_cuts(path, max_seconds=3.0)
    assert bounded["cuts_s"].tolist() == [2.0] and bounded["duration_s"] <= 3.0


def test_times_start_at_the_files_start(tmp_path: Path) -> None:
    source = make_video(tmp_path / "scenes.mp4", seconds=6, scenes=3)
    shifted = tmp_path / "shifted.ts"
    with av.open(str(source)) as a, av.open(str(shifted), "w", format="mpegts") as b:
        streams = {s.index: b.add_stream_from_template(s) for s in (a.streams.video[0], a.streams.audio[0])}
        for packet in a.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                packet.pts += round(7 / packet.time_base)
                packet.dts += round(7 / packet.time_base)
                b.mux(packet)
    with av.open(str(shifted)) as check:
        assert check.start_time > 6_000_000
    np.testing.assert_allclose(shot_cuts(shifted)["cuts_s"], [2.0, 4.0], atol=0.1)


def test_no_picture_no_shots(tmp_path: Path) -> None:
    path = make_video(tmp_path / "heard.mp4", codec=None)
    for call in (lambda: shot_cuts(path), lambda: write_still(path, 1.0, tmp_path / "still.jpg")):
        with pytest.raises(MediaError) as caught:
            call()
        assert caught.value.code == "no_video"
    assert not (tmp_path / "still.jpg").exists()


def read_picture(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize(("time_s", "second"), [(0.0, 0), (4.55, 4), (17.0, 17), (29.95, 29), (99.0, 29)])
def test_still_shows_its_time(tmp_path: Path, time_s: float, second: int) -> None:
    levels = (np.arange(300) // 10 * 8).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (300, 240, 320, 3))
    path = make_video(tmp_path / "counting.mp4", fps=10, frames=frames, sound=None)
    told = write_still(path, time_s, tmp_path / "still.jpg", height=90)
    picture = read_picture(tmp_path / "still.jpg")
    assert picture.shape == (90, 120, 3) == (told["height"], told["width"], 3)
    assert picture.mean() / 8 == pytest.approx(second, abs=0.6)


def photo(rng: np.random.Generator, size: tuple[int, int] = (96, 128), low: int = 60, high: int = 190) -> np.ndarray:
    """uint8 (H, W, 3), soft blobs of grey between `low` and `high`."""
    coarse = rng.uniform(low, high, (6, 8))
    rows, columns = (np.linspace(0, n - 1, m) for n, m in zip(coarse.shape, size))
    wide = np.stack([np.interp(columns, np.arange(8), row) for row in coarse])
    grey = np.stack([np.interp(rows, np.arange(6), column) for column in wide.T], axis=1)
    return np.repeat(np.rint(grey).astype(np.uint8)[:, :, None], 3, axis=2)


def cuts_of(pictures: list[np.ndarray], **settings: Any) -> list[float]:
    """Cuts of pictures shown ten a second, as frame numbers."""
    return [round(cut * 10) for cut in detected(pictures, **settings).cuts_s.tolist()]


def detected(pictures: list[np.ndarray], **settings: Any) -> Shots:
    detector = ShotDetector(**settings)
    for k, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuv420p")
        frame.pts = k
        detector.push(frame, k / 10, 0.1)
    return detector.finish()


def test_a_flash_and_a_light_that_goes_on_are_no_cuts() -> None:
    room = photo(np.random.default_rng(1), high=130)
    bright = (room.astype(np.float64) * 1.7).astype(np.uint8)
    flash = [room] * 5 + [np.full_like(room, 250)] + [room] * 5
    light = [room] * 5 + [bright] * 5
    assert cuts_of(flash, detector="scdet") and cuts_of(light, detector="scdet")
    assert cuts_of(flash) == [] and cuts_of(light) == []


def test_a_pan_that_begins_is_no_cut() -> None:
    wide = np.concatenate([photo(np.random.default_rng(k), low=0, high=255) for k in range(4)], axis=1)
    pan = [wide[:, :128]] * 5 + [wide[:, x : x + 128] for x in range(10, 200, 10)]
    assert cuts_of(pan, detector="scdet") == [5]
    assert cuts_of(pan) == []


def test_a_cut_between_pictures_of_low_contrast_is_found() -> None:
    rng = np.random.default_rng(1)
    pictures = [photo(rng, low=90, high=165)] * 6 + [photo(rng, low=90, high=165)] * 6
    assert cuts_of(pictures, detector="scdet") == []
    assert cuts_of(pictures) == [6]


def test_cuts_at_both_ends_are_found() -> None:
    rng = np.random.default_rng(5)
    a, b, c = (photo(rng, low=0, high=255) for _ in range(3))
    assert cuts_of([a] + [b] * 6 + [c]) == [1, 7] == cuts_of([a] + [b] * 6 + [c], detector="scdet")


@pytest.mark.parametrize("n_frames", [0, 1, 2, 3])
@pytest.mark.parametrize("detector", ["structure", "scdet"])
def test_few_frames(n_frames: int, detector: str) -> None:
    found = detected([photo(np.random.default_rng(0))] * n_frames, detector=detector)
    assert found.n_frames == n_frames and found.cuts_s.size == found.scores.size == 0
    assert found.signatures.shape == (min(n_frames, 1), 24)


def test_pictures_that_change_size_begin_anew() -> None:
    rng = np.random.default_rng(0)
    small = [photo(rng, (48, 64), 0, 255)] * 3 + [photo(rng, (48, 64), 0, 255)] * 3
    large = [photo(rng, (96, 128), 0, 255)] * 3 + [photo(rng, (96, 128), 0, 255)] * 3
    assert cuts_of(small + large) == [3, 9] == cuts_of(small + large, detector="scdet")


def test_likeness() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (32, 32), dtype=np.uint8) for _ in range(2))
    flat = np.full((32, 32), 90, np.uint8)
    assert likeness(a, a) == pytest.approx(1, abs=0.01)
    assert likeness(a, np.roll(a, (3, -2), (0, 1))) == pytest.approx(1, abs=0.01)
    assert likeness(a, 255 - a) < 0.2 and abs(likeness(a, b)) < 0.25
    assert likeness(flat, flat) == 0 and abs(likeness(flat, a)) < 1e-9


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(SettingError, match="'best'"):
        ShotDetector("best")


def noisy_video(path: Path, n_frames: int = 150) -> Path:
    """Pictures whose changes have all sizes, so that many scores lie near many thresholds."""
    rng = np.random.default_rng(4)
    frames = [photo(rng, low=0, high=255)]
    for _ in range(n_frames - 1):
        share = rng.choice([0.0, 0.02, 0.3, 0.6, 1.0])
        new = photo(rng, low=0, high=255)
        frames.append((frames[-1] * (1 - share) + new * share).astype(np.uint8))
    return make_video(path, fps=10, frames=np.stack(frames), sound=None)


def plain_scdet(path: Path, threshold: float) -> list[float]:
    """Times of scdet's cuts by a filter graph over the whole file, its own decoding and nothing of ours."""
    graph = av.filter.Graph()
    with av.open(str(path)) as file:
        source = graph.add_buffer(template=file.streams.video[0])
        detect, sink = graph.add("scdet", f"threshold={float(threshold)!r}"), graph.add("buffersink")
        source.link_to(detect)
        detect.link_to(sink)
        graph.configure()
        cuts_s = []
        for frame in file.decode(video=0):
            graph.push(frame)
            told = graph.pull().metadata.get("lavfi.scd.time")
            if told is not None:
                cuts_s.append(float(told))
    return cuts_s


def test_scdet_is_ffmpegs_at_every_threshold_of_one_search(tmp_path: Path) -> None:
    path = noisy_video(tmp_path / "noisy.mp4")
    found = shot_cuts(path, detector="scdet", anneal=1.2)
    counts = set()
    for threshold in anneals(10.0, 1.2):
        cuts_s = plain_scdet(path, threshold)
        np.testing.assert_allclose(found["cuts_s"][found["scores"] >= threshold], cuts_s, atol=1e-6)
        counts.add(len(cuts_s))
    assert len(counts) >= 4


def test_scores_at_a_threshold_are_settled_by_scdet(tmp_path: Path) -> None:
    path = noisy_video(tmp_path / "noisy.mp4", 40)
    plain = shot_cuts(path, detector="scdet", threshold=1.0)
    for score in plain["scores"][plain["scores"] > 1.01][::4].tolist():
        for other in (score - 4e-4, score, score + 4e-4):  # on both sides of what three decimals tell
            # A search whose second threshold is `other`.
            found = shot_cuts(path, detector="scdet", threshold=1.0, anneal=other)
            cuts_s = plain_scdet(path, other)
            np.testing.assert_allclose(found["cuts_s"][found["scores"] >= other], cuts_s, atol=1e-6)


def test_scdet_is_that_of_the_command_line(tmp_path: Path) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg is not installed")
    path = noisy_video(tmp_path / "noisy.mp4")
    command = [program, "-hide_banner", "-i", str(path), "-vf", "scdet=threshold=10.0", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr
    times = [float(line.rsplit(":", 1)[1]) for line in told.splitlines() if "lavfi.scd.time" in line]
    np.testing.assert_allclose(shot_cuts(path, detector="scdet")["cuts_s"], times, atol=1e-3)


@pytest.mark.parametrize(("detector", "least"), [("structure", 0.97), ("scdet", 0.92)])
def test_cuts_of_esc_av(shared_data: Path, detector: str, least: float) -> None:
    import csv

    folder = shared_data / "esc-av"
    with (folder / "truth.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["cross_fade"] == "0"][:60]
    found_true = wanted = right = claimed = 0
    for row in rows:
        found = shot_cuts(folder / "clips" / row["clip"], detector=detector)["cuts_s"]
        true = np.array([float(t) for t in row["cuts_s"].split()])
        near = np.abs(found[:, None] - true) < 0.2
        found_true, wanted = found_true + near.any(axis=0).sum(), wanted + true.size
        right, claimed = right + near.any(axis=1).sum(), claimed + found.size
    precision, recall = right / claimed, found_true / wanted
    assert 2 * precision * recall / (precision + recall) > least
