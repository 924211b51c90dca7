"""Cutting clips: where the cut lies, what is copied, what is encoded, and every way in which it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from curation.errors import MediaError, SettingError
from curation.media.container import packets
from curation.media.cut import cut_clip
from curation.media.reader import LAG_S
from tests.mediamaker import make_video


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of 12 frames with B-frames: each second is a grey and a pitch of its own, begun by a keyframe."""
    path = tmp_path_factory.mktemp("cut") / "six greys.mp4"
    seconds = np.arange(6 * 16000) / 16000
    tones = (8000 * np.sin(2 * np.pi * (300 + 100 * np.floor(seconds)) * seconds)).astype(np.int16)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=12)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.options = {"g": "12", "keyint_min": "12", "bf": "2", "preset": "medium", "crf": "15"}
        audio = out.add_stream("aac", rate=16000, layout="mono")
        for k in range(72):
            picture = np.full((48, 64, 3), 20 + 40 * (k // 12), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = k
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for start in range(0, len(tones), 1024):
            block = av.AudioFrame.from_ndarray(tones[None, start : start + 1024], format="s16", layout="mono")
            block.pts, block.sample_rate = start, 16000
            out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    return path


def decoded(path: Path) -> tuple[list[float], list[float], np.ndarray]:
    """Times and mean greys of the frames, and the sound."""
    times, greys, sound = [], [], []
    with av.open(str(path)) as container:
        for frame in container.decode(*[s for s in container.streams if s.type in ("video", "audio")]):
            if isinstance(frame, av.VideoFrame):
                times.append(float(frame.pts * frame.time_base))
                greys.append(float(frame.to_ndarray(format="gray").mean()))
            else:
                sound.append(frame.to_ndarray()[0])
    return times, greys, np.concatenate(sound) if sound else np.zeros(0)


def pitch_hz(sound: np.ndarray, rate: int = 16000) -> float:
    middle = sound[len(sound) // 4 : 3 * len(sound) // 4]
    return float(np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * rate / len(middle))


def test_encoded_clips_begin_and_end_at_the_frame(source: Path, tmp_path: Path) -> None:
    facts = cut_clip(source, 2.5, 3.5, tmp_path / "out.mp4", mode="exact")
    times, greys, sound = decoded(tmp_path / "out.mp4")
    assert times[0] == 0 and len(times) == 12 and times[-1] == pytest.approx(11 / 12, abs=1e-3)
    assert greys[:6] == pytest.approx([100] * 6, abs=4) and greys[6:] == pytest.approx([140] * 6, abs=4)
    assert len(sound) / 16000 == pytest.approx(1.0, abs=0.15)
    assert facts["cut"] == "exact" and (facts["width"], facts["height"]) == (64, 48)
    assert facts["has_video"] and facts["has_audio"] and facts["size_bytes"] == (tmp_path / "out.mp4").stat().st_size


def test_the_same_span_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        cut_clip(source, 1.0, 2.0, tmp_path / name, mode="exact")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_copied_clips_are_the_sources_own_packets(source: Path, tmp_path: Path) -> None:
    start = keyframes(source)[1]
    facts = cut_clip(source, start, start + 1.5, tmp_path / "out.mp4", mode="copy")
    assert facts["cut"] == "copy" and facts["cut_start_s"] == pytest.approx(start, abs=1e-3)
    assert facts["cut_end_s"] == pytest.approx(start + 1.5, abs=2.1 / 12), "whole frames, at most two more"
    with av.open(str(source)) as whole, av.open(str(tmp_path / "out.mp4")) as clip:
        of_source = [bytes(p) for p in whole.demux(video=0) if p.size]
        of_clip = [bytes(p) for p in clip.demux(video=0) if p.size]
    first = of_source.index(of_clip[0])
    assert of_clip == of_source[first : first + len(of_clip)], "not one byte of the picture is changed"
    _, greys, sound = decoded(tmp_path / "out.mp4")
    at = int(start * 12)
    assert greys[: len(greys) - 2] == pytest.approx([20 + 40 * ((at + k) // 12) for k in range(len(greys) - 2)], abs=5)
    assert pitch_hz(sound[:16000]) == pytest.approx(300 + 100 * int(start), abs=40)


def keyframes(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(p.pts * p.time_base) for p in container.demux(video=0) if p.is_keyframe and p.pts is not None]


def test_auto_copies_where_a_keyframe_is_near_and_else_encodes(source: Path, tmp_path: Path) -> None:
    key = keyframes(source)[1]
    near = cut_clip(source, key + 0.05, key + 1.0, tmp_path / "near.mp4", tolerance_s=0.1)
    far = cut_clip(source, key + 0.5, key + 1.0, tmp_path / "far.mp4", tolerance_s=0.1)
    assert near["cut"] == "copy" and near["cut_start_s"] == pytest.approx(key, abs=1e-3)
    assert far["cut"] == "exact" and far["cut_start_s"] == key + 0.5
    assert "keyframe is 0.50 s away" in far["why"]


def test_copy_goes_back_to_the_keyframe(source: Path, tmp_path: Path) -> None:
    key = keyframes(source)[1]
    facts = cut_clip(source, key + 0.5, key + 1.0, tmp_path / "out.mp4", mode="copy")
    assert facts["cut_start_s"] == pytest.approx(key, abs=1e-3)


@pytest.mark.parametrize("sound, codec", [(None, "libx264"), ("sine", None)])
@pytest.mark.parametrize("mode", ["copy", "exact"])
def test_one_stream_alone_stays_alone(tmp_path: Path, sound: Any, codec: str | None, mode: str) -> None:
    made = make_video(tmp_path / "one.mp4", seconds=2.0, sound=sound, codec=codec)
    facts = cut_clip(made, 0.0, 1.0, tmp_path / "out.mp4", mode=mode)
    assert (facts["has_video"], facts["has_audio"]) == (codec is not None, sound is not None)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams) == 1


def test_other_codecs_are_encoded_and_copy_says_why_not(tmp_path: Path) -> None:
    made = make_video(tmp_path / "old.mkv", seconds=2.0, codec="mpeg4")
    assert cut_clip(made, 0.0, 1.0, tmp_path / "out.mp4")["cut"] == "exact"
    with pytest.raises(MediaError, match=r"cannot be copied.*mpeg4 video") as caught:
        cut_clip(made, 0.0, 1.0, tmp_path / "no.mp4", mode="copy")
    assert caught.value.code == "uncopyable" and not (tmp_path / "no.mp4").exists()


def test_webm_is_copied_into_mp4(tmp_path: Path) -> None:
    made = make_video(tmp_path / "a.webm", seconds=2.0, codec="libvpx-vp9")
    facts = cut_clip(made, 0.0, 1.0, tmp_path / "out.mp4")
    times, _, sound = decoded(tmp_path / "out.mp4")
    assert facts["cut"] == "copy" and len(times) >= 12 and len(sound)


@pytest.mark.parametrize("span", [(-1.0, 1.0), (2.0, 2.0), (0.0, 601.0), (3.0, 1.0)])
def test_spans_that_cannot_be(source: Path, tmp_path: Path, span: tuple[float, float]) -> None:
    with pytest.raises(SettingError):
        cut_clip(source, *span, tmp_path / "out.mp4")


def test_what_is_not_there_leaves_nothing(source: Path, tmp_path: Path) -> None:
    for path, span in ((tmp_path / "none.mp4", (0.0, 1.0)), (source, (90.0, 91.0))):
        with pytest.raises(MediaError):
            cut_clip(path, *span, tmp_path / "out.mp4", mode="exact")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_begins_behind_the_sound_is_copied_within_the_tolerance(tmp_path: Path) -> None:
    make_video(tmp_path / "late.ts", seconds=1.0, size=(64, 48))  # its first picture is shown at 0.02 s
    for tolerance_s, cut in ((1.0, "copy"), (0.1, "copy"), (0.001, "exact")) * 2:
        facts = cut_clip(tmp_path / "late.ts", 0.0, 0.8, tmp_path / "a.mp4", tolerance_s=tolerance_s)
        assert facts["cut"] == cut, facts["why"]


def test_times_that_jump_back_are_encoded_where_they_cannot_be_copied(tmp_path: Path) -> None:
    once = make_video(tmp_path / "once.ts", seconds=1.0, size=(64, 48)).read_bytes()
    (tmp_path / "twice.ts").write_bytes(once + once)  # a recording that was joined: its times start anew in the middle
    facts = cut_clip(tmp_path / "twice.ts", 0.0, 2.0, tmp_path / "a.mp4", tolerance_s=1.0)
    assert facts["cut"] == "exact" and "cannot be written" in facts["why"]
    with pytest.raises(MediaError) as caught:
        cut_clip(tmp_path / "twice.ts", 0.0, 2.0, tmp_path / "b.mp4", mode="copy")
    assert caught.value.code == "uncopyable" and not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize("keyframes_every", [12, 1000])
def test_what_lies_far_behind_a_cut_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyframes_every: int
) -> None:
    """The sound ends early, so it never comes to the end of the cut; nor does a second keyframe come."""
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("libx264", rate=4), out.add_stream("aac", rate=16000, layout="mono")
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        video.codec_context.options = {"g": str(keyframes_every), "bf": "0", "sc_threshold": "0"}
        for k in range(4 * 120):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), k % 200, np.uint8), format="rgb24")
            frame.pts = k
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        block.pts, block.sample_rate = 0, 16000
        out.mux(audio.encode(block))
        out.mux(audio.encode(None))
    furthest_s = 0.0

    def watched(media: Any, streams: list[Any]) -> Any:
        nonlocal furthest_s
        for packet in packets(media, streams):
            if packet.dts is not None:
                furthest_s = max(furthest_s, float(packet.dts * packet.time_base))
            yield packet

    monkeypatch.setattr("curation.media.cut.packets", watched)
    facts = cut_clip(path, 3.0, 5.0, tmp_path / "out.mp4", mode="copy")
    assert facts["has_video"] and facts["cut_end_s"] == pytest.approx(5.0, abs=0.3)
    assert 5.0 <= furthest_s < 5.0 + LAG_S + 1.0
