"""How fast trained networks measure clips: frames and clips a second, and the share of time waiting for decode.

    python benchmarks/features_speed.py [--device cpu|cuda] [--extractors vggish,slowfast] [--files 12] [--size 640x360]

Weights are random numbers in the published shapes: speed does not depend on them. Files are made, of 10 s each; they
go through the task that workers run, several files together, clips decoded ahead in a thread. Beside it the same clips
decoded alone, and the network alone on clips in memory. One process; a run on a GPU starts four.
Prints a table and writes it to benchmarks/results/features_speed-DEVICE.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from end_to_end import RESULTS, ROOT, machine

sys.path.insert(0, str(ROOT))

from curation.errors import MediaError
from curation.extractors import ahead, registry, run
from curation.extractors.network import NetworkExtractor
from curation.extractors.torch_runner import usable
from curation.media.decode import DecodedClip, decode_clips
from tests.checkpointmaker import write_slowfast, write_vggish
from tests.mediamaker import make_video

SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--extractors", default="vggish,slowfast")
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--size", default="640x360")
    options = parser.parse_args()
    device = usable(options.device)
    lines = [f"# Speed of trained features on {device.type}", "", machine() + device_name(device.type), ""]
    lines += [f"{options.files} made files of {SECONDS:.0f} s, {options.size}, one clip each; one process.", ""]
    lines += [
        "| extractor | frames or patches a second | clips a second | waiting for decode | decoding alone, clips/s "
        "| network alone, clips/s | largest batch |",
        "|" + " --- |" * 7,
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = folder / "hub" / "checkpoints"
        weights.mkdir(parents=True)
        write_vggish(weights)
        write_slowfast(weights)
        os.environ["TORCH_HOME"] = str(folder)
        width, height = map(int, options.size.split("x"))
        files = [
            make_video(folder / f"{i}.mp4", seconds=SECONDS, fps=25, size=(width, height), seed=i, scenes=1 + i % 3)
            for i in range(options.files)
        ]
        lines += [row(name, files, device.type) for name in options.extractors.split(",")]
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / f"features_speed-{device.type}.md").write_text(text, "utf-8")


def device_name(kind: str) -> str:
    """Its name, if it has one."""
    import torch

    return f", {torch.cuda.get_device_name()}" if kind == "cuda" else f", {torch.get_num_threads()} threads of torch"


def row(name: str, files: list[Path], device: str) -> str:
    """One row: through the task, then its two halves alone."""
    extractor = registry.get(name, device=device)
    assert isinstance(extractor, NetworkExtractor)
    task = {"extractors": [name], "options": {"device": device}}
    run.extract_file({**task, "files": asked(files[:1])})  # loads the weights, warms the device
    waits: list[float] = []
    batches: list[int] = []
    with noted(waits, batches):
        took_s = timed(lambda: run.extract_file({**task, "files": asked(files)}))
    clips: list[DecodedClip] = []
    decode_s = timed(lambda: clips.extend(decoded(files, extractor)))
    network_s = timed(lambda: compute(extractor, clips))
    shapes = [extractor.windows(clip).shape for clip in clips]
    n_inputs = sum(shape[0] * (shape[2] if extractor.modality == "visual" else 1) for shape in shapes)
    return (
        f"| {name} | {n_inputs / took_s:.1f} | {len(files) / took_s:.2f} | {sum(waits) / took_s:.0%} "
        f"| {len(files) / decode_s:.1f} | {len(files) / network_s:.2f} | {max(batches)} |"
    )


def asked(files: list[Path]) -> list[dict[str, Any]]:
    return [{"path": str(path), "segments": [[0.0, SECONDS]]} for path in files]


def decoded(files: list[Path], extractor: NetworkExtractor) -> Iterator[DecodedClip]:
    """The clips as the task decodes them."""
    sees = extractor.modality == "visual"
    for path in files:
        options = extractor.input.decode_options()
        for clip in decode_clips(path, [(0.0, SECONDS)], want_video=sees, want_audio=not sees, **options):
            if isinstance(clip, MediaError):
                raise clip
            yield clip


def compute(extractor: NetworkExtractor, clips: list[DecodedClip]) -> None:
    """The network on clips in memory, in its own batches."""
    made = run._extractor(extractor.name, fetch=False, device=extractor.device)
    for start in range(0, len(clips), made.batch_size):
        made.extract(clips[start : start + made.batch_size])


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def noted(waits: list[float], batches: list[int]) -> Iterator[None]:
    """Note how long the task waits for each clip, and how many windows go through the network together."""
    taken, batched = ahead.Ahead._taken, NetworkExtractor._batches

    def timed_taken(self: Any) -> Iterator[Any]:
        items = taken(self)
        while True:
            started = time.perf_counter()
            item = next(items, None)
            waits.append(time.perf_counter() - started)
            if item is None:
                return
            yield item

    def counted(self: Any, clips: Any) -> Iterator[Any]:
        for batch in batched(self, clips):
            batches.append(int(np.sum([len(windows.values) for windows in batch])))
            yield batch

    ahead.Ahead._taken, NetworkExtractor._batches = timed_taken, counted  # type: ignore[method-assign]
    try:
        yield
    finally:
        ahead.Ahead._taken, NetworkExtractor._batches = taken, batched  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
