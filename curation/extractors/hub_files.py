"""Models of the hub on this machine: a name in, the folder with its configuration and weights out.

Looked for as `<weights folder>/<owner>/<model>`, then in the hub's cache (the layout of huggingface_hub), then
fetched by that package. Needs no torch.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from curation.errors import InputError, MissingPackageError
from curation.extractors.base import Weights
from curation.extractors.hub_name import HubName
from curation.extractors.weights import HASH_SUFFIX, MissingWeightsError, sha256_of

CONFIG = "config.json"
WEIGHT_SUFFIXES = (".safetensors", ".bin")
FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors")
ETAG_TIMEOUT_S = 15.0
LARGEST_BYTES = 16 << 30
INSTALL = "Install it: pip install transformers (the optional extra `transformers`)."
_HASH = re.compile(r"[0-9a-f]{64}")


def hub_cache() -> Path:
    """Where the hub's own packages keep models, by their environment variables."""
    if stated := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(stated).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"


def find(name: HubName, folder: str = "") -> Path | None:
    """The folder of the model, with its configuration and weights, or None."""
    places = []
    if folder:
        places.append(Path(folder).expanduser() / name.model_id)
    kept = hub_cache() / ("models--" + name.model_id.replace("/", "--"))
    if revision := _commit(kept, name.revision or "main"):
        places.append(kept / "snapshots" / revision)
    return next((place for place in places if (place / CONFIG).is_file() and weight_files(place)), None)


def located(name: HubName, folder: str = "") -> Weights:
    """`Weights` of the model: the hash is that of the hashes of its configuration and weight files."""
    place = find(name, folder)
    if place is None:
        return Weights("", name.revision)
    digest = hashlib.sha256()
    for path in [*sorted(p for p in place.glob("*.json") if not p.name.endswith(HASH_SUFFIX)), *weight_files(place)]:
        if not path.name.startswith("tokenizer"):
            digest.update(f"{path.name} {_sha256(path)}\n".encode())
    revision = place.name if place.parent.name == "snapshots" else name.revision
    return Weights(str(place), revision, digest.hexdigest())


def obtain(name: HubName, folder: str = "", *, fetch: bool = True) -> Path:
    """The folder of the model, fetched into the hub's cache if need be. Raises MissingWeightsError."""
    place = find(name, folder)
    if place is None and fetch:
        _fetch(name, folder)
        place = find(name, folder)
    if place is None:
        raise MissingWeightsError(f"The model {name.model_id} is not on this machine.", hint=instructions(name, folder))
    return place


def instructions(name: HubName, folder: str = "") -> str:
    """What to get and where to put it."""
    place = f"{Path(folder or 'FOLDER') / name.model_id}"
    setting = "" if folder else " and set features.weights_folder to FOLDER"
    return (
        f"Get all .json, .txt and .safetensors files of https://huggingface.co/{name.model_id}/tree/"
        f"{name.revision or 'main'} (the page states their sizes) and put them into {place}{setting}."
    )


def weight_files(place: Path) -> list[Path]:
    """Files of parameters: safetensors, or where there are none, those of `torch.save`."""
    for suffix in WEIGHT_SUFFIXES:
        found = sorted(p for p in place.glob(f"*{suffix}") if p.name.startswith(("model", "pytorch_model")))
        if found:
            return found
    return []


def size_bytes(place: Path) -> int:
    """Bytes of the model's parameters."""
    return sum(path.stat().st_size for path in weight_files(place))


def _commit(kept: Path, revision: str) -> str:
    """The commit that a revision was when it was fetched; "" if it was not."""
    try:
        return (kept / "refs" / revision).read_text("utf-8").strip()
    except OSError:
        return revision if (kept / "snapshots" / revision).is_dir() else ""


def _sha256(path: Path) -> str:
    # In the hub's cache a large file is named by its SHA-256.
    real = path.resolve()
    return real.name if _HASH.fullmatch(real.name) else sha256_of(real)


def _fetch(name: HubName, folder: str) -> None:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError as error:
        raise MissingPackageError(f"The model {name.model_id} needs a package ({error}).", hint=INSTALL) from error
    revision = name.revision or "main"
    try:
        listed = HfApi().model_info(name.model_id, revision=revision, files_metadata=True, timeout=30.0).siblings or []
        sizes = {item.rfilename: item.size or 0 for item in listed if "/" not in item.rfilename}
        patterns = (
            [*FETCHED] if any(file.endswith(".safetensors") for file in sizes) else [*FETCHED, "pytorch_model*.bin"]
        )
        wanted = [file for file in sizes if any(Path(file).match(pattern) for pattern in patterns)]
        if sum(sizes[file] for file in wanted) > LARGEST_BYTES:
            raise InputError(
                f"The model {name.model_id} is larger than {LARGEST_BYTES >> 30} GiB.", hint="Choose another."
            )
        snapshot_download(name.model_id, revision=revision, allow_patterns=wanted, etag_timeout=ETAG_TIMEOUT_S)
    except InputError:
        raise
    except Exception as error:  # the package has an error for each of a dozen reasons, and its own network layer
        raise MissingWeightsError(
            f"The model {name.model_id} is not on this machine and could not be fetched ({_first_line(error)}).",
            hint=instructions(name, folder),
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
