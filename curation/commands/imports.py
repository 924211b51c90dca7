"""The command `import`: clips, features, assignments, shards, columns and lists made elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation import remote, urls
from curation.commands.base import Commands, job, short
from curation.errors import InputError, MediaError
from curation.progress import Progress
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """import."""
    command = commands.add("import", "bring in clips, features, assignments, columns or a list made elsewhere", _import)
    command.add_argument("--clips", default=None, help="csv or parquet: one row a clip, in the order of the arrays")
    command.add_argument(
        "--add", action="store_true",
        help="rows that are no clip yet become clips; what is there stays, only clips without values get some",
    )  # fmt: skip
    command.add_argument(
        "--features", action="append", default=[], metavar="[audio:|visual:]NAME[/LAYER]=FILE",
        help="features (N, dim), .npy or parquet; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--modality", choices=("audio", "visual"), default="", help="modality of --features that do not say it"
    )
    command.add_argument("--assignments", default=None, help="integer (N, D) .npy, or a table")
    command.add_argument("--names", default="", help="names of the D columns, e.g. audio:a0,audio:a1,visual:v0")
    command.add_argument(
        "--shards", type=urls.local_path, default=None, metavar="FOLDER", help="shard-*.pkl of ACAV100M's code"
    )
    command.add_argument("--segments", type=urls.local_path, default=None, metavar="FOLDER", help="their shard-*.json")
    command.add_argument("--prefix", default="", help="put before the names of what the shards hold")
    command.add_argument("--list", default=None, help="a curated list; becomes the selection --name")
    command.add_argument("--truth", "--columns", default=None, dest="table", help="csv, tsv, jsonl or parquet to join")
    command.add_argument(
        "--key", default="", help="its column that names the clip: id, file name, path, stem, YouTube id or URL"
    )
    command.add_argument("--start", default="", help="its column with the start of the clip, seconds (within 0.5 s)")
    command.add_argument(
        "--column", action="append", default=[], metavar="COLUMN[=NAME]",
        help="its column that is joined; may be repeated; none = all",
    )  # fmt: skip
    command.add_argument("--name", default="", help="name in the workspace; `truth_match` is what evaluations read")
    command.add_argument("--job", default=None, help=argparse.SUPPRESS)


def _import(options: argparse.Namespace) -> None:
    if not any((options.clips, options.assignments, options.features, options.shards, options.list, options.table)):
        raise InputError(
            "Nothing to import.",
            hint="Give --clips, --assignments, --features, --shards, --list, --columns or --truth; see: import --help",
        )
    if options.list and not options.name:
        raise InputError("--list needs --name, the name of the selection.")
    workspace = Workspace.create(options.workspace)
    with _brought_here(options), job(workspace, options, "import") as (progress, record):
        reports = _imported(workspace, options, progress)
        record.result({"import": reports})
    for report in reports:
        print(", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in report.items()))


@contextlib.contextmanager
def _brought_here(options: argparse.Namespace) -> Iterator[None]:
    """The files that are named by an address as files of the same name on this disk, until the import is done.

    Tables are read more than once and arrays are mapped, so they are fetched whole, where the disk has room for them.
    """
    with contextlib.ExitStack() as stack:

        def here(text: str) -> str:
            place = urls.place_of(text)
            if not urls.is_url(place):
                return place
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="concord-import-"))
            return str(_fetched(place, Path(folder)))

        for name in ("clips", "assignments", "list", "table"):
            if getattr(options, name):
                setattr(options, name, Path(here(getattr(options, name))))
        options.features = [
            f"{said}{equals}{here(file)}" for said, equals, file in (one.partition("=") for one in options.features)
        ]
        yield


def _fetched(url: str, folder: Path) -> Path:
    try:
        size = remote.facts(url).size_bytes
        if size > shutil.disk_usage(folder).free // 2:
            raise InputError(
                f"{url} has {size} bytes: more than half of what is free in {folder.parent}.",
                hint="Copy it to a disk with room and import it from there, or set TMPDIR to such a disk.",
            )
        file = folder / url.rpartition("/")[2]
        with remote.open_remote(url) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except MediaError as error:
        raise remote.input_error(error) from None
    return file


def _imported(workspace: Workspace, options: argparse.Namespace, progress: Progress) -> list[dict[str, Any]]:
    """One report a thing that was brought in."""
    from curation import importers

    reports: list[dict[str, Any]] = []
    if options.shards:
        reports.append(
            importers.import_shards(
                workspace,
                options.shards,
                segments=options.segments,
                prefix=options.prefix,
                progress=progress,
                add=options.add,
            )
        )
    if options.clips and not (options.assignments or options.features):
        reports.append(importers.import_clips(workspace, options.clips, add=options.add))
    if options.assignments:
        names = [name for name in options.names.split(",") if name]
        reports.append(
            importers.import_assignments(
                workspace, options.assignments, names, clips_file=options.clips, add=options.add
            )
        )
    if options.features:
        files = [importers.parse_feature_file(item, options.modality) for item in options.features]
        reports += importers.import_arrays(
            workspace, files, clips_file=options.clips, progress=progress, add=options.add
        )
    if options.list:
        reports.append(
            importers.import_list(workspace, options.list, options.name, key=options.key, start=options.start)
        )
    if options.table:
        pairs = dict(item.partition("=")[::2] for item in options.column)
        columns = {source: name or source for source, name in pairs.items()} or None
        if columns and options.name and not options.list:
            if len(columns) > 1:
                raise InputError("--name fits one --column only.", hint="Write --column COLUMN=NAME for each.")
            columns = dict.fromkeys(columns, options.name)
        reports.append(importers.import_columns(workspace, options.table, options.key, columns, start=options.start))
    return reports
