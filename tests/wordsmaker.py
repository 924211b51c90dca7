"""A layer that shares its space with words, planted into a made workspace: no model, no weights, known vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curation.atomic import write_array
from curation.extractors import registry
from curation.workspace import CLIPS_FINGERPRINT, Workspace

MODEL = "hub:tiny/made"
EXTRACTOR = registry.folder_name(MODEL)
JOINT = f"{EXTRACTOR}.joint"
DIM = 6


def add_text_side(
    ws: Workspace, *, without: tuple[int, ...] = (), modality: str = "audio", seed: int = 0
) -> np.ndarray:
    """Features of `MODEL` with the layers block1 and joint, as a run leaves them; float32 (N, 6) of joint as kept.

    A clip's vector points mostly along axis (row mod 4), so clips fall into four groups. `without`: clips without.
    """
    n = ws.n_rows("clips")
    rng = np.random.default_rng(seed)
    values = (0.2 * rng.normal(size=(n, DIM)) + np.eye(DIM)[np.arange(n) % 4]).astype(np.float16)
    valid = np.ones(n, bool)
    valid[list(without)] = False
    values[~valid] = 0
    folder = ws.partial_folder(f"features/{EXTRACTOR}", "words")
    for layer in ("block1", "joint"):
        write_array(folder / layer / "part-000000.npy", values)
    write_array(folder / "valid.npy", valid)
    info = {
        CLIPS_FINGERPRINT: ws.fingerprint("clips"), "extractor": "made", "kind": "features", "modality": modality,
        "layers": {"block1": DIM, "joint": DIM}, "clips": n, "valid": int(valid.sum()), "failures": {},
    }  # fmt: skip
    ws.commit_folder(f"features/{EXTRACTOR}", folder, "words", info)
    ws.configure({"features.extractors": f"sound,picture,{MODEL}"})
    return values.astype(np.float32)


def cluster_text_side(ws: Workspace, name: str = JOINT, fit: str = "fit", modality: str = "audio") -> np.ndarray:
    """The four groups of `add_text_side` as a clustering, int32 (N,)."""
    labels = (np.arange(ws.n_rows("clips")) % 4).astype(np.int32)
    folder = ws.partial_folder(f"clusterings/{name}", fit)
    write_array(folder / "assignments.npy", labels)
    facts = {CLIPS_FINGERPRINT: ws.fingerprint("clips"), "modality": modality, "n_clusters": 4, "fit": fit}
    ws.commit_folder(f"clusterings/{name}", folder, fit, facts)
    return labels


def own_model(ws: Workspace, folder: Path) -> Path:
    """Files where the model of `MODEL` is looked for, so that it counts as being on this machine; no weights."""
    place = folder / "tiny" / "made"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "tokenizer.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"none")
    ws.configure({"features.weights_folder": str(folder)})
    return place
