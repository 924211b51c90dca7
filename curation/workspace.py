"""The workspace folder: tables, features, clusterings, selections; each whole or absent, with its fingerprint."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation import sourcespec, sql_sandbox
from curation.atomic import PARTIAL_SUFFIX, read_json, replacing, write_json
from curation.config import Config
from curation.errors import InputError, MissingArtefactError, SettingError, WorkspaceError
from curation.locks import writer_lock
from curation.migrations import FORMAT_VERSION, bring_up, brought_up, described
from curation.remembered import remembered
from curation.setting_list import differences
from curation.sourcespec import SourceSpec, read_sources
from curation.urls import local_path

MARKER = "artefact.json"
ROWS_A_GROUP = 8_192  # of a table: a few rows of a hundred million are read by the groups that hold them
CLIPS_FINGERPRINT = "clips_fingerprint"  # in the info of artefacts with one value a clip: which table of clips
TABLES = ("videos", "listed", "filtered", "segmented", "clips", "health")
FOLDERS = ("features", "measures", "clusterings", "selections", "projections", "neighbours", "columns", "evaluations")
_FINGERPRINT_KEY = b"concord.fingerprint"


def fingerprint_of(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Artefact:
    """One finished result: its key (`videos`, `features/sound`, `selections/main`), fingerprint and facts."""

    key: str
    fingerprint: str
    info: dict[str, Any]


class Workspace:
    """A folder that holds one data set and everything computed of it. Any number of readers, one writer a stage.

    Open with `Workspace.open` (existing) or `Workspace.create` (new or empty folder).
    """

    def __init__(self, path: Path, description: dict[str, Any]) -> None:
        self.path = path
        self._description = description

    # -- opening ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str = "",
        roots: Sequence[str] = (),
        sources: Sequence[SourceSpec] = (),
    ) -> Workspace:
        """Make a workspace in a new or empty folder; opens it when it is one already.

        `roots` are media folders, `sources` media of any kind (`curation.sourcespec`); both may be given.
        Raises `WorkspaceError` when the folder holds something else.
        """
        place = _folder(path)
        if (place / "workspace.json").is_file():
            return cls.open(place)
        try:
            occupied = place.exists() and (not place.is_dir() or any(place.iterdir()))
        except OSError as error:
            raise WorkspaceError(
                f"{place} cannot be read ({error.strerror}).", hint="Choose another folder."
            ) from error
        if occupied:
            raise WorkspaceError(
                f"{place} holds other files and is no workspace.",
                hint="Give the path of a new or an empty folder; nothing in this one was changed.",
            )
        description = {
            "format_version": FORMAT_VERSION,
            "name": name or place.name,
            "sources": [spec.as_json() for spec in (*map(sourcespec.folder, roots), *sources)],
            "settings": {},
            "created": time.time(),
        }
        write_json(place / "workspace.json", description)
        return cls(place, description)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Workspace:
        """Open a workspace; one of an earlier format becomes one of the present format (`curation.migrations`).

        Raises `WorkspaceError` when there is none, or it was made by a newer version.
        """
        place = _folder(path)
        file = place / "workspace.json"
        if not file.is_file():
            raise WorkspaceError(
                f"There is no workspace at {place}.",
                hint="Make one with: python -m curation init WORKSPACE --media FOLDER",
            )
        description = brought_up(place)
        read_sources(description)  # one of a kind that is not known is named here, not somewhere in a run
        return cls(place, description)

    @property
    def name(self) -> str:
        return str(self._description.get("name") or self.path.name)

    @property
    def sources(self) -> list[SourceSpec]:
        """Where the media come from. Rows of videos.parquet point into this list by `root`."""
        return read_sources(self._description)

    @property
    def roots(self) -> list[str]:
        """For each source the folder, absolute, that the paths of its rows are relative to."""
        return [spec.root for spec in self.sources]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that differ from the defaults, as `{"select.budget": "0.2"}`."""
        return dict(self._description.get("settings", {}))

    @property
    def config(self) -> Config:
        try:
            return Config().replace(self.settings)
        except SettingError as error:
            place = self.path / "workspace.json"
            raise SettingError(error.message, hint=f"{error.hint} It stands in {place}: correct it there.") from error

    @property
    def current_selection(self) -> str | None:
        """Name of the selection that the last run meant (made then, or found done); the newest where none was noted."""
        names = {key.partition("/")[2]: key for key in self.keys("selections")}
        try:  # only a note of what was meant: without it the newest is as good an answer
            note = read_json(self.path / "selections" / "current.json")
        except (OSError, WorkspaceError):
            note = None
        if isinstance(note, dict) and note.get("name") in list(names):
            return str(note["name"])
        made = {name: read_json(self.artefact_path(key) / MARKER).get("made", 0.0) for name, key in names.items()}
        return max(names, key=lambda name: (made[name], name)) if names else None

    @current_selection.setter
    def current_selection(self, name: str) -> None:
        write_json(self.path / "selections" / "current.json", {"name": name})

    def configure(
        self,
        changes: Mapping[str, Any] | None = None,
        *,
        roots: Sequence[str] | None = None,
        sources: Sequence[SourceSpec] | None = None,
    ) -> Config:
        """Check and keep changed settings (and sources); returns the whole configuration.

        `sources` replaces all sources, `roots` the folders among them. To add: `sources=[*workspace.sources, more]`,
        at the end, because rows of the tables point at sources by number.
        """
        bring_up(self.path)
        with writer_lock(self.path / "locks" / "workspace.lock", purpose="settings", wait_s=10):
            file = self.path / "workspace.json"
            description = described(read_json(file), file)
            before = Config().replace(description.get("settings", {}))
            config = before.replace(changes or {})
            settings = differences(config)
            if sources is not None:
                description["sources"] = [spec.as_json() for spec in sources]
            if roots is not None:
                wanted = _with_folders(read_sources(description), [sourcespec.folder(root) for root in roots])
                description["sources"] = [spec.as_json() for spec in wanted]
            description["settings"] = settings
            _sweep(self.path.glob(f".workspace.json.*{PARTIAL_SUFFIX}"))
            if description != self._description or changes:
                write_json(file, description)
            self._description = description
        return config

    # -- artefacts -------------------------------------------------------------------------------------------------

    def artefact_path(self, key: str) -> Path:
        """Where an artefact lies: a Parquet file for tables, a folder for the rest."""
        if key in TABLES or key.startswith("columns/"):
            return self.path / f"{key}.parquet"
        head, _, name = key.partition("/")
        if head not in FOLDERS or not name or name in (".", "..") or "/" in name or name.startswith("."):
            raise WorkspaceError(f"{key!r} is not the name of an artefact.")
        return self.path / head / name

    def artefact(self, key: str) -> Artefact | None:
        """The finished artefact called `key`, or None. What is half-written is never seen."""
        path = self.artefact_path(key)
        if path.suffix == ".parquet" and (key in TABLES or key.startswith("columns/")):
            try:
                fingerprint, _ = remembered(path, _footer)
            except FileNotFoundError:
                return None
            except (pa.ArrowException, OSError) as error:
                raise WorkspaceError(f"{path} cannot be read ({error}).", hint="Remove it and run again.") from error
            file = self.path / "manifest.json"
            info = remembered(file, read_json).get(key, {}) if file.is_file() else {}
            return Artefact(key, fingerprint, info)
        try:
            marker = remembered(path / MARKER, read_json)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not isinstance(marker, dict) or not isinstance(marker.get("fingerprint"), str):
            raise WorkspaceError(f"{path / MARKER} is damaged.", hint=f"Remove the folder {path} and run again.")
        return Artefact(key, marker["fingerprint"], marker.get("info") or {})

    def fingerprint(self, key: str) -> str | None:
        """The fingerprint of a finished artefact, or None when there is none."""
        found = self.artefact(key)
        return found.fingerprint if found else None

    def require(self, key: str, stage: str) -> Artefact:
        """The artefact, or `MissingArtefactError` saying which stage makes it."""
        found = self.artefact(key)
        if found is None:
            raise MissingArtefactError(
                f"{self.name} has no {key} yet.", hint=f"Make it with: python -m curation {stage} {self.path}"
            )
        return found

    def fits(self, artefact: Artefact) -> bool:
        """True when an artefact with one value a clip was made of the present table of clips."""
        made_of = artefact.info.get(CLIPS_FINGERPRINT)
        return made_of is None or made_of == self.fingerprint("clips")

    def require_fitting(self, key: str, stage: str) -> Artefact:
        """As `require`; raises `MissingArtefactError` too when the artefact was made of another table of clips."""
        found = self.require(key, stage)
        if not self.fits(found):
            raise MissingArtefactError(
                f"{key} was made of another list of clips: its rows are not those of the present one.",
                hint=f"Make it again with: python -m curation {stage} {self.path}",
                code="stale_input",
            )
        return found

    def keys(self, folder: str) -> list[str]:
        """Keys of the finished artefacts of a kind: `keys("clusterings")`; sorted."""
        base = self.path / folder
        if folder == "columns":
            return sorted(f"columns/{p.stem}" for p in base.glob("[!.]*.parquet"))
        return sorted(f"{folder}/{p.parent.name}" for p in base.glob(f"[!.]*/{MARKER}"))

    def partial_folder(self, key: str, fingerprint: str) -> Path:
        """Where the parts of an unfinished artefact are gathered; survives a kill, so that finished parts are kept."""
        path = self.artefact_path(key)
        folder = path.parent / f".{path.stem if path.suffix == '.parquet' else path.name}.{fingerprint[:16]}.parts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def commit_table(
        self,
        key: str,
        table: pa.Table | pa.RecordBatchReader,
        fingerprint: str,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a table in place with its fingerprint, then note it in the manifest and drop its parts.

        A reader's batches are written one after another: a table of any size in the memory of a batch.
        """
        schema = table.schema.with_metadata({**(table.schema.metadata or {}), _FINGERPRINT_KEY: fingerprint.encode()})
        pieces = [table] if isinstance(table, pa.Table) else (pa.Table.from_batches([batch]) for batch in table)
        path = self.artefact_path(key)
        with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for piece in pieces:
                writer.write_table(piece.replace_schema_metadata(schema.metadata), row_group_size=ROWS_A_GROUP)
        _sweep(path.parent.glob(f".{glob_escape(path.name)}.*{PARTIAL_SUFFIX}"))
        self._note(key, fingerprint, info or {})
        self.drop_parts(key)

    def commit_folder(self, key: str, folder: Path, fingerprint: str, info: Mapping[str, Any] | None = None) -> None:
        """Put a gathered folder in place of the old artefact: marker written last, then renamed whole."""
        info = dict(info or {})
        _sweep(folder.rglob(f".*{PARTIAL_SUFFIX}"))
        write_json(folder / MARKER, {"key": key, "fingerprint": fingerprint, "info": info, "made": time.time()})
        path = self.artefact_path(key)
        old = path.parent / f".{path.name}.old"
        self._recover(path)
        if path.exists():
            path.rename(old)
        folder.rename(path)
        shutil.rmtree(old, ignore_errors=True)
        self._note(key, fingerprint, info)
        self.drop_parts(key)

    def drop_parts(self, key: str) -> None:
        """Remove the gathered parts of an artefact that is in place, or of settings that nobody wants any more."""
        path = self.artefact_path(key)
        stem = path.stem if path.suffix == ".parquet" else path.name
        for folder in path.parent.glob(f".{glob_escape(stem)}.*.parts"):
            shutil.rmtree(folder, ignore_errors=True)

    def recover(self) -> None:
        """Undo a replacement that a kill cut short (the old artefact was moved aside, the new one not yet in place),
        and remove what was being written beside the manifest."""
        with self._manifest_lock():
            _sweep(self.path.glob(f".manifest.json.*{PARTIAL_SUFFIX}"))
        for head in FOLDERS:
            for old in (self.path / head).glob(".*.old"):
                self._recover(old.with_name(old.name[1:-4]))

    def remove(self, key: str) -> None:
        """Delete an artefact that its owner no longer wants (a selection, a column)."""
        path = self.artefact_path(key)
        if path.is_dir():
            grave = path.parent / f".{path.name}.old"
            shutil.rmtree(grave, ignore_errors=True)
            (path / MARKER).unlink(missing_ok=True)
            path.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        with self._manifest_lock():
            manifest = self._manifest()
            manifest.pop(key, None)
            write_json(self.path / "manifest.json", manifest)

    # -- reading ---------------------------------------------------------------------------------------------------

    def table(self, key: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a table whole (or some of its columns). Raises `MissingArtefactError` when it is not there."""
        path = self.artefact_path(key)
        if not path.is_file():
            raise MissingArtefactError(
                f"{self.name} has no {key} yet.", hint=f"Run: python -m curation run {self.path}"
            )
        return pq.read_table(path, columns=list(columns) if columns is not None else None, partitioning=None)

    def n_rows(self, key: str) -> int:
        """Number of rows of a table, without reading it."""
        return int(remembered(self.artefact_path(key), _footer)[1])

    def query(
        self, sql: str, parameters: Sequence[Any] = (), *, time_limit_s: float = 0.0, **tables: pa.Table
    ) -> pa.Table:
        """Run SQL over the workspace's tables (by their keys) and the given Arrow tables; nothing else can be read.

        Raises `InputError` for what fails, writes, or takes longer than `time_limit_s` seconds (0 = no limit).
        """
        files = {key: path for key in TABLES if (path := self.artefact_path(key)).is_file()}
        return sql_sandbox.query(sql, files, tables, parameters, time_limit_s=time_limit_s)

    def array(self, key: str, name: str) -> np.ndarray:
        """A memory-mapped array of an artefact folder: `array("clusterings/sound.logmel", "assignments")`."""
        path = self.artefact_path(key) / f"{name}.npy"
        if not path.is_file():
            raise MissingArtefactError(f"{self.name} has no {key}/{name}.", hint="Run the stage that makes it.")
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def feature_parts(self, extractor: str, layer: str) -> list[Path]:
        """Part files of one layer in row order, float16 (rows of the part, dim)."""
        return self._parts(f"features/{extractor}", layer)

    def features(self, extractor: str, layer: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Features of `rows` (all by default), float32 (n, dim). Where few rows are asked, parts are mapped."""
        return self._rows_of_parts(f"features/{extractor}", layer, rows, np.dtype(np.float32))

    def measures(self, name: str, layer: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Measures of `rows` (all by default), (n, dim) of the layer's own dtype. As `features` otherwise."""
        return self._rows_of_parts(f"measures/{name}", layer, rows, None)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _parts(self, key: str, layer: str) -> list[Path]:
        return sorted((self.artefact_path(key) / layer).glob("part-*.npy"))

    def _rows_of_parts(self, key: str, layer: str, rows: np.ndarray | None, dtype: np.dtype | None) -> np.ndarray:
        parts = [np.load(path, mmap_mode="r", allow_pickle=False) for path in self._parts(key, layer)]
        if not parts:
            raise MissingArtefactError(f"{self.name} has no {key}/{layer}.", hint="Run: features")
        dtype = parts[0].dtype if dtype is None else dtype
        if rows is None:
            return np.concatenate(parts).astype(dtype, copy=False)
        wanted = np.asarray(rows, dtype=np.int64)
        starts = np.cumsum([0, *[len(part) for part in parts]])
        owner = np.searchsorted(starts, wanted, side="right") - 1
        out = np.empty((len(wanted), parts[0].shape[1]), dtype)
        for index in np.unique(owner):
            at = np.flatnonzero(owner == index)
            out[at] = parts[index][wanted[at] - starts[index]]
        return out

    def _manifest(self) -> dict[str, Any]:
        path = self.path / "manifest.json"
        return read_json(path) if path.is_file() else {}

    def _note(self, key: str, fingerprint: str, info: Mapping[str, Any]) -> None:
        with self._manifest_lock():
            manifest = self._manifest()
            manifest[key] = {"fingerprint": fingerprint, "made": time.time(), **info}
            write_json(self.path / "manifest.json", manifest)

    @contextlib.contextmanager
    def _manifest_lock(self) -> Iterator[None]:
        with writer_lock(self.path / "locks" / "manifest.lock", purpose="manifest", wait_s=30):
            yield

    def _recover(self, path: Path) -> None:
        old = path.parent / f".{path.name}.old"
        if not old.exists():
            return
        if path.exists() or not (old / MARKER).is_file():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(path)


def _footer(path: Path) -> tuple[str, int]:
    """Fingerprint and number of rows of a table."""
    footer = pq.read_metadata(path)
    return (footer.metadata or {}).get(_FINGERPRINT_KEY, b"").decode(), int(footer.num_rows)


def _sweep(half_written: Iterable[Path]) -> None:
    """Remove what a killed writer of this artefact left; its only writer is the one who calls."""
    for file in half_written:
        file.unlink(missing_ok=True)


def _folder(path: str | os.PathLike[str]) -> Path:
    """An absolute path without links. Raises `WorkspaceError` for what is no path at all."""
    try:
        folder = local_path(path).expanduser().resolve()
        folder.exists()
    except InputError as error:
        raise WorkspaceError(error.message, hint=error.hint, code=error.code) from error
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        raise WorkspaceError(f"{str(path)[:200]!r} is not the path of a folder ({error}).") from error
    return folder


def _with_folders(sources: list[SourceSpec], folders: list[SourceSpec]) -> list[SourceSpec]:
    """`sources` with `folders` in place of their folders; where there are other kinds, what stays keeps its place."""
    if all(spec.kind == "folder" for spec in sources):
        return folders
    kept = [spec for spec in sources if spec.kind != "folder" or spec in folders]
    return kept + [spec for spec in folders if spec not in kept]


def glob_escape(text: str) -> str:
    """`text` so that `Path.glob` takes it literally."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)


def open_workspace(path: str | os.PathLike[str]) -> Workspace:
    """Open the workspace at `path`. Raises `WorkspaceError` when there is none that this version can read."""
    return Workspace.open(path)


def check_name(name: str, what: str) -> str:
    """A name that is safe as a folder's: letters, digits, dot, dash, underscore, percent, plus and single spaces."""
    cleaned = name.strip()
    if (
        not cleaned
        or cleaned.startswith(".")
        or any(not (c.isalnum() or c in " ._-%+") for c in cleaned)
        or len(cleaned) > 80
    ):
        raise SettingError(
            f"{name!r} cannot be the name of a {what}.",
            hint="Use letters, digits, spaces and . _ - % + (at most 80).",
        )
    return cleaned
