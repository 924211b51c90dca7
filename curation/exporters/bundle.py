"""bundle: what a selection was made of, its settings, seeds, versions and checksums, so that anybody can make it again.

`workspace/` in it is a workspace with only what the selection reads; it opens in the explorer, and
`python -m curation verify-bundle BUNDLE` makes the selection again of it and compares.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curation import columns, review
from curation.atomic import read_json, replacing, write_bytes, write_json
from curation.exporters.base import FolderExporter, RowStream, Task
from curation.exporters.csv import CsvExporter
from curation.workspace import FORMAT_VERSION, Workspace

FORMAT = 1
FACTS = "bundle.json"
INSIDE = "workspace"
LIST = "clips.csv"
_LIBRARIES = ("numpy", "scipy", "numba", "pyarrow", "duckdb", "pandas", "torch", "faiss-cpu", "faiss-gpu", "av")
_CLUSTERING_FILES = ("artefact.json", "params.json", "assignments.npy", "replicates.npy", "sizes.npy")
_README = """This folder holds a selection of clips, and all that it was computed from.

clips.csv         the clips, in the order in which they were picked
bundle.json       settings, seeds, versions of the libraries, checksums of all files
workspace/        the table of clips, their clusters, the selection with its scores and its curve

To make the selection again and compare:  python -m curation verify-bundle THIS_FOLDER
To compare it with a workspace of your own:  python -m curation verify-bundle THIS_FOLDER --workspace WORKSPACE
"""


class BundleExporter(FolderExporter):
    """A folder, or one file where the name ends in .zip. Paths of the machine it was made on are left out."""

    name = "bundle"
    title = "Bundle"
    suffix = ".zip"
    description = "Settings, seeds, versions, checksums, the clips and their clusters: makes the same selection again."
    needs_selection = True

    def fill(self, task: Task) -> dict[str, Any]:
        name = _selection(task)
        inside = task.place / INSIDE
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir()
        settings = _settings(task, name)
        _copy_workspace(task, name, settings, inside)
        _write_list(task)
        write_bytes(task.place / "README.txt", _README.encode())
        write_json(task.place / FACTS, _facts(task, name, settings))
        task.advance(0)
        return {"clips": task.n_rows, "selection_fingerprint": task.workspace.fingerprint(f"selections/{name}")}

    def preview(self, task: Task) -> str:
        name = _selection(task)
        facts = _facts(task, name, _settings(task, name))
        facts["files"] = "checksums of all files"
        return json.dumps(facts, ensure_ascii=False, indent=1, default=str)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def ids_sha256(clip_ids: Iterable[str]) -> str:
    """SHA-256 of clip ids in their order, one a line, hex."""
    return hashlib.sha256("".join(f"{clip}\n" for clip in clip_ids).encode()).hexdigest()


def picked_ids(workspace: Workspace, selection: str) -> list[str]:
    """Clip ids of a selection in picking order."""
    path = workspace.artefact_path(f"selections/{selection}") / "picks.parquet"
    return pq.read_table(path, columns=["clip_id"], partitioning=None)["clip_id"].to_pylist()


def versions() -> dict[str, str]:
    """Python, the machine, and the libraries whose numbers a selection may depend on."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


# -- inside ------------------------------------------------------------------------------------------------------------


def _selection(task: Task) -> str:
    assert task.selection is not None
    return task.selection


def _settings(task: Task, name: str) -> dict[str, Any]:
    """The settings the selection was made with, by their names within `select`."""
    info = task.workspace.require(f"selections/{name}", "select").info
    if "settings" in info:
        return dict(info["settings"])
    task.notices.append(
        "The selection is older than the record of its settings: those it did not record are the workspace's present "
        "ones. Check with verify-bundle."
    )
    present = task.workspace.config.affecting("select")
    known = {key: info[key] for key in present if key in info and key != "options"}
    own = {key: value for key, value in info.get("options", {}).items() if key in present}
    return present | known | own


