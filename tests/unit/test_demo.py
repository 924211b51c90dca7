"""The made demo: its recipe, who gets whose sound, the files, their truth, and that picture and sound keep time."""

from __future__ import annotations

import copy
import csv
import json
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

from curation.demo import make, make_demo_media
from curation.demo.canvas import Canvas, blank, colour, crop
from curation.demo.clip import RenderedClip, encode_clip, render_clip
from curation.demo.forms import FORMS
from curation.demo.plan import ClipPlan, plan_clips
from curation.demo.recipe import RECIPE_FILE, Recipe, load_recipe, parse_recipe
from curation.errors import Cancelled, InputError, SettingError

RECIPE = load_recipe()
NAMES = [kind.name for kind in RECIPE.kinds]


class Counting:
    """Progress that counts, and cancels when `limit` clips are made."""

    def __init__(self, limit: int = 10**9) -> None:
        self.done, self.limit, self.notes = 0, limit, []

    def advance(self, n: int = 1) -> None:
        self.done += n

    def check_cancelled(self) -> None:
        if self.done >= self.limit:
            raise Cancelled()

    def note(self, text: str) -> None:
        self.notes.append(text)


def clip_of(kind: str, index: int = 0, heard: str | None = None) -> RenderedClip:
    return render_clip(RECIPE, ClipPlan(index, 0, NAMES.index(kind), NAMES.index(heard or kind)))


def by_frame(samples: np.ndarray, n_frames: int) -> np.ndarray:
    """Samples cut at the pictures: (n_frames, samples a picture)."""
    each = len(samples) // n_frames
    return samples[: each * n_frames].reshape(n_frames, each)


def truth_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "truth.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_media(tmp_path_factory.mktemp("demo") / "new", n_clips=10, workers=1)


# --- the plan


@pytest.mark.parametrize("seed", range(5))
def test_plan_of_the_whole_demo(seed: int) -> None:
    plans = plan_clips(RECIPE, RECIPE.n_clips, seed)
    assert len(plans) == 160 and len({plan.file_name for plan in plans}) == 160
    strangers = [plan for plan in plans if not plan.matches]
    assert len(strangers) == 56  # 35 %
    assert Counter(p.seen for p in strangers) == Counter(p.heard for p in strangers)
    assert min(Counter(p.seen for p in plans).values()) >= 12
    # no pair of strangers comes back so often that it looks like a kind of its own
    assert max(Counter((p.seen, p.heard) for p in strangers).values()) <= 2


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 70), seed=st.integers(0, 2**31))
def test_plan_of_any_size(n: int, seed: int) -> None:
    plans = plan_clips(RECIPE, n, seed)
    strangers = sum(not plan.matches for plan in plans)
    expected = round(RECIPE.mismatched_share * n)
    assert [plan.index for plan in plans] == list(range(n))
    assert strangers == (2 if expected == 1 else expected)
    assert plans == plan_clips(RECIPE, n, seed)


def test_plans_differ_between_seeds() -> None:
    assert [p.seen for p in plan_clips(RECIPE, 60, 1)] != [p.seen for p in plan_clips(RECIPE, 60, 2)]


# --- the recipe


def recipe_with(path: str, value: Any) -> dict[str, Any]:
    data = json.loads(RECIPE_FILE.read_text())
    *outer, last = path.split("/")
    at: Any = data
    for key in outer:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is KeyError:
        del at[last]
    else:
        at[last] = value
    return data


