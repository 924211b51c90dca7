"""Small made test videos: numbers in, one media file out. Same arguments, same bytes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

Sound = Literal["sine", "noise"] | None
AUDIO_CODECS = {".webm": "libopus", ".mkv": "aac", ".mp4": "aac", ".mov": "aac"}


def scene_cuts_s(seconds: float, fps: int, scenes: int) -> list[float]:
    """Times of the cuts inside a video of `make_video`, in seconds: the first frame of scenes 1, 2, ..."""
    n_frames = max(1, round(seconds * fps))
    return [round(k * n_frames / scenes) / fps for k in range(1, scenes)]


def make_frames(n_frames: int, size: tuple[int, int], scenes: int, seed: int) -> np.ndarray:
    """uint8 (n_frames, H, W, 3): each scene has a background of its own, with one slowly moving square."""
    width, height = size
    rng = np.random.default_rng(seed)
    frames = np.empty((n_frames, height, width, 3), np.uint8)
    side = max(2, min(width, height) // 4)
    for scene in range(scenes):
        first, last = round(scene * n_frames / scenes), round((scene + 1) * n_frames / scenes)
        # Backgrounds alternate between dark and light, so that every cut is one that a detector must see.
        base = rng.integers(16, 60, 3) if scene % 2 else rng.integers(180, 240, 3)
        frames[first:last] = base.astype(np.uint8)
        top = int(rng.integers(0, max(1, height - side)))
        left = int(rng.integers(0, max(1, width - side)))
        colour = rng.integers(60, 180, 3).astype(np.uint8)
        for k in range(first, last):
            x = (left + k - first) % max(1, width - side)
            frames[k, top : top + side, x : x + side] = colour
    return frames


def make_sound(seconds: float, sound: Sound, hz: float, seed: int, rate: int = 44100) -> np.ndarray:
    """float32 (S,), -1..1: a sine of `hz` or white noise."""
    n = round(seconds * rate)
    if sound == "noise":
        return np.random.default_rng(seed).uniform(-0.5, 0.5, n).astype(np.float32)
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(n) / rate)).astype(np.float32)


def make_video(
    path: str | Path,
    *,
    seconds: float = 3.0,
    fps: int = 12,
    size: tuple[int, int] = (160, 120),
    sound: Sound = "sine",
    scenes: int = 1,
    hz: float = 440.0,
    seed: int = 0,
    codec: str | None = "libx264",
    frames: np.ndarray | None = None,
    samples: np.ndarray | None = None,
    sample_rate_hz: int = 44100,
) -> Path:
    """Write a video of `seconds`; `codec=None` leaves the picture out, `sound=None` the sound.

    `frames` uint8 (T, H, W, 3) and `samples` float32 (S,) mono replace the made picture and sound. The container
    follows the suffix (.mp4, .mov, .mkv, .webm).
    """
    path = Path(path)
    if frames is None:
        frames = make_frames(max(1, round(seconds * fps)), size, scenes, seed)
    if samples is None and sound is not None:
        samples = make_sound(seconds, sound, hz, seed, sample_rate_hz)
    with av.open(str(path), "w") as out:
        video = audio = None
        if codec is not None:
            video = out.add_stream(codec, rate=fps)
            video.width, video.height = frames.shape[2], frames.shape[1]
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = Fraction(1, fps)
            video.codec_context.thread_count = 1
            if codec == "libx264":
                video.codec_context.options = {"preset": "ultrafast", "mbtree": "0", "crf": "20"}
        if samples is not None:
            rate = 48000 if path.suffix == ".webm" else sample_rate_hz
            samples = _resampled(samples, sample_rate_hz, rate)
            audio = out.add_stream(AUDIO_CODECS.get(path.suffix, "aac"), rate=rate, layout="mono")
            _write_audio(out, audio, samples, rate)
        if video is not None:
            _write_video(out, video, frames, fps)
    return path


def _resampled(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    if rate == new_rate:
        return samples
    times = np.arange(round(samples.size * new_rate / rate)) * (rate / new_rate)
    return np.interp(times, np.arange(samples.size), samples).astype(np.float32)


def _write_video(out: Any, stream: Any, frames: np.ndarray, fps: int) -> None:
    for k, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = k, Fraction(1, fps)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _write_audio(out: Any, stream: Any, samples: np.ndarray, rate: int) -> None:
    step = stream.codec_context.frame_size or 1024
    for start in range(0, samples.size, step):
        block = np.ascontiguousarray(samples[None, start : start + step], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = start, rate, Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
