"""Measured errors of the health of clips: planted faults in made videos, loudness against FFmpeg's ebur128, the scores
of speech and music, and the share of decoding time.

    python -m benchmarks.health [../shared/data] > benchmarks/results/health.md
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from curation.errors import MediaError
from curation.extractors import registry
from curation.extractors.picture_motion import MOTION_NAMES
from curation.extractors.sound_level import LEVEL_NAMES
from curation.media.decode import DecodedClip, decode_clips
from tests.mediamaker import make_frames, make_video

RATE_HZ = 44_100
SECONDS = 6.0


def decoded(path: Path, end_s: float = 10.0) -> DecodedClip | None:
    """The clip that the extractors get, or None."""
    (clip,) = decode_clips(path, [(0.0, end_s)])
    return None if isinstance(clip, MediaError) else clip


def sound_level(path: Path, end_s: float = 10.0) -> dict[str, float]:
    """`sound-health/level` of a file's first seconds, by name."""
    values = registry.get("sound-health").extract([decoded(path, end_s)]).values["level"][0]
    return dict(zip(LEVEL_NAMES, values.tolist()))


def picture_motion(path: Path) -> dict[str, float]:
    """`picture-health/motion` of a file's first 10 s, by name."""
    values = registry.get("picture-health").extract([decoded(path)]).values["motion"][0]
    return dict(zip(MOTION_NAMES, values.tolist()))


def speechlike_noise(rng: np.random.Generator, seconds: float = SECONDS) -> np.ndarray:
    """Pink noise, swelling three times a second: a wide spectrum and many levels."""
    n = round(seconds * RATE_HZ)
    hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE_HZ), 40)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) / np.sqrt(hz), n)
    noise *= 0.6 + 0.4 * np.sin(2 * np.pi * 3 * np.arange(n) / RATE_HZ)
    return noise / np.abs(noise).max()


def silence(folder: Path) -> Iterator[float]:
    """Error of silent_share for silent stretches of known length, in sound of -12 to -30 dBFS."""
    rng = np.random.default_rng(0)
    for i, (share, gain_db) in enumerate([(0.0, -12), (0.1, -12), (0.35, -20), (0.6, -25), (0.9, -30), (1.0, -12)]):
        sound = speechlike_noise(rng) * 10 ** (gain_db / 20)
        sound[: round(share * sound.size)] = 0
        path = make_video(folder / f"silence{i}.mp4", samples=sound.astype(np.float32), codec=None)
        yield sound_level(path)["silent_share"] - share


def clipping(folder: Path, suffix: str) -> Iterator[tuple[float, float]]:
    """True share of clipped samples before encoding, and clipped_share."""
    rng = np.random.default_rng(1)
    for i, gain_db in enumerate([-12, -3, -0.5, 1, 3, 6, 12, 20]):
        sound = speechlike_noise(rng) * 10 ** (gain_db / 20)
        truth = float((np.abs(sound) >= 1).mean())
        path = make_video(
            folder / f"clip{i}{suffix}", samples=np.clip(sound, -1, 1).astype(np.float32), codec=None, seconds=SECONDS
        )
        yield truth, sound_level(path)["clipped_share"]


def channels(path: Path) -> int:
    """Channels of the first sound track."""
    with av.open(str(path)) as file:
        return int(file.streams.audio[0].channels)


def ebur128(path: Path, end_s: float = 10.0) -> float:
    """Integrated loudness, LUFS, of all channels by FFmpeg's ebur128 filter at the file's own rate."""
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        graph = av.filter.Graph()
        nodes = [graph.add_abuffer(template=stream), graph.add("atrim", f"end={end_s}")]
        nodes += [graph.add("ebur128", "metadata=1"), graph.add("abuffersink")]
        graph.link_nodes(*nodes).configure()
        found = float("nan")
        for frame in [*file.decode(stream), None]:
            graph.push(frame)
            while True:
                try:
                    found = float(graph.pull().metadata.get("lavfi.r128.I", found))
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
        return found


def loudness_of_real_videos(folder: Path) -> Iterator[tuple[float, float, float]]:
    """Ours, ebur128 of all channels, number of channels; files with sound of at least 1 s."""
    for path in sorted(folder.glob("*.*")):
        if path.suffix == ".csv":
            continue
        try:
            clip = decoded(path)
            if clip is None or clip.audio.size < 16_000:
                continue
            yield sound_level(path)["loudness_lufs"], ebur128(path), float(channels(path))
        except (av.error.FFmpegError, MediaError, ValueError, IndexError):
            continue


