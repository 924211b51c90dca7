"""Does a subset teach? Power check and curated against its controls on recorded clips; ways of sampling on made films.

    python -m benchmarks.pretraining [--part power compare films] [--seeds 0 1 2 3 4] [--minutes 9] [--out FILE]

Every run is kept in the cache folder, so pieces of some minutes add up: run it again until all seeds are there.
`power`: photographs and recordings are paired by class, with 100 to 0 % right. `compare`: clips as they are, half of
them with the sound of another class; half are chosen. Photographs and recordings of pre-training, probe training and
probe testing are different ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import esc_shots, longform
from benchmarks.toydata import cache_folder, machine
from curation.errors import Cancelled
from curation.pretraining import power, sources
from curation.pretraining.comparison import SETS, Choice, Pool, default_held_out, sets_of
from curation.pretraining.dataset import TinyClips
from curation.pretraining.experiment import Experiment, Found, differences, gather, levels, run
from curation.pretraining.overlap import overlap
from curation.pretraining.probe import ProbeSet
from curation.pretraining.train import PairSet, TrainConfig
from curation.progress import Progress

CONFIG = TrainConfig(steps=240, batch_size=128)
FILMS_CONFIG = TrainConfig(steps=240, batch_size=96)
CHOICE = Choice(budget=0.5, method="concord", n_clusters=16, replicates=3)
SPLIT_SEED = 0


class Deadline:
    """A sink that asks for the end after some minutes."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60 * minutes

    def update(self, state: dict[str, Any], *, force: bool) -> None:
        """Nothing to show."""

    def cancelled(self) -> bool:
        return time.monotonic() > self._end


def questions(data: esc_shots.Shots, clips: TinyClips, parts: sources.Parts) -> list[ProbeSet]:
    """Which class from the picture, from the sound, and from both where they belong together."""
    found = []
    for name, sees, label, source in (
        ("pictures", "picture", data.picture_class, parts.picture_source),
        ("sounds", "sound", data.sound_class, parts.sound_source),
        ("both", "both", data.picture_class, parts.sound_source),
    ):
        rows = [parts.rows(sees, part) for part in (sources.LEARN, sources.TEST)]
        if sees == "both":
            rows = [own[data.right[own]] for own in rows]
        other = parts.picture_source if sees == "both" else None  # a pair varies with its photograph as well
        found.append(ProbeSet(name, sees, clips, rows[0], rows[1], label, source, data.classes, other))  # type: ignore[arg-type]
    return found


