"""survey: shots, spans and clips of one pass are those that separate passes give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.errors import MediaError
from curation.media import survey as module
from curation.media.container import open_media
from curation.media.decode import ClipPlan, DecodedClip, decode_clips
from curation.media.layout import Layout, lay_out
from curation.media.reader import SoundFormat, VideoEvent, read_span
from curation.media.shots import Shots, shot_cuts
from curation.media.survey import ClipFormat, Reel, Survey, survey
from tests.mediamaker import make_video

LAYOUT = Layout(clip_s=2.0, max_clips=3, threshold=3.5)
FORMAT = ClipFormat()
# Sound that is read after a seek begins at another phase of the resampler, and where the file's times are whole
# milliseconds (Matroska) up to 1 ms earlier or later.
SOUND_TOLERANCE = 5e-3
SHIFT = 17


@pytest.fixture(scope="module", params=[".mp4", ".mkv"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 s, five scenes, 12.5 frames a second: more than one frame a place of the grid, and less than two."""
    path = tmp_path_factory.mktemp("survey") / f"v{request.param}"
    return make_video(path, seconds=16, fps=25 // 2, scenes=5, size=(160, 120), hz=330.0)


def surveyed(path: Path, duration_s: float = 16.0, clip_format: ClipFormat = FORMAT) -> Survey:
    return survey(path, duration_s, "structure", LAYOUT, clip_format)


def test_one_pass_gives_what_three_give(video: Path) -> None:
    found = surveyed(video)
    shots = Shots(**shot_cuts(video))
    np.testing.assert_array_equal(found.shots.cuts_s, shots.cuts_s)
    np.testing.assert_array_equal(found.shots.signatures, shots.signatures)
    assert found.spans == lay_out(min(16.0, shots.duration_s), shots, LAYOUT) and len(found.spans) == 3
    assert found.clips is not None
    for span, clip, alone in zip(found.spans, found.clips, decode_clips(video, found.spans), strict=True):
        assert isinstance(clip, DecodedClip) and isinstance(alone, DecodedClip), span
        np.testing.assert_array_equal(clip.frames, alone.frames)
        np.testing.assert_array_equal(clip.frame_times_s, alone.frame_times_s)
        assert clip.frames.shape == (16, 112, 149, 3) and clip.audio.size >= 32000 - SHIFT
        shifts = range(-SHIFT, SHIFT + 1) if video.suffix == ".mkv" else (0,)
        assert min(difference(clip.audio, alone.audio, shift) for shift in shifts) < SOUND_TOLERANCE


def difference(a: np.ndarray, b: np.ndarray, shift: int) -> float:
    """Largest one of `a` and of `b` that begins `shift` samples later, away from both ends."""
    inner = slice(100, min(a.size, b.size) - 100)
    return float(np.abs(a[inner] - np.roll(b, shift)[inner]).max())


def test_frames_lie_on_the_grid_of_the_file(video: Path) -> None:
    (clip,) = decode_clips(video, [(3.3, 5.3)])
    assert isinstance(clip, DecodedClip)
    places = (3.3 + clip.frame_times_s) * 8 - 0.5
    np.testing.assert_allclose(places, np.arange(26, 42), atol=1e-9)
    (later,) = decode_clips(video, [(4.05, 6.05)])
    assert isinstance(later, DecodedClip)
    np.testing.assert_array_equal(clip.frames[-10:], later.frames[:10])


@pytest.mark.parametrize("start_s", [0.0, 0.001, 0.0625, 1.3337, 599.9995])
@pytest.mark.parametrize("length_s", [9.999, 10.0, 10.001])
def test_a_rounded_millisecond_costs_no_frame(start_s: float, length_s: float) -> None:
    plan = ClipPlan(start_s, start_s + length_s, 8.0, 80, 16000)
    assert plan.grid_s.size in (79, 80) and plan.step_s == 0.125
    assert start_s - 1e-6 <= plan.grid_s[0] and plan.grid_s[-1] < start_s + length_s


def test_long_and_very_short_clips_have_their_own_places() -> None:
    assert ClipPlan(0.0, 20.0, 8.0, 80, 16000).step_s == pytest.approx(0.25)
    np.testing.assert_allclose(ClipPlan(1.0, 1.05, 8.0, 80, 16000).grid_s, [1.025])
    assert ClipFormat().fits(10.0) and ClipFormat().fits(0.5) and not ClipFormat().fits(10.5)


def test_a_file_that_does_not_fit_gives_shots_alone(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = surveyed(video)
    monkeypatch.setattr(Reel.__init__, "__defaults__", (200_000,))
    cut = surveyed(video)
    assert cut.clips is None and cut.spans == whole.spans
    np.testing.assert_array_equal(cut.shots.cuts_s, whole.shots.cuts_s)


def test_memory_is_bounded_by_what_was_allowed(video: Path) -> None:
    with open_media(video) as media:
        reel = Reel(media, ClipFormat(), max_bytes=1_000_000)
        for event in read_span(media, 0.0, float("inf"), SoundFormat()):
            reel.see(event) if isinstance(event, VideoEvent) else reel.hear(event)
            assert reel.n_bytes <= 1_000_000 or reel.is_full
        assert reel.is_full


def test_a_header_that_promises_too_much_is_not_believed(video: Path) -> None:
    assert surveyed(video, duration_s=500.0).spans == surveyed(video).spans


def test_missing_streams(tmp_path: Path) -> None:
    silent = surveyed(make_video(tmp_path / "silent.mp4", seconds=6, sound=None), 6.0)
    assert silent.clips is not None
    (clip,) = silent.clips
    assert isinstance(clip, DecodedClip) and clip.audio.size == 0 and len(clip.frames) == 16
    with pytest.raises(MediaError) as caught:
        surveyed(make_video(tmp_path / "heard.mp4", seconds=6, codec=None), 6.0)
    assert caught.value.code == "no_video"


def test_a_span_without_anything_is_an_error_of_its_own(video: Path) -> None:
    with open_media(video) as media:
        reel = Reel(media, ClipFormat())
        for event in read_span(media, 0.0, float("inf"), SoundFormat()):
            reel.see(event) if isinstance(event, VideoEvent) else reel.hear(event)
        reel.close()
        first, behind = reel.cut([(0.0, 2.0), (60.0, 62.0)])
    assert isinstance(first, DecodedClip)
    assert isinstance(behind, MediaError) and behind.code == "no_data"


def test_the_limit_on_length_is_the_one_that_the_stage_uses() -> None:
    assert module.MAX_SURVEY_S * (8 * 112 * 199 * 1.5 + 32000) < module.MAX_REEL_BYTES
