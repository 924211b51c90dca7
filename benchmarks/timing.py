"""Offset of sound against motion on made impacts with planted offsets: errors, AUC against shifted sound, time.

    python -m benchmarks.timing [N] > benchmarks/results/timing.md

The pictures are made at 25 frames a second and sampled as decoding samples them, without coding.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.impacts import FPS, KINDS, RATE_HZ, impact_times, on_the_grid, picture, sound
from curation.extractors import registry
from curation.kernels.timing import Curves, timing
from curation.media.decode import DecodedClip

SECONDS = 10.0
CLEAR = 95.0
PICTURES = ("picture-onsets", "picture-onsets-fine")


def made(n: int) -> tuple[np.ndarray, np.ndarray, dict[str, Curves]]:
    """Kind and planted offset of n clips, and their curves; every fourth clip has steady noise and no click."""
    rng = np.random.default_rng(0)
    kinds, offsets = [], []
    rows: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in ("sound-onsets", *PICTURES)}
    for i in range(n):
        kind = KINDS[i % 3]
        times, offset_s = impact_times(rng, SECONDS), rng.uniform(-0.5, 0.5)
        frames = picture(rng, kind, times, SECONDS)
        steady = i % 4 == 3
        heard = sound(rng, np.zeros(0) if steady else times + offset_s, SECONDS)
        for name in rows:
            rate_hz = 25.0 if name.endswith("fine") else 8.0
            seen, times_s = on_the_grid(frames, SECONDS, rate_hz)
            clip = DecodedClip(seen, times_s, rate_hz, heard, RATE_HZ, SECONDS)
            rows[name].append({layer: found[0] for layer, found in registry.get(name).extract([clip]).values.items()})
        kinds.append("steady" if steady else kind)
        offsets.append(offset_s)
    curves = {
        name: Curves(*(np.stack([row[layer] for row in found]) for layer in ("curve", "grid")))
        for name, found in rows.items()
    }
    return np.array(kinds), np.array(offsets), curves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=240)
    n = parser.parse_args().n
    kinds, offsets, curves = made(n)
    rng = np.random.default_rng(1)
    heard = curves["sound-onsets"]
    shifted = np.stack([np.roll(curve, int(by)) for curve, by in zip(heard.curve, rng.integers(64, 257, n))])
    usable = np.ones(n, bool)
    print("# Timing of sound against motion\n\nMade by `python -m benchmarks.timing`.\n")
    print(f"{n} made clips of 10 s at {FPS} frames/s, one to six impacts each, offsets within 0.5 s; no coding.\n")
    print("| curve | clips | clear | median error, s | 90 % within, s | mean error, s | AUC of strength |")
    print("|---|---|---|---|---|---|---|")
    for name in PICTURES:
        fit = timing(heard, curves[name], usable)
        started = time.process_time()
        wrong = timing(Curves(shifted, heard.grid), curves[name], usable)
        seconds = time.process_time() - started
        for kind in (*KINDS, "all impacts", "steady"):
            rows = kinds != "steady" if kind == "all impacts" else kinds == kind
            clear = rows & (fit.percentile >= CLEAR)
            if kind == "steady":
                print(f"| {name} | {kind} {rows.sum()} | {clear.sum() / rows.sum():.2f} | | | | |")
                continue
            gap = fit.offset_s[clear] - offsets[clear]
            both = np.nan_to_num(np.concatenate([fit.strength[rows], wrong.strength[rows]]), nan=-1.0)
            auc = roc_auc_score(np.repeat([1, 0], rows.sum()), both)
            print(
                f"| {name} | {kind} {rows.sum()} | {clear.sum() / rows.sum():.2f} | {np.median(np.abs(gap)):.3f} | "
                f"{np.quantile(np.abs(gap), 0.9):.3f} | {gap.mean():+.3f} | {auc:.3f} |"
            )
        print(f"| {name} | {1e6 * seconds / n / 1e3:.2f} ms a clip for the fit | | | | | |")


if __name__ == "__main__":
    main()