def paired_by_class(data: esc_shots.Shots, pictures: np.ndarray, sounds: np.ndarray, seed: int) -> PairSet:
    """Every picture with a sound of its class, drawn from `sounds`."""
    rng = np.random.default_rng([seed, 7])
    sound = np.empty(len(pictures), np.int64)
    for kind in range(len(data.classes)):
        mine, theirs = data.picture_class[pictures] == kind, sounds[data.sound_class[sounds] == kind]
        drawn = [rng.permutation(theirs) for _ in range(-(-int(mine.sum()) // len(theirs)))]
        sound[mine] = np.concatenate(drawn)[: mine.sum()]
    n = len(pictures)
    return PairSet("right", pictures, sound, np.arange(n), np.zeros(n))


def recorded() -> tuple[esc_shots.Shots, TinyClips, sources.Parts]:
    data = esc_shots.shots()
    parts = sources.split(
        [[name] for name in data.photograph], [[name] for name in data.recording], seed=SPLIT_SEED,
        picture_class=data.picture_class, sound_class=data.sound_class,
    )  # fmt: skip
    return data, data.tiny(Progress()), parts


def _probed(asked: list[ProbeSet]) -> np.ndarray:
    """Clips whose picture or sound a probe learns from or is tested on: what resembles them is not trained on."""
    return np.unique(np.concatenate([rows for q in asked for rows in (q.train, q.test)]))


def power_parts() -> tuple[Experiment, Any]:
    data, clips, parts = recorded()
    asked = questions(data, clips, parts)
    pools = []
    for sees, part, probes in (("picture", parts.picture, asked[::2]), ("sound", parts.sound, asked[1:])):
        pool = np.flatnonzero(part == sources.POOL)
        pools.append(pool[~overlap(clips, pool, clips, _probed(probes), sees=sees).alike])
    made_of = {"pictures": len(pools[0]), "sounds": len(pools[1])}
    experiment = Experiment("power", cache_folder() / "pretrain-power-apart", clips, asked, CONFIG, made_of)

    def make_sets(seed: int) -> list[PairSet]:
        right = paired_by_class(data, pools[0], pools[1], seed)
        kind = data.picture_class[right.picture]
        return [power.degraded(right, share, seed, kind=kind) for share in power.SHARES]

    return experiment, make_sets


def compare_parts() -> tuple[Experiment, Any]:
    data, clips, parts = recorded()
    asked = questions(data, clips, parts)
    alike = overlap(clips, parts.pool, clips, _probed(asked[:2])).alike
    rows = parts.pool[~alike]
    features = {name: values[rows] for name, values in data.features(Progress()).items()}
    modality = {name: "audio" if name.startswith("sound") else "visual" for name in features}
    pool = Pool(rows, features, modality, default_held_out(modality), parts.sound_source[rows], data.right[rows])
    made_of = {"choice": asdict(CHOICE), "held_out": list(pool.held_out), "removed": int(alike.sum())}
    folder = cache_folder() / "pretrain-compare"
    return Experiment("comparison", folder, clips, asked, CONFIG, made_of), lambda seed: sets_of(pool, CHOICE, seed)


def films_parts() -> tuple[Experiment, Any]:
    made = longform.films(0)
    rows = [np.flatnonzero(made.part == part) for part in range(3)]
    asked = [
        ProbeSet(name, sees, made.clips, rows[1], rows[2], made.kind, made.title)  # type: ignore[arg-type]
        for name, sees in (("pictures", "picture"), ("sounds", "sound"), ("both", "both"))
    ]
    pool = rows[0]

    def make_sets(_seed: int) -> list[PairSet]:
        titles, start_s = made.title[pool], made.start_s[pool]
        plans = (
            ("16 clips a title", 16, 0.0), ("16 within 24 s", 16, 24.0), ("4 clips a title", 4, 0.0),
            ("ordinary", 1, 0.0),
        )  # fmt: skip
        return [PairSet(name, pool, pool, titles, start_s, n, window_s) for name, n, window_s in plans]

    return Experiment("sampling", cache_folder() / "pretrain-films", made.clips, asked, FILMS_CONFIG), make_sets


PARTS = {"power": power_parts, "compare": compare_parts, "films": films_parts}


def tables(experiment: Experiment, found: Found) -> list[str]:
    """Lines of Markdown."""
    lines = [f"\n### {experiment.kind}: {len(found.seeds)} seeds, {experiment.config.steps} steps of "
             f"{experiment.config.batch_size} clips\n"]  # fmt: skip
    names = [q.name for q in experiment.questions]
    lines.append("| set | clips | facts | " + " | ".join(f"{n}, top-1 % (95 %) / top-5" for n in names) + " | loss | "
                 "negatives of the own title | clips/s | waiting | CPU s | peak MB |")  # fmt: skip
    lines.append("|" + " --- |" * (len(names) + 9))
    known = {(row["probe"], row["set"], row["top"]): row for row in levels(experiment, found)}
    for name in found.sets:
        runs = [r for r in found.runs if r["set"] == name]
        cells = []
        for probe in names:
            found_at = [known[probe, name, top] for top in (1, 5) if (probe, name, top) in known]
            cells.append(" / ".join(f"{100 * one['value']:.1f} ({100 * one['low']:.1f} to {100 * one['high']:.1f})"
                                    for one in found_at))  # fmt: skip
        train = {key: float(np.mean([r["train"][key] or np.nan for r in runs])) for key in
                 ("last_loss", "shared_negatives", "clips_per_s", "waiting_share")}  # fmt: skip
        shared = float(np.mean([r["train"]["shared_negatives"] for r in runs]))
        told = set.intersection(*(set(r["facts"]) for r in runs)) - {"clips", "share"}
        facts = ", ".join(f"{k.replace('_', ' ')} {np.mean([r['facts'][k] for r in runs]):.3g}" for k in sorted(told))
        lines.append(f"| {name} | {np.mean([r['train']['clips'] for r in runs]):.0f} | {facts} | " + " | ".join(cells)
                     + f" | {train['last_loss']:.2f} | {100 * shared:.1f} % | {train['clips_per_s']:.0f} | "
                     f"{100 * train['waiting_share']:.1f} % | {np.mean([r['cpu_s'] for r in runs]):.0f} | "
                     f"{np.max([r['peak_mb'] for r in runs]):.0f} |")  # fmt: skip
    for q in experiment.questions:
        most = np.bincount(q.label[q.train]).argmax()
        chance = 100 * (q.label[q.test] == most).mean()
        n_sources = len(np.unique(q.source[q.test]))
        lines.append(f"\n{q.name}: {len(q.train)} clips to learn from, {len(q.test)} to test on, "
                     f"{n_sources} sources in the test; always one class: {chance:.1f} %")  # fmt: skip
    return lines + (_verdicts if experiment.kind == "power" else _gaps)(experiment, found)


def _verdicts(experiment: Experiment, found: Found) -> list[str]:
    shares = [next(r["facts"]["share"] for r in found.runs if r["set"] == name) for name in found.sets]
    return [
        f"\n{q.name}: {power.judge(q.name, shares, found.hits[q.name][..., 0], *q.test_sources).verdict}"
        for q in experiment.questions
    ]


def _gaps(experiment: Experiment, found: Found) -> list[str]:
    lines = ["", "| difference in top-1, points | " + " | ".join(q.name for q in experiment.questions) + " |",
             "|" + " --- |" * (len(experiment.questions) + 1)]  # fmt: skip
    pairs = [(found.sets[0], name) for name in found.sets[1:]]
    for first, second in pairs:
        cells = []
        for row in differences(experiment, found, first):
            if row["second"] == second and row["top"] == 1:
                cells.append(f"{100 * row['value']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})")
        lines.append(f"| {first} - {second} | " + " | ".join(cells) + " |")
    return lines


def part(name: str, seeds: Sequence[int], minutes: float) -> list[str]:
    """Run a part as far as the minutes reach; the tables of the seeds that all sets have."""
    experiment, make_sets = PARTS[name]()
    try:
        found = run(experiment, make_sets, seeds, Progress(Deadline(minutes)))
    except Cancelled:
        found = gather(experiment, [pairs.name for pairs in make_sets(seeds[0])], seeds)
    done = f"{len(found.seeds)} of {len(seeds)} seeds are done"
    return [f"\n{name}: {done}"] + (tables(experiment, found) if found.seeds else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many, a part; run again to go on")
    parser.add_argument("--out", type=Path, help="keep the tables here, as Markdown")
    args = parser.parse_args()
    lines = [f"{machine()}; one thread a run; {', '.join(SETS)} of the comparison are made anew for each seed"]
    for name in args.part:
        lines += part(name, args.seeds, args.minutes)
    print("\n".join(lines))
    if args.out:
        args.out.write_text("# Pre-training\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
