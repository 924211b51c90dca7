"""The command `import`: clips, features, assignments and columns made elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from curation.commands.base import Commands, short
from curation.errors import InputError
from curation.workspace import Workspace


def register(commands: Commands) -> None:
    """import."""
    command = commands.add("import", "bring in clips, features, assignments, or a column made elsewhere", _import)
    command.add_argument(
        "--clips", type=Path, default=None, help="csv or parquet: one row a clip, in the order of the arrays"
    )
    command.add_argument(
        "--features",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="features (N, dim), .npy or parquet",
    )
    command.add_argument("--modality", choices=("audio", "visual"), default=None, help="modality of --features")
    command.add_argument("--assignments", type=Path, default=None, help="integer (N, D) .npy")
    command.add_argument("--names", default="", help="names of the D columns, e.g. audio:a0,audio:a1,visual:v0")
    command.add_argument(
        "--truth",
        "--columns",
        type=Path,
        default=None,
        dest="table",
        help="csv, tsv, jsonl or parquet to join",
    )
    command.add_argument("--key", default="", help="its column that names the clip: id, file name, path or stem")
    command.add_argument("--column", default="", help="its column that is joined")
    command.add_argument("--name", default="", help="name in the workspace; `truth_match` is what evaluations read")


def _import(options: argparse.Namespace) -> None:
    from curation import importers

    workspace = Workspace.create(options.workspace)
    reports = []
    if options.assignments:
        names = [name for name in options.names.split(",") if name]
        reports.append(importers.import_assignments(workspace, options.assignments, names, clips_file=options.clips))
    for item in options.features:
        name, equals, file = item.partition("=")
        if not equals or options.modality is None:
            raise InputError("--features needs NAME=FILE and --modality audio or visual.")
        reports.append(
            importers.import_features(workspace, name, Path(file), options.modality, clips_file=options.clips)
        )
    if options.table:
        if not options.key or not options.column:
            raise InputError("--truth needs --key (the column that names the clip) and --column (the column to join).")
        name = options.name or options.column
        reports.append(importers.import_columns(workspace, options.table, options.key, {options.column: name}))
    if not reports:
        raise InputError("Nothing to import.", hint="Give --assignments, --features or --truth; see: import --help")
    for report in reports:
        print(", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in report.items()))
