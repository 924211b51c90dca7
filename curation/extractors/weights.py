"""Files of trained weights: a description in, the file on this machine out, with its SHA-256.

Looked for in the folder of the setting `features.weights_folder`, then in torch's own cache of downloads, then
fetched. Needs no torch: naming an extractor must not cost its import.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from curation.atomic import replacing, write_json
from curation.errors import ConcordError, InputError, WorkspaceError
from curation.extractors.base import Weights

READ_TIMEOUT_S = 30.0
# A server that sends a little now and then must not hold a run for ever.
FETCH_LIMIT_S = 3600.0
CHUNK_BYTES = 1 << 20
KEPT_FROM_BYTES = 1 << 24
HASH_SUFFIX = ".sha256.json"


class MissingWeightsError(ConcordError):
    """Trained weights are not on this machine and could not be fetched; the message says what to put where."""

    code = "missing_weights"


@dataclass(frozen=True)
class WeightsFile:
    """One published file. `size_bytes` is about what it should be (a fetch of twice as much is broken off).

    `sha256` is empty where the publisher states none: then it is computed and kept beside the file.
    """

    name: str
    url: str
    size_bytes: int
    revision: str
    sha256: str = ""

    def instructions(self, folder: str = "") -> str:
        """What to get and where to put it."""
        place = str(Path(folder)) if folder else str(torch_cache())
        also = "" if folder else ", or into a folder named by the setting features.weights_folder"
        return f"Get {self.name} (about {self.size_bytes / 1e6:.0f} MB) from {self.url} and put it into {place}{also}."


def torch_cache() -> Path:
    """Where `torch.hub` keeps downloaded checkpoints, by its environment variables."""
    base = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(base).expanduser() / "hub" / "checkpoints"


def find(file: WeightsFile, folder: str = "") -> Path | None:
    """The file in `folder`, else in torch's cache, else None."""
    places = [Path(folder).expanduser()] if folder else []
    for place in [*places, torch_cache()]:
        if (path := place / file.name).is_file():
            return path
    return None


def located(file: WeightsFile, folder: str = "") -> Weights:
    """`Weights` of the file; without a path and with the stated hash, if any, when it is not here."""
    path = find(file, folder)
    if path is None:
        return Weights("", file.revision, file.sha256)
    return Weights(str(path), file.revision, sha256_of(path))


def obtain(file: WeightsFile, folder: str = "", *, fetch: bool = True) -> Path:
    """The file on this machine, fetched if it is not here.

    Raises MissingWeightsError where it cannot be fetched (or `fetch` is False), InputError where its SHA-256 is not
    the stated one.
    """
    path = find(file, folder)
    if path is None:
        if not fetch:
            raise MissingWeightsError(
                f"The weights {file.name} are not on this machine.", hint=file.instructions(folder)
            )
        path = _fetch(file, Path(folder).expanduser() if folder else torch_cache(), file.instructions(folder))
    if file.sha256 and sha256_of(path) != file.sha256:
        raise InputError(
            f"{path} is not {file.name} as published: its SHA-256 is {sha256_of(path)}, not {file.sha256}.",
            hint="Remove it. " + file.instructions(folder),
        )
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file; kept beside it, where that folder can be written, so that it is read once."""
    state = path.stat()
    return _hash(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _hash(path: str, size: int, changed_ns: int) -> str:
    kept = Path(path + HASH_SUFFIX)
    known = _kept(kept)
    if (known.get("size"), known.get("changed_ns")) == (size, changed_ns) and isinstance(known.get("sha256"), str):
        return str(known["sha256"])
    with Path(path).open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if size >= KEPT_FROM_BYTES:
        # Where only others may write the hash is computed once a process.
        with contextlib.suppress(OSError, WorkspaceError):
            write_json(kept, {"sha256": digest, "size": size, "changed_ns": changed_ns})
    return digest


def _kept(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _fetch(file: WeightsFile, folder: Path, instructions: str) -> Path:
    """Download beside its place, rename when whole."""
    path = folder / file.name
    if urllib.parse.urlparse(file.url).scheme not in ("https", "http"):
        raise MissingWeightsError(f"{file.url} is no address to fetch from.", hint=instructions)
    try:
        with (
            urllib.request.urlopen(file.url, timeout=READ_TIMEOUT_S) as source,
            replacing(path) as temporary,
            temporary.open("wb") as sink,
        ):
            _copy(source, sink, file)
    except (OSError, urllib.error.URLError) as error:
        reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", None) or error
        raise MissingWeightsError(
            f"The weights {file.name} are not on this machine and could not be fetched ({reason}).", hint=instructions
        ) from error
    return path


def _copy(source: Any, sink: Any, file: WeightsFile) -> None:
    stated = source.headers.get("Content-Length")
    received, started_s = 0, time.monotonic()
    while chunk := source.read(CHUNK_BYTES):
        received += len(chunk)
        if received > 2 * file.size_bytes:
            raise OSError(f"more than twice the expected {file.size_bytes / 1e6:.0f} MB came")
        if time.monotonic() - started_s > FETCH_LIMIT_S:
            raise OSError(f"not whole after {FETCH_LIMIT_S:.0f} s")
        sink.write(chunk)
    if stated is not None and received != int(stated):
        raise OSError(f"the connection ended after {received} of {stated} bytes")
