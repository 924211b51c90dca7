"""Clusterings that took no part in a choice, and the same choice made again: facts of a selection in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.clustering import cluster
from curation.methods.registry import METHODS
from curation.selection import select
from curation.workspace import Workspace

LAYERS_MAX = 6  # clusterings of a modality that clusters are counted in
POINTS_A_CENTROID = 512
_FRESH_SEED = 1_000_003
_WORDS = {
    "layers": "layers that the run did not use",
    "replicates": "other runs of k-means on the layers of the run (same features, other seeds)",
    "fresh": "k-means made anew on the layers of the run (same features, another seed)",
    "used": "the run's own clusterings: NOT held out, so its clusters are flattered",
}


@dataclass(frozen=True)
class HeldOut:
    """One clustering: `codes` int32 (N,), -1 = none; `kind`: a key of the words above."""

    name: str
    modality: str
    kind: str
    codes: np.ndarray
    n_clusters: int


@dataclass(frozen=True)
class Redone:
    """Choices made again: positions among the candidates, and what to know of them."""

    orders: list[np.ndarray]
    notices: list[str] = field(default_factory=list)


def held_out(
    workspace: Workspace, info: dict[str, Any], seed: int, progress: Any = None
) -> tuple[list[HeldOut], str, bool]:
    """The clusterings to count clusters in, what they are in words, and whether none took part in the choice.

    Of each modality the best there is: layers that were not used; other runs of k-means (a run of concord used those
    too); k-means made anew from the features; the run's own, where there is nothing else. `info`: of a selection.
    """
    facts = {key.partition("/")[2]: workspace.require(key, "cluster") for key in workspace.keys("clusterings")}
    present = {name: found.info for name, found in facts.items() if workspace.fits(found)}
    used = [name for name in info.get("clusterings", {}) if name in present]
    found: list[HeldOut] = []
    for modality in ("audio", "visual"):
        own = [name for name in used if present[name]["modality"] == modality][:LAYERS_MAX]
        others = [name for name, told in present.items() if told["modality"] == modality and name not in used]
        if others:
            found += [_as_is(workspace, name, modality, "layers") for name in others[:LAYERS_MAX]]
            continue
        for name in own:
            if progress is not None:
                progress.check_cancelled()
            found.append(
                (_replicate(workspace, name, modality) if info.get("method") != "concord" else None)
                or _fresh(workspace, name, modality, present[name], _FRESH_SEED + seed)
                or _as_is(workspace, name, modality, "used")
            )
    kinds = list(dict.fromkeys(one.kind for one in found))
    said = "; ".join(f"{_WORDS[kind]} ({', '.join(one.name for one in found if one.kind == kind)})" for kind in kinds)
    return found, said or "no clusterings", "used" not in kinds and bool(found)


def used_assignments(workspace: Workspace, info: dict[str, Any]) -> tuple[list[str], list[str], np.ndarray] | None:
    """Names, modalities and assignments int32 (N, D) of the clusterings of a run that are still there; None where they
    are not of both modalities.
    """
    there = workspace.keys("clusterings")
    names = [name for name in info.get("clusterings", {}) if f"clusterings/{name}" in there]
    modalities = [str(workspace.require(f"clusterings/{name}", "cluster").info["modality"]) for name in names]
    if set(modalities) != {"audio", "visual"}:
        return None
    columns = [np.asarray(workspace.array(f"clusterings/{name}", "assignments"), np.int32) for name in names]
    return names, modalities, np.stack(columns, axis=1)


def redone_choices(
    workspace: Workspace, info: dict[str, Any], rows: np.ndarray, budget: int, times: int, seed: int,
    step: Callable[[], None],
) -> Redone:  # fmt: skip
    """The choice of a run made again `times` times, each with another run of k-means and another seed after `seed`.

    `rows` int64 (n,): the candidates. Constraints are left out (they are said). Methods that are no choice of their
    own (imported lists, matched-random) and such as need what is not there give none.
    """
    method = METHODS.get(str(info.get("method")))
    used = used_assignments(workspace, info)
    if method is None or used is None or method.needs_like or not times:
        return Redone(
            [], ["How stable the choice is was not looked at: it cannot be made again from here"] * bool(times)
        )
    names, modalities, codes = used
    runs = [found for name in names if (found := _replicates(workspace, name)) is not None]
    n_runs = min(times, *map(len, runs)) if len(runs) == len(names) else 0
    notices = []
    if not n_runs:
        notices.append("Chosen again: the clusterings have no other runs of k-means, so only the seed of the choice "
                       "differs")  # fmt: skip
    constraints = info.get("report", {}).get("constraints", [])
    if constraints:
        notices.append(f"Chosen again without the constraints of the run ({', '.join(constraints)})")
    if info.get("method") == "concord" and n_runs:
        notices.append("Chosen again from one run of k-means each, where concord averages several: rather too low")
    orders = []
    for again in range(times):
        step()
        if n_runs:
            codes = np.stack([found[again % n_runs] for found in runs], axis=1)
        of_seed = 1000 * (1 + seed) + again
        orders.append(_again(workspace, info, names, modalities, codes[rows], rows, budget, of_seed))
    return Redone(orders, notices)


def _again(
    workspace: Workspace, info: dict[str, Any], names: list[str], modalities: list[str], codes: np.ndarray,
    rows: np.ndarray, budget: int, seed: int,
) -> np.ndarray:  # fmt: skip
    report = info.get("report", {})
    pairs = [(pair["first"], pair["second"], pair["weight"]) for pair in report.get("pairs", [])]
    known = all(first in names and second in names for first, second, _ in pairs)
    sources = workspace.table("clips", ["source"])["source"].combine_chunks().dictionary_encode()
    method = METHODS[str(info["method"])]
    features = None
    if method.needs_features:
        facts = [workspace.require(f"clusterings/{name}", "cluster").info for name in names]
        features = [workspace.features(told["extractor"], told["layer"], rows) for told in facts]
    usable = (codes >= 0).all(axis=1)
    where = np.flatnonzero(usable)
    found = select(
        codes[where], modalities, layers=names, budget=min(budget, len(where)), method=method.name, seed=seed,
        pairing=pairs if pairs and known else info.get("pairing", "bipartite"),
        batch_size=int(report.get("batch_size", 100)), selection_size=int(report.get("selection_size", 25)),
        refill=str(report.get("refill", "redraw")), options=info.get("options") or None,
        groups=np.asarray(sources.indices)[rows][where],
        features=None if features is None else [values[where] for values in features],
        controls=False, device="cpu",
    )  # fmt: skip
    return where[found.order]


def _as_is(workspace: Workspace, name: str, modality: str, kind: str) -> HeldOut:
    codes = np.asarray(workspace.array(f"clusterings/{name}", "assignments"))
    return HeldOut(name, modality, kind, codes, int(codes.max(initial=-1)) + 1)


def _replicates(workspace: Workspace, name: str) -> np.ndarray | None:
    """Further runs of k-means of a clustering, int (R, N), memory-mapped; None where there are none."""
    path = workspace.artefact_path(f"clusterings/{name}") / "replicates.npy"
    found = np.load(path, mmap_mode="r", allow_pickle=False) if path.is_file() else None
    return found if found is not None and len(found) else None


def _replicate(workspace: Workspace, name: str, modality: str) -> HeldOut | None:
    runs = _replicates(workspace, name)
    if runs is None:
        return None
    codes = np.asarray(runs[-1], np.int32)
    return HeldOut(name, modality, "replicates", codes, int(codes.max(initial=-1)) + 1)


def _fresh(workspace: Workspace, name: str, modality: str, told: dict[str, Any], seed: int) -> HeldOut | None:
    artefact = workspace.artefact(f"features/{told['extractor']}") if told.get("extractor") else None
    if artefact is None or not workspace.fits(artefact) or told.get("layer") not in artefact.info.get("layers", {}):
        return None
    valid = np.asarray(workspace.array(f"features/{told['extractor']}", "valid")).astype(bool)
    rows = np.flatnonzero(valid)
    settings = workspace.config.cluster
    found = cluster(
        workspace.features(told["extractor"], told["layer"], rows), int(told["n_clusters"]), seed=seed, device="cpu",
        standardize=settings.standardize, pca_dim=settings.pca_dim or None, n_iter=settings.n_iter,
        max_points_per_centroid=POINTS_A_CENTROID,
    )  # fmt: skip
    codes = np.full(len(valid), -1, np.int32)
    codes[rows] = found.assignments
    return HeldOut(name, modality, "fresh", codes, len(found.sizes))
