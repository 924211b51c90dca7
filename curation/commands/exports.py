"""Commands that give something away: clips in any format, or how good the choice is where that is known."""

from __future__ import annotations

import argparse

from curation.commands.base import Commands, add_settings, job, short
from curation.errors import InputError
from curation.urls import local_path
from curation.workspace import Workspace

FORMATS = "acav-csv, csv, parquet, jsonl, files, webdataset, videofolder, fiftyone, bundle, report"


def register(commands: Commands) -> None:
    """export, verify-bundle, precision."""
    command = commands.add("export", "write the selected clips (or others) as a list, cut clips, or a report", _export)
    command.add_argument("--format", required=True, help=FORMATS)
    command.add_argument("--out", type=local_path, required=True, help="file or folder to write; never overwritten")
    command.add_argument(
        "--selection", default=None, help="name of the selection; the newest by default; `all` = every clip"
    )
    command.add_argument("--reviewed", action="store_true", help="with what people kept, without what they dropped")
    command.add_argument(
        "--rows", type=local_path, default=None, metavar="FILE", help=".npy of row numbers, in their order"
    )
    command.add_argument("--cut", default="auto", help="clips are cut by: auto (default), copy, exact")
    command.add_argument(
        "--tolerance", type=float, default=0.1, metavar="SECONDS", help="how far from the start `auto` may copy (0.1)"
    )
    command.add_argument("--shard-clips", type=int, default=1000, help="most clips of a shard (1000)")
    command.add_argument("--shard-mb", type=int, default=1000, help="about how large a shard may be, MB (1000)")
    command.add_argument("--workers", type=int, default=2, help="clips cut at once (2)")
    add_settings(command)

    command = commands.add("verify-bundle", "make a bundle's selection again and compare", _verify, workspace=False)
    command.add_argument("bundle", type=local_path, help="folder or zip that `export --format bundle` wrote")
    command.add_argument("--workspace", type=local_path, default=None, help="compare with this workspace too")

    command = commands.add("precision", "how many of the selected clips correspond, where that is known", _precision)
    command.add_argument("--selection", default=None, help="name of the selection; the newest by default")
    command.add_argument("--column", default="truth_match", help="boolean column with the answers")


def _export(options: argparse.Namespace) -> None:
    from curation.export import CutSettings, export, read_rows

    workspace = Workspace.open(options.workspace)
    rows = read_rows(workspace, options.rows) if options.rows is not None else None
    settings = CutSettings(options.cut, options.tolerance, options.shard_clips, options.shard_mb, options.workers)
    with job(workspace, options, "export") as (progress, record):
        facts = export(
            workspace,
            options.format,
            options.out,
            selection=options.selection,
            reviewed=options.reviewed,
            rows=rows,
            settings=settings,
            progress=progress,
        )
        record.result({"export": facts})
    notices = facts.pop("notices")
    print(", ".join(f"{key.replace('_', ' ')} {short(value)}" for key, value in facts.items()))
    for notice in notices:
        print(f"note: {notice}")


def _verify(options: argparse.Namespace) -> None:
    from curation.bundle_check import verify_bundle

    workspace = Workspace.open(options.workspace) if options.workspace is not None else None
    verdict = verify_bundle(options.bundle, workspace)
    for line in verdict.lines:
        print(line)
    for note in verdict.notes:
        print(f"note: {note}")
    for difference in verdict.differences:
        print(f"differs: {difference}")
    if not verdict.reproduced:
        raise InputError("The bundle was not reproduced.", hint="The lines above say what differs.", code="differs")
    print("reproduced")


def _precision(options: argparse.Namespace) -> None:
    from curation.truth import precision_report

    for line in precision_report(Workspace.open(options.workspace), options.selection, options.column):
        print(line)
