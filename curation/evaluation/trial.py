"""What retrieval is tried on: a workspace with known answers or pairs of labelled sets in; one `Trial` a seed out.

Answers and labels build the pairs and judge what was chosen; no method ever sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from curation.clustering import cluster
from curation.errors import InputError, MissingArtefactError, SettingError
from curation.evaluation.labelled import Labelled, layers_of, measured_by, shared_classes
from curation.evaluation.pairs import PROTOCOLS, Pairs, leaky_rows, make_pairs
from curation.truth import TRUTH_COLUMN, truth_of
from curation.workspace import CLIPS_FINGERPRINT, Workspace

SHUFFLES = ("whole", "leaky")
POINTS_A_CENTROID = 512  # k-means of a trial is trained on a sample of this many clips a cluster where there are more


@dataclass(frozen=True)
class Trial:
    """Clips to choose from and who is right. `codes` int (N, D); `modalities`, `layers` D names; `right`, `known` bool
    (N,); `source` int32 (N,) from 0: what is resampled for intervals; `features` gives D arrays (N, d), or is None.

    `groups`: sources that methods may know of, or None; `rows` int64 (N,): rows of the workspace; `pairs`: of a trial
    of labelled sets, its pictures and sounds.
    """

    codes: np.ndarray
    modalities: Sequence[str]
    layers: Sequence[str]
    right: np.ndarray
    known: np.ndarray
    source: np.ndarray
    features: Callable[[], Sequence[np.ndarray]] | None = None
    groups: np.ndarray | None = None
    replicates: Sequence[np.ndarray] = ()
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    pairs: Pairs | None = None

    @property
    def n_right(self) -> int:
        """How many clips are right: counted where all are known, else the share among the known ones of all."""
        known = int(self.known.sum())
        return max(1, round(len(self.right) * float((self.right & self.known).sum()) / max(1, known)))


class Task(Protocol):
    """Something to try methods on."""

    kind: str  # "workspace" or "pairs"
    notices: list[str]

    def identity(self) -> dict[str, Any]:
        """What tells this task from others, ready for JSON; it goes into the fingerprint."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a reader should know of it, ready for JSON."""
        ...

    def trial(self, seed: int, progress: Any = None) -> Trial:
        """The clips of one seed."""
        ...


class WorkspaceTask:
    """The candidates of a workspace, judged by a column of answers. A seed redoes k-means of every layer.

    Layers whose features are not there (imported assignments) stay as they are. Clips without an answer take part in
    the choice and count for neither side. Raises `InputError` where the answers are all alike or too few.
    """

    kind = "workspace"

    def __init__(
        self, workspace: Workspace, *, column: str = TRUTH_COLUMN, layers: Sequence[str] = (), clusters: int = 0,
        replicates: int = 0,
    ) -> None:  # fmt: skip
        self._workspace = workspace
        self._column, self._clusters, self._replicates = column, clusters, replicates
        self.notices: list[str] = []
        self._infos = _clusterings(workspace, layers)
        answers = truth_of(workspace, column)
        known = np.asarray(answers.is_valid())
        right = np.asarray(answers.fill_null(False))
        usable = np.ones(len(known), bool)
        for name in self._infos:
            usable &= np.asarray(workspace.array(f"clusterings/{name}", "assignments")) >= 0
        self._rows = np.flatnonzero(usable)
        self._known, self._right = known[self._rows], right[self._rows]
        self._check_answers(int(known.sum()))
        sources = workspace.table("clips", ["source"])["source"].combine_chunks().dictionary_encode()
        self._source = np.unique(np.asarray(sources.indices)[self._rows], return_inverse=True)[1].astype(np.int32)
        self._redone = [name for name in self._infos if self._features_of(name)]
        if len(self._redone) < len(self._infos):
            kept = len(self._infos) - len(self._redone)
            self.notices.append(f"{kept} of {len(self._infos)} layers have no features here and keep their clusters "
                                "in every seed")  # fmt: skip

    def _check_answers(self, of_all: int) -> None:
        column, n = self._column, len(self._rows)
        known, right = int(self._known.sum()), int((self._right & self._known).sum())
        if not known:
            where = f"{of_all} others have one" if of_all else "no clip has one"
            raise InputError(f"No candidate has an answer in {column!r}: {where}.",
                             hint="Join answers: python -m curation import WORKSPACE --truth FILE ...")  # fmt: skip
        if right in (0, known):
            raise InputError(
                f"All {known} answers of {column!r} are {'true' if right else 'false'}: nothing can be retrieved.",
                hint="Answers of both kinds are needed.",
            )
        if known < n:
            self.notices.append(f"{n - known:,} of {n:,} candidates have no answer: they take part in the choice and "
                                "count for neither side")  # fmt: skip

    def identity(self) -> dict[str, Any]:
        ws = self._workspace
        keys = ["clips", f"columns/{self._column}", *(f"clusterings/{name}" for name in self._infos)]
        keys += sorted({f"features/{self._infos[name]['extractor']}" for name in self._redone})
        settings = {k: getattr(ws.config.cluster, k) for k in ("standardize", "pca_dim", "n_iter")}
        return {
            "kind": self.kind, "inputs": {key: ws.fingerprint(key) for key in keys}, "clusters": self._clusters,
            "replicates": self._replicates, "cluster": settings,
        }  # fmt: skip

    def facts(self) -> dict[str, Any]:
        known = int(self._known.sum())
        return {
            "kind": self.kind, "column": self._column, "candidates": len(self._rows), "known": known,
            "right": int((self._right & self._known).sum()), "sources": int(self._source.max()) + 1,
            "layers": list(self._infos), "redone": self._redone,
            "clusters": {name: self._count(name) for name in self._infos},
            CLIPS_FINGERPRINT: self._workspace.fingerprint("clips"),
        }  # fmt: skip

    def trial(self, seed: int, progress: Any = None) -> Trial:
        names = list(self._infos)
        runs = [self._codes(seed if r == 0 else 1000 * r + seed, progress) for r in range(self._replicates + 1)]
        there = len(self._redone) == len(names)
        return Trial(
            codes=runs[0], modalities=[self._infos[name]["modality"] for name in names], layers=names,
            right=self._right, known=self._known, source=self._source,
            features=(lambda: [self._features(name) for name in names]) if there else None, groups=self._source,
            replicates=runs[1:], rows=self._rows,
        )  # fmt: skip

    def _codes(self, seed: int, progress: Any) -> np.ndarray:
        settings = self._workspace.config.cluster
        columns = []
        for name in self._infos:
            if progress is not None:
                progress.check_cancelled()
            if name not in self._redone:
                columns.append(np.asarray(self._workspace.array(f"clusterings/{name}", "assignments"))[self._rows])
                continue
            made = cluster(
                self._features(name), self._count(name), seed=seed, device="cpu", standardize=settings.standardize,
                pca_dim=settings.pca_dim or None, n_iter=settings.n_iter, max_points_per_centroid=POINTS_A_CENTROID,
                progress=progress,
            )  # fmt: skip
            columns.append(made.assignments)
        return np.stack(columns, axis=1).astype(np.int32)

    def _count(self, name: str) -> int:
        return self._clusters or int(self._infos[name]["n_clusters"])

    def _features(self, name: str) -> np.ndarray:
        info = self._infos[name]
        return self._workspace.features(info["extractor"], info["layer"], self._rows)

    def _features_of(self, name: str) -> bool:
        info = self._infos[name]
        found = self._workspace.artefact(f"features/{info['extractor']}") if info.get("extractor") else None
        if found is None or not self._workspace.fits(found) or info.get("layer") not in found.info.get("layers", {}):
            return False
        valid = np.asarray(self._workspace.array(f"features/{info['extractor']}", "valid"))
        return bool(valid[self._rows].all())


