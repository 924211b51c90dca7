"""neighbours: features -> neighbours/audio and neighbours/visual: short vectors of all clips, ready to be searched.

Exact up to 200,000 clips; above, vectors lie in inverted lists, and what a search in them finds of the truly nearest
is measured and kept with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from curation.atomic import write_array
from curation.config import Config
from curation.errors import MissingArtefactError, SettingError
from curation.kernels.compact import Compaction, fit_compaction
from curation.kernels.draws import STREAM_SAMPLE, shuffle_front, stream_key
from curation.kernels.inverted import Lists, search
from curation.neighbours import MODALITIES
from curation.stage import Part, Report, Stage, StageContext, Target, Work
from curation.workspace import CLIPS_FINGERPRINT, Workspace

EXACT_MOST = 200_000
BLOCK_ROWS = 65_536
FIT_ROWS = 16_384  # the components are fitted on this many clips
POINTS_A_LIST = 48  # and the lists on this many clips each
ROUNDS = 8
RECALL_QUERIES, RECALL_K, RECALL_ENOUGH = 100, 10, 0.97
_PROBES = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Source:
    """The layers that make up one modality's vectors, and which clips have a value in all of them."""

    layers: list[tuple[str, str, int]]  # extractor, layer, dim
    rows: np.ndarray
    n_clips: int

    @property
    def extractors(self) -> list[str]:
        return list(dict.fromkeys(extractor for extractor, _, _ in self.layers))

    def read(self, workspace: Workspace, rows: np.ndarray) -> np.ndarray:
        """Features of `rows`, layer after layer, float32 (m, D)."""
        return np.concatenate([workspace.features(extractor, layer, rows) for extractor, layer, _ in self.layers], 1)

    def blocks(self, workspace: Workspace) -> Iterator[tuple[slice, np.ndarray]]:
        """All of them: which of `rows`, and their features."""
        for start in range(0, len(self.rows), BLOCK_ROWS):
            at = slice(start, min(start + BLOCK_ROWS, len(self.rows)))
            yield at, self.read(workspace, self.rows[at])


class NeighboursStage(Stage):
    """Make sounds and pictures comparable, each clip with every other."""

    name = "neighbours"
    version = 1
    unit = "sides"
    makes = "what finds the nearest clips"

    def targets(self, workspace: Workspace, config: Config) -> list[Target]:
        found = {modality: layers_of(workspace, modality, config.neighbours.layers) for modality in MODALITIES}
        if not any(found.values()):
            raise MissingArtefactError(f"{workspace.name} has no features yet.", hint="Run the features stage first.")
        settings = {"dim": config.neighbours.dim, "seed": config.neighbours.seed}
        return [
            Target(
                f"neighbours/{modality}",
                self.fingerprint(
                    settings | {"layers": [f"{extractor}.{layer}" for extractor, layer, _ in layers]},
                    [
                        workspace.require_fitting(f"features/{name}", "features").fingerprint
                        for name in dict.fromkeys(extractor for extractor, _, _ in layers)
                    ],
                ),
            )
            for modality, layers in found.items()
            if layers
        ]

    def plan(self, context: StageContext, targets: list[Target]) -> Work:
        return NeighboursWork(context, targets)


class NeighboursWork(Work):
    """One modality a part."""

    def __init__(self, context: StageContext, targets: list[Target]) -> None:
        self._context = context
        self._recall: dict[str, float] = {}
        self.parts = [Part(i, 1, target) for i, target in enumerate(targets)]

    def is_done(self, part: Part) -> bool:
        return self._context.workspace.fingerprint(part.payload.key) == part.payload.fingerprint

    def run(self, part: Part) -> None:
        target: Target = part.payload
        workspace, settings = self._context.workspace, self._context.config.neighbours
        modality = target.key.partition("/")[2]
        source = source_of(workspace, modality, settings.layers)
        # Products must not depend on the number of threads.
        with threadpool_limits(1, "blas"):
            compaction = _fitted(workspace, source, settings.dim, settings.seed)
            vectors = np.zeros((len(source.rows), compaction.weights.shape[1]), np.float16)
            for at, features in source.blocks(workspace):
                self._context.progress.check_cancelled()
                vectors[at] = compaction.apply(features)
            self._context.progress.note(f"{modality}: {len(vectors):,} clips")
            lists, order = make_lists(vectors, settings.seed)
            self._context.progress.check_cancelled()
            probe, recall = _probe(lists, settings.seed)
        places = np.full(source.n_clips, -1, np.int32)
        places[source.rows[order]] = np.arange(len(order))
        arrays = {"rows": source.rows[order].astype(np.int32), "places": places, **lists._asdict(), **vars(compaction)}
        folder = workspace.partial_folder(target.key, target.fingerprint)
        for name, array in arrays.items():
            write_array(folder / f"{name}.npy", array)
        made_of = workspace.require(f"features/{source.extractors[0]}", "features").info.get(CLIPS_FINGERPRINT)
        info = {
            CLIPS_FINGERPRINT: made_of,
            "modality": modality,
            "layers": [[extractor, layer] for extractor, layer, _ in source.layers],
            "dim": vectors.shape[1],
            "clips": len(vectors),
            "lists": len(lists.centroids),
            "probe": probe,
            "recall_at_10": recall,
        }
        workspace.commit_folder(target.key, folder, target.fingerprint, info)
        self._recall[modality] = recall
        self._context.progress.advance()

    def finish(self) -> Report:
        return Report(facts={"sides": len(self.parts), "recall": min(self._recall.values(), default=None)})


