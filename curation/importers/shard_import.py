"""import_shards: a folder of the ACAV100M reference's shards -> clips, features/<extractor>, clusterings/<...>."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import InputError
from curation.importers.assignments import check_free_clustering, count_clusters, store_assignments
from curation.importers.clips import Placement, index_digest, place_rows
from curation.importers.features import check_free, store_features
from curation.importers.growth import place_added
from curation.importers.matching import EXAMPLES
from curation.importers.readers import check_identifier
from curation.importers.shard_store import ShardStore
from curation.importers.shards import LayerKey, read_shard
from curation.locks import writer_lock
from curation.progress import Progress
from curation.workspace import Workspace, fingerprint_of

SHARD_NAME = re.compile(r"shard-\d+\.pkl")
SHARDS_MAX = 1_000_000
_STORE = "features/reference-shards"  # where shards are gathered; hidden, and gone when the import has ended
_VERSION = 1  # raised when the same shards give other numbers


def import_shards(
    workspace: Workspace,
    folder: str | os.PathLike[str],
    *,
    segments: str | os.PathLike[str] | None = None,
    prefix: str = "",
    progress: Progress | None = None,
    add: bool = False,
) -> dict[str, Any]:
    """Bring in feature shards or cluster shards (`shard-NNNNNN.pkl`), one at a time in memory.

    `folder`: holds them (or is one of them). `segments`: the folder of `shard-NNNNNN.json` with ids and times; beside
    the shards when not said. `prefix`: put before the names of features and clusterings.

    Features become features/<extractor>, its layers in parts of 65,536 rows; clusters clusterings/<extractor>.<layer>.
    A workspace without clips gets them: their ids are the file names without suffix, their source the YouTube id.
    Otherwise shards are matched by clip id, file name, or YouTube id and start. A file name that occurs again is
    counted and left out. Pickles pass `curation.importers.plainpickle`; a shard that cannot be read is a row of
    `shards.parquet` beside what was made, with code and sentence. A second run goes on behind the last whole shard.
    `add`: clips that are not there yet are added, by their file names; what is there stays.

    Returns a report: shards, failed_shards and failed_examples, rows, repeated_rows, problems, examples, features,
    clusterings, notices, and what `place_rows` says. Raises `InputError` when no shard can be used.
    """
    place = Path(folder).expanduser()
    files = _shard_files(place)
    beside = Path(segments).expanduser() if segments is not None else files[0].parent
    if prefix:
        check_identifier(prefix, "features")
    stamps = [[_stamp(file), _stamp(_json_of(file, beside))] for file in files]
    listing = fingerprint_of([_VERSION, prefix, stamps])
    with contextlib.ExitStack() as stack:
        for stage in ("features", "cluster"):
            lock = workspace.path / "locks" / f"{stage}.lock"
            stack.enter_context(writer_lock(lock, purpose="import of shards", wait_s=10))
        workspace.recover()
        gathered = workspace.partial_folder(_STORE, listing)
        store = ShardStore(gathered)
        _gather(store, files, beside, progress)
        if not store.n_rows:
            failed = store.shards().to_pylist()[0]
            shutil.rmtree(gathered, ignore_errors=True)
            raise InputError(
                f"None of the {len(files)} shards in {place} can be used: {failed['shard']}: {failed['message']}",
                hint="They are the reference's feature or cluster shards: lists of clips with file names and arrays.",
                code=failed["code"],
            )
        report = _Import(workspace, store, prefix, progress, add).write()
        shutil.rmtree(gathered, ignore_errors=True)
    return report


def _shard_files(place: Path) -> list[Path]:
    try:
        files = [place] if place.is_file() else sorted(p for p in place.iterdir() if SHARD_NAME.fullmatch(p.name))
    except OSError as error:
        raise InputError(
            f"{place} cannot be read ({error.strerror}).", hint="Give the folder of the shards."
        ) from error
    if not files:
        raise InputError(f"{place} holds no shard-NNNNNN.pkl.", hint="Give the folder of feature or cluster shards.")
    if len(files) > SHARDS_MAX:
        raise InputError(f"{place} holds {len(files)} shards; at most {SHARDS_MAX} are read at once.")
    return files


def _json_of(file: Path, beside: Path) -> Path:
    return beside / f"{file.stem}.json"


def _stamp(file: Path) -> list[Any]:
    """What tells a changed file without reading it."""
    try:
        found = file.stat()
    except OSError:
        return [file.name]
    return [str(file.resolve()), found.st_size, found.st_mtime_ns]


def _gather(store: ShardStore, files: list[Path], beside: Path, progress: Progress | None) -> None:
    if progress is not None:
        progress.start("import", len(files), "shards")
    for file in files:
        before = file.stem in store.done
        if not before:
            times = _json_of(file, beside)
            try:
                store.append(read_shard(file, times if times.is_file() else None))
            except InputError as error:
                store.fail(file.stem, error)
        if progress is not None:
            progress.advance(finished_before=before)
            progress.check_cancelled()


@dataclass(frozen=True)
class _Import:
    """Gathered shards on their way into their artefacts."""

    workspace: Workspace
    store: ShardStore
    prefix: str
    progress: Progress | None
    add: bool

    def write(self) -> dict[str, Any]:
        features: dict[str, list[LayerKey]] = {}
        clusterings: dict[str, LayerKey] = {}
        for key in sorted(self.store.dims):
            name = f"{self.prefix}{key.extractor}"
            if key.what == "features":
                taken = features.get(name, [key])[0].modality != key.modality
                features.setdefault(f"{name}-{key.modality}" if taken else name, []).append(key)
            else:
                name = f"{name}.{key.layer}"
                clusterings[f"{name}-{key.modality}" if name in clusterings else name] = key
        for name, keys in features.items():
            check_free(self.workspace, name, keys[0].modality)
        for name in clusterings:
            check_identifier(name, "a clustering")
            check_free_clustering(self.workspace, name)
        placement, repeated = self._place()
        shards = self.store.shards()
        made: dict[str, Any] = {}
        for name, keys in features.items():
            info = store_features(
                self.workspace,
                name,
                keys[0].modality,
                {key.layer: [self.store.digests(), key.extractor] for key in keys},
                lambda _, keys=keys: {key.layer: self.store.array(key) for key in keys},  # type: ignore[misc]
                placement,
                self.progress,
                {"shards": shards},
                add=self.add,
            )
            made[name] = {part: info[part] for part in ("modality", "layers", "valid", "failures")}
        grouped: dict[str, Any] = {}
        notices: list[str] = list(placement.details.get("notices", []))
        for name, key in clusterings.items():
            column = self.store.array(key)
            if int(column.max()) < 0:
                notices.append(f"{name} has no value at all and was left out.")
                continue
            count = count_clusters(column, name)
            notices += store_assignments(
                self.workspace, column, placement, key.modality, name, count, {"shards": shards}, add=self.add
            )
            grouped[name] = {"modality": key.modality, "n_clusters": count}
        failed = shards.filter(pc.and_(pc.equal(shards["rows"], 0), pc.not_equal(shards["code"], "")))
        return {
            "shards": shards.num_rows,
            "failed_shards": failed.num_rows,
            "failed_examples": [f"{r['shard']}: {r['code']}: {r['message']}" for r in failed[:EXAMPLES].to_pylist()],
            "rows": self.store.n_rows,
            "repeated_rows": repeated,
            "problems": dict(self.store.problems),
            "examples": self.store.examples[:EXAMPLES],
            "features": made,
            "clusterings": grouped,
            **placement.facts(),
            "notices": notices,
        }

    def _place(self) -> tuple[Placement, int]:
        """Where the rows go, and how many were left out because their file name occurs in an earlier row."""
        found = self.store.clips()
        names = found["filename"].combine_chunks()
        codes = names.dictionary_encode().indices.to_numpy()
        _, first = np.unique(codes, return_index=True)
        keep = np.sort(first)
        unique = found.take(pa.array(keep)) if len(keep) < len(codes) else found
        nothing = pa.scalar(None, pa.string())
        ids = unique["id"]
        own = pa.table(
            {
                "path": unique["filename"],
                "start_s": unique["start_s"],
                "end_s": unique["end_s"],
                "source": pc.if_else(pc.equal(ids, ""), nothing, ids),
            }
        )
        stems = pc.replace_substring_regex(unique["filename"], r"(?s)^.*/|(.)\.[^./]*$", r"\1")
        ids_are_free = len(pc.unique(stems)) == len(stems) and not pc.any(pc.equal(stems, "")).as_py()
        if ids_are_free:
            own = own.add_column(0, "clip_id", stems)
        if self.add:  # the other locks are held already
            placement = place_added(self.workspace, unique.num_rows, "The shards", None, own, locks=("segment",))
        else:
            placement = place_rows(self.workspace, unique.num_rows, "The shards", None, own)
        if len(keep) < len(codes):
            at = placement.index if placement.index is not None else np.arange(placement.n_clips)
            index = np.where(at >= 0, keep[at], -1)
            fingerprint = fingerprint_of([placement.fingerprint, index_digest(index)])
            placement = replace(placement, index=index, fingerprint=fingerprint)
        return placement, len(codes) - len(keep)
