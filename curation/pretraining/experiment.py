"""Sets by seeds: each set is trained on and probed, for every seed; what is done is kept, the rest goes on later.

A folder holds `plan.json`, `runs/<set>-seed<k>.json` and `.npz` (what was right, by test clip), `runs.parquet`,
`near_duplicates.parquet`, `shared_sources.parquet`, and `result.json`, which is written anew after every seed that all
sets have.
"""

from __future__ import annotations

import hashlib
import json
import re
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.atomic import read_json, replacing
from curation.errors import InputError
from curation.pretraining import results
from curation.pretraining.dataset import TinyClips
from curation.pretraining.intervals import mean_interval
from curation.pretraining.model_file import save
from curation.pretraining.power import judge
from curation.pretraining.probe import TOP, ProbeSet, probe
from curation.pretraining.train import PairSet, TrainConfig, train
from curation.progress import Progress

VERSION = 1
MakeSets = Callable[[int], Sequence[PairSet]]


@dataclass(frozen=True)
class Experiment:
    """What is compared, and how. `kind`: power, comparison or sampling. `made_of`: what else the numbers depend on.

    `near_duplicates`: rows of a table of clips that are nearly in a probe, `shared_sources`: of sources that labelled
    data have on both sides; kept beside the results.
    """

    kind: str
    folder: Path
    clips: TinyClips
    questions: Sequence[ProbeSet]
    config: TrainConfig
    made_of: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    keep_models: bool = False
    near_duplicates: Sequence[Mapping[str, Any]] = ()
    shared_sources: Sequence[Mapping[str, Any]] = ()

    def identity(self) -> dict[str, Any]:
        """Two folders of one identity hold comparable runs; seeds may be added."""
        settings = {key: value for key, value in asdict(self.config).items() if key != "device"}
        questions = {question.name: _digest(question) for question in self.questions}
        return {"version": VERSION, "kind": self.kind, "config": settings, "questions": questions, **self.made_of}


@dataclass(frozen=True)
class Found:
    """`sets`: names; `seeds` that all of them have; `hits[probe]` bool (K, R, n, 2): right in one, in five; `runs`."""

    sets: list[str]
    seeds: list[int]
    hits: dict[str, np.ndarray]
    runs: list[dict[str, Any]]


def run(experiment: Experiment, make_sets: MakeSets, seeds: Sequence[int], progress: Progress) -> Found:
    """Train and probe every set for every seed that is not done; returns what all seeds found.

    Raises `InputError` where the folder holds an evaluation of other settings, and what training raises.
    """
    _plan(experiment, seeds)
    found = Found([], [], {}, [])
    for seed in seeds:
        sets = list(make_sets(seed))
        _check_sets(sets)
        for pairs in sets:
            _one(experiment, pairs, seed, progress, f"seed {seed}, {pairs.name}")
        found = gather(experiment, [pairs.name for pairs in sets], seeds)
        _write_result(experiment, found)
    return found


def gather(experiment: Experiment, sets: Sequence[str], seeds: Sequence[int]) -> Found:
    """What lies in the folder for these sets, for the seeds that all of them have."""
    records = {
        (name, seed): read_json(file)
        for name in sets
        for seed in seeds
        if (file := _file(experiment, name, seed).with_suffix(".json")).is_file()
    }
    done = [seed for seed in seeds if all((name, seed) in records for name in sets)]
    hits = {}
    for question in experiment.questions:
        rows = [[_hits(experiment, name, seed, question.name) for seed in done] for name in sets]
        hits[question.name] = np.array(rows, bool).reshape(len(sets), len(done), len(question.test), 2)
    return Found(list(sets), done, hits, [records[name, seed] for seed in done for name in sets])


def differences(experiment: Experiment, found: Found, first: str) -> list[dict[str, Any]]:
    """The set `first` minus each other, for every probe and top-1 (of more than five classes also top-5)."""
    out = []
    at = found.sets.index(first)
    for question in experiment.questions:
        for k, other in enumerate(found.sets):
            if k == at:
                continue
            gap = found.hits[question.name][at].astype(float) - found.hits[question.name][k]
            for j, top in _tops(question):
                interval = mean_interval(gap[..., j], *question.test_sources)
                out.append({"probe": question.name, "first": first, "second": other, "top": top, **asdict(interval)})
    return out


def levels(experiment: Experiment, found: Found) -> list[dict[str, Any]]:
    """Accuracy of every set on every probe, with intervals."""
    out = []
    for question in experiment.questions:
        for k, name in enumerate(found.sets):
            for j, top in _tops(question):
                interval = mean_interval(found.hits[question.name][k, :, :, j], *question.test_sources).of_share()
                out.append({"probe": question.name, "set": name, "top": top, **asdict(interval)})
    return out


def _tops(question: ProbeSet) -> list[tuple[int, int]]:
    """Places among the hits, and guesses: one, and five where there are more classes than that."""
    return [(0, 1), (1, TOP)] if question.has_top5 else [(0, 1)]


