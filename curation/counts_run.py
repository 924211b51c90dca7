"""Studies of numbers of clusters: features of a sample of clips in, `evaluations/counts-<layer>/` out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from curation.atomic import read_json, write_json
from curation.clustering import auto_n_clusters
from curation.counts import (
    COUNTS,
    EXPECTED_MIN,
    NULL_INFLATION,
    SAMPLE,
    SEEDS,
    SHARE,
    Added,
    CountRow,
    Study,
    as_json,
    check_counts,
    interval,
    key_of,
    proposed_count,
    read_row,
    read_study,
)
from curation.counts_sample import (
    CLIPS_MIN,
    Sample,
    clustered,
    clusterings_of,
    layer_called,
    take_sample,
    valid_clips,
)
from curation.errors import InputError
from curation.kernels.agreement import adjusted_rand, mean_overlap, sources_in
from curation.kernels.contingency import contingency_table
from curation.kernels.gain import Gain, error_by_source, evidence_gain, permuted_codes
from curation.locks import writer_lock
from curation.progress import Progress
from curation.stages.cluster import LayerInfo, feature_layers
from curation.workspace import CLIPS_FINGERPRINT, Workspace, fingerprint_of

VERSION = 2  # 2: what a layer adds has the interval of tables that tell nothing
PARTNERS_MAX = 6  # clusterings of the other modality, spread evenly over those there are
PARTNER_CLUSTERS = 32  # where the other modality was not clustered yet, at most


def study_counts(
    workspace: Workspace,
    layer: str,
    counts: Sequence[int] | str = COUNTS,
    *,
    sample: int = SAMPLE,
    seeds: int = SEEDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Study:
    """Make (or find done) the study of one layer; a killed one goes on at the count where it stopped.

    The layer's clusters are made of the sample by the workspace's own settings of k-means; those of the other modality
    are the clusterings there are, or of the sample where there are none. A count is left out where a cell of the layer
    with the largest of them holds fewer than one clip by chance. Raises `InputError`, `MissingArtefactError`.
    """
    wanted, progress = check_counts(counts), progress or Progress()
    if not 1 <= seeds <= 20 or sample < CLIPS_MIN:
        raise InputError(f"{seeds} seeds, {sample} clips.", hint=f"1 to 20 seeds; a sample of {CLIPS_MIN} at least.")
    info = layer_called(workspace, layer)
    with writer_lock(workspace.path / "locks" / "counts.lock", purpose="counts", wait_s=1):
        return _Study(workspace, info, wanted, sample, seeds, seed, progress).made()


# -- a study -----------------------------------------------------------------------------------------------------------


class _Study:
    """The work of one study: its sample, its partners, and one number of clusters after another."""

    def __init__(
        self,
        workspace: Workspace,
        info: LayerInfo,
        counts: tuple[int, ...],
        sample: int,
        seeds: int,
        seed: int,
        progress: Progress,
    ) -> None:
        self._ws, self._info, self._progress = workspace, info, progress
        self._counts, self._seeds, self._seed, self._size = counts, seeds, seed, sample
        self._features_print = workspace.require_fitting(f"features/{info.extractor}", "features").fingerprint
        made = {name: facts for name, facts in clusterings_of(workspace).items() if name != info.name}
        other = [name for name, facts in made.items() if facts.get("modality") != info.modality]
        at = np.unique(np.linspace(0, len(other) - 1, min(len(other), PARTNERS_MAX)).round().astype(int))
        self._partners = [other[i] for i in at]
        self._own = [name for name, facts in made.items() if facts.get("modality") == info.modality]
        self._free = [] if other else self._free_partners()
        self._inputs = {f"features/{info.extractor}": self._features_print}
        self._inputs |= {f"clusterings/{name}": str(made[name]["fingerprint"]) for name in self._partners + self._own}
        self._inputs |= {
            f"features/{one.extractor}": workspace.require(f"features/{one.extractor}", "features").fingerprint
            for one in self._free
        }

    def _free_partners(self) -> list[LayerInfo]:
        layers = [one for one in feature_layers(self._ws) if one.modality != self._info.modality]
        if not layers:
            raise InputError(
                f"{self._info.name} has nothing to be paired with: the workspace has no other modality.",
                hint="Counts are judged by what sound and picture tell about each other.",
            )
        at = np.unique(np.linspace(0, len(layers) - 1, min(len(layers), PARTNERS_MAX)).round().astype(int))
        return [layers[i] for i in at]

    def _fingerprint(self) -> str:
        settings = {k: v for k, v in self._ws.config.affecting("cluster").items()
                    if k in ("standardize", "pca_dim", "n_iter")}  # fmt: skip
        settings |= {"layer": self._info.name, "counts": self._counts, "sample": self._size, "seeds": self._seeds}
        settings |= {"seed": self._seed, "clips": self._ws.fingerprint("clips"), "inputs": self._inputs}
        return fingerprint_of({"stage": "counts", "version": VERSION, "config": settings})

    def made(self) -> Study:
        key, fingerprint = key_of(self._info.name), self._fingerprint()
        if self._ws.fingerprint(key) == fingerprint:
            found = read_study(self._ws, key)
            if found is not None:
                self._progress.start("counts", 0, "counts")
                self._progress.note("already done")
                return found
        started = time.monotonic()
        parts = self._ws.partial_folder(key, fingerprint)
        self._progress.start("counts", len(self._counts) * self._seeds, "clusterings")
        self._progress.note(f"{self._info.name}: reading a sample")
        fitting = [c for c in self._counts if self._expected(c) >= EXPECTED_MIN]
        rows = [self._counted(count, parts / f"{count}.json") for count in fitting]
        left_out = tuple(c for c in self._counts if c not in fitting)
        study = Study(
            self._info.name, self._info.modality, len(self._sample.rows), self._sample.n_sources, self._seeds,
            dict(zip(self._partner_names, self._partner_counts.tolist(), strict=True)), tuple(rows), left_out,
        )  # fmt: skip
        added = self._added(study.proposed or proposed_count(rows)) if rows else None
        facts = as_json(study) | {"added": as_json(added), "seconds": time.monotonic() - started}
        facts |= {"notices": self._notices(), "inputs": self._inputs, CLIPS_FINGERPRINT: self._ws.fingerprint("clips")}
        write_json(parts / "counts.json", facts)
        for part in parts.glob("[0-9]*.json"):
            part.unlink()
        self._ws.commit_folder(key, parts, fingerprint, facts)
        found = read_study(self._ws, key)
        assert found is not None
        return found

    def _notices(self) -> list[str]:
        found = []
        if self._free:
            found.append("The other modality was not clustered yet: its clusters were made of the sample.")
        if self._sample.n_sources == len(self._sample.rows):
            found.append("Every clip is a source of its own here.")
        return found

    # -- what is read once

    @cached_property
    def _sample(self) -> Sample:
        usable = valid_clips(self._ws, self._info).copy()
        for one in self._free:
            usable &= valid_clips(self._ws, one)
        for name in self._partners + self._own:
            usable &= np.asarray(self._ws.array(f"clusterings/{name}", "assignments")) >= 0
        return take_sample(self._ws, usable, self._size, self._seed)

    @cached_property
    def _features(self) -> np.ndarray:
        return self._ws.features(self._info.extractor, self._info.layer, self._sample.rows)

    @cached_property
    def _partner_codes(self) -> np.ndarray:
        """int32 (n, P)."""
        if self._partners:
            return self._assigned(self._partners)
        count = min(PARTNER_CLUSTERS, auto_n_clusters(len(self._sample.rows)))
        found = []
        for one in self._free:
            self._progress.check_cancelled()
            features = self._ws.features(one.extractor, one.layer, self._sample.rows)
            found.append(clustered(self._ws, features, count, self._seed, self._progress).assignments)
        return np.stack(found, axis=1)

    def _assigned(self, names: list[str]) -> np.ndarray:
        arrays = [self._ws.array(f"clusterings/{name}", "assignments") for name in names]
        return np.stack([np.asarray(array[self._sample.rows], np.int32) for array in arrays], axis=1)

    @property
    def _partner_names(self) -> list[str]:
        return self._partners or [one.name for one in self._free]

    @property
    def _partner_counts(self) -> np.ndarray:
        return self._partner_codes.max(axis=0).astype(np.int64) + 1

    def _expected(self, count: int) -> float:
        """Clips that a cell holds by chance, with the partner of most clusters."""
        return len(self._sample.rows) / (count * float(self._partner_counts.max()))

    # -- one count

    def _counted(self, count: int, part: Path) -> CountRow:
        if part.is_file():  # of a run that was killed
            self._progress.advance(self._seeds, finished_before=True)
            return read_row(read_json(part))
        started, labels, gains, permuted = time.monotonic(), [], [], []
        for turn in range(self._seeds):
            self._progress.check_cancelled()
            self._progress.note(f"{self._info.name}: {count} clusters, seed {turn + 1} of {self._seeds}")
            found = clustered(self._ws, self._features, count, self._seed + turn, self._progress)
            labels.append(found.assignments)
            gains.append(self._gain(found.assignments, len(found.sizes)))
            permuted.append(self._gain(found.assignments, len(found.sizes), turn))
            self._progress.advance()
        row = self._row(count, labels, gains, permuted, time.monotonic() - started)
        write_json(part, as_json(row))
        return row

    def _gain(self, labels: np.ndarray, n_clusters: int, permuted: int | None = None) -> Gain:
        return self._judged(labels[:, None], np.array([n_clusters]), permuted)

    def _judged(self, own: np.ndarray, own_counts: np.ndarray, permuted: int | None = None) -> Gain:
        """Gain of clusterings of the layer's modality with the partners; of permuted sounds with a turn's number."""
        codes = np.ascontiguousarray(np.concatenate([own, self._partner_codes], axis=1, dtype=np.int32))
        is_own = np.arange(codes.shape[1]) < own.shape[1]
        is_audio = is_own if self._info.modality == "audio" else ~is_own
        sample, counts = self._sample, np.concatenate([own_counts, self._partner_counts])
        if permuted is not None:
            codes = permuted_codes(codes, is_audio, sample.source, sample.fold, self._seed + permuted)
        look = self._progress.check_cancelled
        return evidence_gain(codes, is_audio, counts, sample.source, sample.fold, seed=self._seed, look=look)

    def _row(
        self, count: int, labels: list[np.ndarray], gains: list[Gain], permuted: list[Gain], seconds: float
    ) -> CountRow:
        means = np.array([gain.mean for gain in gains])
        spread = float(means.std(ddof=1)) if len(means) > 1 else float("nan")
        of_seeds = 0.0 if len(means) < 2 else spread / np.sqrt(len(means))
        of_clips = error_by_source(np.mean([gain.excess for gain in gains], axis=0), self._sample.source)
        of_permuted = error_by_source(np.mean([gain.excess for gain in permuted], axis=0), self._sample.source)
        sizes = np.bincount(labels[0])
        rand = [
            adjusted_rand(contingency_table(a, b, int(a.max()) + 1, int(b.max()) + 1))
            for i, a in enumerate(labels)
            for b in labels[:i]
        ]
        return CountRow(
            count=count,
            clusters=round(float(np.mean([len(np.unique(one)) for one in labels]))),
            gain=float(means.mean()),
            error=float(np.hypot(of_clips, of_seeds)),
            spread=spread,
            permuted=float(np.mean([gain.mean for gain in permuted])),
            permuted_error=of_permuted,
            wins=float(np.mean([gain.wins for gain in gains])),
            agreement=float(np.mean(rand)) if rand else float("nan"),
            overlap=mean_overlap(np.stack([best_share(gain.score) for gain in gains])),
            single_source=int(np.count_nonzero(sources_in(labels[0], self._sample.source, len(sizes)) == 1)),
            smallest=int(sizes[sizes > 0].min()),
            seconds=seconds,
        )

    def _added(self, count: int | None) -> Added | None:
        """What the layer adds to the others of its modality, with as many clusters as are proposed."""
        if count is None or not self._own:
            return None
        self._progress.note(f"{self._info.name}: what it adds to the other layers")
        others = self._assigned(self._own)
        sizes = others.max(axis=0).astype(np.int64) + 1
        without = self._judged(others, sizes).excess
        gained = []
        for turn in range(self._seeds):
            self._progress.check_cancelled()
            found = clustered(self._ws, self._features, count, self._seed + turn, self._progress)
            own = np.concatenate([others, found.assignments[:, None]], axis=1)
            gained.append(self._judged(own, np.append(sizes, len(found.sizes))).excess - without)
        return added_of(count, gained, self._sample.source, len(self._own))


def added_of(count: int, gained: Sequence[np.ndarray], source: np.ndarray, others: int) -> Added:
    """What a layer adds, of its clips' gains with it less those without it, float64 (n,) of each seed.

    Both are judged over the same decoys, which cancels most of what is by chance in them, but not that cross-fitting
    sees the added tables' own chance twice. With the plain error of sources a layer of noise beside layers of noise
    would be said to add in 3 to 6 of 100 studies, not in 2.5 (measured: 1,700 made studies, 4 to 16 clusters, errors
    too small by 1.12 to 1.17); the interval is that of `NULL_INFLATION`, with which it is 1 in 100. Where the other
    layers do tell something, noise beside them lowers the gain, since it widens the decoys: then a small true gain may
    be hidden, but none is invented.
    """
    value, means = np.mean(gained, axis=0), np.array([one.mean() for one in gained])
    of_seeds = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.0
    error = NULL_INFLATION * float(np.hypot(error_by_source(value, source), of_seeds))
    low, high = interval(float(value.mean()), error, int(source.max()) + 1)
    return Added(count, float(value.mean()), low, high, others)


def best_share(score: np.ndarray, share: float = SHARE) -> np.ndarray:
    """The best `share` of the clips, bool (n,); ties go to the earlier row."""
    out = np.zeros(len(score), bool)
    out[np.argsort(-score, kind="stable")[: max(1, round(share * len(score)))]] = True
    return out
