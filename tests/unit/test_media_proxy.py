"""Proxies play, are the same bytes every time, and replace the old file whole or not at all; strips show the sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation.errors import MediaError, SettingError
from curation.media.decode import DecodedClip, decode_clips
from curation.media.mp4 import SpanEncoder
from curation.media.probe import probe
from curation.media.proxy import TICK, write_proxy
from curation.media.spectrogram import BANDS, _loudness_band, loudness_db, mel_filters, motion_energy, write_strip
from tests.mediamaker import make_video


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("both.mp4", {}),
        ("webm.webm", {"codec": "libvpx"}),
        ("silent.mp4", {"sound": None}),
        ("heard.mp4", {"codec": None}),
        ("odd.mkv", {"codec": "ffv1", "size": (162, 90)}),
        ("fast.mp4", {"fps": 60}),
        ("tiny.mp4", {"size": (2, 2)}),
    ],
)
def test_every_kind_becomes_h264_and_aac(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    source = make_video(tmp_path / name, seconds=4, **options)  # type: ignore[arg-type]
    told = write_proxy(source, 1.0, 3.0, tmp_path / "proxy.mp4")
    record = probe(tmp_path / "proxy.mp4")
    assert record["video_codec"] == "h264" and record["width"] % 2 == record["height"] % 2 == 0
    assert (record["width"], record["height"]) == (told["width"], told["height"])
    assert told["has_video"] == ("codec" not in options or options["codec"] is not None)
    assert told["has_audio"] == record["has_audio"] == (options.get("sound", "sine") is not None)
    assert record["audio_codec"] == ("aac" if told["has_audio"] else None)
    assert record["duration_s"] == pytest.approx(2, abs=0.1)
    assert record["rate_num"] / record["rate_den"] <= 31
    with av.open(str(tmp_path / "proxy.mp4")) as file:
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"
    data = (tmp_path / "proxy.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # faststart


def test_same_input_same_bytes(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=3, scenes=3, sound="noise", size=(320, 240))
    for k in range(2):
        write_proxy(source, 0.5, 2.5, tmp_path / f"{k}.mp4")
    assert (tmp_path / "0.mp4").read_bytes() == (tmp_path / "1.mp4").read_bytes()


def test_it_plays_while_it_grows(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=20, sound="noise", size=(640, 480))
    live, seen = tmp_path / "growing", []
    plain = SpanEncoder._emit

    def looked(self: SpanEncoder, packets: list[Any]) -> None:
        plain(self, packets)
        if not seen and live.exists() and live.stat().st_size > 0:
            (tmp_path / "begun.mp4").write_bytes(live.read_bytes())
            seen.append(self._next_pts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpanEncoder, "_emit", looked)
        write_proxy(source, 0.0, 20.0, tmp_path / "out.mp4", live=live)
    assert seen[0] * float(TICK) < 2.0  # of 20 s
    with av.open(str(tmp_path / "begun.mp4")) as file:
        assert {stream.type for stream in file.streams} == {"video", "audio"}
        assert sum(1 for _ in file.decode(video=0)) >= 2
    assert not live.exists()
    write_proxy(source, 0.0, 20.0, tmp_path / "other.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "other.mp4").read_bytes()


def test_it_ends_when_what_grows_is_taken_away(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=4)
    live = tmp_path / "growing"
    plain = SpanEncoder._emit

    def taken(self: SpanEncoder, packets: list[Any]) -> None:
        plain(self, packets)
        live.unlink(missing_ok=True)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(MediaError) as caught:
        patch.setattr(SpanEncoder, "_emit", taken)
        write_proxy(source, 0.0, 4.0, tmp_path / "out.mp4", live=live)
    assert caught.value.code == "cancelled"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_proxy_holds_the_asked_span(tmp_path: Path) -> None:
    levels = (np.arange(300) // 10 * 8).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (300, 48, 64, 3))
    t = np.arange(30 * 16000)
    samples = (np.sin(2 * np.pi * 500 * t / 16000) * (t // 16000) / 40).astype(np.float32)
    source = make_video(tmp_path / "a.mp4", fps=10, frames=frames, samples=samples, sample_rate_hz=16000)
    write_proxy(source, 17.0, 22.0, tmp_path / "proxy.mp4")
    (clip,) = decode_clips(tmp_path / "proxy.mp4", [(0.0, 5.0)])
    assert isinstance(clip, DecodedClip)
    np.testing.assert_allclose(clip.frames.mean(axis=(1, 2, 3)) / 8, np.floor(17 + clip.frame_times_s), atol=0.6)
    heard = np.sqrt((clip.audio[: 4 * 16000].reshape(4, -1)[:, 3000:-3000] ** 2).mean(axis=1) * 2) * 40
    np.testing.assert_allclose(heard, [17, 18, 19, 20], atol=0.6)


def test_an_error_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", seconds=2)
    out = tmp_path / "cache" / "proxy.mp4"
    write_proxy(source, 0.0, 1.0, out)
    before = out.read_bytes()
    with pytest.raises(MediaError):
        write_proxy(source, 50.0, 51.0, out)
    assert out.read_bytes() == before and [p.name for p in out.parent.iterdir()] == ["proxy.mp4"]
    for span in ((1.0, 1.0), (-1.0, 1.0), (0.0, 500.0)):
        with pytest.raises(SettingError):
            write_proxy(source, *span, out)


def read_rgba(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgba")


def test_strip_shows_pitch_time_and_curves(tmp_path: Path) -> None:
    t = np.arange(44100 * 4) / 44100
    samples = np.where(t < 2, 0.0, 0.5 * np.sin(2 * np.pi * 3000 * t)).astype(np.float32)
    source = make_video(tmp_path / "a.mp4", seconds=4, samples=samples)
    told = write_strip(source, 0.0, 4.0, tmp_path / "strip.png", width=400)
    image = read_rgba(tmp_path / "strip.png")
    assert image.shape == (told["height"], 400, 4) and json.loads(json.dumps(told)) == told
    mel = image[slice(*BANDS["mel"])].astype(int)
    brightest = mel[:, 300, :3].sum(axis=1).argmax()
    low, high = 2595 * np.log10(1 + 40 / 700), 2595 * np.log10(1 + 8000 / 700)
    expected = 127 * (1 - (2595 * np.log10(1 + 3000 / 700) - low) / (high - low))
    assert brightest == pytest.approx(expected, abs=4)
    assert mel[brightest, 300].sum() > 2 * mel[brightest, 100].sum()
    wave = image[slice(*BANDS["wave"])][..., 3] > 0
    assert wave[:, 300].sum() > 20 > 4 > wave[:, 100].sum() > 0
    assert len(told["times_s"]) == len(told["loudness_db"]) == len(told["motion"]) <= 300
    assert told["loudness_db"][10] < -60
    assert told["loudness_db"][-20] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.5)


def test_the_loudness_band_follows_the_sound(tmp_path: Path) -> None:
    """60 dB over the whole band: silence leaves it empty, a sine of half amplitude (-9 dB RMS) fills 51 of 60."""
    band = _loudness_band(np.zeros(16_000, np.float32), 100)
    assert band.shape == (BANDS["loudness"][1] - BANDS["loudness"][0], 100, 4) and not band.any()
    sine = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    filled = (_loudness_band(sine.astype(np.float32), 100)[..., 3] > 0).mean(axis=0)
    assert np.allclose(filled, 51 / 60, atol=0.04)


def test_strip_bands_without_their_stream_are_transparent(tmp_path: Path) -> None:
    write_strip(make_video(tmp_path / "a.mp4", sound=None), 0, 3, tmp_path / "a.png", width=100)
    image = read_rgba(tmp_path / "a.png")
    assert not image[slice(*BANDS["mel"])].any() and image[slice(*BANDS["motion"])].any()
    told = write_strip(make_video(tmp_path / "b.mp4", codec=None), 0, 3, tmp_path / "b.png", width=100)
    image = read_rgba(tmp_path / "b.png")
    assert image[slice(*BANDS["mel"])].any() and not image[slice(*BANDS["motion"])].any()
    assert told["motion"] == [] and told["loudness_db"]


def test_loudness_and_motion_by_hand() -> None:
    audio = np.concatenate([np.zeros(100), np.full(100, 0.1), np.ones(100)]).astype(np.float32)
    np.testing.assert_allclose(loudness_db(audio, 3), [-100, -20, 0], atol=1e-4)
    frames = np.zeros((3, 2, 2, 3), np.uint8)
    frames[1] = 100
    frames[2] = 100
    frames[2, 0, 0] = 140
    np.testing.assert_allclose(motion_energy(frames), [0, 100, 10], atol=1e-3)


def test_mel_filters_cover_every_band() -> None:
    filters = mel_filters(16000, 1024, 64)
    assert filters.shape == (64, 513) and (filters.sum(axis=1) > 0).all() and filters.max() <= 1
    peaks = filters.argmax(axis=1)
    assert (np.diff(peaks) >= 0).all()
