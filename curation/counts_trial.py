"""Numbers of clusters tried on a sample, all layers at once: settings in, `evaluations/trial-clusters` out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from curation.atomic import write_json
from curation.clustering import Clustering, auto_n_clusters
from curation.counts import SAMPLE, TRIAL_KEY, Trial, TrialLayer, as_json, interval, read_trial
from curation.counts_sample import Sample, clustered, clusterings_of, take_sample, valid_clips
from curation.errors import InputError
from curation.kernels.gain import Gain, error_by_source, evidence_gain, permuted_codes
from curation.locks import writer_lock
from curation.progress import Progress
from curation.stages.cluster import LayerInfo, feature_layers, layer_counts
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

VERSION = 1
TRIAL_POINTS = 256  # clips a cluster that k-means is trained on


def try_counts(
    workspace: Workspace,
    common: str = "",
    per_layer: str = "",
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Trial:
    """Cluster every layer of a sample by these counts (the settings' own where empty) and say what they tell together.

    Nothing of the workspace changes but `evaluations/trial-clusters`. Raises `SettingError`, `MissingArtefactError`.
    """
    progress = progress or Progress()
    settings = workspace.config.cluster
    changes = {"cluster.n_clusters": common or settings.n_clusters}
    changes["cluster.per_layer"] = per_layer if common or per_layer else settings.per_layer
    layers = feature_layers(workspace)
    if {info.modality for info in layers} != {"audio", "visual"}:
        raise InputError("Counts are tried on sounds and pictures together; one of them has no features.")
    counts = layer_counts(workspace.config.replace(changes), [info.name for info in layers])
    with writer_lock(workspace.path / "locks" / "counts.lock", purpose="counts", wait_s=1):
        return _trial(workspace, layers, counts, sample, seed, progress)


@dataclass(frozen=True)
class _Judge:
    """Judges clusterings of one sample; `is_audio` bool (D,)."""

    sample: Sample
    is_audio: np.ndarray
    seed: int
    progress: Progress

    def gain(self, codes: np.ndarray, sizes: np.ndarray, which: np.ndarray | None = None) -> Gain:
        """Of `codes` int (n, D) with `sizes` clusters int (D,), all or those in `which` bool (D,)."""
        kept = np.ones(len(sizes), bool) if which is None else which
        return evidence_gain(
            np.ascontiguousarray(codes[:, kept], dtype=np.int32), self.is_audio[kept], sizes[kept], self.sample.source,
            self.sample.fold, seed=self.seed, look=self.progress.check_cancelled,
        )  # fmt: skip

    def control(self, codes: np.ndarray, sizes: np.ndarray) -> Gain:
        """The same of permuted sounds."""
        own = self.sample
        return self.gain(permuted_codes(codes, self.is_audio, own.source, own.fold, self.seed), sizes)

    def error(self, values: np.ndarray) -> float:
        return error_by_source(values, self.sample.source)


def _trial(
    workspace: Workspace,
    layers: list[LayerInfo],
    counts: Mapping[str, str],
    size: int,
    seed: int,
    progress: Progress,
) -> Trial:
    started = time.monotonic()
    progress.start("trial", len(layers), "layers")
    usable = np.logical_and.reduce([valid_clips(workspace, info) for info in layers])
    made = {name: facts for name, facts in clusterings_of(workspace).items() if name in {i.name for i in layers}}
    for name in made:
        usable = usable & (np.asarray(workspace.array(f"clusterings/{name}", "assignments")) >= 0)
    sample = take_sample(workspace, usable, size, seed)
    found, seconds = [], []
    for info in layers:
        progress.check_cancelled()
        progress.note(f"clustering {info.name}")
        began, asked = time.monotonic(), counts[info.name]
        features = workspace.features(info.extractor, info.layer, sample.rows)
        count = auto_n_clusters(len(usable)) if asked == "auto" else int(asked)
        found.append(clustered(workspace, features, count, seed, progress, TRIAL_POINTS))
        seconds.append(time.monotonic() - began)
        progress.advance()
    progress.note("judging the pairs")
    judge = _Judge(sample, np.array([info.modality == "audio" for info in layers]), seed, progress)
    codes, sizes = np.stack([one.assignments for one in found], axis=1), np.array([len(one.sizes) for one in found])
    whole = judge.gain(codes, sizes)
    there = _present(workspace, [info.name for info in layers], judge) if len(made) == len(layers) else None
    changed = whole.excess - there.excess if there is not None else np.zeros(0)
    value = float(changed.mean()) if len(changed) else 0.0
    trial = Trial(
        clips=len(sample.rows),
        sources=sample.n_sources,
        layers=tuple(_layer(i, layers, counts, found, seconds, codes, sizes, judge) for i in range(len(layers))),
        gain=whole.mean,
        error=judge.error(whole.excess),
        permuted=judge.control(codes, sizes).mean,
        present=None if there is None else there.mean,
        difference=None if there is None else (value, *interval(value, judge.error(changed), sample.n_sources)),
        counts=dict(counts),
        seconds=time.monotonic() - started,
        notices=tuple(sorted({n for one in found for n in one.report["notices"] if "a sample of" not in n})[:5]),
    )
    inputs = {f"features/{info.extractor}": workspace.fingerprint(f"features/{info.extractor}") for info in layers}
    inputs |= {f"clusterings/{name}": facts["fingerprint"] for name, facts in made.items()}
    return _kept(workspace, trial, inputs, [size, seed])


def _present(workspace: Workspace, names: list[str], judge: _Judge) -> Gain:
    """Gain of the clusterings there are, on the same clips."""
    rows = judge.sample.rows
    arrays = [np.asarray(workspace.array(f"clusterings/{name}", "assignments")[rows], np.int32) for name in names]
    codes = np.stack(arrays, axis=1)
    return judge.gain(codes, codes.max(axis=0).astype(np.int64) + 1)


def _layer(
    i: int,
    layers: list[LayerInfo],
    counts: Mapping[str, str],
    found: list[Clustering],
    seconds: list[float],
    codes: np.ndarray,
    sizes: np.ndarray,
    judge: _Judge,
) -> TrialLayer:
    """What became of one layer, and what it tells alone with all of the other modality."""
    alone = judge.gain(codes, sizes, (judge.is_audio != judge.is_audio[i]) | (np.arange(len(layers)) == i))
    clips = found[i].sizes
    p = clips / clips.sum()
    return TrialLayer(
        layer=layers[i].name,
        modality=layers[i].modality,
        asked=counts[layers[i].name],
        clusters=int(sizes[i]),
        smallest=int(clips.min()),
        largest=int(clips.max()),
        balance=float(np.exp(-(p * np.log(p)).sum()) / len(p)),
        gain=alone.mean,
        error=judge.error(alone.excess),
        seconds=seconds[i],
    )


def _kept(workspace: Workspace, trial: Trial, inputs: Mapping[str, str | None], drawn: list[int]) -> Trial:
    facts = as_json(trial) | {"inputs": dict(inputs), CLIPS_FINGERPRINT: workspace.fingerprint("clips")}
    made_of = {"stage": "trial", "version": VERSION, "facts": [dict(trial.counts), drawn, dict(inputs)]}
    fingerprint = fingerprint_of(made_of)
    folder = workspace.partial_folder(TRIAL_KEY, fingerprint)
    write_json(folder / "trial.json", facts)
    workspace.commit_folder(TRIAL_KEY, folder, fingerprint, facts)
    found = read_trial(workspace)
    assert found is not None
    return found
