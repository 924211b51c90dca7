"""Which clips sound or look most alike: rows, vectors or a file go in, rows and their similarity come out.

Reads the artefact `neighbours/<modality>` that the stage of that name makes: 64 principal components of all layers
together (each layer counting the same), scaled to length 1, so that the similarity is a cosine, from -1 to 1. The
arrays stay memory maps: a search costs no memory that lasts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import ConcordError, InputError, MediaError, MissingArtefactError
from curation.kernels.compact import Compaction
from curation.kernels.inverted import Lists, search
from curation.workspace import Artefact, Workspace

MODALITIES = ("audio", "visual")
STAGE = "neighbours"
_WORDS = {"audio": ("sound", "sounds"), "visual": ("picture", "pictures")}
_TIME_LIMIT_S = 60.0


def key_of(modality: str) -> str:
    """Where the vectors of "audio" or "visual" lie. Raises `InputError` for anything else."""
    if modality not in MODALITIES:
        raise InputError(f"There is no modality {modality!r}.", hint="Allowed: audio, visual.")
    return f"neighbours/{modality}"


def is_made(workspace: Workspace, modality: str) -> bool:
    """Whether neighbours of the present clips can be asked for."""
    found = workspace.artefact(key_of(modality))
    return found is not None and workspace.fits(found)


def info(workspace: Workspace, modality: str) -> dict[str, Any]:
    """Facts of the artefact: layers ([extractor, layer] each), dim, clips, lists, probe, recall_at_10 (1.0 = exact).

    Raises `MissingArtefactError` where it is not made, or of other clips.
    """
    return _artefact(workspace, modality).info


def nearest(workspace: Workspace, modality: str, rows_or_vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` most similar clips of each row or vector, the best first.

    rows_or_vectors: integer (m,) rows of clips, which are left out of their own answers, or float (m, dim) vectors
    as `embed_file` and `vectors` give them. Meant for the few that a page shows: time grows with m.
    Returns rows, int64 (m, k), and cosines, float32 (m, k): -1 and NaN where there are no more clips, or where a clip
    has no value in this modality. Exact to 200,000 clips; above, `info` states the recall that was measured.
    Raises `MissingArtefactError`, `InputError`.
    """
    artefact = _artefact(workspace, modality)
    lists = _lists(workspace, artefact)
    row_of_place = workspace.array(artefact.key, "rows")
    asked = np.asarray(rows_or_vectors)
    if k < 1 or asked.ndim not in (1, 2):
        raise InputError(
            f"{k} neighbours of an array of shape {asked.shape} cannot be found.", hint="Ask for 1 or more."
        )
    if asked.ndim == 2:
        _check_dim(asked, lists)
        places, similarity = search(lists, asked, k, int(artefact.info["probe"]))
        return _rows(row_of_place, places), similarity
    own = _places(workspace, artefact, asked)
    known = np.flatnonzero(own >= 0)
    places = np.full((len(asked), k), -1, np.int64)
    similarity = np.full((len(asked), k), np.nan, np.float32)
    if len(known):
        queries = np.asarray(lists.vectors[own[known]], np.float32)
        found, values = search(lists, queries, k + 1, int(artefact.info["probe"]))
        places[known], similarity[known] = _without(found, values, own[known])
    return _rows(row_of_place, places), similarity


def vectors(workspace: Workspace, modality: str, rows: np.ndarray) -> np.ndarray:
    """Vectors of clips, float32 (m, dim), of length 1; zeros where a clip has no value."""
    artefact = _artefact(workspace, modality)
    own = _places(workspace, artefact, np.asarray(rows))
    out = np.zeros((len(own), int(artefact.info["dim"])), np.float32)
    out[own >= 0] = workspace.array(artefact.key, "vectors")[own[own >= 0]]
    return out