def pictures(folder: Path) -> Iterator[tuple[str, str, dict[str, float]]]:
    """(kind, name, measures) of made pictures: static, slides, black, moving; at several qualities and sizes."""
    rng = np.random.default_rng(2)

    def scene(size: tuple[int, int]) -> np.ndarray:
        coarse = rng.integers(0, 256, (9, 16, 3)).astype(np.float32)
        grown = np.kron(coarse, np.ones((-(-size[1] // 9), -(-size[0] // 16), 1)))[: size[1], : size[0]]
        return np.clip(grown + rng.normal(0, 6, grown.shape), 0, 255).astype(np.uint8)

    for size in ((160, 120), (320, 240)):
        for suffix in (".mp4", ".webm"):
            codec = "libx264" if suffix == ".mp4" else "libvpx"
            n = 12 * 6
            still = np.broadcast_to(scene(size), (n, size[1], size[0], 3))
            slides = np.stack([scene(size)] * 30 + [scene(size)] * 25 + [scene(size)] * (n - 55))
            fade = np.stack([(slides[0] * (1 - a) + slides[40] * a) for a in np.clip((np.arange(n) - 30) / 12, 0, 1)])
            black = np.array(slides)
            black[: n // 2] = 8
            small = np.array(still)  # a patch of a sixteenth of the height that moves: a talking mouth
            side = max(4, size[1] // 16)
            for k in range(n):
                at = size[0] // 2 + round(side * np.sin(k))
                small[k, size[1] // 2 : size[1] // 2 + side, at : at + side] = 20
            noisy = np.clip(still.astype(np.float32) + rng.normal(0, 4, still.shape), 0, 255)
            moving = make_frames(n, size, 1, 3)
            for kind, frames in {
                "static": still, "static with sensor noise": noisy, "slides": slides, "slides, cross-faded": fade,
                "half black": black, "small motion": small, "moving": moving,
            }.items():  # fmt: skip
                path = folder / f"p{suffix}"
                make_video(path, frames=frames.astype(np.uint8), sound=None, codec=codec)
                yield kind, f"{size[0]}x{size[1]}{suffix}", picture_motion(path)


def lengths(folder: Path) -> Iterator[tuple[float, float, float, float]]:
    """Planted and measured sound and picture length."""
    rng = np.random.default_rng(3)
    for i, (sound_s, picture_s) in enumerate([(4, 4), (4, 3.5), (2.5, 4), (4, 1.2), (0.8, 4)]):
        path = make_video(
            folder / f"l{i}.mp4", seconds=picture_s, samples=(0.3 * speechlike_noise(rng, sound_s)).astype(np.float32)
        )
        yield sound_s, picture_s, sound_level(path)["sound_s"], picture_motion(path)["picture_end_s"]


def time_shares(folder: Path) -> Iterator[tuple[str, float, float, float]]:
    """Name, seconds to decode 10 s, share of it for sound-health, for picture-health; best of 5."""
    rng = np.random.default_rng(4)
    sound = (0.3 * speechlike_noise(rng, 10.0)).astype(np.float32)
    for size in ((320, 240), (640, 360)):
        frames = np.clip(make_frames(250, size, 4, 1) + rng.normal(0, 5, (1, size[1], size[0], 1)), 0, 255).astype(
            np.uint8
        )
        path = make_video(folder / f"t{size[0]}.mp4", frames=frames, samples=sound, fps=25)
        clip = decoded(path)
        best = [
            min(_timed(job) for _ in range(5))
            for job in (
                lambda path=path: decoded(path),
                lambda clip=clip: registry.get("sound-health").extract([clip]),
                lambda clip=clip: registry.get("picture-health").extract([clip]),
            )
        ]
        yield f"{size[0]}x{size[1]}, 25 frames/s", best[0], best[1] / best[0], best[2] / best[0]


def _timed(job: object) -> float:
    started = time.perf_counter()
    job()  # type: ignore[operator]
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(
            "# Health of clips: measured errors\n\nMade by `python -m benchmarks.health ../shared/data`.\n\n## Sound\n"
        )
        errors = np.abs(list(silence(folder)))
        print(f"- silent_share, 6 made clips (AAC): error at most {errors.max():.3f}, mean {errors.mean():.3f}")
        for suffix, name in ((".mp4", "AAC"), (".webm", "Opus")):
            pairs = np.array(list(clipping(folder, suffix)))
            shown = ", ".join(f"{truth:.4f} → {found:.4f}" for truth, found in pairs)
            print(f"- clipped_share, planted → measured ({name}): {shown}")
        if options.data:
            found = np.array(list(loudness_of_real_videos(options.data / "real-videos")))
            found = found[(found[:, :2] > -69).all(axis=1)]
            for name, chosen in (("mono", found[:, 2] == 1), ("stereo", found[:, 2] == 2)):
                gap = (found[:, 0] - found[:, 1])[chosen]
                print(
                    f"- loudness_lufs against ebur128 at full rate, {len(gap)} {name} videos: "
                    f"median {np.median(gap):+.2f} LU, "
                    f"90 % within {np.percentile(np.abs(gap), 90):.2f} LU, largest {np.abs(gap).max():.2f} LU"
                )
        print("\n## Picture\n\n| made | clips | black_share | still_share | step_share |\n|---|---|---|---|---|")
        rows: dict[str, list[dict[str, float]]] = {}
        for kind, _, values in pictures(folder):
            rows.setdefault(kind, []).append(values)
        for kind, group in rows.items():
            cells = [
                f"{min(row[name] for row in group):.2f} to {max(row[name] for row in group):.2f}"
                for name in ("black_share", "still_share", "step_share")
            ]
            print(f"| {kind} | {len(group)} | {' | '.join(cells)} |")
        table = np.array(list(lengths(folder)))
        print(
            f"\n- lengths, 5 made clips: sound within {np.abs(table[:, 2] - table[:, 0]).max():.3f} s, "
            f"picture within {np.abs(table[:, 3] - table[:, 1]).max():.3f} s"
        )
        print("\n## Time\n\n| video (10 s) | decoding, s | sound-health | picture-health |\n|---|---|---|---|")
        for name, seconds, sound, picture in time_shares(folder):
            print(f"| {name} | {seconds:.3f} | {100 * sound:.1f} % | {100 * picture:.1f} % |")


if __name__ == "__main__":
    main()