def _copy_workspace(task: Task, name: str, settings: dict[str, Any], inside: Path) -> None:
    """What the selection reads, byte for byte; what says where it lay on this machine is left out."""
    workspace = task.workspace
    keys = ["clips", *_tables_read(workspace, settings)]
    for key in keys:
        path = workspace.artefact_path(key)
        _copy(path, inside / path.relative_to(workspace.path))
    info = workspace.require(f"selections/{name}", "select").info
    for clustering in info.get("clusterings", {}):
        folder = workspace.artefact_path(f"clusterings/{clustering}")
        for file in _CLUSTERING_FILES:
            if (folder / file).is_file():
                _copy(folder / file, inside / "clusterings" / clustering / file)
        task.advance(0)
    for selection in filter(None, (name, settings.get("like"))):
        _copy_folder(workspace.artefact_path(f"selections/{selection}"), inside / "selections" / selection)
    from curation.methods.registry import METHODS  # (its kernels take half a second, which a list need not wait for)

    method = METHODS.get(info.get("method", ""))
    if method is not None and method.needs_features:
        for clustering in info.get("clusterings", {}):
            made_of = workspace.require(f"clusterings/{clustering}", "cluster").info
            folder = workspace.artefact_path(f"features/{made_of['extractor']}")
            target = inside / "features" / made_of["extractor"]
            _copy_folder(folder / made_of["layer"], target / made_of["layer"])
            for file in ("artefact.json", "valid.npy"):
                _copy(folder / file, target / file)
    if task.reviewed or settings.get("review") == "honour":
        _write_review(workspace, inside)
    manifest = read_json(workspace.path / "manifest.json")
    write_json(inside / "manifest.json", {key: manifest[key] for key in keys if key in manifest})
    description = {
        "format_version": FORMAT_VERSION,
        "name": f"{workspace.name}, {name}",
        "sources": [],
        "settings": {f"select.{key}": value for key, value in settings.items()},
        "created": 0.0,
    }
    write_json(inside / "workspace.json", description)


def _tables_read(workspace: Workspace, settings: dict[str, Any]) -> list[str]:
    texts = [str(settings.get(key) or "") for key in ("where", "include", "exclude", "share_floor", "share_cap")]
    keys = [found.rpartition(":")[0] for found in columns.fingerprints(workspace, *texts)]
    if settings.get("duplicates") == "one" and columns.finds_duplicates(workspace):
        keys.append("health")
    return list(dict.fromkeys(keys))


def _write_review(workspace: Workspace, inside: Path) -> None:
    """What counts of the review, without notes and without who said it."""
    said = review.decisions(workspace).select(["clip_id", "decision", "time"]).to_pylist()
    lines = [line | {"note": "", "reviewer": "reviewer"} for line in said if line["decision"]]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_bytes(inside / review.FILE, text.encode())


def _copy_folder(source: Path, target: Path) -> None:
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            _copy(file, target / file.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_list(task: Task) -> None:
    """The clips as they are meant, without the place of their files on this machine."""
    names = [name for name in task.schema.names if name != "file"]
    rows = (batch.select(names) for batch in task.rows())
    with replacing(task.place / LIST) as temporary, temporary.open("wb") as handle:
        schema = task.schema.remove(task.schema.get_field_index("file"))
        CsvExporter().write(RowStream(schema, _counted(task, rows)), handle)


def _counted(task: Task, rows: Iterable[Any]) -> Any:
    for batch in rows:
        yield batch
        task.advance(batch.num_rows)


def _facts(task: Task, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    workspace = task.workspace
    info = workspace.require(f"selections/{name}", "select").info
    of_cluster = {
        clustering: workspace.require(f"clusterings/{clustering}", "cluster").info.get("seed")
        for clustering in info.get("clusterings", {})
        if workspace.artefact(f"clusterings/{clustering}") is not None
    }
    files = {
        file.relative_to(task.place).as_posix(): {"sha256": file_sha256(file), "bytes": file.stat().st_size}
        for file in sorted(task.place.rglob("*"))
        if file.is_file() and file.name != FACTS
    }
    final = None
    if task.reviewed:
        final = ids_sha256(clip for batch in task.rows() for clip in batch["clip_id"].to_pylist())
    return {
        "format": FORMAT,
        "made_by": "Concord",
        "made": time.time(),
        "workspace": workspace.name,
        "selection": name,
        "fingerprint": workspace.fingerprint(f"selections/{name}"),
        "clips_fingerprint": workspace.fingerprint("clips"),
        "clusterings": info.get("clusterings", {}),
        "clips": len(picked_ids(workspace, name)),
        "order_sha256": ids_sha256(picked_ids(workspace, name)),
        "final_clips": task.n_rows if task.reviewed else None,
        "final_sha256": final,
        "objective": info.get("objective"),
        "settings": settings,
        "seeds": {"select": settings.get("seed"), "cluster": of_cluster},
        "versions": versions(),
        "files": files,
    }