def test_recipe_has_what_the_demo_promises() -> None:
    assert RECIPE.n_clips == 160 and len(RECIPE.kinds) >= 8 and RECIPE.mismatched_share == 0.35
    assert {kind.form for kind in RECIPE.kinds} == set(FORMS)
    assert all(len(kind.palettes) >= 2 for kind in RECIPE.kinds)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("kinds/ball/tempo/keep", [0.5, 2.0], "kinds.ball.tempo.keep must be a range"),
        ("kinds/ball/tempo/keep", [0.9, 0.8], "kinds.ball.tempo.keep must be a range"),
        ("kinds/bell/sound/pitch_hz", "high", "kinds.bell.sound.pitch_hz must be a range"),
        ("kinds/bird/palettes/0/leaf", "green", "kinds.bird.palettes[0].leaf must be a colour"),
        ("kinds/bird/palettes", [], "kinds.bird.palettes must be a list of at least one"),
        ("kinds/siren/form", "hooter", "kinds.siren.form must be one of ball"),
        ("kinds/siren/weight", 0, "kinds.siren.weight must be a number from 0.05 to 20"),
        ("kinds/rain/picture/speed", KeyError, "lacks kinds.rain.picture.speed"),
        ("kinds/rain/sound/volume", [1, 2], "unknown entry kinds.rain.sound.volume"),
        ("mismatched_share", float("nan"), "mismatched_share must be a number from 0 to 0.9"),
        ("video/width", 191, "video.width must be even"),
        ("video/fps", True, "video.fps must be a whole number"),
        ("audio/sample_rate", 17000, "audio.sample_rate must be 16000"),
        ("version", 2, "version must be 1"),
        ("kinds", {}, "kinds must name at least three kinds"),
        ("kinds/ball", 3, "kinds.ball must be an object"),
    ],
)
def test_faulty_recipe_is_refused_with_the_place(path: str, value: Any, said: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_recipe(recipe_with(path, value))
    assert said in str(refused.value)


def test_recipe_file_missing_or_not_json(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        load_recipe(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SettingError, match="not valid JSON"):
        load_recipe(tmp_path / "broken.json")


def test_size_and_rate_follow_the_recipe() -> None:
    data = copy.deepcopy(json.loads(RECIPE_FILE.read_text()))
    data["video"] |= {"width": 128, "height": 72, "fps": 8}
    data["audio"]["sample_rate"] = 22050
    small: Recipe = parse_recipe(data)
    clip = render_clip(small, ClipPlan(0, 0, 0, 0))
    assert clip.pictures[0].shape == (72, 128, 3)
    assert len(clip.samples) == round(len(clip.pictures) / 8 * 22050)


# --- the clip


def test_equal_plans_give_equal_bytes() -> None:
    first, second = clip_of("bird", 3), clip_of("bird", 3)
    assert encode_clip(RECIPE, first) == encode_clip(RECIPE, second)
    assert not np.array_equal(clip_of("bird", 4).pictures[0], first.pictures[0])


def test_a_strangers_sound_changes_nothing_but_the_sound() -> None:
    own, strange = clip_of("drip", 5), clip_of("drip", 5, heard="bell")
    assert all(np.array_equal(a, b) for a, b in zip(own.pictures, strange.pictures, strict=True))
    assert len(own.samples) == len(strange.samples)
    assert not np.allclose(own.samples, strange.samples)


@pytest.mark.parametrize("kind", NAMES)
def test_every_kind_moves_and_sounds(kind: str) -> None:
    clip = clip_of(kind, 11)
    pictures = np.stack(clip.pictures)
    assert pictures.dtype == np.uint8 and pictures.shape[1:] == (144, 192, 3)
    assert 36 <= len(pictures) <= 48
    moved = np.abs(np.diff(pictures.astype(np.int16), axis=0)).mean((1, 2, 3))
    assert (moved > 0.05).all()
    assert pictures.std() > 20 and np.mean(pictures == 255) < 0.2  # neither flat nor burnt out
    peak = np.abs(clip.samples).max()
    assert clip.samples.dtype == np.float32 and 0.2 < peak < 0.99
    assert np.sqrt(np.mean(clip.samples**2)) > 0.01


def test_siren_lamp_and_tone_change_together() -> None:
    clip = clip_of("siren", 2)
    pictures = np.stack(clip.pictures).astype(np.float64)
    red = pictures[..., 0].mean((1, 2)) - pictures[..., 2].mean((1, 2))
    blocks = by_frame(clip.samples, len(pictures))
    spectrum = np.abs(np.fft.rfft(blocks * np.hanning(blocks.shape[1]), 8192))
    low, high = round(450 * 8192 / 16000), round(1200 * 8192 / 16000)
    tone = spectrum[:, low:high].argmax(1)
    assert np.corrcoef(red, tone)[0, 1] > 0.7


def test_ball_knocks_when_it_is_low() -> None:
    low_when_loud = []
    for index in range(4):
        clip = clip_of("ball", index)
        pictures = np.stack(clip.pictures).astype(np.float64)
        change = np.abs(pictures - np.median(pictures, axis=0)).sum(-1)
        change[change < 60] = 0.0
        height = (change * np.arange(144)[None, :, None]).sum((1, 2)) / np.maximum(change.sum((1, 2)), 1.0)
        onset = np.maximum(np.diff((by_frame(clip.samples, len(pictures)) ** 2).mean(1), prepend=0.0), 0.0)
        low_when_loud.append(np.corrcoef(height, onset)[0, 1])
    assert np.mean(low_when_loud) > 0.25


@pytest.mark.parametrize("name", ["ball", "clock", "drip", "bell"])
def test_every_event_of_the_timeline_is_heard_at_its_time(name: str) -> None:
    kind, form = RECIPE.kinds[NAMES.index(name)], FORMS[name]
    rng = np.random.default_rng(4)
    line = form.timeline(rng, {key: sum(r) / 2 for key, r in kind.tempo.items()}, 3.5)
    samples = form.sound(line, {key: sum(r) / 2 for key, r in kind.sound.items()}, rng, 16000)
    energy = np.convolve(samples**2, np.ones(320), "full")[319:]  # the 20 ms from each sample on
    inside = [t for t in line.times_s if 0.1 < t < 3.3]
    assert len(inside) >= 3
    for t in inside:
        at = round(t * 16000)
        assert energy[at] > 3 * energy[at - 480], f"no onset at {t:.3f} s"


def test_kinds_can_be_told_apart_by_eye_and_by_ear() -> None:
    looks, sounds, labels = [], [], []
    bands = np.geomspace(4, 257, 21).astype(int)
    for k, name in enumerate(NAMES):
        for index in range(5):
            clip = clip_of(name, 40 + index)
            pictures = np.stack(clip.pictures[::6]).astype(np.float64) / 255
            looks.append(np.concatenate([pictures.mean((0, 1, 2)), pictures.std((0, 1, 2))]))
            windows = np.lib.stride_tricks.sliding_window_view(clip.samples, 512)[::256] * np.hanning(512)
            power = np.abs(np.fft.rfft(windows)) ** 2
            log = np.log(np.add.reduceat(power, bands[:-1], axis=1) + 1e-5)
            sounds.append(np.concatenate([log.mean(0), log.std(0)]))
            labels.append(k)
    for features in (looks, sounds):
        table = np.array(features)
        scaled = (table - table.mean(0)) / table.std(0)
        found = KMeans(len(NAMES), n_init=5, random_state=0).fit_predict(scaled)
        assert normalized_mutual_info_score(labels, found) > 0.8


# --- the folder


def test_files_and_truth(small_demo: Path) -> None:
    rows = truth_of(small_demo)
    assert list(rows[0]) == ["file", "truth_match", "label_visual", "label_audio"]
    assert [row["file"] for row in rows] == [f"{i:06d}.mp4" for i in range(10)]
    assert sorted(p.name for p in (small_demo / "clips").iterdir()) == [row["file"] for row in rows]
    assert Counter(row["truth_match"] for row in rows) == {"True": 6, "False": 4}  # 3.5 rounds to even
    for row in rows:
        assert (row["label_visual"] == row["label_audio"]) == (row["truth_match"] == "True")


def test_clips_are_what_a_browser_plays(small_demo: Path) -> None:
    for path in sorted((small_demo / "clips").iterdir()):
        assert 10_000 < path.stat().st_size < 250_000
        with av.open(str(path)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, video.width, video.height) == ("h264", 192, 144)
            assert video.pix_fmt == "yuv420p" and video.average_rate == 12
            assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", 16000, "mono")
            frames = sum(1 for _ in container.decode(video=0))
            assert 36 <= frames <= 48
            assert abs(float(video.duration * video.time_base) - frames / 12) < 0.01
            assert abs(float(audio.duration * audio.time_base) - frames / 12) < 0.15


def test_workers_do_not_change_a_byte(small_demo: Path, tmp_path: Path) -> None:
    told = Counting()
    other = make_demo_media(tmp_path / "other", n_clips=10, workers=2, progress=told)
    assert told.done == 10 and told.notes
    for path in sorted(small_demo.rglob("*.*")):
        assert (other / path.relative_to(small_demo)).read_bytes() == path.read_bytes()


def test_finished_is_left_alone_and_half_made_is_completed(tmp_path: Path) -> None:
    folder = make_demo_media(tmp_path / "demo", n_clips=4, workers=1)
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.*"))}
    told = Counting()
    make_demo_media(folder, n_clips=4, workers=1, progress=told)
    assert told.done == 4
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.*"))} == before

    lost = folder / "clips" / "000002.mp4"
    content = lost.read_bytes()
    lost.unlink()
    (folder / "truth.csv").unlink()
    (folder / "clips" / ".000002.mp4.1-ab.partial").write_bytes(b"half")
    told = Counting()
    make_demo_media(folder, n_clips=4, workers=1, progress=told)
    assert told.done == 4 and lost.read_bytes() == content
    assert sorted(path for path in folder.rglob("*.*")) == sorted(before)
    assert (folder / "clips" / "000000.mp4").stat().st_mtime_ns == before[folder / "clips" / "000000.mp4"]


@pytest.mark.parametrize("workers", [1, 2])
def test_cancel_keeps_what_is_made(tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "demo"
    with pytest.raises(Cancelled):
        make_demo_media(folder, n_clips=12, workers=workers, progress=Counting(limit=2))
    made = list((folder / "clips").glob("*.mp4"))
    assert 2 <= len(made) < 12 and not (folder / "truth.csv").exists()


def test_another_seed_or_count_replaces_the_demo(tmp_path: Path) -> None:
    folder = make_demo_media(tmp_path / "demo", n_clips=4, workers=1)
    first = (folder / "clips" / "000000.mp4").read_bytes()
    make_demo_media(folder, n_clips=3, seed=1, workers=1)
    assert len(list((folder / "clips").iterdir())) == 3 == len(truth_of(folder))
    assert (folder / "clips" / "000000.mp4").read_bytes() != first


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    mine = tmp_path / "clips" / "000000.mp4"
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="other files"):
        make_demo_media(tmp_path, n_clips=2)
    assert mine.read_bytes() == b"mine" and list(tmp_path.iterdir()) == [mine.parent]
    with pytest.raises(InputError, match="is a file"):
        make_demo_media(mine, n_clips=2)


@pytest.mark.parametrize("wrong", [{"n_clips": 0}, {"n_clips": 10**6}, {"seed": -1}, {"workers": 0}])
def test_wrong_numbers_are_refused_before_anything_is_written(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(SettingError):
        make_demo_media(tmp_path / "demo", **wrong)
    assert not (tmp_path / "demo").exists()


def test_a_broken_pool_is_finished_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

        def submit(self, *args: Any) -> None:
            raise BrokenProcessPool("gone")

        def shutdown(self, **kwargs: Any) -> None: ...

    monkeypatch.setattr(make, "ProcessPoolExecutor", Broken)
    told = Counting()
    folder = make_demo_media(tmp_path / "demo", n_clips=8, workers=2, progress=told)
    assert told.done == 8 == len(truth_of(folder))
    assert any("died" in note for note in told.notes)


# --- the canvas


def test_a_disc_covers_its_area_and_is_cut_at_the_border() -> None:
    canvas = Canvas(blank(64, 48, 4), 1.0)
    canvas.disc(30.3, 20.7, 10.0, colour("#ffffff"))
    assert canvas.pixels[..., 3].sum() == pytest.approx(np.pi * 100, rel=0.01)
    assert np.allclose(canvas.pixels[..., 0], canvas.pixels[..., 3])  # premultiplied white
    canvas.disc(0.0, 24.0, 6.0, colour("#ff0000"))
    canvas.disc(500.0, 500.0, 6.0, colour("#ff0000"))
    assert canvas.pixels.max() <= 1.0 + 1e-6


def test_a_polygon_and_a_box_cover_the_same() -> None:
    one, two = Canvas(blank(64, 48, 3), 1.0), Canvas(blank(64, 48, 3), 1.0)
    one.box(10.5, 8.25, 40.0, 30.0, colour("#ffffff"))
    two.polygon([(10.5, 8.25), (40.0, 8.25), (40.0, 30.0), (10.5, 30.0)], colour("#ffffff"))
    assert one.pixels.sum() == pytest.approx(29.5 * 21.75 * 3, rel=0.01)
    assert two.pixels.sum() == pytest.approx(one.pixels.sum(), rel=0.03)


def test_crop_at_whole_and_half_pixels() -> None:
    layer = np.arange(5 * 6, dtype=np.float32).reshape(5, 6, 1)
    assert np.array_equal(crop(layer, 2.0, 1.0, 3, 2), layer[1:3, 2:5])
    assert np.allclose(crop(layer, 2.5, 1.0, 3, 2), layer[1:3, 2:5] + 0.5)
