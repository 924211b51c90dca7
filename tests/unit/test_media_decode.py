"""decode_clips: the right pictures and sounds of the right times, whatever the file is like."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from curation.errors import MediaError, SettingError
from curation.media import decode, reader
from curation.media.container import MAX_BAD_IN_A_ROW, TolerantDecoder, open_media
from curation.media.decode import DecodedClip, decode_clips
from curation.media.pictures import fitted_size, jpeg_bytes
from tests.mediamaker import make_video

FPS = 10


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 s whose grey level tells the second, and whose sound's loudness does too."""
    seconds = np.arange(60 * FPS) // FPS
    frames = np.broadcast_to((seconds * 4).astype(np.uint8)[:, None, None, None], (60 * FPS, 48, 64, 3))
    t = np.arange(60 * 16000)
    samples = np.sin(2 * np.pi * 500 * t / 16000) * (t // 16000) / 80
    path = tmp_path_factory.mktemp("counting") / "counting.mp4"
    return make_video(path, fps=FPS, frames=frames, samples=samples.astype(np.float32), sample_rate_hz=16000)


def clips_of(path: Path, segments: list[tuple[float, float]], **options: object) -> list[DecodedClip]:
    items = list(decode_clips(path, segments, **options))  # type: ignore[arg-type]
    errors = [item for item in items if isinstance(item, MediaError)]
    assert not errors, errors
    return items  # type: ignore[return-value]


def seconds_seen(clip: DecodedClip) -> np.ndarray:
    return clip.frames.mean(axis=(1, 2, 3)) / 4


def seconds_heard(clip: DecodedClip) -> np.ndarray:
    whole = clip.audio[: clip.audio.size // 16000 * 16000].reshape(-1, 16000)
    return np.sqrt((whole[:, 2000:-2000] ** 2).mean(axis=1) * 2) * 80


def test_shapes_dtypes_and_times(counting: Path) -> None:
    (clip,) = clips_of(counting, [(3.0, 13.0)])
    assert clip.frames.dtype == np.uint8 and clip.frames.shape == (80, 48, 64, 3)
    assert clip.audio.dtype == np.float32 and clip.audio.shape == (160000,)
    assert clip.frame_times_s.dtype == np.float64
    np.testing.assert_allclose(clip.frame_times_s, (np.arange(80) + 0.5) / 8)
    assert clip.frame_rate_hz == pytest.approx(8) and clip.sample_rate_hz == 16000
    assert clip.duration_s == pytest.approx(10)


@pytest.mark.parametrize("start_s", [0.0, 1.0, 7.0, 31.0, 50.0])
def test_picture_and_sound_are_of_the_asked_time(counting: Path, start_s: float) -> None:
    (clip,) = clips_of(counting, [(start_s, start_s + 5)])
    expected = np.floor(start_s + clip.frame_times_s + 1e-9)
    np.testing.assert_allclose(seconds_seen(clip), expected, atol=0.6)
    np.testing.assert_allclose(seconds_heard(clip), start_s + np.arange(5), atol=0.4)


def test_seeking_gives_what_reading_through_gives(counting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = [(2.0, 6.0), (30.0, 34.0), (55.0, 58.0)]
    sought = clips_of(counting, segments)
    monkeypatch.setattr(decode, "SEEK_GAP_S", 1e9)
    for a, b in zip(sought, clips_of(counting, segments)):
        np.testing.assert_array_equal(a.frames, b.frames)
        assert np.abs(a.audio - b.audio).max() < 2e-3


def test_seek_that_lands_too_late_falls_back(counting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = clips_of(counting, [(30.0, 32.0)])
    real = reader.seek

    def late(media: object, to_s: float | None) -> bool:
        return real(media, None if to_s is None else to_s + 20)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "seek", late)
    (clip,) = clips_of(counting, [(30.0, 32.0)])
    np.testing.assert_array_equal(clip.frames, expected.frames)


@pytest.mark.parametrize("start_s", [0.0, 20.0])
def test_a_file_that_is_open_is_read_again_and_again(
    counting: Path, monkeypatch: pytest.MonkeyPatch, start_s: float
) -> None:
    monkeypatch.setattr(reader, "LATE_S", -1e9)  # every seek lands too late: the file is opened anew behind it
    with open_media(counting) as media:
        spans = [
            [event.time_s for event in reader.read_frames(media, start_s, start_s + 0.5) if event.time_s >= start_s]
            for _ in range(6)
        ]
        assert len(spans[0]) >= 5 and all(span == spans[0] for span in spans)
        assert media.errors == [], "streams of the file that was closed are not touched"


def test_overlapping_segments_share_what_they_share(counting: Path) -> None:
    first, second = clips_of(counting, [(4.0, 14.0), (9.0, 19.0)])
    np.testing.assert_array_equal(first.frames[40:], second.frames[:40])
    np.testing.assert_array_equal(first.audio[80000:], second.audio[:80000])


def test_nested_segments_come_in_the_order_asked(counting: Path) -> None:
    outer, inner = clips_of(counting, [(0.0, 20.0), (2.0, 3.0)])
    assert outer.duration_s == pytest.approx(20) and inner.duration_s == pytest.approx(1)


def test_frames_are_bounded_and_still_evenly_spaced(counting: Path) -> None:
    (clip,) = clips_of(counting, [(0.0, 50.0)], max_frames=20)
    assert len(clip.frames) == 20 and clip.frame_rate_hz == pytest.approx(0.4)
    np.testing.assert_allclose(np.diff(clip.frame_times_s), 2.5)


def test_a_rate_above_the_files_repeats_frames(counting: Path) -> None:
    (clip,) = clips_of(counting, [(10.0, 12.0)], frame_rate_hz=40.0, max_frames=1000)
    assert len(clip.frames) == 80
    np.testing.assert_allclose(seconds_seen(clip), np.floor(10 + clip.frame_times_s + 1e-9), atol=0.6)


def test_span_over_the_end_is_short_and_span_behind_it_an_error(counting: Path) -> None:
    short, behind = list(decode_clips(counting, [(58.0, 68.0), (80.0, 90.0)]))
    assert isinstance(short, DecodedClip) and short.duration_s == pytest.approx(2, abs=0.7)
    assert short.frames.shape[0] == pytest.approx(16, abs=1)
    assert isinstance(behind, MediaError) and behind.code == "no_data"


def test_one_stream_only(tmp_path: Path) -> None:
    silent = make_video(tmp_path / "silent.mp4", sound=None)
    heard = make_video(tmp_path / "heard.mp4", codec=None)
    (clip,) = clips_of(silent, [(0.0, 3.0)])
    assert clip.audio.shape == (0,) and clip.frames.shape[0] == 24
    (clip,) = clips_of(heard, [(0.0, 3.0)])
    assert clip.frames.shape == (0, 0, 0, 3) and clip.audio.size == 48000
    (clip,) = clips_of(make_video(tmp_path / "both.mkv"), [(0.0, 3.0)], want_audio=False)
    assert clip.audio.size == 0 and clip.frames.size


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx")])
def test_containers_agree(tmp_path: Path, suffix: str, codec: str) -> None:
    path = make_video(tmp_path / f"video{suffix}", seconds=20, scenes=4, codec=codec)
    (clip,) = clips_of(path, [(11.0, 14.0)])
    reference = make_video(tmp_path / "reference.mp4", seconds=20, scenes=4)
    (expected,) = clips_of(reference, [(11.0, 14.0)])
    assert clip.frames.shape == expected.frames.shape
    assert np.abs(clip.frames.astype(int) - expected.frames).mean() < 6


def test_a_sine_keeps_pitch_and_place(tmp_path: Path) -> None:
    samples = np.zeros(5 * 44100, np.float32)
    t = np.arange(44100) / 44100
    samples[2 * 44100 : 3 * 44100] = 0.5 * np.sin(2 * np.pi * 1000 * t)
    (clip,) = clips_of(make_video(tmp_path / "beep.mp4", seconds=5, samples=samples), [(0.0, 5.0)])
    loud = np.flatnonzero(np.abs(clip.audio) > 0.1) / 16000
    assert loud[0] == pytest.approx(2.0, abs=0.05) and loud[-1] == pytest.approx(3.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(clip.audio[33600:46400]))
    assert spectrum.argmax() * 16000 / 12800 == pytest.approx(1000, abs=3)


def test_sizes_keep_the_shape_and_never_grow() -> None:
    assert fitted_size(640, 360, 112) == (199, 112)
    assert fitted_size(360, 640, 112) == (112, 199)
    assert fitted_size(96, 96, 112) == (96, 96)
    assert fitted_size(720, 576, 112, aspect=16 / 15) == (149, 112)
    assert fitted_size(10000, 10, 112) == (448, 10)
    assert fitted_size(1, 1, 112) == (1, 1)


@pytest.mark.parametrize(
    "segments",
    [
        [(-1.0, 2.0)],
        [(2.0, 2.0)],
        [(0.0, 601.0)],
        [(5.0, 6.0), (1.0, 2.0)],
        [(0.0, float("inf"))],
        [(float("nan"), 1.0)],
    ],
)
def test_impossible_segments_are_refused(counting: Path, segments: list[tuple[float, float]]) -> None:
    with pytest.raises(SettingError):
        next(decode_clips(counting, segments))


def test_bad_files_give_one_error_a_segment(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("This is no video.\n" * 200)
    for name, code in (("empty.mp4", "empty_file"), ("text.mp4", "not_media"), ("gone.mp4", "missing")):
        items = list(decode_clips(tmp_path / name, [(0.0, 1.0), (1.0, 2.0)]))
        assert [item.code for item in items if isinstance(item, MediaError)] == [code, code]


def test_playlists_are_not_followed(tmp_path: Path) -> None:
    make_video(tmp_path / "secret.mp4", seconds=1)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    for name in ("list.mp4", "concat.mp4"):
        (item,) = decode_clips(tmp_path / name, [(0.0, 1.0)])
        assert isinstance(item, MediaError) and item.code == "not_media"


def test_truncated_file_gives_what_is_left(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mkv", seconds=12, sound="noise")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (clip,) = decode_clips(cut, [(0.0, 10.0)])
    assert isinstance(clip, DecodedClip) and 2 < clip.duration_s < 9


def test_a_hole_of_noise_costs_only_itself(tmp_path: Path) -> None:
    data = bytearray(make_video(tmp_path / "whole.mkv", seconds=12, sound="noise").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).integers(0, 256, 3000, np.uint8).tobytes()
    (tmp_path / "hole.mkv").write_bytes(data)
    (clip,) = decode_clips(tmp_path / "hole.mkv", [(0.0, 12.0)])
    assert isinstance(clip, DecodedClip) and clip.duration_s > 11


def test_a_stream_of_bad_packets_ends() -> None:
    class Bad:
        def decode(self) -> list[object]:
            raise av.error.InvalidDataError(1, "bad")

    class Media:
        def note(self, error: Exception) -> None:
            self.last = error

    decoder = TolerantDecoder(Media(), None)  # type: ignore[arg-type]
    for _ in range(MAX_BAD_IN_A_ROW + 50):
        assert decoder.decode(Bad()) == []
    assert decoder.dead and decoder.n_bad == MAX_BAD_IN_A_ROW


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    plain = make_video(tmp_path / "plain.mp4", seconds=20)
    odd = Path(str(tmp_path) + "/odd \udcff\n name")
    odd.write_bytes(plain.read_bytes())
    for a, b in zip(clips_of(odd, [(0.0, 1.0), (15.0, 17.0)]), clips_of(plain, [(0.0, 1.0), (15.0, 17.0)])):
        np.testing.assert_array_equal(a.frames, b.frames)
        np.testing.assert_array_equal(a.audio, b.audio)


def test_rotation_is_applied(tmp_path: Path) -> None:
    frames = np.zeros((10, 64, 96, 3), np.uint8)
    frames[:, :32, :48] = 255  # white in the upper left corner
    path = make_video(tmp_path / "upright.mp4", fps=10, frames=frames, sound=None)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of the track header, version 0
    one = 0x10000
    turned = np.array([0, one, 0, -one & 0xFFFFFFFF, 0, 0, 0, 0, 0x40000000], ">u4")  # a quarter turn clockwise
    data[at : at + 36] = turned.tobytes()
    path.write_bytes(data)
    (clip,) = clips_of(path, [(0.0, 1.0)])
    assert clip.frames.shape[1:3] == (96, 64)
    # Turned clockwise, the upper left corner comes to the upper right.
    corners = {
        k: clip.frames[0][y, x].mean()
        for k, (y, x) in {"ul": (5, 5), "ur": (5, -5), "ll": (-5, 5), "lr": (-5, -5)}.items()
    }
    assert max(corners, key=corners.__getitem__) == "ur"


def test_a_still_picture_is_one_frame(tmp_path: Path) -> None:
    (tmp_path / "still.mp4").write_bytes(jpeg_bytes(np.full((40, 60, 3), 90, np.uint8)))
    (clip,) = clips_of(tmp_path / "still.mp4", [(0.0, 10.0)])
    assert clip.frames.shape[0] == 1 and abs(int(clip.frames.mean()) - 90) < 4


def test_real_videos_all_decode(shared_data: Path) -> None:
    files = sorted(p for p in (shared_data / "real-videos").iterdir() if p.suffix != ".csv")
    for path in files:
        (clip,) = decode_clips(path, [(0.5, 2.0)])
        assert isinstance(clip, DecodedClip), clip
        assert clip.frames.shape[0] > 0 and clip.audio.size > 0, path.name
