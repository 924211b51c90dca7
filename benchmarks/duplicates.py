"""Copies found and missed: made copies of real videos, made prints by the million, and the cost of the prints.

    python -m benchmarks.duplicates ../shared/data [--copies FOLDER] [--prints N] > benchmarks/results/duplicates.md

Copies are written to FOLDER (or a temporary one) once: three of each real video, see `COPIES`.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from curation.errors import MediaError
from curation.extractors import registry
from curation.health.duplicates import picture_groups, sound_groups
from curation.kernels.duplicates import Groups, both
from curation.media.decode import DecodedClip, decode_clips

# start, end (s), gain, height, codec, its crf, sound codec, rate, bits a second
COPIES: dict[str, tuple[Any, ...]] = {
    "0": (0.5, 10.0, 0.3, 144, "libx264", "32", "aac", 32_000, 48_000),
    "1": (0.0, 9.5, 1.0, 240, "libvpx", "30", "libopus", 48_000, 32_000),
    "2": (0.33, 9.8, 0.6, 120, "libx264", "35", "aac", 44_100, 64_000),
}
KNOWN = {"98099ecb": "92c206d1", "3d8eb53b": "c65f20d3"}  # near-duplicates among the real videos
SAME_PICTURE = {"69a69561": "e23b849a", "1abee384": "e23b849a"}
DISTANCES = (0.2, 0.18, 0.3)  # the defaults: sound, picture, change


def make_copy(source: Path, target: Path, how: tuple[Any, ...]) -> None:
    """One trimmed, quieter, smaller, re-encoded copy."""
    start, end, gain, height, codec, crf, sound_codec, rate, bits = how
    with av.open(str(source)) as media, av.open(str(target), "w") as out:
        video, audio = media.streams.video[0], media.streams.audio[0]
        width = round(video.width * height / video.height / 2) * 2
        picture = out.add_stream(codec, rate=max(5, min(30, round(float(video.average_rate or 25)))))
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.codec_context.time_base = Fraction(1, 1000)
        fast = (
            {"preset": "ultrafast"} if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8", "b:v": "300k"}
        )
        picture.codec_context.options = {**fast, "crf": crf}
        sound = out.add_stream(sound_codec, rate=rate, layout="mono")
        sound.bit_rate = bits
        resampler = av.AudioResampler("fltp", "mono", rate, frame_size=sound.codec_context.frame_size or 1024)
        last, samples = -1, 0
        for packet in media.demux(video, audio):
            for frame in packet.decode():
                if not isinstance(frame, av.VideoFrame | av.AudioFrame):
                    continue
                if frame.time is None or not start <= frame.time < end:
                    continue
                if isinstance(frame, av.VideoFrame):
                    if (at := int((frame.time - start) * 1000)) <= last:
                        continue
                    small, last = frame.reformat(width, height, "yuv420p"), at
                    small.pts, small.time_base, small.pict_type = at, Fraction(1, 1000), 0
                    out.mux(picture.encode(small))
                    continue
                frame.pts = None
                for block in resampler.resample(frame):
                    values = np.clip(block.to_ndarray() * gain, -1, 1).astype(np.float32)
                    quiet = av.AudioFrame.from_ndarray(values, "fltp", "mono")
                    quiet.sample_rate, quiet.pts, quiet.time_base = rate, samples, Fraction(1, rate)
                    samples += values.shape[1]
                    out.mux(sound.encode(quiet))
        out.mux(picture.encode(None))
        out.mux(sound.encode(None))


def decoded(path: Path) -> DecodedClip | None:
    """The first 10 s, or None."""
    (clip,) = decode_clips(path, [(0.0, 10.0)])
    return None if isinstance(clip, MediaError) else clip


def pair_scores(group: np.ndarray, truth: np.ndarray, usable: np.ndarray) -> tuple[float, float, int]:
    """Precision and recall of pairs of the same group, and how many true pairs there are among `usable`."""
    same = (group[:, None] == group[None]) & (group >= 0)[:, None]
    true = (truth[:, None] == truth[None]) & usable[:, None] & usable[None]
    upper = np.triu(np.ones_like(same), 1)
    found, right, wanted = (same & upper).sum(), (same & true & upper).sum(), (true & upper).sum()
    return right / max(found, 1), right / max(wanted, 1), int(wanted)


def real_videos(data: Path, folder: Path) -> None:
    """Precision and recall on the real videos and their copies."""
    names: list[str] = []
    sound: list[np.ndarray] = []
    slots: list[np.ndarray] = []
    change: list[np.ndarray] = []
    cost = np.zeros(3)
    originals = [path for path in sorted((data / "real-videos").iterdir()) if path.suffix != ".csv"]
    for path in originals:
        paths = [path]
        for tag, how in COPIES.items():
            copy = folder / f"{path.name[:8]}_{tag}{'.webm' if how[4] == 'libvpx' else '.mp4'}"
            if not copy.exists():
                try:
                    make_copy(path, copy, how)
                except (av.error.FFmpegError, ValueError, IndexError):
                    copy.unlink(missing_ok=True)
            if copy.exists():
                paths.append(copy)
        for each in paths:
            started = time.process_time()
            clip = decoded(each)
            if clip is None:
                continue
            middle = time.process_time()
            heard = registry.get("sound-print").extract([clip])
            later = time.process_time()
            seen = registry.get("picture-print").extract([clip])
            cost += [middle - started, later - middle, time.process_time() - later]
            names.append(each.name[:8])
            sound.append(heard.values["slots"][0])
            slots.append(seen.values["slots"][0])
            change.append(seen.values["change"][0])
    truth = np.array([KNOWN.get(name, name) for name in names])
    pictures = np.array([SAME_PICTURE.get(name, name) for name in truth])
    sounds, images = np.array(sound), np.array(slots)
    loud = (sounds.view("<u4") != 0).sum(axis=1) >= 6
    detailed = (images.view("<u8") != 0).sum(axis=1) >= 2
    groups = {
        "duplicate_sound": (sound_groups(sounds, DISTANCES[0]).group, truth, loud),
        "duplicate_picture": (picture_groups(images, np.array(change), *DISTANCES[1:]).group, pictures, detailed),
    }
    pair = both(groups["duplicate_sound"][0], groups["duplicate_picture"][0])
    print(f"{len(originals)} videos, {len(names)} clips with their copies; {(~loud).sum()} without sound to go by.\n")
    print("| column | true pairs | precision | recall |\n|---|---|---|---|")
    for name, (group, true, usable) in {**groups, "duplicate": (pair, truth, loud & detailed)}.items():
        precision, recall, wanted = pair_scores(group, true, usable)
        print(f"| {name} | {wanted} | {precision:.3f} | {recall:.3f} |")
    for left, right in [*KNOWN.items(), *SAME_PICTURE.items()]:
        a, b = names.index(left), names.index(right)
        said = [name for name, (group, *_) in groups.items() if group[a] >= 0 and group[a] == group[b]]
        print(f"\n{left} / {right}: {', '.join(said) or 'not found'}", end="")
    print(f"\n\nprocessor time of decoding: sound-print {100 * cost[1] / cost[0]:.1f} %, ", end="")
    print(f"picture-print {100 * cost[2] / cost[0]:.1f} %")


def made_prints(n: int, width: int, dtype: Any, halvings: int, shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prints whose signs turn in a quarter of the slots, 5 % of them shifted copies with a share 2**-halvings of the
    signs wrong, and a tenth without slots; the rows of originals and of copies."""
    rng = np.random.default_rng(1)
    bits = np.dtype(dtype).itemsize * 8

    def some(shape: Any, count: int) -> np.ndarray:
        out = rng.integers(0, 2**bits - 1, shape, dtype, endpoint=True)
        for _ in range(count - 1):
            out &= rng.integers(0, 2**bits - 1, shape, dtype, endpoint=True)
        return out

    slots = np.empty((n, width), dtype)
    slots[:, 0] = some(n, 1)
    for i in range(1, width):
        slots[:, i] = slots[:, i - 1] ^ some(n, 2)
    copies = np.arange(n - n // 20, n)
    sources = rng.choice(n - n // 20, copies.size, replace=False)
    slots[copies, : width - shift] = slots[sources, shift:]
    slots[copies] ^= some((copies.size, width), halvings)
    slots |= dtype(1 << (bits - 1))
    slots[copies, width - shift :] = 0
    slots[np.setdiff1d(rng.choice(copies[0], n // 10, replace=False), sources)] = 0
    return slots, sources, copies


def _grouped(name: str, slots: np.ndarray) -> Groups:
    if name == "sound":
        return sound_groups(slots.view(np.uint8), DISTANCES[0])
    return picture_groups(slots.view(np.uint8), np.zeros((len(slots), 4 * slots.shape[1]), np.uint8), *DISTANCES[1:])


def million(n: int) -> None:
    """Time, memory and recall on n made prints."""
    print("| made prints | wrong signs | processor time | memory beyond prints | precision | recall |")
    print("|---|---|---|---|---|---|")
    for name, width, dtype, halvings, shift in (
        ("sound", 80, np.uint32, 3, 4),
        ("picture", 40, np.uint64, 4, 2),
    ):
        slots, sources, copies = made_prints(n, width, dtype, halvings, shift)
        _grouped(name, slots[:64])  # compile
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        found = _grouped(name, slots)
        seconds = time.process_time() - started
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        hit = (found.group[sources] == found.group[copies]) & (found.group[copies] >= 0)
        grouped = np.bincount(found.group[found.group >= 0])
        right = hit.sum() / max((grouped * (grouped - 1) // 2).sum(), 1)
        size = f"{n} {name}, {slots.nbytes / 1e6:.0f} MB | {2.0**-halvings:.3f}"
        print(f"| {size} | {seconds:.0f} s | {more:.0f} MB | {right:.4f} | {hit.mean():.4f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--copies", type=Path)
    parser.add_argument("--prints", type=int, default=0, help="how many made prints, 0 = none")
    options = parser.parse_args()
    print("# Duplicates\n\nMade by `python -m benchmarks.duplicates ../shared/data --prints 1000000`.\n")
    with tempfile.TemporaryDirectory() as place:
        real_videos(options.data, options.copies or Path(place))
    if options.prints:
        print("\n")
        million(options.prints)


if __name__ == "__main__":
    main()
