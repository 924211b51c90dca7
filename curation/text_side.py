"""Words beside clips, where a model reads both: texts in, the clips and the clusters whose sound or picture fits out.

Only the layer `joint` of a model of the hub with a text side (CLAP, CLIP, SigLIP, PE-AV) lives in the space of its
words; hidden layers are refused. Words are embedded in a process that may die, and kept in the person's own cache.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from curation.atomic import write_array
from curation.errors import InputError, MediaError, SettingError
from curation.home import cache_folder
from curation.kernels.cosine import add_rows, cosines_of, top_of, unit_rows
from curation.workspace import Workspace, fingerprint_of

TEXT_VERSION = 1  # raised when the vectors of words change
TEXT_CHARS = 200
EXAMPLES = (
    "CLAP for sound (hub:laion/clap-htsat-unfused) or SigLIP 2 for pictures (hub:google/siglip2-base-patch16-224)"
)
_KEPT_TEXTS = 2000
_TIME_LIMIT_S, _A_TEXT_S = 180.0, 2.0
_BLOCK_ROWS = 8192


@dataclass(frozen=True)
class TextLayer:
    """A layer in which words have a place. `name` as everywhere (`<extractor>.joint`); `spelled`: the model as the
    settings spell it ("" where they name it no more); `made`: what its features depend on, as their artefact says."""

    name: str
    extractor: str
    layer: str
    spelled: str
    modality: str
    dim: int
    made: str


# -- which layers ------------------------------------------------------------------------------------------------------


def text_layers(workspace: Workspace) -> list[TextLayer]:
    """Layers of the present clips in which words have a place, sounds first; reads no model."""
    from curation.extractors.hub_plan import JOINT

    spelled, found = _spelled(workspace), []
    for key in workspace.keys("features"):
        artefact, name = workspace.require(key, "features"), key.partition("/")[2]
        dim, made = artefact.info.get("layers", {}).get(JOINT), artefact.info.get("extractor")
        if not name.startswith("hub-") or dim is None or not made or not workspace.fits(artefact):
            continue
        modality = str(artefact.info["modality"])
        found.append(TextLayer(f"{name}.{JOINT}", name, JOINT, spelled.get(name, ""), modality, int(dim), str(made)))
    return sorted(found, key=lambda one: one.modality != "audio")


def text_layer(workspace: Workspace, name: str = "") -> TextLayer:
    """The layer called `name`, or the first one. Raises `InputError` for any layer in which words have no place."""
    found = text_layers(workspace)
    for one in found:
        if name in ("", one.name):
            return one
    if not found:
        raise InputError(
            f"No layer of {workspace.name} is of a model that reads words.",
            hint=f"Add one with a text side to features.extractors and run: {EXAMPLES}.",
        )
    there = ", ".join(one.name for one in found)
    own = next((one for one in found if name.startswith(f"{one.extractor}.")), None)
    if own is not None:
        raise InputError(
            f"{name} is a hidden layer: words have a place only in {own.name}, the one that this model compares with "
            "text.",
            hint=f"Use {own.name}.",
        )
    raise InputError(f"{name} is not a layer of a model that reads words.", hint=f"Layers that are: {there}.")


def lacking(workspace: Workspace, layer: TextLayer | None = None) -> str:
    """Why words cannot be embedded for a layer (any, for None), in a sentence; "" where nothing seems to be missing."""
    from curation.extractors import hub_files
    from curation.extractors.hub_name import parse

    known = [layer] if layer is not None else text_layers(workspace)
    if not known:
        return f"Words need features of a model that also reads text, such as {EXAMPLES}: none was run here."
    if importlib.util.find_spec("transformers") is None:
        return "Words need the package transformers (pip install transformers), which is not installed here."
    for one in known:
        if one.spelled:
            name, folder = parse(one.spelled), workspace.config.features.weights_folder
            if hub_files.find(name, folder) is not None:
                return ""
            return f"The model {name.model_id} is not on this machine any more. {hub_files.instructions(name, folder)}"
    return f"The settings (features.extractors) no longer name the model of {known[0].name}."


# -- words -------------------------------------------------------------------------------------------------------------


def cleaned(text: str) -> str:
    """Words as they are looked for: one line of at most `TEXT_CHARS` characters. Raises `InputError` for none."""
    kept = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if not kept or len(kept) > TEXT_CHARS:
        raise InputError(f"Words are looked for that have 1 to {TEXT_CHARS} characters, not {len(kept)}.")
    return kept


def embed(workspace: Workspace, layer: TextLayer, texts: Sequence[str]) -> np.ndarray:
    """Unit vectors float32 (n, dim) of texts, as the model of `layer` reads them; nothing is kept or fetched.

    Loads the model in a process of its own: seconds. Raises `InputError` where it cannot be read, or is another one
    than the features were measured with; `MediaError` where the process failed.
    """
    from curation.extractors import registry
    from curation.media.sandbox import Sandbox

    if why := lacking(workspace, layer):
        raise InputError(why)
    config = workspace.config
    options = {"weights_folder": config.features.weights_folder, "device": config.resources.device}
    payload = {"extractor": layer.spelled, "options": options, "texts": list(texts)}
    memory_mb = max(config.features.memory_limit_mb, registry.get(layer.spelled, **options).memory_mb)
    limit_s = _TIME_LIMIT_S + _A_TEXT_S * len(texts)
    with Sandbox(workers=1, time_limit_s=limit_s, memory_limit_mb=memory_mb) as sandbox:
        try:
            value = sandbox.call("texts", payload)
        except MediaError as error:
            raise MediaError(
                f"{layer.spelled} could not read the words: {error.message}", hint=error.hint, code=error.code
            ) from error
    vectors = np.asarray(value["vectors"], np.float32)
    if fingerprint_of(value["numbers"]) != layer.made or vectors.shape != (len(texts), layer.dim):
        raise InputError(
            f"The features of {layer.name} were measured with other weights or settings than {layer.spelled} has now.",
            hint="Run the features stage again, then look for words.",
        )
    return vectors


def vector_of(workspace: Workspace, layer: TextLayer, text: str) -> np.ndarray:
    """The vector of a text, float32 (dim,); kept in the person's cache, so that a link opens again. See `embed`."""
    path = _kept_file(workspace, layer, cleaned(text))
    if path is not None and path.is_file():
        found = np.load(path, allow_pickle=False)
        if found.shape == (layer.dim,):
            return found
    vector = embed(workspace, layer, [cleaned(text)])[0]
    if path is not None:
        write_array(path, vector)
        _forget_old(path.parent)
    return vector


