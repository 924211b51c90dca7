"""Videos of one size, joined from pieces of recorded ones, so that speed is measured on real pictures and sounds.

    python benchmarks/made_videos.py SOURCES OUT [--count 24] [--size 640x360] [--seconds 22,60] [--seed 0]

Each is H.264 (x264 veryfast, 25 frames a second, a keyframe at least every 5 s) and AAC in MP4. Pieces last 3 to 12 s.
Sources that cannot be decoded or have no picture or no sound are left out. The same arguments give the same videos;
what is there already is kept.
"""

from __future__ import annotations

import argparse
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from curation.atomic import replacing  # noqa: E402

FPS, RATE_HZ, SAMPLES = 25, 44100, 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--seconds", default="22,60")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    low, high = map(float, options.seconds.split(","))
    options.out.mkdir(parents=True, exist_ok=True)
    sources = [path for path in sorted(options.sources.rglob("*")) if path.is_file() and length_s(path) >= 3.0]
    for k in range(options.count):
        path, rng = options.out / f"made-{k:04d}.mp4", np.random.default_rng([options.seed, k])
        if not path.exists():
            make(path, sources, float(rng.uniform(low, high)), (width, height), rng)
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB", flush=True)


def length_s(path: Path) -> float:
    """Of a file with picture and sound; 0 for any other."""
    try:
        with av.open(str(path)) as file:
            return file.duration / 1e6 if file.duration and file.streams.video and file.streams.audio else 0.0
    except (av.error.FFmpegError, OSError, ValueError):
        return 0.0


def make(path: Path, sources: list[Path], seconds: float, size: tuple[int, int], rng: np.random.Generator) -> None:
    """One video of at least `seconds`, of random pieces."""
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as target:
        target.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": str(5 * FPS)})
        video, audio = target.streams.video[0], target.add_stream("aac", rate=RATE_HZ, layout="stereo")
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        n_frames = n_samples = 0
        while n_frames < seconds * FPS:
            source, piece_s = sources[rng.integers(len(sources))], float(rng.uniform(3, 12))
            start_s = float(rng.uniform(0, max(0.0, length_s(source) - piece_s)))
            pictures, sound = piece(source, start_s, round(piece_s * FPS), size)
            for picture in pictures:
                picture.pts, picture.time_base, picture.pict_type = n_frames, Fraction(1, FPS), 0
                target.mux(video.encode(picture))
                n_frames += 1
            for at in range(0, sound.shape[1] - SAMPLES + 1, SAMPLES):
                block = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound[:, at : at + SAMPLES]), "s16p", "stereo")
                block.pts, block.sample_rate, block.time_base = n_samples, RATE_HZ, Fraction(1, RATE_HZ)
                target.mux(audio.encode(block))
                n_samples += SAMPLES
        target.mux(video.encode(None))
        target.mux(audio.encode(None))


def piece(source: Path, start_s: float, n_frames: int, size: tuple[int, int]) -> tuple[list[Any], np.ndarray]:
    """At most `n_frames` pictures from a time on, as many as decode, and the sound beside them (2, samples)."""
    pictures: list[Any] = []
    try:
        with av.open(str(source)) as file:
            file.seek(int(start_s * 1e6))
            for frame in file.decode(video=0):
                if frame.time is not None and frame.time >= start_s:
                    pictures.append(frame.reformat(*size, format="yuv420p"))
                if len(pictures) == n_frames:
                    break
        with av.open(str(source)) as file:
            file.seek(int(start_s * 1e6))
            resampler, blocks, wanted = av.AudioResampler("s16p", "stereo", RATE_HZ), [], len(pictures) * RATE_HZ // FPS
            for heard in file.decode(audio=0):
                if heard.time is not None and heard.time >= start_s:
                    blocks += [made.to_ndarray() for made in resampler.resample(heard)]
                if sum(block.shape[1] for block in blocks) >= wanted:
                    break
            sound = np.concatenate([np.zeros((2, 0), np.int16), *blocks], axis=1)[:, :wanted]
    except (av.error.FFmpegError, OSError, ValueError):
        sound = np.zeros((2, 0), np.int16)
    missing = len(pictures) * RATE_HZ // FPS - sound.shape[1]
    return pictures, np.pad(sound, ((0, 0), (0, max(0, missing))))


if __name__ == "__main__":
    main()