def _one(experiment: Experiment, pairs: PairSet, seed: int, progress: Progress, title: str) -> None:
    file = _file(experiment, pairs.name, seed)
    made_of = {"set": pairs.digest(), "seed": seed}
    if file.with_suffix(".json").is_file() and read_json(file.with_suffix(".json")).get("made_of") == made_of:
        return
    progress.start("pretrain", experiment.config.steps, "steps")
    progress.note(title)
    began, cpu = time.perf_counter(), time.process_time()
    half_way = file.with_suffix(".checkpoint.npz")
    trained = train(experiment.clips, pairs, experiment.config, seed=seed, progress=progress, checkpoint=half_way)
    progress.note(f"{title}: probes")
    record: dict[str, Any] = {"set": pairs.name, "seed": seed, "made_of": made_of, "train": trained.report}
    record |= {"facts": pairs.facts, "probes": {}}
    arrays: dict[str, np.ndarray] = {"loss": trained.loss}
    for k, question in enumerate(experiment.questions):
        progress.check_cancelled()
        answer = probe(trained.model, question, experiment.config.device)
        record["probes"][question.name] = {"top1": answer.top1, "top5": answer.top5, "tested": len(question.test)}
        arrays[f"hit{k}"], arrays[f"predicted{k}"] = answer.hit, answer.predicted
    record["seconds"], record["cpu_s"] = time.perf_counter() - began, time.process_time() - cpu
    record["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with replacing(file.with_suffix(".npz")) as temporary, temporary.open("wb") as handle:
        np.savez(handle, **arrays)  # type: ignore[arg-type]
    if experiment.keep_models:
        description = {"network": experiment.config.network, "set": pairs.name, "seed": seed}
        tensors = {f"model/{name}": value for name, value in trained.model.state_dict().items()}
        save(file.with_suffix(".model.npz"), description, tensors)
    results.write(file.with_suffix(".json"), record)
    half_way.unlink(missing_ok=True)


def _plan(experiment: Experiment, seeds: Sequence[int]) -> None:
    """Note what is meant; refuse a folder that means something else."""
    if not experiment.questions:
        raise InputError("There is nothing to probe with.", hint="Name labelled data.")
    if not seeds or len(set(seeds)) != len(seeds):
        raise InputError("Seeds are given once each, one at least.")
    file = experiment.folder / "plan.json"
    identity = results.plain(experiment.identity())
    made = time.time()
    if file.is_file():
        kept = read_json(file)
        other = [key for key in identity if kept.get("identity", {}).get(key) != identity[key]]
        if other:
            raise InputError(
                f"{experiment.folder.name.removeprefix(results.PREFIX)} was begun with other settings "
                f"({', '.join(other)}).",
                hint="Give another name, or remove that folder.",
            )
        made = kept.get("made", made)
    probes = [
        {"name": q.name, "sees": q.sees, "classes": list(q.classes), "learnt": len(q.train), "tested": len(q.test),
         "sources": len(np.unique(q.source[q.test])), "chance": _chance(q), "never_learnt": q.never_learnt,
         "other_sources": None if q.other_source is None else len(np.unique(q.other_source[q.test]))}
        for q in experiment.questions
    ]  # fmt: skip
    plan = {"version": results.VERSION, "kind": experiment.kind, "made": made, "identity": identity}
    results.write(file, plan | {"seeds": list(seeds), "probes": probes, "notes": list(experiment.notes)})
    for name, rows in (("near_duplicates", experiment.near_duplicates), ("shared_sources", experiment.shared_sources)):
        if rows:
            _write_rows(experiment.folder / f"{name}.parquet", rows)


def _chance(question: ProbeSet) -> float:
    """Accuracy of always naming the most frequent class learnt."""
    most = np.bincount(question.label[question.train]).argmax()
    return float((question.label[question.test] == most).mean())


def _write_result(experiment: Experiment, found: Found) -> None:
    plan = read_json(experiment.folder / "plan.json")
    result = {key: plan[key] for key in ("version", "kind", "made", "probes", "notes")}
    result |= {"seeds": found.seeds, "sets": found.sets, "config": plan["identity"]["config"]}
    result |= {"levels": levels(experiment, found), "runs": found.runs, "planned_seeds": plan["seeds"]}
    if experiment.kind == "power":
        shares = [next(r for r in found.runs if r["set"] == name)["facts"]["share"] for name in found.sets]
        verdicts = [judge(q.name, shares, found.hits[q.name][..., 0], *q.test_sources) for q in experiment.questions]
        result["power"] = [asdict(verdict) | {"verdict": verdict.verdict} for verdict in verdicts]
    else:
        result["differences"] = differences(experiment, found, found.sets[0])
    results.write(experiment.folder / "result.json", result)
    rows = [
        {"set": r["set"], "seed": r["seed"], "probe": name, **answer, "clips": r["train"]["clips"],
         "last_loss": r["train"]["last_loss"], "shared_negatives": r["train"]["shared_negatives"],
         "clips_per_s": r["train"]["clips_per_s"], "waiting_share": r["train"]["waiting_share"],
         "seconds": r["seconds"], "cpu_s": r["cpu_s"], "peak_mb": r["peak_mb"], "facts": json.dumps(r["facts"])}
        for r in found.runs
        for name, answer in r["probes"].items()
    ]  # fmt: skip
    _write_rows(experiment.folder / "runs.parquet", rows)


def _write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing(file) as temporary:
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), temporary)


def _hits(experiment: Experiment, name: str, seed: int, question: str) -> np.ndarray:
    k = [q.name for q in experiment.questions].index(question)
    with np.load(_file(experiment, name, seed).with_suffix(".npz"), allow_pickle=False) as kept:
        return kept[f"hit{k}"]


def _file(experiment: Experiment, name: str, seed: int) -> Path:
    """Where a run's files lie, without their endings (the name holds no dot)."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "set"
    return experiment.folder / "runs" / f"{slug}-seed{seed}"


def _check_sets(sets: Sequence[PairSet]) -> None:
    slugs = {re.sub(r"[^A-Za-z0-9]+", "-", pairs.name).strip("-") for pairs in sets}
    if len(slugs) != len(sets) or not sets:
        raise InputError("The sets that are compared need different names.")


def _digest(question: ProbeSet) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in (question.train, question.test, question.label[question.test], question.source[question.test]):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest() + question.sees