def is_kept(workspace: Workspace, layer: TextLayer, text: str) -> bool:
    """Whether `vector_of` answers at once."""
    path = _kept_file(workspace, layer, cleaned(text))
    return path is not None and path.is_file()


def text_print(workspace: Workspace, layer: TextLayer) -> str:
    """What vectors of words depend on beside the words: weights, settings, and the files of the model's tokenizer.

    "" where the model is not on this machine.
    """
    from curation.extractors import hub_files
    from curation.extractors.hub_name import parse
    from curation.extractors.weights import HASH_SUFFIX, sha256_of

    place = hub_files.find(parse(layer.spelled), workspace.config.features.weights_folder) if layer.spelled else None
    if place is None:
        return ""
    files = [p for p in sorted(place.iterdir()) if p.suffix in (".json", ".txt", ".model")]
    tokens = [[p.name, sha256_of(p)] for p in files if not p.name.endswith(HASH_SUFFIX)]
    return fingerprint_of({"version": TEXT_VERSION, "made": layer.made, "files": tokens})


# -- clips and clusters ------------------------------------------------------------------------------------------------


def cosines(workspace: Workspace, layer: TextLayer, vector: np.ndarray) -> np.ndarray:
    """Cosine of every clip with a vector (dim,), float32 (N,); NaN = no value. Reads the whole layer, in blocks."""
    valid = np.asarray(workspace.array(f"features/{layer.extractor}", "valid"))
    out = np.full(len(valid), np.nan, np.float32)
    direction = unit_rows(np.asarray(vector, np.float32)[None])[0]
    with threadpool_limits(1, "blas"):  # the same numbers for any number of threads
        for start, x in _blocks(workspace, layer):
            out[start : start + len(x)] = cosines_of(x, direction)
    out[~valid] = np.nan
    return out


def nearest(workspace: Workspace, layer: TextLayer, vector: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` clips that fit a vector best: rows int64 (<= k,), the best first, and their cosines float32."""
    found = cosines(workspace, layer, vector)
    rows = top_of(found, k)
    return rows, found[rows]


def directions(workspace: Workspace, layer: TextLayer, labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Mean direction of the clips of each cluster, float32 (n_clusters, dim) of length 1; zeros without a clip.

    `labels` integer (N,), -1 = none: of any clustering of the same clips. The mean of unit vectors: where k-means had
    scaled the features, its own centroids are no place for words.
    """
    valid = np.asarray(workspace.array(f"features/{layer.extractor}", "valid"))
    if len(labels) != len(valid):
        raise InputError(f"The clusters are of {len(labels):,} clips, the features {layer.name} of {len(valid):,}.")
    sums = np.zeros((n_clusters, layer.dim))
    for start, x in _blocks(workspace, layer):
        part = slice(start, start + len(x))
        add_rows(sums, unit_rows(x), np.where(valid[part], labels[part], -1))
    return unit_rows(sums)


# -- inside ------------------------------------------------------------------------------------------------------------


def _spelled(workspace: Workspace) -> dict[str, str]:
    """Name of the folder of features -> the model of the hub as the settings spell it."""
    from curation.extractors import registry

    found = {}
    for name in workspace.config.features.extractors.split(","):
        with suppress(SettingError):
            found[registry.folder_name(name.strip())] = name.strip()
    return {folder: name for folder, name in found.items() if folder != name}


def _blocks(workspace: Workspace, layer: TextLayer) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, float32 (n, dim)) of the whole layer, in row order."""
    first = 0
    for path in workspace.feature_parts(layer.extractor, layer.layer):
        part = np.load(path, mmap_mode="r", allow_pickle=False)
        for i in range(0, len(part), _BLOCK_ROWS):
            yield first + i, np.asarray(part[i : i + _BLOCK_ROWS], np.float32)
        first += len(part)


def _kept_file(workspace: Workspace, layer: TextLayer, text: str) -> Path | None:
    made = text_print(workspace, layer)
    token = blake2b(f"{made} {text}".encode(), digest_size=16).hexdigest()
    return cache_folder("words") / f"{token}.npy" if made else None


def _forget_old(folder: Path) -> None:
    aged = []
    for path in folder.glob("[!.]*.npy"):
        with suppress(OSError):
            aged.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(aged, reverse=True)[_KEPT_TEXTS:]:
        path.unlink(missing_ok=True)