def layers_of(workspace: Workspace, modality: str, wanted: str = "") -> list[tuple[str, str, int]]:
    """Extractor, layer and dimensions of the layers of one modality; `wanted`: names separated by commas, "" = all.

    Raises `SettingError` where a wanted one is there in no modality.
    """
    found, known = [], []
    for key in workspace.keys("features"):
        extractor, info = key.partition("/")[2], workspace.require(key, "features").info
        known += [f"{extractor}.{layer}" for layer in info["layers"]]
        if info["modality"] == modality:
            found += [(extractor, layer, int(dim)) for layer, dim in info["layers"].items()]
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown and known:
        raise SettingError(
            f"neighbours.layers names {unknown[0]}, which is no layer of this workspace.",
            hint=f"Its layers are: {', '.join(known)}.",
        )
    return [item for item in found if not names or f"{item[0]}.{item[1]}" in names]


def source_of(workspace: Workspace, modality: str, wanted: str = "") -> Source:
    """The layers of one modality with the clips that have a value in all of them."""
    layers = layers_of(workspace, modality, wanted)
    names = dict.fromkeys(extractor for extractor, _, _ in layers)
    valid = np.logical_and.reduce([np.asarray(workspace.array(f"features/{name}", "valid")) for name in names])
    return Source(layers, np.flatnonzero(valid), len(valid))


def make_lists(vectors: np.ndarray, seed: int, exact_most: int = EXACT_MOST) -> tuple[Lists, np.ndarray]:
    """`vectors` float16 (n, d) in lists, and the order that they are in now, int64 (n,).

    One list up to `exact_most` vectors; above, about 4 sqrt(n) by k-means on a sample.
    """
    n = len(vectors)
    if n <= exact_most:
        centroid = np.zeros((1, vectors.shape[1]), np.float32)
        return Lists(vectors, np.array([0, n], np.int64), centroid), np.arange(n)
    from curation.kernels import kmeans  # torch and faiss are loaded here, not with the package

    count = 2 ** round(np.log2(4 * np.sqrt(n)))
    chosen = _drawn(n, POINTS_A_LIST * count, seed)
    assigner = kmeans.Assigner()
    centroids, _ = kmeans.train(vectors[chosen].astype(np.float32), count, seed=seed, n_iter=ROUNDS, assigner=assigner)
    label = np.empty(n, np.int32)
    for start in range(0, n, BLOCK_ROWS):
        at = slice(start, start + BLOCK_ROWS)
        label[at] = kmeans.assign(vectors[at].astype(np.float32), centroids, assigner)[0]
    order = np.argsort(label, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=len(centroids)))])
    return Lists(vectors[order], starts, centroids), order


def _fitted(workspace: Workspace, source: Source, dim: int, seed: int) -> Compaction:
    chosen = source.rows[_drawn(len(source.rows), FIT_ROWS, seed)]
    groups = [size for _, _, size in source.layers]
    if not len(chosen):
        return Compaction(np.zeros(sum(groups), np.float32), np.zeros((sum(groups), 1), np.float32))
    return fit_compaction(source.read(workspace, chosen), groups, dim)


def _probe(lists: Lists, seed: int) -> tuple[int, float]:
    """How many lists a search looks at, and the share of the ten truly nearest that it finds (of 100 drawn clips).

    The fewest that find `RECALL_ENOUGH` of them; the most that are allowed where none does.
    """
    if len(lists.centroids) == 1:
        return 1, 1.0
    queries = lists.vectors[_drawn(len(lists.vectors), RECALL_QUERIES, seed)].astype(np.float32)
    exact, _ = search(lists, queries, RECALL_K + 1, len(lists.centroids))
    recall = 0.0
    for probe in _PROBES:
        found, _ = search(lists, queries, RECALL_K + 1, probe)
        # The clip itself is always found: it is left out of the count.
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, exact)) - len(queries)
        recall = hits / (len(queries) * RECALL_K)
        if recall >= RECALL_ENOUGH:
            break
    return probe, round(float(recall), 4)


def _drawn(n: int, take: int, seed: int) -> np.ndarray:
    """At most `take` of n places, drawn without replacement, sorted, int64."""
    places = np.arange(n)
    if n > take:
        shuffle_front(places, take, np.uint64(stream_key(seed, STREAM_SAMPLE, 7)))
    return np.sort(places[:take])