def embed_file(workspace: Workspace, modality: str, path: str | os.PathLike[str]) -> np.ndarray:
    """The vector, float32 (dim,), of a sound, picture or video file from outside, to give to `nearest` as (1, dim).

    The workspace's own extractors measure the first clip length of it (`segment.clip_s`) in a process that may die.
    Raises `MissingArtefactError`; `InputError` where features were imported, or the file has no such modality or gives
    the extractors too little; `MediaError` where it cannot be decoded.
    """
    from curation.media.sandbox import Sandbox

    artefact = _artefact(workspace, modality)
    wanted = [(str(extractor), str(layer)) for extractor, layer in artefact.info["layers"]]
    spelled, memory_mb, slow_s = _extractors(workspace, modality, [extractor for extractor, _ in wanted])
    config = workspace.config
    payload = {
        "path": str(Path(path)),
        "segments": [[0.0, float(config.segment.clip_s)]],
        "extractors": spelled,
        "options": {"weights_folder": config.features.weights_folder, "device": config.resources.device},
    }
    memory_mb = max(config.features.memory_limit_mb, memory_mb)
    with Sandbox(workers=1, time_limit_s=_TIME_LIMIT_S + slow_s, memory_limit_mb=memory_mb) as sandbox:
        value = sandbox.call("features", payload)
    singular = _WORDS[modality][0]
    failure = value["errors"][0] if value["errors"] else None
    if failure is not None and failure[1] != "no_data":
        _, code, message = failure
        raise MediaError(message, hint=f"Give a file with a {singular} that FFmpeg can decode.", code=code)
    if failure is not None or not all(value[f"valid/{extractor}"][0] for extractor, _ in wanted):
        raise InputError(
            f"{Path(path).name} has no {singular} that can be measured.",
            hint=f"It may be silent, too short, or without a {singular} at all.",
        )
    features = np.concatenate([value[f"{extractor}/{layer}"] for extractor, layer in wanted], axis=1)
    return compaction(workspace, modality).apply(features)[0]


def compaction(workspace: Workspace, modality: str) -> Compaction:
    """How features of the layers, one after another, become vectors."""
    artefact = _artefact(workspace, modality)
    return Compaction(
        np.asarray(workspace.array(artefact.key, "mean")), np.asarray(workspace.array(artefact.key, "weights"))
    )


# -- inside ------------------------------------------------------------------------------------------------------------


def _artefact(workspace: Workspace, modality: str) -> Artefact:
    return workspace.require_fitting(key_of(modality), STAGE)


def _lists(workspace: Workspace, artefact: Artefact) -> Lists:
    return Lists(*(workspace.array(artefact.key, name) for name in Lists._fields))


def _places(workspace: Workspace, artefact: Artefact, rows: np.ndarray) -> np.ndarray:
    places = workspace.array(artefact.key, "places")
    wanted = rows.astype(np.int64)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise InputError(f"Rows of clips are whole numbers in one line, not {rows.dtype} of shape {rows.shape}.")
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(places)):
        raise InputError(f"A row lies outside the {len(places):,} clips.", hint=f"Rows are 0 to {len(places) - 1}.")
    return np.asarray(places[wanted], np.int64)


def _without(places: np.ndarray, similarity: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The answers (m, k + 1) without the asking clip itself, or without the last one where it is not among them."""
    hit = places == own[:, None]
    hit[~hit.any(1), -1] = True
    kept = ~hit
    shape = (len(places), places.shape[1] - 1)
    return places[kept].reshape(shape), similarity[kept].reshape(shape)


def _rows(row_of_place: np.ndarray, places: np.ndarray) -> np.ndarray:
    if not len(row_of_place):
        return places
    return np.where(places >= 0, row_of_place[np.maximum(places, 0)], -1).astype(np.int64)


def _check_dim(asked: np.ndarray, lists: Lists) -> None:
    dim = lists.vectors.shape[1]
    if asked.shape[1] != dim or not np.isfinite(asked).all():
        raise InputError(f"Vectors of this workspace have {dim} finite numbers, not {asked.shape[1]}.")


def _extractors(workspace: Workspace, modality: str, names: list[str]) -> tuple[list[str], int, float]:
    """The extractors called `names` as the settings spell them, the memory and the seconds a clip that they need."""
    from curation.extractors.chosen import chosen, numbers_of
    from curation.workspace import fingerprint_of

    config = workspace.config
    options = {"weights_folder": config.features.weights_folder, "device": config.resources.device, "fetch": False}
    try:
        found = chosen(config.features.extractors, "", **options)
    except ConcordError as error:
        raise InputError(f"A file from outside cannot be measured here: {error.message}", hint=error.hint) from error
    by_name = {extractor.name: (spelled, extractor) for spelled, extractor in found.items()}
    spelled_names, memory_mb, slow_s = [], 0, 0.0
    for name in dict.fromkeys(names):
        made = workspace.require(f"features/{name}", "features").info.get("extractor")
        if name not in by_name or fingerprint_of(numbers_of(by_name[name][1])) != made:
            many = _WORDS[modality][1]
            raise InputError(
                f"A file from outside cannot be compared with these {many}: the features {name} were brought in, or "
                "measured with other settings than the present ones.",
                hint="It works in workspaces whose features were measured here; run the features stage.",
            )
        spelled, extractor = by_name[name]
        if not (state := extractor.available()).ready:
            raise MissingArtefactError(f"{name} cannot run here: {state.missing}")
        spelled_names.append(spelled)
        memory_mb, slow_s = max(memory_mb, extractor.memory_mb), slow_s + extractor.seconds_a_clip
    return spelled_names, memory_mb, slow_s