class PairTask:
    """Pairs of two labelled sets. A seed redoes k-means of every layer, the pairs, and which of them are mismatched."""

    kind = "pairs"

    def __init__(
        self, pictures: Labelled, sounds: Labelled, cache: Path, *, protocol: str = "class", share: float = 0.5,
        clusters: int = 32, shuffle: str = "whole", features: str = "auto", replicates: int = 0, workers: int = 2,
        progress: Any = None,
    ) -> None:  # fmt: skip
        if protocol not in PROTOCOLS or shuffle not in SHUFFLES or not 0 < share < 1:
            raise SettingError(
                f"mismatch {protocol!r}, shuffle {shuffle!r}, share {share}: one of them cannot be used.",
                hint=f"Mismatch: {', '.join(PROTOCOLS)}. Shuffle: {', '.join(SHUFFLES)}. Share: between 0 and 1.",
            )
        self._protocol, self._share, self._clusters, self._shuffle = protocol, share, clusters, shuffle
        self._replicates, self._sets = replicates, (sounds, pictures)
        shown, heard, self.notices = shared_classes(pictures, sounds)
        if progress is not None:
            progress.start("features", len(pictures.files) + len(sounds.files), "files")
        self._layers: list[dict[str, np.ndarray]] = []
        self._kept: list[np.ndarray] = []  # rows of the set that have a class and features
        self._labels: list[np.ndarray] = []
        for one, labels in ((sounds, heard), (pictures, shown)):
            found, valid, said = layers_of(one, cache, features=features, workers=workers, progress=progress)
            rows = np.flatnonzero(valid & (labels >= 0))
            self._layers.append({name: values[rows] for name, values in sorted(found.items())})
            self._kept.append(rows)
            self._labels.append(labels[rows])
            self.notices += said
        self._digests = [one.digest() for one in self._sets]
        # Plain layers are small and fixed: `retrieval.VERSION` is raised with theirs
        measured = [measured_by(one, features) for one in self._sets]
        self._measured = [how for how in measured if not how.startswith("plain")]
        self._cached: dict[tuple[int, int], np.ndarray] = {}
        if shuffle == "leaky":
            self.notices.append("LEAKY SHUFFLE (the reference's): layers of one modality disagree about mismatched "
                                "pairs; this shows the leak and is no result")  # fmt: skip

    def identity(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "sets": self._digests, "protocol": self._protocol, "share": self._share,
            "clusters": self._clusters, "shuffle": self._shuffle, "replicates": self._replicates,
            "layers": [sorted(found) for found in self._layers],
            **({"measured": self._measured} if self._measured else {}),
        }  # fmt: skip

    def facts(self) -> dict[str, Any]:
        sounds, pictures = self._sets
        pairs = self._pairs(0)
        return {
            "kind": self.kind, "pictures": str(pictures.folder), "sounds": str(sounds.folder),
            "picture_kind": pictures.kind, "protocol": self._protocol, "share": self._share,
            "shuffle": self._shuffle, "clusters": self._clusters, "classes": len(np.unique(self._labels[0])),
            "candidates": len(pairs.image), "layers": [name for found in self._layers for name in found],
        }  # fmt: skip

    def trial(self, seed: int, progress: Any = None) -> Trial:
        pairs = self._pairs(seed)
        runs = [self._codes(pairs, seed, 1000 * r, progress) for r in range(self._replicates + 1)]
        names = [name for found in self._layers for name in found]
        n = len(pairs.image)
        return Trial(
            codes=runs[0], modalities=["audio" if name.startswith("sound") else "visual" for name in names],
            layers=names, right=pairs.matched, known=np.ones(n, bool), source=pairs.image.astype(np.int32),
            features=lambda: self._features(pairs, seed), replicates=runs[1:], pairs=pairs,
        )  # fmt: skip

    def _features(self, pairs: Pairs, seed: int) -> list[np.ndarray]:
        return [
            values[where]
            for side, found in enumerate(self._layers)
            for values, where in zip(found.values(), self._where(pairs, side, seed), strict=True)
        ]

    def files_of(self, pairs: Pairs) -> dict[str, list[str]]:
        """Path and class of each pair's picture and sound."""
        found = {}
        for what, one, rows in (
            ("picture", self._sets[1], self._kept[1][pairs.image]),
            ("sound", self._sets[0], self._kept[0][pairs.sound]),
        ):
            found[what] = [one.files[row] for row in rows]
            found[f"{what}_class"] = [one.classes[row] for row in rows]
        return found

    def _pairs(self, seed: int) -> Pairs:
        pairs = make_pairs(self._labels[1], self._labels[0], self._protocol, self._share, seed)
        if len(pairs.image) < 4 or not 0 < pairs.matched.sum() < len(pairs.image):
            raise InputError(
                f"{len(pairs.image)} pairs of one class can be made, {int(pairs.matched.sum())} of them matched: too "
                f"few for {self._protocol}-level mismatch.",
                hint="More files a class, or another share.",
            )
        if self._protocol != "independent" and pairs.same_class.all():
            raise InputError(
                f"All {int((~pairs.matched).sum())} mismatched pairs keep a sound of their class: none is mismatched.",
                hint="A smaller share, more classes, or sample-level mismatch.",
            )
        return pairs

    def _where(self, pairs: Pairs, side: int, seed: int) -> list[np.ndarray]:
        """Rows of the set behind each layer of a side (0 sound, 1 picture)."""
        n_layers = len(self._layers[side])
        if side == 1 or self._shuffle == "whole":
            return [pairs.image if side else pairs.sound] * n_layers
        return leaky_rows(pairs, n_layers, seed)

    def _codes(self, pairs: Pairs, seed: int, offset: int, progress: Any) -> np.ndarray:
        columns = []
        for side, found in enumerate(self._layers):
            for k, (values, where) in enumerate(zip(found.values(), self._where(pairs, side, seed), strict=True)):
                key = (seed + offset, 100 * side + k)
                if key not in self._cached:
                    if len(self._cached) >= 256:
                        self._cached.clear()
                    self._cached[key] = cluster(
                        values, self._clusters, seed=seed + offset, device="cpu", progress=progress
                    ).assignments
                columns.append(self._cached[key][where])
        return np.stack(columns, axis=1).astype(np.int32)


def _clusterings(workspace: Workspace, wanted: Sequence[str]) -> Mapping[str, dict[str, Any]]:
    """Facts of the clusterings to use (all by default), sounds first. Raises where one or a modality is missing."""
    known = {
        key.partition("/")[2]: workspace.require_fitting(key, "cluster").info for key in workspace.keys("clusterings")
    }
    if not known:
        raise MissingArtefactError(f"{workspace.name} has no clusterings yet.",
                                   hint=f"Make them: python -m curation cluster {workspace.path}")  # fmt: skip
    for name in wanted:
        if name not in known:
            raise SettingError(f"There is no clustering {name!r}.", hint=f"Clusterings: {', '.join(sorted(known))}.")
    chosen = {name: known[name] for name in sorted(known) if not wanted or name in wanted}
    if {info["modality"] for info in chosen.values()} != {"audio", "visual"}:
        raise InputError(f"The clusterings {', '.join(chosen)} are of one modality only.",
                         hint="Name at least one of sound and one of picture.")  # fmt: skip
    return dict(sorted(chosen.items(), key=lambda item: item[1]["modality"] != "audio"))
